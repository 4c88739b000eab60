// Forces of the muscles' contractile parts with their derivatives, and activation. See body.MuJoCo, body.Thelen, body.ReLU and body.Activation.

// A value and its derivative.
typedef struct {
	v x, d;
} T_(curve);

// A bump of two parabolas on each side of its middle; halves are the reciprocals of half of its sides.
INLINE T_(curve) FN(bump)(v l, REAL mid, REAL rise, REAL fall)
{
	const vi before = (vi)(l < mid);
	const v half = pick(before, splat(-rise), splat(fall));
	const v near = (l - mid) * half, far = MAX(splat(0), (REAL)2 - near);
	const vi inner = (vi)(near < 1);
	const v x = pick(inner, near, far);
	const v square = (REAL)0.5 * x * x;
	return (T_(curve)){pick(inner, (REAL)1 - square, square), -x * half};
}

typedef struct {
	v force, by_a, by_l, by_v;       // N, and its derivatives
	v active, passive, velocity;     // factors
} T_(contraction);

// MuJoCo's muscle m at length l and velocity w, normalised.
INLINE T_(contraction) FN(mujoco)(const T_(par) *p, const int m, v a, v l, v w)
{
	T_(contraction) c;
	const T_(curve) first = FN(bump)(l, p->mid[0], p->irise_half[0], p->ifall_half[0]), second = FN(bump)(l, p->mid[1], p->irise_half[1], p->ifall_half[1]);
	c.active = first.x + p->hump * second.x;
	const v x = MAX(splat(0), (l - (REAL)1) * p->ipassive), xx = x * x;
	const vi cubic = (vi)(x <= 1), shortens = (vi)(w <= 0);
	c.passive = p->passive * pick(cubic, xx * x, (x + x + x) - (REAL)2);
	const v s = MAX(splat(0), w + (REAL)1), e = MAX(splat(0), p->eccentric - w), ee = e * p->ieccentric;
	c.velocity = pick(shortens, s * s, p->fvmax - e * ee);
	const v fa = p->force[m] * a;
	c.by_a = p->force[m] * (c.active * c.velocity);
	c.force = a * c.by_a + p->force[m] * c.passive;
	c.by_l = fa * c.velocity * (first.d + p->hump * second.d) + (p->force[m] * p->passive * p->ipassive * (REAL)3) * pick(cubic, xx, splat(1));
	c.by_v = fa * c.active * (REAL)2 * pick(shortens, s, ee);
	return c;
}

// Thelen's force-length curves: active, and passive beyond the optimal length.
INLINE T_(curve) FN(gaussian)(const T_(par) *p, v l)
{
	const v x = l - (REAL)1, y = FN(vexp)(-x * x * p->iwidth);
	return (T_(curve)){y, y * x * p->iwidth * (REAL)-2};
}

INLINE T_(curve) FN(stretch)(const T_(par) *p, v l)
{
	const v e = FN(vexp)(MAX(splat(0), (l - (REAL)1) * p->kpe));
	return (T_(curve)){(e - (REAL)1) * p->epassive, pick((vi)(l > 1), e * (p->kpe * p->epassive), splat(0))};
}

// Thelen's muscle: its greatest velocity depends on activation.
INLINE T_(contraction) FN(thelen)(const T_(par) *p, const int m, v a, v l, v w)
{
	T_(contraction) c;
	const T_(curve) fl = FN(gaussian)(p, l), fp = FN(stretch)(p, l);
	const v scale = (REAL)1 / (a * p->span + p->base), x = w * scale;
	const vi shortens = (vi)(x <= 0);
	const v s = MAX(splat(-1), x), k = p->steep * x;
	const v above = pick(shortens, (REAL)1 + s, k * (p->lengthen + (REAL)1) + p->lengthen), below = pick(shortens, (REAL)1 - s * p->ihill, k + p->lengthen);
	const v i = (REAL)1 / below;
	c.active = fl.x, c.passive = fp.x, c.velocity = above * i;
	v slope = pick(shortens, splat((REAL)1 + p->ihill), splat(p->steep * p->lengthen * p->lengthen)) * i * i;
	slope = pick((vi)(x < -1), splat(0), slope);
	c.by_v = p->force[m] * a * fl.x * slope * scale;
	c.by_a = p->force[m] * fl.x * c.velocity - c.by_v * x * p->span;
	c.by_l = p->force[m] * (a * fl.d * c.velocity + fp.d);
	c.force = p->force[m] * (a * fl.x * c.velocity + fp.x);
	return c;
}

INLINE T_(contraction) FN(contract)(const T_(par) *p, const int body, const int m, v a, v l, v w)
{
	if (body == ARM_26) return FN(mujoco)(p, m, a, l, w);
	if (body == ARM_THELEN) return FN(thelen)(p, m, a, l, w);
	T_(contraction) c = {0};
	c.active = c.velocity = splat(1);
	c.by_a = splat(p->force[m]);
	c.force = p->force[m] * a;
	return c;
}

// The rate of activation and its derivatives; a and u are in [0, 1].
INLINE v FN(rate)(const T_(par) *p, v a, v u, v *by_a, v *by_u)
{
	const v s = a * (REAL)1.5 + (REAL)0.5, d = u - a;
	const vi rises = (vi)(u > a);
	const v k = pick(rises, p->irise / s, p->ifall * s), r = d * k;
	*by_u = k;
	// k' = 1.5 k/s falling, -1.5 k/s rising
	*by_a = pick(rises, d * k * ((REAL)-1.5 / s), d * ((REAL)1.5 * p->ifall)) - k;
	return r;
}
