package kernel

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
	_ = Shards(s.B, s.Threads, func(_, _, lo, hi int) error {
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
	return scale * s.perTrial(func(b int) float64 {
		sum := 0.0
		for i := b * row; i < (b+1)*row; i++ {
			d := y[i] - target[i]
			wd := d
			if weights != nil {
				wd *= weights[i]
			}
			sum += float64(wd) * float64(d)
			if grad != nil {
				grad[i] = F(2*scale) * wd
			}
		}
		return sum
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
	return scale * s.perTrial(func(b int) float64 {
		sum := 0.0
		for t := b * s.T; t < (b+1)*s.T; t++ {
			w := F(1)
			if o.BinMask != nil {
				w = o.BinMask[t]
			}
			if o.TrialWeights != nil {
				w *= o.TrialWeights[b]
			}
			for i := t * s.C; i < (t+1)*s.C; i++ {
				if w == 0 {
					if grad != nil {
						grad[i] = 0
					}
					continue
				}
				r, k := logRates[i], counts[i]
				e := F(math.Exp(float64(r)))
				v := float64(e) - float64(k)*float64(r)
				if o.Full && k > 1 {
					k := float64(k)
					v += k*math.Log(k) - k + 0.5*math.Log(2*math.Pi*k)
				}
				sum += float64(w) * v
				if grad != nil {
					grad[i] = F(scale) * w * (e - k)
				}
			}
		}
		return sum
	}), nil
}

// LatentNorm is scale * (sum over trials of the 2-norm of the trial's flattened latents), of (B, T, C) latents, and its gradient in grad,
// which is overwritten, or added to if add. The latent L2 term of weight l2_wt, a mean over trials, is scale l2_wt/B. The gradient of a trial
// whose latents are all zero is zero. grad may be nil.
func LatentNorm[F Float](s Shape, latents []F, scale float64, grad []F, add bool) (float64, error) {
	n := s.B * s.T * s.C
	if err := errors.Join(s.check("latent norm"), wantLen("latent norm", "latents", latents, n), optLen("latent norm", "grad", grad, n)); err != nil {
		return 0, err
	}
	row := s.T * s.C
	return scale * s.perTrial(func(b int) float64 {
		x := latents[b*row : (b+1)*row]
		norm := math.Sqrt(SquaredNorm(x))
		if grad == nil {
			return norm
		}
		g, f := grad[b*row:(b+1)*row], F(0)
		if norm != 0 {
			f = F(scale / norm)
		}
		if !add {
			clear(g)
		}
		for i, v := range x {
			g[i] += f * v
		}
		return norm
	}), nil
}
