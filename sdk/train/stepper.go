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
	return &Stepper[F]{Runner: NewRunner(net, threads), Optimiser: c.Optimiser, Clip: c.Clip, net: net, spans: spans, weights: w,
		grad: make([]F, len(w)), mean: make([]F, len(w)), square: make([]F, len(w))}, nil
}

// Step takes one step on trials of d, given by their rows, and returns the batch's loss and the gradient's norm before clipping. A loss or gradient that is not
// finite is a component.DivergedError, and the weights stay.
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
	if !finite(loss) || !finite(norm) {
		return 0, 0, s.diverged(loss)
	}
	if s.Clip > 0 {
		kernel.Scale(s.grad, kernel.ClipFactor(norm, s.Clip))
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

// diverged names the parameter with the largest gradient, where one that is not a number is largest.
func (s *Stepper[F]) diverged(loss float64) error {
	e := &component.DivergedError{Step: s.Steps, Quantity: "loss", Value: loss, Hint: "try a lower learning rate or a smaller clip"}
	largest, name, value := -1.0, "", 0.0
	for _, p := range s.net.Params().All() {
		for _, g := range s.grad[p.Offset : p.Offset+len(p.Value)] {
			size := math.Abs(float64(g))
			if math.IsNaN(size) {
				size = math.Inf(1)
			}
			if size > largest {
				largest, name, value = size, p.Name, float64(g)
			}
		}
	}
	if finite(loss) {
		e.Quantity, e.Value = "gradient of "+name, value
	} else {
		e.Quantity = fmt.Sprintf("loss (largest gradient: %v, of %s)", value, name)
	}
	return e
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
