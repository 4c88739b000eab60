package kernel

import (
	"errors"
	"fmt"
)

// GRU is a plan for GRU sequences, see GRUWeights for the equations. A call sequence is
//
//	Forward, then Backward                                    // whole sequences
//	Begin, StepForward for bins 0, 1, ...; then, if wanted,   // closed loop, x of a bin may depend on what earlier bins gave
//	BeginBackward, StepBackward for the same bins in reverse, EndBackward
//
// Both run the same code and give the same bits.
type GRU[F Float] struct {
	cfg    GRUConfig
	eng    *refGRU[F]
	closed bool

	state phase
	done  int // bins that a closed loop has stepped and not yet gone back over
	in    GRUInput[F]
}

type phase int

const (
	phaseNew phase = iota
	phaseForward
	phaseSteps
	phaseBack
)

// NewGRU plans a GRU and takes the memory for it.
func NewGRU[F Float](c GRUConfig) (*GRU[F], error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return &GRU[F]{cfg: c, eng: newRefGRU[F](c)}, nil
}

// Config is the shape that the plan was made for.
func (g *GRU[F]) Config() GRUConfig { return g.cfg }

func (g *GRU[F]) begin(w GRUWeights[F], in GRUInput[F], sequence bool) error {
	if g.closed {
		return ErrClosed
	}
	g.state = phaseNew
	if err := checkGRUWeights(g.cfg, w, true); err != nil {
		return err
	}
	if err := in.check(g.cfg, sequence); err != nil {
		return err
	}
	g.in = in
	g.eng.begin(w, in)
	return nil
}

// binOf is the bin that step k of a sequence takes.
func (g *GRU[F]) binOf(k int) int {
	if g.cfg.Reverse {
		return g.cfg.T - 1 - k
	}
	return k
}

// Forward runs whole sequences. w must not change before Backward.
func (g *GRU[F]) Forward(w GRUWeights[F], in GRUInput[F], out GRUOutput[F]) error {
	if err := g.begin(w, in, true); err != nil {
		return err
	}
	in = g.in
	if err := out.check(g.cfg, in.B); err != nil {
		return err
	}
	c := g.cfg
	for k := range c.T {
		t := g.binOf(k)
		g.eng.forward(k, t, view[F]{in.X, t * c.I, c.T * c.I}, view[F]{out.Y, t * c.O, c.T * c.O},
			view[F]{out.States, t * out.Stride, c.T * out.Stride}, view[F]{out.Clean, t * out.Stride, c.T * out.Stride})
	}
	g.eng.final(out.Final, out.FinalStride)
	if !c.Inference {
		g.state = phaseForward
	}
	return nil
}

// Backward writes the gradients of a scalar whose cotangents are cot, for the last Forward. It may be called several times, with other
// cotangents.
func (g *GRU[F]) Backward(cot GRUCotangent[F], grad GRUGradient[F]) error {
	if g.closed {
		return ErrClosed
	}
	if g.state != phaseForward {
		return fmt.Errorf("gru backward without a forward that keeps a tape: %w", ErrOrder)
	}
	out := GRUOutput[F](cot)
	if err := errors.Join(out.check(g.cfg, g.in.B), grad.check(g.cfg, g.in.B, g.shared(), true)); err != nil {
		return err
	}
	c := g.cfg
	g.eng.beginBackward(out.Final, out.FinalStride)
	for k := c.T - 1; k >= 0; k-- {
		t := g.binOf(k)
		g.eng.backward(k, t, view[F]{out.Y, t * c.O, c.T * c.O}, view[F]{out.States, t * out.Stride, c.T * out.Stride},
			view[F]{out.Clean, t * out.Stride, c.T * out.Stride}, view[F]{grad.X, t * c.I, c.T * c.I})
	}
	g.eng.gradients(grad)
	return nil
}

// shared says whether the initial state is one for all trials.
func (g *GRU[F]) shared() bool { return g.in.H0 == nil || len(g.in.H0) == g.cfg.H }

// Begin starts a closed loop: in.X is not used. w must not change before EndBackward.
func (g *GRU[F]) Begin(w GRUWeights[F], in GRUInput[F]) error {
	if g.cfg.Reverse {
		return fmt.Errorf("kernel: gru: a reverse plan has no closed loop: %w", ErrOrder)
	}
	if err := g.begin(w, in, false); err != nil {
		return err
	}
	g.state, g.done = phaseSteps, 0
	return nil
}

// StepForward takes bin t, which must be the next one (0 after Begin), with inputs x (B, I), and writes what out wants.
func (g *GRU[F]) StepForward(t int, x []F, out GRUBin[F]) error {
	if g.closed {
		return ErrClosed
	}
	if g.state != phaseSteps || t != g.done || t >= g.cfg.T {
		return fmt.Errorf("gru step forward at bin %d, %d of %d bins done: %w", t, g.done, g.cfg.T, ErrOrder)
	}
	if err := errors.Join(wantLen("gru", "x", x, g.in.B*g.cfg.I), out.check(g.cfg, g.in.B)); err != nil {
		return err
	}
	c := g.cfg
	g.eng.forward(t, t, view[F]{x, 0, c.I}, view[F]{out.Y, 0, c.O}, view[F]{out.State, 0, c.H}, view[F]{out.Clean, 0, c.H})
	g.done++
	return nil
}

// BeginBackward starts to go back over the bins stepped so far; final is the cotangent (B, H) of the last state, nil for zero.
func (g *GRU[F]) BeginBackward(final []F) error {
	if g.closed {
		return ErrClosed
	}
	if g.state != phaseSteps || g.cfg.Inference {
		return fmt.Errorf("gru begin backward without steps on a tape: %w", ErrOrder)
	}
	if err := optLen("gru", "Final", final, g.in.B*g.cfg.H); err != nil {
		return err
	}
	g.eng.beginBackward(final, g.cfg.H)
	g.state = phaseBack
	return nil
}

// StepBackward goes back over bin t, which must be the last one not yet gone back over, with the cotangents of what StepForward gave,
// and writes the gradient of its inputs to dx (B, I; nil if not wanted).
func (g *GRU[F]) StepBackward(t int, cot GRUBin[F], dx []F) error {
	if g.closed {
		return ErrClosed
	}
	if g.state != phaseBack || t != g.done-1 {
		return fmt.Errorf("gru step backward at bin %d, %d bins left: %w", t, g.done, ErrOrder)
	}
	if err := errors.Join(optLen("gru", "dx", dx, g.in.B*g.cfg.I), cot.check(g.cfg, g.in.B)); err != nil {
		return err
	}
	c := g.cfg
	g.eng.backward(t, t, view[F]{cot.Y, 0, c.O}, view[F]{cot.State, 0, c.H}, view[F]{cot.Clean, 0, c.H}, view[F]{dx, 0, c.I})
	g.done--
	return nil
}

// EndBackward writes the gradients of the weights and the initial state once every bin has been gone back over. grad.X must be nil.
func (g *GRU[F]) EndBackward(grad GRUGradient[F]) error {
	if g.closed {
		return ErrClosed
	}
	if g.state != phaseBack || g.done != 0 {
		return fmt.Errorf("gru end backward, %d bins left: %w", g.done, ErrOrder)
	}
	if err := grad.check(g.cfg, g.in.B, g.shared(), false); err != nil {
		return err
	}
	g.eng.gradients(grad)
	g.state = phaseNew
	return nil
}

// Close frees the plan's memory; later calls return ErrClosed. It may be called again.
func (g *GRU[F]) Close() error {
	g.closed = true
	return nil
}
