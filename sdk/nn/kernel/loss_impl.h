// Losses of one trial and the step of an optimiser. Sums are taken in double, lane by lane, then in a fixed tree.

// The first n < lanes elements, filled up.
INLINE v FN(part)(const REAL *p, long n, REAL fill)
{
	REAL b[VL];
	for (int l = 0; l < VL; l++) b[l] = l < n ? p[l] : fill;
	return load(b);
}

INLINE void FN(store_part)(REAL *p, long n, v a)
{
	if (n >= VL) {
		store(p, a);
		return;
	}
	for (int l = 0; l < n; l++) p[l] = a[l];
}

static double FN(squared_error)(long n, const void *y_, const void *t_, const void *w_, double scale, void *g_)
{
	const REAL *y = y_, *t = t_, *w = w_;
	REAL *g = g_, s2 = (REAL)(2 * scale);
	vd sum = {0};
	for (long i = 0; i < n; i += VL) {
		long m = n - i;
		v d, wd;
		if (m >= VL) {
			d = load(y + i) - load(t + i);
			wd = d;
			if (w) wd *= load(w + i);
			if (g) store(g + i, s2 * wd);
		} else {
			d = FN(part)(y + i, m, 0) - FN(part)(t + i, m, 0);
			wd = d;
			if (w) wd *= FN(part)(w + i, m, 0);
			if (g) FN(store_part)(g + i, m, s2 * wd);
		}
		sum += __builtin_convertvector(wd, vd) * __builtin_convertvector(d, vd);
	}
	return FN(sum)(sum);
}

// w * sum(exp(r) - k r); the gradient is scale * w * (exp(r) - k).
static double FN(poisson)(long n, const void *r_, const void *k_, double w, double scale, void *g_)
{
	const REAL *r = r_, *k = k_;
	REAL *g = g_, sw = (REAL)scale * (REAL)w;
	vd sum = {0};
	for (long i = 0; i < n; i += VL) {
		long m = n - i;
		v ri, ki, e;
		if (m >= VL) {
			ri = load(r + i), ki = load(k + i), e = FN(vexp)(ri);
			if (g) store(g + i, sw * (e - ki));
		} else {
			ri = FN(part)(r + i, m, (REAL)-1e9), ki = FN(part)(k + i, m, 0), e = FN(vexp)(ri);
			if (g) FN(store_part)(g + i, m, sw * (e - ki));
		}
		sum += __builtin_convertvector(e, vd) - __builtin_convertvector(ki, vd) * __builtin_convertvector(ri, vd);
	}
	return w * FN(sum)(sum);
}

static double FN(sum_squares)(long n, const void *x_)
{
	const REAL *x = x_;
	vd sum = {0};
	for (long i = 0; i < n; i += VL) {
		vd d = __builtin_convertvector(n - i >= VL ? load(x + i) : FN(part)(x + i, n - i, 0), vd);
		sum += d * d;
	}
	return FN(sum)(sum);
}

static void FN(axpy)(long n, double a, const void *x_, void *y_)
{
	const REAL *x = x_, f = (REAL)a;
	REAL *y = y_;
	for (long i = 0; i < n; i++) y[i] += f * x[i];
}

static void FN(adam)(long n, double rate_, double root_, double b1_, double b2_, double eps_, double decay_, double shrink_, void *p_,
	const void *g_, void *m_, void *v_)
{
	REAL *p = p_, *m = m_, *s = v_;
	const REAL *g = g_, rate = (REAL)rate_, root = (REAL)root_, b1 = (REAL)(1 - b1_), b2 = (REAL)b2_, b2c = (REAL)(1 - b2_), eps = (REAL)eps_;
	const REAL decay = (REAL)decay_, shrink = (REAL)shrink_;
	for (long i = 0; i < n; i += VL) {
		long left = n - i;
		int whole = left >= VL;
		v pi = whole ? load(p + i) : FN(part)(p + i, left, 0), gi = whole ? load(g + i) : FN(part)(g + i, left, 0);
		v mi = whole ? load(m + i) : FN(part)(m + i, left, 0), si = whole ? load(s + i) : FN(part)(s + i, left, 0);
		pi *= shrink;
		gi += decay * pi;
		mi += b1 * (gi - mi);
		si = b2 * si + b2c * gi * gi;
		pi -= rate * mi / (SQRT(si) / root + eps);
		FN(store_part)(p + i, left, pi);
		FN(store_part)(m + i, left, mi);
		FN(store_part)(s + i, left, si);
	}
}
