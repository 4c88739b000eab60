package reach

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// VJP goes back over step t. The array that it returns is the episode's own: it is overwritten by the next call. Noise is added, so it has no part in gradients, but that what is clipped
// are the actions with their noise; and what is shown does not depend on what is done.
func (e *episode[F]) VJP(ctx context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	err := e.may(ctx)
	if err == nil {
		err = e.pull(t, inputs, state)
	}
	if err != nil {
		return nil, e.fail(err)
	}
	return e.gradient, nil
}

func (e *episode[F]) pull(t int, inputs, state *tensor.Tensor) error {
	b, features := len(e.plans), 2*e.task.muscles
	if !e.tape {
		return component.Invalid("t", "vjp of step %d: the episode was begun without a tape", t)
	}
	next := e.back
	if !e.backward {
		next = e.next - 1
	}
	switch {
	case next < e.kept:
		return component.Invalid("t", "vjp of step %d is not allowed: none is left on the tape", t)
	case t != next:
		return component.Invalid("t", "vjp of step %d is not allowed: %d is next", t, next)
	}
	width := 2 + features + contexts
	x, err := optional[F]("inputs", inputs, b, width)
	if err != nil {
		return err
	}
	s, err := optional[F]("state", state, b, 2)
	if err != nil {
		return err
	}
	cut := e.truncate > 0 && (t+1)%e.truncate == 0
	if !e.backward {
		e.plant.BeginBackward()
	} else if cut {
		e.plant.Cut()
	}
	if !e.backward || cut {
		e.seenBack.clear()
		e.feltBack.clear()
	}
	seen, felt := e.seenBack.next(), e.feltBack.next()
	if x == nil {
		clear(seen)
		clear(felt)
	} else {
		for row := range b {
			from := x[row*width:]
			copy(seen[row*2:row*2+2], from[:2])
			copy(felt[row*features:(row+1)*features], from[2:2+features])
		}
	}
	copy(e.tip, e.seenBack.oldest())
	for i, v := range s {
		e.tip[i] += v
	}
	if err := e.plant.StepBackward(t, e.tip, e.feltBack.oldest(), e.actions); err != nil {
		return err
	}
	e.back, e.backward = t-1, true
	return nil
}
