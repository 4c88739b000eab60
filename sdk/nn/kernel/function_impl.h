// Functions of each element of an array, the very ones of the cells' gates.

static void FN(sigmoids)(long n, const void *x_, void *y_)
{
	const REAL *x = x_;
	REAL *y = y_;
	for (long i = 0; i < n; i += VL) {
		const long m = n - i;
		FN(store_part)(y + i, m, FN(sigmoid)(m >= VL ? load(x + i) : FN(part)(x + i, m, 0)));
	}
}

static void FN(tanhs)(long n, const void *x_, void *y_)
{
	const REAL *x = x_;
	REAL *y = y_;
	for (long i = 0; i < n; i += VL) {
		const long m = n - i;
		FN(store_part)(y + i, m, FN(vtanh)(m >= VL ? load(x + i) : FN(part)(x + i, m, 0)));
	}
}
