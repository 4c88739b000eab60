// Skeletons: accelerations, the hand, and their adjoints. See body.TwoLink and body.PointMass.

// What of a posture everything else is made of: sines and cosines of q1 and q2, the hand seen from the shoulder (x, y) and from the elbow (x2, y2).
typedef struct {
	v s2, c2, x, y, x2, y2;
} T_(pose);

INLINE void FN(sincos)(v q, v *s, v *c) { FN(sincospi)(q * (REAL)0.318309886183790672, s, c); }

INLINE T_(pose) FN(posture)(const T_(par) *p, const int body, const v *q)
{
	T_(pose) h = {0};
	if (body == ARM_POINT_MASS) {
		h.x = q[0], h.y = q[1];
		return h;
	}
	v s1, c1;
	FN(sincos)(q[0], &s1, &c1);
	FN(sincos)(q[1], &h.s2, &h.c2);
	h.x2 = p->lower * (c1 * h.c2 - s1 * h.s2), h.y2 = p->lower * (s1 * h.c2 + c1 * h.s2);
	h.x = p->upper * c1 + h.x2, h.y = p->upper * s1 + h.y2;
	return h;
}

// What goes with an acceleration on the way back.
typedef struct {
	v m11, m12, idet, h; // of the mass matrix, its determinant, and k sin(q2)
} T_(inertia);

INLINE void FN(accelerate)(const T_(par) *p, const int body, T_(pose) h, const v *qd, const v *torque, const v *load, v *qdd, T_(inertia) *keep)
{
	if (body == ARM_POINT_MASS) {
		for (int j = 0; j < 2; j++) qdd[j] = (torque[j] + load[j]) * p->imass;
		return;
	}
	const v k = p->coupling * h.c2, m11 = (k + k) + p->mass11, m12 = k + p->mass12, b = p->coupling * h.s2;
	const REAL m22 = p->mass12;
	const v r1 = torque[0] + (h.x * load[1] - h.y * load[0]) + b * (qd[0] + qd[0] + qd[1]) * qd[1];
	const v r2 = torque[1] + (h.x2 * load[1] - h.y2 * load[0]) - b * qd[0] * qd[0];
	const v idet = (REAL)1 / (m11 * m22 - m12 * m12);
	qdd[0] = (m22 * r1 - m12 * r2) * idet;
	qdd[1] = (m11 * r2 - m12 * r1) * idet;
	*keep = (T_(inertia)){m11, m12, idet, b};
}

// From the gradient g by qdd, that by torque to gt, by load to gl; what goes to q and qd is added to gq and gqd.
INLINE void FN(accelerate_back)(const T_(par) *p, const int body, T_(pose) h, const v *qd, const v *load, const v *qdd, T_(inertia) m, const v *g, v *gq, v *gqd,
	v *gt, v *gl)
{
	if (body == ARM_POINT_MASS) {
		for (int j = 0; j < 2; j++) gt[j] = gl[j] = g[j] * p->imass;
		return;
	}
	const REAL m22 = p->mass12;
	const v w1 = (m22 * g[0] - m.m12 * g[1]) * m.idet, w2 = (m.m11 * g[1] - m.m12 * g[0]) * m.idet;
	gt[0] = w1, gt[1] = w2;
	gl[0] = -(h.y * w1 + h.y2 * w2), gl[1] = h.x * w1 + h.x2 * w2;
	// the load's torques turn with the arm
	const v e = h.x * load[0] + h.y * load[1], e2 = h.x2 * load[0] + h.y2 * load[1];
	gq[0] -= w1 * e + w2 * e2;
	gq[1] -= (w1 + w2) * e2;
	// the mass matrix by k cos(q2), the Coriolis torques by k sin(q2)
	const v by_cos = -(w1 * (qdd[0] + qdd[0] + qdd[1]) + w2 * qdd[0]), by_sin = w1 * (qd[0] + qd[0] + qd[1]) * qd[1] - w2 * qd[0] * qd[0];
	gq[1] += p->coupling * (by_sin * h.c2 - by_cos * h.s2);
	const v a = m.h * w1, b = m.h * w2;
	gqd[0] += (a * qd[1] - b * qd[0]) * (REAL)2;
	gqd[1] += a * (qd[0] + qd[1]) * (REAL)2;
}

// Adds the gradient g by the hand to that by q.
INLINE void FN(hand_back)(const int body, T_(pose) h, const v *g, v *gq)
{
	if (body == ARM_POINT_MASS) {
		gq[0] += g[0], gq[1] += g[1];
		return;
	}
	gq[0] += h.x * g[1] - h.y * g[0];
	gq[1] += h.x2 * g[1] - h.y2 * g[0];
}

// Keeps coordinates within their limits: one at or past a limit that moves outward stops there.
INLINE void FN(stop)(const T_(par) *p, v *q, v *qd)
{
	for (int j = 0; j < 2; j++) {
		const vi out = ((vi)(q[j] <= p->lo[j]) & (vi)(qd[j] < 0)) | ((vi)(q[j] >= p->hi[j]) & (vi)(qd[j] > 0));
		qd[j] = pick(out, splat(0), qd[j]);
		q[j] = FN(clamp)(q[j], p->lo[j], p->hi[j]);
	}
}

// The gradient by coordinates and velocities before stop, q and qd.
INLINE void FN(stop_back)(const T_(par) *p, const v *q, const v *qd, v *gq, v *gqd)
{
	for (int j = 0; j < 2; j++) {
		const vi out = ((vi)(q[j] <= p->lo[j]) & (vi)(qd[j] < 0)) | ((vi)(q[j] >= p->hi[j]) & (vi)(qd[j] > 0));
		gqd[j] = pick(out, splat(0), gqd[j]);
		gq[j] = pick((vi)(q[j] >= p->lo[j]) & (vi)(q[j] <= p->hi[j]), gq[j], splat(0));
	}
}
