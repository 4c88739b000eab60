package serve_test

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// linearParams are those of x' = A x + B u with weights drawn from the seed, trained by adding the mean of the data.
type linearParams struct {
	Size   int `param:"size" default:"3" min:"1" doc:"width of the state"`
	Epochs int `param:"epochs" default:"2" min:"1" doc:"epochs"`
}

type linear struct {
	p      linearParams
	env    component.Env
	target model.Target
	inputs int
	a, b   *tensor.Tensor
}

func linearFactory() model.Factory {
	return model.New(component.Info{
		Name: name(component.Model, "linear"), Version: "2.0.0", Doc: "a linear model",
		Capabilities: []component.Capability{component.TrainsOnTask, component.TrainsOnData, component.HasDynamics, component.TrainsClosedLoop},
	}, func(p linearParams, target model.Target) []param.Problem {
		if target.Data != nil && p.Size > target.Data.Neurons {
			return []param.Problem{{Path: "size", Message: fmt.Sprintf("%d: at most %d neurons are there", p.Size, target.Data.Neurons)}}
		}
		return nil
	}, func(_ context.Context, p linearParams, env component.Env, target model.Target) (model.Model, error) {
		m := &linear{p: p, env: env, target: target, inputs: 2}
		if target.Task != nil {
			m.inputs = target.Task.Inputs
		}
		r := random.New(env.Seed, "weights")
		m.a, m.b = tensor.New64("a", p.Size, p.Size), tensor.New64("b", p.Size, m.inputs)
		for i := range m.a.F64 {
			m.a.F64[i] = r.NormFloat64() / 4
		}
		for i := range m.b.F64 {
			m.b.F64[i] = r.NormFloat64() / 4
		}
		return m, nil
	})
}

func (m *linear) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	var result model.TrainResult
	for e := range m.p.Epochs {
		report.Progress(component.Progress{Phase: "epoch", Done: int64(e), Total: int64(m.p.Epochs), Loss: math.NaN()})
		var loss float64
		var err error
		switch {
		case req.Task != nil:
			loss, err = m.trainOnTask(ctx, req.Task, uint64(e))
		default:
			loss, err = m.trainOnData(ctx, req.Data)
		}
		if err != nil {
			if ctx.Err() != nil { // it takes a while to write what is kept
				time.Sleep(20 * time.Millisecond)
				report.Checkpoint(component.Checkpoint{File: "interrupted.safetensors", Step: result.Steps})
			}
			return result, fmt.Errorf("linear: epoch %d: %w", e, err)
		}
		report.Metric(component.Metric{Name: "train/loss", Epoch: int64(e), Value: loss})
		result.Steps, result.Epochs, result.LastLoss = result.Steps+1, result.Epochs+1, loss
	}
	report.Figure(component.Figure{Name: "loss", Panels: []component.Panel{{
		X: component.Axis{Label: "epoch"}, Marks: []component.Mark{{Kind: component.Line, X: []float64{0, 1}, Y: []float64{math.Inf(1), result.LastLoss}}},
	}}})
	report.Figure(component.Figure{Name: "Not drawable"})
	report.Checkpoint(component.Checkpoint{File: "last.safetensors", SHA256: "00", Step: result.Steps, Best: true})
	result.KeptBest, result.BestLoss, result.Stopped = true, math.Inf(1), "epochs"
	result.Last = tensor.Set{m.a.Clone(), m.b.Clone()}
	return result, nil
}

func (m *linear) trainOnData(ctx context.Context, data model.DataSource) (float64, error) {
	sum := 0.0
	for b, err := range data.Data(ctx, task.Train) {
		if err != nil {
			return 0, err
		}
		// A second sequence within the first, left early.
		for v, err := range data.Data(ctx, task.Valid) {
			if err != nil {
				return 0, err
			}
			sum += mean(v.Arrays[0])
			break
		}
		sum += mean(b.Arrays[0])
	}
	for i := range m.a.F64 {
		m.a.F64[i] += sum / 1e3
	}
	return sum, nil
}

// trainOnTask takes a step along the gradient that the task's own loop gives, through every bin, and adds the custom loss of a batch.
func (m *linear) trainOnTask(ctx context.Context, t task.Task, pass uint64) (float64, error) {
	all, err := tensor.Collect(t.Trials(ctx, task.TrialRequest{Split: task.Train, Pass: pass, BlockTrials: 5}))
	if err != nil {
		return 0, err
	}
	sum := mean(all.Arrays.Get(task.Inputs))
	if l, ok := t.(task.CustomLoss); ok {
		value, c, err := l.Loss(ctx, task.ScoreRequest{Split: task.Train, Pass: pass}, all.Trials, all.Arrays.Get(task.Targets))
		if err != nil {
			return 0, err
		}
		sum += value + mean(c)
	}
	if loop, ok := t.(task.ClosedLoop); ok {
		value, err := closedLoopGradient(ctx, loop, all.Trials, pass, m.a.F64[0])
		if err != nil {
			return 0, err
		}
		m.a.F64[0] -= 0.1 * value
		sum += value
	}
	return sum, nil
}

// closedLoopGradient is the derivative by the gain of sum |x_T|^2 / 2 for actions = gain * (goal - x).
func closedLoopGradient(ctx context.Context, loop task.ClosedLoop, trials []int64, pass uint64, gain float64) (grad float64, err error) {
	spec, err := loop.Spec(ctx)
	if err != nil {
		return 0, err
	}
	e, o, err := loop.Begin(ctx, task.EpisodeRequest{Split: task.Train, Pass: pass, Trials: trials, Float64: true, Tape: true})
	if err != nil {
		return 0, err
	}
	defer func() {
		if endErr := e.End(ctx); err == nil {
			err = endErr
		}
	}()
	d, n := spec.Loop.Actions, len(trials)
	var errors [][]float64
	for t := range spec.Bins {
		a := tensor.New64("actions", n, d)
		diff := make([]float64, n*d)
		for i := range diff {
			diff[i] = o.Inputs.F64[i/d*3*d+2*d+i%d] - o.Inputs.F64[i/d*3*d+i%d]
			a.F64[i] = gain * diff[i]
		}
		errors = append(errors, diff)
		if o, err = e.Step(ctx, t, a); err != nil {
			return 0, err
		}
	}
	var inputs *tensor.Tensor
	state := o.State
	for t := spec.Bins - 1; t >= 0; t-- {
		c, err := e.VJP(ctx, t, inputs, state)
		if err != nil {
			return 0, err
		}
		state = nil
		inputs = tensor.New64("inputs", n, 3*d)
		for i, x := range c.F64 {
			grad += x * errors[t][i]
			inputs.F64[i/d*3*d+i%d] = -gain * x
		}
	}
	return grad, e.DropTape(ctx, spec.Bins)
}

func mean(t *tensor.Tensor) float64 {
	sum := 0.0
	for _, x := range t.Float64s() {
		sum += x
	}
	return sum / float64(max(1, t.Len()))
}

func (m *linear) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			in := b.Arrays[0]
			out := tensor.New64(model.Outputs, in.Shape...).With("V", in.Axes...)
			for i, x := range in.Float64s() {
				out.F64[i] = x * m.a.F64[0]
			}
			if req.Noise {
				for i, id := range b.Trials {
					out.F64[i*len(out.F64)/len(b.Trials)] += random.New(req.Seed, "noise", uint64(id)).NormFloat64()
				}
			}
			if !yield(tensor.Block{Trials: b.Trials, Arrays: tensor.Set{out}}, nil) {
				return
			}
		}
		if req.Task != nil {
			spec, err := req.Task.Spec(ctx)
			if err == nil {
				_, err = closedLoopGradient(ctx, req.Task, []int64{0, 1}, req.Pass, 1)
			}
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			yield(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.New64(model.Actions, 1, spec.Loop.Actions)}}, nil)
		}
	}
}

func (m *linear) Save(context.Context) (tensor.Set, error) {
	return tensor.Set{m.a.Clone(), m.b.Clone()}, nil
}

func (m *linear) Load(_ context.Context, w tensor.Set) error {
	var problems []param.Problem
	for _, mine := range []*tensor.Tensor{m.a, m.b} {
		if t := w.Get(mine.Name); t == nil || t.Expect(mine.Shape...) != nil {
			problems = append(problems, param.Problem{Path: "weights." + mine.Name, Message: fmt.Sprintf("shape %v is needed", mine.Shape)})
		}
	}
	if len(problems) > 0 {
		return &component.InvalidArgumentError{Problems: problems}
	}
	m.a, m.b = w.Get("a").Clone(), w.Get("b").Clone()
	return nil
}

func (m *linear) Dynamics(context.Context) (model.Dynamics, error) {
	return &linearDynamics{a: m.a, b: m.b}, nil
}

// linearDynamics is x' = A x + B u.
type linearDynamics struct{ a, b *tensor.Tensor }

func (d *linearDynamics) Layout(context.Context) (model.Layout, error) {
	return model.Layout{
		Size: d.a.Shape[0], Inputs: d.b.Shape[1], Segments: []model.Segment{{Name: "x", Size: d.a.Shape[0]}},
		Observable: map[string]int{model.Latents: d.a.Shape[0], model.Rates: 1000}, Float64: true,
	}, nil
}

func (d *linearDynamics) InitialState(_ context.Context, trials tensor.Block) (*tensor.Tensor, error) {
	return tensor.New64("x0", max(1, len(trials.Trials)), d.a.Shape[0]), nil
}

// apply returns m x for each row of x.
func apply(m, x *tensor.Tensor, transpose bool) *tensor.Tensor {
	rows, cols := m.Shape[0], m.Shape[1]
	out := rows
	if transpose {
		out = cols
	}
	y := tensor.New64("y", x.Shape[0], out)
	for b := range x.Shape[0] {
		for i := range rows {
			for j := range cols {
				if transpose {
					y.F64[b*cols+j] += m.F64[i*cols+j] * x.F64[b*rows+i]
				} else {
					y.F64[b*rows+i] += m.F64[i*cols+j] * x.F64[b*cols+j]
				}
			}
		}
	}
	return y
}

func (d *linearDynamics) Step(_ context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	if err := state.Expect(-1, d.a.Shape[0]); err != nil {
		return nil, err
	}
	next := apply(d.a, state, false)
	if input != nil {
		for i, x := range apply(d.b, input, false).F64 {
			next.F64[i] += x
		}
	}
	return next.Named("state"), nil
}

func (d *linearDynamics) Observe(_ context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	switch role {
	case model.Latents:
		return state.Clone().Named(role), nil
	case model.Rates:
		out := tensor.New64(role, state.Shape[0], 1000)
		for i := range out.F64 {
			out.F64[i] = float64(i%1000) * state.F64[i/1000*state.Shape[1]]
		}
		return out, nil
	}
	return nil, fmt.Errorf("linear: role %q: %w", role, component.ErrNotFound)
}

func (d *linearDynamics) JVP(ctx context.Context, _, _, dState, dInput *tensor.Tensor) (*tensor.Tensor, error) {
	return d.Step(ctx, dState, dInput)
}

func (d *linearDynamics) VJP(_ context.Context, _, _, c *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor, error) {
	return apply(d.a, c, true).Named("ds"), apply(d.b, c, true).Named("du"), nil
}

func (d *linearDynamics) Jacobians(_ context.Context, state, _ *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor, error) {
	n := state.Shape[0]
	a, b := tensor.New64("d_state", n, d.a.Shape[0], d.a.Shape[1]), tensor.New64("d_input", n, d.b.Shape[0], d.b.Shape[1])
	for i := range n {
		copy(a.F64[i*len(d.a.F64):], d.a.F64)
		copy(b.F64[i*len(d.b.F64):], d.b.F64)
	}
	return a, b, nil
}
