// One precision of a variant: everything, and its table.
#define JOIN3_(a, b) a##_##b
#define JOIN2_(a, b) JOIN3_(a, b)
#define FN(name) JOIN2_(name, SUFFIX)
#define T_(name) JOIN2_(name, SUFFIX)
#define INLINE static inline __attribute__((always_inline))
#include "../../../../sdk/nn/kernel/vector_impl.h"
typedef struct ARM_PARAMETERS(REAL) T_(par);
#include "skeleton_impl.h"
#include "paths_impl.h"
#include "muscle_impl.h"
#include "rigid_impl.h"
#include "compliant_impl.h"
#include "batch_impl.h"

static const arm_ops FN(ops) = {
	VARIANT_NAME, VL, sizeof(REAL), sizeof(T_(par)), FN(prepare), FN(finite), FN(put), FN(get), FN(reset), FN(step), FN(tip), FN(senses), FN(forces),
	FN(back), FN(reset_back), FN(probe),
};

#undef MUSCLES
#undef INT
#undef SQRT
#undef MIN
#undef MAX
#undef REAL
#undef SUFFIX
#include "../../../../sdk/nn/kernel/vector_undef.h"
