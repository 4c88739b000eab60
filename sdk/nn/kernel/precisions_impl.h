// Both precisions of a variant. Expected: VB, MR, NV, VARIANT_NAME, of vectors of either precision SQRT32 and
// SQRT64, MIN.. and MAX.. that give their second argument, or NaN, where it is NaN, STREAM.., a store past the
// caches, and STREAM_FENCE, which completes such stores; and of vectors of 64-bit integers WIDE, the products of
// their lower halves.
#include "kernel.h"

#define REAL float
#define INT int32_t
#define SQRT(a) ((v)SQRT32(a))
#define MIN(a, b) ((v)MIN32(a, b))
#define MAX(a, b) ((v)MAX32(a, b))
#define STREAM(p, a) STREAM32(p, a)
#define SUFFIX f32
#include "variant_impl.h"

#define REAL double
#define INT int64_t
#define SQRT(a) ((v)SQRT64(a))
#define MIN(a, b) ((v)MIN64(a, b))
#define MAX(a, b) ((v)MAX64(a, b))
#define STREAM(p, a) STREAM64(p, a)
#define SUFFIX f64
#include "variant_impl.h"
