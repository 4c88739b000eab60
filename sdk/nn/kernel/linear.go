package kernel

import (
	"errors"
	"fmt"
)

// LinearConfig is the shape of a Linear plan.
type LinearConfig struct {
	B       int    // largest number of trials in a call, at least 1
	T       int    // bins of a trial, at least 1; 1 for a plain batch
	In, Out int    // channels, at least 1
	Threads int    // goroutines that pull shards; 0 means 1
	Variant string // instruction set, one of Variants(); empty means Variant()
}

// Linear is y = x W^T + b in every bin of a batch, PyTorch's nn.Linear: x (B, T, In), W (Out, In), b (Out), y (B, T, Out).
type Linear[F Float] struct {
	cfg    LinearConfig
	closed bool
}

// LinearGradient is where gradients are written; a nil field is not wanted.
type LinearGradient[F Float] struct {
	X   []F  // (B, T, In)
	W   []F  // (Out, In), summed over the batch
	B   []F  // (Out), summed over the batch
	Add bool // add to W and B instead of overwriting them
}

// NewLinear plans a linear map.
func NewLinear[F Float](c LinearConfig) (*Linear[F], error) {
	for _, f := range []struct {
		name     string
		got, min int
	}{{"B", c.B, 1}, {"T", c.T, 1}, {"In", c.In, 1}, {"Out", c.Out, 1}, {"Threads", c.Threads, 0}} {
		if f.got < f.min || f.got > 1<<30 {
			return nil, &ShapeError{"linear", f.name, f.got, fmt.Sprintf("%d to 2^30", f.min)}
		}
	}
	return &Linear[F]{cfg: c}, nil
}

func (l *Linear[F]) check(b int, x, w, bias, y []F) (int, error) {
	if l.closed {
		return 0, ErrClosed
	}
	if b == 0 {
		b = l.cfg.B
	}
	if b < 1 || b > l.cfg.B {
		return 0, &ShapeError{"linear", "B", b, fmt.Sprintf("1 to the plan's %d", l.cfg.B)}
	}
	n := b * l.cfg.T
	return b, errors.Join(wantLen("linear", "x", x, n*l.cfg.In), wantLen("linear", "W", w, l.cfg.Out*l.cfg.In),
		optLen("linear", "b", bias, l.cfg.Out), wantLen("linear", "y", y, n*l.cfg.Out))
}

// Forward writes y for the first b trials (0 means the plan's B); bias may be nil.
func (l *Linear[F]) Forward(b int, x, w, bias, y []F) error {
	b, err := l.check(b, x, w, bias, y)
	if err != nil {
		return err
	}
	in, out := l.cfg.In, l.cfg.Out
	for r := range b * l.cfg.T {
		for o := range out {
			s := F(0)
			if bias != nil {
				s = bias[o]
			}
			for i := range in {
				s += x[r*in+i] * w[o*in+i]
			}
			y[r*out+o] = s
		}
	}
	return nil
}

// Backward writes the gradients of a scalar whose cotangent of y is cot.
func (l *Linear[F]) Backward(b int, x, w, cot []F, g LinearGradient[F]) error {
	b, err := l.check(b, x, w, nil, cot)
	if err != nil {
		return err
	}
	in, out := l.cfg.In, l.cfg.Out
	if err := errors.Join(optLen("linear", "x gradient", g.X, len(x)), optLen("linear", "W gradient", g.W, in*out), optLen("linear", "b gradient", g.B, out)); err != nil {
		return err
	}
	if !g.Add {
		clear(g.W)
		clear(g.B)
	}
	clear(g.X)
	for r := range b * l.cfg.T {
		for o := range out {
			d := cot[r*out+o]
			if g.B != nil {
				g.B[o] += d
			}
			for i := range in {
				if g.W != nil {
					g.W[o*in+i] += d * x[r*in+i]
				}
				if g.X != nil {
					g.X[r*in+i] += d * w[o*in+i]
				}
			}
		}
	}
	return nil
}

// Close frees the plan's memory; later calls return ErrClosed. It may be called again.
func (l *Linear[F]) Close() error {
	l.closed = true
	return nil
}
