// Choice of a variant, and the memory of plans: one 64-byte aligned block for a plan's packed weights and one for each shard.
#include "kernel.h"
#include <stdlib.h>
#include <string.h>

const ctdb_ops *ctdb_generic(int is_double);
const ctdb_ops *ctdb_avx2(int is_double);
const ctdb_ops *ctdb_avx512(int is_double);

const ctdb_ops *ctdb_variant(int variant, int is_double)
{
	if (variant == 0) return ctdb_generic(is_double);
#ifdef __x86_64__
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return NULL;
	if (variant == 1) return ctdb_avx2(is_double);
	if (variant == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
		&& __builtin_cpu_supports("avx512vl"))
		return ctdb_avx512(is_double);
#endif
	return NULL;
}

static int up(int n, int to) { return (n + to - 1) / to * to; }

// A layout is walked twice: first with base NULL to add up the bytes, then to hand out addresses.
typedef struct {
	char *base;
	size_t used;
} arena;

static void *take(arena *a, size_t bytes)
{
	void *p = a->base ? a->base + a->used : NULL;
	a->used += (bytes + 63) / 64 * 64;
	return p;
}

static void gru_weights(ctdb_gru *p, arena *a)
{
	const size_t e = p->ops->size, Hp = p->Hp;
	p->wh = take(a, e * Hp * p->H * 3);
	p->wx = take(a, e * Hp * p->I * 3);
	p->bias = take(a, e * Hp * 4);
	p->ut = take(a, p->inference ? 0 : e * Hp * Hp * 3);
	p->wxt = take(a, p->inference ? 0 : e * p->Ip * Hp * 4);
	p->wo = take(a, e * p->Op * p->H);
	p->bo = take(a, e * p->Op);
	p->wob = take(a, e * Hp * p->O);
}

static void gru_shard(const ctdb_gru *p, ctdb_shard *s, int rows, arena *a)
{
	const size_t e = p->ops->size, Hp = p->Hp, rp = up(rows, p->ops->tile), F = CTDB_FLUSH;
	const size_t slots = p->inference ? 1 : p->T, back = p->inference ? 0 : 1;
	s->h = take(a, e * (slots + 1) * rp * Hp);
	s->g = take(a, e * slots * rp * Hp * 4);
	s->x = take(a, e * slots * rp * p->Iq);
	s->ys = take(a, e * rp * p->Op);
	s->nz = take(a, e * up(p->H, 64));
	s->dh = take(a, back * e * rp * Hp);
	s->dg = take(a, back * e * F * rp * Hp * 4);
	s->dy = take(a, back * e * F * rp * p->Oq);
	s->cl = take(a, back * e * F * rp * Hp);
	s->dxs = take(a, back * e * rp * p->Ip);
	s->dU = take(a, back * e * 3 * Hp * Hp);
	s->dW = take(a, back * e * p->Iq * 4 * Hp);
	s->db = take(a, back * e * 4 * Hp);
	s->dWo = take(a, back * e * p->Oq * Hp);
	s->dbo = take(a, back * e * p->Oq);
}

static void gru_sizes(ctdb_gru *p, const ctdb_ops *ops, int B, int T, int I, int H, int O, int inference)
{
	p->ops = ops;
	p->T = T, p->I = I, p->H = H, p->O = O, p->inference = inference;
	p->shards = (B + CTDB_SHARD_ROWS - 1) / CTDB_SHARD_ROWS;
	p->Hp = up(H, ops->pad), p->Ip = up(I, ops->pad), p->Iq = up(I, 4), p->Op = up(O, ops->pad), p->Oq = up(O, 4);
}

static int shard_rows(int B, int s)
{
	int left = B - s * CTDB_SHARD_ROWS;
	return left < CTDB_SHARD_ROWS ? left : CTDB_SHARD_ROWS;
}

size_t ctdb_gru_bytes(const ctdb_ops *ops, int B, int T, int I, int H, int O, int inference)
{
	ctdb_gru p = {0};
	ctdb_shard s;
	arena a = {0};
	gru_sizes(&p, ops, B, T, I, H, O, inference);
	gru_weights(&p, &a);
	size_t weights = a.used;
	a.used = 0;
	gru_shard(&p, &s, shard_rows(B, 0), &a);
	size_t full = a.used;
	a.used = 0;
	gru_shard(&p, &s, shard_rows(B, p.shards - 1), &a);
	return weights + full * (p.shards - 1) + a.used;
}

static void *block(size_t bytes)
{
	void *p = NULL;
	return posix_memalign(&p, 64, bytes ? bytes : 64) ? NULL : p;
}

ctdb_gru *ctdb_gru_new(const ctdb_ops *ops, int B, int T, int I, int H, int O, int reverse, int inference)
{
	ctdb_gru *p = calloc(1, sizeof *p);
	if (!p) return NULL;
	gru_sizes(p, ops, B, T, I, H, O, inference);
	p->reverse = reverse;
	arena a = {0};
	gru_weights(p, &a);
	p->mem = a.base = block(a.used);
	p->sh = calloc(p->shards, sizeof *p->sh);
	if (!p->mem || !p->sh) goto fail;
	a.used = 0;
	gru_weights(p, &a);
	for (int i = 0; i < p->shards; i++) {
		arena b = {0};
		gru_shard(p, p->sh + i, shard_rows(B, i), &b);
		p->sh[i].mem = b.base = block(b.used);
		if (!b.base) goto fail;
		b.used = 0;
		gru_shard(p, p->sh + i, shard_rows(B, i), &b);
	}
	return p;
fail:
	ctdb_gru_free(p);
	return NULL;
}

void ctdb_gru_free(ctdb_gru *p)
{
	if (!p) return;
	for (int i = 0; p->sh && i < p->shards; i++) free(p->sh[i].mem);
	free(p->sh);
	free(p->mem);
	free(p);
}

ctdb_linear *ctdb_linear_new(const ctdb_ops *ops, int In, int Out, int workers)
{
	ctdb_linear *p = calloc(1, sizeof *p);
	if (!p) return NULL;
	p->ops = ops, p->In = In, p->Out = Out, p->workers = workers;
	p->Inp = up(In, ops->pad), p->Outp = up(Out, ops->pad);
	const size_t e = ops->size;
	for (int pass = 0; pass < 2; pass++) {
		arena a = {p->mem, 0};
		p->w = take(&a, e * p->Outp * In);
		p->wb = take(&a, e * p->Inp * Out);
		p->bo = take(&a, e * p->Outp);
		p->per_worker = e * ((size_t)64 * (2 * p->Inp + p->Outp) + (size_t)p->Outp * p->Inp + p->Outp);
		p->per_worker = (p->per_worker + 63) / 64 * 64;
		p->scratch = take(&a, p->per_worker * workers);
		if (pass == 0 && !(p->mem = block(a.used))) {
			free(p);
			return NULL;
		}
	}
	return p;
}

void ctdb_linear_free(ctdb_linear *p)
{
	if (!p) return;
	free(p->mem);
	free(p);
}
