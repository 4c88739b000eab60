package kernel

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
	rate, root := F(a.LR/c1), F(math.Sqrt(c2))
	b1, b2, eps, decay, shrink := F(1-a.Beta1), F(a.Beta2), F(a.Eps), F(a.WeightDecay), F(1-a.LR*a.WeightDecay)
	b2c := F(1 - a.Beta2)
	for i, g := range grad {
		p := param[i]
		if a.Decoupled {
			p *= shrink
		} else {
			g += decay * p
		}
		m[i] += b1 * (g - m[i])
		v[i] = b2*v[i] + b2c*g*g
		param[i] = p - rate*m[i]/(F(math.Sqrt(float64(v[i])))/root+eps)
	}
	return nil
}

// SquaredNorm is the sum of squares of g in float64, in a fixed order.
func SquaredNorm[F Float](g []F) float64 {
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(g); i += 4 {
		a, b, c, d := float64(g[i]), float64(g[i+1]), float64(g[i+2]), float64(g[i+3])
		s0 += a * a
		s1 += b * b
		s2 += c * c
		s3 += d * d
	}
	for ; i < len(g); i++ {
		s0 += float64(g[i]) * float64(g[i])
	}
	return (s0 + s1) + (s2 + s3)
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
