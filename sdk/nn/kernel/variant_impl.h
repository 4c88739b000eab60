// One precision of a variant: everything, and its table.
#define JOIN3_(a, b) a##_##b
#define JOIN2_(a, b) JOIN3_(a, b)
#define FN(name) JOIN2_(name, SUFFIX)
#define T_(name) JOIN2_(name, SUFFIX)
#define INLINE static inline __attribute__((always_inline))
#include "vector_impl.h"
#include "product_impl.h"
#include "peak_impl.h"
#include "fma_impl.h"
#include "noise_impl.h"
#include "gru_impl.h"
#include "pointwise_impl.h"
#include "node_impl.h"
#include "adaptive_impl.h"
#include "low_rank_impl.h"
#include "sequence_impl.h"
#include "linear_impl.h"
#include "loss_impl.h"
#include "function_impl.h"

static const ctdb_ops FN(ops) = {
	VARIANT_NAME, VL, sizeof(REAL), MR, VL < 8 ? 8 : VL, FN(seq_pack), FN(pack_layer), FN(seq_begin), FN(seq_forward), FN(seq_replay), FN(seq_final),
	FN(seq_begin_backward), FN(seq_cut), FN(seq_backward), FN(seq_gradients), FN(layer_gradients), FN(linear_pack), FN(linear_forward), FN(linear_backward), FN(squared_error), FN(poisson),
	FN(sum_squares), FN(axpy), FN(normals), FN(dropout), FN(adam), FN(sigmoids), FN(tanhs), FN(product_repeat), FN(fma_repeat),
};

#undef TAPE_AT
#undef STATE_AT
#undef H_SLOT
#undef G_SLOT
#undef X_SLOT
#undef C_SLOT
#undef HS_SLOT
#undef ACT_SLOT
#undef Z_SLOT
#undef DP_H
#undef DP_K
#undef DP_DK
#undef DP_ACT
#undef DP_DZ
#undef DP_START
#undef DP_TAKEN
#undef REAL
#undef INT
#undef SQRT
#undef MIN
#undef MAX
#undef STREAM
#undef SUFFIX
#include "vector_undef.h"
