// Paths of the muscles: polynomials of the joint angles, or straight lines to the point mass. See body.Polynomial and body.Straight.

typedef struct {
	v length, speed, arm[2];
} T_(way);

INLINE T_(way) FN(path)(const T_(par) *p, const int body, const int m, const v *q, const v *qd)
{
	T_(way) w;
	const v x = q[0] - (body == ARM_POINT_MASS ? p->anchor[0][m] : p->origin[0]), y = q[1] - (body == ARM_POINT_MASS ? p->anchor[1][m] : p->origin[1]);
	if (body == ARM_POINT_MASS) {
		w.length = SQRT(x * x + y * y);
		const v i = (REAL)1 / w.length;
		w.arm[0] = x * i, w.arm[1] = y * i;
	} else {
		const v bx = p->a2[0][m] * x, by = p->a2[1][m] * y;
		w.length = (p->a1[0][m] + bx) * x + (p->a1[1][m] + by) * y + p->a0[m];
		w.arm[0] = p->a1[0][m] + (bx + bx), w.arm[1] = p->a1[1][m] + (by + by);
	}
	w.speed = w.arm[0] * qd[0] + w.arm[1] * qd[1];
	return w;
}

// From the gradients by a path's length, speed and moment arms to those by q and qd, added.
INLINE void FN(path_back)(const T_(par) *p, const int body, const int m, const v *qd, T_(way) w, v length, v speed, const v *arm, v *gq, v *gqd)
{
	v a[2] = {arm[0] + speed * qd[0], arm[1] + speed * qd[1]};
	if (body == ARM_POINT_MASS) {
		// The unit vector n along the path turns by (1 - n n') / length.
		const v along = w.arm[0] * a[0] + w.arm[1] * a[1], i = (REAL)1 / w.length;
		for (int j = 0; j < 2; j++) a[j] = (a[j] - w.arm[j] * along) * i;
	} else {
		for (int j = 0; j < 2; j++) a[j] = (p->a2[j][m] + p->a2[j][m]) * a[j];
	}
	for (int j = 0; j < 2; j++) {
		gq[j] += length * w.arm[j] + a[j];
		gqd[j] += speed * w.arm[j];
	}
}
