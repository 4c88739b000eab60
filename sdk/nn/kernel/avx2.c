#ifdef __x86_64__
#pragma GCC target("avx2,fma,prefer-vector-width=256")
#include <immintrin.h>

#define VB 32
#define MR 4
#define NV 3
#define VARIANT_NAME "avx2"
#define SQRT32(a) _mm256_sqrt_ps((__m256)(a))
#define SQRT64(a) _mm256_sqrt_pd((__m256d)(a))
#include "precisions_impl.h"

const ctdb_ops *ctdb_avx2(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
#endif
