package nn

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	gtensor "gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// CellWeights are the nodes of a cell's parameters, see kernel.Cell and kernel.SequenceWeights for equations and shapes. Biases and the readout may be nil.
type CellWeights struct {
	WeightIH, WeightHH, BiasIH, BiasHH *Node
	// Maps are the linear maps of a kernel.CellNODE, instead of the above, or of a kernel.CellLowRank, besides them.
	Maps []LinearWeights
	// ReadoutWeight (O, H) and ReadoutBias (O) add y = W clean + b in the same pass over memory.
	ReadoutWeight, ReadoutBias *Node
}

// LinearWeights are the nodes of a linear map's parameters.
type LinearWeights struct{ Weight, Bias *Node }

// CellWeights returns the nodes of the parameters that Params.Cell added. readout is the prefix of a linear readout; empty for none.
func (g *Graph[F]) CellWeights(prefix, suffix, readout string) CellWeights {
	var w CellWeights
	if len(g.params.Get(prefix+".weight_ih"+suffix)) > 0 {
		w.WeightIH = g.Param(prefix + ".weight_ih" + suffix)
	}
	w.WeightHH = g.Param(prefix + ".weight_hh" + suffix)
	w.BiasIH = g.Param(prefix + ".bias_ih" + suffix)
	w.BiasHH = g.Param(prefix + ".bias_hh" + suffix)
	w.readout(g.Param, readout)
	return w
}

func (w *CellWeights) readout(param func(string) *Node, prefix string) {
	if prefix != "" {
		w.ReadoutWeight, w.ReadoutBias = param(prefix+".weight"), param(prefix+".bias")
	}
}

// Noise is Gaussian noise of standard deviation SD, drawn from the stream of that purpose for each trial, bin and channel; see [Pass]. The zero
// value is none.
type Noise struct {
	SD      float64
	Purpose string
}

// SequenceOptions are the rest of a sequence.
type SequenceOptions struct {
	// Initial is the initial state, (rows, S) with S the size of the cell's state, or (S) for all trials alike; nil is zero. Of a bidirectional sequence, the
	// forward direction's.
	Initial *Node
	// InitialReverse is that of the backward direction.
	InitialReverse *Node
	// Noise is added to the state after each step, of leaky cells within it, InitialNoise to the initial state.
	Noise, InitialNoise Noise
	// Truncate cuts the cotangent of the state, and in a closed loop of the environment, between bins t-1 and t where t is a multiple of it; 0 never.
	Truncate int
}

// Sequence is a recurrent sequence. Ask for what is needed of it: what is not asked for is not computed.
type Sequence struct{ head func(which int) *Node }

// SequenceOf is a sequence whose results stand in nodes of any origin, for a Cell of one's own; those that are nil it has not, and a closed loop neither. See the methods for their shapes, and [Stepped] for
// a cell that is written down as a single step.
func SequenceOf(outputs, states, clean, final *Node) *Sequence {
	nodes := [heads]*Node{headOutputs: outputs, headStates: states, headClean: clean, headFinal: final}
	return &Sequence{func(which int) *Node { return nodes[which] }}
}

// The results of a sequence.
const (
	headOutputs = iota
	headStates
	headClean
	headFinal
	headEnvironment
	heads
)

var headNames = [heads]string{"outputs", "states", "clean", "final", "environment state"}

func (s *Sequence) get(which int) *Node {
	if s == nil {
		return nil
	}
	return s.head(which)
}

// Outputs is the readout of the clean state, (rows, T, O).
func (s *Sequence) Outputs() *Node { return s.get(headOutputs) }

// States is the state after each step, its noise included: (rows, T, H), of both directions (rows, T, 2H).
func (s *Sequence) States() *Node { return s.get(headStates) }

// Clean is the state that the readout is of: States without each step's own noise, of leaky cells the state before the step.
func (s *Sequence) Clean() *Node { return s.get(headClean) }

// Final is the state after the last step, (rows, S), of both directions (rows, 2S): the forward direction's at the last bin, then the
// backward direction's at the first.
func (s *Sequence) Final() *Node { return s.get(headFinal) }

// EnvironmentState is what a closed loop's environment gave in each bin, (rows, T, S).
func (s *Sequence) EnvironmentState() *Node { return s.get(headEnvironment) }

// Sequence runs a cell over x (rows, T, I), in closed loop where x is that of an Environment. x is nil for a cell without inputs; then bins is T, else 0. Of cell, what belongs to the cell is used: Cell, Gamma,
// the fields of a NODE, and Recompute; its units follow from the weights, except those of a NODE and a low-rank cell, which H says.
func (g *Graph[F]) Sequence(cell kernel.SequenceConfig, x *Node, bins int, w CellWeights, o SequenceOptions) *Sequence {
	return g.sequence(cell.Cell.String(), cell, x, bins, []CellWeights{w}, []*Node{o.Initial}, o)
}

// Bidirectional runs a cell over x in both directions, as a bidirectional nn.GRU or nn.RNN of one layer does. The readouts of the weights are not used.
func (g *Graph[F]) Bidirectional(cell kernel.SequenceConfig, x *Node, forward, backward CellWeights, o SequenceOptions) *Sequence {
	forward.ReadoutWeight, forward.ReadoutBias, backward.ReadoutWeight, backward.ReadoutBias = nil, nil, nil, nil
	return g.sequence("bidirectional "+cell.Cell.String(), cell, x, 0, []CellWeights{forward, backward}, []*Node{o.Initial, o.InitialReverse}, o)
}

// argument is one input of the sequence's node and where its value and its gradient belong: the inputs, the initial state, or a weight.
type argument[F kernel.Float] struct {
	node   *Node
	dir    int
	kind   int
	weight func(*kernel.SequenceWeights[F]) *[]F
}

const (
	argX = iota
	argInitial
	argWeight
)

// sequenceState is what the nodes of one sequence share.
type sequenceState[F kernel.Float] struct {
	g      *Graph[F]
	name   string
	cell   kernel.SequenceConfig // of one direction
	opt    SequenceOptions
	plans  []*kernel.Sequence[F] // one for each direction
	args   []argument[F]
	values [heads][]F // results that are wanted
	nodes  [heads]*Node
	cots   [heads][]F // their cotangents, set on the way back
	grads  [][]F      // of args
	second []F        // the second direction's gradient of x
	loop   *loop[F]   // nil for an open one
	token  scalar[F]
}

func (g *Graph[F]) sequence(name string, cell kernel.SequenceConfig, x *Node, bins int, dirs []CellWeights, initial []*Node, o SequenceOptions) *Sequence {
	if g.err != nil {
		return nil
	}
	cell.T, cell.I, cell.O = bins, 0, 0
	s := &sequenceState[F]{g: g, name: name, cell: cell, opt: o, token: newScalar[F](0)}
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
	return &Sequence{func(which int) *Node { return s.head(token, which) }}
}

// parameter is a weight, where it belongs and the shape that it must have.
type parameter[F kernel.Float] struct {
	name  string
	node  *Node
	shape []int
	at    func(*kernel.SequenceWeights[F]) *[]F
}

// parameters lists the weights of a direction with the shapes that the sizes of s.cell ask for.
func (s *sequenceState[F]) parameters(w CellWeights) []parameter[F] {
	type weights = *kernel.SequenceWeights[F]
	c := s.cell
	rows := c.Cell.Gates() * c.H
	out := []parameter[F]{
		{"weight_ih", w.WeightIH, []int{rows, c.I}, func(w weights) *[]F { return &w.Wih }},
		{"weight_hh", w.WeightHH, []int{rows, c.H}, func(w weights) *[]F { return &w.Whh }},
		{"bias_ih", w.BiasIH, []int{rows}, func(w weights) *[]F { return &w.Bih }},
		{"bias_hh", w.BiasHH, []int{rows}, func(w weights) *[]F { return &w.Bhh }},
	}
	for l, m := range w.Maps {
		o, i := c.Map(l)
		out = append(out, parameter[F]{fmt.Sprintf("weight of map %d", l), m.Weight, []int{o, i}, func(w weights) *[]F { return &w.Maps[l].Weight }},
			parameter[F]{fmt.Sprintf("bias of map %d", l), m.Bias, []int{o}, func(w weights) *[]F { return &w.Maps[l].Bias }})
	}
	return append(out, parameter[F]{"readout weight", w.ReadoutWeight, []int{c.O, c.H}, func(w weights) *[]F { return &w.Wout }},
		parameter[F]{"readout bias", w.ReadoutBias, []int{c.O}, func(w weights) *[]F { return &w.Bout }})
}

// size finds the cell's sizes in its first direction's weights, and checks that the weights are there.
func (s *sequenceState[F]) size(w CellWeights, first bool) error {
	c := &s.cell
	if n := c.MapCount(); len(w.Maps) != n {
		return fmt.Errorf("%d maps are given, %s needs %d", len(w.Maps), c.Cell, n)
	}
	for l, m := range w.Maps {
		if m.Weight == nil {
			return fmt.Errorf("the weight of map %d is missing", l)
		}
	}
	square := c.Cell != kernel.CellLowRank || c.Full
	if c.Cell != kernel.CellNODE {
		if (w.WeightHH != nil) != square {
			if square {
				return errors.New("weight_hh is missing")
			}
			return errors.New("weight_hh is given to a cell that is not Full")
		}
		if (w.WeightIH == nil) != (c.I == 0) {
			return fmt.Errorf("weight_ih and inputs go together: there are %d inputs", c.I)
		}
		if first && c.MapCount() == 0 {
			c.H = w.WeightHH.Shape()[len(w.WeightHH.Shape())-1]
		}
	}
	if w.ReadoutWeight != nil {
		c.O = w.ReadoutWeight.Shape()[0]
	}
	return nil
}

// plan checks all shapes and makes the kernels' plans.
func (s *sequenceState[F]) plan(x *Node, dirs []CellWeights, initial []*Node) error {
	g := s.g
	if x != nil {
		if err := expect("x", x, g.config.Rows, -1, -1); err != nil {
			return err
		}
		s.cell.T, s.cell.I = shapeOf(x)[1], shapeOf(x)[2]
		s.args = append(s.args, argument[F]{node: x, kind: argX})
	}
	for d, w := range dirs {
		if err := s.size(w, d == 0); err != nil {
			return err
		}
		shared := g.memory.Packed != nil
		for _, p := range s.parameters(w) {
			if p.node == nil {
				continue
			}
			shared = shared && g.isParameter(p.node)
			if err := expect(p.name, p.node, p.shape...); err != nil {
				return err
			}
			s.args = append(s.args, argument[F]{node: p.node, dir: d, kind: argWeight, weight: p.at})
		}
		if h0 := initial[d]; h0 != nil {
			shape := []int{g.config.Rows, s.cell.StateSize()}
			if len(h0.Shape()) == 1 {
				shape = shape[1:]
			}
			if err := expect("initial state", h0, shape...); err != nil {
				return err
			}
			s.args = append(s.args, argument[F]{node: h0, dir: d, kind: argInitial})
		}
		c := s.cell
		c.B, c.ShardRows, c.Reverse, c.Threads, c.Inference = g.config.Rows, g.config.ShardRows, d == 1, g.threads(), !g.config.Training
		p, err := g.memory.sequence(g.slot(), c, shared)
		if err != nil {
			return err
		}
		s.plans = append(s.plans, p)
	}
	if s.opt.Truncate < 0 {
		return fmt.Errorf("truncate %d: at least 0", s.opt.Truncate)
	}
	return s.close(x)
}

// head adds the node of one result.
func (s *sequenceState[F]) head(token *Node, which int) *Node {
	if s.nodes[which] != nil || s.g.err != nil {
		return s.nodes[which]
	}
	b, width := s.g.config.Rows, s.cell.H*len(s.plans)
	shape := gtensor.Shape{b, s.cell.T, width}
	switch which {
	case headOutputs:
		if s.cell.O == 0 {
			return s.g.fail(s.name, fmt.Errorf("outputs are asked for, but there is no readout"))
		}
		shape = gtensor.Shape{b, s.cell.T, s.cell.O}
	case headFinal:
		shape = gtensor.Shape{b, s.cell.StateSize() * len(s.plans)}
	case headEnvironment:
		if s.loop == nil || s.loop.state == 0 {
			return s.g.fail(s.name, errNoEnvironment())
		}
		shape = gtensor.Shape{b, s.cell.T, s.loop.state}
	}
	if s.values[which] == nil {
		s.values[which] = s.g.array(shape.TotalSize())
	}
	value := dense(s.values[which], shape...)
	name := s.name + " " + headNames[which]
	n, err := s.g.apply(op{name: name, shape: shape, wrt: []bool{true},
		run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil },
		diff: func(_ gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
			n, err := s.g.apply(op{name: name + " cotangent", run: s.receive(which)}, grad)
			return gorgonia.Nodes{n}, err
		}}, token)
	if err != nil {
		return s.g.fail(name, err)
	}
	s.nodes[which] = n
	return n
}

// receive takes the cotangent of one result.
func (s *sequenceState[F]) receive(which int) func([]gorgonia.Value) (gorgonia.Value, error) {
	return func(in []gorgonia.Value) (gorgonia.Value, error) {
		c, err := flat[F](in[0])
		s.cots[which] = c
		return s.token.set(0), err
	}
}

// direction is the part of an array of both directions, each of that width, that belongs to direction d.
func direction[F kernel.Float](a []F, d, width int) []F {
	if a == nil {
		return nil
	}
	return a[d*width:]
}

// results are the arrays of direction d.
func (s *sequenceState[F]) results(a *[heads][]F, d int) kernel.SequenceOutput[F] {
	h, state := s.cell.H, s.cell.StateSize()
	return kernel.SequenceOutput[F]{Y: a[headOutputs], States: direction(a[headStates], d, h), Clean: direction(a[headClean], d, h),
		Final: direction(a[headFinal], d, state), Stride: h * len(s.plans), FinalStride: state * len(s.plans)}
}

func (s *sequenceState[F]) newWeights() kernel.SequenceWeights[F] {
	w := kernel.SequenceWeights[F]{Version: s.g.pass.Weights}
	if n := s.cell.MapCount(); n > 0 {
		w.Maps = make([]kernel.LinearWeights[F], n)
	}
	return w
}

func (s *sequenceState[F]) weights(in []gorgonia.Value, dir int) (w kernel.SequenceWeights[F], x, h0 []F, err error) {
	w = s.newWeights()
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
		case argInitial:
			h0 = v
		default:
			*a.weight(&w) = v
		}
	}
	return w, x, h0, nil
}

func noiseOf[F kernel.Float](p *Pass, n Noise) kernel.Noise[F] {
	if n.SD == 0 || p.Quiet {
		return kernel.Noise[F]{}
	}
	return kernel.Noise[F]{SD: F(n.SD), Key: p.key(n.Purpose)}
}

func (s *sequenceState[F]) forward(in []gorgonia.Value) (gorgonia.Value, error) {
	p := &s.g.pass
	s.cots = [heads][]F{}
	for d, plan := range s.plans {
		w, x, h0, err := s.weights(in, d)
		if err != nil {
			return nil, err
		}
		input := kernel.SequenceInput[F]{B: s.g.config.Rows, X: x, H0: h0, Trials: p.Trials, Noise: noiseOf[F](p, s.opt.Noise), InitNoise: noiseOf[F](p, s.opt.InitialNoise)}
		if s.loop != nil {
			err = s.forwardLoop(plan, w, input)
		} else {
			err = plan.Forward(w, input, s.results(&s.values, d))
		}
		if err != nil {
			return nil, err
		}
	}
	return s.token.set(0), nil
}

// backward adds one node that runs all directions back, and one for each argument that picks its gradient.
func (s *sequenceState[F]) backward(in gorgonia.Nodes, _, grad *Node) (gorgonia.Nodes, error) {
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
	back, err := s.g.apply(op{name: s.name + " backward", run: s.runBack}, grad)
	if err != nil {
		return nil, err
	}
	return s.g.picks(s.name, back, in, s.grads)
}

func (s *sequenceState[F]) runBack([]gorgonia.Value) (gorgonia.Value, error) {
	for d, plan := range s.plans {
		grad := kernel.SequenceGradient[F]{Weights: s.newWeights()}
		for k, a := range s.args {
			switch {
			case a.kind == argX:
				grad.X = s.grads[k]
				if d > 0 && grad.X != nil {
					grad.X = s.second
				}
			case a.dir != d:
			case a.kind == argInitial:
				grad.H0 = s.grads[k]
			default:
				*a.weight(&grad.Weights) = s.grads[k]
			}
		}
		c := s.results(&s.cots, d)
		var err error
		if s.loop != nil {
			err = s.backwardLoop(plan, grad)
		} else {
			err = plan.Backward(kernel.SequenceCotangent[F]{Y: c.Y, States: c.States, Clean: c.Clean, Final: c.Final, Stride: c.Stride, FinalStride: c.FinalStride,
				Truncate: s.opt.Truncate}, grad)
		}
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
