package kernel

/*
#cgo noescape call_adam
#cgo nocallback call_adam
#cgo noescape call_sum_squares
#cgo nocallback call_sum_squares
#include "calls.h"
*/
import "C"

import (
	"fmt"
	"math"
)

// Adam are the settings of torch.optim.Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), as PyTorch defines them.
// There are no defaults: PyTorch's are LR 1e-3, Beta1 0.9, Beta2 0.999, Eps 1e-8, WeightDecay 0 (AdamW 0.01).
type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Decoupled                          bool // AdamW: decay shrinks the weights instead of being added to the gradient
}

// AdamStep takes one step: m and v are the running means of the gradient and its square, zero at first; step counts from 1. The
// gradient is not changed. All slices have one length.
func AdamStep[F Float](a Adam, step int, param, grad, m, v []F) error {
	if step < 1 {
		return fmt.Errorf("kernel: adam: step %d: must be at least 1", step)
	}
	n := len(param)
	for _, s := range []struct {
		name string
		got  int
	}{{"grad", len(grad)}, {"m", len(m)}, {"v", len(v)}} {
		if s.got != n {
			return &ShapeError{"adam", s.name, s.got, fmt.Sprintf("%d elements", n)}
		}
	}
	c1, c2 := 1-math.Pow(a.Beta1, float64(step)), 1-math.Pow(a.Beta2, float64(step))
	decay, shrink := a.WeightDecay, 1.0
	if a.Decoupled {
		decay, shrink = 0, 1-a.LR*a.WeightDecay
	}
	C.call_adam(fallback[F](), C.long(n), C.double(a.LR/c1), C.double(math.Sqrt(c2)), C.double(a.Beta1), C.double(a.Beta2), C.double(a.Eps), C.double(decay),
		C.double(shrink), ptr(param), ptr(grad), ptr(m), ptr(v))
	return nil
}

// SquaredNorm is the sum of squares of g in float64, in a fixed order.
func SquaredNorm[F Float](g []F) float64 {
	return float64(C.call_sum_squares(fallback[F](), 0, C.long(len(g)), ptr(g)))
}

// GlobalNorm is the 2-norm of all gradients together, summed in the order given.
func GlobalNorm[F Float](grads ...[]F) float64 {
	s := 0.0
	for _, g := range grads {
		s += SquaredNorm(g)
	}
	return math.Sqrt(s)
}

// ClipFactor is torch's clip_grad_norm_: min(1, limit/(norm+1e-6)). A norm that is not a number gives NaN.
func ClipFactor(norm, limit float64) float64 { return min(1, limit/(norm+1e-6)) }

// Scale multiplies x by s in place.
func Scale[F Float](x []F, s float64) {
	if s == 1 {
		return
	}
	for i := range x {
		x[i] *= F(s)
	}
}
