package main

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type contractionParams struct {
	Steps int `param:"steps" default:"50" min:"1" doc:"steps to settle before the Jacobian is taken"`
}

type contractionMeasure struct{ contractionParams }

func contraction() comparator.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Comparator, Short: "contraction"}, Version: "1.0.0", Doc: "spectral radius of the Jacobian where the undriven model settles",
		Capabilities: []component.Capability{component.NeedsDynamics, component.Deterministic},
	}
	return comparator.New(info, nil, func(_ context.Context, p contractionParams, _ component.Env) (comparator.Comparator, error) {
		return contractionMeasure{p}, nil
	})
}

func (c contractionMeasure) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	nan := math.NaN()
	for i, s := range req.Subjects {
		r := component.Result{Metric: "spectral_radius", Subject: s.Label, Value: nan, Low: nan, High: nan, Null: nan, Better: component.Neither, N: 1, Reason: s.Why}
		if s.Dynamics != nil {
			v, err := c.radius(ctx, s.Dynamics, s.Valid)
			if err != nil {
				return out, err
			}
			r.Value, r.Reason = v, ""
		}
		out.Results = append(out.Results, r)
		report.Progress(component.Progress{Phase: "subject", Done: int64(i + 1), Total: int64(len(req.Subjects)), Loss: nan})
	}
	return out, nil
}

func (c contractionMeasure) radius(ctx context.Context, d model.Dynamics, trials tensor.Set) (float64, error) {
	layout, err := d.Layout(ctx)
	if err != nil {
		return 0, err
	}
	x, err := start(ctx, d, layout, trials)
	if err != nil {
		return 0, err
	}
	u := tensor.New64("input", 1, layout.Inputs)
	for range c.Steps {
		if x, err = d.Step(ctx, x, u); err != nil {
			return 0, err
		}
	}
	j, _, err := d.Jacobians(ctx, x, u)
	if err != nil {
		return 0, err
	}
	var eig mat.Eigen
	eig.Factorize(mat.NewDense(layout.Size, layout.Size, j.Float64s()), mat.EigenNone)
	radius := 0.0
	for _, v := range eig.Values(nil) {
		radius = max(radius, math.Hypot(real(v), imag(v)))
	}
	return radius, nil
}

// start is the learned initial state, or zero for a model that infers its initial states from data.
func start(ctx context.Context, d model.Dynamics, l model.Layout, _ tensor.Set) (*tensor.Tensor, error) {
	x, err := d.InitialState(ctx, tensor.Block{})
	if err != nil {
		return tensor.New64(model.State, 1, l.Size), nil //nolint:nilerr // such a model refuses an empty block
	}
	return tensor.From64(model.State, x.Slice(0, 1).Float64s(), 1, l.Size), nil
}
