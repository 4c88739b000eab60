// What Go and the variants share. Each variant (an instruction set) compiles the *_impl.h sources once for float and once for double and
// offers them as one table of functions; a plan points to its variant's table.
#ifndef CTDB_KERNEL_H
#define CTDB_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum { CTDB_SHARD_ROWS = 32, CTDB_FLUSH = 4 }; // rows of a shard; bins between two updates of the weights' gradients

typedef struct ctdb_ops ctdb_ops;

// The cells. All but CTDB_GRU and CTDB_NODE are pointwise: products of all gates first, then a function of each unit's own.
enum { CTDB_GRU, CTDB_TANH, CTDB_RELU, CTDB_LINEAR, CTDB_LSTM, CTDB_LEAKY, CTDB_LEAKY_COMPAT, CTDB_NODE };
enum { CTDB_MAX_LAYERS = 16, CTDB_MAX_STAGES = 4 };

// What a plan is made for.
typedef struct {
	int cell, B, T, I, H, O, reverse, inference;
	double gamma;      // leak of the leaky cells
	int layers, width; // of CTDB_NODE: maps, and units of the hidden ones
	int tanh_net;      // its hidden units are tanh rather than rectified
	int stages;        // 1: Euler, 4: the classical Runge-Kutta method
	int substeps;      // of a bin
	double dt;         // time of a bin
} ctdb_shape;

// One shard's memory: the tape, then scratch. k is a step, rp the rows rounded up to whole tiles, Hp the padded units, F = CTDB_FLUSH.
typedef struct {
	int rows, rp;
	int steps;      // steps forward taken so far
	void *mem;
	void *h;        // [T+1][rp][Hp] states; [0] is the initial one
	void *c;        // [T+1][rp][Hp] the second state of an LSTM
	void *g;        // [T][rp * Hp * saved] what the cell keeps for the way back, in the order in which it is made
	void *x;        // [T][rp][Iq] inputs
	void *pre;      // [2][rp][gates * Hp] products of one bin
	void *ys;       // [rp][Op] readout of one bin
	void *nz;       // [64-rounded H] noise of one row
	void *dh, *dc;  // [rp][Hp] gradients of the states
	void *dg;       // [F][rp][parts * Hp] gradients before the gates
	void *dy;       // [F][rp][Oq] cotangents of the readout
	void *cl;       // [F][rp][Hp] clean states, where they differ from h
	void *dxs;      // [rp][Ip] gradient of the inputs of one bin
	void *dU, *dW, *db, *dWo, *dbo; // sums: (gates * Hp, Hp), (Iq, parts * Hp) transposed, (parts * Hp), (Oq, Hp), (Oq)
	// CTDB_NODE, S = stages * substeps: the states of the stages, the hidden units of each map, and gradients before each map's units
	void *hs;                       // [T][S][rp][Hp]
	void *act[CTDB_MAX_LAYERS];     // [T][S][rp][Wp]
	void *dz[CTDB_MAX_LAYERS];      // [F][S][rp][width of the map's result]
	void *dz0;                      // [F][rp][...] dz[0] summed over the stages
	void *ks, *dks;                 // [stages][rp][Hp] the stages' results and their gradients
	void *dhs, *da;                 // [rp][Hp], [rp][Wp]
	void *dL[CTDB_MAX_LAYERS], *dLb[CTDB_MAX_LAYERS]; // sums: (result, argument), (result)
	void *dLx;                      // (Iq, result) of the first map's inputs, transposed
} ctdb_shard;

typedef struct {
	const ctdb_ops *ops;
	ctdb_shape s;
	int shards;
	int gates; // blocks of H rows of the weights
	int parts; // gradients of a unit before its gates
	int saved; // numbers of a unit on the tape
	int Hp, Ip, Iq, Op, Oq, Wp; // padded to whole vectors (p) or to 4 (q)
	void *mem;
	void *wh;   // recurrent weights as forward walks them: GRU [Hp/lanes][H][3][lanes], else [gates * Hp/lanes][H][lanes]
	void *wx;   // likewise, with I for H
	void *bias; // GRU [Hp/lanes][4][lanes]: r, z, recurrent n, input n; else [gates * Hp]
	void *ut;   // [Hp/lanes][gates * Hp][lanes] recurrent weights as backward walks them
	void *wxt;  // [Ip/lanes][parts * Hp][lanes] input weights likewise; of CTDB_NODE the first map's
	void *wo;   // [Op/lanes][H][lanes] readout
	void *bo;   // [Op]
	void *wob;  // [Hp/lanes][O][lanes]
	void *lw[CTDB_MAX_LAYERS];  // [result/lanes][argument][lanes], of the first map the part of the state
	void *lx;                   // [result/lanes][I][lanes] the first map's part of the inputs
	void *lb[CTDB_MAX_LAYERS];  // [result]
	void *lwt[CTDB_MAX_LAYERS]; // [argument/lanes][result][lanes]
	ctdb_shard *sh;
} ctdb_seq;

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
	void (*seq_pack)(ctdb_seq *, const void *wih, const void *whh, const void *bih, const void *bhh, const void *wo, const void *bo);
	void (*seq_pack_layer)(ctdb_seq *, int layer, const void *w, const void *b);
	void (*seq_begin)(ctdb_seq *, int s, int rows, const void *h0, long h0_row, const void *nz, double sd, uint64_t key, const uint64_t *trials);
	void (*seq_forward)(ctdb_seq *, int s, int k0, int k1, const void *x, long x_row, long x_bin, void *y, long y_row, long y_bin,
		void *st, void *cl, long s_row, long s_bin, const void *nz, double sd, uint64_t key, const uint64_t *trials);
	void (*seq_final)(ctdb_seq *, int s, void *out, long row);
	void (*seq_begin_backward)(ctdb_seq *, int s, const void *fin, long row);
	void (*seq_backward)(ctdb_seq *, int s, int k0, int k1, const void *y, long y_row, long y_bin, const void *st, const void *cl,
		long s_row, long s_bin, int noisy, void *dx, long x_row, long x_bin);
	void (*seq_gradients)(ctdb_seq *, int s, void *wih, void *whh, void *bih, void *bhh, void *wo, void *bo, void *h0, int shared, int add);
	void (*seq_layer_gradients)(ctdb_seq *, int s, int layer, void *w, void *b, int add);
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

ctdb_seq *ctdb_seq_new(const ctdb_ops *, const ctdb_shape *);
void ctdb_seq_free(ctdb_seq *);
size_t ctdb_seq_bytes(const ctdb_ops *, const ctdb_shape *);
ctdb_linear *ctdb_linear_new(const ctdb_ops *, int In, int Out, int workers);
void ctdb_linear_free(ctdb_linear *);

#endif
