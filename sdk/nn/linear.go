package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Linear is y = x W^T + b in every bin, PyTorch's nn.Linear: x (rows, In) or (rows, T, In), weight (Out, In), bias (Out) or nil.
func (g *Graph[F]) Linear(x, weight, bias *Node) *Node {
	const name = "linear"
	if g.err != nil {
		return nil
	}
	if x == nil || weight == nil {
		return g.fail(name, fmt.Errorf("x or the weight is missing"))
	}
	bins := 1
	shape := x.Shape().Clone()
	if len(shape) == 3 {
		bins = shape[1]
	} else if len(shape) != 2 {
		return g.fail(name, fmt.Errorf("x has shape %v, want (rows, In) or (rows, T, In)", []int(shape)))
	}
	in := shape[len(shape)-1]
	if shape[0] != g.config.Rows {
		return g.fail(name, fmt.Errorf("x has shape %v, want %d rows", []int(shape), g.config.Rows))
	}
	if err := expect("weight", weight, -1, in); err != nil {
		return g.fail(name, err)
	}
	out := weight.Shape()[0]
	nodes := []*Node{x, weight}
	if bias != nil {
		if err := expect("bias", bias, out); err != nil {
			return g.fail(name, err)
		}
		nodes = append(nodes, bias)
	}
	shape[len(shape)-1] = out
	plan, err := g.memory.linear(kernel.LinearConfig{B: g.config.Rows, T: bins, In: in, Out: out, Threads: g.threads()})
	if err != nil {
		return g.fail(name, err)
	}
	value := dense(g.array(shape.TotalSize()), shape...)
	y, err := flat[F](value)
	if err != nil {
		return g.fail(name, err)
	}
	wrt := make([]bool, len(nodes))
	for i, n := range nodes {
		wrt[i] = g.differentiable(n)
	}
	run := func(v []gorgonia.Value) (gorgonia.Value, error) {
		a, err := flats[F](v)
		if err != nil {
			return nil, err
		}
		return value, plan.Forward(g.config.Rows, a[0], a[1], a[2], y)
	}
	diff := func(args gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
		grads := make([][]F, 3)
		for i, n := range args {
			if wrt[i] {
				grads[i] = g.array(n.Shape().TotalSize())
			}
		}
		token := newScalar[F](0)
		back, err := g.apply(op{name: name + " backward", run: func(v []gorgonia.Value) (gorgonia.Value, error) {
			a, err := flats[F](v)
			if err != nil {
				return nil, err
			}
			return token.set(0), plan.Backward(g.config.Rows, a[1], a[2], a[0], kernel.LinearGradient[F]{X: grads[0], W: grads[1], B: grads[2]})
		}}, grad, args[0], args[1])
		if err != nil {
			return nil, err
		}
		return g.picks(name, back, args, grads)
	}
	n, err := g.apply(op{name: name, shape: shape, wrt: wrt, run: run, diff: diff}, nodes...)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// LinearOf is Linear with the parameters that Params.Linear added under prefix.
func (g *Graph[F]) LinearOf(prefix string, x *Node) *Node {
	return g.Linear(x, g.Param(prefix+".weight"), g.Param(prefix+".bias"))
}

// flats returns the elements of up to three arguments, nil for those that are not there.
func flats[F kernel.Float](v []gorgonia.Value) (a [3][]F, err error) {
	for i := range v {
		if a[i], err = flat[F](v[i]); err != nil {
			return a, err
		}
	}
	return a, nil
}
