// The instructions of AVX2 and FMA, for x86-64: vectors of 32 bytes, and what precisions_impl.h wants of them.
#pragma GCC target("avx2,fma,prefer-vector-width=256")
#include <immintrin.h>

#define VB 32
#define MR 4
#define NV 3
#define VARIANT_NAME "avx2"
#define SQRT32(a) _mm256_sqrt_ps((__m256)(a))
#define SQRT64(a) _mm256_sqrt_pd((__m256d)(a))
#define MIN32(a, b) _mm256_min_ps((__m256)(a), (__m256)(b))
#define MIN64(a, b) _mm256_min_pd((__m256d)(a), (__m256d)(b))
#define MAX32(a, b) _mm256_max_ps((__m256)(a), (__m256)(b))
#define MAX64(a, b) _mm256_max_pd((__m256d)(a), (__m256d)(b))
#define WIDE(a, b) (vq) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#define STREAM32(p, a) _mm256_stream_ps(p, (__m256)(a))
#define STREAM64(p, a) _mm256_stream_pd(p, (__m256d)(a))
#define STREAM_FENCE() _mm_sfence()
