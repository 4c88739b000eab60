// The GRU's cell. H_SLOT, G_SLOT and X_SLOT are the states, the kept numbers and the inputs of a step on a shard's tape, which begins at step base.

#define TAPE_AT(p, s, k) (size_t)((p)->s.inference ? 0 : (k) - (s)->base)
#define STATE_AT(p, s, k) (size_t)((p)->s.inference ? (k) & 1 : (k) - (s)->base)
#define H_SLOT(p, s, k) ((REAL *)(s)->h + STATE_AT(p, s, k) * (s)->rp * (p)->Hp)
#define C_SLOT(p, s, k) ((REAL *)(s)->c + STATE_AT(p, s, k) * (s)->rp * (p)->Hp)
#define G_SLOT(p, s, k) ((REAL *)(s)->g + TAPE_AT(p, s, k) * (s)->rp * (p)->Hp * (p)->saved)
#define X_SLOT(p, s, k) ((REAL *)(s)->x + TAPE_AT(p, s, k) * (s)->rp * (p)->Iq)

static void FN(gru_pack)(ctdb_seq *p, const REAL *wih, const REAL *whh, const REAL *bih, const REAL *bhh)
{
	const int I = p->s.I, H = p->s.H;
	REAL *wh = p->wh, *wx = p->wx, *bias = p->bias;
	for (int u = 0; u < p->Hp; u++) {
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

static void FN(gru_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const int H = p->s.H, Hp = p->Hp, I = p->s.I, rp = s->rp;
	REAL *hp = H_SLOT(p, s, k), *hn = H_SLOT(p, s, k + 1), *g = G_SLOT(p, s, k), *xs = X_SLOT(p, s, k);
	for (int u = 0; u < Hp / VL; u++) {
		const REAL *wh = (REAL *)p->wh + (size_t)u * H * 3 * VL, *wx = (REAL *)p->wx + (size_t)u * I * 3 * VL;
		const REAL *bias = (REAL *)p->bias + (size_t)u * 4 * VL;
		for (int i = 0; i < rp; i += MR, g += MR * 4 * VL)
			FN(gates_tile)(H, I, hp + (long)i * Hp, Hp, xs + (long)i * p->Iq, p->Iq, wh, wx, bias, hp + (long)i * Hp + u * VL,
				hn + (long)i * Hp + u * VL, g);
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
			*(v *)o = drec;
			*(v *)(o + Hp) = drec * hn * ((REAL)1 - r);
			*(v *)(o + 2 * Hp) = d0 * diff * z * zc;
			*(v *)(o + 3 * Hp) = dn;
			*d = d0 * z;
			if (cl) *(v *)(cl + (long)i * Hp + u) = n + z * diff;
		}
}

// What the way back over step k-1 reads: the memory to fetch in a product of step k, if they are on the same tape.
static void FN(tape_before)(const ctdb_seq *p, const ctdb_shard *s, int k, const char *next[4])
{
	next[0] = next[1] = next[2] = next[3] = 0;
	if (k == s->base) return;
	next[0] = (const char *)G_SLOT(p, s, k - 1), next[1] = (const char *)G_SLOT(p, s, k);
	next[2] = (const char *)H_SLOT(p, s, k - 1), next[3] = (const char *)H_SLOT(p, s, k);
}

static void FN(gru_retreat)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dg, REAL *clean)
{
	const int Hp = p->Hp, rp = s->rp;
	REAL *dh = s->dh;
	FN(gates_back)(rp, Hp, H_SLOT(p, s, k), G_SLOT(p, s, k), dh, dg, clean);
	const char *next[4];
	FN(tape_before)(p, s, k, next);
	FN(product_whole)(rp, Hp / VL, 3, Hp, p->s.H, dg, 4 * Hp, p->ut, dh, Hp, dh, Hp, CTDB_AS_IS, dh, next);
}
