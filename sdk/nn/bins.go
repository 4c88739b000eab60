package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	gtensor "gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Add is a + b, of two arrays of one shape.
func (g *Graph[F]) Add(a, b *Node) *Node {
	return g.pairwise("add", a, b, func(to, a, b []F) {
		for i, v := range a {
			to[i] = v + b[i]
		}
	}, nil, func(to, _, _, cot []F) { copy(to, cot) })
}

// Sub is a - b, of two arrays of one shape.
func (g *Graph[F]) Sub(a, b *Node) *Node {
	return g.pairwise("sub", a, b, func(to, a, b []F) {
		for i, v := range a {
			to[i] = v - b[i]
		}
	}, nil, func(to, _, _, cot []F) {
		for i, v := range cot {
			to[i] = -v
		}
	})
}

// Mul is a * b, element by element, of two arrays of one shape.
func (g *Graph[F]) Mul(a, b *Node) *Node {
	return g.pairwise("mul", a, b, func(to, a, b []F) {
		for i, v := range a {
			to[i] = v * b[i]
		}
	}, func(to, _, b, cot []F) {
		for i, v := range cot {
			to[i] = v * b[i]
		}
	}, func(to, a, _, cot []F) {
		for i, v := range cot {
			to[i] = v * a[i]
		}
	})
}

// Sigmoid is 1/(1+exp(-x)) of each element, see kernel.Sigmoid.
func (g *Graph[F]) Sigmoid(x *Node) *Node {
	return g.elementwise("sigmoid", x, kernel.Sigmoid, func(to, _, y, cot []F) {
		for i, v := range y {
			to[i] = v * (1 - v) * cot[i]
		}
	})
}

// Tanh is the hyperbolic tangent of each element, see kernel.Tanh.
func (g *Graph[F]) Tanh(x *Node) *Node {
	return g.elementwise("tanh", x, kernel.Tanh, func(to, _, y, cot []F) {
		for i, v := range y {
			to[i] = (1 - v*v) * cot[i]
		}
	})
}

// Elementwise is f of each element of x, whose derivative is slope. name is for messages. It passes nil on and keeps the first mistake, as all methods of a Graph do.
func (g *Graph[F]) Elementwise(name string, x *Node, f, slope func(F) F) *Node {
	if f == nil || slope == nil {
		return g.fail(name, errors.New("a function and its derivative are needed"))
	}
	return g.elementwise(name, x, func(x, to []F) error {
		for i, v := range x {
			to[i] = f(v)
		}
		return nil
	}, func(to, x, _, cot []F) {
		for i, v := range x {
			to[i] = slope(v) * cot[i]
		}
	})
}

// pairwise is a function of each two elements of a and b, and its gradients for a cotangent, that of a nil where it is the cotangent.
func (g *Graph[F]) pairwise(name string, a, b *Node, value func(to, a, b []F), byA, byB func(to, a, b, cot []F)) *Node {
	if g.err != nil || a == nil || b == nil {
		return nil
	}
	if err := expect("b", b, a.Shape()...); err != nil {
		return g.fail(name, err)
	}
	into := func(f func(to, a, b, cot []F)) op {
		to := g.array(a.Shape().TotalSize())
		result := dense(to, a.Shape()...)
		return op{name: name, shape: a.Shape().Clone(), run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			v, err := flats[F](in)
			if err != nil {
				return nil, err
			}
			f(to, v[0], v[1], v[2])
			return result, nil
		}}
	}
	o := into(func(to, a, b, _ []F) { value(to, a, b) })
	o.wrt = []bool{g.differentiable(a), g.differentiable(b)}
	o.passes = byA == nil && o.wrt[0]
	o.diff = func(in gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
		out := make(gorgonia.Nodes, 2)
		for i, f := range []func(to, a, b, cot []F){byA, byB} {
			switch {
			case !o.wrt[i]:
			case f == nil:
				out[i] = grad
			default:
				var err error
				if out[i], err = g.apply(into(f), in[0], in[1], grad); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	}
	n, err := g.apply(o, a, b)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// Clip bounds every element of x to lo and hi. Its gradient is zero where it is out of bounds.
func (g *Graph[F]) Clip(x *Node, lo, hi float64) *Node {
	const name = "clip"
	if !(lo <= hi) {
		return g.fail(name, fmt.Errorf("bounds %v and %v are not allowed: the first one at most the second", lo, hi))
	}
	a, b := F(lo), F(hi)
	return g.elementwise(name, x, func(x, to []F) error {
		for i, v := range x {
			to[i] = min(max(v, a), b)
		}
		return nil
	}, func(to, x, _, cot []F) {
		for i, v := range x {
			to[i] = 0
			if v >= a && v <= b {
				to[i] = cot[i]
			}
		}
	})
}

// elementwise is a function y of each element of x, and its gradient for a cotangent.
func (g *Graph[F]) elementwise(name string, x *Node, value func(x, y []F) error, gradient func(to, x, y, cot []F)) *Node {
	if g.err != nil || x == nil {
		return nil
	}
	into := func(f func(to []F, args [3][]F) error) op {
		to := g.array(x.Shape().TotalSize())
		result := dense(to, x.Shape()...)
		return op{name: name, shape: x.Shape().Clone(), run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			args, err := flats[F](in)
			if err != nil {
				return nil, err
			}
			return result, f(to, args)
		}}
	}
	o := into(func(y []F, args [3][]F) error { return value(args[0], y) })
	o.wrt = []bool{g.differentiable(x)}
	o.diff = func(in gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error) {
		n, err := g.apply(into(func(to []F, args [3][]F) error {
			gradient(to, args[0], args[1], args[2])
			return nil
		}), in[0], out, grad)
		return gorgonia.Nodes{n}, err
	}
	n, err := g.apply(o, x)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// bin is bin t of x (rows, T, C), a node (rows, C) without a gradient.
func (g *Graph[F]) bin(x *Node, t int) (*Node, error) {
	rows, bins, c := x.Shape()[0], x.Shape()[1], x.Shape()[2]
	to := g.array(rows * c)
	value := dense(to, rows, c)
	return g.apply(op{name: "bin", shape: gtensor.Shape{rows, c}, run: func(in []gorgonia.Value) (gorgonia.Value, error) {
		from, err := flat[F](in[0])
		if err != nil {
			return nil, err
		}
		for r := range rows {
			copy(to[r*c:(r+1)*c], from[(r*bins+t)*c:])
		}
		return value, nil
	}}, x)
}

// Split is the bins of x (rows, T, C), each (rows, C). Their gradients are put together once, whatever their number.
func (g *Graph[F]) Split(x *Node) []*Node { return g.split(x, g.differentiable(x)) }

func (g *Graph[F]) split(x *Node, differentiable bool) []*Node {
	const name = "split"
	if g.err != nil || x == nil {
		return nil
	}
	if err := expect("x", x, g.config.Rows, -1, -1); err != nil {
		g.fail(name, err)
		return nil
	}
	rows, bins, c := x.Shape()[0], x.Shape()[1], x.Shape()[2]
	out := make([]*Node, bins)
	var err error
	if !differentiable {
		for t := range out {
			if out[t], err = g.bin(x, t); err != nil {
				g.fail(name, err)
				return nil
			}
		}
		return out
	}
	// As a sequence does: a token that each bin hangs on, so that all their cotangents have come in when the token's gradient is asked for.
	values, token := make([][]F, bins), newScalar[F](0)
	var grad []F
	order, err := g.apply(op{name: name, wrt: []bool{true},
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			from, err := flat[F](in[0])
			if err != nil {
				return nil, err
			}
			for t, to := range values {
				for r := range rows {
					copy(to[r*c:(r+1)*c], from[(r*bins+t)*c:])
				}
			}
			clear(grad)
			return token.set(0), nil
		},
		diff: func(in gorgonia.Nodes, _, tokens *Node) (gorgonia.Nodes, error) {
			grad = g.array(rows * bins * c)
			return g.picks(name, tokens, in, [][]F{grad})
		}}, x)
	for t := 0; t < bins && err == nil; t++ {
		values[t] = g.array(rows * c)
		value := dense(values[t], rows, c)
		out[t], err = g.apply(op{name: name + " bin", shape: gtensor.Shape{rows, c}, wrt: []bool{true},
			run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil },
			diff: func(_ gorgonia.Nodes, _, cot *Node) (gorgonia.Nodes, error) {
				n, err := g.apply(op{name: name + " cotangent", run: func(in []gorgonia.Value) (gorgonia.Value, error) {
					from, err := flat[F](in[0])
					if err != nil {
						return nil, err
					}
					for r := range rows {
						copy(grad[(r*bins+t)*c:][:c], from[r*c:])
					}
					return token.set(0), nil
				}}, cot)
				return gorgonia.Nodes{n}, err
			}}, order)
	}
	if err != nil {
		g.fail(name, err)
		return nil
	}
	return out
}

// Stack is the array (rows, T, C) of T bins, each (rows, C).
func (g *Graph[F]) Stack(bins []*Node) *Node {
	const name = "stack"
	for _, n := range bins {
		if n == nil && g.err == nil {
			return g.fail(name, errors.New("a bin is nil"))
		}
	}
	if g.err != nil {
		return nil
	}
	if len(bins) == 0 {
		return g.fail(name, errors.New("no bin is given"))
	}
	for _, n := range bins {
		if err := expect("a bin", n, g.config.Rows, bins[0].Shape()[len(bins[0].Shape())-1]); err != nil {
			return g.fail(name, err)
		}
	}
	rows, c := bins[0].Shape()[0], bins[0].Shape()[1]
	to := g.array(rows * len(bins) * c)
	value := dense(to, rows, len(bins), c)
	wrt := make([]bool, len(bins))
	for t, n := range bins {
		wrt[t] = g.differentiable(n)
	}
	n, err := g.apply(op{name: name, shape: gtensor.Shape{rows, len(bins), c}, wrt: wrt,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			for t, v := range in {
				from, err := flat[F](v)
				if err != nil {
					return nil, err
				}
				for r := range rows {
					copy(to[(r*len(bins)+t)*c:][:c], from[r*c:])
				}
			}
			return value, nil
		},
		diff: func(in gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
			out := make(gorgonia.Nodes, len(in))
			for t := range in {
				if !wrt[t] {
					continue
				}
				var err error
				if out[t], err = g.bin(grad, t); err != nil {
					return nil, err
				}
			}
			return out, nil
		}}, bins...)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// Concat is the columns of several arrays (rows, C), one after the other: (rows, sum of all C).
func (g *Graph[F]) Concat(parts ...*Node) *Node {
	const name = "concat"
	width := 0
	for _, n := range parts {
		if g.err != nil {
			return nil
		}
		if n == nil {
			return g.fail(name, errors.New("a part is nil"))
		}
		if err := expect("a part", n, g.config.Rows, -1); err != nil {
			return g.fail(name, err)
		}
		width += n.Shape()[1]
	}
	if len(parts) == 0 {
		return g.fail(name, errors.New("no part is given"))
	}
	rows := g.config.Rows
	to := g.array(rows * width)
	value := dense(to, rows, width)
	wrt, first := make([]bool, len(parts)), make([]int, len(parts)+1)
	for i, n := range parts {
		wrt[i], first[i+1] = g.differentiable(n), first[i]+n.Shape()[1]
	}
	n, err := g.apply(op{name: name, shape: gtensor.Shape{rows, width}, wrt: wrt,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			for i, v := range in {
				from, err := flat[F](v)
				if err != nil {
					return nil, err
				}
				c := first[i+1] - first[i]
				for r := range rows {
					copy(to[r*width+first[i]:][:c], from[r*c:])
				}
			}
			return value, nil
		},
		diff: func(in gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
			out := make(gorgonia.Nodes, len(in))
			for i := range in {
				if !wrt[i] {
					continue
				}
				var err error
				if out[i], err = g.columns(grad, first[i], first[i+1]); err != nil {
					return nil, err
				}
			}
			return out, nil
		}}, parts...)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// Columns is the columns from to to-1 of x (rows, C).
func (g *Graph[F]) Columns(x *Node, from, to int) *Node {
	const name = "columns"
	if g.err != nil || x == nil {
		return nil
	}
	if err := expect("x", x, g.config.Rows, -1); err != nil {
		return g.fail(name, err)
	}
	if c := x.Shape()[1]; from < 0 || from >= to || to > c {
		return g.fail(name, fmt.Errorf("columns %d to %d are not allowed: 0 to %d", from, to, c))
	} else if to-from == c {
		return x
	}
	n, err := g.columns(x, from, to)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

func (g *Graph[F]) columns(x *Node, from, to int) (*Node, error) {
	rows, c := x.Shape()[0], x.Shape()[1]
	// move copies n columns from column a to column b of an array of that width.
	move := func(a, b, n, width int) op {
		out := g.array(rows * width)
		value := dense(out, rows, width)
		return op{name: "columns", shape: gtensor.Shape{rows, width}, run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			v, err := flat[F](in[0])
			if err != nil {
				return nil, err
			}
			clear(out)
			for r := range rows {
				copy(out[r*width+b:][:n], v[r*(len(v)/rows)+a:])
			}
			return value, nil
		}}
	}
	n := to - from
	o := move(from, 0, n, n)
	o.wrt = []bool{g.differentiable(x)}
	o.diff = func(_ gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
		back, err := g.apply(move(0, from, n, c), grad)
		return gorgonia.Nodes{back}, err
	}
	return g.apply(o, x)
}

// perturb adds e (rows, n), which has no gradient, to the first n columns of x (rows, C).
func (g *Graph[F]) perturb(x, e *Node) *Node {
	const name = "perturb"
	if g.err != nil || x == nil || e == nil {
		return nil
	}
	rows, c, n := x.Shape()[0], x.Shape()[1], e.Shape()[1]
	to := g.array(rows * c)
	value := dense(to, rows, c)
	out, err := g.apply(op{name: name, shape: gtensor.Shape{rows, c}, wrt: []bool{g.differentiable(x), false}, passes: true,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			a, err := flats[F](in)
			if err != nil {
				return nil, err
			}
			copy(to, a[0])
			for r := range rows {
				for j, v := range a[1][r*n : (r+1)*n] {
					to[r*c+j] += v
				}
			}
			return value, nil
		},
		diff: func(_ gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) { return gorgonia.Nodes{grad, nil}, nil }}, x, e)
	if err != nil {
		return g.fail(name, err)
	}
	return out
}
