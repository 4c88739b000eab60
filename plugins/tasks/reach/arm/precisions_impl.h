// Both precisions of a variant, after its header in sdk/nn/kernel.
#include "arm.h"

#define REAL float
#define INT int32_t
#define SQRT(a) ((v)SQRT32(a))
#define MIN(a, b) ((v)MIN32(a, b))
#define MAX(a, b) ((v)MAX32(a, b))
#define SUFFIX f32
#include "variant_impl.h"

#define REAL double
#define INT int64_t
#define SQRT(a) ((v)SQRT64(a))
#define MIN(a, b) ((v)MIN64(a, b))
#define MAX(a, b) ((v)MAX64(a, b))
#define SUFFIX f64
#include "variant_impl.h"
