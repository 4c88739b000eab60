// The product that all cells are made of, on matrices that stay in the first-level cache: what it reaches there is the peak that whole steps are held against.

// C (M, 3 * 64 bytes) += A (M, K) B, times times; M at most 32, a multiple of MR, K at most 128, M K at most 2048. The result keeps the compiler from leaving it out.
static double FN(product_repeat)(long M, long K, long times)
{
	enum { N = 192 / sizeof(REAL) };
	REAL a[2048] __attribute__((aligned(64))), b[128 * N] __attribute__((aligned(64))), c[32 * N] __attribute__((aligned(64)));
	for (long i = 0; i < M * K; i++) a[i] = (REAL)(i % 7 - 2) / 64;
	for (long i = 0; i < K * N; i++) b[i] = (REAL)(i % 5 - 1) / 64;
	for (long i = 0; i < M * N; i++) c[i] = 0;
	while (times-- > 0) FN(product_nn)(M, N / VL, K, a, K, b, c, N);
	double sum = 0;
	for (long i = 0; i < M * N; i++) sum += c[i];
	return sum;
}
