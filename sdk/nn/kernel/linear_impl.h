// A linear map of many rows, in blocks that fit the first cache.
enum { T_(block) = 64 };

static void FN(linear_pack)(ctdb_linear *p, const void *w_, const void *b_)
{
	const REAL *w = w_, *b = b_;
	REAL *pw = p->w, *pt = p->wb, *pb = p->bo;
	const int In = p->In, Out = p->Out;
	for (int o = 0; o < p->Outp; o++) {
		for (int i = 0; i < In; i++) pw[((size_t)(o / VL) * In + i) * VL + o % VL] = o < Out ? w[(size_t)o * In + i] : 0;
		pb[o] = o < Out && b ? b[o] : 0;
	}
	for (int i = 0; i < p->Inp; i++)
		for (int o = 0; o < Out; o++) pt[((size_t)(i / VL) * Out + o) * VL + i % VL] = i < In ? w[(size_t)o * In + i] : 0;
}

static void FN(linear_forward)(ctdb_linear *p, int worker, long rows, const void *x_, void *y_)
{
	const REAL *x = x_;
	REAL *y = y_, *xs = (REAL *)(p->scratch + worker * p->per_worker), *ys = xs + (size_t)T_(block) * p->Inp;
	for (long r = 0; r < rows; r += T_(block)) {
		int n = rows - r < T_(block) ? rows - r : T_(block), np = (n + MR - 1) / MR * MR;
		const REAL *a = x + r * p->In;
		if (n != np) {
			FN(gather)(a, p->In, n, p->In, xs, np, p->In);
			a = xs;
		}
		FN(product_from)(np, p->Outp / VL, p->In, a, p->In, p->w, p->bo, 0, ys, p->Outp);
		FN(scatter)(ys, p->Outp, n, p->Out, y + r * p->Out, p->Out);
	}
}

// gw (Out, In) and gb (Out) are added to; any result may be NULL.
static void FN(linear_backward)(ctdb_linear *p, int worker, long rows, const void *x_, const void *cot_, void *gx_, void *gw_, void *gb_)
{
	const REAL *x = x_, *cot = cot_;
	REAL *gx = gx_, *gw = gw_, *gb = gb_;
	const int Inp = p->Inp, Outp = p->Outp;
	REAL *xs = (REAL *)(p->scratch + worker * p->per_worker), *ys = xs + (size_t)T_(block) * Inp;
	REAL *ds = ys + (size_t)T_(block) * Outp, *dw = ds + (size_t)T_(block) * Inp, *db = dw + (size_t)Outp * Inp;
	__builtin_memset(dw, 0, sizeof(REAL) * ((size_t)Outp * Inp + Outp));
	for (long r = 0; r < rows; r += T_(block)) {
		int n = rows - r < T_(block) ? rows - r : T_(block), np = (n + MR - 1) / MR * MR;
		FN(gather)(cot + r * p->Out, p->Out, n, p->Out, ys, np, Outp);
		if (gx) {
			FN(product_from)(np, Inp / VL, p->Out, ys, Outp, p->wb, 0, 0, ds, Inp);
			FN(scatter)(ds, Inp, n, p->In, gx + r * p->In, p->In);
		}
		if (gw) {
			FN(gather)(x + r * p->In, p->In, n, p->In, xs, np, Inp);
			FN(product_tn)(Outp, Inp / VL, np, ys, Outp, xs, Inp, dw, Inp);
		}
		if (gb) FN(column_sums)(ys, np, Outp, db);
	}
	if (gw) FN(add_rows)(dw, Inp, p->Out, p->In, gw, p->In);
	if (gb) FN(add_rows)(db, Outp, 1, p->Out, gb, p->Out);
}
