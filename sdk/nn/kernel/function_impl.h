// Functions of each element of an array, the very ones of the cells' gates.

#define OF_EACH(name, function) \
	static void FN(name)(long n, const void *x_, void *y_) \
	{ \
		const REAL *x = x_; \
		REAL *y = y_; \
		for (long i = 0; i < n; i += VL) { \
			const long m = n - i; \
			FN(store_part)(y + i, m, FN(function)(m >= VL ? load(x + i) : FN(part)(x + i, m, 0))); \
		} \
	}

OF_EACH(sigmoids, sigmoid)
OF_EACH(tanhs, vtanh)
#undef OF_EACH
