// A recurrent sequence over any range of steps of one shard, forward and back, for every cell. A whole sequence and a single bin of a closed
// loop are the same calls with other ranges and strides.

// Which of a unit's gradients before the gates belongs to the recurrent weights of gate q, and which to its input weights. A gate whose two
// products do not just add up has one for each: the recurrent one first of all, so that those of either kind stand together.
INLINE int FN(recurrent_part)(const ctdb_seq *p, int q) { return p->s.cell == CTDB_GRU ? (q + 1) % 3 : q; }
INLINE int FN(input_part)(const ctdb_seq *p, int q) { return q + p->parts - p->gates; }

// The leaky cells are read out before they step, and take their noise before their function.
INLINE int FN(reads_before)(const ctdb_seq *p) { return p->s.cell == CTDB_LEAKY || p->s.cell == CTDB_LEAKY_COMPAT; }

static void FN(seq_pack)(ctdb_seq *p, const void *wih_, const void *whh_, const void *bih, const void *bhh, const void *wo_, const void *bo_)
{
	const REAL *wih = wih_, *whh = whh_, *wo = wo_, *bo = bo_;
	const int I = p->s.I, H = p->s.H, O = p->s.O, Hp = p->Hp, Ip = p->Ip, G = p->gates;
	REAL *ut = p->ut, *wxt = p->wxt;
	if (p->s.cell == CTDB_GRU) FN(gru_pack)(p, wih, whh, bih, bhh);
	else if (p->s.cell == CTDB_LOW_RANK) FN(low_rank_pack)(p, wih, whh, bih);
	else if (p->s.cell != CTDB_NODE) FN(pointwise_pack)(p, wih, whh, bih, bhh);
	if (!p->s.inference && p->s.cell != CTDB_NODE && p->s.cell != CTDB_LOW_RANK) {
		for (int u = 0; u < Hp; u++)
			for (int q = 0; q < G; q++)
				for (int k = 0; k < H; k++) ut[((size_t)(u / VL) * G * H + FN(recurrent_part)(p, q) * H + k) * VL + u % VL] = u < H ? whh[(size_t)(q * H + k) * H + u] : 0;
		__builtin_memset(wxt, 0, sizeof(REAL) * Ip * G * Hp);
		for (int i = 0; i < I; i++)
			for (int q = 0; q < G; q++)
				for (int k = 0; k < H; k++)
					wxt[((size_t)(i / VL) * G * Hp + q * Hp + k) * VL + i % VL] = wih[(size_t)(q * H + k) * I + i];
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

// Copies the state of step k to where the segment that it begins keeps it, or back.
static void FN(seq_mark)(ctdb_seq *p, ctdb_shard *s, int k, int back)
{
	const size_t n = (size_t)s->rp * p->Hp, at = k / p->s.segment * n;
	const int two = p->s.cell == CTDB_LSTM || p->s.cell == CTDB_LOW_RANK;
	REAL *h = H_SLOT(p, s, k), *hm = (REAL *)s->hm + at;
	__builtin_memcpy(back ? h : hm, back ? hm : h, n * sizeof(REAL));
	if (!two) return;
	REAL *c = C_SLOT(p, s, k), *cm = (REAL *)s->cm + at;
	__builtin_memcpy(back ? c : cm, back ? cm : c, n * sizeof(REAL));
}

// Makes the tape begin at step k, that of a segment. Returns whether the segment's steps must be taken again.
static int FN(seq_replay)(ctdb_seq *p, int shard, int k)
{
	ctdb_shard *s = p->sh + shard;
	if (s->base == k) return 0;
	s->base = k;
	FN(seq_mark)(p, s, k, 1);
	return 1;
}

static void FN(seq_begin)(ctdb_seq *p, int shard, int rows, const void *h0_, long h0_row, const void *nz, double sd, uint64_t key, const uint64_t *trials)
{
	ctdb_shard *s = p->sh + shard;
	const int row0 = shard * p->s.rows, H = p->s.H;
	s->rows = rows;
	s->rp = (rows + MR - 1) / MR * MR;
	s->steps = s->base = s->failed = 0;
	REAL *h = H_SLOT(p, s, 0);
	const REAL *h0 = h0_;
	__builtin_memset(h, 0, sizeof(REAL) * s->rp * p->Hp);
	if (h0) FN(scatter)(h0 + row0 * h0_row, h0_row, rows, H, h, p->Hp);
	if (p->s.cell == CTDB_LSTM) {
		__builtin_memset(C_SLOT(p, s, 0), 0, sizeof(REAL) * s->rp * p->Hp);
		if (h0) FN(scatter)(h0 + row0 * h0_row + H, h0_row, rows, H, C_SLOT(p, s, 0), p->Hp);
	}
	if (sd != 0) FN(add_noise)(s, row0, 0, H, h, p->Hp, nz, H, (REAL)sd, key, trials);
	if (p->s.cell == CTDB_LOW_RANK) FN(low_rank_units)(p, s, 0);
	if (p->s.segment) FN(seq_mark)(p, s, 0, 0);
}

static void FN(seq_forward)(ctdb_seq *p, int shard, int k0, int k1, const void *x_, long x_row, long x_bin, void *y_, long y_row, long y_bin,
	void *st_, void *cl_, long s_row, long s_bin, const void *nz_, double sd, uint64_t key, const uint64_t *trials)
{
	ctdb_shard *s = p->sh + shard;
	const int T = p->s.T, H = p->s.H, Hp = p->Hp, I = p->s.I, rp = s->rp, row0 = shard * p->s.rows, before = FN(reads_before)(p);
	const int low = p->s.cell == CTDB_LOW_RANK;
	const REAL *x = x_, *nz = nz_;
	REAL *y = y_, *st = st_, *cl = cl_;
	for (int k = k0; k < k1; k++) {
		const int t = p->s.reverse ? T - 1 - k : k;
		if (p->s.segment && k % p->s.segment == 0 && k != s->base) {
			FN(seq_mark)(p, s, k, 0);
			FN(seq_replay)(p, shard, k);
		}
		REAL *hn = H_SLOT(p, s, k + 1), *read = before ? H_SLOT(p, s, k) : low ? C_SLOT(p, s, k + 1) : hn;
		const REAL *nzt = nz ? nz + (long)t * H : 0;
		if (I) FN(gather)(x + row0 * x_row + t * x_bin, x_row, s->rows, I, X_SLOT(p, s, k), rp, p->Iq);
		if (p->s.cell == CTDB_GRU) {
			FN(gru_advance)(p, s, k);
		} else if (p->s.cell == CTDB_NODE) {
			if (p->s.adaptive) FN(dp_advance)(p, s, k);
			else FN(node_advance)(p, s, k);
			if (s->failed) return;
		} else if (low) {
			FN(low_rank_products)(p, s, k);
			if (sd != 0) FN(add_noise)(s, row0, t, H, s->pre, Hp, nzt, (long)T * H, (REAL)sd, key, trials);
			FN(low_rank_advance)(p, s, k);
		} else {
			FN(pointwise_products)(p, s, k);
			if (before && sd != 0) FN(add_noise)(s, row0, t, H, s->pre, p->gates * Hp, nzt, (long)T * H, (REAL)sd, key, trials);
			FN(pointwise_advance)(p, s, k);
		}
		if (cl) FN(scatter)(read, Hp, s->rows, H, cl + row0 * s_row + t * s_bin, s_row);
		if (y) {
			REAL *ys = s->ys;
			FN(product_from)(rp, p->Op / VL, H, read, Hp, p->wo, p->bo, 0, ys, p->Op);
			FN(scatter)(ys, p->Op, s->rows, p->s.O, y + row0 * y_row + t * y_bin, y_row);
		}
		if (!before && !low && sd != 0) FN(add_noise)(s, row0, t, H, hn, Hp, nzt, (long)T * H, (REAL)sd, key, trials);
		if (st) FN(scatter)(hn, Hp, s->rows, H, st + row0 * s_row + t * s_bin, s_row);
	}
	s->steps = k1;
	STREAM_FENCE();
}

static void FN(seq_final)(ctdb_seq *p, int shard, void *out_, long row)
{
	ctdb_shard *s = p->sh + shard;
	REAL *out = (REAL *)out_ + shard * p->s.rows * row;
	FN(scatter)(H_SLOT(p, s, s->steps), p->Hp, s->rows, p->s.H, out, row);
	if (p->s.cell == CTDB_LSTM) FN(scatter)(C_SLOT(p, s, s->steps), p->Hp, s->rows, p->s.H, out + p->s.H, row);
}

static void FN(seq_begin_backward)(ctdb_seq *p, int shard, const void *fin_, long row)
{
	ctdb_shard *s = p->sh + shard;
	const REAL *fin = fin_ ? (const REAL *)fin_ + shard * p->s.rows * row : 0;
	const size_t Hp = p->Hp, G = p->gates, P = p->parts;
	__builtin_memset(s->dh, 0, sizeof(REAL) * s->rp * Hp);
	if (fin) FN(scatter)(fin, row, s->rows, p->s.H, s->dh, Hp);
	if (p->s.cell == CTDB_LSTM) {
		__builtin_memset(s->dc, 0, sizeof(REAL) * s->rp * Hp);
		if (fin) FN(scatter)(fin + p->s.H, row, s->rows, p->s.H, s->dc, Hp);
	}
	if (p->s.cell == CTDB_LOW_RANK) FN(low_rank_clear)(p, s);
	if (p->s.cell != CTDB_LOW_RANK || p->s.full) __builtin_memset(s->dU, 0, sizeof(REAL) * G * Hp * Hp);
	__builtin_memset(s->dW, 0, sizeof(REAL) * p->Iq * G * Hp);
	__builtin_memset(s->db, 0, sizeof(REAL) * P * Hp);
	__builtin_memset(s->dWo, 0, sizeof(REAL) * p->Oq * Hp);
	__builtin_memset(s->dbo, 0, sizeof(REAL) * p->Oq);
	if (p->s.cell == CTDB_NODE) FN(node_clear)(p, s);
	s->failed = 0;
}

// Forgets the cotangent of the state that the bins gone back over began with.
static void FN(seq_cut)(ctdb_seq *p, int shard)
{
	ctdb_shard *s = p->sh + shard;
	__builtin_memset(s->dh, 0, sizeof(REAL) * s->rp * p->Hp);
	if (p->s.cell == CTDB_LSTM) __builtin_memset(s->dc, 0, sizeof(REAL) * s->rp * p->Hp);
}

static void FN(column_sums)(const REAL *a, long rows, int n, REAL *sum)
{
	for (long i = 0; i < rows; i++)
		_Pragma("GCC ivdep") for (int j = 0; j < n; j++) sum[j] += a[i * n + j];
}

// Adds the products of the bins k to k+n-1, whose gate gradients stand in slots 0 to n-1, to the weights' gradients.
static void FN(seq_flush)(ctdb_seq *p, ctdb_shard *s, int k, int n, int with_y, const REAL *clean)
{
	const int Hp = p->Hp, nv = Hp / VL, G = p->gates, P = p->parts;
	const long K = (long)n * s->rp;
	REAL *dg = s->dg, *dW = s->dW;
	if (p->s.cell == CTDB_NODE) {
		if (p->s.adaptive) FN(dp_flush)(p, s, k, n);
		else FN(node_flush)(p, s, k, n);
	} else if (p->s.cell == CTDB_LOW_RANK) {
		FN(low_rank_flush)(p, s, k, n);
	} else {
		FN(product_tn)((p->s.H + 3) / 4 * 4, G * nv, K, H_SLOT(p, s, k), Hp, dg, P * Hp, s->dU, G * Hp);
		if (p->s.I) FN(product_tn)(p->Iq, G * nv, K, X_SLOT(p, s, k), p->Iq, dg + (P - G) * Hp, P * Hp, dW, G * Hp);
		FN(column_sums)(dg, K, P * Hp, s->db);
	}
	if (with_y) {
		const REAL *read = clean ? clean : p->s.cell == CTDB_LOW_RANK ? C_SLOT(p, s, k + 1) : H_SLOT(p, s, FN(reads_before)(p) ? k : k + 1);
		FN(product_tn)(p->Oq, nv, K, s->dy, p->Oq, read, Hp, s->dWo, Hp);
		FN(column_sums)(s->dy, K, p->Oq, s->dbo);
	}
}

static void FN(seq_backward)(ctdb_seq *p, int shard, int k0, int k1, const void *y_, long y_row, long y_bin, const void *st_, const void *cl_,
	long s_row, long s_bin, int noisy, void *dx_, long x_row, long x_bin)
{
	ctdb_shard *s = p->sh + shard;
	const int H = p->s.H, Hp = p->Hp, O = p->s.O, P = p->parts, rp = s->rp, row0 = shard * p->s.rows, before = FN(reads_before)(p);
	const int node = p->s.cell == CTDB_NODE, low = p->s.cell == CTDB_LOW_RANK, keep = noisy && O && !before && !low;
	const REAL *y = y_, *st = st_, *cl = cl_;
	REAL *dx = dx_, *dh = s->dh, *to = low ? s->df : dh; // where the cotangents of what is read out belong
	for (int k = k1 - 1; k >= k0; k--) {
		const int t = p->s.reverse ? p->s.T - 1 - k : k, slot = k % p->flush;
		REAL *dg = (REAL *)s->dg + (size_t)slot * rp * P * Hp, *dy = (REAL *)s->dy + (size_t)slot * rp * p->Oq;
		REAL *clean = keep ? (REAL *)s->cl + (size_t)slot * rp * Hp : 0;
		if (st) FN(add_rows)(st + row0 * s_row + t * s_bin, s_row, s->rows, H, dh, Hp);
		if (low) __builtin_memset(to, 0, sizeof(REAL) * rp * Hp);
		for (int late = 0; late < 2; late++) {
			// What is read out before the step gets its gradient after the step was taken back.
			if (late == before) {
				if (cl) FN(add_rows)(cl + row0 * s_row + t * s_bin, s_row, s->rows, H, to, Hp);
				if (O) {
					FN(gather)(y ? y + row0 * y_row + t * y_bin : 0, y_row, y ? s->rows : 0, O, dy, rp, p->Oq);
					if (y) FN(product_nn)(rp, Hp / VL, O, dy, p->Oq, p->wob, to, Hp);
				}
			}
			if (late) continue;
			if (p->s.cell == CTDB_GRU) FN(gru_retreat)(p, s, k, dg, clean);
			else if (node && p->s.adaptive) FN(dp_retreat)(p, s, k, slot, clean);
			else if (node) FN(node_retreat)(p, s, k, slot, clean);
			else if (low) FN(low_rank_retreat)(p, s, k, slot, dg);
			else FN(pointwise_retreat)(p, s, k, dg, clean);
		}
		if (dx && p->s.I) {
			REAL *dxs = s->dxs;
			const int G = p->gates, n = node ? FN(layer_out)(p, 0) : G * Hp;
			if (node) FN(product_from)(rp, p->Ip / VL, n, (REAL *)s->dz0 + (size_t)slot * rp * n, n, p->wxt, 0, 0, dxs, p->Ip);
			else FN(product_from)(rp, p->Ip / VL, n, dg + (P - G) * Hp, P * Hp, p->wxt, 0, 0, dxs, p->Ip);
			FN(scatter)(dxs, p->Ip, s->rows, p->s.I, dx + row0 * x_row + t * x_bin, x_row);
		}
		if (slot == 0) {
			int n = s->steps - k < p->flush ? s->steps - k : p->flush;
			FN(seq_flush)(p, s, k, n, O > 0, keep ? s->cl : 0);
		}
	}
}

static void FN(seq_gradients)(ctdb_seq *p, int shard, void *wih_, void *whh_, void *bih_, void *bhh_, void *wo_, void *bo_, void *h0_, int shared, int add)
{
	ctdb_shard *s = p->sh + shard;
	REAL *wih = wih_, *whh = whh_, *bih = bih_, *bhh = bhh_, *wo = wo_, *bo = bo_, *h0 = h0_;
	const REAL *dU = s->dU, *dW = s->dW, *db = s->db, *dWo = s->dWo, *dbo = s->dbo;
	const int I = p->s.I, H = p->s.H, O = p->s.O, Hp = p->Hp, G = p->gates, states = p->s.cell == CTDB_LSTM ? 2 : 1;
	for (int q = 0; q < G; q++)
		for (int j = 0; j < H; j++) {
			const int row = q * H + j, rec = FN(recurrent_part)(p, q) * Hp + j;
			for (int i = 0; whh && i < H; i++) FN(put)(whh + (long)row * H + i, dU[(long)i * G * Hp + rec], add);
			for (int i = 0; wih && i < I; i++) FN(put)(wih + (long)row * I + i, dW[(long)i * G * Hp + q * Hp + j], add);
			if (bih) FN(put)(bih + row, db[FN(input_part)(p, q) * Hp + j], add);
			if (bhh) FN(put)(bhh + row, db[rec], add);
		}
	for (int o = 0; o < O; o++) {
		for (int i = 0; wo && i < H; i++) FN(put)(wo + (long)o * H + i, dWo[(long)o * Hp + i], add);
		if (bo) FN(put)(bo + o, dbo[o], add);
	}
	for (int c = 0; h0 && c < states; c++) {
		const REAL *d = c ? s->dc : s->dh;
		if (!shared) {
			FN(scatter)(d, Hp, s->rows, H, h0 + ((long)shard * p->s.rows * states + c) * H, (long)states * H);
			continue;
		}
		for (int j = 0; j < H; j++) {
			REAL sum = 0;
			for (int i = 0; i < s->rows; i++) sum += d[(long)i * Hp + j];
			FN(put)(h0 + c * H + j, sum, add);
		}
	}
}
