// The arm whose tendons stretch, by the classical Runge-Kutta method. See body.Compliant. The rows of forces hold the normalised lengths of the fibres.

// Force of muscle m's tendon and velocity of its fibres, normalised, with their derivatives by the whole muscle's length, the fibres' and the activation.
typedef struct {
	v force, force_by_whole, force_by_l, speed, by_whole, by_l, by_a;
} T_(pull);

// Velocity by the force as a multiple of the isometric one.
INLINE T_(curve) FN(shape)(const T_(par) *p, v r)
{
	const v s = (REAL)1 / (MAX(splat(0), r) * p->ihill + (REAL)1), e = (REAL)1 / (p->steep * (p->lengthen + (REAL)1 - MIN(splat(p->cap), r)));
	const vi slack = (vi)(r < 0), shortens = (vi)(r <= 1), below = (vi)(r <= p->cap);
	T_(curve) c = {pick(shortens, (r - (REAL)1) * s, (r - (REAL)1) * p->lengthen * e), pick(shortens, ((REAL)1 + p->ihill) * s * s, p->lengthen * p->lengthen * p->steep * e * e)};
	c.x = pick(below, c.x, (r - p->cap) * p->cap_slope + p->cap_value);
	c.d = pick(below, c.d, splat(p->cap_slope));
	c.x = pick(slack, r * ((REAL)1 + p->ihill) - (REAL)1, c.x);
	c.d = pick(slack, splat((REAL)1 + p->ihill), c.d);
	return c;
}

INLINE T_(pull) FN(series)(const T_(par) *p, const int m, v whole, v l, v a)
{
	T_(pull) c;
	const REAL k = p->itendon[m] * p->toe;
	const v x = MAX(splat(0), (whole - l * p->length[m] - p->tendon[m]) * k);
	c.force = x * x;
	c.force_by_whole = (x + x) * k;
	c.force_by_l = -c.force_by_whole * p->length[m];
	const v kept = MAX(splat(p->least), a);
	const T_(curve) fl = FN(gaussian)(p, l), fp = FN(stretch)(p, l);
	const v i = (REAL)1 / (kept * fl.x), r = (c.force - fp.x) * i, scale = kept * p->span + p->base;
	const T_(curve) f = FN(shape)(p, r);
	c.speed = scale * f.x;
	const v slope = scale * f.d;
	c.by_whole = slope * c.force_by_whole * i;
	c.by_l = slope * ((c.force_by_l - fp.d) * i - r * fl.d / fl.x);
	c.by_a = pick((vi)(a >= p->least), p->span * f.x - slope * r / kept, splat(0));
	return c;
}

// The rates d of a state y under the excitations and load of s.
INLINE void FN(rates)(const T_(par) *p, const v *y, const v *s, v *d)
{
	v torque[2] = {splat(0), splat(0)};
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const T_(way) w = FN(path)(p, ARM_COMPLIANT, m, y + ROW_Q, y + ROW_QD);
		const T_(pull) c = FN(series)(p, m, w.length, y[ROW_F + m], y[ROW_A + m]);
		v by_a, by_u;
		for (int j = 0; j < 2; j++) torque[j] -= p->force[m] * c.force * w.arm[j];
		d[ROW_A + m] = FN(rate)(p, y[ROW_A + m], FN(clamp)(s[ROW_U + m], 0, 1), &by_a, &by_u);
		d[ROW_F + m] = c.speed * p->vscale;
	}
	T_(inertia) keep;
	FN(accelerate)(p, ARM_COMPLIANT, FN(posture)(p, ARM_COMPLIANT, y + ROW_Q), y + ROW_QD, torque, s + ROW_LOAD, d + ROW_QD, &keep);
	for (int j = 0; j < 2; j++) d[ROW_Q + j] = y[ROW_QD + j];
}

// From the gradient g by the rates of y to that by y; those by excitations and load are added.
static __attribute__((noinline)) void FN(rates_back)(const T_(par) *p, const v *y, const v *s, const v *g, v *gy, v *gu, v *gl)
{
	v torque[2] = {splat(0), splat(0)}, qdd[2], gt[2], load[2], gq[2] = {splat(0), splat(0)}, gqd[2] = {g[ROW_Q], g[ROW_Q + 1]};
	T_(way) w[ARM_MUSCLES];
	T_(pull) c[ARM_MUSCLES];
	for (int m = 0; m < ARM_MUSCLES; m++) {
		w[m] = FN(path)(p, ARM_COMPLIANT, m, y + ROW_Q, y + ROW_QD);
		c[m] = FN(series)(p, m, w[m].length, y[ROW_F + m], y[ROW_A + m]);
		for (int j = 0; j < 2; j++) torque[j] -= p->force[m] * c[m].force * w[m].arm[j];
	}
	T_(inertia) inertia;
	const T_(pose) pose = FN(posture)(p, ARM_COMPLIANT, y + ROW_Q);
	FN(accelerate)(p, ARM_COMPLIANT, pose, y + ROW_QD, torque, s + ROW_LOAD, qdd, &inertia);
	FN(accelerate_back)(p, ARM_COMPLIANT, pose, y + ROW_QD, s + ROW_LOAD, qdd, inertia, g + ROW_QD, gq, gqd, gt, load);
	for (int j = 0; j < 2; j++) gl[j] += load[j];
	for (int m = 0; m < ARM_MUSCLES; m++) {
		v by_a, by_u;
		const v u = s[ROW_U + m];
		FN(rate)(p, y[ROW_A + m], FN(clamp)(u, 0, 1), &by_a, &by_u);
		gu[m] += pick((vi)(u >= 0) & (vi)(u <= 1), g[ROW_A + m] * by_u, splat(0));
		const v speed = g[ROW_F + m] * p->vscale, force = -p->force[m] * (gt[0] * w[m].arm[0] + gt[1] * w[m].arm[1]);
		gy[ROW_A + m] = g[ROW_A + m] * by_a + speed * c[m].by_a;
		gy[ROW_F + m] = speed * c[m].by_l + force * c[m].force_by_l;
		const v pull = -p->force[m] * c[m].force, arm[2] = {gt[0] * pull, gt[1] * pull};
		FN(path_back)(p, ARM_COMPLIANT, m, y + ROW_QD, w[m], speed * c[m].by_whole + force * c[m].force_by_whole, splat(0), arm, gq, gqd);
	}
	for (int j = 0; j < 2; j++) gy[ROW_Q + j] = gq[j], gy[ROW_QD + j] = gqd[j];
}

// The four stages of a substep from y, stage i at y[i]; the state before limits in end.
static __attribute__((noinline)) void FN(substep)(const T_(par) *p, const v *s, v y[4][STATE_ROWS], v *end)
{
	v k[STATE_ROWS];
	const REAL h = p->dt, next[3] = {h / 2, h / 2, h}, weight[4] = {h / 6, h / 3, h / 3, h / 6};
	for (int i = 0; i < STATE_ROWS; i++) end[i] = y[0][i];
	for (int stage = 0; stage < 4; stage++) {
		FN(rates)(p, y[stage], s, k);
		for (int i = 0; i < STATE_ROWS; i++) {
			end[i] += weight[stage] * k[i];
			if (stage < 3) y[stage + 1][i] = y[0][i] + next[stage] * k[i];
		}
	}
}

INLINE void FN(limits)(const T_(par) *p, v *y)
{
	FN(stop)(p, y + ROW_Q, y + ROW_QD);
	for (int m = 0; m < ARM_MUSCLES; m++) y[ROW_A + m] = FN(clamp)(y[ROW_A + m], 0, 1);
}

// The state n after the step of s; where stages is not null, it gets the states before each substep.
INLINE void FN(compliant_step)(const T_(par) *p, int substeps, const v *s, v *n, v *stages)
{
	v y[4][STATE_ROWS], end[STATE_ROWS];
	for (int i = 0; i < STATE_ROWS; i++) end[i] = s[i];
	for (int k = 0; k < substeps; k++) {
		for (int i = 0; i < STATE_ROWS; i++) {
			y[0][i] = end[i];
			if (stages) stages[k * STATE_ROWS + i] = end[i];
		}
		FN(substep)(p, s, y, end);
		FN(limits)(p, end);
	}
	for (int i = 0; n && i < STATE_ROWS; i++) n[i] = end[i];
}

INLINE void FN(compliant_senses)(const T_(par) *p, const v *s, v *out)
{
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const T_(way) w = FN(path)(p, ARM_COMPLIANT, m, s + ROW_Q, s + ROW_QD);
		out[m] = s[ROW_F + m];
		out[ARM_MUSCLES + m] = FN(series)(p, m, w.length, s[ROW_F + m], s[ROW_A + m]).speed;
	}
}

INLINE void FN(compliant_forces)(const T_(par) *p, const v *s, v *out)
{
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const T_(way) w = FN(path)(p, ARM_COMPLIANT, m, s + ROW_Q, s + ROW_QD);
		out[m] = p->force[m] * FN(series)(p, m, w.length, s[ROW_F + m], s[ROW_A + m]).force;
	}
}

// See rigid_back.
INLINE void FN(compliant_back)(const T_(par) *p, int substeps, const v *s, const v *next, v *stages, v *g, const v *tip, const v *senses, v *gu, v *gl)
{
	v none[2] = {splat(0), splat(0)}, unused[2] = {splat(0), splat(0)};
	FN(hand_back)(ARM_COMPLIANT, FN(posture)(p, ARM_COMPLIANT, next + ROW_Q), tip, g + ROW_Q);
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const T_(way) w = FN(path)(p, ARM_COMPLIANT, m, next + ROW_Q, next + ROW_QD);
		const T_(pull) c = FN(series)(p, m, w.length, next[ROW_F + m], next[ROW_A + m]);
		const v speed = senses[ARM_MUSCLES + m];
		g[ROW_F + m] += senses[m] + speed * c.by_l;
		g[ROW_A + m] += speed * c.by_a;
		FN(path_back)(p, ARM_COMPLIANT, m, next + ROW_QD, w, speed * c.by_whole, splat(0), none, g + ROW_Q, unused);
		gu[m] = splat(0);
	}
	gl[0] = gl[1] = splat(0);
	FN(compliant_step)(p, substeps, s, 0, stages);
	const REAL h = p->dt, back[3] = {h / 2, h / 2, h}, weight[4] = {h / 6, h / 3, h / 3, h / 6};
	for (int k = substeps - 1; k >= 0; k--) {
		v y[4][STATE_ROWS], end[STATE_ROWS], gk[STATE_ROWS], gy[STATE_ROWS], sum[STATE_ROWS];
		for (int i = 0; i < STATE_ROWS; i++) y[0][i] = stages[k * STATE_ROWS + i];
		FN(substep)(p, s, y, end);
		FN(stop_back)(p, end + ROW_Q, end + ROW_QD, g + ROW_Q, g + ROW_QD);
		for (int m = 0; m < ARM_MUSCLES; m++) {
			const v a = end[ROW_A + m];
			g[ROW_A + m] = pick((vi)(a >= 0) & (vi)(a <= 1), g[ROW_A + m], splat(0));
		}
		for (int i = 0; i < STATE_ROWS; i++) sum[i] = g[i], gy[i] = splat(0);
		for (int stage = 3; stage >= 0; stage--) {
			for (int i = 0; i < STATE_ROWS; i++) gk[i] = weight[stage] * g[i] + (stage < 3 ? back[stage] : 0) * gy[i];
			FN(rates_back)(p, y[stage], s, gk, gy, gu, gl);
			for (int i = 0; i < STATE_ROWS; i++) sum[i] += gy[i];
		}
		for (int i = 0; i < STATE_ROWS; i++) g[i] = sum[i];
	}
}

// What the tendon pulls more than the fibres at rest, with its derivative by the fibres' length, and that by the whole muscle's.
INLINE T_(curve) FN(excess)(const T_(par) *p, const int m, v whole, v l, v *by_whole)
{
	const T_(pull) c = FN(series)(p, m, whole, l, splat(0));
	const T_(curve) fl = FN(gaussian)(p, l), fp = FN(stretch)(p, l);
	*by_whole = c.force_by_whole;
	return (T_(curve)){c.force - fp.x - p->least * fl.x, c.force_by_l - fp.d - p->least * fl.d};
}

enum { T_(bisections) = IS_DOUBLE ? 50 : 22 };

// Lengths at which the fibres rest in the posture of s.
INLINE void FN(compliant_reset)(const T_(par) *p, v *s)
{
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const v whole = FN(path)(p, ARM_COMPLIANT, m, s + ROW_Q, s + ROW_QD).length;
		v lo = splat(0), hi = (whole - p->tendon[m]) * p->ilength[m], by_whole;
		for (int i = 0; i < T_(bisections); i++) {
			const v mid = (REAL)0.5 * (lo + hi);
			const vi more = (vi)(FN(excess)(p, m, whole, mid, &by_whole).x > 0);
			lo = pick(more, mid, lo), hi = pick(more, hi, mid);
		}
		const v l = (REAL)0.5 * (lo + hi);
		const T_(curve) e = FN(excess)(p, m, whole, l, &by_whole);
		s[ROW_F + m] = l - e.x / e.d;
	}
}

INLINE void FN(compliant_reset_back)(const T_(par) *p, const v *s, const v *g, v *gq)
{
	v unused[2] = {splat(0), splat(0)}, by_whole;
	const v none[2] = {splat(0), splat(0)};
	gq[0] = g[ROW_Q], gq[1] = g[ROW_Q + 1];
	for (int m = 0; m < ARM_MUSCLES; m++) {
		const T_(way) w = FN(path)(p, ARM_COMPLIANT, m, s + ROW_Q, s + ROW_QD);
		const T_(curve) e = FN(excess)(p, m, w.length, s[ROW_F + m], &by_whole);
		FN(path_back)(p, ARM_COMPLIANT, m, s + ROW_QD, w, -g[ROW_F + m] * by_whole / e.d, splat(0), none, gq, unused);
	}
}
