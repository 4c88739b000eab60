package serve_test

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The components of the tests: a point mass in closed loop, a linear model, a simulator and a comparator, each as small as its interface allows.

// probe counts what a test wants to know of the inside.
type probe struct {
	blocks   atomic.Int64 // made by waves
	episodes atomic.Int64 // running
}

func testPlugin(p *probe) serve.Plugin {
	return serve.Plugin{
		Name: "boundary-test", Version: "1.2.3", Doc: "components for tests",
		Numerics:    func() map[string]string { return map[string]string{"kernel": "go"} },
		Tasks:       []task.Factory{pointFactory(p), waveFactory(p)},
		Models:      []model.Factory{linearFactory()},
		Simulators:  []simulator.Factory{scaleFactory()},
		Comparators: []comparator.Factory{jacobianFactory()},
	}
}

func name(kind component.Kind, short string) component.Name {
	return component.Name{Kind: kind, Short: short}
}

// pointParams are those of a point mass that is pushed along lines: x' = x + dt v, v' = v + dt (gain a - friction v).
type pointParams struct {
	Dims     int       `param:"dims" default:"2" min:"1" doc:"dimensions"`
	Bins     int       `param:"bins" default:"12" min:"1" doc:"bins"`
	Trials   int       `param:"trials" default:"20" min:"5" doc:"trials"`
	Friction float64   `param:"friction" default:"0.5" min:"0" doc:"friction"`
	Gains    []float64 `param:"gains" default:"1,2" above:"0" doc:"force of each action"`
	Mode     string    `param:"mode" default:"calm" choices:"calm,windy" doc:"wind"`
}

type point struct {
	p     pointParams
	seed  uint64
	probe *probe
}

func pointFactory(probe *probe) task.Factory {
	return task.New(component.Info{
		Name: name(component.Task, "point-mass"), Version: "1.0.0", Doc: "a point mass",
		Capabilities: []component.Capability{component.ClosedLoop, component.CustomLoss, component.Deterministic},
	}, func(p pointParams) []param.Problem {
		if len(p.Gains) != p.Dims {
			return []param.Problem{{Path: "gains", Message: fmt.Sprintf("%d gains for %d dimensions", len(p.Gains), p.Dims)}}
		}
		return nil
	}, func(_ context.Context, p pointParams, env component.Env) (task.Task, error) {
		env.Log.Info("opened", "dims", p.Dims)
		return &point{p, env.Seed, probe}, nil
	})
}

const pointDT = 0.1

func (t *point) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: 3 * t.p.Dims, Outputs: t.p.Dims, OutputUnits: []string{"N"}, Bins: t.p.Bins, BinWidth: pointDT, TrainTrials: t.p.Trials * 4 / 5, ValidTrials: t.p.Trials / 5,
		ConditionNames: []string{"near", "far"}, Extra: []string{"go"},
		Loss: task.Loss{Terms: []task.Term{
			{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll, HorizonEpochs: 3},
			{Kind: task.ActionSquare, Scale: 1e-3, Reduction: task.SumTime},
		}},
		FreshNoise: true,
		Loop: &task.Loop{
			Actions: t.p.Dims, ActionLow: -1, ActionHigh: 1, StateSize: t.p.Dims, StateLabels: []string{"x"},
			FeedbackDelay: map[string]float64{"vision": 0.1}, Recorded: []string{"speed"},
		},
		Trim: [2]int{1, -1}, Simulation: param.Values{"mode": "windy", "gains": []float64{1, 2}},
	}, nil
}

func (t *point) ids(split task.Split) []int64 {
	from, to := 0, t.p.Trials
	switch split {
	case task.Train:
		to = t.p.Trials * 4 / 5
	case task.Valid:
		from = t.p.Trials * 4 / 5
	}
	var out []int64
	for i := from; i < to; i++ {
		out = append(out, int64(i))
	}
	return out
}

func (t *point) goal(trial int64, pass uint64) []float64 {
	r := random.New(t.seed, "goal", pass, uint64(trial))
	out := make([]float64, t.p.Dims)
	for i := range out {
		out[i] = r.NormFloat64()
	}
	return out
}

func (t *point) block(ids []int64, pass uint64) tensor.Block {
	b, bins, d := len(ids), t.p.Bins, t.p.Dims
	inputs := tensor.New32(task.Inputs, b, bins, 3*d).With("m", tensor.Trial, tensor.Bin, tensor.Channel)
	targets := tensor.New64(task.Targets, b, bins, d)
	conditions := tensor.NewInt(task.Conditions, b)
	for i, id := range ids {
		goal := t.goal(id, pass)
		conditions.I64[i] = id % 2
		for k := range bins {
			copy(targets.F64[(i*bins+k)*d:], goal)
			for j, g := range goal {
				inputs.F32[(i*bins+k)*3*d+2*d+j] = float32(g)
			}
		}
	}
	return tensor.Block{Trials: ids, Arrays: tensor.Set{inputs, targets, conditions}}
}

func (t *point) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		ids := t.ids(req.Split)
		size := req.BlockTrials
		if size == 0 {
			size = 3
		}
		for from := 0; from < len(ids); from += size {
			if err := ctx.Err(); err != nil {
				yield(tensor.Block{}, err)
				return
			}
			if !yield(t.block(ids[from:min(from+size, len(ids))], req.Pass), nil) {
				return
			}
		}
	}
}

func (t *point) Score(_ context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	s := task.Score{ConditionNames: []string{"near", "far"}, MetricNames: []string{"distance"}, MetricUnits: []string{"m"}, Metrics: [][]float64{{}}, Condition: []int64{}}
	for b, err := range outputs {
		if err != nil {
			return s, err
		}
		out := b.Arrays.Get("outputs")
		if out == nil {
			return s, component.Invalid("outputs", "there are none")
		}
		row := out.Len() / max(1, len(b.Trials))
		for i, id := range b.Trials {
			sum := 0.0
			for _, x := range out.Float64s()[i*row : (i+1)*row] {
				sum += x * x
			}
			s.Trials, s.Success, s.Loss = append(s.Trials, id), append(s.Success, float64(id%3)/2), append(s.Loss, sum)
			s.Condition = append(s.Condition, id%2)
			s.Metrics[0] = append(s.Metrics[0], math.Sqrt(sum)+float64(req.Pass))
		}
	}
	return s, nil
}

func (t *point) Loss(_ context.Context, _ task.ScoreRequest, trials []int64, outputs *tensor.Tensor) (float64, *tensor.Tensor, error) {
	if err := outputs.Expect(len(trials), -1, -1); err != nil {
		return 0, nil, err
	}
	c := tensor.New64("cotangent", outputs.Shape...)
	value := 0.0
	for i, x := range outputs.Float64s() {
		value += x * x / float64(outputs.Len())
		c.F64[i] = 2 * x / float64(outputs.Len())
	}
	return value, c, nil
}

// pointEpisode keeps x, v and the cotangents of both, (B, dims) each.
type pointEpisode struct {
	t        *point
	goals    [][]float64
	x, v     []float64
	dx, dv   []float64
	at, tape int
}

func (t *point) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	if len(req.Trials) == 0 {
		return nil, task.Observation{}, component.Invalid("trials", "there are none")
	}
	n := len(req.Trials) * t.p.Dims
	e := &pointEpisode{t: t, x: make([]float64, n), v: make([]float64, n), dx: make([]float64, n), dv: make([]float64, n)}
	for _, id := range req.Trials {
		e.goals = append(e.goals, t.goal(id, req.Pass))
	}
	t.probe.episodes.Add(1)
	o := e.observe()
	o.State, o.Recorded = nil, nil
	return e, o, nil
}

func (e *pointEpisode) observe() task.Observation {
	d, b := e.t.p.Dims, len(e.goals)
	inputs := tensor.New64(task.Inputs, b, 3*d)
	for i := range b {
		copy(inputs.F64[i*3*d:], e.x[i*d:(i+1)*d])
		copy(inputs.F64[i*3*d+d:], e.v[i*d:(i+1)*d])
		copy(inputs.F64[i*3*d+2*d:], e.goals[i])
	}
	speed := tensor.New64("speed", b, d)
	copy(speed.F64, e.v)
	state := tensor.New64("state", b, d)
	copy(state.F64, e.x)
	return task.Observation{Inputs: inputs, State: state, Recorded: tensor.Set{speed}}
}

func (e *pointEpisode) Step(_ context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	if t != e.at {
		return task.Observation{}, component.Invalid("t", "step %d: %d is next", t, e.at)
	}
	d := e.t.p.Dims
	if err := actions.Expect(len(e.goals), d); err != nil {
		return task.Observation{}, err
	}
	for i := range e.x {
		e.x[i] += pointDT * e.v[i]
		e.v[i] += pointDT * (e.t.p.Gains[i%d]*actions.F64[i] - e.t.p.Friction*e.v[i])
	}
	e.at, e.tape = t+1, t+1
	return e.observe(), nil
}

func (e *pointEpisode) VJP(_ context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	if t != e.tape-1 {
		return nil, component.Invalid("t", "vjp of step %d: %d is next", t, e.tape-1)
	}
	e.tape = t
	d := e.t.p.Dims
	out := tensor.New64("actions", len(e.goals), d)
	for i := range e.x {
		if inputs != nil {
			e.dx[i] += inputs.F64[i/d*3*d+i%d]
			e.dv[i] += inputs.F64[i/d*3*d+d+i%d]
		}
		if state != nil {
			e.dx[i] += state.F64[i]
		}
		out.F64[i] = pointDT * e.t.p.Gains[i%d] * e.dv[i]
		e.dv[i] = pointDT*e.dx[i] + (1-pointDT*e.t.p.Friction)*e.dv[i]
	}
	return out, nil
}

func (e *pointEpisode) DropTape(_ context.Context, before int) error { return nil }

func (e *pointEpisode) End(context.Context) error {
	e.t.probe.episodes.Add(-1)
	return nil
}

// waveParams are those of an open-loop task whose trials are as large, as slow or as broken as a test wants.
type waveParams struct {
	Blocks  int    `param:"blocks" default:"4" min:"0" doc:"blocks"`
	Trials  int    `param:"trials" default:"4" min:"1" doc:"trials in a block"`
	Bins    int    `param:"bins" default:"8" min:"1" doc:"bins"`
	Failure string `param:"failure" default:"none" choices:"none,panic,diverge,plain,open,hang,log,spin" doc:"what goes wrong after the first block"`
}

type wave struct {
	p     waveParams
	env   component.Env
	probe *probe
}

func waveFactory(probe *probe) task.Factory {
	return task.New(component.Info{Name: name(component.Task, "wave"), Version: "0.1.0", Doc: "waves"}, nil,
		func(_ context.Context, p waveParams, env component.Env) (task.Task, error) {
			if p.Failure == "open" {
				panic("at opening")
			}
			return &wave{p, env, probe}, nil
		})
}

func (t *wave) Spec(context.Context) (task.Spec, error) {
	return task.Spec{Inputs: 1, Outputs: 1, Bins: t.p.Bins, TrainTrials: t.p.Trials * t.p.Blocks}, nil
}

func (t *wave) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for i := range t.p.Blocks {
			if i == 1 {
				switch t.p.Failure {
				case "panic":
					panic("in the middle")
				case "diverge":
					yield(tensor.Block{}, fmt.Errorf("wave: %w", &component.DivergedError{Step: 7, Quantity: "amplitude", Value: math.NaN(), Hint: "less wind"}))
					return
				case "plain":
					yield(tensor.Block{}, fmt.Errorf("wave: out of water"))
					return
				case "hang":
					<-ctx.Done()
					yield(tensor.Block{}, ctx.Err())
					return
				case "log":
					t.env.Log.Warn("the log speaks", "block", i)
				}
			}
			b := tensor.Block{Arrays: tensor.Set{tensor.New32(task.Inputs, t.p.Trials, t.p.Bins, 1)}}
			for k := range t.p.Trials {
				b.Trials = append(b.Trials, int64(i*t.p.Trials+k))
			}
			t.probe.blocks.Add(1)
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (t *wave) Score(_ context.Context, _ task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	var s task.Score
	for b, err := range outputs {
		if err != nil {
			return s, err
		}
		for range b.Trials {
			s.Success = append(s.Success, 1)
		}
		s.Trials = append(s.Trials, b.Trials...)
	}
	s.Loss = make([]float64, len(s.Trials))
	return s, nil
}

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

type scaleParams struct {
	Neurons int `param:"neurons" default:"6" min:"1" doc:"neurons"`
}

// scale is a simulator whose rates are the first latent divided by its standard deviation.
type scale struct {
	p      scaleParams
	source simulator.Source
	mean   float64
	fitted bool
}

func scaleFactory() simulator.Factory {
	return simulator.New(component.Info{Name: name(component.Simulator, "scale"), Version: "0.0.1", Doc: "a simulator"}, nil,
		func(_ context.Context, p scaleParams, _ component.Env, source simulator.Source) (simulator.Simulator, error) {
			return &scale{p: p, source: source}, nil
		})
}

func (s *scale) Spec(context.Context) (simulator.Spec, error) {
	return simulator.Spec{Neurons: s.p.Neurons, HeldIn: s.p.Neurons - 1, From: 1, To: s.source.Bins, FileName: "scale.h5", Counts: true}, nil
}

func (s *scale) Fit(_ context.Context, trials tensor.Blocks) (tensor.Set, error) {
	n := 0
	for b, err := range trials {
		if err != nil {
			return nil, err
		}
		for _, x := range b.Arrays.Get(simulator.Latents).Float64s() {
			s.mean += x
			n++
		}
	}
	s.mean /= float64(max(1, n))
	s.fitted = true
	return tensor.Set{
		tensor.From64(simulator.OrigMean, []float64{s.mean}, 1, 1, 1), tensor.NewInt(simulator.Permutation, s.p.Neurons), tensor.New32("nothing", 0, 4),
		tensor.From64("scalar", []float64{1}),
	}, nil
}

func (s *scale) Simulate(_ context.Context, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		if !s.fitted {
			yield(tensor.Block{}, component.Invalid("simulate", "fit comes first"))
			return
		}
		for b, err := range trials {
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			x := b.Arrays.Get(simulator.Latents).Clone()
			for i := range x.F32 {
				x.F32[i] -= float32(s.mean)
			}
			if !yield(tensor.Block{Trials: b.Trials, Arrays: tensor.Set{x.Named(simulator.Activity)}}, nil) {
				return
			}
		}
	}
}

type jacobianParams struct{}

// jacobian is a comparator of the traces of its subjects' Jacobians.
type jacobian struct{}

func jacobianFactory() comparator.Factory {
	return comparator.New(component.Info{Name: name(component.Comparator, "jacobian"), Version: "0.0.1", Doc: "a comparator"}, nil,
		func(context.Context, jacobianParams, component.Env) (comparator.Comparator, error) {
			return jacobian{}, nil
		})
}

func (jacobian) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	distances := tensor.New64("distances", len(req.Subjects), len(req.Subjects))
	for i, s := range req.Subjects {
		report.Progress(component.Progress{Phase: s.Label, Done: int64(i), Total: int64(len(req.Subjects))})
		r := component.Result{
			Metric: "trace", Subject: s.Label, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN(), Better: component.Neither, Reason: s.Why,
			N: int64(len(s.Train) + 10*len(s.Valid) + 100*len(s.Scored)),
		}
		if s.Dynamics != nil {
			l, err := s.Dynamics.Layout(ctx)
			if err != nil {
				return out, err
			}
			x, err := s.Dynamics.InitialState(ctx, tensor.Block{Trials: []int64{4, 5}, Arrays: tensor.Set{tensor.New32(model.Encoded, 2, 3, 4)}})
			if err != nil {
				return out, err
			}
			j, _, err := s.Dynamics.Jacobians(ctx, x, tensor.New64("input", x.Shape[0], l.Inputs))
			if err != nil {
				return out, err
			}
			r.Value = 0
			for k := range l.Size {
				r.Value += j.F64[k*l.Size+k]
			}
		}
		distances.F64[i*len(req.Subjects)+i] = r.Value
		out.Results = append(out.Results, r)
	}
	out.Matrices = tensor.Set{distances}
	out.Figures = []component.Figure{{Name: "traces", Panels: []component.Panel{{Marks: []component.Mark{{
		Kind: component.HeatMap, Rows: len(req.Subjects), Cols: len(req.Subjects), Z: distances.F64, ZUnit: "1",
	}}}}}}
	return out, nil
}
