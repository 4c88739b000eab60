// Batches: blocks of one vector of trials each, all gone through by the same instructions, so that what a trial gets depends on no other. A last block that is
// not full repeats its last trial.

static void FN(prepare)(arm_plant *p, const arm_parameters *from)
{
	const double *a = (const double *)from;
	REAL *b = p->par;
	for (size_t i = 0; i < sizeof *from / sizeof *a; i++) b[i] = (REAL)a[i];
}

static int FN(finite)(long n, const void *x)
{
	const REAL *a = x;
	vi bad = {0};
	long i = 0;
	for (; i + VL <= n; i += VL) {
		const v y = load(a + i) * 0;
		bad |= (vi)(y != 0);
	}
	int any = 0;
	for (int k = 0; k < VL; k++) any |= bad[k] != 0;
	for (; i < n; i++) any |= a[i] * 0 != 0;
	return !any;
}

INLINE v *FN(block)(const arm_plant *p, int slot, int b)
{
	return slot < 0 ? (v *)p->cot + (size_t)b * STATE_ROWS : (v *)p->slot + ((size_t)slot * p->blocks + b) * ROWS;
}

// n rows of block b from the columns of a row-major array, and back.
INLINE void FN(gather)(const arm_plant *p, int b, const int n, const void *src, v *rows)
{
	const long first = (long)b * VL, live = p->trials - first;
	const REAL *a = (const REAL *)src + first * n;
	REAL *r = (REAL *)rows;
	if (live >= VL) {
		for (int i = 0; i < VL; i++)
			for (int k = 0; k < n; k++) r[k * VL + i] = a[i * n + k];
	} else {
		for (int i = 0; i < VL; i++)
			for (int k = 0; k < n; k++) r[k * VL + i] = a[(i < live ? i : live - 1) * n + k];
	}
}

INLINE void FN(scatter)(const arm_plant *p, int b, const int n, const v *rows, void *dst)
{
	const long first = (long)b * VL, live = p->trials - first < VL ? p->trials - first : VL;
	const REAL *r = (const REAL *)rows;
	REAL *a = (REAL *)dst + first * n;
	for (int i = 0; i < live; i++)
		for (int k = 0; k < n; k++) a[i * n + k] = r[k * VL + i];
}

INLINE void FN(zero)(v *rows, int n)
{
	for (int i = 0; i < n; i++) rows[i] = splat(0);
}

static void FN(put)(arm_plant *p, int slot, int row, int n, const void *src)
{
	for (int b = 0; b < p->blocks; b++) FN(gather)(p, b, n, src, FN(block)(p, slot, b) + row);
}

static void FN(get)(const arm_plant *p, int slot, int row, int n, void *dst)
{
	for (int b = 0; b < p->blocks; b++) FN(scatter)(p, b, n, FN(block)(p, slot, b) + row, dst);
}

static void FN(reset)(arm_plant *p, int slot)
{
	for (int b = 0; b < p->blocks; b++) {
		v *s = FN(block)(p, slot, b);
		FN(zero)(s + ROW_QD, ROWS - ROW_QD);
		switch (p->body) {
		case ARM_26: FN(rigid_reset)(p->par, ARM_26, s); break;
		case ARM_THELEN: FN(rigid_reset)(p->par, ARM_THELEN, s); break;
		case ARM_POINT_MASS: FN(rigid_reset)(p->par, ARM_POINT_MASS, s); break;
		default: FN(compliant_reset)(p->par, s);
		}
	}
}

static void FN(reset_back)(arm_plant *p, int slot, void *joints)
{
	for (int b = 0; b < p->blocks; b++) {
		const v *s = FN(block)(p, slot, b), *g = FN(block)(p, -1, b);
		v gq[2];
		switch (p->body) {
		case ARM_26: FN(rigid_reset_back)(p->par, ARM_26, s, g, gq); break;
		case ARM_THELEN: FN(rigid_reset_back)(p->par, ARM_THELEN, s, g, gq); break;
		case ARM_POINT_MASS: FN(rigid_reset_back)(p->par, ARM_POINT_MASS, s, g, gq); break;
		default: FN(compliant_reset_back)(p->par, s, g, gq);
		}
		FN(scatter)(p, b, 2, gq, joints);
	}
}

INLINE void FN(steps)(arm_plant *p, const int body, int from, int to, const void *actions, const void *force)
{
	for (int b = 0; b < p->blocks; b++) {
		v *s = FN(block)(p, from, b);
		FN(gather)(p, b, MUSCLES(body), actions, s + ROW_U);
		if (force) FN(gather)(p, b, 2, force, s + ROW_LOAD);
		else FN(zero)(s + ROW_LOAD, 2);
		v *n = FN(block)(p, to, b);
		if (body == ARM_COMPLIANT) FN(compliant_step)(p->par, p->substeps, s, n, 0);
		else FN(rigid_step)(p->par, body, s, n, 0);
	}
}

static void FN(step)(arm_plant *p, int from, int to, const void *actions, const void *force)
{
	switch (p->body) {
	case ARM_26: FN(steps)(p, ARM_26, from, to, actions, force); break;
	case ARM_THELEN: FN(steps)(p, ARM_THELEN, from, to, actions, force); break;
	case ARM_POINT_MASS: FN(steps)(p, ARM_POINT_MASS, from, to, actions, force); break;
	default: FN(steps)(p, ARM_COMPLIANT, from, to, actions, force);
	}
}

static void FN(tip)(const arm_plant *p, int slot, void *dst)
{
	for (int b = 0; b < p->blocks; b++) {
		const T_(pose) h = FN(posture)(p->par, p->body, FN(block)(p, slot, b) + ROW_Q);
		const v out[2] = {h.x, h.y};
		FN(scatter)(p, b, 2, out, dst);
	}
}

static void FN(senses)(const arm_plant *p, int slot, void *dst)
{
	for (int b = 0; b < p->blocks; b++) {
		const v *s = FN(block)(p, slot, b);
		v out[2 * ARM_MUSCLES];
		switch (p->body) {
		case ARM_POINT_MASS:
			FN(rigid_senses)(p->par, ARM_POINT_MASS, s, out);
			FN(scatter)(p, b, 2 * MUSCLES(ARM_POINT_MASS), out, dst);
			continue;
		case ARM_COMPLIANT: FN(compliant_senses)(p->par, s, out); break;
		default: FN(rigid_senses)(p->par, ARM_26, s, out);
		}
		FN(scatter)(p, b, 2 * ARM_MUSCLES, out, dst);
	}
}

static void FN(forces)(const arm_plant *p, int slot, void *dst)
{
	for (int b = 0; b < p->blocks; b++) {
		const v *s = FN(block)(p, slot, b);
		v out[ARM_MUSCLES];
		if (p->body == ARM_COMPLIANT) {
			FN(compliant_forces)(p->par, s, out);
			FN(scatter)(p, b, ARM_MUSCLES, out, dst);
		} else {
			FN(scatter)(p, b, MUSCLES(p->body), s + ROW_F, dst);
		}
	}
}

INLINE void FN(backs)(arm_plant *p, const int body, int from, int to, const void *tip, const void *senses, void *actions, void *force)
{
	v t[2], w[2 * ARM_MUSCLES], gu[ARM_MUSCLES], gl[2];
	FN(zero)(t, 2);
	FN(zero)(w, 2 * ARM_MUSCLES);
	for (int b = 0; b < p->blocks; b++) {
		const v *s = FN(block)(p, from, b), *n = FN(block)(p, to, b);
		v *g = FN(block)(p, -1, b);
		if (tip) FN(gather)(p, b, 2, tip, t);
		if (senses) FN(gather)(p, b, 2 * MUSCLES(body), senses, w);
		if (body == ARM_COMPLIANT) FN(compliant_back)(p->par, p->substeps, s, n, p->stages, g, t, w, gu, gl);
		else FN(rigid_back)(p->par, body, s, n, g, t, w, gu, gl);
		FN(scatter)(p, b, MUSCLES(body), gu, actions);
		if (force) FN(scatter)(p, b, 2, gl, force);
	}
}

static void FN(back)(arm_plant *p, int from, int to, const void *tip, const void *senses, void *actions, void *force)
{
	switch (p->body) {
	case ARM_26: FN(backs)(p, ARM_26, from, to, tip, senses, actions, force); break;
	case ARM_THELEN: FN(backs)(p, ARM_THELEN, from, to, tip, senses, actions, force); break;
	case ARM_POINT_MASS: FN(backs)(p, ARM_POINT_MASS, from, to, tip, senses, actions, force); break;
	default: FN(backs)(p, ARM_COMPLIANT, from, to, tip, senses, actions, force);
	}
}

static void FN(probe)(arm_plant *p, int slot, void *dst)
{
	for (int b = 0; b < p->blocks; b++) {
		v n[STATE_ROWS], out[PROBE_ROWS];
		FN(zero)(out, PROBE_ROWS);
		if (p->body == ARM_THELEN) FN(rigid_step)(p->par, ARM_THELEN, FN(block)(p, slot, b), n, out);
		else FN(rigid_step)(p->par, ARM_26, FN(block)(p, slot, b), n, out);
		FN(scatter)(p, b, PROBE_ROWS, out, dst);
	}
}
