// What Go and the variants share. Each variant (an instruction set) compiles the *_impl.h sources once for float and once for double and
// offers them as one table of functions; a plan points to its variant's table.
#ifndef CTDB_KERNEL_H
#define CTDB_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum { CTDB_SHARD_ROWS = 32, CTDB_FLUSH = 4 }; // rows of a shard; bins between two updates of the weights' gradients

typedef struct ctdb_ops ctdb_ops;

// One shard's memory: the tape, then scratch. k is a step, rp the rows rounded up to whole tiles, Hp the padded units.
typedef struct {
	int rows, rp;
	int steps;      // steps forward taken so far
	void *mem;
	void *h;        // [T+1][rp][Hp] states; [0] is the initial one
	void *g;        // [T][Hp/lanes][rp/tile][tile][4][lanes]: r, z, n and U_n h + b_hn in the order in which they are made
	void *x;        // [T][rp][Iq] inputs
	void *ys;       // [rp][Op] readout of one bin
	void *nz;       // [64-rounded H] noise of one row
	void *dh;       // [rp][Hp] gradient of the state
	void *dg;       // [FLUSH][rp][4 Hp] gradients before the gates: r, z, the recurrent part of n, the input part of n
	void *dy;       // [FLUSH][rp][Oq] cotangents of the readout
	void *cl;       // [FLUSH][rp][Hp] clean states, where they differ from h
	void *dxs;      // [rp][Ip] gradient of the inputs of one bin
	void *dU, *dW, *db, *dWo, *dbo; // sums: (3 Hp, Hp), (Iq, 4 Hp) transposed, (4 Hp), (Oq, Hp), (Oq)
} ctdb_shard;

typedef struct {
	const ctdb_ops *ops;
	int T, I, H, O, reverse, inference, shards;
	int Hp, Ip, Iq, Op, Oq; // padded to whole vectors (p) or to 4 (q)
	void *mem;
	void *wh;   // [Hp/lanes][H][3][lanes] recurrent weights as forward walks them
	void *wx;   // [Hp/lanes][I][3][lanes]
	void *bias; // [Hp/lanes][4][lanes]: r, z, recurrent n, input n
	void *ut;   // [Hp/lanes][3 Hp][lanes] recurrent weights as backward walks them
	void *wxt;  // [Ip/lanes][4 Hp][lanes] input weights likewise
	void *wo;   // [Op/lanes][H][lanes] readout
	void *bo;   // [Op]
	void *wob;  // [Hp/lanes][O][lanes]
	ctdb_shard *sh;
} ctdb_gru;

typedef struct {
	const ctdb_ops *ops;
	int In, Out, workers;
	int Inp, Outp;
	void *mem;
	void *w;   // [Outp/lanes][In][lanes]
	void *wb;  // [Inp/lanes][Out][lanes]
	void *bo;  // [Outp]
	char *scratch; // per worker
	size_t per_worker;
} ctdb_linear;

// Arrays of a shard's rows: base of the whole batch, elements between rows and between bins.
struct ctdb_ops {
	const char *name;
	int lanes, size, tile, pad;
	void (*gru_pack)(ctdb_gru *, const void *wih, const void *whh, const void *bih, const void *bhh, const void *wo, const void *bo);
	void (*gru_begin)(ctdb_gru *, int s, int rows, const void *h0, long h0_row, const void *nz, double sd, uint64_t key, const uint64_t *trials);
	void (*gru_forward)(ctdb_gru *, int s, int k0, int k1, const void *x, long x_row, long x_bin, void *y, long y_row, long y_bin,
		void *st, void *cl, long s_row, long s_bin, const void *nz, double sd, uint64_t key, const uint64_t *trials);
	void (*gru_final)(ctdb_gru *, int s, void *out, long row);
	void (*gru_begin_backward)(ctdb_gru *, int s, const void *fin, long row);
	void (*gru_backward)(ctdb_gru *, int s, int k0, int k1, const void *y, long y_row, long y_bin, const void *st, const void *cl,
		long s_row, long s_bin, int noisy, void *dx, long x_row, long x_bin);
	void (*gru_gradients)(ctdb_gru *, int s, void *wih, void *whh, void *bih, void *bhh, void *wo, void *bo, void *h0, int shared, int add);
	void (*linear_pack)(ctdb_linear *, const void *w, const void *b);
	void (*linear_forward)(ctdb_linear *, int worker, long rows, const void *x, void *y);
	void (*linear_backward)(ctdb_linear *, int worker, long rows, const void *x, const void *cot, void *gx, void *gw, void *gb);
	double (*squared_error)(long n, const void *y, const void *target, const void *w, double scale, void *grad);
	double (*poisson)(long n, const void *r, const void *k, double w, double scale, void *grad);
	double (*sum_squares)(long n, const void *x);
	void (*axpy)(long n, double a, const void *x, void *y);
	void (*normals)(uint64_t key, uint64_t trial, uint64_t bin, long n, void *dst);
	void (*dropout)(uint64_t key, uint64_t trial, uint64_t bin, long n, double p, const void *x, void *y);
	void (*adam)(long n, double rate, double root, double b1, double b2, double eps, double decay, double shrink, void *p, const void *g, void *m, void *v);
};

// variant: 0 generic, 1 AVX2 with FMA, 2 AVX-512. NULL if this build or processor has it not.
const ctdb_ops *ctdb_variant(int variant, int is_double);

ctdb_gru *ctdb_gru_new(const ctdb_ops *, int B, int T, int I, int H, int O, int reverse, int inference);
void ctdb_gru_free(ctdb_gru *);
size_t ctdb_gru_bytes(const ctdb_ops *, int B, int T, int I, int H, int O, int inference);
ctdb_linear *ctdb_linear_new(const ctdb_ops *, int In, int Out, int workers);
void ctdb_linear_free(ctdb_linear *);

#endif
