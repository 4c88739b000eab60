#ifdef __x86_64__
#include "../../../../sdk/nn/kernel/avx2.h"
#include "precisions_impl.h"

const arm_ops *arm_avx2(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
#endif
