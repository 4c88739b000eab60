// Bodies whose tendons do not stretch, stepped by Euler's method. See body.Rigid.

// Muscles of a body.
#define MUSCLES(body) ((body) == ARM_POINT_MASS ? 4 : ARM_MUSCLES)

// Length and velocity of muscle m's fibres, normalised.
INLINE void FN(fibre)(const T_(par) *p, const int m, T_(way) w, v *l, v *speed)
{
	*l = MAX(splat(p->shortest), w.length - p->tendon[m]) * p->ilength[m];
	*speed = w.speed * p->ivmax[m];
}

// Forces of the muscles, inactive, in the posture of s.
INLINE void FN(rigid_reset)(const T_(par) *p, const int body, v *s)
{
	for (int m = 0; m < MUSCLES(body); m++) {
		v l, w;
		FN(fibre)(p, m, FN(path)(p, body, m, s + ROW_Q, s + ROW_QD), &l, &w);
		s[ROW_F + m] = FN(contract)(p, body, m, s[ROW_A + m], l, w).force;
	}
}

// From the gradient g by the state after reset to that by the posture.
INLINE void FN(rigid_reset_back)(const T_(par) *p, const int body, const v *s, const v *g, v *gq)
{
	v gqd[2] = {splat(0), splat(0)};
	const v none[2] = {splat(0), splat(0)};
	gq[0] = g[ROW_Q], gq[1] = g[ROW_Q + 1];
	for (int m = 0; m < MUSCLES(body); m++) {
		v l, w;
		const T_(way) way = FN(path)(p, body, m, s + ROW_Q, s + ROW_QD);
		FN(fibre)(p, m, way, &l, &w);
		const T_(contraction) c = FN(contract)(p, body, m, s[ROW_A + m], l, w);
		const v by_length = pick((vi)(way.length - p->tendon[m] >= p->shortest), g[ROW_F + m] * c.by_l * p->ilength[m], splat(0));
		FN(path_back)(p, body, m, s + ROW_QD, way, by_length, g[ROW_F + m] * c.by_v * p->ivmax[m], none, gq, gqd);
	}
}

// The state n after that of s; where probe is not null, what is computed on the way.
INLINE void FN(rigid_step)(const T_(par) *p, const int body, const v *s, v *n, v *probe)
{
	v torque[2] = {splat(0), splat(0)}, q[2], qd[2], qdd[2];
	for (int m = 0; m < MUSCLES(body); m++) {
		const T_(way) w = FN(path)(p, body, m, s + ROW_Q, s + ROW_QD);
		for (int j = 0; j < 2; j++) torque[j] -= s[ROW_F + m] * w.arm[j];
		v l, speed, by_a, by_u;
		FN(fibre)(p, m, w, &l, &speed);
		const v rate = FN(rate)(p, s[ROW_A + m], FN(clamp)(s[ROW_U + m], 0, 1), &by_a, &by_u);
		const v a = FN(clamp)(s[ROW_A + m] + p->dt * rate, 0, 1);
		const T_(contraction) c = FN(contract)(p, body, m, a, l, speed);
		n[ROW_A + m] = a, n[ROW_F + m] = c.force;
		if (probe) {
			probe[PROBE_RATE + m] = rate, probe[PROBE_LENGTH + m] = w.length, probe[PROBE_SPEED + m] = w.speed;
			probe[PROBE_ARM + m] = w.arm[0], probe[PROBE_ARM + ARM_MUSCLES + m] = w.arm[1], probe[PROBE_L + m] = l, probe[PROBE_V + m] = speed;
			probe[PROBE_ACTIVE + m] = c.active, probe[PROBE_PASSIVE + m] = c.passive, probe[PROBE_VELOCITY + m] = c.velocity;
		}
	}
	T_(inertia) keep;
	FN(accelerate)(p, body, FN(posture)(p, body, s + ROW_Q), s + ROW_QD, torque, s + ROW_LOAD, qdd, &keep);
	for (int j = 0; j < 2; j++) {
		q[j] = s[ROW_Q + j] + p->dt * s[ROW_QD + j];
		qd[j] = s[ROW_QD + j] + p->dt * qdd[j];
		if (probe) probe[PROBE_TORQUE + j] = torque[j], probe[PROBE_QDD + j] = qdd[j];
	}
	FN(stop)(p, q, qd);
	for (int j = 0; j < 2; j++) n[ROW_Q + j] = q[j], n[ROW_QD + j] = qd[j];
}

INLINE void FN(rigid_senses)(const T_(par) *p, const int body, const v *s, v *out)
{
	for (int m = 0; m < MUSCLES(body); m++) FN(fibre)(p, m, FN(path)(p, body, m, s + ROW_Q, s + ROW_QD), out + m, out + MUSCLES(body) + m);
}

// From the gradient g by the state after the step of s, and those by its fingertip and senses, to g by the state before, gu by the excitations and gl by the load.
// next is the state after.
INLINE void FN(rigid_back)(const T_(par) *p, const int body, const v *s, const v *next, v *g, const v *tip, const v *senses, v *gu, v *gl)
{
	T_(way) w[ARM_MUSCLES];
	v torque[2] = {splat(0), splat(0)}, q[2], qd[2], qdd[2], gt[2];
	for (int m = 0; m < MUSCLES(body); m++) {
		w[m] = FN(path)(p, body, m, s + ROW_Q, s + ROW_QD);
		for (int j = 0; j < 2; j++) torque[j] -= s[ROW_F + m] * w[m].arm[j];
	}
	T_(inertia) inertia;
	const T_(pose) pose = FN(posture)(p, body, s + ROW_Q);
	FN(accelerate)(p, body, pose, s + ROW_QD, torque, s + ROW_LOAD, qdd, &inertia);
	for (int j = 0; j < 2; j++) {
		q[j] = s[ROW_Q + j] + p->dt * s[ROW_QD + j];
		qd[j] = s[ROW_QD + j] + p->dt * qdd[j];
	}

	v gq[2] = {g[ROW_Q], g[ROW_Q + 1]}, gqd[2] = {g[ROW_QD], g[ROW_QD + 1]}, gqdd[2];
	FN(hand_back)(body, FN(posture)(p, body, next + ROW_Q), tip, gq);
	FN(stop_back)(p, q, qd, gq, gqd);
	for (int j = 0; j < 2; j++) {
		gqdd[j] = p->dt * gqd[j];
		gqd[j] += p->dt * gq[j];
	}
	FN(accelerate_back)(p, body, pose, s + ROW_QD, s + ROW_LOAD, qdd, inertia, gqdd, gq, gqd, gt, gl);
	for (int m = 0; m < MUSCLES(body); m++) {
		v l, speed, by_a, by_u;
		FN(fibre)(p, m, w[m], &l, &speed);
		const v u = s[ROW_U + m], rate = FN(rate)(p, s[ROW_A + m], FN(clamp)(u, 0, 1), &by_a, &by_u);
		const v raw = s[ROW_A + m] + p->dt * rate;
		const T_(contraction) c = FN(contract)(p, body, m, FN(clamp)(raw, 0, 1), l, speed);
		const v gf = g[ROW_F + m];
		const v ga = pick((vi)(raw >= 0) & (vi)(raw <= 1), g[ROW_A + m] + gf * c.by_a, splat(0));
		gu[m] = pick((vi)(u >= 0) & (vi)(u <= 1), p->dt * ga * by_u, splat(0));
		g[ROW_A + m] = ga + p->dt * ga * by_a;
		g[ROW_F + m] = -(gt[0] * w[m].arm[0] + gt[1] * w[m].arm[1]);
		const v by_length = pick((vi)(w[m].length - p->tendon[m] >= p->shortest), (gf * c.by_l + senses[m]) * p->ilength[m], splat(0));
		const v arm[2] = {-gt[0] * s[ROW_F + m], -gt[1] * s[ROW_F + m]};
		FN(path_back)(p, body, m, s + ROW_QD, w[m], by_length, (gf * c.by_v + senses[MUSCLES(body) + m]) * p->ivmax[m], arm, gq, gqd);
	}
	for (int j = 0; j < 2; j++) g[ROW_Q + j] = gq[j], g[ROW_QD + j] = gqd[j];
}
