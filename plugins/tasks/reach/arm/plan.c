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

// The parts of a plant's memory, bytes. The stages are those of the way back over one block.
typedef struct {
	size_t par, stages, cot, slot;
} parts;

static parts parts_of(const arm_ops *ops, int body, int trials, int substeps)
{
	const size_t row = (size_t)ops->lanes * ops->size, blocks = (trials + ops->lanes - 1) / ops->lanes;
	return (parts){line(ops->parameters), body == ARM_COMPLIANT ? row * STATE_ROWS * substeps : 0, row * STATE_ROWS * blocks, row * ROWS * blocks};
}

size_t arm_bytes(const arm_ops *ops, int body, int trials, int slots, int substeps)
{
	const parts n = parts_of(ops, body, trials, substeps);
	return line(n.par + n.stages + n.cot + n.slot * slots);
}

arm_plant *arm_new(const arm_ops *ops, int body, int trials, int slots, int substeps, const arm_parameters *params)
{
	arm_plant *p = calloc(1, sizeof *p);
	if (!p) return NULL;
	p->ops = ops, p->body = body, p->trials = trials, p->slots = slots, p->substeps = substeps;
	p->blocks = (trials + ops->lanes - 1) / ops->lanes;
	const parts n = parts_of(ops, body, trials, substeps);
	const size_t most = (size_t)1 << 45;
	if (n.slot > most || n.slot * slots > most || !(p->mem = aligned_alloc(64, arm_bytes(ops, body, trials, slots, substeps)))) {
		free(p);
		return NULL;
	}
	// The slots are touched only as they are used.
	p->par = p->mem;
	p->stages = (char *)p->mem + n.par;
	p->cot = (char *)p->stages + n.stages;
	p->slot = (char *)p->cot + n.cot;
	memset(p->cot, 0, n.cot);
	ops->prepare(p, params);
	return p;
}

void arm_free(arm_plant *p)
{
	if (!p) return;
	free(p->mem);
	free(p);
}
