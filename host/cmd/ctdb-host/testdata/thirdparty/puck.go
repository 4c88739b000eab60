package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type puckParams struct {
	Count int     `param:"n_trials" default:"40" min:"5" doc:"number of trials"`
	Bins  int     `param:"n_bins" default:"20" min:"3" unit:"bin" doc:"bins of a trial"`
	Noise float64 `param:"noise" default:"0.02" min:"0" doc:"standard deviation of the noise of what is seen"`
	Die   string  `param:"die" default:"" doc:"a file: the process ends in the first episode that finds it, which removes it"`
}

// puck is a task in closed loop: a puck on ice that two forces within [-1, 1] push to a goal, p' = p + dt v, v' = v + dt (force - v). A network sees where the puck was in the
// bin before, its speed and the goal.
type puck struct {
	puckParams
	seed uint64
}

const puckDT = 0.1

func puckOnIce() task.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Task, Short: "puck"}, Version: "1.0.0", Doc: "a puck that is pushed to a goal, in closed loop",
		Capabilities: []component.Capability{component.ClosedLoop, component.Deterministic},
	}
	return task.New(info, nil, func(_ context.Context, p puckParams, env component.Env) (task.Task, error) {
		return puck{p, env.Seed}, nil
	})
}

func (k puck) Spec(context.Context) (task.Spec, error) {
	train := k.Count * 4 / 5
	return task.Spec{
		Inputs: 6, Outputs: 2, Bins: k.Bins, BinWidth: puckDT, TrainTrials: train, ValidTrials: k.Count - train,
		Loss: task.Loss{Terms: []task.Term{
			{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}, {Kind: task.ActionSquare, Scale: 1e-3, Reduction: task.MeanAll},
		}},
		Loop: &task.Loop{Actions: 2, ActionLow: -1, ActionHigh: 1, StateSize: 2, StateLabels: []string{"x", "y"}, Recorded: []string{"speed"}},
		Trim: [2]int{2, -1},
	}, nil
}

func (k puck) numbers(s task.Split) (from, to int) {
	train := k.Count * 4 / 5
	switch s {
	case task.Train:
		return 0, train
	case task.Valid:
		return train, k.Count
	}
	return 0, k.Count
}

func (k puck) goal(trial int64) [2]float64 {
	r := random.New(k.seed, "goal", uint64(trial))
	return [2]float64{2*r.Float64() - 1, 2*r.Float64() - 1}
}

func (k puck) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	from, to := k.numbers(req.Split)
	return task.Generate(ctx, req, to-from, to-from, 1, func(i int) int64 { return int64(from + i) }, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		n := len(b.Trials)
		targets, conds := tensor.New32(task.Targets, n, k.Bins, 2), tensor.NewInt(task.Conditions, n)
		for i, trial := range b.Trials {
			for t := range k.Bins {
				for c, g := range k.goal(trial) {
					targets.F32[(i*k.Bins+t)*2+c] = float32(g)
				}
			}
		}
		b.Arrays = tensor.Set{targets, conds}
		return b, nil
	})
}

// known refuses trials that are not of a split.
func (k puck) known(s task.Split, trials []int64) error {
	from, to := k.numbers(s)
	for _, trial := range trials {
		if trial < int64(from) || trial >= int64(to) {
			return component.Invalid("trials", "trial %d is not one of split %s, which has %d to %d", trial, s, from, to-1)
		}
	}
	return nil
}

func (k puck) Score(_ context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	s := task.Score{ConditionNames: []string{"push"}, MetricNames: []string{"final_distance"}, MetricUnits: []string{"m"}, Metrics: [][]float64{nil}}
	for b, err := range outputs {
		if err != nil {
			return task.Score{}, err
		}
		if err := k.known(req.Split, b.Trials); err != nil {
			return task.Score{}, err
		}
		place := b.Arrays.Get(task.Controlled)
		if place == nil {
			return task.Score{}, fmt.Errorf("%w: array %s", component.ErrNotFound, task.Controlled)
		}
		if err := place.Expect(len(b.Trials), k.Bins, 2); err != nil {
			return task.Score{}, err
		}
		for i, trial := range b.Trials {
			goal, end := k.goal(trial), place.Float64s()[((i+1)*k.Bins-1)*2:]
			d := math.Hypot(end[0]-goal[0], end[1]-goal[1])
			success := 0.0
			if d < 0.3 {
				success = 1
			}
			s.Trials, s.Loss, s.Success, s.Condition = append(s.Trials, trial), append(s.Loss, d*d/2), append(s.Success, success), append(s.Condition, 0)
			s.Metrics[0] = append(s.Metrics[0], d)
		}
	}
	return s, nil
}

// sliding is an episode: places and speeds of each trial, by bin, and their cotangents.
type sliding struct {
	puck
	req    task.EpisodeRequest
	noise  []*rand.Rand
	p, v   [][]float64 // by bin, (trials, 2)
	within [][]bool    // the force was not bounded
	late   []float64   // cotangent of the place of the bin before, which was seen a bin later
	dp, dv []float64
}

func (k puck) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	if err := dieOnce(k.Die); err != nil {
		return nil, task.Observation{}, err
	}
	if err := k.known(req.Split, req.Trials); err != nil {
		return nil, task.Observation{}, err
	}
	n := 2 * len(req.Trials)
	e := &sliding{puck: k, req: req, p: [][]float64{make([]float64, n)}, v: [][]float64{make([]float64, n)}, late: make([]float64, n), dp: make([]float64, n), dv: make([]float64, n)}
	for _, trial := range req.Trials {
		e.noise = append(e.noise, random.New(req.Seed, "puck", uint64(trial), req.Pass))
	}
	return e, e.observe(), nil
}

// observe is what is seen at the end of what has happened so far.
func (e *sliding) observe() task.Observation {
	now := len(e.p) - 1
	inputs, place, speed := tensor.New64(task.Inputs, len(e.req.Trials), 6), tensor.New64("place", len(e.req.Trials), 2), tensor.New64("speed", len(e.req.Trials), 2)
	for r, trial := range e.req.Trials {
		goal := e.goal(trial)
		for c := range 2 {
			i := 2*r + c
			z := 0.0
			if !e.req.NoiseOff {
				z = e.Noise * e.noise[r].NormFloat64()
			}
			inputs.F64[6*r+c], inputs.F64[6*r+2+c], inputs.F64[6*r+4+c] = e.p[max(0, now-1)][i]+z, e.v[now][i], goal[c]
			place.F64[i], speed.F64[i] = e.p[now][i], e.v[now][i]
		}
	}
	return task.Observation{Inputs: inputs, State: place, Recorded: tensor.Set{speed}}
}

func (e *sliding) Step(_ context.Context, t int, actions *tensor.Tensor) (task.Observation, error) {
	if t != len(e.p)-1 {
		return task.Observation{}, component.Invalid("t", "step %d: %d is next", t, len(e.p)-1)
	}
	if err := actions.Expect(len(e.req.Trials), 2); err != nil {
		return task.Observation{}, err
	}
	a := actions.Float64s()
	p, v, within := make([]float64, len(a)), make([]float64, len(a)), make([]bool, len(a))
	for i, force := range a {
		within[i] = force >= -1 && force <= 1
		p[i] = e.p[t][i] + puckDT*e.v[t][i]
		v[i] = e.v[t][i] + puckDT*(min(max(force, -1), 1)-e.v[t][i])
	}
	e.p, e.v, e.within = append(e.p, p), append(e.v, v), append(e.within, within)
	return e.observe(), nil
}

func (e *sliding) VJP(_ context.Context, t int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	if !e.req.Tape || t < 0 || t != len(e.within)-1 {
		return nil, component.Invalid("t", "vjp of step %d: %d is next", t, len(e.within)-1)
	}
	if e.req.Truncate > 0 && (t+1)%e.req.Truncate == 0 {
		clear(e.late)
		clear(e.dp)
		clear(e.dv)
	}
	out := tensor.New64("actions", len(e.req.Trials), 2)
	for i := range out.F64 {
		r, c := i/2, i%2
		e.dp[i] += e.late[i]
		e.late[i] = 0
		if inputs != nil {
			x := inputs.Float64s()
			e.late[i] = x[6*r+c] // of the place that this step began with
			e.dv[i] += x[6*r+2+c]
		}
		if state != nil {
			e.dp[i] += state.Float64s()[i]
		}
		if e.within[t][i] {
			out.F64[i] = puckDT * e.dv[i]
		}
		e.dv[i] = puckDT*e.dp[i] + (1-puckDT)*e.dv[i]
	}
	e.within = e.within[:t]
	return out, nil
}

func (e *sliding) DropTape(context.Context, int) error { return nil }

func (e *sliding) End(context.Context) error { return nil }
