// The GRU over any range of steps of one shard, forward and back. A whole sequence and a single bin of a closed loop are the same calls
// with other ranges and strides.

#define H_SLOT(p, s, k) ((REAL *)(s)->h + (size_t)((p)->inference ? (k) & 1 : (k)) * (s)->rp * (p)->Hp)
#define G_SLOT(p, s, k) ((REAL *)(s)->g + (size_t)((p)->inference ? 0 : (k)) * (s)->rp * (p)->Hp * 4)
#define X_SLOT(p, s, k) ((REAL *)(s)->x + (size_t)((p)->inference ? 0 : (k)) * (s)->rp * (p)->Iq)

static void FN(gru_pack)(ctdb_gru *p, const void *wih_, const void *whh_, const void *bih_, const void *bhh_, const void *wo_, const void *bo_)
{
	const REAL *wih = wih_, *whh = whh_, *bih = bih_, *bhh = bhh_, *wo = wo_, *bo = bo_;
	const int I = p->I, H = p->H, O = p->O, Hp = p->Hp, Ip = p->Ip;
	REAL *wh = p->wh, *wx = p->wx, *bias = p->bias, *ut = p->ut, *wxt = p->wxt;
	for (int u = 0; u < Hp; u++) {
		int blk = u / VL, l = u % VL;
		for (int q = 0; q < 3; q++) {
			for (int k = 0; k < H; k++) wh[((size_t)(blk * H + k) * 3 + q) * VL + l] = u < H ? whh[(size_t)(q * H + u) * H + k] : 0;
			for (int k = 0; k < I; k++) wx[((size_t)(blk * I + k) * 3 + q) * VL + l] = u < H ? wih[(size_t)(q * H + u) * I + k] : 0;
		}
		REAL bx[3] = {0}, bh[3] = {0};
		for (int q = 0; q < 3 && u < H; q++) {
			if (bih) bx[q] = bih[q * H + u];
			if (bhh) bh[q] = bhh[q * H + u];
		}
		REAL *b = bias + (size_t)blk * 4 * VL + l;
		b[0] = bx[0] + bh[0];
		b[VL] = bx[1] + bh[1];
		b[2 * VL] = bh[2];
		b[3 * VL] = bx[2];
	}
	if (!p->inference) {
		for (int u = 0; u < Hp; u++)
			for (int q = 0; q < 3; q++)
				for (int k = 0; k < Hp; k++)
					ut[((size_t)(u / VL) * 3 * Hp + q * Hp + k) * VL + u % VL] = u < H && k < H ? whh[(size_t)(q * H + k) * H + u] : 0;
		for (int i = 0; i < Ip; i++)
			for (int q = 0; q < 4; q++)
				for (int k = 0; k < Hp; k++) {
					int gate = q == 3 ? 2 : q;
					wxt[((size_t)(i / VL) * 4 * Hp + q * Hp + k) * VL + i % VL] = i < I && k < H && q != 2 ? wih[(size_t)(gate * H + k) * I + i] : 0;
				}
	}
	if (O) {
		REAL *pw = p->wo, *pb = p->bo, *pt = p->wob;
		for (int o = 0; o < p->Op; o++) {
			for (int k = 0; k < H; k++) pw[((size_t)(o / VL) * H + k) * VL + o % VL] = o < O ? wo[(size_t)o * H + k] : 0;
			pb[o] = o < O && bo ? bo[o] : 0;
		}
		for (int u = 0; u < Hp; u++)
			for (int o = 0; o < O; o++) pt[((size_t)(u / VL) * O + o) * VL + u % VL] = u < H ? wo[(size_t)o * H + u] : 0;
	}
}

// Adds sd * noise to the n valid units of each row. The noise of a row is explicit, or made here.
static void FN(add_noise)(ctdb_shard *s, int row0, uint64_t bin, int n, REAL *h, int ld, const REAL *nz, long nz_row, REAL sd, uint64_t key,
	const uint64_t *trials)
{
	for (int i = 0; i < s->rows; i++) {
		const REAL *e = s->nz;
		if (nz) e = nz + (row0 + i) * nz_row;
		else FN(normals_padded)(key, trials ? trials[row0 + i] : (uint64_t)(row0 + i), bin, n, s->nz);
		REAL *hi = h + (long)i * ld;
		_Pragma("GCC ivdep") for (int j = 0; j < n; j++) hi[j] += sd * e[j];
	}
}

static void FN(gru_begin)(ctdb_gru *p, int shard, int rows, const void *h0_, long h0_row, const void *nz, double sd, uint64_t key, const uint64_t *trials)
{
	ctdb_shard *s = p->sh + shard;
	int row0 = shard * CTDB_SHARD_ROWS;
	s->rows = rows;
	s->rp = (rows + MR - 1) / MR * MR;
	s->steps = 0;
	REAL *h = H_SLOT(p, s, 0);
	const REAL *h0 = h0_;
	__builtin_memset(h, 0, sizeof(REAL) * s->rp * p->Hp);
	if (h0) FN(scatter)(h0 + row0 * h0_row, h0_row, rows, p->H, h, p->Hp);
	if (sd != 0) FN(add_noise)(s, row0, 0, p->H, h, p->Hp, nz, p->H, (REAL)sd, key, trials);
}

// One tile of MR rows by one vector of units: both products stay in registers, the gates follow at once. The tape is not read again before the
// way back, so it is written past the caches: 3% of a step at 64 units. volatile keeps the compiler from spilling inside the loops.
INLINE void FN(gates_tile)(long H, long I, const REAL *hp, long ldh, const REAL *x, long ldx, const REAL *wh, const REAL *wx, const REAL *bias,
	const REAL *hu, REAL *out, REAL *g)
{
	v r[8], z[8], n[8], save[3][8], rec[8];
	v br = *(const v *)bias, bz = *(const v *)(bias + VL), bh = *(const v *)(bias + 2 * VL), bn = *(const v *)(bias + 3 * VL);
	_Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) r[i] = br, z[i] = bz, n[i] = bn;
	for (long k = 0; k < I; k++) {
		v w0 = *(const v *)(wx + k * 3 * VL), w1 = *(const v *)(wx + k * 3 * VL + VL), w2 = *(const v *)(wx + k * 3 * VL + 2 * VL);
		_Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {
			REAL a = x[i * ldx + k];
			r[i] += w0 * a;
			z[i] += w1 * a;
			n[i] += w2 * a;
		}
	}
	_Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) *(volatile v *)&save[2][i] = n[i], n[i] = bh;
	for (long k = 0; k < H; k++) {
		v w0 = *(const v *)(wh + k * 3 * VL), w1 = *(const v *)(wh + k * 3 * VL + VL), w2 = *(const v *)(wh + k * 3 * VL + 2 * VL);
		_Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {
			REAL a = hp[i * ldh + k];
			r[i] += w0 * a;
			z[i] += w1 * a;
			n[i] += w2 * a;
		}
	}
	_Pragma("GCC unroll 8") for (int i = 0; i < MR; i++) {
		*(volatile v *)&save[0][i] = r[i];
		*(volatile v *)&save[1][i] = z[i];
		*(volatile v *)&rec[i] = n[i];
	}
	_Pragma("GCC unroll 2") for (int i = 0; i < MR; i++) {
		v ri = FN(sigmoid)(save[0][i]), zi = FN(sigmoid)(save[1][i]);
		v ni = FN(vtanh)(save[2][i] + ri * rec[i]);
		v h = *(const v *)(hu + i * ldh);
		REAL *gi = g + i * 4 * VL;
		STREAM(gi, ri);
		STREAM(gi + VL, zi);
		STREAM(gi + 2 * VL, ni);
		STREAM(gi + 3 * VL, rec[i]);
		*(v *)(out + i * ldh) = ni + zi * (h - ni);
	}
}

static void FN(gru_forward)(ctdb_gru *p, int shard, int k0, int k1, const void *x_, long x_row, long x_bin, void *y_, long y_row, long y_bin,
	void *st_, void *cl_, long s_row, long s_bin, const void *nz_, double sd, uint64_t key, const uint64_t *trials)
{
	ctdb_shard *s = p->sh + shard;
	const int H = p->H, Hp = p->Hp, I = p->I, rp = s->rp, row0 = shard * CTDB_SHARD_ROWS;
	const REAL *x = x_, *nz = nz_;
	REAL *y = y_, *st = st_, *cl = cl_;
	for (int k = k0; k < k1; k++) {
		const int t = p->reverse ? p->T - 1 - k : k;
		REAL *hp = H_SLOT(p, s, k), *hn = H_SLOT(p, s, k + 1), *g = G_SLOT(p, s, k), *xs = X_SLOT(p, s, k);
		if (I) FN(gather)(x + row0 * x_row + t * x_bin, x_row, s->rows, I, xs, rp, p->Iq);
		for (int u = 0; u < Hp / VL; u++) {
			const REAL *wh = (REAL *)p->wh + (size_t)u * H * 3 * VL, *wx = (REAL *)p->wx + (size_t)u * I * 3 * VL;
			const REAL *bias = (REAL *)p->bias + (size_t)u * 4 * VL;
			for (int i = 0; i < rp; i += MR, g += MR * 4 * VL)
				FN(gates_tile)(H, I, hp + (long)i * Hp, Hp, xs + (long)i * p->Iq, p->Iq, wh, wx, bias, hp + (long)i * Hp + u * VL,
					hn + (long)i * Hp + u * VL, g);
		}
		if (cl) FN(scatter)(hn, Hp, s->rows, H, cl + row0 * s_row + t * s_bin, s_row);
		if (y) {
			REAL *ys = s->ys;
			for (int i = 0; i < rp; i++) __builtin_memcpy(ys + (long)i * p->Op, p->bo, p->Op * sizeof(REAL));
			FN(product_nn)(rp, p->Op / VL, H, hn, Hp, p->wo, ys, p->Op);
			FN(scatter)(ys, p->Op, s->rows, p->O, y + row0 * y_row + t * y_bin, y_row);
		}
		if (sd != 0) FN(add_noise)(s, row0, t, H, hn, Hp, nz ? nz + (long)t * H : 0, (long)p->T * H, (REAL)sd, key, trials);
		if (st) FN(scatter)(hn, Hp, s->rows, H, st + row0 * s_row + t * s_bin, s_row);
	}
	s->steps = k1;
	STREAM_FENCE();
}

static void FN(gru_final)(ctdb_gru *p, int shard, void *out, long row)
{
	ctdb_shard *s = p->sh + shard;
	FN(scatter)(H_SLOT(p, s, s->steps), p->Hp, s->rows, p->H, (REAL *)out + shard * CTDB_SHARD_ROWS * row, row);
}

static void FN(gru_begin_backward)(ctdb_gru *p, int shard, const void *fin, long row)
{
	ctdb_shard *s = p->sh + shard;
	const size_t Hp = p->Hp;
	__builtin_memset(s->dh, 0, sizeof(REAL) * s->rp * Hp);
	if (fin) FN(scatter)((const REAL *)fin + shard * CTDB_SHARD_ROWS * row, row, s->rows, p->H, s->dh, Hp);
	__builtin_memset(s->dU, 0, sizeof(REAL) * 3 * Hp * Hp);
	__builtin_memset(s->dW, 0, sizeof(REAL) * p->Iq * 4 * Hp);
	__builtin_memset(s->db, 0, sizeof(REAL) * 4 * Hp);
	__builtin_memset(s->dWo, 0, sizeof(REAL) * p->Oq * Hp);
	__builtin_memset(s->dbo, 0, sizeof(REAL) * p->Oq);
}

static void FN(column_sums)(const REAL *a, long rows, int n, REAL *sum)
{
	for (long i = 0; i < rows; i++)
		_Pragma("GCC ivdep") for (int j = 0; j < n; j++) sum[j] += a[i * n + j];
}

// Adds the products of the bins k to k+n-1, whose gate gradients stand in slots 0 to n-1, to the weights' gradients.
static void FN(gru_flush)(ctdb_gru *p, ctdb_shard *s, int k, int n, int with_y, int noisy)
{
	const int Hp = p->Hp, nv = Hp / VL;
	const long K = (long)n * s->rp;
	REAL *dg = s->dg, *dW = s->dW;
	FN(product_tn)(3 * Hp, nv, K, dg, 4 * Hp, H_SLOT(p, s, k), Hp, s->dU, Hp);
	if (p->I) {
		FN(product_tn)(p->Iq, 2 * nv, K, X_SLOT(p, s, k), p->Iq, dg, 4 * Hp, dW, 4 * Hp);
		FN(product_tn)(p->Iq, nv, K, X_SLOT(p, s, k), p->Iq, dg + 3 * Hp, 4 * Hp, dW + 3 * Hp, 4 * Hp);
	}
	FN(column_sums)(dg, K, 4 * Hp, s->db);
	if (with_y) {
		FN(product_tn)(p->Oq, nv, K, s->dy, p->Oq, noisy ? (REAL *)s->cl : H_SLOT(p, s, k + 1), Hp, s->dWo, Hp);
		FN(column_sums)(s->dy, K, p->Oq, s->dbo);
	}
}

// From the gradient of the clean state in dh to those before the gates in dg; dh keeps the part that goes straight to the previous state.
static void FN(gates_back)(int rp, int Hp, const REAL *hp, const REAL *g, REAL *dh, REAL *dg, REAL *cl)
{
	for (int u = 0; u < Hp; u += VL)
		for (int i = 0; i < rp; i++, g += 4 * VL) {
			v r = *(const v *)g, z = *(const v *)(g + VL), n = *(const v *)(g + 2 * VL), hn = *(const v *)(g + 3 * VL);
			v *d = (v *)(dh + (long)i * Hp + u), d0 = *d, diff = *(const v *)(hp + (long)i * Hp + u) - n;
			v zc = (REAL)1 - z, dn = d0 * zc * ((REAL)1 - n * n), drec = dn * r;
			REAL *o = dg + (long)i * 4 * Hp + u;
			*(v *)o = drec * hn * ((REAL)1 - r);
			*(v *)(o + Hp) = d0 * diff * z * zc;
			*(v *)(o + 2 * Hp) = drec;
			*(v *)(o + 3 * Hp) = dn;
			*d = d0 * z;
			if (cl) *(v *)(cl + (long)i * Hp + u) = n + z * diff;
		}
}

static void FN(gru_backward)(ctdb_gru *p, int shard, int k0, int k1, const void *y_, long y_row, long y_bin, const void *st_, const void *cl_,
	long s_row, long s_bin, int noisy, void *dx_, long x_row, long x_bin)
{
	ctdb_shard *s = p->sh + shard;
	const int H = p->H, Hp = p->Hp, rp = s->rp, row0 = shard * CTDB_SHARD_ROWS;
	const REAL *y = y_, *st = st_, *cl = cl_;
	REAL *dx = dx_, *dh = s->dh;
	for (int k = k1 - 1; k >= k0; k--) {
		const int t = p->reverse ? p->T - 1 - k : k, slot = k % CTDB_FLUSH;
		REAL *dg = (REAL *)s->dg + (size_t)slot * rp * 4 * Hp, *dy = (REAL *)s->dy + (size_t)slot * rp * p->Oq;
		REAL *clean = noisy && p->O ? (REAL *)s->cl + (size_t)slot * rp * Hp : 0;
		if (st) FN(add_rows)(st + row0 * s_row + t * s_bin, s_row, s->rows, H, dh, Hp);
		if (cl) FN(add_rows)(cl + row0 * s_row + t * s_bin, s_row, s->rows, H, dh, Hp);
		if (p->O) {
			FN(gather)(y ? y + row0 * y_row + t * y_bin : 0, y_row, y ? s->rows : 0, p->O, dy, rp, p->Oq);
			if (y) FN(product_nn)(rp, Hp / VL, p->O, dy, p->Oq, p->wob, dh, Hp);
		}
		FN(gates_back)(rp, Hp, H_SLOT(p, s, k), G_SLOT(p, s, k), dh, dg, clean);
		const char *next[4] = {0};
		if (k > 0) {
			next[0] = (const char *)G_SLOT(p, s, k - 1), next[1] = (const char *)G_SLOT(p, s, k);
			next[2] = (const char *)H_SLOT(p, s, k - 1), next[3] = (const char *)H_SLOT(p, s, k);
		}
		FN(product_ahead)(rp, Hp / VL, 3 * Hp, dg, 4 * Hp, p->ut, dh, Hp, next);
		if (dx && p->I) {
			REAL *dxs = s->dxs;
			__builtin_memset(dxs, 0, sizeof(REAL) * rp * p->Ip);
			FN(product_nn)(rp, p->Ip / VL, 4 * Hp, dg, 4 * Hp, p->wxt, dxs, p->Ip);
			FN(scatter)(dxs, p->Ip, s->rows, p->I, dx + row0 * x_row + t * x_bin, x_row);
		}
		if (slot == 0) {
			int n = s->steps - k < CTDB_FLUSH ? s->steps - k : CTDB_FLUSH;
			FN(gru_flush)(p, s, k, n, p->O > 0, noisy);
		}
	}
}

static void FN(put)(REAL *dst, REAL value, int add) { *dst = add ? *dst + value : value; }

static void FN(gru_gradients)(ctdb_gru *p, int shard, void *wih_, void *whh_, void *bih_, void *bhh_, void *wo_, void *bo_, void *h0_, int shared, int add)
{
	ctdb_shard *s = p->sh + shard;
	REAL *wih = wih_, *whh = whh_, *bih = bih_, *bhh = bhh_, *wo = wo_, *bo = bo_, *h0 = h0_;
	const REAL *dU = s->dU, *dW = s->dW, *db = s->db, *dWo = s->dWo, *dbo = s->dbo, *dh = s->dh;
	const int I = p->I, H = p->H, O = p->O, Hp = p->Hp;
	for (int q = 0; q < 3; q++)
		for (int j = 0; j < H; j++) {
			int in = (q == 2 ? 3 : q) * Hp + j, row = q * H + j;
			for (int i = 0; whh && i < H; i++) FN(put)(whh + (long)row * H + i, dU[(long)(q * Hp + j) * Hp + i], add);
			for (int i = 0; wih && i < I; i++) FN(put)(wih + (long)row * I + i, dW[(long)i * 4 * Hp + in], add);
			if (bih) FN(put)(bih + row, db[in], add);
			if (bhh) FN(put)(bhh + row, db[q * Hp + j], add);
		}
	for (int o = 0; o < O; o++) {
		for (int i = 0; wo && i < H; i++) FN(put)(wo + (long)o * H + i, dWo[(long)o * Hp + i], add);
		if (bo) FN(put)(bo + o, dbo[o], add);
	}
	if (!h0) return;
	if (!shared) {
		FN(scatter)(dh, Hp, s->rows, H, h0 + (long)shard * CTDB_SHARD_ROWS * H, H);
		return;
	}
	for (int j = 0; j < H; j++) {
		REAL sum = 0;
		for (int i = 0; i < s->rows; i++) sum += dh[(long)i * Hp + j];
		FN(put)(h0 + j, sum, add);
	}
}
