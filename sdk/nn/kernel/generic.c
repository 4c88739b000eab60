// Vectors of 16 bytes: SSE2 on x86-64, NEON on arm64.
#if defined(__x86_64__)
#include <immintrin.h>
#define SQRT32(a) _mm_sqrt_ps((__m128)(a))
#define SQRT64(a) _mm_sqrt_pd((__m128d)(a))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SQRT32(a) vsqrtq_f32((float32x4_t)(a))
#define SQRT64(a) vsqrtq_f64((float64x2_t)(a))
#else
#error "kernel: needs x86-64 or arm64"
#endif

#define VB 16
#define MR 4
#define NV 2
#define VARIANT_NAME "generic"
#include "precisions_impl.h"

const ctdb_ops *ctdb_generic(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
