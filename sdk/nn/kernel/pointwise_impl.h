// Cells whose gates are functions of a unit's own products: tanh, rectified and linear units, the leaky forms, the LSTM.

static void FN(pointwise_pack)(ctdb_seq *p, const REAL *wih, const REAL *whh, const REAL *bih, const REAL *bhh)
{
	const int I = p->s.I, H = p->s.H, Hp = p->Hp;
	REAL *wh = p->wh, *wx = p->wx, *bias = p->bias;
	for (int q = 0; q < p->gates; q++)
		for (int u = 0; u < Hp; u++) {
			const size_t col = (size_t)q * Hp + u, row = (size_t)q * H + u;
			for (int k = 0; k < H; k++) wh[(col / VL * H + k) * VL + col % VL] = u < H ? whh[row * H + k] : 0;
			for (int k = 0; k < I; k++) wx[(col / VL * I + k) * VL + col % VL] = u < H ? wih[row * I + k] : 0;
			bias[col] = 0;
			if (u < H && bih) bias[col] += bih[row];
			if (u < H && bhh) bias[col] += bhh[row];
		}
}

// The cells that are one product and one function of it. The leaky ones take the noise before the function.
static void FN(unit_advance)(ctdb_seq *p, ctdb_shard *s, int k, const int cell)
{
	const long n = (long)s->rp * p->Hp;
	const REAL *hp = H_SLOT(p, s, k), *a = s->pre, *rec = a + n;
	const REAL leak = (REAL)(1 - p->s.gamma), gain = (REAL)p->s.gamma;
	REAL *hn = H_SLOT(p, s, k + 1), *g = G_SLOT(p, s, k);
	for (long i = 0; i < n; i += VL) {
		v f = *(const v *)(a + i), h;
		if (cell == CTDB_LEAKY_COMPAT) f += *(const v *)(rec + i);
		if (cell == CTDB_RELU) f = FN(relu)(f);
		else if (cell != CTDB_LINEAR) f = FN(vtanh)(f);
		h = f;
		if (cell == CTDB_LEAKY) h = leak * *(const v *)(hp + i) + gain * f;
		if (cell == CTDB_LEAKY_COMPAT) h = leak * *(const v *)(rec + i) + gain * f;
		STREAM(g + i, f);
		*(v *)(hn + i) = h;
	}
}

// PyTorch's LSTM: gates i, f, g, o; c' = f c + i g, h' = o tanh(c').
static void FN(lstm_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const int Hp = p->Hp;
	REAL *g = G_SLOT(p, s, k);
	for (long r = 0; r < s->rp; r++) {
		const REAL *a = (REAL *)s->pre + r * 4 * Hp, *c = C_SLOT(p, s, k) + r * Hp;
		REAL *cn = C_SLOT(p, s, k + 1) + r * Hp, *hn = H_SLOT(p, s, k + 1) + r * Hp;
		for (int u = 0; u < Hp; u += VL, g += 5 * VL) {
			v in = FN(sigmoid)(*(const v *)(a + u)), keep = FN(sigmoid)(*(const v *)(a + Hp + u));
			v cand = FN(vtanh)(*(const v *)(a + 2 * Hp + u)), out = FN(sigmoid)(*(const v *)(a + 3 * Hp + u));
			v next = keep * *(const v *)(c + u) + in * cand, th = FN(vtanh)(next);
			STREAM(g, in);
			STREAM(g + VL, keep);
			STREAM(g + 2 * VL, cand);
			STREAM(g + 3 * VL, out);
			STREAM(g + 4 * VL, th);
			*(v *)(cn + u) = next;
			*(v *)(hn + u) = out * th;
		}
	}
}

// The products of a step: in pre, those of the recurrent weights apart where the cell asks for it.
static void FN(pointwise_products)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const int n = p->gates * p->Hp, rp = s->rp, apart = p->s.cell == CTDB_LEAKY_COMPAT;
	REAL *pre = s->pre, *rec = pre;
	FN(product_from)(rp, n / VL, p->s.I, X_SLOT(p, s, k), p->Iq, p->wx, p->bias, 0, pre, n);
	if (apart) rec = pre + (long)rp * n;
	FN(product_from)(rp, n / VL, p->s.H, H_SLOT(p, s, k), p->Hp, p->wh, apart ? 0 : pre, n, rec, n);
}

static void FN(pointwise_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	switch (p->s.cell) {
	case CTDB_TANH: FN(unit_advance)(p, s, k, CTDB_TANH); break;
	case CTDB_RELU: FN(unit_advance)(p, s, k, CTDB_RELU); break;
	case CTDB_LINEAR: FN(unit_advance)(p, s, k, CTDB_LINEAR); break;
	case CTDB_LEAKY: FN(unit_advance)(p, s, k, CTDB_LEAKY); break;
	case CTDB_LEAKY_COMPAT: FN(unit_advance)(p, s, k, CTDB_LEAKY_COMPAT); break;
	default: FN(lstm_advance)(p, s, k);
	}
}

// From the gradient of the clean state in dh to that before the function in dg; dh keeps the part that goes straight to the previous state.
static void FN(unit_retreat)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dg, REAL *clean, const int cell)
{
	const REAL *g = G_SLOT(p, s, k), leak = (REAL)(1 - p->s.gamma), gain = (REAL)p->s.gamma;
	const int Hp = p->Hp;
	REAL *dh = s->dh;
	for (long r = 0; r < s->rp; r++)
		for (int u = 0; u < Hp; u += VL) {
			const long i = r * Hp + u;
			v d = *(v *)(dh + i), f = *(const v *)(g + i), before = d;
			if (cell == CTDB_LEAKY || cell == CTDB_LEAKY_COMPAT) before = gain * d;
			if (cell == CTDB_RELU) before = pick((vi)(f > splat(0)), before, splat(0));
			else if (cell != CTDB_LINEAR) before *= (REAL)1 - f * f;
			if (cell == CTDB_LEAKY_COMPAT) {
				*(v *)(dg + 2 * r * Hp + u) = leak * d + before;
				*(v *)(dg + (2 * r + 1) * Hp + u) = before;
			} else {
				*(v *)(dg + i) = before;
			}
			*(v *)(dh + i) = (cell == CTDB_LEAKY ? leak : 0) * d;
			if (clean) *(v *)(clean + i) = f;
		}
}

static void FN(lstm_retreat)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dg, REAL *clean)
{
	const int Hp = p->Hp;
	const REAL *g = G_SLOT(p, s, k);
	REAL *dh = s->dh, *dc = s->dc;
	for (long r = 0; r < s->rp; r++) {
		const REAL *c = C_SLOT(p, s, k) + r * Hp;
		for (int u = 0; u < Hp; u += VL, g += 5 * VL) {
			v in = *(const v *)g, keep = *(const v *)(g + VL), cand = *(const v *)(g + 2 * VL), out = *(const v *)(g + 3 * VL), th = *(const v *)(g + 4 * VL);
			v d = *(v *)(dh + r * Hp + u), e = *(v *)(dc + r * Hp + u) + d * out * ((REAL)1 - th * th);
			REAL *o = dg + r * 4 * Hp + u;
			*(v *)o = e * cand * in * ((REAL)1 - in);
			*(v *)(o + Hp) = e * *(const v *)(c + u) * keep * ((REAL)1 - keep);
			*(v *)(o + 2 * Hp) = e * in * ((REAL)1 - cand * cand);
			*(v *)(o + 3 * Hp) = d * th * out * ((REAL)1 - out);
			*(v *)(dc + r * Hp + u) = e * keep;
			*(v *)(dh + r * Hp + u) = splat(0);
			if (clean) *(v *)(clean + r * Hp + u) = out * th;
		}
	}
}

static void FN(pointwise_retreat)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dg, REAL *clean)
{
	switch (p->s.cell) {
	case CTDB_TANH: FN(unit_retreat)(p, s, k, dg, clean, CTDB_TANH); break;
	case CTDB_RELU: FN(unit_retreat)(p, s, k, dg, clean, CTDB_RELU); break;
	case CTDB_LINEAR: FN(unit_retreat)(p, s, k, dg, clean, CTDB_LINEAR); break;
	case CTDB_LEAKY: FN(unit_retreat)(p, s, k, dg, clean, CTDB_LEAKY); break;
	case CTDB_LEAKY_COMPAT: FN(unit_retreat)(p, s, k, dg, clean, CTDB_LEAKY_COMPAT); break;
	default: FN(lstm_retreat)(p, s, k, dg, clean);
	}
	const char *next[4];
	FN(tape_before)(p, s, k, next);
	REAL *dh = s->dh;
	const int Hp = p->Hp, H = p->s.H;
	if (p->s.cell == CTDB_LSTM) FN(product_whole)(s->rp, Hp / VL, 4, Hp, H, dg, 4 * Hp, p->ut, dh, Hp, dh, Hp, CTDB_AS_IS, dh, next);
	else FN(product_whole)(s->rp, Hp / VL, 1, 0, H, dg, p->parts * Hp, p->ut, dh, Hp, dh, Hp, CTDB_AS_IS, dh, next);
}
