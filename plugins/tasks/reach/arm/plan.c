#include "arm.h"

#include <stdlib.h>
#include <string.h>

const arm_ops *arm_variant(const char *name, int is_double)
{
#ifdef __x86_64__
	if (!strcmp(name, "avx512")) return arm_avx512(is_double);
	if (!strcmp(name, "avx2")) return arm_avx2(is_double);
#endif
	return strcmp(name, "generic") ? NULL : arm_generic(is_double);
}

static size_t line(size_t n) { return (n + 63) / 64 * 64; }

arm_plant *arm_new(const arm_ops *ops, int body, int trials, int slots, int substeps, const arm_parameters *params)
{
	arm_plant *p = calloc(1, sizeof *p);
	if (!p) return NULL;
	p->ops = ops, p->body = body, p->trials = trials, p->slots = slots, p->substeps = substeps;
	p->blocks = (trials + ops->lanes - 1) / ops->lanes;
	const size_t row = (size_t)ops->lanes * ops->size, par = line(ops->parameters), stages = body == ARM_COMPLIANT ? row * STATE_ROWS * substeps : 0;
	const size_t cot = row * STATE_ROWS * p->blocks, slot = row * ROWS * p->blocks;
	if (slot > (size_t)1 << 45 || slot * slots > (size_t)1 << 45 || !(p->mem = aligned_alloc(64, line(par + stages + cot + slot * slots)))) {
		free(p);
		return NULL;
	}
	// The slots are touched only as they are used.
	p->par = p->mem;
	p->stages = (char *)p->mem + par;
	p->cot = (char *)p->stages + stages;
	p->slot = (char *)p->cot + cot;
	memset(p->cot, 0, cot);
	ops->prepare(p, params);
	return p;
}

void arm_free(arm_plant *p)
{
	if (!p) return;
	free(p->mem);
	free(p);
}
