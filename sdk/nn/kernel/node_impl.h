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
		for (int o = 0; o < outp; o++) pt[((size_t)(k / VL) * outp + o) * VL + k % VL] = k < in && o < out ? w[(size_t)o * ld + k] : 0;
	for (int k = 0; l == 0 && k < p->Ip; k++)
		for (int o = 0; o < outp; o++) pxt[((size_t)(k / VL) * outp + o) * VL + k % VL] = k < I && o < out ? w[(size_t)o * ld + in + k] : 0;
}

// y += a x over n numbers, a multiple of a vector.
INLINE void FN(add_scaled)(long n, REAL a, const REAL *x, REAL *y)
{
	for (long i = 0; i < n; i += VL) *(v *)(y + i) += a * *(const v *)(x + i);
}

// f at the state of stage st of step k, into f.
static void FN(node_field)(ctdb_seq *p, ctdb_shard *s, int k, int st, REAL *f)
{
	const int L = p->s.layers, rp = s->rp, W = p->s.width;
	for (int l = 0; l < L; l++) {
		const int n = FN(layer_out)(p, l);
		REAL *y = l < L - 1 ? ACT_SLOT(p, s, l, k, st) : f;
		for (int i = 0; i < rp; i++) __builtin_memcpy(y + (long)i * n, p->lb[l], n * sizeof(REAL));
		if (l == 0) {
			if (p->s.I) FN(product_nn)(rp, n / VL, p->s.I, X_SLOT(p, s, k), p->Iq, p->lx, y, n);
			FN(product_nn)(rp, n / VL, p->s.H, HS_SLOT(p, s, k, st), p->Hp, p->lw[0], y, n);
		} else {
			FN(product_nn)(rp, n / VL, W, ACT_SLOT(p, s, l - 1, k, st), p->Wp, p->lw[l], y, n);
		}
		if (l == L - 1) return;
		if (p->s.tanh_net)
			for (long i = 0; i < (long)rp * n; i += VL) *(v *)(y + i) = FN(vtanh)(*(v *)(y + i));
		else
			for (long i = 0; i < (long)rp * n; i += VL) *(v *)(y + i) = FN(relu)(*(v *)(y + i));
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
		const int n = FN(layer_out)(p, l), m = l ? p->Wp : p->Hp;
		REAL *dz = (REAL *)s->dz[l] + ((size_t)slot * stages + st) * rp * n, *to = l ? s->da : s->dhs;
		if (l == L - 1) {
			__builtin_memcpy(dz, df, sizeof(REAL) * rp * n);
		} else {
			const REAL *a = ACT_SLOT(p, s, l, k, st), *da = s->da;
			if (p->s.tanh_net)
				for (long i = 0; i < (long)rp * n; i += VL) {
					v f = *(const v *)(a + i);
					*(v *)(dz + i) = *(const v *)(da + i) * ((REAL)1 - f * f);
				}
			else
				for (long i = 0; i < (long)rp * n; i += VL) *(v *)(dz + i) = pick((vi)(*(const v *)(a + i) > splat(0)), *(const v *)(da + i), splat(0));
		}
		__builtin_memset(to, 0, sizeof(REAL) * rp * m);
		FN(product_nn)(rp, m / VL, n, dz, n, p->lwt[l], to, m);
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

static void FN(column_sums)(const REAL *a, long rows, int n, REAL *sum);

static void FN(node_flush)(ctdb_seq *p, ctdb_shard *s, int k, int n)
{
	const int L = p->s.layers, stages = p->s.stages * p->s.substeps, out0 = FN(layer_out)(p, 0);
	const long K = (long)n * stages * s->rp;
	for (int l = 0; l < L; l++) {
		const int out = FN(layer_out)(p, l), in = l ? p->Wp : p->Hp;
		FN(product_tn)(out, in / VL, K, s->dz[l], out, l ? ACT_SLOT(p, s, l - 1, k, 0) : HS_SLOT(p, s, k, 0), in, s->dL[l], in);
		FN(column_sums)(s->dz[l], K, out, s->dLb[l]);
	}
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
		for (int i = 0; w && i < in; i++) FN(put)(w + (long)o * (in + I) + i, dL[(long)o * inp + i], add);
		for (int i = 0; w && i < I; i++) FN(put)(w + (long)o * (in + I) + in + i, dLx[(long)i * out0 + o], add);
		if (b) FN(put)(b + o, dLb[o], add);
	}
}
