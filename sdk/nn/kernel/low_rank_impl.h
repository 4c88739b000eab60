// The leaky network of tanh units whose connectivity has a low rank (Mastrogiuseppe & Ostojic 2018), with f = tanh(h):
// h' = (1-gamma) h + gamma (m (n f) / H + U f + W x + b + noise). The units' activities f stand where an LSTM has its second state, so the tanh is taken once.

#define Z_SLOT(p, s, k) ((REAL *)(s)->z + TAPE_AT(p, s, k) * (s)->rp * (p)->Wp)

// Map 0 is n (R, H), map 1 is m (H, R), which takes the 1/H.
static void FN(low_rank_pack_map)(ctdb_seq *p, int l, const REAL *w)
{
	const int out = l ? p->s.H : p->s.width, in = l ? p->s.width : p->s.H, outp = l ? p->Hp : p->Wp, inp = l ? p->Wp : p->Hp;
	const REAL scale = l ? (REAL)(1.0 / p->s.H) : 1;
	REAL *pw = p->lw[l], *pt = p->lwt[l];
	for (int o = 0; o < outp; o++)
		for (int k = 0; k < in; k++) pw[((size_t)(o / VL) * in + k) * VL + o % VL] = o < out ? scale * w[(size_t)o * in + k] : 0;
	if (p->s.inference) return;
	for (int k = 0; k < inp; k++)
		for (int o = 0; o < out; o++) pt[((size_t)(k / VL) * out + o) * VL + k % VL] = k < in ? scale * w[(size_t)o * in + k] : 0;
}

static void FN(pack_layer)(ctdb_seq *p, int l, const void *w, const void *b)
{
	if (p->s.cell == CTDB_LOW_RANK) FN(low_rank_pack_map)(p, l, w);
	else FN(seq_pack_layer)(p, l, w, b);
}

static void FN(low_rank_pack)(ctdb_seq *p, const REAL *wih, const REAL *whh, const REAL *bih)
{
	const int I = p->s.I, H = p->s.H, Hp = p->Hp, train = !p->s.inference;
	REAL *wh = p->wh, *wx = p->wx, *bias = p->bias, *ut = p->ut, *wxt = p->wxt;
	for (int u = 0; u < Hp; u++) {
		for (int k = 0; k < I; k++) wx[((size_t)(u / VL) * I + k) * VL + u % VL] = u < H ? wih[(size_t)u * I + k] : 0;
		bias[u] = u < H && bih ? bih[u] : 0;
		if (!p->s.full) continue;
		for (int k = 0; k < H; k++) wh[((size_t)(u / VL) * H + k) * VL + u % VL] = u < H ? whh[(size_t)u * H + k] : 0;
		for (int k = 0; train && k < Hp; k++) ut[((size_t)(u / VL) * Hp + k) * VL + u % VL] = u < H && k < H ? whh[(size_t)k * H + u] : 0;
	}
	for (int i = 0; train && i < p->Ip; i++)
		for (int k = 0; k < Hp; k++) wxt[((size_t)(i / VL) * Hp + k) * VL + i % VL] = i < I && k < H ? wih[(size_t)k * I + i] : 0;
}

// f of the states before step k.
static void FN(low_rank_units)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const REAL *h = H_SLOT(p, s, k);
	REAL *f = C_SLOT(p, s, k);
	for (long i = 0; i < (long)s->rp * p->Hp; i += VL) *(v *)(f + i) = FN(vtanh)(*(const v *)(h + i));
}

static void FN(low_rank_products)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const int H = p->s.H, Hp = p->Hp, Wp = p->Wp, rp = s->rp;
	const REAL *f = C_SLOT(p, s, k);
	REAL *pre = s->pre, *z = Z_SLOT(p, s, k);
	FN(product_from)(rp, Wp / VL, H, f, Hp, p->lw[0], 0, 0, z, Wp);
	FN(product_from)(rp, Hp / VL, p->s.I, X_SLOT(p, s, k), p->Iq, p->wx, p->bias, 0, pre, Hp);
	FN(product_nn)(rp, Hp / VL, p->s.width, z, Wp, p->lw[1], pre, Hp);
	if (p->s.full) FN(product_nn)(rp, Hp / VL, H, f, Hp, p->wh, pre, Hp);
}

static void FN(low_rank_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const REAL *h = H_SLOT(p, s, k), *pre = s->pre, leak = (REAL)(1 - p->s.gamma), gain = (REAL)p->s.gamma;
	REAL *hn = H_SLOT(p, s, k + 1);
	for (long i = 0; i < (long)s->rp * p->Hp; i += VL) *(v *)(hn + i) = leak * *(const v *)(h + i) + gain * *(const v *)(pre + i);
	FN(low_rank_units)(p, s, k + 1);
}

// dh += (1 - f^2) df
static void FN(low_rank_join)(long n, const REAL *f, const REAL *df, REAL *dh)
{
	for (long i = 0; i < n; i += VL) {
		v a = *(const v *)(f + i);
		*(v *)(dh + i) += *(const v *)(df + i) * ((REAL)1 - a * a);
	}
}

// dh holds the gradient of the state after step k, df what its units' own cotangents are.
static void FN(low_rank_retreat)(ctdb_seq *p, ctdb_shard *s, int k, int slot, REAL *dg)
{
	const int H = p->s.H, Hp = p->Hp, Wp = p->Wp, rp = s->rp;
	const long n = (long)rp * Hp;
	const REAL leak = (REAL)(1 - p->s.gamma), gain = (REAL)p->s.gamma;
	REAL *dh = s->dh, *df = s->df, *dz = (REAL *)s->dzs + (size_t)slot * rp * Wp;
	FN(low_rank_join)(n, C_SLOT(p, s, k + 1), df, dh);
	for (long i = 0; i < n; i += VL) {
		v d = *(const v *)(dh + i);
		*(v *)(dg + i) = gain * d;
		*(v *)(dh + i) = leak * d;
	}
	FN(product_from)(rp, Wp / VL, H, dg, Hp, p->lwt[1], 0, 0, dz, Wp);
	FN(product_from)(rp, Hp / VL, p->s.width, dz, Wp, p->lwt[0], 0, 0, df, Hp);
	if (p->s.full) FN(product_nn)(rp, Hp / VL, Hp, dg, Hp, p->ut, df, Hp);
	FN(low_rank_join)(n, C_SLOT(p, s, k), df, dh);
}

static void FN(column_sums)(const REAL *a, long rows, int n, REAL *sum);

static void FN(low_rank_flush)(ctdb_seq *p, ctdb_shard *s, int k, int n)
{
	const int Hp = p->Hp, Wp = p->Wp, nv = Hp / VL;
	const long K = (long)n * s->rp;
	const REAL *f = C_SLOT(p, s, k), *dg = s->dg;
	FN(product_tn)(Wp, nv, K, s->dzs, Wp, f, Hp, s->dL[0], Hp);
	FN(product_tn)(Hp, Wp / VL, K, dg, Hp, Z_SLOT(p, s, k), Wp, s->dL[1], Wp);
	if (p->s.full) FN(product_tn)(Hp, nv, K, f, Hp, dg, Hp, s->dU, Hp);
	if (p->s.I) FN(product_tn)(p->Iq, nv, K, X_SLOT(p, s, k), p->Iq, dg, Hp, s->dW, Hp);
	FN(column_sums)(dg, K, Hp, s->db);
}

static void FN(low_rank_clear)(ctdb_seq *p, ctdb_shard *s)
{
	for (int l = 0; l < 2; l++) __builtin_memset(s->dL[l], 0, sizeof(REAL) * p->Wp * p->Hp);
}

static void FN(layer_gradients)(ctdb_seq *p, int shard, int l, void *w_, void *b, int add)
{
	if (p->s.cell != CTDB_LOW_RANK) {
		FN(seq_layer_gradients)(p, shard, l, w_, b, add);
		return;
	}
	const int out = l ? p->s.H : p->s.width, in = l ? p->s.width : p->s.H, inp = l ? p->Wp : p->Hp;
	const REAL scale = l ? (REAL)(1.0 / p->s.H) : 1, *d = p->sh[shard].dL[l];
	REAL *w = w_;
	for (int o = 0; w && o < out; o++)
		for (int i = 0; i < in; i++) FN(put)(w + (long)o * in + i, scale * d[(long)o * inp + i], add);
}
