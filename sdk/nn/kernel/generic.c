#include "generic.h"
#include "precisions_impl.h"

const ctdb_ops *ctdb_generic(int is_double) { return is_double ? &ops_f64 : &ops_f32; }
