// Philox4x32-10 for 16 consecutive blocks at once, and what is made of its words; the layout is described in philox.go.

// w[word][q]: block first + q. A word stands in the lower half of 64 bits, where the instruction that multiplies wants it, and the upper half holds anything; blocks of even and of odd q
// are vectors of their own.
static void FN(philox)(uint64_t key, uint64_t trial, uint32_t bin, uint32_t first, uint32_t w[4][16])
{
	enum { pair = VB / 4 };
	for (int at = 0; at < 16; at += pair) {
		vq c[2][4], k0 = (vq){} + key, k1 = (vq){} + (key >> 32);
		for (int odd = 0; odd < 2; odd++) {
			for (int i = 0; i < pair / 2; i++) c[odd][0][i] = first + at + 2 * i + odd;
			c[odd][1] = (vq){} + bin;
			c[odd][2] = (vq){} + trial;
			c[odd][3] = (vq){} + (trial >> 32);
		}
		for (int round = 0; round < 10; round++) {
			for (int odd = 0; odd < 2; odd++) {
				vq p0 = WIDE(c[odd][0], (vq){} + 0xD2511F53u), p1 = WIDE(c[odd][2], (vq){} + 0xCD9E8D57u);
				c[odd][0] = (p1 >> 32) ^ c[odd][1] ^ k0;
				c[odd][2] = (p0 >> 32) ^ c[odd][3] ^ k1;
				c[odd][1] = p1;
				c[odd][3] = p0;
			}
			k0 += 0x9E3779B9u;
			k1 += 0xBB67AE85u;
		}
		for (int word = 0; word < 4; word++) {
			vq both = (c[0][word] & 0xFFFFFFFFu) | c[1][word] << 32;
			__builtin_memcpy(&w[word][at], &both, sizeof both);
		}
	}
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
