#ifdef __x86_64__
#include "avx512.h"
#include "precisions_impl.h"

const ctdb_ops *ctdb_avx512(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
#endif
