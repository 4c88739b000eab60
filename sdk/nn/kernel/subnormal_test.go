package kernel

import (
	"math"
	"testing"
)

// Kernels take subnormal numbers for zero, in both precisions, and leave the mode of the thread as it was.
func TestSubnormalsAreZero(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testSubnormal[float32](t, math.SmallestNonzeroFloat32) })
	t.Run("float64", func(t *testing.T) { testSubnormal[float64](t, math.SmallestNonzeroFloat64) })
}

func testSubnormal[F Float](t *testing.T, tiny F) {
	param, grad, mean, square := []F{tiny, 1}, []F{0, 0}, []F{0, 0}, []F{0, 0}
	if err := AdamStep(Adam{LR: 1, Eps: 1}, 1, param, grad, mean, square); err != nil {
		t.Fatal(err)
	}
	if param[0] != 0 || param[1] != 1 {
		t.Errorf("a step by nothing from (%v, 1) leads to %v, want (0, 1)", tiny, param)
	}
	if param[0]+tiny+tiny == 0 {
		t.Error("subnormal numbers are zero outside kernels too")
	}
}
