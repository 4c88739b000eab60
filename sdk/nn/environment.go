package nn

import (
	"errors"
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Environment is what acts on the outputs of a network and gives its next inputs: it closes the loop around a sequence, see [Graph.Environment]. The arrays of a call are those of
// the whole sequence, (rows, T, ...).
//
// A bin t of the loop is: the cell steps, with the inputs of t; its outputs are those of t; the environment acts on them, which gives its state of t and the inputs of t+1.
// It is the environment that goes through the bins, so that sequences of several graphs can do so together. It may call compute in any goroutine, but not twice at a time, and not after
// an error of compute or when it has returned.
type Environment[F kernel.Float] interface {
	// Begin starts a run's trials and writes the inputs of bin 0. An episode that is still running is over.
	Begin(start EpisodeStart, inputs []F) error
	// Forward goes through the bins from one, where the last call ended, up to but not including another. In each it calls compute, which makes the outputs of bin t (rows, T, O) of its inputs (nil: they
	// are there), and then writes the state of bin t (rows, T, S; nil if it is not wanted) and, but for the last bin of all, the inputs of bin t+1.
	Forward(from, to int, compute func(t int) error, outputs, state, inputs []F) error
	// Backward goes back over such bins, from the last one down. In each it reads the cotangents of what Forward wrote there, state (nil is zero) at bin t and inputs at bin t+1, adds that of
	// the outputs to bin t of outputs, and then calls compute, which makes the cotangent of the inputs of bin t of it (nil: the caller does). The cotangent of its own state it carries itself.
	Backward(from, to int, compute func(t int) error, state, inputs, outputs []F) error
	// End frees the episode.
	End() error
}

// EpisodeStart is what an [Environment] begins with.
type EpisodeStart struct {
	Pass Pass
	// Tape says that Backward will be called.
	Tape bool
	// BinByBin says that Forward and Backward will be called for each bin alone.
	BinByBin bool
	// Truncate cuts the cotangents that are carried from bin t to bin t-1, where t is a multiple of it; 0 never.
	Truncate int
}

// environment is what a graph knows of one.
type environment[F kernel.Float] struct {
	Environment[F]
	state   int // width of its state
	taken   bool
	running bool // an episode is
}

// begin starts an episode, with which an older one is over.
func (e *environment[F]) begin(start EpisodeStart, inputs []F) error {
	e.running = false
	if err := e.Begin(start, inputs); err != nil {
		return err
	}
	e.running = true
	return nil
}

// end frees the episode, once.
func (e *environment[F]) end() error {
	if !e.running {
		return nil
	}
	e.running = false
	return e.End()
}

// Environment adds the inputs (rows, bins, inputs) that an environment gives to the one sequence that they are given to, whose readout acts on it. After a run their array holds what was
// seen. The environment's state, of that width, is the sequence's EnvironmentState.
func (g *Graph[F]) Environment(e Environment[F], bins, inputs, state int) *Node {
	const name = "environment"
	if e == nil || inputs < 1 || state < 0 {
		return g.fail(name, fmt.Errorf("%d inputs and a state of %d: an environment with at least 1 and 0 is needed", inputs, state))
	}
	n := g.Data(fmt.Sprintf("%s %d", name, g.slot()), bins, inputs)
	if n == nil {
		return nil
	}
	if g.environments == nil {
		g.environments = map[*Node]*environment[F]{}
	}
	g.environments[n] = &environment[F]{Environment: e, state: state}
	return n
}

// loop is what a sequence in closed loop has besides. Its arrays are those of all bins.
type loop[F kernel.Float] struct {
	*environment[F]
	inputs         []F // the node's own array
	outputs, given []F // given is the environment's state, nil where it has none
	dInputs, dOuts []F
}

// closed is the loop over outputs of that width if x is an environment's, else nil.
func (g *Graph[F]) closed(x *Node, outputs int) (*loop[F], error) {
	e := g.environments[x]
	if x == nil || e == nil {
		return nil, nil
	}
	switch {
	case e.taken:
		return nil, errors.New("the environment is that of another sequence")
	case outputs == 0:
		return nil, errors.New("a closed loop needs a readout, which acts on its environment")
	}
	e.taken = true
	size := g.config.Rows * shapeOf(x)[1]
	l := &loop[F]{environment: e, inputs: g.Array(x), outputs: g.array(size * outputs)}
	if e.state > 0 {
		l.given = g.array(size * e.state)
	}
	if g.config.Training {
		l.dInputs, l.dOuts = g.array(len(l.inputs)), g.array(len(l.outputs))
	}
	return l, nil
}

// start begins the episode of a run.
func (l *loop[F]) start(g *Graph[F], truncate int, binByBin bool) error {
	return l.begin(EpisodeStart{Pass: g.pass, Tape: g.config.Training, Truncate: truncate, BinByBin: binByBin}, l.inputs)
}

// cut says whether truncated gradients stop between bins t-1 and t.
func cut(t, truncate int) bool { return truncate > 0 && t > 0 && t%truncate == 0 }

func errNoEnvironment() error {
	return errors.New("the state of an environment is asked for, but there is none")
}

// close makes s a loop if x is an environment's.
func (s *sequenceState[F]) close(x *Node) (err error) {
	if s.g.environments[x] != nil {
		switch {
		case len(s.plans) > 1:
			return errors.New("a bidirectional sequence has no closed loop")
		case s.cell.Recompute != 0:
			return fmt.Errorf("recompute %d: a closed loop, whose bins nobody can compute once more, keeps all: 0 alone is allowed", s.cell.Recompute)
		}
	}
	if s.loop, err = s.g.closed(x, s.cell.O); s.loop != nil {
		s.values[headOutputs], s.values[headEnvironment] = s.loop.outputs, s.loop.given
	}
	return err
}

// forwardLoop runs all bins of a loop.
func (s *sequenceState[F]) forwardLoop(plan *kernel.Sequence[F], w kernel.SequenceWeights[F], in kernel.SequenceInput[F]) error {
	l := s.loop
	in.X = nil
	if err := plan.Begin(w, in); err != nil {
		return err
	}
	if err := l.start(s.g, s.opt.Truncate, false); err != nil {
		return err
	}
	out := kernel.SequenceBin[F]{Y: s.values[headOutputs], State: s.values[headStates], Clean: s.values[headClean], Whole: true}
	compute := func(t int) error { return plan.StepForward(t, l.inputs, out) }
	if err := l.Forward(0, s.cell.T, compute, out.Y, s.values[headEnvironment], l.inputs); err != nil {
		return err
	}
	if !s.g.config.Training {
		if err := l.end(); err != nil {
			return err
		}
	}
	return plan.Final(s.values[headFinal])
}

// backwardLoop goes back over them.
func (s *sequenceState[F]) backwardLoop(plan *kernel.Sequence[F], grad kernel.SequenceGradient[F]) error {
	l, bins := s.loop, s.cell.T
	if given := s.cots[headOutputs]; given != nil {
		copy(l.dOuts, given)
	} else {
		clear(l.dOuts)
	}
	if err := plan.BeginBackward(s.cots[headFinal]); err != nil {
		return err
	}
	cot := kernel.SequenceBin[F]{Y: l.dOuts, State: s.cots[headStates], Clean: s.cots[headClean], Whole: true}
	compute := func(t int) error {
		if err := plan.StepBackward(t, cot, l.dInputs); err != nil || !cut(t, s.opt.Truncate) {
			return err
		}
		// The inputs of this bin are of the environment's state before it.
		clearBin(l.dInputs, s.g.config.Rows, bins, t)
		return plan.CutBackward()
	}
	if err := l.Backward(0, bins, compute, s.cots[headEnvironment], l.dInputs, l.dOuts); err != nil {
		return err
	}
	if err := l.end(); err != nil {
		return err
	}
	return plan.EndBackward(grad)
}

// clearBin sets a bin of an array (rows, bins, ...) to zero.
func clearBin[F kernel.Float](a []F, rows, bins, t int) {
	width := len(a) / (rows * bins)
	for r := range rows {
		clear(a[(r*bins+t)*width:][:width])
	}
}
