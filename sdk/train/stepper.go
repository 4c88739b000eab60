package train

import (
	"errors"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Stepper takes optimiser steps: a batch forward and back, clipping, Adam.
type Stepper[F kernel.Float] struct {
	// Runner computes losses and gradients.
	Runner *Runner[F]
	// Optimiser and Clip are as in Config and may be changed between steps.
	Optimiser kernel.Adam
	Clip      float64
	// Steps is the number of steps taken, of the running means too.
	Steps int64
	// Terms are the losses of the last step by the order of Program.Losses.
	Terms []float64

	net                         Network[F]
	spans                       []span
	scaled                      float64 // what clipping made of grad
	weights, grad, mean, square []F
}

// NewStepper returns a stepper at step 0, with running means of 0. Of c it takes Optimiser, Clip and ParamGroups.
func NewStepper[F kernel.Float](net Network[F], threads int, c Config) (*Stepper[F], error) {
	p := net.Params()
	spans, err := spans(p, c.ParamGroups)
	if err != nil {
		return nil, err
	}
	w := p.Flat()
	return &Stepper[F]{Runner: NewRunner(net, threads), Optimiser: c.Optimiser, Clip: c.Clip, net: net, spans: spans, scaled: 1, weights: w,
		grad: make([]F, len(w)), mean: make([]F, len(w)), square: make([]F, len(w))}, nil
}

// Step takes one step on trials of d, given by their rows, and returns the batch's loss and the gradient's norm before clipping. A loss or gradient that is not
// finite is a component.DivergedError that names both, and the weights stay.
func (s *Stepper[F]) Step(d *Data[F], rows []int, p nn.Pass) (loss, norm float64, err error) {
	if loss, s.Terms, err = s.Runner.Run(d, rows, p, s.grad); err != nil {
		var e *component.DivergedError
		if errors.As(err, &e) {
			e.Step = s.Steps
		}
		return 0, 0, err
	}
	for _, x := range s.spans {
		if x.frozen() {
			clear(s.grad[x.from:x.to])
		}
	}
	norm = kernel.GlobalNorm(s.grad)
	s.scaled = 1
	if !finite(loss) {
		return 0, 0, s.diverged("loss", loss)
	}
	if !finite(norm) {
		name, value := s.largest()
		return 0, 0, &component.DivergedError{Step: s.Steps, Quantity: fmt.Sprintf("gradient of %s (the loss is %v)", name, loss), Value: value, Hint: divergedHint}
	}
	if s.Clip > 0 {
		s.scaled = kernel.ClipFactor(norm, s.Clip)
		kernel.Scale(s.grad, s.scaled)
	}
	for _, x := range s.spans {
		if x.frozen() {
			continue
		}
		if err := kernel.AdamStep(x.optimiser(s.Optimiser), int(s.Steps)+1, s.weights[x.from:x.to], s.grad[x.from:x.to], s.mean[x.from:x.to], s.square[x.from:x.to]); err != nil {
			return 0, 0, err
		}
	}
	s.Steps++
	return loss, norm, nil
}

// Close frees the runner.
func (s *Stepper[F]) Close() error { return s.Runner.Close() }

const divergedHint = "try a lower learning rate or a smaller clip"

// diverged says of a quantity that it left what is allowed, and names the parameter with the largest gradient of the last step.
func (s *Stepper[F]) diverged(quantity string, value float64) *component.DivergedError {
	return &component.DivergedError{Step: s.Steps, Quantity: s.withGradient(quantity), Value: value, Hint: divergedHint}
}

// withGradient is a quantity with the parameter with the largest gradient of the last step.
func (s *Stepper[F]) withGradient(quantity string) string {
	if name, g := s.largest(); name != "" {
		return fmt.Sprintf("%s (largest gradient: %v, of %s)", quantity, g, name)
	}
	return quantity
}

// largest is the parameter with the largest gradient of the last step, before clipping, where one that is not a number is largest; no name where all are zero.
func (s *Stepper[F]) largest() (name string, gradient float64) {
	largest := 0.0
	for _, p := range s.net.Params().All() {
		for _, g := range s.grad[p.Offset : p.Offset+len(p.Value)] {
			size := math.Abs(float64(g))
			if math.IsNaN(size) {
				size = math.Inf(1)
			}
			if size > largest {
				largest, name, gradient = size, p.Name, float64(g)/s.scaled
			}
		}
	}
	return name, gradient
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
