// Vectors of REAL and the elementary functions of them, for one variant and precision. Expected: REAL, INT (an integer as wide), VB (bytes of
// a vector), MR x NV (tile of the products: accumulators in registers), FN(name).
typedef REAL T_(v) __attribute__((vector_size(VB), may_alias));
typedef REAL T_(vu) __attribute__((vector_size(VB), may_alias, aligned(sizeof(REAL))));
typedef INT T_(vi) __attribute__((vector_size(VB), may_alias));
typedef uint64_t T_(vq) __attribute__((vector_size(VB), may_alias));
typedef double T_(vd) __attribute__((vector_size(VB / sizeof(REAL) * 8), may_alias));
#define v T_(v)
#define vu T_(vu)
#define vi T_(vi)
#define vq T_(vq)
#define vd T_(vd)
enum { T_(lanes) = VB / sizeof(REAL) };
#define VL T_(lanes)
#define IS_DOUBLE (sizeof(REAL) == 8)

INLINE v FN(splat)(REAL a) { return a - (v){}; }
INLINE v FN(load)(const REAL *p) { return *(const vu *)p; }
INLINE void FN(store)(REAL *p, v a) { *(vu *)p = a; }
INLINE v FN(pick)(vi mask, v a, v b) { return (v)((mask & (vi)a) | (~mask & (vi)b)); }
#define splat FN(splat)
#define load FN(load)
#define store FN(store)
#define pick FN(pick)

INLINE double FN(sum)(vd a)
{
	// Pairwise, the same tree in every call.
	double s[VL];
	for (int i = 0; i < VL; i++) s[i] = a[i];
	for (int n = VL / 2; n > 0; n /= 2)
		for (int i = 0; i < n; i++) s[i] += s[i + n];
	return s[0];
}

// The nearest integer to a, |a| < 2^22 (2^51), as float and as int, by adding 1.5 * 2^23 (2^52).
#define MAGIC (IS_DOUBLE ? (REAL)0x1.8p52 : (REAL)0x1.8p23)
#define MANTISSA (IS_DOUBLE ? 52 : 23)
#define EXPONENT_BIAS (IS_DOUBLE ? 1023 : 127)

// exp(r) - 1 for |r| <= ln(2)/2 by Taylor's series: the remainder is below a tenth of a rounding.
INLINE v FN(expm1_small)(v r)
{
	v p;
	if (IS_DOUBLE) {
		p = splat(1 / 6227020800.0);
		p = p * r + (REAL)(1 / 479001600.0);
		p = p * r + (REAL)(1 / 39916800.0);
		p = p * r + (REAL)(1 / 3628800.0);
		p = p * r + (REAL)(1 / 362880.0);
		p = p * r + (REAL)(1 / 40320.0);
		p = p * r + (REAL)(1 / 5040.0);
		p = p * r + (REAL)(1 / 720.0);
	} else {
		p = splat((REAL)(1 / 5040.0));
		p = p * r + (REAL)(1 / 720.0);
	}
	p = p * r + (REAL)(1 / 120.0);
	p = p * r + (REAL)(1 / 24.0);
	p = p * r + (REAL)(1 / 6.0);
	p = p * r + (REAL)0.5;
	return r + r * r * p;
}

// x = k ln 2 + r; gives 2^k. x must lie within the range of exp; a NaN stays one in r.
INLINE v FN(reduce)(v x, v *r)
{
	v t = x * (REAL)1.4426950408889634 + MAGIC;
	vi k = (vi)t - (vi)splat(MAGIC);
	t -= MAGIC;
	if (IS_DOUBLE)
		*r = (x - t * (REAL)0x1.62e42fee00000p-1) - t * (REAL)0x1.a39ef35793c76p-33;
	else
		*r = (x - t * (REAL)0x1.62e4p-1) - t * (REAL)0x1.7f7d1cp-20;
	return (v)((k + (INT)EXPONENT_BIAS) << MANTISSA);
}

// clamp keeps NaN.
INLINE v FN(clamp)(v x, REAL lo, REAL hi) { return MAX(splat(lo), MIN(splat(hi), x)); }

INLINE v FN(relu)(v a) { return MAX(splat(0), a); }

#define EXP_MAX (IS_DOUBLE ? (REAL)709 : (REAL)88)
#define EXP_MIN (IS_DOUBLE ? (REAL)-708 : (REAL)-87)

INLINE v FN(vexp)(v x)
{
	v r, two = FN(reduce)(FN(clamp)(x, EXP_MIN, EXP_MAX), &r);
	v y = two + two * FN(expm1_small)(r);
	y = pick((vi)(x > EXP_MAX), splat((REAL)__builtin_inf()), y);
	return pick((vi)(x < EXP_MIN), splat(0), y);
}

INLINE v FN(sigmoid)(v x)
{
	v r, two = FN(reduce)(FN(clamp)(-x, EXP_MIN, EXP_MAX), &r);
	return (REAL)1 / ((two + (REAL)1) + two * FN(expm1_small)(r));
}

// tanh(x) = e/(e+2), e = exp(2x)-1 without cancellation; beyond 22 the quotient rounds to 1 in either precision.
INLINE v FN(vtanh)(v x)
{
	v r, two = FN(reduce)(FN(clamp)(x + x, (REAL)-44, (REAL)44), &r);
	v e = (two - (REAL)1) + two * FN(expm1_small)(r);
	return e / (e + (REAL)2);
}

// Natural logarithm of a positive normal number: x = m 2^k with m in [sqrt(1/2), sqrt 2), then the series of atanh.
INLINE v FN(vlog)(v x)
{
	vi bits = (vi)x - (vi)splat((REAL)0.70710678118654752);
	vi k = bits >> MANTISSA;
	v m = (v)((vi)x - (k << MANTISSA));
	v s = (m - (REAL)1) / (m + (REAL)1), q = s * s, p;
	if (IS_DOUBLE) {
		p = splat((REAL)(2 / 21.0));
		p = p * q + (REAL)(2 / 19.0);
		p = p * q + (REAL)(2 / 17.0);
		p = p * q + (REAL)(2 / 15.0);
		p = p * q + (REAL)(2 / 13.0);
		p = p * q + (REAL)(2 / 11.0);
		p = p * q + (REAL)(2 / 9.0);
	} else {
		p = splat((REAL)(2 / 9.0));
	}
	p = p * q + (REAL)(2 / 7.0);
	p = p * q + (REAL)(2 / 5.0);
	p = p * q + (REAL)(2 / 3.0);
	v kf = __builtin_convertvector(k, v);
	return kf * (REAL)0.69314718055994531 + (s * (REAL)2 + s * q * p);
}

// sin and cos of pi s, |s| <= 1.
INLINE void FN(sincospi)(v s, v *sin, v *cos)
{
	v t = s * (REAL)2 + MAGIC;
	vi k = (vi)t - (vi)splat(MAGIC);
	v f = (s - (t - MAGIC) * (REAL)0.5) * (REAL)3.14159265358979324, q = f * f, a, b;
	if (IS_DOUBLE) {
		a = splat((REAL)(1 / 355687428096000.0));
		a = a * q - (REAL)(1 / 1307674368000.0);
		a = a * q + (REAL)(1 / 6227020800.0);
		a = a * q - (REAL)(1 / 39916800.0);
		b = splat((REAL)(1 / 20922789888000.0));
		b = b * q - (REAL)(1 / 87178291200.0);
		b = b * q + (REAL)(1 / 479001600.0);
		b = b * q - (REAL)(1 / 3628800.0);
		a = a * q + (REAL)(1 / 362880.0);
		b = b * q + (REAL)(1 / 40320.0);
	} else {
		a = splat((REAL)(1 / 362880.0));
		b = splat((REAL)(1 / 40320.0));
	}
	a = a * q - (REAL)(1 / 5040.0);
	a = a * q + (REAL)(1 / 120.0);
	a = a * q - (REAL)(1 / 6.0);
	a = f + f * q * a;
	b = b * q - (REAL)(1 / 720.0);
	b = b * q + (REAL)(1 / 24.0);
	b = b * q - (REAL)0.5;
	b = (REAL)1 + q * b;
	vi odd = (vi)((k & 1) != 0), minus_s = (vi)((k & 2) != 0), minus_c = (vi)(((k + 1) & 2) != 0);
	v x = pick(odd, b, a), y = pick(odd, a, b);
	*sin = pick(minus_s, -x, x);
	*cos = pick(minus_c, -y, y);
}
