package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// kernelShape is that of a node of two or three axes, the first one the rows.
func (g *Graph[F]) kernelShape(n *Node) (kernel.Shape, error) {
	switch s := n.Shape(); {
	case len(s) == 2 && s[0] == g.config.Rows:
		return kernel.Shape{B: s[0], T: 1, C: s[1], Threads: g.threads()}, nil
	case len(s) == 3 && s[0] == g.config.Rows:
		return kernel.Shape{B: s[0], T: s[1], C: s[2], Threads: g.threads()}, nil
	default:
		return kernel.Shape{}, fmt.Errorf("shape %v, want (%d, C) or (%d, T, C)", []int(s), g.config.Rows, g.config.Rows)
	}
}

// Dropout sets each element of x (rows, C) or (rows, T, C) to 0 with probability p and divides the others by 1-p, when the graph is for
// training; else, or if p is 0, it is x. The mask comes from the stream of that purpose. 0 <= p < 1.
func (g *Graph[F]) Dropout(x *Node, p float64, purpose string) *Node {
	const name = "dropout"
	if g.err != nil || x == nil {
		return nil
	}
	if !(p >= 0 && p < 1) {
		return g.fail(name, fmt.Errorf("p %v is not allowed: at least 0, less than 1", p))
	}
	if p == 0 || !g.config.Training {
		return x
	}
	shape, err := g.kernelShape(x)
	if err != nil {
		return g.fail(name, err)
	}
	mask := func() op {
		value := dense(g.array(x.Shape().TotalSize()), x.Shape()...)
		return op{name: name, shape: x.Shape().Clone(), run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			from, err := flat[F](in[0])
			if err != nil {
				return nil, err
			}
			to, err := flat[F](value)
			if err != nil {
				return nil, err
			}
			return value, kernel.Dropout(shape, g.pass.key(purpose), g.pass.Trials, p, from, to)
		}}
	}
	forward := mask()
	forward.wrt = []bool{g.differentiable(x)}
	forward.diff = func(_ gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
		n, err := g.apply(mask(), grad)
		return gorgonia.Nodes{n}, err
	}
	n, err := g.apply(forward, x)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// AddNoise is x + SD * N(0, 1), x (rows, C) or (rows, T, C).
func (g *Graph[F]) AddNoise(x *Node, noise Noise) *Node {
	const name = "noise"
	if g.err != nil || x == nil {
		return nil
	}
	if !(noise.SD >= 0) {
		return g.fail(name, fmt.Errorf("standard deviation %v is not allowed: at least 0", noise.SD))
	}
	if noise.SD == 0 {
		return x
	}
	shape, err := g.kernelShape(x)
	if err != nil {
		return g.fail(name, err)
	}
	to := g.array(x.Shape().TotalSize())
	value := dense(to, x.Shape()...)
	n, err := g.apply(op{name: name, shape: x.Shape().Clone(), wrt: []bool{g.differentiable(x)}, passes: true,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			from, err := flat[F](in[0])
			if err != nil {
				return nil, err
			}
			if g.pass.Quiet {
				copy(to, from)
				return value, nil
			}
			if err := kernel.Normals(shape, g.pass.key(noise.Purpose), g.pass.Trials, to); err != nil {
				return nil, err
			}
			for i, v := range from {
				to[i] = v + F(noise.SD)*to[i]
			}
			return value, nil
		},
		diff: func(_ gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) { return gorgonia.Nodes{grad}, nil },
	}, x)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}
