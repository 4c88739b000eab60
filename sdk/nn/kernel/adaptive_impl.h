// CTDB_NODE by the method of Dormand & Prince (1980) of order 5 with its embedded method of order 4, the steps chosen for each trial alone. Run it in
// double precision. Trials at work are gathered into whole tiles for each stage and scattered again, so a trial's numbers do not depend on its neighbours.
//
// Control (Hairer, Norsett & Wanner 1993, II.4): a step of length h is accepted if the root mean square over units of e / (atol + rtol max(|y|, |y'|)), e the difference of
// the two methods, is at most 1; the next length is h times 0.9 norm^(-1/5), 0.2 to 10, after a rejection at most 1. Every bin begins with a step of s.first, so that it is a
// function of its state and inputs alone.
//
// The way back through the accepted steps: a bin is integrated again, its accepted steps kept, then each is taken back with its length held constant, its stages evaluated
// once more. So the tape holds the states between bins alone. The adjoint (Chen et al. 2018) integrates state and gradient backwards from the bin's end, by the same
// control over both, the gradient in units of its largest element; the gradients of weights and inputs are quadratures along it, without a part in the control (Kidger, Chen & Lyons 2021).

enum { T_(dp_stages) = 7 };

static const REAL T_(dp_a)[7][6] = {
	{0},
	{(REAL)(1 / 5.0)},
	{(REAL)(3 / 40.0), (REAL)(9 / 40.0)},
	{(REAL)(44 / 45.0), (REAL)(-56 / 15.0), (REAL)(32 / 9.0)},
	{(REAL)(19372 / 6561.0), (REAL)(-25360 / 2187.0), (REAL)(64448 / 6561.0), (REAL)(-212 / 729.0)},
	{(REAL)(9017 / 3168.0), (REAL)(-355 / 33.0), (REAL)(46732 / 5247.0), (REAL)(49 / 176.0), (REAL)(-5103 / 18656.0)},
	{(REAL)(35 / 384.0), 0, (REAL)(500 / 1113.0), (REAL)(125 / 192.0), (REAL)(-2187 / 6784.0), (REAL)(11 / 84.0)},
};
// The last row is the method of order 5; its difference to that of order 4:
static const REAL T_(dp_e)[7] = {(REAL)(71 / 57600.0), 0, (REAL)(-71 / 16695.0), (REAL)(71 / 1920.0), (REAL)(-17253 / 339200.0), (REAL)(22 / 525.0), (REAL)(-1 / 40.0)};

#define DP_H(p, s, st) ((REAL *)(s)->hs + (size_t)(st) * (s)->rp * (p)->Hp)
#define DP_K(p, s, st) ((REAL *)(s)->ks + (size_t)(st) * (s)->rp * (p)->Hp)
#define DP_DK(p, s, st) ((REAL *)(s)->dks + (size_t)(st) * (s)->rp * (p)->Hp)
#define DP_ACT(p, s, l, st) ((REAL *)(s)->act[l] + (size_t)(st) * (s)->rp * (p)->Wp)
#define DP_DZ(p, s, l, st) ((REAL *)(s)->dz[l] + (size_t)(st) * (s)->rp * FN(layer_out)(p, l))
#define DP_START(p, s, j) ((REAL *)(s)->starts + (size_t)(j) * (s)->rp * (p)->Hp)
#define DP_TAKEN(p, s, j) ((REAL *)(s)->taken + (size_t)(j) * (s)->rp)

// Marks the trial whose integration failed; the first one stays.
static void FN(dp_fail)(ctdb_shard *s, int k, int row, int why, int back)
{
	if (s->failed) return;
	s->failed = why;
	s->failed_row = row;
	s->failed_step = k;
	s->failed_back = back;
}

INLINE int FN(finite_row)(const REAL *a, int n)
{
	int ok = 1;
	for (int i = 0; i < n; i++) ok &= a[i] - a[i] == 0;
	return ok;
}

// dst row i is src row row[i] of n, zero from there to the next whole tile; returns the number of rows of dst.
static int FN(dp_gather)(const REAL *src, const int *row, int n, int width, REAL *dst)
{
	const int np = (n + MR - 1) / MR * MR;
	for (int i = 0; i < n; i++) __builtin_memcpy(dst + (long)i * width, src + (long)row[i] * width, sizeof(REAL) * width);
	__builtin_memset(dst + (long)n * width, 0, sizeof(REAL) * (np - n) * width);
	return np;
}

// f = the vector field of np gathered rows at stage st, whose hidden units go to slot st, or 0.
static void FN(dp_field)(ctdb_seq *p, ctdb_shard *s, int np, int st, int slot, REAL *f)
{
	const int L = p->s.layers;
	for (int l = 0; l < L; l++) FN(map_forward)(p, l, np, s->ax, l ? DP_ACT(p, s, l - 1, slot) : DP_H(p, s, st), l < L - 1 ? DP_ACT(p, s, l, slot) : f);
}

// From the gradients df of f at stage st to those of the stage's states in to, those before each map's units being kept.
static void FN(dp_field_back)(ctdb_seq *p, ctdb_shard *s, int np, int st, const REAL *df, REAL *to)
{
	for (int l = p->s.layers - 1; l >= 0; l--) {
		const char *none[4] = {0};
		REAL *dz = DP_DZ(p, s, l, st);
		if (l == p->s.layers - 1) __builtin_memcpy(dz, df, sizeof(REAL) * np * FN(layer_out)(p, l));
		FN(map_backward)(p, l, np, dz, l ? DP_ACT(p, s, l - 1, st) : 0, l ? DP_DZ(p, s, l - 1, st) : to, none);
	}
}

// Adds the gradients of stage st to those of the weights, and that of the first map's results to the rows of dz0.
static void FN(dp_collect)(ctdb_seq *p, ctdb_shard *s, int np, int n, const int *row, int st, REAL *dz0)
{
	for (int l = 0; l < p->s.layers; l++) FN(map_gradients)(p, s, l, np, DP_DZ(p, s, l, st), l ? DP_ACT(p, s, l - 1, st) : DP_H(p, s, st));
	const int out = FN(layer_out)(p, 0);
	for (int i = 0; i < n; i++) FN(add_scaled)(out, 1, DP_DZ(p, s, 0, st) + (long)i * out, dz0 + (long)row[i] * out);
}

// dst = y + sum of c[j] h k_j over the stages before st, each row with its own h.
static void FN(dp_along)(const ctdb_seq *p, const ctdb_shard *s, int np, const REAL *y, const REAL *c, int st, const REAL *h, const REAL *ks, REAL *dst)
{
	const int Hp = p->Hp;
	const long stage = (long)s->rp * Hp;
	for (int i = 0; i < np; i++)
		for (int u = 0; u < Hp; u += VL) {
			const long at = (long)i * Hp + u;
			v sum = splat(0);
			for (int j = 0; j < st; j++)
				if (c[j] != 0) sum += c[j] * *(const v *)(ks + j * stage + at);
			*(v *)(dst + at) = *(const v *)(y + at) + h[i] * sum;
		}
}

// Sum over units of the squared error of a row in units of what is allowed.
static REAL FN(dp_error)(const ctdb_seq *p, const ctdb_shard *s, int i, REAL h, const REAL *y, const REAL *next, const REAL *ks)
{
	const int Hp = p->Hp;
	const REAL atol = (REAL)p->s.atol, rtol = (REAL)p->s.rtol;
	REAL sum = 0;
	for (int u = 0; u < p->s.H; u++) {
		const long at = (long)i * Hp + u;
		REAL e = 0, a = y[at] < 0 ? -y[at] : y[at], b = next[at] < 0 ? -next[at] : next[at];
		for (int j = 0; j < T_(dp_stages); j++) e += T_(dp_e)[j] * ks[(long)j * s->rp * Hp + at];
		e = h * e / (atol + rtol * (a > b ? a : b));
		sum += e * e;
	}
	return sum;
}

// The control. *h is the length tried, *left what remains of the bin; squares the mean of squares of the error. Returns 1 for accepted, 2 if the bin is done too.
INLINE int FN(dp_control)(REAL squares, REAL *h, REAL *left, int *rejected)
{
	const int last = *h >= *left;
	// norm^(-1/5), norm the square root of squares
	REAL grow = (REAL)0.2;
	if (squares - squares == 0) {
		v l = FN(vlog)(splat(squares > (REAL)1e-30 ? squares : (REAL)1e-30));
		v e = FN(vexp)(l * (REAL)-0.1);
		grow = (REAL)0.9 * e[0];
		if (grow < (REAL)0.2) grow = (REAL)0.2;
		if (grow > 10) grow = 10;
	}
	if (!(squares <= 1)) {
		*h *= grow < 1 ? grow : 1;
		*rejected = 1;
		return 0;
	}
	*left -= *h;
	*h *= *rejected && grow > 1 ? 1 : grow;
	*rejected = 0;
	return last ? 2 : 1;
}

// Why a row is given up whose last try had such an error: one that is not finite, however short the step, is not for want of steps.
INLINE int FN(dp_why)(REAL squares)
{
	return squares - squares == 0 ? CTDB_TOO_MANY : CTDB_NOT_FINITE;
}

// The rows of a shard that are at work, and each row's part of the bin.
static void FN(dp_begin)(const ctdb_seq *p, ctdb_shard *s)
{
	REAL *h = s->ah, *left = s->aleft;
	for (int r = 0; r < s->rows; r++) {
		h[r] = (REAL)p->s.first;
		left[r] = (REAL)p->s.dt;
		s->tried[r] = s->rejected[r] = s->count[r] = 0;
	}
}

INLINE void FN(dp_fit)(REAL *h, REAL left)
{
	if (*h >= left * (REAL)(1 - 1e-12)) *h = left;
}

// Integrates the rows y over the bin of step k, in place; if keep, their accepted steps are kept.
static void FN(dp_integrate)(ctdb_seq *p, ctdb_shard *s, int k, REAL *y, int keep, int back)
{
	const int Hp = p->Hp;
	int n = s->rows, *row = s->arow;
	REAL *h = s->ah, *left = s->aleft, *hc = s->ahc, *k1 = s->ak;
	FN(dp_begin)(p, s);
	for (int r = 0; r < n; r++) row[r] = r;
	// The field at the bin's start; from there on the last stage of a step is the first of the next.
	int np = FN(dp_gather)(X_SLOT(p, s, k), row, n, p->Iq, s->ax);
	FN(dp_gather)(y, row, n, Hp, DP_H(p, s, 0));
	FN(dp_field)(p, s, np, 0, 0, k1);
	for (int r = 0; r < n; r++)
		if (!FN(finite_row)(k1 + (long)r * Hp, p->s.H)) {
			FN(dp_fail)(s, k, r, CTDB_NOT_FINITE, back);
			return;
		}
	while (n) {
		REAL *y0 = DP_H(p, s, 0), *next = DP_H(p, s, 6);
		np = FN(dp_gather)(y, row, n, Hp, y0);
		FN(dp_gather)(k1, row, n, Hp, DP_K(p, s, 0));
		FN(dp_gather)(X_SLOT(p, s, k), row, n, p->Iq, s->ax);
		for (int i = 0; i < np; i++) hc[i] = 0;
		for (int i = 0; i < n; i++) {
			FN(dp_fit)(h + row[i], left[row[i]]);
			hc[i] = h[row[i]];
		}
		for (int st = 1; st < T_(dp_stages); st++) {
			FN(dp_along)(p, s, np, y0, T_(dp_a)[st], st, hc, s->ks, DP_H(p, s, st));
			FN(dp_field)(p, s, np, st, 0, DP_K(p, s, st));
		}
		int rest = 0;
		for (int i = 0; i < n; i++) {
			const int r = row[i];
			const REAL squares = FN(dp_error)(p, s, i, hc[i], y0, next, s->ks) / p->s.H;
			const int done = FN(dp_control)(squares, h + r, left + r, s->rejected + r);
			if (done) {
				if (keep) {
					__builtin_memcpy(DP_START(p, s, s->count[r]) + (long)r * Hp, y0 + (long)i * Hp, sizeof(REAL) * Hp);
					DP_TAKEN(p, s, s->count[r])[r] = hc[i];
				}
				s->count[r]++;
				__builtin_memcpy(y + (long)r * Hp, next + (long)i * Hp, sizeof(REAL) * Hp);
				__builtin_memcpy(k1 + (long)r * Hp, DP_K(p, s, 6) + (long)i * Hp, sizeof(REAL) * Hp);
			}
			if (done == 2) continue;
			if (++s->tried[r] >= p->s.max_steps) {
				FN(dp_fail)(s, k, r, FN(dp_why)(squares), back);
				return;
			}
			row[rest++] = r;
		}
		n = rest;
	}
}

static void FN(dp_advance)(ctdb_seq *p, ctdb_shard *s, int k)
{
	const size_t bytes = sizeof(REAL) * s->rp * p->Hp;
	REAL *hn = H_SLOT(p, s, k + 1);
	__builtin_memcpy(hn, H_SLOT(p, s, k), bytes);
	FN(dp_integrate)(p, s, k, hn, 0, 0);
	// Noise may be added to hn, and the readout is of the state without it.
	__builtin_memcpy(G_SLOT(p, s, k), hn, bytes);
}

// Back over the accepted steps of a bin.
static void FN(dp_discretised)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dz0)
{
	const int Hp = p->Hp;
	int *row = s->arow, most = 0;
	REAL *dh = s->dh, *hc = s->ahc, *dy = s->adh, *dhs = s->dhs;
	__builtin_memcpy(s->ay, H_SLOT(p, s, k), sizeof(REAL) * s->rp * Hp);
	FN(dp_integrate)(p, s, k, s->ay, 1, 1);
	if (s->failed) return;
	for (int r = 0; r < s->rows; r++) most = s->count[r] > most ? s->count[r] : most;
	for (int j = most - 1; j >= 0; j--) {
		int n = 0;
		for (int r = 0; r < s->rows; r++)
			if (s->count[r] > j) row[n++] = r;
		REAL *y0 = DP_H(p, s, 0);
		const int np = FN(dp_gather)(DP_START(p, s, j), row, n, Hp, y0);
		FN(dp_gather)(X_SLOT(p, s, k), row, n, p->Iq, s->ax);
		FN(dp_gather)(dh, row, n, Hp, dy);
		for (int i = 0; i < np; i++) hc[i] = i < n ? DP_TAKEN(p, s, j)[row[i]] : 0;
		for (int st = 0; st < T_(dp_stages) - 1; st++) {
			if (st) FN(dp_along)(p, s, np, y0, T_(dp_a)[st], st, hc, s->ks, DP_H(p, s, st));
			FN(dp_field)(p, s, np, st, st, DP_K(p, s, st));
			for (int i = 0; i < np; i++)
				for (int u = 0; u < Hp; u += VL) *(v *)(DP_DK(p, s, st) + (long)i * Hp + u) = T_(dp_a)[6][st] * hc[i] * *(const v *)(dy + (long)i * Hp + u);
		}
		for (int st = T_(dp_stages) - 2; st >= 0; st--) {
			FN(dp_field_back)(p, s, np, st, DP_DK(p, s, st), dhs);
			FN(dp_collect)(p, s, np, n, row, st, dz0);
			for (int q = 0; q < st; q++)
				for (int i = 0; i < np; i++)
					FN(add_scaled)(Hp, T_(dp_a)[st][q] * hc[i], dhs + (long)i * Hp, DP_DK(p, s, q) + (long)i * Hp);
			FN(add_scaled)((long)np * Hp, 1, dhs, dy);
		}
		for (int i = 0; i < n; i++) __builtin_memcpy(dh + (long)row[i] * Hp, dy + (long)i * Hp, sizeof(REAL) * Hp);
	}
}

// Back over a bin by the continuous adjoint.
static void FN(dp_adjoint)(ctdb_seq *p, ctdb_shard *s, int k, REAL *dz0)
{
	const int Hp = p->Hp, L = p->s.layers;
	int n = 0, *row = s->arow;
	REAL *h = s->ah, *left = s->aleft, *hc = s->ahc, *dh = s->dh, *y = s->ay, *unit = s->aunit, *a0 = s->adh, *a = s->dhs;
	FN(dp_begin)(p, s);
	__builtin_memcpy(y, G_SLOT(p, s, k), sizeof(REAL) * s->rp * Hp);
	for (int r = 0; r < s->rows; r++) {
		REAL top = 0;
		for (int u = 0; u < p->s.H; u++) {
			const REAL d = dh[(long)r * Hp + u] < 0 ? -dh[(long)r * Hp + u] : dh[(long)r * Hp + u];
			if (d > top) top = d;
		}
		if (!FN(finite_row)(dh + (long)r * Hp, p->s.H) || !FN(finite_row)(y + (long)r * Hp, p->s.H)) {
			FN(dp_fail)(s, k, r, CTDB_NOT_FINITE, 1);
			return;
		}
		unit[r] = top;
		if (top == 0) continue;
		for (int u = 0; u < Hp; u++) dh[(long)r * Hp + u] /= top;
		row[n++] = r;
	}
	while (n) {
		REAL *y0 = DP_H(p, s, 0), *next = DP_H(p, s, 6);
		const int np = FN(dp_gather)(y, row, n, Hp, y0);
		FN(dp_gather)(dh, row, n, Hp, a0);
		FN(dp_gather)(X_SLOT(p, s, k), row, n, p->Iq, s->ax);
		for (int i = 0; i < np; i++) hc[i] = 0;
		for (int i = 0; i < n; i++) {
			FN(dp_fit)(h + row[i], left[row[i]]);
			hc[i] = h[row[i]];
		}
		// Time runs backwards: the state changes by -f, the gradient by (df/dh)^T times itself.
		for (int st = 0; st < T_(dp_stages); st++) {
			REAL *f = DP_K(p, s, st);
			if (st) FN(dp_along)(p, s, np, y0, T_(dp_a)[st], st, hc, s->ks, DP_H(p, s, st));
			FN(dp_along)(p, s, np, a0, T_(dp_a)[st], st, hc, s->dks, a);
			FN(dp_field)(p, s, np, st, st, f);
			for (long i = 0; i < (long)np * Hp; i += VL) *(v *)(f + i) = -*(v *)(f + i);
			FN(dp_field_back)(p, s, np, st, a, DP_DK(p, s, st));
		}
		// Of the gradient a holds what it is after the step.
		int rest = 0;
		for (int i = 0; i < n; i++) {
			const int r = row[i];
			const REAL squares = (FN(dp_error)(p, s, i, hc[i], y0, next, s->ks) + FN(dp_error)(p, s, i, hc[i], a0, a, s->dks)) / (2 * p->s.H);
			const int done = FN(dp_control)(squares, h + r, left + r, s->rejected + r);
			// What each row of the stages counts: nothing if the step was rejected.
			hc[i] = done ? hc[i] * unit[r] : 0;
			if (done) {
				__builtin_memcpy(y + (long)r * Hp, next + (long)i * Hp, sizeof(REAL) * Hp);
				__builtin_memcpy(dh + (long)r * Hp, a + (long)i * Hp, sizeof(REAL) * Hp);
			}
			s->agoes[i] = done != 2;
			if (done != 2 && ++s->tried[r] >= p->s.max_steps) {
				FN(dp_fail)(s, k, r, FN(dp_why)(squares), 1);
				return;
			}
		}
		for (int st = 0; st < T_(dp_stages) - 1; st++) {
			const REAL b = T_(dp_a)[6][st];
			if (b == 0) continue;
			for (int l = 0; l < L; l++) {
				const int w = FN(layer_out)(p, l);
				REAL *dz = DP_DZ(p, s, l, st);
				for (int i = 0; i < np; i++)
					for (int u = 0; u < w; u++) dz[(long)i * w + u] = hc[i] != 0 ? dz[(long)i * w + u] * b * hc[i] : 0;
			}
			FN(dp_collect)(p, s, np, n, row, st, dz0);
		}
		for (int i = 0; i < n; i++)
			if (s->agoes[i]) row[rest++] = row[i];
		n = rest;
	}
	for (int r = 0; r < s->rows; r++)
		for (int u = 0; u < Hp; u++) dh[(long)r * Hp + u] *= unit[r];
}

static void FN(dp_retreat)(ctdb_seq *p, ctdb_shard *s, int k, int slot, REAL *clean)
{
	const size_t out0 = FN(layer_out)(p, 0);
	REAL *dz0 = (REAL *)s->dz0 + slot * s->rp * out0;
	__builtin_memset(dz0, 0, sizeof(REAL) * s->rp * out0);
	if (clean) __builtin_memcpy(clean, G_SLOT(p, s, k), sizeof(REAL) * s->rp * p->Hp);
	if (s->failed) return;
	if (p->s.adjoint) FN(dp_adjoint)(p, s, k, dz0);
	else FN(dp_discretised)(p, s, k, dz0);
}

// The weights have their gradients already, but for those of the inputs.
static void FN(dp_flush)(ctdb_seq *p, ctdb_shard *s, int k, int n)
{
	const int out0 = FN(layer_out)(p, 0);
	if (p->s.I) FN(product_tn)(p->Iq, out0 / VL, (long)n * s->rp, X_SLOT(p, s, k), p->Iq, s->dz0, out0, s->dLx, out0);
}
