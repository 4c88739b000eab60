// Both precisions of a variant. Expected: VB, MR, NV, VARIANT_NAME, SQRT32 and SQRT64 (square roots of a vector).
#include "kernel.h"

#define REAL float
#define INT int32_t
#define SQRT(a) ((v)SQRT32(a))
#define SUFFIX f32
#include "variant_impl.h"

#define REAL double
#define INT int64_t
#define SQRT(a) ((v)SQRT64(a))
#define SUFFIX f64
#include "variant_impl.h"
