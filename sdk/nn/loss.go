package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Reduction says how the elements of a loss over a batch of B trials, T bins and C channels become a number.
type Reduction int

// The reductions. B is that of the whole batch, see [Pass].
const (
	// Mean divides the sum by B*T*C, weighted or not.
	Mean Reduction = iota
	// SumTime divides by B*C.
	SumTime
	// Sum divides by nothing.
	Sum
)

// Scale is the factor of the sum.
type Scale struct {
	// Factor multiplies the loss; one of factor 0 is 0, whatever it is of, and has a gradient of zeros.
	Factor    float64
	Reduction Reduction
	// Ramp is the number of epochs over which the factor rises, see [Ramp]; 0 has all of it from the first epoch on.
	Ramp int
}

// Ramp is (epoch+1)/(epochs+1), but at most 1: the part of a factor that rises linearly over that many epochs and has its full value from then on. 0 epochs are none.
//
// Validation after an epoch has the part that training had in it. So while a ramp rises, a sum of losses is another one in each epoch; see train.Config's Monitor for choosing by
// a term that has none.
func Ramp(epoch int64, epochs int) float64 { return min(1, float64(epoch+1)/float64(epochs+1)) }

func (s Scale) of(p *Pass, bins, channels int) float64 {
	factor := s.Factor
	if s.Ramp > 0 {
		factor *= Ramp(p.Epoch, s.Ramp)
	}
	switch batch := float64(p.Batch); s.Reduction {
	case Mean:
		return factor / (batch * float64(bins) * float64(channels))
	case SumTime:
		return factor / (batch * float64(channels))
	case Sum:
	}
	return factor
}

// Loss is a term of the loss.
type Loss struct {
	name  string
	node  *Node
	value float64
}

// Node is the loss as a scalar node.
func (l *Loss) Node() *Node {
	if l == nil {
		return nil
	}
	return l.node
}

// Name is what was given where the loss was made, or its kind.
func (l *Loss) Name() string { return l.name }

// Value is the last run's, in double precision: the shard's part of the batch's loss.
func (l *Loss) Value() float64 { return l.value }

// Losses are all terms in the order in which they were made.
func (g *Graph[F]) Losses() []*Loss { return g.losses }

// loss adds a term. compute returns its value and, if grad is not nil, writes the gradient with respect to the first argument; it is not asked where the factor is 0.
func (g *Graph[F]) loss(name string, factor float64, compute func(in []gorgonia.Value, grad []F) (float64, error), nodes ...*Node) *Loss {
	for _, n := range nodes {
		if n == nil && g.err == nil {
			g.fail(name, errors.New("an argument is nil"))
		}
	}
	if g.err != nil {
		return nil
	}
	l := &Loss{name: name}
	var buffer []F // made when a gradient is asked for, so that validation computes none
	value := newScalar[F](0)
	wrt := make([]bool, len(nodes))
	wrt[0] = true
	n, err := g.apply(op{name: name, wrt: wrt,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			if factor == 0 {
				clear(buffer)
				return value.set(0), nil
			}
			v, err := compute(in, buffer)
			l.value = v
			return value.set(v), err
		},
		diff: func(in gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error) {
			shape := in[0].Shape().Clone()
			buffer = g.array(shape.TotalSize())
			result := dense(buffer, shape...)
			// The gradient was computed along with the value; here it is only scaled.
			n, err := g.apply(op{name: "loss gradient", shape: shape, run: func(v []gorgonia.Value) (gorgonia.Value, error) {
				f, err := number(v[2])
				if err != nil {
					return nil, err
				}
				kernel.Scale(buffer, f)
				return result, nil
			}}, in[0], out, grad)
			return append(gorgonia.Nodes{n}, make(gorgonia.Nodes, len(in)-1)...), err
		}}, nodes...)
	if err != nil {
		g.fail(name, err)
		return nil
	}
	l.node = n
	g.losses = append(g.losses, l)
	return l
}

// present drops the nil nodes at the end of a list of optional arguments.
func present(required []*Node, optional ...*Node) []*Node {
	for _, n := range optional {
		if n != nil {
			required = append(required, n)
		}
	}
	return required
}

// SquaredError is weights * (y - target)^2, reduced; y, target and weights (rows, T, C), weights may be nil.
func (g *Graph[F]) SquaredError(y, target, weights *Node, s Scale) *Loss {
	const name = "squared-error"
	if g.err != nil || y == nil || target == nil {
		return g.loss(name, 0, nil, y, target)
	}
	shape, err := g.kernelShape(y)
	if err == nil {
		err = expect("target", target, y.Shape()...)
	}
	if err == nil && weights != nil {
		err = expect("weights", weights, y.Shape()...)
	}
	if err != nil {
		g.fail(name, err)
		return nil
	}
	return g.loss(name, s.Factor, func(in []gorgonia.Value, grad []F) (float64, error) {
		a, err := flats[F](in)
		if err != nil {
			return 0, err
		}
		return kernel.SquaredError(shape, a[0], a[1], a[2], s.of(&g.pass, shape.T, shape.C), grad)
	}, present([]*Node{y, target}, weights)...)
}

// PoissonOptions weight a Poisson likelihood, see kernel.PoissonOptions.
type PoissonOptions struct {
	BinMask      *Node // (rows, T) factor of each bin; nil is 1
	TrialWeights *Node // (rows) factor of each trial; nil is 1
	Full         bool  // add Stirling's term, which has no gradient
}

// PoissonNLL is exp(r) - k r of log-rates r and counts k (rows, T, C), reduced.
func (g *Graph[F]) PoissonNLL(logRates, counts *Node, o PoissonOptions, s Scale) *Loss {
	const name = "poisson-nll"
	if g.err != nil || logRates == nil || counts == nil {
		return g.loss(name, 0, nil, logRates, counts)
	}
	shape, err := g.kernelShape(logRates)
	if err == nil {
		err = expect("counts", counts, logRates.Shape()...)
	}
	nodes := []*Node{logRates, counts}
	if err == nil && o.BinMask != nil {
		err = expect("bin mask", o.BinMask, shape.B, shape.T)
		nodes = append(nodes, o.BinMask)
	}
	if err == nil && o.TrialWeights != nil {
		err = expect("trial weights", o.TrialWeights, shape.B)
		nodes = append(nodes, o.TrialWeights)
	}
	if err != nil {
		g.fail(name, err)
		return nil
	}
	return g.loss(name, s.Factor, func(in []gorgonia.Value, grad []F) (float64, error) {
		var a [4][]F
		for i, v := range in {
			var err error
			if a[i], err = flat[F](v); err != nil {
				return 0, err
			}
		}
		k := kernel.PoissonOptions[F]{Full: o.Full}
		rest := a[2:]
		if o.BinMask != nil {
			k.BinMask, rest = rest[0], rest[1:]
		}
		if o.TrialWeights != nil {
			k.TrialWeights = rest[0]
		}
		return kernel.PoissonNLL(shape, a[0], a[1], k, s.of(&g.pass, shape.T, shape.C), grad)
	}, nodes...)
}

// LatentL2 is factor * the mean over trials of the 2-norm (not its square) of the trial's flattened latents (rows, T, C). bins, if not nil, is the number of bins
// that count of each trial (rows).
func (g *Graph[F]) LatentL2(latents, bins *Node, factor float64) *Loss {
	const name = "latent-l2"
	if g.err != nil || latents == nil {
		return g.loss(name, 0, nil, latents)
	}
	shape, err := g.kernelShape(latents)
	if err == nil && bins != nil {
		err = expect("bins", bins, shape.B)
	}
	if err != nil {
		g.fail(name, err)
		return nil
	}
	return g.loss(name, factor, func(in []gorgonia.Value, grad []F) (float64, error) {
		a, err := flats[F](in)
		if err != nil {
			return 0, err
		}
		return kernel.LatentNorm(shape, a[0], a[1], factor/float64(g.pass.Batch), grad, false)
	}, present([]*Node{latents}, bins)...)
}

// Custom is a loss that is computed elsewhere: f gets the run's pass and y (any shape, rows first), which it must not write, and returns the mean
// over the run's trials and writes its gradient if grad is not nil. It is weighted by the run's share of the batch. One that ramps up multiplies both by Ramp of p.Epoch.
func (g *Graph[F]) Custom(name string, y *Node, factor float64, f func(p Pass, y, grad []F) (float64, error)) *Loss {
	if g.err != nil || y == nil {
		return g.loss(name, 0, nil, y)
	}
	if f == nil {
		g.fail(name, errors.New("no function is given"))
		return nil
	}
	return g.loss(name, factor, func(in []gorgonia.Value, grad []F) (float64, error) {
		a, err := flat[F](in[0])
		if err != nil {
			return 0, err
		}
		share := factor * float64(g.config.Rows) / float64(g.pass.Batch)
		v, err := f(g.pass, a, grad)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		kernel.Scale(grad, share)
		return share * v, nil
	}, y)
}
