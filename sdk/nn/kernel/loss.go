package kernel

/*
#cgo noescape call_squared_error
#cgo nocallback call_squared_error
#cgo noescape call_poisson
#cgo nocallback call_poisson
#cgo noescape call_sum_squares
#cgo nocallback call_sum_squares
#cgo noescape call_axpy
#cgo nocallback call_axpy
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
)

// Shape is that of a (B, T, C) array, and the number of goroutines that work on it (0 means 1).
type Shape struct{ B, T, C, Threads int }

func (s Shape) check(op string) error {
	for _, f := range []struct {
		name string
		got  int
	}{{"B", s.B}, {"T", s.T}, {"C", s.C}, {"Threads", s.Threads}} {
		if f.got < 0 {
			return &ShapeError{op, f.name, f.got, "at least 0"}
		}
	}
	if float64(s.B)*float64(s.T)*float64(s.C) > maxElements {
		return fmt.Errorf("kernel: %s: B %d, T %d, C %d: beyond any memory", op, s.B, s.T, s.C)
	}
	return nil
}

// perTrial evaluates f for every trial and returns the sum of its values in the order of the trials.
func (s Shape) perTrial(f func(trial int) float64) float64 {
	values := make([]float64, s.B)
	// f cannot fail, and rows is not negative.
	_ = Shards(s.B, ShardRows, s.Threads, func(_, _, lo, hi int) error {
		for b := lo; b < hi; b++ {
			values[b] = f(b)
		}
		return nil
	})
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum
}

// SquaredError is scale * sum(weights * (y - target)^2) over a (B, T, C) batch and, in grad, its gradient with respect to y. weights is
// nil (all 1) or (B, T, C). The mean of torch's MSELoss is scale 1/(B*T*C). grad may be nil; it may be y itself.
func SquaredError[F Float](s Shape, y, target, weights []F, scale float64, grad []F) (float64, error) {
	n := s.B * s.T * s.C
	if err := errors.Join(s.check("squared error"), wantLen("squared error", "y", y, n), wantLen("squared error", "target", target, n),
		optLen("squared error", "weights", weights, n), optLen("squared error", "grad", grad, n)); err != nil {
		return 0, err
	}
	row := s.T * s.C
	ops := fallback[F]()
	return scale * s.perTrial(func(b int) float64 {
		return float64(C.call_squared_error(ops, C.long(b*row), C.long(row), ptr(y), ptr(target), ptr(weights), C.double(scale), ptr(grad)))
	}), nil
}

// PoissonOptions weight a Poisson likelihood; the zero value weighs every bin alike.
type PoissonOptions[F Float] struct {
	BinMask      []F  // (B, T) factor of each bin, 0 for one that does not count; nil is 1
	TrialWeights []F  // (B) factor of each trial; nil is 1
	Full         bool // add torch's Stirling term k ln k - k + ln(2 pi k)/2 where k > 1; it has no gradient
}

// PoissonNLL is scale * sum(mask * weight * (exp(r) - k*r)) over a (B, T, C) batch of log-rates r and counts k, the negative
// log-likelihood without its constant, and, in grad, its gradient with respect to r. A mean is scale 1/(B*T*C). A bin whose mask is 0 adds
// nothing and gets a zero gradient, whatever stands in it. grad may be nil; it may be logRates itself.
func PoissonNLL[F Float](s Shape, logRates, counts []F, o PoissonOptions[F], scale float64, grad []F) (float64, error) {
	const op = "poisson"
	n := s.B * s.T * s.C
	if err := errors.Join(s.check(op), wantLen(op, "logRates", logRates, n), wantLen(op, "counts", counts, n),
		optLen(op, "BinMask", o.BinMask, s.B*s.T), optLen(op, "TrialWeights", o.TrialWeights, s.B), optLen(op, "grad", grad, n)); err != nil {
		return 0, err
	}
	ops := fallback[F]()
	part := func(at, n int, w F) float64 {
		if w == 0 {
			if grad != nil {
				clear(grad[at : at+n])
			}
			return 0
		}
		stirling := 0.0
		if o.Full {
			for _, k := range counts[at : at+n] {
				if k := float64(k); k > 1 {
					stirling += k*math.Log(k) - k + 0.5*math.Log(2*math.Pi*k)
				}
			}
		}
		return float64(w)*stirling + float64(C.call_poisson(ops, C.long(at), C.long(n), ptr(logRates), ptr(counts), C.double(w), C.double(scale), ptr(grad)))
	}
	return scale * s.perTrial(func(b int) float64 {
		w := F(1)
		if o.TrialWeights != nil {
			w = o.TrialWeights[b]
		}
		if o.BinMask == nil {
			return part(b*s.T*s.C, s.T*s.C, w)
		}
		sum := 0.0
		for t := b * s.T; t < (b+1)*s.T; t++ {
			sum += part(t*s.C, s.C, w*o.BinMask[t])
		}
		return sum
	}), nil
}

// LatentNorm is scale * (sum over trials of the 2-norm of the trial's flattened latents), of (B, T, C) latents, and its gradient in grad,
// which is overwritten, or added to if add. The latent L2 term of weight l2_wt, a mean over trials, is scale l2_wt/B. The gradient of a trial
// whose latents are all zero is zero. bins is nil or (B), the number of bins of each trial that count, at most T. grad may be nil.
func LatentNorm[F Float](s Shape, latents, bins []F, scale float64, grad []F, add bool) (float64, error) {
	n := s.B * s.T * s.C
	if err := errors.Join(s.check("latent norm"), wantLen("latent norm", "latents", latents, n), optLen("latent norm", "bins", bins, s.B), optLen("latent norm", "grad", grad, n)); err != nil {
		return 0, err
	}
	row, ops := s.T*s.C, fallback[F]()
	return scale * s.perTrial(func(b int) float64 {
		valid := row
		if bins != nil {
			valid = max(0, min(s.T, int(bins[b]))) * s.C
		}
		norm := math.Sqrt(float64(C.call_sum_squares(ops, C.long(b*row), C.long(valid), ptr(latents))))
		if grad == nil {
			return norm
		}
		if !add {
			clear(grad[b*row : (b+1)*row])
		}
		if norm != 0 {
			C.call_axpy(ops, C.long(b*row), C.long(valid), C.double(scale/norm), ptr(latents), ptr(grad))
		}
		return norm
	}), nil
}
