package main

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type freeRunParams struct {
	Trials     int     `param:"n_trials" default:"100" min:"5" max:"1000000" unit:"trial" doc:"number of trials, split 80/20 into training and validation"`
	Bins       int     `param:"n_timesteps" default:"500" min:"2" max:"1000000" unit:"bin" doc:"length of a trial"`
	BinWidth   float64 `param:"bin_width" default:"0.01" above:"0" max:"10" unit:"s" doc:"width of a bin"`
	Conditions int     `param:"conditions" default:"0" min:"0" max:"1000" doc:"directions on a circle in which the pulse of the first bin points, one after another; 0 draws it from a normal distribution"`
}

// runs is a task without a goal: a pulse in the first bin puts the system somewhere, and it runs.
type runs struct {
	freeRunParams
	seed         uint64
	train, valid []int64
}

func freeRun() task.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Task, Short: "free-run"}, Version: "1.0.0", Doc: "A pulse in the first bin puts a system somewhere, and it runs by itself.",
		Capabilities: []component.Capability{component.Deterministic},
	}
	return task.New(info, func(p freeRunParams) []param.Problem {
		if p.Conditions > p.Trials {
			return []param.Problem{{Path: "conditions", Message: "are more than n_trials: at least one trial of each is needed"}}
		}
		return nil
	}, func(_ context.Context, p freeRunParams, env component.Env) (task.Task, error) {
		r := &runs{freeRunParams: p, seed: env.Seed}
		for i, k := range random.New(env.Seed, "free-run/split").Perm(p.Trials) {
			if i < p.Trials*4/5 {
				r.train = append(r.train, int64(k))
			} else {
				r.valid = append(r.valid, int64(k))
			}
		}
		return r, nil
	})
}

func (r *runs) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: places, Outputs: 1, InputLabels: []string{"place 1", "place 2", "place 3"}, OutputLabels: []string{"none"},
		Bins: r.Bins, BinWidth: r.BinWidth, TrainTrials: len(r.train), ValidTrials: len(r.valid), ConditionNames: r.names(),
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}},
	}, nil
}

func (r *runs) names() []string {
	out := make([]string, max(1, r.Conditions))
	for i := range out {
		out[i] = "run"
		if r.Conditions > 0 {
			out[i] = "from " + angle(i, r.Conditions)
		}
	}
	return out
}

func (r *runs) numbers(s task.Split) ([]int64, error) {
	switch s {
	case task.Train:
		return r.train, nil
	case task.Valid:
		return r.valid, nil
	case task.All:
		all := make([]int64, r.freeRunParams.Trials)
		for i := range all {
			all[i] = int64(i)
		}
		return all, nil
	}
	return nil, component.Invalid("split", "%q is not allowed: train, valid or all", s)
}

func (r *runs) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	numbers, err := r.numbers(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return task.Generate(ctx, req, len(numbers), 64, 1, func(i int) int64 { return numbers[i] }, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		n := len(b.Trials)
		inputs, conds := tensor.New32(task.Inputs, n, r.Bins, places), make([]int64, n)
		for i, k := range b.Trials {
			at := inputs.F32[i*r.Bins*places:]
			if r.Conditions > 0 {
				conds[i] = k % int64(r.Conditions)
				turn := 2 * math.Pi * float64(conds[i]) / float64(r.Conditions)
				at[0], at[1] = float32(math.Cos(turn)), float32(math.Sin(turn))
				continue
			}
			rng := random.New(r.seed, "free-run/place", uint64(k))
			for c := range places {
				at[c] = float32(rng.NormFloat64())
			}
		}
		b.Arrays = tensor.Set{inputs, tensor.New32(task.Targets, n, r.Bins, 1), tensor.New32(task.Weights, n, r.Bins, 1), tensor.FromInt(task.Conditions, conds, n)}
		return b, nil
	})
}

// Score takes a trial for a success whose outputs stay finite: there is nothing else to be right about.
func (r *runs) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	s := task.Score{ConditionNames: r.names()}
	numbers, err := r.numbers(req.Split)
	if err != nil {
		return s, err
	}
	known := make(map[int64]bool, len(numbers))
	for _, k := range numbers {
		known[k] = true
	}
	for b, err := range outputs {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return s, err
		}
		y := b.Arrays.Get("outputs")
		if y == nil {
			return s, component.Invalid("outputs", "are missing")
		}
		if err := y.Expect(len(b.Trials), r.Bins, 1); err != nil {
			return s, component.Invalid("outputs", "%v", err)
		}
		values := y.Float64s()
		for i, k := range b.Trials {
			if !known[k] {
				return s, component.Invalid("trials", "%d is no trial of the split %s", k, req.Split)
			}
			finite := 1.0
			for _, v := range values[i*r.Bins : (i+1)*r.Bins] {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					finite = 0
				}
			}
			condition := int64(0)
			if r.Conditions > 0 {
				condition = k % int64(r.Conditions)
			}
			s.Trials, s.Success, s.Loss, s.Condition = append(s.Trials, k), append(s.Success, finite), append(s.Loss, 0), append(s.Condition, condition)
		}
	}
	return s, nil
}
