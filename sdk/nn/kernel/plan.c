// Choice of a variant, and the memory of plans: one 64-byte aligned block for packed weights, which plans may share, and one for each shard.
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

// ctdb_layer_out is the padded width of a map's result.
static size_t ctdb_layer_out(const ctdb_seq *p, int l) { return l < p->s.layers - 1 ? p->Wp : p->Hp; }

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

static void seq_weights(ctdb_seq *p, arena *a)
{
	const ctdb_shape *s = &p->s;
	const size_t e = p->ops->size, Hp = p->Hp, G = p->gates, train = !s->inference, square = s->cell != CTDB_LOW_RANK || s->full;
	p->wh = take(a, square * e * Hp * s->H * G);
	p->wx = take(a, e * Hp * s->I * G);
	p->bias = take(a, e * Hp * (G > p->parts ? G : p->parts));
	p->ut = take(a, square * train * e * Hp * Hp * G);
	p->wxt = take(a, train * e * p->Ip * (s->cell == CTDB_NODE ? (s->layers > 1 ? p->Wp : p->Hp) : p->Hp * G));
	p->wo = take(a, e * p->Op * s->H);
	p->bo = take(a, e * p->Op);
	p->wob = take(a, e * Hp * s->O);
	for (int l = 0; l < s->layers; l++) {
		const size_t out = ctdb_layer_out(p, l), in = l ? p->Wp : p->Hp;
		p->lw[l] = take(a, e * out * in);
		p->lb[l] = take(a, e * out);
		p->lwt[l] = take(a, train * e * in * out);
		if (l == 0) p->lx = take(a, e * out * s->I);
	}
}

static void seq_shard(const ctdb_seq *p, ctdb_shard *s, int rows, arena *a)
{
	const ctdb_shape *q = &p->s;
	const size_t e = p->ops->size, Hp = p->Hp, rp = up(rows, p->ops->tile), F = p->flush, G = p->gates, P = p->parts;
	const size_t slots = q->inference ? 1 : q->segment && q->segment < q->T ? q->segment : q->T, segments = q->segment ? (q->T + q->segment - 1) / q->segment : 0, back = q->inference ? 0 : 1, two = q->cell == CTDB_LSTM, low = q->cell == CTDB_LOW_RANK, S = q->stages * q->substeps;
	s->h = take(a, e * (slots + 1) * rp * Hp);
	s->c = take(a, (two || low) * e * (slots + 1) * rp * Hp);
	s->hm = take(a, e * segments * rp * Hp);
	s->cm = take(a, (two || low) * e * segments * rp * Hp);
	s->g = take(a, e * slots * rp * Hp * p->saved);
	s->x = take(a, e * slots * rp * p->Iq);
	s->pre = take(a, q->cell == CTDB_GRU ? 0 : e * 2 * rp * Hp * G);
	s->ys = take(a, e * rp * p->Op);
	s->nz = take(a, e * up(q->H, 64));
	s->dh = take(a, back * e * rp * Hp);
	s->dc = take(a, two * back * e * rp * Hp);
	s->dg = take(a, back * e * F * rp * Hp * P);
	s->dy = take(a, back * e * F * rp * p->Oq);
	s->cl = take(a, back * e * F * rp * Hp);
	s->dxs = take(a, back * e * rp * p->Ip);
	s->dU = take(a, (!low || q->full) * back * e * G * Hp * Hp);
	s->dW = take(a, back * e * p->Iq * G * Hp);
	s->db = take(a, back * e * P * Hp);
	s->dWo = take(a, back * e * p->Oq * Hp);
	s->dbo = take(a, back * e * p->Oq);
	if (low) {
		s->z = take(a, e * slots * rp * p->Wp);
		s->dzs = take(a, back * e * F * rp * p->Wp);
		s->df = take(a, back * e * rp * Hp);
		for (int l = 0; l < 2; l++) s->dL[l] = take(a, back * e * p->Wp * Hp);
	}
	if (q->cell != CTDB_NODE) return;
	// Steps that a trial chooses leave no tape but the states between bins.
	const size_t tape = q->adaptive ? 1 : slots, kept = q->adaptive ? 1 : F;
	if (q->adaptive) {
		s->ax = take(a, e * rp * p->Iq);
		s->adh = take(a, back * e * rp * Hp);
		s->ay = take(a, back * e * rp * Hp);
		s->ak = take(a, e * rp * Hp);
		s->ah = take(a, e * rp);
		s->ahc = take(a, e * rp);
		s->aleft = take(a, e * rp);
		s->aunit = take(a, e * rp);
		s->starts = take(a, (back && !q->adjoint) * e * q->max_steps * rp * Hp);
		s->taken = take(a, (back && !q->adjoint) * e * q->max_steps * rp);
	}
	s->hs = take(a, e * tape * S * rp * Hp);
	s->ks = take(a, e * q->stages * rp * Hp);
	s->dks = take(a, back * e * q->stages * rp * Hp);
	s->dhs = take(a, back * e * rp * Hp);
	s->dz0 = take(a, back * e * F * rp * ctdb_layer_out(p, 0));
	s->dLx = take(a, back * e * p->Iq * ctdb_layer_out(p, 0));
	for (int l = 0; l < q->layers; l++) {
		const size_t out = ctdb_layer_out(p, l), in = l ? p->Wp : p->Hp;
		s->act[l] = take(a, l < q->layers - 1 ? e * tape * S * rp * p->Wp : 0);
		s->dz[l] = take(a, back * e * kept * S * rp * out);
		s->dL[l] = take(a, back * e * out * in);
		s->dLb[l] = take(a, back * e * out);
	}
}

static void seq_sizes(ctdb_seq *p, const ctdb_ops *ops, const ctdb_shape *s)
{
	// gates, parts, saved
	static const int units[][3] = {
		[CTDB_GRU] = {3, 4, 4}, [CTDB_TANH] = {1, 1, 1}, [CTDB_RELU] = {1, 1, 1}, [CTDB_LINEAR] = {1, 1, 1}, [CTDB_LSTM] = {4, 4, 5},
		[CTDB_LEAKY] = {1, 1, 1}, [CTDB_LEAKY_COMPAT] = {1, 2, 1}, [CTDB_NODE] = {0, 0, 1},
		[CTDB_LOW_RANK] = {1, 1, 0},
	};
	p->ops = ops;
	p->s = *s;
	// Steps that a trial chooses are taken again anyway.
	if (s->inference || s->adaptive) p->s.segment = 0;
	if (s->cell != CTDB_NODE) p->s.stages = p->s.substeps = 0;
	if (s->cell != CTDB_NODE && s->cell != CTDB_LOW_RANK) p->s.layers = 0;
	p->gates = units[s->cell][0], p->parts = units[s->cell][1], p->saved = units[s->cell][2];
	p->shards = (s->B + s->rows - 1) / s->rows;
	p->flush = CTDB_FLUSH * CTDB_SHARD_ROWS / s->rows;
	p->Hp = up(s->H, ops->pad), p->Ip = up(s->I, ops->pad), p->Iq = up(s->I, 4), p->Op = up(s->O, ops->pad), p->Oq = up(s->O, 4);
	p->Wp = up(s->width, ops->pad);
}

static int shard_rows(const ctdb_shape *p, int s)
{
	int left = p->B - s * p->rows;
	return left < p->rows ? left : p->rows;
}

size_t ctdb_seq_bytes(const ctdb_ops *ops, const ctdb_shape *shape)
{
	ctdb_seq p = {0};
	ctdb_shard s;
	arena a = {0};
	seq_sizes(&p, ops, shape);
	seq_weights(&p, &a);
	size_t weights = a.used;
	a.used = 0;
	seq_shard(&p, &s, shard_rows(shape, 0), &a);
	size_t full = a.used;
	a.used = 0;
	seq_shard(&p, &s, shard_rows(shape, p.shards - 1), &a);
	return weights + full * (p.shards - 1) + a.used;
}

static void *block(size_t bytes)
{
	void *p = NULL;
	return posix_memalign(&p, 64, bytes ? bytes : 64) ? NULL : p;
}

ctdb_pack *ctdb_pack_new(const ctdb_ops *ops, const ctdb_shape *shape)
{
	ctdb_seq p = {0};
	arena a = {0};
	seq_sizes(&p, ops, shape);
	seq_weights(&p, &a);
	ctdb_pack *k = calloc(1, sizeof *k);
	if (!k) return NULL;
	k->users = 1;
	if (!(k->mem = block(a.used))) {
		free(k);
		return NULL;
	}
	return k;
}

void ctdb_pack_free(ctdb_pack *k)
{
	if (!k || __atomic_sub_fetch(&k->users, 1, __ATOMIC_ACQ_REL) > 0) return;
	free(k->mem);
	free(k);
}

ctdb_seq *ctdb_seq_new(const ctdb_ops *ops, const ctdb_shape *shape, ctdb_pack *pack)
{
	ctdb_seq *p = calloc(1, sizeof *p);
	if (!p) return NULL;
	seq_sizes(p, ops, shape);
	p->sh = calloc(p->shards, sizeof *p->sh);
	if (pack) __atomic_add_fetch(&pack->users, 1, __ATOMIC_ACQ_REL);
	else pack = ctdb_pack_new(ops, shape);
	p->pack = pack;
	if (!pack || !p->sh) goto fail;
	arena a = {pack->mem, 0};
	seq_weights(p, &a);
	for (int i = 0; i < p->shards; i++) {
		arena b = {0};
		seq_shard(p, p->sh + i, shard_rows(shape, i), &b);
		p->sh[i].mem = b.base = block(b.used);
		if (!b.base) goto fail;
		b.used = 0;
		seq_shard(p, p->sh + i, shard_rows(shape, i), &b);
	}
	return p;
fail:
	ctdb_seq_free(p);
	return NULL;
}

void ctdb_seq_free(ctdb_seq *p)
{
	if (!p) return;
	for (int i = 0; p->sh && i < p->shards; i++) free(p->sh[i].mem);
	free(p->sh);
	ctdb_pack_free(p->pack);
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
