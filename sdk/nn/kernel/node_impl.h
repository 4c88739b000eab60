// The cell h' = h + integral of f([h, x]) over a bin, f a chain of linear maps with rectified or tanh units between them (Chen et al. 2018), x held
// within the bin, by an explicit Runge-Kutta method of fixed step. Stages of all substeps are numbered through.

#define HS_SLOT(p, s, k, st) \
	((REAL *)(s)->hs + (TAPE_AT(p, s, k) * (p)->s.stages * (p)->s.substeps + (st)) * (s)->rp * (p)->Hp)
#define ACT_SLOT(p, s, l, k, st) \
	((REAL *)(s)->act[l] + (TAPE_AT(p, s, k) * (p)->s.stages * (p)->s.substeps + (st)) * (s)->rp * (p)->Wp)

INLINE int FN(layer_out)(const ctdb_seq *p, int l) { return l < p->s.layers - 1 ? p->Wp : p->Hp; }

// w (Out, In) row-major in PyTorch's order, of the first map the columns of h before those of x.
static void FN(seq_pack_layer)(ctdb_seq *p, int l, const void *w_, const void *b_)
{
	const ctdb_shape *s = &p->s;
	const REAL *w = w_, *b = b_;
	const int out = l < s->layers - 1 ? s->width : s->H, in = l ? s->width : s->H, I = l ? 0 : s->I, ld = in + I;
	const int outp = FN(layer_out)(p, l), inp = l ? p->Wp : p->Hp;
	REAL *pw = p->lw[l], *px = p->lx, *pb = p->lb[l], *pt = p->lwt[l], *pxt = p->wxt;
	for (int o = 0; o < outp; o++) {
		for (int k = 0; k < in; k++) pw[((size_t)(o / VL) * in + k) * VL + o % VL] = o < out ? w[(size_t)o * ld + k] : 0;
		for (int k = 0; k < I; k++) px[((size_t)(o / VL) * I + k) * VL + o % VL] = o < out ? w[(size_t)o * ld + in + k] : 0;
		pb[o] = o < out && b ? b[o] : 0;
	}
	if (s->inference) return;
	for (int k = 0; k < inp; k++)
		for (int o = 0; o < out; o++) pt[((size_t)(k / VL) * out + o) * VL + k % VL] = k < in ? w[(size_t)o * ld + k] : 0;
	for (int k = 0; l == 0 && k < p->Ip; k++)
		for (int o = 0; o < outp; o++) pxt[((size_t)(k / VL) * outp + o) * VL + k % VL] = k < I && o < out ? w[(size_t)o * ld + in + k] : 0;
}

// y += a x over n numbers, a multiple of a vector.
INLINE void FN(add_scaled)(long n, REAL a, const REAL *x, REAL *y)
{
	for (long i = 0; i < n; i += VL) *(v *)(y + i) += a * *(const v *)(x + i);
}

static void FN(column_sums)(const REAL *a, long rows, int n, REAL *sum);

// y = the units of map l on M rows of its argument a and, of the first map, of the inputs x.
static void FN(map_forward)(const ctdb_seq *p, int l, long M, const REAL *x, const REAL *a, REAL *y)
{
	const int n = FN(layer_out)(p, l), rectified = l < p->s.layers - 1 && !p->s.tanh_net;
	const long K = l ? p->s.width : p->s.H, lda = l ? p->Wp : p->Hp;
	const REAL *c0 = p->lb[l], *w = p->lw[l];
	const char *none[4] = {0};
	long ld0 = 0;
	if (l == 0 && p->s.I) {
		FN(product_from)(M, n / VL, p->s.I, x, p->Iq, p->lx, c0, 0, y, n);
		c0 = y, ld0 = n;
	}
	if (rectified) FN(product_whole)(M, n / VL, 1, 0, K, a, lda, w, c0, ld0, y, n, CTDB_RECTIFIED, y, none);
	else FN(product_from)(M, n / VL, K, a, lda, w, c0, ld0, y, n);
	if (l < p->s.layers - 1 && p->s.tanh_net)
		for (long i = 0; i < M * n; i += VL) *(v *)(y + i) = FN(vtanh)(*(v *)(y + i));
}

// From the gradients dz of map l's results, M rows, to those before the units a of the map before it, or of the state where l is 0. next as for product_whole.
static void FN(map_backward)(const ctdb_seq *p, int l, long M, const REAL *dz, const REAL *a, REAL *to, const char *next[4])
{
	const int n = FN(layer_out)(p, l), m = l ? p->Wp : p->Hp, nvec = m / VL;
	const long K = l < p->s.layers - 1 ? p->s.width : p->s.H;
	const REAL *w = p->lwt[l];
	if (l == 0) FN(product_from)(M, nvec, K, dz, n, w, 0, 0, to, m);
	else if (p->s.tanh_net) FN(product_whole)(M, nvec, 1, 0, K, dz, n, w, 0, 0, to, m, CTDB_BEFORE_TANH, a, next);
	else FN(product_whole)(M, nvec, 1, 0, K, dz, n, w, 0, 0, to, m, CTDB_BEFORE_RELU, a, next);
}

// Adds the gradients of map l's weights from K rows of those of its results and of its argument. Those of the first map, whose argument is the state, are kept transposed: the
// state is often narrow.
static void FN(map_gradients)(const ctdb_seq *p, const ctdb_shard *s, int l, long K, const REAL *dz, const REAL *a)
{
	const int out = FN(layer_out)(p, l), in = l ? p->Wp : p->Hp, Hq = (p->s.H + 3) / 4 * 4;
	if (l == 0) FN(product_tn)(Hq, out / VL, K, a, in, dz, out, s->dL[0], out);
	else FN(product_tn)(l < p->s.layers - 1 ? out : Hq, in / VL, K, dz, out, a, in, s->dL[l], in);
	FN(column_sums)(dz, K, out, s->dLb[l]);
}

// f at the state of stage st of step k, into f.
static void FN(node_field)(ctdb_seq *p, ctdb_shard *s, int k, int st, REAL *f)
{
	const int L = p->s.layers, rp = s->rp;
	for (int l = 0; l < L; l++) {
		REAL *y = l < L - 1 ? ACT_SLOT(p, s, l, k, st) : f;
		FN(map_forward)(p, l, rp, X_SLOT(p, s, k), l ? ACT_SLOT(p, s, l - 1, k, st) : HS_SLOT(p, s, k, st), y);
	}
}

// The classical method's stages: where each begins, as a part of the step along the stage before, and how much it counts.
static const REAL T_(rk_at)[4] = {0, (REAL)0.5, (REAL)0.5, 1}, T_(rk_weight)[4] = {(REAL)(1 / 6.0), (REAL)(1 / 3.0), (REAL)(1 / 3.0), (REAL)(1 / 6.0)};

static void FN(node_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const int S = p->s.stages;
	const long n = (long)s->rp * p->Hp;
	const REAL dt = (REAL)(p->s.dt / p->s.substeps);
	const REAL *from = H_SLOT(p, s, k);
	REAL *hn = H_SLOT(p, s, k + 1), *ks = s->ks;
	for (int sub = 0; sub < p->s.substeps; sub++) {
		// Of every substep but the first the state stands in hn already.
		for (int st = 0; st < S; st++) {
			REAL *hs = HS_SLOT(p, s, k, sub * S + st);
			__builtin_memcpy(hs, sub ? hn : from, n * sizeof(REAL));
			if (st) FN(add_scaled)(n, T_(rk_at)[st] * dt, ks + (st - 1) * n, hs);
			FN(node_field)(p, s, k, sub * S + st, ks + st * n);
		}
		if (!sub) __builtin_memcpy(hn, from, n * sizeof(REAL));
		for (int st = 0; st < S; st++) FN(add_scaled)(n, S == 1 ? dt : dt * T_(rk_weight)[st], ks + st * n, hn);
	}
	// Noise may be added to hn, and the readout is of the state without it.
	__builtin_memcpy(G_SLOT(p, s, k), hn, n * sizeof(REAL));
}

// From the gradient df of f at stage st to that of the stage's state, in dhs; the gradients before each map's units are kept in their slot.
static void FN(node_field_back)(ctdb_seq *p, ctdb_shard *s, int k, int slot, int st, const REAL *df)
{
	const int L = p->s.layers, rp = s->rp, stages = p->s.stages * p->s.substeps;
	for (int l = L - 1; l >= 0; l--) {
		const size_t n = FN(layer_out)(p, l), at = (size_t)slot * stages + st;
		REAL *dz = (REAL *)s->dz[l] + at * rp * n;
		if (l == L - 1) __builtin_memcpy(dz, df, sizeof(REAL) * rp * n);
		const char *next[4] = {0};
		if (l == 0) {
			FN(map_backward)(p, 0, rp, dz, 0, s->dhs, next);
			continue;
		}
		// The units of the stage that comes next, those before it in memory, are fetched; those of the last hidden map with those of the first, as its own product is short.
		const REAL *a = ACT_SLOT(p, s, l - 1, k, st), *last = ACT_SLOT(p, s, L - 2, k, st);
		const size_t units = (size_t)rp * p->Wp;
		if (k > s->base || st) {
			next[0] = (const char *)(a - units), next[1] = (const char *)a;
			if (l == 1 && L > 2) next[2] = (const char *)(last - units), next[3] = (const char *)last;
		}
		FN(map_backward)(p, l, rp, dz, a, (REAL *)s->dz[l - 1] + at * units, next);
	}
	const long n = (long)rp * FN(layer_out)(p, 0);
	FN(add_scaled)(n, 1, (REAL *)s->dz[0] + ((size_t)slot * stages + st) * n, (REAL *)s->dz0 + slot * n);
}

static void FN(node_retreat)(ctdb_seq *p, ctdb_shard *s, int k, int slot, REAL *clean)
{
	const int S = p->s.stages;
	const long n = (long)s->rp * p->Hp;
	const REAL dt = (REAL)(p->s.dt / p->s.substeps);
	REAL *dh = s->dh, *dk = s->dks, *dhs = s->dhs;
	__builtin_memset((REAL *)s->dz0 + (size_t)slot * s->rp * FN(layer_out)(p, 0), 0, sizeof(REAL) * s->rp * FN(layer_out)(p, 0));
	if (clean) __builtin_memcpy(clean, G_SLOT(p, s, k), n * sizeof(REAL));
	for (int sub = p->s.substeps - 1; sub >= 0; sub--) {
		__builtin_memset(dk, 0, sizeof(REAL) * S * n);
		for (int st = 0; st < S; st++) FN(add_scaled)(n, S == 1 ? dt : dt * T_(rk_weight)[st], dh, dk + st * n);
		for (int st = S - 1; st >= 0; st--) {
			FN(node_field_back)(p, s, k, slot, sub * S + st, dk + st * n);
			if (st) FN(add_scaled)(n, T_(rk_at)[st] * dt, dhs, dk + (st - 1) * n);
			FN(add_scaled)(n, 1, dhs, dh);
		}
	}
}

static void FN(node_flush)(ctdb_seq *p, ctdb_shard *s, int k, int n)
{
	const int L = p->s.layers, stages = p->s.stages * p->s.substeps, out0 = FN(layer_out)(p, 0);
	const long K = (long)n * stages * s->rp;
	for (int l = 0; l < L; l++) FN(map_gradients)(p, s, l, K, s->dz[l], l ? ACT_SLOT(p, s, l - 1, k, 0) : HS_SLOT(p, s, k, 0));
	if (p->s.I) FN(product_tn)(p->Iq, out0 / VL, (long)n * s->rp, X_SLOT(p, s, k), p->Iq, s->dz0, out0, s->dLx, out0);
}

static void FN(node_clear)(ctdb_seq *p, ctdb_shard *s)
{
	for (int l = 0; l < p->s.layers; l++) {
		const size_t out = FN(layer_out)(p, l), in = l ? p->Wp : p->Hp;
		__builtin_memset(s->dL[l], 0, sizeof(REAL) * out * in);
		__builtin_memset(s->dLb[l], 0, sizeof(REAL) * out);
	}
	__builtin_memset(s->dLx, 0, sizeof(REAL) * p->Iq * FN(layer_out)(p, 0));
}

static void FN(put)(REAL *dst, REAL value, int add) { *dst = add ? *dst + value : value; }

static void FN(seq_layer_gradients)(ctdb_seq *p, int shard, int l, void *w_, void *b_, int add)
{
	const ctdb_shape *q = &p->s;
	const ctdb_shard *s = p->sh + shard;
	const int out = l < q->layers - 1 ? q->width : q->H, in = l ? q->width : q->H, I = l ? 0 : q->I, inp = l ? p->Wp : p->Hp, out0 = FN(layer_out)(p, 0);
	const REAL *dL = s->dL[l], *dLb = s->dLb[l], *dLx = s->dLx;
	REAL *w = w_, *b = b_;
	for (int o = 0; o < out; o++) {
		for (int i = 0; w && i < in; i++) FN(put)(w + (long)o * (in + I) + i, l ? dL[(long)o * inp + i] : dL[(long)i * out0 + o], add);
		for (int i = 0; w && i < I; i++) FN(put)(w + (long)o * (in + I) + in + i, dLx[(long)i * out0 + o], add);
		if (b) FN(put)(b + o, dLb[o], add);
	}
}
