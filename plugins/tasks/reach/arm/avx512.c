#ifdef __x86_64__
#include "../../../../sdk/nn/kernel/avx512.h"
#include "precisions_impl.h"

const arm_ops *arm_avx512(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
#endif
