package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	gtensor "gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// steppedLoop closes the loop around a cell whose bins are pieces of graph. An environment must be called bin by bin: each of its calls is a node that hangs on a token of the
// one before. On the way back, where Gorgonia adds the nodes, the gradients of the tokens give the opposite order: the node that goes back over a bin comes after that of the next bin, after the
// cotangent of the inputs that the bin gave, and after that of its state.
type steppedLoop[F kernel.Float] struct {
	*loop[F]
	g        *Graph[F]
	rows     int
	bins     int
	truncate int
	value    scalar[F] // of all tokens
	token    *Node     // the last one
	dState   []F       // cotangent of the state; nil where there is none
}

// closeSteps is the loop of a cell in steps if x is an environment's, begun; else nil.
func (g *Graph[F]) closeSteps(x *Node, readout string, truncate int) (*steppedLoop[F], error) {
	if x == nil || g.environments[x] == nil {
		return nil, nil
	}
	outputs := 0
	if readout != "" {
		w := g.Param(readout + ".weight")
		if w == nil {
			return nil, g.err
		}
		outputs = shapeOf(w)[0]
	}
	l, err := g.closed(x, outputs)
	if err != nil {
		return nil, err
	}
	s := &steppedLoop[F]{loop: l, g: g, rows: shapeOf(x)[0], bins: shapeOf(x)[1], truncate: truncate, value: newScalar[F](0)}
	s.token, err = g.apply(op{name: "environment begins", run: func([]gorgonia.Value) (gorgonia.Value, error) {
		s.dState = nil
		// Of the inputs of bins without a cotangent, the first and those after a cut, nobody else writes it.
		clear(l.dInputs)
		return s.value.set(0), l.start(g, truncate, true)
	}}, x)
	return s, err
}

// in is the inputs of bin t (rows, I), once the environment has been stepped over the bin before.
func (s *steppedLoop[F]) in(t int) (*Node, error) {
	width := len(s.inputs) / (s.rows * s.bins)
	to := s.g.array(s.rows * width)
	value := dense(to, s.rows, width)
	o := op{name: "environment inputs", shape: gtensor.Shape{s.rows, width}, run: func([]gorgonia.Value) (gorgonia.Value, error) {
		copyBin(to, s.inputs, s.rows, s.bins, t)
		return value, nil
	}}
	if t > 0 && !cut(t, s.truncate) {
		o.wrt = []bool{true}
		o.diff = func(_ gorgonia.Nodes, _, cot *Node) (gorgonia.Nodes, error) {
			n, err := s.g.apply(op{name: "environment inputs cotangent", run: func(in []gorgonia.Value) (gorgonia.Value, error) {
				from, err := flat[F](in[0])
				if err != nil {
					return nil, err
				}
				writeBin(s.dInputs, from, s.rows, s.bins, t)
				return s.value.set(0), nil
			}}, cot)
			return gorgonia.Nodes{n}, err
		}
	}
	return s.g.apply(o, s.token)
}

// act lets the environment step over bin t with the outputs y (rows, O).
func (s *steppedLoop[F]) act(t int, y *Node) error {
	training := s.g.config.Training
	token, err := s.g.apply(op{name: "environment step", wrt: []bool{true, true},
		run: func(in []gorgonia.Value) (gorgonia.Value, error) {
			from, err := flat[F](in[0])
			if err != nil {
				return nil, err
			}
			writeBin(s.outputs, from, s.rows, s.bins, t)
			if err := s.Forward(t, t+1, nil, s.outputs, s.given, s.inputs); err != nil {
				return nil, err
			}
			if t == s.bins-1 && !training {
				return s.value.set(0), s.end()
			}
			return s.value.set(0), nil
		},
		diff: func(in gorgonia.Nodes, _, tokens *Node) (gorgonia.Nodes, error) {
			if !training {
				return nil, fmt.Errorf("nn: environment: the graph is not for training")
			}
			grad := s.g.array(in[0].Shape().TotalSize())
			back, err := s.g.apply(op{name: "environment way back", run: func([]gorgonia.Value) (gorgonia.Value, error) {
				clearBin(s.dOuts, s.rows, s.bins, t)
				if err := s.Backward(t, t+1, nil, s.dState, s.dInputs, s.dOuts); err != nil {
					return nil, err
				}
				copyBin(grad, s.dOuts, s.rows, s.bins, t)
				if t > 0 {
					return s.value.set(0), nil
				}
				return s.value.set(0), s.end()
			}}, tokens)
			if err != nil {
				return nil, err
			}
			out, err := s.g.picks("environment", back, in[:1], [][]F{grad})
			return append(out, back), err
		}}, y, s.token)
	s.token = token
	return err
}

// whole is x, a result of the cell's, once all bins have been stepped over: what is lost on any of them goes back over all, as the environment is promised.
func (s *steppedLoop[F]) whole(x *Node) (*Node, error) {
	return s.g.apply(op{name: "closed loop", shape: x.Shape().Clone(), wrt: []bool{true, true}, passes: true,
		run: func(in []gorgonia.Value) (gorgonia.Value, error) { return in[0], nil },
		diff: func(_ gorgonia.Nodes, _, cot *Node) (gorgonia.Nodes, error) {
			n, err := s.g.apply(op{name: "closed loop cotangent", run: func([]gorgonia.Value) (gorgonia.Value, error) { return s.value.set(0), nil }}, cot)
			return gorgonia.Nodes{cot, n}, err
		}}, x, s.token)
}

// environmentState is the state of the loop's environment in all bins, (rows, T, S). s is nil in an open loop.
func (g *Graph[F]) environmentState(s *steppedLoop[F]) *Node {
	const name = "environment state"
	if g.err != nil {
		return nil
	}
	if s == nil || s.state == 0 {
		return g.fail(name, errNoEnvironment())
	}
	shape := gtensor.Shape{s.rows, s.bins, s.state}
	value := dense(s.given, shape...)
	n, err := g.apply(op{name: name, shape: shape, wrt: []bool{true},
		run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil },
		diff: func(_ gorgonia.Nodes, _, cot *Node) (gorgonia.Nodes, error) {
			n, err := g.apply(op{name: name + " cotangent", run: func(in []gorgonia.Value) (gorgonia.Value, error) {
				from, err := flat[F](in[0])
				s.dState = from
				return s.value.set(0), err
			}}, cot)
			return gorgonia.Nodes{n}, err
		}}, s.token)
	if err != nil {
		return g.fail(name, err)
	}
	return n
}

// held is x with a gradient that stops there.
func (g *Graph[F]) held(x *Node) (*Node, error) {
	return g.apply(op{name: "held", shape: x.Shape().Clone(), run: func(in []gorgonia.Value) (gorgonia.Value, error) { return in[0], nil }}, x)
}

// copyBin copies bin t of an array (rows, bins, ...) to dst, writeBin the other way round.
func copyBin[F kernel.Float](dst, whole []F, rows, bins, t int) {
	width := len(whole) / (rows * bins)
	for r := range rows {
		copy(dst[r*width:(r+1)*width], whole[(r*bins+t)*width:])
	}
}

func writeBin[F kernel.Float](whole, src []F, rows, bins, t int) {
	width := len(whole) / (rows * bins)
	for r := range rows {
		copy(whole[(r*bins+t)*width:][:width], src[r*width:(r+1)*width])
	}
}
