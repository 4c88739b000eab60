// What Go and the variants share. Each variant (an instruction set) compiles the *_impl.h sources once for float and once for double and
// offers them as one table of functions; a plan points to its variant's table.
#ifndef CTDB_KERNEL_H
#define CTDB_KERNEL_H

#include <stddef.h>
#include <stdint.h>

// Rows of a shard, by default and at most; bins between two updates of the weights' gradients where a shard has the default, fewer where it has more.
enum { CTDB_SHARD_ROWS = 16, CTDB_MAX_SHARD_ROWS = 64, CTDB_FLUSH = 4 };

typedef struct ctdb_ops ctdb_ops;

// The cells. All but CTDB_GRU, CTDB_NODE and CTDB_LOW_RANK are pointwise: products of all gates first, then a function of each unit's own.
enum { CTDB_GRU, CTDB_TANH, CTDB_RELU, CTDB_LINEAR, CTDB_LSTM, CTDB_LEAKY, CTDB_LEAKY_COMPAT, CTDB_NODE, CTDB_LOW_RANK };
enum { CTDB_MAX_LAYERS = 16 };

// What becomes of a product C: as it is, rectified, or the gradient before units that gave g, whose own is the product.
enum { CTDB_AS_IS, CTDB_RECTIFIED, CTDB_BEFORE_RELU, CTDB_BEFORE_TANH };

// Why a trial could not be integrated: it needs more steps than are allowed, or is not finite.
enum { CTDB_TOO_MANY = 1, CTDB_NOT_FINITE };

// What a plan is made for.
typedef struct {
	int cell, B, T, I, H, O, reverse, inference;
	int rows;          // of a shard: CTDB_SHARD_ROWS, or that times 2 or 4, at most CTDB_MAX_SHARD_ROWS
	double gamma;      // leak of the leaky cells
	int layers, width; // of CTDB_NODE: maps, and units of the hidden ones; of CTDB_LOW_RANK 2 and the rank
	int full;          // CTDB_LOW_RANK has a connectivity of full rank besides
	int tanh_net;      // its hidden units are tanh rather than rectified
	int stages;        // 1: Euler, 4: the classical Runge-Kutta method, 7: that of Dormand and Prince
	int substeps;      // of a bin
	double dt;         // time of a bin
	int adaptive;      // the method of Dormand and Prince, stages 7
	int adjoint;       // its way back is the continuous adjoint
	int max_steps;     // that it may try in a bin
	double first;      // length of the first step that it tries in a bin
	double rtol, atol; // what it allows as error
	int segment;       // steps of a segment, whose tape is made again on the way back, a multiple of CTDB_FLUSH; 0 keeps the tape of all
} ctdb_shape;

// One shard's memory: the tape, then scratch. k is a step, rp the rows rounded up to whole tiles, Hp the padded units, F the plan's flush.
typedef struct {
	int rows, rp;
	int steps;      // steps forward taken so far
	int base;       // step that the tape begins at
	void *mem;
	void *h;        // [T+1][rp][Hp] states; [0] is the initial one
	void *c;        // [T+1][rp][Hp] the second state of an LSTM, of CTDB_LOW_RANK what its units give
	void *g;        // [T][rp * Hp * saved] what the cell keeps for the way back, in the order in which it is made
	void *x;        // [T][rp][Iq] inputs
	void *hm, *cm;  // [segments][rp][Hp] states that the segments begin with; then T above is segment
	void *pre;      // [2][rp][gates * Hp] products of one bin
	void *ys;       // [rp][Op] readout of one bin
	void *nz;       // [64-rounded H] noise of one row
	void *dh, *dc;  // [rp][Hp] gradients of the states
	void *dg;       // [F][rp][parts * Hp] gradients before the gates
	void *dy;       // [F][rp][Oq] cotangents of the readout
	void *cl;       // [F][rp][Hp] clean states, where they differ from h
	void *dxs;      // [rp][Ip] gradient of the inputs of one bin
	void *dU, *dW, *db, *dWo, *dbo; // sums: (Hp, gates * Hp) and (Iq, gates * Hp) transposed, (parts * Hp), (Oq, Hp), (Oq)
	// CTDB_NODE, S = stages * substeps: the states of the stages, the hidden units of each map, and gradients before each map's units
	void *hs;                       // [T][S][rp][Hp]
	void *act[CTDB_MAX_LAYERS];     // [T][S][rp][Wp]
	void *dz[CTDB_MAX_LAYERS];      // [F][S][rp][width of the map's result]
	void *dz0;                      // [F][rp][...] dz[0] summed over the stages
	void *ks, *dks;                 // [stages][rp][Hp] the stages' results and their gradients
	void *dhs;                      // [rp][Hp]
	void *dL[CTDB_MAX_LAYERS], *dLb[CTDB_MAX_LAYERS]; // sums: (result, argument), of CTDB_NODE's first map transposed, (result)
	void *dLx;                      // (Iq, result) of the first map's inputs, transposed
	// CTDB_LOW_RANK, besides dL, (Wp, Hp) and (Hp, Wp): the rank's activities [T][rp][Wp], their gradients [F][rp][Wp], that of the units [rp][Hp]
	void *z, *dzs, *df;
	// adaptive: inputs (rp, Iq) and gradients (rp, Hp) of the rows at work; of each row the state, the field at the start of its step (rp, Hp), the length
	// of its step, that of the rows at work, what is left of the bin, and the gradient's unit (rp); the accepted steps of a bin: states [max_steps][rp][Hp], lengths [max_steps][rp]
	void *ax, *adh, *ay, *ak, *ah, *ahc, *aleft, *aunit, *starts, *taken;
	// the rows at work, whether they go on, and of each row the steps tried and accepted, and whether the last one was rejected
	int arow[CTDB_MAX_SHARD_ROWS], agoes[CTDB_MAX_SHARD_ROWS], tried[CTDB_MAX_SHARD_ROWS], count[CTDB_MAX_SHARD_ROWS], rejected[CTDB_MAX_SHARD_ROWS];
	int failed, failed_row, failed_step, failed_back; // CTDB_TOO_MANY or CTDB_NOT_FINITE, where, and whether on the way back
} ctdb_shard;

// The memory of packed weights, which plans may share.
typedef struct {
	void *mem;
	int users;
} ctdb_pack;

typedef struct {
	const ctdb_ops *ops;
	ctdb_shape s;
	int shards;
	int flush; // bins between two updates of the weights' gradients
	int gates; // blocks of H rows of the weights
	int parts; // gradients of a unit before its gates
	int saved; // numbers of a unit on the tape
	int Hp, Ip, Iq, Op, Oq, Wp; // padded to whole vectors (p) or to 4 (q)
	ctdb_pack *pack; // what wh to lwt point into
	void *wh;   // recurrent weights as forward walks them: GRU [Hp/lanes][H][3][lanes], else [gates * Hp/lanes][H][lanes]
	void *wx;   // likewise, with I for H
	void *bias; // GRU [Hp/lanes][4][lanes]: r, z, recurrent n, input n; else [gates * Hp]
	void *ut;   // [Hp/lanes][gates * H][lanes] recurrent weights as backward walks them
	void *wxt;  // [Ip/lanes][gates * Hp][lanes] input weights likewise; of CTDB_NODE the first map's
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
	int (*seq_replay)(ctdb_seq *, int s, int k);
	void (*seq_final)(ctdb_seq *, int s, void *out, long row);
	void (*seq_begin_backward)(ctdb_seq *, int s, const void *fin, long row);
	void (*seq_cut)(ctdb_seq *, int s);
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
	void (*sigmoids)(long n, const void *x, void *y);
	void (*tanhs)(long n, const void *x, void *y);
	double (*product_repeat)(long M, long K, long times);
	double (*fma_repeat)(long times);
};

// variant: 0 generic, 1 AVX2 with FMA, 2 AVX-512. NULL if this build or processor has it not.
const ctdb_ops *ctdb_variant(int variant, int is_double);

// A plan whose weights are in pack, which was made for the same weights and the same use, or in memory of its own if that is NULL.
ctdb_seq *ctdb_seq_new(const ctdb_ops *, const ctdb_shape *, ctdb_pack *pack);
void ctdb_seq_free(ctdb_seq *);
size_t ctdb_seq_bytes(const ctdb_ops *, const ctdb_shape *);
ctdb_pack *ctdb_pack_new(const ctdb_ops *, const ctdb_shape *);
void ctdb_pack_free(ctdb_pack *);
ctdb_linear *ctdb_linear_new(const ctdb_ops *, int In, int Out, int workers);
void ctdb_linear_free(ctdb_linear *);

#endif
