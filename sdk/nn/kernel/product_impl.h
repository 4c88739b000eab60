// Products of small padded matrices. Tiles of MR rows by up to NV vectors stay in registers; B is read in whole vectors, A is broadcast.

// C (mr x nv vectors) = C0 + A (mr x parts K, row stride lda) B, B as nv panels [parts K][lanes] that lie pb apart. The parts of A's rows, K numbers each, begin part apart. C0 has rows ld0 apart, of which 0 is one row for all, and is 0 if
// NULL. What C becomes is one of CTDB_AS_IS and so on, g being laid out like C. If ahead is not NULL it is memory needed next: parts K cache lines of it are fetched
// meanwhile (a line past its end does no harm).
INLINE void FN(tile_nn)(const int mr, const int nv, const int parts, long part, long K, const REAL *a, long lda, const REAL *b, long pb, const REAL *c0, long ld0, REAL *c, long ldc, const int as, const REAL *g,
	const char *ahead)
{
	v acc[8][4];
	_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
		_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[i][j] = c0 ? *(const v *)(c0 + i * ld0 + j * VL) : splat(0);
	for (int q = 0; q < parts; q++, a += part, b += K * VL) {
		for (long k = 0; k < K; k++) {
			v bb[4];
			if (ahead) __builtin_prefetch(ahead + k * 64, 0, 2);
			_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) bb[j] = *(const v *)(b + j * pb + k * VL);
			_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
				_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[i][j] += bb[j] * a[i * lda + k];
		}
		if (ahead) ahead += K * 64;
	}
	_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
		_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) {
			const v f = as >= CTDB_BEFORE_RELU ? *(const v *)(g + i * ldc + j * VL) : splat(0);
			if (as == CTDB_RECTIFIED) acc[i][j] = FN(relu)(acc[i][j]);
			if (as == CTDB_BEFORE_RELU) acc[i][j] = pick((vi)(f > splat(0)), acc[i][j], splat(0));
			if (as == CTDB_BEFORE_TANH) acc[i][j] *= (REAL)1 - f * f;
			*(v *)(c + i * ldc + j * VL) = acc[i][j];
		}
}

// How many of n remaining vectors the next tile takes: at most 3, and 2+2 rather than 3+1.
INLINE int FN(next_nv)(int n)
{
	if (NV >= 3 && (n == 3 || n > 4)) return 3;
	return n < 2 ? 1 : 2;
}

// C (M x nvec vectors) = C0 + A B for M a multiple of MR; C0, as and g as above. Two pieces of memory that are needed next are fetched meanwhile, each as its start and
// its end (or NULL), parts K cache lines for each tile.
INLINE void FN(product_whole)(long M, int nvec, const int parts, long part, long K, const REAL *a, long lda, const REAL *b, const REAL *c0, long ld0, REAL *c, long ldc, const int as, const REAL *g,
	const char *next[4])
{
	const char *ahead = next[0], *end = next[1];
	int second = 0;
	for (int j = 0, n; j < nvec; j += n) {
		n = FN(next_nv)(nvec - j);
		const long size = parts * K * VL;
		const REAL *bj = b + j * size;
		for (long i = 0; i < M; i += MR) {
			const REAL *ai = a + i * lda, *c0i = c0 ? c0 + i * ld0 + j * VL : 0, *gi = g + i * ldc + j * VL;
			REAL *ci = c + i * ldc + j * VL;
			if (ahead >= end && !second) second = 1, ahead = next[2], end = next[3];
			if (ahead < end) {
				if (n == 3) FN(tile_nn)(MR, 3, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, ahead);
				else if (n == 2) FN(tile_nn)(MR, 2, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, ahead);
				else FN(tile_nn)(MR, 1, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, ahead);
				ahead += parts * K * 64;
				continue;
			}
			if (n == 3) FN(tile_nn)(MR, 3, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, 0);
			else if (n == 2) FN(tile_nn)(MR, 2, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, 0);
			else FN(tile_nn)(MR, 1, parts, part, K, ai, lda, bj, size, c0i, ld0, ci, ldc, as, gi, 0);
		}
	}
}

// C += A B
static void FN(product_nn)(long M, int nvec, long K, const REAL *a, long lda, const REAL *b, REAL *c, long ldc)
{
	const char *none[4] = {0};
	FN(product_whole)(M, nvec, 1, 0, K, a, lda, b, c, ldc, c, ldc, CTDB_AS_IS, c, none);
}

// C = C0 + A B, C0 with rows ld0 apart.
static void FN(product_from)(long M, int nvec, long K, const REAL *a, long lda, const REAL *b, const REAL *c0, long ld0, REAL *c, long ldc)
{
	const char *none[4] = {0};
	FN(product_whole)(M, nvec, 1, 0, K, a, lda, b, c0, ld0, c, ldc, CTDB_AS_IS, c, none);
}

// C (mr x nv vectors) += A^T B, A (K x mr), B (K x nv vectors), both by rows.
INLINE void FN(tile_tn)(const int mr, const int nv, long K, const REAL *a, long lda, const REAL *b, long ldb, REAL *c, long ldc)
{
	v acc[8][4];
	_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
		_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[i][j] = *(const v *)(c + i * ldc + j * VL);
	for (long k = 0; k < K; k++) {
		v bb[4];
		_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) bb[j] = *(const v *)(b + k * ldb + j * VL);
		_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
			_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) acc[i][j] += bb[j] * a[k * lda + i];
	}
	_Pragma("GCC unroll 8") for (int i = 0; i < mr; i++)
		_Pragma("GCC unroll 4") for (int j = 0; j < nv; j++) *(v *)(c + i * ldc + j * VL) = acc[i][j];
}

// C (M x nvec vectors) += A^T B for M a multiple of 4.
static void FN(product_tn)(int M, int nvec, long K, const REAL *a, long lda, const REAL *b, long ldb, REAL *c, long ldc)
{
	for (int j = 0, n; j < nvec; j += n) {
		n = FN(next_nv)(nvec - j);
		const REAL *bj = b + j * VL;
		for (int i = 0, m; i < M; i += m) {
			REAL *ci = c + i * ldc + j * VL;
			m = MR == 8 && M - i >= 8 ? 8 : 4;
			if (m == 8) {
				if (n == 3) FN(tile_tn)(MR, 3, K, a + i, lda, bj, ldb, ci, ldc);
				else if (n == 2) FN(tile_tn)(MR, 2, K, a + i, lda, bj, ldb, ci, ldc);
				else FN(tile_tn)(MR, 1, K, a + i, lda, bj, ldb, ci, ldc);
			} else {
				if (n == 3) FN(tile_tn)(4, 3, K, a + i, lda, bj, ldb, ci, ldc);
				else if (n == 2) FN(tile_tn)(4, 2, K, a + i, lda, bj, ldb, ci, ldc);
				else FN(tile_tn)(4, 1, K, a + i, lda, bj, ldb, ci, ldc);
			}
		}
	}
}

// Copies n valid columns of rows rows into padded rows of width p, zero beyond, up to rp rows.
static void FN(gather)(const REAL *src, long src_row, int rows, int n, REAL *dst, int rp, int p)
{
	for (int i = 0; i < rp; i++) {
		REAL *d = dst + (long)i * p;
		int m = i < rows ? n : 0;
		const REAL *s = src + i * src_row;
		for (int j = 0; j < m; j++) d[j] = s[j];
		for (int j = m; j < p; j++) d[j] = 0;
	}
}

static void FN(scatter)(const REAL *src, long src_row, int rows, int n, REAL *dst, long dst_row)
{
	for (int i = 0; i < rows; i++)
		__builtin_memcpy(dst + i * dst_row, src + i * src_row, n * sizeof(REAL));
}

static void FN(add_rows)(const REAL *src, long src_row, int rows, int n, REAL *dst, long dst_row)
{
	for (int i = 0; i < rows; i++) {
		const REAL *s = src + i * src_row;
		REAL *d = dst + i * dst_row;
		for (int j = 0; j < n; j++) d[j] += s[j];
	}
}
