package nn

import (
	"fmt"

	"gorgonia.org/gorgonia"
	gtensor "gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// GRUWeights are the nodes of a GRU's parameters, see kernel.SequenceWeights for shapes and equations. Biases and the readout may be nil.
type GRUWeights struct {
	WeightIH, WeightHH, BiasIH, BiasHH *Node
	// ReadoutWeight (O, H) and ReadoutBias (O) add y = W clean + b in the same pass over memory.
	ReadoutWeight, ReadoutBias *Node
}

// GRUWeights returns the nodes of the parameters that Params.GRU added. readout is the prefix of a linear readout; empty for none.
func (g *Graph[F]) GRUWeights(prefix, suffix, readout string) GRUWeights {
	var w GRUWeights
	if g.params.Get(prefix+".weight_ih"+suffix) != nil {
		w.WeightIH = g.Param(prefix + ".weight_ih" + suffix)
	}
	w.WeightHH = g.Param(prefix + ".weight_hh" + suffix)
	w.BiasIH = g.Param(prefix + ".bias_ih" + suffix)
	w.BiasHH = g.Param(prefix + ".bias_hh" + suffix)
	if readout != "" {
		w.ReadoutWeight = g.Param(readout + ".weight")
		w.ReadoutBias = g.Param(readout + ".bias")
	}
	return w
}

// Noise is Gaussian noise of standard deviation SD, drawn from the stream of that purpose for each trial, bin and channel; see [Pass]. The zero
// value is none.
type Noise struct {
	SD      float64
	Purpose string
}

// GRUOptions are the rest of a GRU.
type GRUOptions struct {
	// Initial is the initial state, (rows, H), or (H) for all trials alike; nil is zero. Of a bidirectional GRU, the forward direction's.
	Initial *Node
	// InitialReverse is that of the backward direction.
	InitialReverse *Node
	// Noise is added to the state after each step, InitialNoise to the initial state.
	Noise, InitialNoise Noise
}

// Sequence is a recurrent sequence. Ask for what is needed of it: what is not asked for is not computed.
type Sequence struct {
	token *Node
	head  func(which int) *Node
}

// The results of a sequence.
const (
	headOutputs = iota
	headStates
	headClean
	headFinal
	heads
)

var headNames = [heads]string{"outputs", "states", "clean", "final"}

func (s *Sequence) get(which int) *Node {
	if s == nil {
		return nil
	}
	return s.head(which)
}

// Outputs is the readout of the clean state, (rows, T, O).
func (s *Sequence) Outputs() *Node { return s.get(headOutputs) }

// States is the state after each step, its noise included: (rows, T, H), of a bidirectional GRU (rows, T, 2H).
func (s *Sequence) States() *Node { return s.get(headStates) }

// Clean is States without each step's own noise.
func (s *Sequence) Clean() *Node { return s.get(headClean) }

// Final is the state after the last step, (rows, H), of a bidirectional GRU (rows, 2H): the forward direction's at the last bin, then the
// backward direction's at the first.
func (s *Sequence) Final() *Node { return s.get(headFinal) }

// GRU runs a GRU over x (rows, T, I). x is nil for a GRU without inputs; then bins is T, else 0.
func (g *Graph[F]) GRU(x *Node, bins int, w GRUWeights, o GRUOptions) *Sequence {
	return g.gru("gru", x, bins, []GRUWeights{w}, []*Node{o.Initial}, o)
}

// BiGRU runs a GRU over x in both directions, as a bidirectional nn.GRU of one layer does. The readouts of the weights are not used.
func (g *Graph[F]) BiGRU(x *Node, forward, backward GRUWeights, o GRUOptions) *Sequence {
	forward.ReadoutWeight, forward.ReadoutBias, backward.ReadoutWeight, backward.ReadoutBias = nil, nil, nil, nil
	return g.gru("bidirectional gru", x, 0, []GRUWeights{forward, backward}, []*Node{o.Initial, o.InitialReverse}, o)
}

// argument is one input of the sequence's node and where its gradient goes.
type argument struct {
	node *Node
	dir  int
	kind int
}

const (
	argX = iota
	argH0
	argWih
	argWhh
	argBih
	argBhh
	argWout
	argBout
)

// gruState is what the nodes of one sequence share.
type gruState[F kernel.Float] struct {
	g          *Graph[F]
	name       string
	t, i, h, o int
	opt        GRUOptions
	plans      []*kernel.Sequence[F] // one for each direction
	args       []argument
	values     [heads][]F // results that are wanted
	nodes      [heads]*Node
	cots       [heads][]F // their cotangents, set while the tape runs back
	held       [heads][]F // copies of cotangents
	grads      [][]F      // of args
	second     []F        // the second direction's gradient of x
	token      scalar[F]
}

func (g *Graph[F]) gru(name string, x *Node, bins int, dirs []GRUWeights, initial []*Node, o GRUOptions) *Sequence {
	if g.err != nil {
		return nil
	}
	s := &gruState[F]{g: g, name: name, t: bins, opt: o, token: newScalar[F](0)}
	if err := s.plan(x, dirs, initial); err != nil {
		g.fail(name, err)
		return nil
	}
	in := make([]*Node, len(s.args))
	wrt := make([]bool, len(s.args))
	for k, a := range s.args {
		in[k], wrt[k] = a.node, g.differentiable(a.node)
	}
	s.grads = make([][]F, len(s.args))
	token, err := g.apply(op{name: name, wrt: wrt, run: s.forward, diff: s.backward}, in...)
	if err != nil {
		g.fail(name, err)
		return nil
	}
	return &Sequence{token: token, head: func(which int) *Node { return s.head(token, which) }}
}

// plan checks all shapes and makes the kernels' plans.
func (s *gruState[F]) plan(x *Node, dirs []GRUWeights, initial []*Node) error {
	g := s.g
	if x != nil {
		if err := expect("x", x, g.config.Rows, -1, -1); err != nil {
			return err
		}
		s.t, s.i = shapeOf(x)[1], shapeOf(x)[2]
		s.args = append(s.args, argument{x, 0, argX})
	}
	for d, w := range dirs {
		if w.WeightHH == nil {
			return fmt.Errorf("weight_hh is missing")
		}
		if d == 0 {
			s.h = w.WeightHH.Shape()[len(w.WeightHH.Shape())-1]
		}
		if w.ReadoutWeight != nil {
			s.o = w.ReadoutWeight.Shape()[0]
		}
		if (w.WeightIH == nil) != (s.i == 0) {
			return fmt.Errorf("weight_ih and inputs go together: there are %d inputs", s.i)
		}
		for _, p := range []struct {
			name  string
			node  *Node
			kind  int
			shape []int
		}{
			{"weight_ih", w.WeightIH, argWih, []int{3 * s.h, s.i}}, {"weight_hh", w.WeightHH, argWhh, []int{3 * s.h, s.h}},
			{"bias_ih", w.BiasIH, argBih, []int{3 * s.h}}, {"bias_hh", w.BiasHH, argBhh, []int{3 * s.h}},
			{"readout weight", w.ReadoutWeight, argWout, []int{s.o, s.h}}, {"readout bias", w.ReadoutBias, argBout, []int{s.o}},
		} {
			if p.node == nil {
				continue
			}
			if err := expect(p.name, p.node, p.shape...); err != nil {
				return err
			}
			s.args = append(s.args, argument{p.node, d, p.kind})
		}
		if h0 := initial[d]; h0 != nil {
			if len(h0.Shape()) == 1 {
				if err := expect("initial state", h0, s.h); err != nil {
					return err
				}
			} else if err := expect("initial state", h0, g.config.Rows, s.h); err != nil {
				return err
			}
			s.args = append(s.args, argument{h0, d, argH0})
		}
		p, err := g.memory.gru(g.slot(), kernel.SequenceConfig{B: g.config.Rows, T: s.t, I: s.i, H: s.h, O: s.o, Reverse: d == 1,
			Threads: g.threads(), Inference: !g.config.Training})
		if err != nil {
			return err
		}
		s.plans = append(s.plans, p)
	}
	return nil
}

// head adds the node of one result.
func (s *gruState[F]) head(token *Node, which int) *Node {
	if s.nodes[which] != nil || s.g.err != nil {
		return s.nodes[which]
	}
	b, width := s.g.config.Rows, s.h*len(s.plans)
	shape := gtensor.Shape{b, s.t, width}
	switch which {
	case headOutputs:
		if s.o == 0 {
			return s.g.fail(s.name, fmt.Errorf("outputs are asked for, but there is no readout"))
		}
		shape = gtensor.Shape{b, s.t, s.o}
	case headFinal:
		shape = gtensor.Shape{b, width}
	}
	s.values[which] = s.g.array(shape.TotalSize())
	value := dense(s.values[which], shape...)
	name := s.name + " " + headNames[which]
	n, err := s.g.apply(op{name: name, shape: shape, wrt: []bool{true},
		run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil },
		diff: func(_ gorgonia.Nodes, out, grad *Node) (gorgonia.Nodes, error) {
			n, err := s.g.apply(op{name: name + " cotangent", run: s.receive(which, s.private(out, grad))}, grad)
			return gorgonia.Nodes{n}, err
		}}, token)
	if err != nil {
		return s.g.fail(name, err)
	}
	s.nodes[which] = n
	return n
}

// private says whether a cotangent is the gradient that a loss keeps for this very node: nobody else reads it, so it need not be copied.
// Gorgonia may let another operation overwrite any other node after its last reader, which it does not know us to be.
func (s *gruState[F]) private(out, grad *Node) bool {
	o, ok := grad.Op().(*op)
	if !ok || o.name != lossGradient {
		return false
	}
	it := s.g.expr.From(grad.ID())
	return it != nil && it.Next() && it.Node().ID() == out.ID()
}

// receive takes the cotangent of one result.
func (s *gruState[F]) receive(which int, private bool) func([]gorgonia.Value) (gorgonia.Value, error) {
	return func(in []gorgonia.Value) (gorgonia.Value, error) {
		c, err := flat[F](in[0])
		if err != nil {
			return nil, err
		}
		if !private {
			if s.held[which] == nil {
				s.held[which] = make([]F, len(c))
			}
			copy(s.held[which], c)
			c = s.held[which]
		}
		s.cots[which] = c
		return s.token.set(0), nil
	}
}

// direction is the part of an array of both directions, whose bins lie 2H apart, that belongs to direction d.
func (s *gruState[F]) direction(a []F, d int) []F {
	if a == nil || d == 0 {
		return a
	}
	return a[d*s.h:]
}

func (s *gruState[F]) weights(in []gorgonia.Value, dir int) (w kernel.SequenceWeights[F], x, h0 []F, err error) {
	for k, a := range s.args {
		if a.dir != dir && a.kind != argX {
			continue
		}
		v, err := flat[F](in[k])
		if err != nil {
			return w, nil, nil, err
		}
		switch a.kind {
		case argX:
			x = v
		case argH0:
			h0 = v
		default:
			*slot(&w, a.kind) = v
		}
	}
	return w, x, h0, nil
}

func slot[F kernel.Float](w *kernel.SequenceWeights[F], kind int) *[]F {
	switch kind {
	case argWih:
		return &w.Wih
	case argWhh:
		return &w.Whh
	case argBih:
		return &w.Bih
	case argBhh:
		return &w.Bhh
	case argWout:
		return &w.Wout
	}
	return &w.Bout
}

func noiseOf[F kernel.Float](p *Pass, n Noise) kernel.Noise[F] {
	if n.SD == 0 || p.Quiet {
		return kernel.Noise[F]{}
	}
	return kernel.Noise[F]{SD: F(n.SD), Key: p.key(n.Purpose)}
}

func (s *gruState[F]) forward(in []gorgonia.Value) (gorgonia.Value, error) {
	p := &s.g.pass
	s.cots = [heads][]F{}
	for d, plan := range s.plans {
		w, x, h0, err := s.weights(in, d)
		if err != nil {
			return nil, err
		}
		stride := s.h * len(s.plans)
		err = plan.Forward(w, kernel.SequenceInput[F]{B: s.g.config.Rows, X: x, H0: h0, Trials: p.Trials, Noise: noiseOf[F](p, s.opt.Noise), InitNoise: noiseOf[F](p, s.opt.InitialNoise)},
			kernel.SequenceOutput[F]{Y: s.values[headOutputs], States: s.direction(s.values[headStates], d), Clean: s.direction(s.values[headClean], d),
				Final: s.direction(s.values[headFinal], d), Stride: stride, FinalStride: stride})
		if err != nil {
			return nil, err
		}
	}
	return s.token.set(0), nil
}

// backward adds one node that runs all directions back, and one for each argument that picks its gradient.
func (s *gruState[F]) backward(in gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
	if !s.g.config.Training {
		return nil, fmt.Errorf("nn: %s: the graph is not for training", s.name)
	}
	for k, a := range s.args {
		if s.g.differentiable(a.node) {
			s.grads[k] = s.g.array(a.node.Shape().TotalSize())
			if a.kind == argX && len(s.plans) > 1 {
				s.second = s.g.array(a.node.Shape().TotalSize())
			}
		}
	}
	// The arguments are read by the kernel's backward pass, so they are arguments here too, lest Gorgonia thinks them done with.
	back, err := s.g.apply(op{name: s.name + " backward", run: s.runBack}, append(gorgonia.Nodes{grad}, in...)...)
	if err != nil {
		return nil, err
	}
	return s.g.picks(s.name, back, in, s.grads)
}

func (s *gruState[F]) runBack([]gorgonia.Value) (gorgonia.Value, error) {
	stride := s.h * len(s.plans)
	for d, plan := range s.plans {
		var grad kernel.SequenceGradient[F]
		for k, a := range s.args {
			switch {
			case a.kind == argX:
				grad.X = s.grads[k]
				if d > 0 && grad.X != nil {
					grad.X = s.second
				}
			case a.dir != d:
			case a.kind == argH0:
				grad.H0 = s.grads[k]
			default:
				*slot(&grad.Weights, a.kind) = s.grads[k]
			}
		}
		err := plan.Backward(kernel.SequenceCotangent[F]{Y: s.cots[headOutputs], States: s.direction(s.cots[headStates], d), Clean: s.direction(s.cots[headClean], d),
			Final: s.direction(s.cots[headFinal], d), Stride: stride, FinalStride: stride}, grad)
		if err != nil {
			return nil, err
		}
	}
	if s.second != nil {
		for i, v := range s.second {
			s.grads[0][i] += v
		}
	}
	return s.token.set(0), nil
}

// picks adds a node for each gradient, which a backward node has written by the time that they run.
func (g *Graph[F]) picks(name string, token *Node, in gorgonia.Nodes, grads [][]F) (gorgonia.Nodes, error) {
	out := make(gorgonia.Nodes, len(in))
	for k, n := range in {
		if grads[k] == nil {
			continue
		}
		shape := n.Shape().Clone()
		value := dense(grads[k], shape...)
		p, err := g.apply(op{name: fmt.Sprintf("%s gradient %d", name, k), shape: shape,
			run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil }}, token)
		if err != nil {
			return nil, err
		}
		out[k] = p
	}
	return out, nil
}
