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
	kept     atomic.Value // the model.Dynamics that a comparator saw last
}

func testPlugin(p *probe) serve.Plugin {
	return serve.Plugin{
		Name: "boundary-test", Version: "1.2.3", Doc: "components for tests",
		Numerics:    func() map[string]string { return map[string]string{"kernel": "go"} },
		Tasks:       []task.Factory{pointFactory(p), waveFactory(p)},
		Models:      []model.Factory{linearFactory()},
		Simulators:  []simulator.Factory{scaleFactory()},
		Comparators: []comparator.Factory{jacobianFactory(p)},
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
			Actions: t.p.Dims, ActionLow: -1, ActionHigh: 1, StateSize: t.p.Dims, StateLabels: []string{"x", "y", "z"}[:t.p.Dims],
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
	Failure string `param:"failure" default:"none" choices:"none,panic,aside,diverge,plain,open,hang,drain" doc:"what goes wrong after the first block"`
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
				case "aside":
					failed := make(chan error)
					go func() {
						var err error
						defer func() { failed <- err }()
						defer component.Recover(&err)
						panic("on a goroutine")
					}()
					yield(tensor.Block{}, <-failed)
					return
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
				case "drain":
					<-component.Draining(ctx)
					yield(tensor.Block{}, fmt.Errorf("wave: to be continued: %w", component.ErrUnavailable))
					return
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
	f := simulator.New(component.Info{Name: name(component.Simulator, "scale"), Version: "0.0.1", Doc: "a simulator"}, nil,
		func(_ context.Context, p scaleParams, _ component.Env, source simulator.Source) (simulator.Simulator, error) {
			return &scale{p: p, source: source}, nil
		})
	return simulator.Sized(f, func(p scaleParams, source simulator.Source, threads int) component.Memory {
		return component.Memory{Bytes: 8 * tensor.Elements(p.Neurons, source.Bins, threads), Params: []string{"neurons"}}
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

// kept is a type of its own, so that dynamics of any type may be stored.
type kept struct{ model.Dynamics }

type jacobianParams struct{}

// jacobian is a comparator of the traces of its subjects' Jacobians.
type jacobian struct{ probe *probe }

func jacobianFactory(probe *probe) comparator.Factory {
	f := comparator.New(component.Info{Name: name(component.Comparator, "jacobian"), Version: "0.0.1", Doc: "a comparator"}, nil,
		func(context.Context, jacobianParams, component.Env) (comparator.Comparator, error) {
			return jacobian{probe}, nil
		})
	return comparator.Sized(f, func(_ jacobianParams, s comparator.Sizes, _ int) component.Memory {
		return component.Memory{Bytes: tensor.Elements(s.Subjects, s.Latents, s.Data.Bins, s.Data.TrainTrials)}
	})
}

func (c jacobian) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	var out comparator.Outcome
	distances := tensor.New64("distances", len(req.Subjects), len(req.Subjects))
	for i, s := range req.Subjects {
		report.Progress(component.Progress{Phase: s.Label, Done: int64(i), Total: int64(len(req.Subjects))})
		r := component.Result{
			Metric: "trace", Subject: s.Label, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN(), Better: component.Neither, Reason: s.Why,
			N: int64(len(s.Train) + 10*len(s.Valid) + 100*len(s.Scored)),
		}
		if s.Dynamics != nil {
			c.probe.kept.Store(kept{s.Dynamics})
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
