package main

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type echoParams struct {
	Units  int     `param:"units" default:"20" min:"1" doc:"units of the reservoir"`
	Radius float64 `param:"gain" default:"0.7" above:"0" doc:"scale of the recurrent weights"`
	Ridge  float64 `param:"ridge" default:"1e-6" min:"0" doc:"ridge of the readout's regression"`
}

// network is an echo state network: fixed random weights, and a readout found by ridge regression.
type network struct {
	echoParams
	in, out int
	w, u, r *mat.Dense
}

func echoState() model.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Model, Short: "echo-state"}, Version: "1.0.0", Doc: "echo state network with a ridge readout",
		Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics, component.Deterministic},
	}
	return model.New(info, nil, func(_ context.Context, p echoParams, env component.Env, target model.Target) (model.Model, error) {
		if target.Task == nil {
			return nil, component.Invalid("target", "an echo state network is trained on a task")
		}
		n := &network{echoParams: p, in: target.Task.Inputs, out: target.Task.Outputs}
		rng := random.New(env.Seed, "reservoir")
		draw := func(rows, cols int, scale float64) *mat.Dense {
			m := mat.NewDense(rows, cols, nil)
			for i := range rows {
				for j := range cols {
					m.Set(i, j, scale*rng.NormFloat64())
				}
			}
			return m
		}
		n.w, n.u = draw(p.Units, p.Units, p.Radius/math.Sqrt(float64(p.Units))), draw(p.Units, n.in, 0.5)
		n.r = mat.NewDense(n.out, p.Units, nil)
		return n, nil
	})
}

// step writes F(x, u) into next.
func (n *network) step(x, u, next []float64) {
	for i := range next {
		a := 0.0
		for j, v := range x {
			a += n.w.At(i, j) * v
		}
		for j, v := range u {
			a += n.u.At(i, j) * v
		}
		next[i] = math.Tanh(a)
	}
}

// run returns the states of one trial, (T, units), for inputs (T, in).
func (n *network) run(inputs []float32) *mat.Dense {
	bins := len(inputs) / n.in
	states := mat.NewDense(bins, n.Units, nil)
	x, u := make([]float64, n.Units), make([]float64, n.in)
	for t := range bins {
		for j := range u {
			u[j] = float64(inputs[t*n.in+j])
		}
		n.step(x, u, states.RawRowView(t))
		x = states.RawRowView(t)
	}
	return states
}

func (n *network) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if req.Task == nil {
		return model.TrainResult{}, component.Invalid("task", "a task is needed")
	}
	gram, cross := mat.NewDense(n.Units, n.Units, nil), mat.NewDense(n.Units, n.out, nil)
	trials := int64(0)
	for b, err := range req.Task.Trials(ctx, task.TrialRequest{Split: task.Train}) {
		if err != nil {
			return model.TrainResult{}, err
		}
		in, target := b.Arrays.Get(task.Inputs), b.Arrays.Get(task.Targets)
		for i := range b.Trials {
			x := n.run(in.Slice(i, i+1).Float32s())
			y := mat.NewDense(x.RawMatrix().Rows, n.out, append([]float64(nil), target.Slice(i, i+1).Float64s()...))
			var xx, xy mat.Dense
			xx.Mul(x.T(), x)
			xy.Mul(x.T(), y)
			gram.Add(gram, &xx)
			cross.Add(cross, &xy)
			trials++
		}
		report.Progress(component.Progress{Phase: "trial", Done: trials, Loss: math.NaN()})
	}
	for i := range n.Units {
		gram.Set(i, i, gram.At(i, i)+n.Ridge)
	}
	var w mat.Dense
	if err := w.Solve(gram, cross); err != nil {
		return model.TrainResult{}, fmt.Errorf("ridge regression: %w", err)
	}
	n.r.Copy(w.T())
	report.Metric(component.Metric{Name: "train/trials", Value: float64(trials)})
	return model.TrainResult{Steps: 1, Epochs: 1, BestLoss: math.NaN(), LastLoss: math.NaN(), Stopped: "epochs"}, nil
}

func (n *network) Rollout(_ context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	for _, role := range req.Want {
		if role != model.Latents && role != model.Outputs {
			return tensor.Fail(component.Invalid("want", "%q is not allowed: latents or outputs", role))
		}
	}
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			in := b.Arrays.Get(task.Inputs)
			if in == nil {
				yield(tensor.Block{}, fmt.Errorf("%w: array inputs", component.ErrNotFound))
				return
			}
			if err := in.Expect(len(b.Trials), -1, n.in); err != nil {
				yield(tensor.Block{}, err)
				return
			}
			bins := in.Shape[1]
			z, y := tensor.New32(model.Latents, len(b.Trials), bins, n.Units), tensor.New32(model.Outputs, len(b.Trials), bins, n.out)
			for i := range b.Trials {
				x := n.run(in.Slice(i, i+1).Float32s())
				var o mat.Dense
				o.Mul(x, n.r.T())
				for t := range bins {
					for j, v := range x.RawRowView(t) {
						z.F32[(i*bins+t)*n.Units+j] = float32(v)
					}
					for j, v := range o.RawRowView(t) {
						y.F32[(i*bins+t)*n.out+j] = float32(v)
					}
				}
			}
			if !yield(tensor.Block{Trials: b.Trials, Arrays: tensor.Set{z, y}}, nil) {
				return
			}
		}
	}
}

func (n *network) Dynamics(context.Context) (model.Dynamics, error) { return n.dynamics(), nil }

func (n *network) Save(context.Context) (tensor.Set, error) {
	return tensor.Set{
		tensor.From64("reservoir.weight_hh", n.w.RawMatrix().Data, n.Units, n.Units),
		tensor.From64("reservoir.weight_ih", n.u.RawMatrix().Data, n.Units, n.in),
		tensor.From64("readout.weight", n.r.RawMatrix().Data, n.out, n.Units),
	}, nil
}

func (n *network) Load(_ context.Context, weights tensor.Set) error {
	mine, err := n.Save(context.Background())
	if err != nil {
		return err
	}
	for _, m := range mine {
		given := weights.Get(m.Name)
		if given == nil {
			return component.Invalid("weights."+m.Name, "is missing")
		}
		if err := given.Expect(m.Shape...); err != nil {
			return component.Invalid("weights."+m.Name, "has shape %v, %v is needed", given.Shape, m.Shape)
		}
	}
	for _, m := range mine {
		copy(m.F64, weights.Get(m.Name).Float64s())
	}
	return nil
}
