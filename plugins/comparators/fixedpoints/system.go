package fixedpoints

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Rows of one call. They are fixed, so that what a model returns does not depend on the number of threads even where it rounds by the size of a batch.
const (
	stepRows     = 64
	jacobianRows = 16
)

// system is a model's step under one constant input.
type system struct {
	dynamics model.Dynamics
	layout   model.Layout
	input    []float64
	threads  int
	// buffers holds memory of searches' steps between them.
	buffers *sync.Pool
}

func (s *system) size() int { return s.layout.Size }

// under is the same model under another input.
func (s *system) under(input []float64) *system {
	other := *s
	other.input = input
	return &other
}

// inputs repeats the input for n rows.
func (s *system) inputs(n int) *tensor.Tensor {
	t := tensor.New64(model.Inputs, n, s.layout.Inputs)
	for i := range n {
		copy(t.F64[i*s.layout.Inputs:], s.input)
	}
	return t
}

// residuals writes F(x) - x to f for each row of x.
func (s *system) residuals(ctx context.Context, x, f []float64) error {
	d := s.size()
	return each(ctx, s.threads, len(x)/d, stepRows, func(ctx context.Context, from, to int) error {
		if err := s.step(ctx, x[from*d:to*d], f[from*d:to*d]); err != nil {
			return err
		}
		for i := from * d; i < to*d; i++ {
			f[i] -= x[i]
		}
		return nil
	})
}

// step writes F(x) to next in one call.
func (s *system) step(ctx context.Context, x, next []float64) error {
	n := len(x) / s.size()
	t, err := s.dynamics.Step(ctx, tensor.From64(model.State, x, n, s.size()), s.inputs(n))
	if err != nil {
		return fmt.Errorf("step: %w", err)
	}
	v, err := elements("step", t, n, s.size())
	copy(next, v)
	return err
}

// jacobians returns dF/dstate (n, size, size) and dF/dinput (n, size, inputs), in one call.
func (s *system) jacobians(ctx context.Context, x []float64) (js, ju []float64, err error) {
	n := len(x) / s.size()
	ts, tu, err := s.dynamics.Jacobians(ctx, tensor.From64(model.State, x, n, s.size()), s.inputs(n))
	if err != nil {
		return nil, nil, fmt.Errorf("jacobians: %w", err)
	}
	if js, err = elements("jacobians.state", ts, n, s.size(), s.size()); err != nil {
		return nil, nil, err
	}
	if s.layout.Inputs > 0 {
		ju, err = elements("jacobians.input", tu, n, s.size(), s.layout.Inputs)
	}
	return js, ju, err
}

// elements checks what a model returned.
func elements(path string, t *tensor.Tensor, shape ...int) ([]float64, error) {
	switch {
	case t == nil:
		return nil, component.Invalid(path, "the model returned nothing: shape %v is needed", shape)
	case t.Check() != nil:
		return nil, component.Invalid(path, "%v", t.Check())
	case !slices.Equal(t.Shape, shape):
		return nil, component.Invalid(path, "the model returned shape %v: %v is needed", t.Shape, shape)
	}
	return t.Float64s(), nil
}

// each calls f for runs of so many of n rows, on up to threads goroutines. A panic there is an error here: on a goroutine of its own it would end the process.
func each(ctx context.Context, threads, n, run int, f func(ctx context.Context, from, to int) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(max(1, threads))
	for from := 0; from < n; from += run {
		g.Go(func() (err error) {
			defer component.Recover(&err)
			if err := inner.Err(); err != nil {
				return err
			}
			return f(inner, from, min(n, from+run))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}
