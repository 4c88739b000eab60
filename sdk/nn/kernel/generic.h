// Vectors of 16 bytes: SSE2 on x86-64, NEON on arm64.
#if defined(__x86_64__)
#include <immintrin.h>
#define SQRT32(a) _mm_sqrt_ps((__m128)(a))
#define SQRT64(a) _mm_sqrt_pd((__m128d)(a))
#define MIN32(a, b) _mm_min_ps((__m128)(a), (__m128)(b))
#define MIN64(a, b) _mm_min_pd((__m128d)(a), (__m128d)(b))
#define MAX32(a, b) _mm_max_ps((__m128)(a), (__m128)(b))
#define MAX64(a, b) _mm_max_pd((__m128d)(a), (__m128d)(b))
#define WIDE(a, b) (vq) _mm_mul_epu32((__m128i)(a), (__m128i)(b))
#define STREAM32(p, a) _mm_stream_ps(p, (__m128)(a))
#define STREAM64(p, a) _mm_stream_pd(p, (__m128d)(a))
#define STREAM_FENCE() _mm_sfence()
#elif defined(__aarch64__)
#include <arm_neon.h>
#define SQRT32(a) vsqrtq_f32((float32x4_t)(a))
#define SQRT64(a) vsqrtq_f64((float64x2_t)(a))
#define MIN32(a, b) vminq_f32((float32x4_t)(a), (float32x4_t)(b))
#define MIN64(a, b) vminq_f64((float64x2_t)(a), (float64x2_t)(b))
#define MAX32(a, b) vmaxq_f32((float32x4_t)(a), (float32x4_t)(b))
#define MAX64(a, b) vmaxq_f64((float64x2_t)(a), (float64x2_t)(b))
#define WIDE(a, b) (vq) vmull_u32(vmovn_u64((uint64x2_t)(a)), vmovn_u64((uint64x2_t)(b)))
#define STREAM32(p, a) vst1q_f32(p, (float32x4_t)(a))
#define STREAM64(p, a) vst1q_f64(p, (float64x2_t)(a))
#define STREAM_FENCE() ((void)0)
#else
#error "kernel: needs x86-64 or arm64"
#endif

#define VB 16
#define MR 4
#define NV 2
#define VARIANT_NAME "generic"
