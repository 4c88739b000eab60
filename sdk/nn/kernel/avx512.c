#ifdef __x86_64__
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512bw,avx512vl,prefer-vector-width=512")
#include <immintrin.h>

#define VB 64
#define MR 8
#define NV 3
#define VARIANT_NAME "avx512"
#define SQRT32(a) _mm512_sqrt_ps((__m512)(a))
#define SQRT64(a) _mm512_sqrt_pd((__m512d)(a))
#include "precisions_impl.h"

const ctdb_ops *ctdb_avx512(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
#endif
