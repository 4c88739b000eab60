#include "../../../../sdk/nn/kernel/generic.h"
#include "precisions_impl.h"

const arm_ops *arm_generic(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
