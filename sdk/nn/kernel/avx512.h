// The instructions of AVX-512 (F, DQ, BW and VL), for x86-64: vectors of 64 bytes, and what precisions_impl.h wants of them.
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#include <immintrin.h>

#define VB 64
#define MR 8
#define NV 3
#define VARIANT_NAME "avx512"
#define SQRT32(a) _mm512_sqrt_ps((__m512)(a))
#define SQRT64(a) _mm512_sqrt_pd((__m512d)(a))
#define MIN32(a, b) _mm512_min_ps((__m512)(a), (__m512)(b))
#define MIN64(a, b) _mm512_min_pd((__m512d)(a), (__m512d)(b))
#define MAX32(a, b) _mm512_max_ps((__m512)(a), (__m512)(b))
#define MAX64(a, b) _mm512_max_pd((__m512d)(a), (__m512d)(b))
#define WIDE(a, b) (vq) _mm512_mul_epu32((__m512i)(a), (__m512i)(b))
#define STREAM32(p, a) _mm512_stream_ps(p, (__m512)(a))
#define STREAM64(p, a) _mm512_stream_pd(p, (__m512d)(a))
#define STREAM_FENCE() _mm_sfence()
