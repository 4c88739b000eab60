// Philox4x32-10 for 16 consecutive blocks at once, and what is made of its words; the layout is described in philox.go.

// w[word][q]: block first + q.
static void FN(philox)(uint64_t key, uint64_t trial, uint32_t bin, uint32_t first, uint32_t w[4][16])
{
	uint32_t c0[16], c1[16], c2[16], c3[16];
	for (int q = 0; q < 16; q++) {
		c0[q] = first + q;
		c1[q] = bin;
		c2[q] = (uint32_t)trial;
		c3[q] = (uint32_t)(trial >> 32);
	}
	uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
	for (int round = 0; round < 10; round++) {
		_Pragma("GCC ivdep") for (int q = 0; q < 16; q++) {
			uint64_t p0 = (uint64_t)c0[q] * 0xD2511F53u, p1 = (uint64_t)c2[q] * 0xCD9E8D57u;
			uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[q] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[q] ^ k1;
			c1[q] = (uint32_t)p1;
			c3[q] = (uint32_t)p0;
			c0[q] = n0;
			c2[q] = n2;
		}
		k0 += 0x9E3779B9u;
		k1 += 0xBB67AE85u;
	}
	__builtin_memcpy(w[0], c0, sizeof c0);
	__builtin_memcpy(w[1], c1, sizeof c1);
	__builtin_memcpy(w[2], c2, sizeof c2);
	__builtin_memcpy(w[3], c3, sizeof c3);
}

// 64 standard normal numbers of one group of channels, by Box and Muller.
static void FN(normals64)(uint64_t key, uint64_t trial, uint32_t bin, uint32_t group, REAL *dst)
{
	uint32_t w[4][16];
	REAL f[4][16];
	FN(philox)(key, trial, bin, 16 * group, w);
	for (int q = 0; q < 16; q++) f[0][q] = (REAL)(int32_t)(w[0][q] >> 1);
	for (int q = 0; q < 16; q++) f[1][q] = (REAL)(int32_t)w[1][q];
	for (int q = 0; q < 16; q++) f[2][q] = (REAL)(int32_t)(w[2][q] >> 1);
	for (int q = 0; q < 16; q++) f[3][q] = (REAL)(int32_t)w[3][q];
	for (int h = 0; h < 4; h += 2)
		for (int q = 0; q < 16; q += VL) {
			v u = (load(&f[h][q]) + (REAL)0.5) * (REAL)0x1p-31, rad = SQRT(FN(vlog)(u) * (REAL)-2), s, c;
			FN(sincospi)(load(&f[h + 1][q]) * (REAL)0x1p-31, &s, &c);
			store(dst + 16 * h + q, rad * c);
			store(dst + 16 * h + 16 + q, rad * s);
		}
}

// Fills dst, which has room for n rounded up to 64.
static void FN(normals_padded)(uint64_t key, uint64_t trial, uint64_t bin, long n, REAL *dst)
{
	for (long c = 0; c < n; c += 64) FN(normals64)(key, trial, (uint32_t)bin, (uint32_t)(c / 64), dst + c);
}

static void FN(normals)(uint64_t key, uint64_t trial, uint64_t bin, long n, void *dst)
{
	REAL buf[64], *d = dst;
	for (long c = 0; c < n; c += 64) {
		FN(normals64)(key, trial, (uint32_t)bin, (uint32_t)(c / 64), buf);
		__builtin_memcpy(d + c, buf, (n - c < 64 ? n - c : 64) * sizeof(REAL));
	}
}

static void FN(dropout)(uint64_t key, uint64_t trial, uint64_t bin, long n, double p, const void *x, void *y)
{
	const REAL *xs = x, scale = (REAL)(1 / (1 - p));
	REAL *ys = y;
	uint64_t limit = (uint64_t)__builtin_ceil(p * 4294967296.0); // an integer is at least p 2^32 if it is at least its ceiling
	for (long c = 0; c < n; c += 64) {
		uint32_t w[4][16], *flat = &w[0][0];
		FN(philox)(key, trial, (uint32_t)bin, (uint32_t)(c / 4), w);
		long m = n - c < 64 ? n - c : 64;
		for (long i = 0; i < m; i++) ys[c + i] = flat[i] >= limit ? scale * xs[c + i] : 0;
	}
}
