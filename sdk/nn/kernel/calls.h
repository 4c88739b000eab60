// Go cannot call through a function pointer: one line for each entry of the table. While a kernel works, subnormal numbers are zero: gradients that
// vanish over hundreds of bins are such numbers, and Intel's processors take a hundred times as long for them. The caller's mode is restored.
#ifndef CTDB_CALLS_H
#define CTDB_CALLS_H
#include "kernel.h"
#include "subnormal.h"

static inline void call_seq_pack(ctdb_seq *p, const void *wih, const void *whh, const void *bih, const void *bhh, const void *wo, const void *bo)
{
	p->ops->seq_pack(p, wih, whh, bih, bhh, wo, bo);
}

static inline void call_seq_pack_layer(ctdb_seq *p, int layer, const void *w, const void *b) { p->ops->seq_pack_layer(p, layer, w, b); }

static inline void call_seq_begin(ctdb_seq *p, int s, int rows, const void *h0, long h0_row, const void *nz, double sd, uint64_t key, const uint64_t *trials)
{
	FLUSHED(p->ops->seq_begin(p, s, rows, h0, h0_row, nz, sd, key, trials));
}

static inline void call_seq_forward(ctdb_seq *p, int s, int k0, int k1, const void *x, long x_row, long x_bin, void *y, long y_row, long y_bin,
	void *st, void *cl, long s_row, long s_bin, const void *nz, double sd, uint64_t key, const uint64_t *trials)
{
	FLUSHED(p->ops->seq_forward(p, s, k0, k1, x, x_row, x_bin, y, y_row, y_bin, st, cl, s_row, s_bin, nz, sd, key, trials));
}

static inline int call_seq_replay(ctdb_seq *p, int s, int k) { return p->ops->seq_replay(p, s, k); }

static inline void call_seq_final(ctdb_seq *p, int s, void *out, long row) { p->ops->seq_final(p, s, out, row); }

static inline void call_seq_begin_backward(ctdb_seq *p, int s, const void *fin, long row) { p->ops->seq_begin_backward(p, s, fin, row); }
static inline void call_seq_cut(ctdb_seq *p, int s) { p->ops->seq_cut(p, s); }

static inline void call_seq_backward(ctdb_seq *p, int s, int k0, int k1, const void *y, long y_row, long y_bin, const void *st, const void *cl,
	long s_row, long s_bin, int noisy, void *dx, long x_row, long x_bin)
{
	FLUSHED(p->ops->seq_backward(p, s, k0, k1, y, y_row, y_bin, st, cl, s_row, s_bin, noisy, dx, x_row, x_bin));
}

static inline void call_seq_gradients(ctdb_seq *p, int s, void *wih, void *whh, void *bih, void *bhh, void *wo, void *bo, void *h0, int shared, int add)
{
	FLUSHED(p->ops->seq_gradients(p, s, wih, whh, bih, bhh, wo, bo, h0, shared, add));
}

static inline void call_seq_layer_gradients(ctdb_seq *p, int s, int layer, void *w, void *b, int add)
{
	FLUSHED(p->ops->seq_layer_gradients(p, s, layer, w, b, add));
}

static inline void call_linear_pack(ctdb_linear *p, const void *w, const void *b) { p->ops->linear_pack(p, w, b); }

static inline void call_linear_forward(ctdb_linear *p, int worker, long rows, const void *x, long xo, void *y, long yo)
{
	FLUSHED(p->ops->linear_forward(p, worker, rows, (const char *)x + xo * p->ops->size, (char *)y + yo * p->ops->size));
}

static inline void call_linear_backward(ctdb_linear *p, int worker, long rows, const void *x, long xo, const void *cot, long co, void *gx,
	void *gw, void *gb)
{
	const long e = p->ops->size;
	FLUSHED(p->ops->linear_backward(p, worker, rows, (const char *)x + xo * e, (const char *)cot + co * e, gx ? (char *)gx + xo * e : 0, gw, gb));
}

// The arrays of a loss or a mask are those of n elements from element at on.
static inline const void *from(const ctdb_ops *o, const void *p, long at) { return p ? (const char *)p + at * o->size : 0; }

static inline double call_squared_error(const ctdb_ops *o, long at, long n, const void *y, const void *t, const void *w, double scale, void *g)
{
	double sum;
	FLUSHED(sum = o->squared_error(n, from(o, y, at), from(o, t, at), from(o, w, at), scale, (void *)from(o, g, at)));
	return sum;
}

static inline double call_poisson(const ctdb_ops *o, long at, long n, const void *r, const void *k, double w, double scale, void *g)
{
	double sum;
	FLUSHED(sum = o->poisson(n, from(o, r, at), from(o, k, at), w, scale, (void *)from(o, g, at)));
	return sum;
}

static inline double call_sum_squares(const ctdb_ops *o, long at, long n, const void *x)
{
	double sum;
	FLUSHED(sum = o->sum_squares(n, from(o, x, at)));
	return sum;
}

static inline void call_axpy(const ctdb_ops *o, long at, long n, double a, const void *x, void *y)
{
	FLUSHED(o->axpy(n, a, from(o, x, at), (void *)from(o, y, at)));
}

static inline void call_normals(const ctdb_ops *o, uint64_t key, uint64_t trial, long bins, long n, void *dst, long at)
{
	for (long t = 0; t < bins; t++) o->normals(key, trial, t, n, (void *)from(o, dst, at + t * n));
}

static inline void call_dropout(const ctdb_ops *o, uint64_t key, uint64_t trial, long bins, long n, double p, const void *x, void *y, long at)
{
	for (long t = 0; t < bins; t++) FLUSHED(o->dropout(key, trial, t, n, p, from(o, x, at + t * n), (void *)from(o, y, at + t * n)));
}

static inline void call_adam(const ctdb_ops *o, long n, double rate, double root, double b1, double b2, double eps, double decay, double shrink,
	void *p, const void *g, void *m, void *v)
{
	FLUSHED(o->adam(n, rate, root, b1, b2, eps, decay, shrink, p, g, m, v));
}

static inline void call_sigmoids(const ctdb_ops *o, long n, const void *x, void *y) { FLUSHED(o->sigmoids(n, x, y)); }

static inline void call_tanhs(const ctdb_ops *o, long n, const void *x, void *y) { FLUSHED(o->tanhs(n, x, y)); }

static inline double call_product(const ctdb_ops *o, long m, long k, long times) { return o->product_repeat(m, k, times); }

static inline double call_fma(const ctdb_ops *o, long times) { return o->fma_repeat(times); }

#endif
