package nn

import (
	"errors"
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Recurrence is a cell that is written down as a single step, with the methods of a Graph. It is all that a new cell needs, see [Stepped].
type Recurrence[F kernel.Float] interface {
	// Units, StateSize and Declare are as in Cell.
	Units() int
	StateSize() int
	Declare(p *Params[F], prefix string, inputs int)
	// Step is the state (rows, StateSize) after state, given a bin's inputs x (rows, inputs), nil where there are none.
	Step(g *Graph[F], prefix string, x, state *Node) *Node
}

// Stepped makes a Cell of a Recurrence. exact is the same one in double precision, for Map. It is read out of the latents after the step, before its noise, which is that of the
// kernels' cells to the bit; the initial state may have noise too.
//
// Its bins are so many pieces of graph, so that training costs several times what a kernel takes: a GRU of 256 units 4 times, of 64 7 times, of 16 16 times (BenchmarkStepped). A cell that is
// here to stay deserves a kernel, and this one is what to test it against. In closed loop its environment is called between the pieces.
func Stepped[F kernel.Float](r Recurrence[F], exact Recurrence[float64]) Cell[F] {
	return stepped[F]{r, exact}
}

type stepped[F kernel.Float] struct {
	Recurrence[F]
	exact Recurrence[float64]
}

var _ Cell[float32] = stepped[float32]{}

// Unroll writes the step down for every bin.
func (c stepped[F]) Unroll(g *Graph[F], prefix string, x *Node, bins int, o Unroll) *Sequence {
	if g.err != nil {
		return nil
	}
	units := c.Units()
	failed := func(err error) *Sequence {
		if err != nil {
			g.fail("step", err)
		}
		return nil
	}
	if o.Truncate < 0 {
		return failed(fmt.Errorf("truncate %d: at least 0", o.Truncate))
	}
	if o.Recompute != 0 {
		return failed(fmt.Errorf("recompute %d: a cell in steps keeps what its graph computes: 0 alone is allowed", o.Recompute))
	}
	loop, err := g.closeSteps(x, o.Readout, o.Truncate)
	if err != nil {
		return failed(err)
	}
	var xs []*Node
	switch {
	case loop != nil:
		bins = loop.bins
	case x != nil:
		if xs = g.Split(x); xs == nil {
			return nil
		}
		bins = len(xs)
	}
	noise := func(n Noise, bins int) []*Node {
		if n.SD == 0 {
			return nil
		}
		return g.split(g.AddNoise(g.Zeros(bins, units), n), false)
	}
	state := g.initial(o.Initial, c.StateSize())
	if e := noise(o.InitialNoise, 1); e != nil {
		state = g.perturb(state, e[0])
	}
	each := noise(o.Noise, bins)
	states, clean, outputs := make([]*Node, bins), make([]*Node, bins), make([]*Node, bins)
	for t := range bins {
		var in *Node
		switch {
		case loop != nil:
			if in, err = loop.in(t); err != nil {
				return failed(err)
			}
		case xs != nil:
			in = xs[t]
		}
		if cut(t, o.Truncate) && state != nil {
			if state, err = g.held(state); err != nil {
				return failed(err)
			}
		}
		if state = c.Step(g, prefix, in, state); state == nil {
			return failed(errors.New("a cell gives no node"))
		}
		if err := expect("a cell's state", state, g.config.Rows, c.StateSize()); err != nil {
			return failed(err)
		}
		clean[t] = g.Columns(state, 0, units)
		states[t] = clean[t]
		if each != nil {
			state = g.perturb(state, each[t])
			states[t] = g.Columns(state, 0, units)
		}
		if loop == nil {
			continue
		}
		if outputs[t] = g.LinearOf(o.Readout, clean[t]); outputs[t] == nil {
			return nil
		}
		if err := loop.act(t, outputs[t]); err != nil {
			return failed(err)
		}
	}
	var made [heads]*Node
	head := func(which int, build func() *Node) *Node {
		if made[which] == nil {
			made[which] = build()
		}
		return made[which]
	}
	// What the cell gives, of a closed loop once all of it has run.
	whole := func(n *Node) *Node {
		if loop == nil || n == nil {
			return n
		}
		if n, err = loop.whole(n); err != nil {
			return g.fail("step", err)
		}
		return n
	}
	stackClean := func() *Node { return head(headClean, func() *Node { return whole(g.Stack(clean)) }) }
	return &Sequence{func(which int) *Node {
		switch which {
		case headFinal:
			return head(headFinal, func() *Node { return whole(state) })
		case headClean:
			return stackClean()
		case headStates:
			if each == nil {
				return stackClean()
			}
			return head(headStates, func() *Node { return whole(g.Stack(states)) })
		case headEnvironment:
			return head(headEnvironment, func() *Node { return g.environmentState(loop) })
		}
		return head(headOutputs, func() *Node {
			switch {
			case loop != nil:
				return whole(g.Stack(outputs))
			case o.Readout == "":
				return g.fail("step", errors.New("outputs are asked for, but there is no readout"))
			}
			return g.LinearOf(o.Readout, stackClean())
		})
	}}
}

// initial is an initial state (rows, size) of one given as (rows, size), as (size) for all trials, or not at all.
func (g *Graph[F]) initial(given *Node, size int) *Node {
	if g.err != nil {
		return nil
	}
	if given == nil {
		return g.Zeros(size)
	}
	if len(given.Shape()) != 1 {
		if err := expect("initial state", given, g.config.Rows, size); err != nil {
			return g.fail("step", err)
		}
		return given
	}
	// The bias of a map of nothing: its gradient is the sum over trials.
	nothing := g.input(fmt.Sprintf("nothing %d", g.slot()), make([]F, size), []int{size, 1})
	g.data[nothing] = g.Array(nothing)
	return g.Linear(g.Zeros(1), nothing, given)
}

// Weights counts those of Declare.
func (c stepped[F]) Weights(inputs int) int64 {
	return counted(func(p *Params[F]) { c.Declare(p, "", inputs) })
}

// Bytes is an estimate: a gated cell makes a dozen arrays of its state's size in a bin, and as many again on the way back.
func (c stepped[F]) Bytes(rows, bins, inputs, outputs, _ int, training bool) int64 {
	const arrays = 12
	size := int64(4)
	if _, double := any(F(0)).(float64); double {
		size = 8
	}
	each := tensor.Total(tensor.Elements(arrays, c.StateSize()), int64(inputs), int64(outputs))
	if training {
		each = tensor.Total(each, each)
	}
	return tensor.Elements(rows, bins, int(each), int(size))
}

// Map is a GraphMap.
func (c stepped[F]) Map(values map[string][]float64, prefix string, inputs int) (StepMap, error) {
	return GraphMap(Stepped(c.exact, c.exact), values, prefix, inputs)
}
