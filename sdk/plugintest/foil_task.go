package plugintest

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The sizes of the tasks that models are checked with.
const (
	foilTrials = 50
	foilValid  = 10
	foilBins   = 16
	// recordBins is the length of recorded trials: delays and the like need some.
	recordBins = 40
	foilInputs = 3
)

type foilParams struct {
	Block int  `param:"block" default:"0" min:"0" doc:"trials in a block; 0 means all"`
	Stall bool `param:"stall" default:"false" doc:"give no more than a block of trials, and keep whoever asks for them waiting"`
}

// foiled is what both tasks share: their trials are 0 to foilTrials-1, the last ones for validation.
type foiled struct {
	foilParams
	seed uint64
}

func (f foiled) numbers(s task.Split) []int64 {
	from, to := 0, foilTrials
	switch s {
	case task.Train:
		to -= foilValid
	case task.Valid:
		from = to - foilValid
	}
	out := make([]int64, 0, to-from)
	for k := from; k < to; k++ {
		out = append(out, int64(k))
	}
	return out
}

func (f foiled) generate(ctx context.Context, req task.TrialRequest, fill func(context.Context, tensor.Block) (tensor.Block, error)) tensor.Blocks {
	numbers := f.numbers(req.Split)
	size := f.Block
	if size == 0 {
		size = len(numbers)
	}
	blocks := task.Generate(ctx, req, len(numbers), size, 1, func(i int) int64 { return numbers[i] }, fill)
	if !f.Stall {
		return blocks
	}
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range blocks {
			if yield(b, err) {
				<-ctx.Done()
				yield(tensor.Block{}, ctx.Err())
			}
			return
		}
	}
}

// score is the mean squared error of the named array against targets.
func (f foiled) score(split task.Split, outputs tensor.Blocks, name string, width int, target func(k int64) []float32) (task.Score, error) {
	numbers := f.numbers(split)
	s := task.Score{ConditionNames: []string{"left", "right"}}
	for b, err := range outputs {
		if err != nil {
			return task.Score{}, err
		}
		y := b.Arrays.Get(name)
		if y == nil {
			return task.Score{}, fmt.Errorf("%w: array %q", component.ErrNotFound, name)
		}
		if err := y.Expect(len(b.Trials), foilBins, width); err != nil {
			return task.Score{}, err
		}
		for i, k := range b.Trials {
			if !slices.Contains(numbers, k) {
				return task.Score{}, component.Invalid("trials", "trial %d is not one of split %s", k, split)
			}
			sum := 0.0
			want := target(k)
			for j, v := range y.Slice(i, i+1).Float64s() {
				sum += (v - float64(want[j])) * (v - float64(want[j]))
			}
			sum /= float64(len(want))
			s.Trials, s.Loss, s.Success, s.Condition = append(s.Trials, k), append(s.Loss, sum), append(s.Success, 1/(1+sum)), append(s.Condition, k%2)
		}
	}
	return s, nil
}

// openTask has leaky sums of noise as targets.
type openTask struct{ foiled }

func foilTask() task.Factory {
	return task.New(component.Info{
		Name: component.Name{Kind: component.Task, Short: "foil"}, Version: "1.0.0", Doc: "leaky sums of noise", Capabilities: []component.Capability{component.Deterministic},
	}, nil, func(_ context.Context, p foilParams, env component.Env) (task.Task, error) {
		return openTask{foiled{p, env.Seed}}, nil
	})
}

// Spec implements [task.Task].
func (t openTask) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: foilInputs, Outputs: 2, Bins: foilBins, BinWidth: 0.02, TrainTrials: foilTrials - foilValid, ValidTrials: foilValid, ConditionNames: []string{"left", "right"},
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}},
	}, nil
}

func (t openTask) trial(k int64) (inputs, targets []float32) {
	r := random.New(t.seed, "foil", uint64(k))
	inputs, targets = make([]float32, foilBins*foilInputs), make([]float32, foilBins*2)
	var sum [2]float32
	for b := range foilBins {
		u := inputs[b*foilInputs : (b+1)*foilInputs]
		for i := range u {
			u[i] = float32(r.NormFloat64())
		}
		for i := range sum {
			sum[i] += 0.3 * (u[i] - sum[i] + float32(k%2)*u[2])
			targets[b*2+i] = sum[i]
		}
	}
	return inputs, targets
}

// Trials implements [task.Task].
func (t openTask) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	return t.generate(ctx, req, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		n := len(b.Trials)
		in, out, conds := tensor.New32(task.Inputs, n, foilBins, foilInputs), tensor.New32(task.Targets, n, foilBins, 2), tensor.NewInt(task.Conditions, n)
		for i, k := range b.Trials {
			u, y := t.trial(k)
			copy(in.F32[i*len(u):], u)
			copy(out.F32[i*len(y):], y)
			conds.I64[i] = k % 2
		}
		b.Arrays = tensor.Set{in, out, conds}
		return b, nil
	})
}

// Score implements [task.Task].
func (t openTask) Score(_ context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	return t.score(req.Split, outputs, "outputs", 2, func(k int64) []float32 {
		_, y := t.trial(k)
		return y
	})
}

// loopTask is a puck that two forces push to a goal: v' = v + dt (force - v), p' = p + dt v'. What is seen is p, with noise, v and the goal.
type loopTask struct{ foiled }

const puckDT = 0.1

func foilLoop() task.Factory {
	return task.New(component.Info{
		Name: component.Name{Kind: component.Task, Short: "foil-loop"}, Version: "1.0.0", Doc: "a puck that is pushed to a goal",
		Capabilities: []component.Capability{component.ClosedLoop, component.Deterministic},
	}, nil, func(_ context.Context, p foilParams, env component.Env) (task.Task, error) {
		return loopTask{foiled{p, env.Seed}}, nil
	})
}

// Spec implements [task.Task].
func (t loopTask) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: 6, Outputs: 2, Bins: foilBins, BinWidth: puckDT, TrainTrials: foilTrials - foilValid, ValidTrials: foilValid, ConditionNames: []string{"left", "right"},
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}, {Kind: task.ActionSquare, Scale: 1e-3, Reduction: task.MeanAll}}},
		Loop: &task.Loop{Actions: 2, ActionLow: -1, ActionHigh: 1, StateSize: 2, Recorded: []string{"speed"}},
	}, nil
}

func (t loopTask) goal(k int64) [2]float64 {
	r := random.New(t.seed, "goal", uint64(k))
	return [2]float64{r.Float64() - 0.5, r.Float64() - 0.5}
}

// Trials implements [task.Task].
func (t loopTask) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	return t.generate(ctx, req, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		out, conds := tensor.New32(task.Targets, len(b.Trials), foilBins, 2), tensor.NewInt(task.Conditions, len(b.Trials))
		for i, k := range b.Trials {
			g := t.goal(k)
			for at := range foilBins {
				out.F32[(i*foilBins+at)*2], out.F32[(i*foilBins+at)*2+1] = float32(g[0]), float32(g[1])
			}
			conds.I64[i] = k % 2
		}
		b.Arrays = tensor.Set{out, conds}
		return b, nil
	})
}

// Score implements [task.Task].
func (t loopTask) Score(_ context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	return t.score(req.Split, outputs, task.Controlled, 2, func(k int64) []float32 {
		g := t.goal(k)
		out := make([]float32, 2*foilBins)
		for i := range out {
			out[i] = float32(g[i%2])
		}
		return out
	})
}

// Begin implements [task.ClosedLoop].
func (t loopTask) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	valid := t.numbers(req.Split)
	for _, k := range req.Trials {
		if !slices.Contains(valid, k) {
			return nil, task.Observation{}, component.Invalid("trials", "trial %d is not one of split %s", k, req.Split)
		}
	}
	b := len(req.Trials)
	e := &puckRun{t: t, req: req, p: make([]float64, 2*b), v: make([]float64, 2*b), cp: make([]float64, 2*b), cv: make([]float64, 2*b)}
	return e, e.observe(false), nil
}

// puckRun is an episode. The physics is linear, so that there is nothing to keep on a tape.
type puckRun struct {
	t          loopTask
	req        task.EpisodeRequest
	p, v       []float64
	cp, cv     []float64 // cotangents of p and v that VJP carries
	next, back int
}

func (e *puckRun) array(name string, width int) *tensor.Tensor {
	if e.req.Float64 {
		return tensor.New64(name, len(e.req.Trials), width)
	}
	return tensor.New32(name, len(e.req.Trials), width)
}

func put(t *tensor.Tensor, i int, x float64) {
	if t.F64 != nil {
		t.F64[i] = x
		return
	}
	t.F32[i] = float32(x)
}

func (e *puckRun) observe(after bool) task.Observation {
	in := e.array(task.Inputs, 6)
	o := task.Observation{Inputs: in}
	if after {
		o.State = e.array("state", 2)
		o.Recorded = tensor.Set{e.array("speed", 1)}
	}
	for i, k := range e.req.Trials {
		r := random.New(e.req.Seed, "sight", e.req.Pass, uint64(k), uint64(e.next))
		g := e.t.goal(k)
		for j := range 2 {
			seen := e.p[2*i+j]
			if !e.req.NoiseOff {
				seen += 0.01 * r.NormFloat64()
			}
			put(in, 6*i+j, seen)
			put(in, 6*i+2+j, e.v[2*i+j])
			put(in, 6*i+4+j, g[j])
			if after {
				put(o.State, 2*i+j, e.p[2*i+j])
			}
		}
		if after {
			put(o.Recorded[0], i, e.v[2*i]*e.v[2*i]+e.v[2*i+1]*e.v[2*i+1])
		}
	}
	return o
}

// Step implements [task.Episode].
func (e *puckRun) Step(_ context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	if t != e.next {
		return task.Observation{}, component.Invalid("t", "step %d came where %d was next", t, e.next)
	}
	if err := actions.Expect(len(e.req.Trials), 2); err != nil {
		return task.Observation{}, err
	}
	for i, a := range actions.Float64s() {
		e.v[i] += puckDT * (a - e.v[i])
		e.p[i] += puckDT * e.v[i]
	}
	e.next++
	e.back = e.next - 1
	return e.observe(true), nil
}

// VJP implements [task.Episode].
func (e *puckRun) VJP(_ context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	if !e.req.Tape || t != e.back || t < 0 {
		return nil, component.Invalid("t", "step %d: no tape, or not the one that comes next", t)
	}
	out := e.array("actions", 2)
	for i := range e.req.Trials {
		for j := range 2 {
			k := 2*i + j
			if state != nil {
				e.cp[k] += state.Slice(i, i+1).Float64s()[j]
			}
			if inputs != nil {
				c := inputs.Slice(i, i+1).Float64s()
				e.cp[k] += c[j]
				e.cv[k] += c[2+j]
			}
			c := e.cv[k] + puckDT*e.cp[k]
			put(out, k, puckDT*c)
			e.cv[k] = (1 - puckDT) * c
			if e.req.Truncate > 0 && t%e.req.Truncate == 0 {
				e.cp[k], e.cv[k] = 0, 0
			}
		}
	}
	e.back--
	return out, nil
}

// DropTape implements [task.Episode].
func (e *puckRun) DropTape(context.Context, int) error { return nil }

// End implements [task.Episode].
func (e *puckRun) End(context.Context) error { return nil }
