package main

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type integratorParams struct {
	Count int     `param:"n_trials" default:"40" min:"5" doc:"number of trials"`
	Bins  int     `param:"n_bins" default:"30" min:"2" unit:"bin" doc:"bins of a trial"`
	Leak  float64 `param:"leak" default:"0.1" above:"0" max:"1" doc:"leak of the integrator per bin"`
}

// integration is the task: the output is the leaky integral of the input.
type integration struct {
	integratorParams
	seed uint64
}

func integrator() task.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Task, Short: "integrator"}, Version: "1.0.0", Doc: "leaky integration of white noise",
		Capabilities: []component.Capability{component.Deterministic},
	}
	return task.New(info, nil, func(_ context.Context, p integratorParams, env component.Env) (task.Task, error) {
		return integration{p, env.Seed}, nil
	})
}

func (t integration) Spec(context.Context) (task.Spec, error) {
	return task.Spec{
		Inputs: 1, Outputs: 1, Bins: t.Bins, TrainTrials: t.train(), ValidTrials: t.Count - t.train(),
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}},
	}, nil
}

func (t integration) train() int { return t.Count * 4 / 5 }

func (t integration) numbers(s task.Split) (from, to int) {
	switch s {
	case task.Train:
		return 0, t.train()
	case task.Valid:
		return t.train(), t.Count
	}
	return 0, t.Count
}

func (t integration) trial(k int, inputs, targets []float32) {
	r := random.New(t.seed, "integrator", uint64(k))
	sum := 0.0
	for b := range inputs {
		u := r.NormFloat64()
		sum += u - t.Leak*sum
		inputs[b], targets[b] = float32(u), float32(sum)
	}
}

func (t integration) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	from, to := t.numbers(req.Split)
	size := req.BlockTrials
	if size == 0 {
		size = 16
	}
	return func(yield func(tensor.Block, error) bool) {
		for at := from; at < to; at += size {
			if err := ctx.Err(); err != nil {
				yield(tensor.Block{}, err)
				return
			}
			n := min(size, to-at)
			in, out, conds := tensor.New32(task.Inputs, n, t.Bins, 1), tensor.New32(task.Targets, n, t.Bins, 1), tensor.NewInt(task.Conditions, n)
			b := tensor.Block{Arrays: tensor.Set{in, out, conds}}
			for i := range n {
				b.Trials = append(b.Trials, int64(at+i))
				t.trial(at+i, in.F32[i*t.Bins:(i+1)*t.Bins], out.F32[i*t.Bins:(i+1)*t.Bins])
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (t integration) Score(_ context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	var s task.Score
	in, target := make([]float32, t.Bins), make([]float32, t.Bins)
	from, to := t.numbers(req.Split)
	for b, err := range outputs {
		if err != nil {
			return task.Score{}, err
		}
		y := b.Arrays.Get("outputs")
		if y == nil {
			return task.Score{}, fmt.Errorf("%w: array outputs", component.ErrNotFound)
		}
		if err := y.Expect(len(b.Trials), t.Bins, 1); err != nil {
			return task.Score{}, err
		}
		for i, k := range b.Trials {
			if k < int64(from) || k >= int64(to) {
				return task.Score{}, component.Invalid("trials", "trial %d is not one of split %s, which has %d to %d", k, req.Split, from, to-1)
			}
			t.trial(int(k), in, target)
			var sq float64
			for j, v := range y.Float32s()[i*t.Bins : (i+1)*t.Bins] {
				sq += math.Pow(float64(v-target[j]), 2)
			}
			loss, success := sq/float64(t.Bins), 0.0
			if loss < 0.1 {
				success = 1
			}
			s.Trials, s.Loss, s.Success, s.Condition = append(s.Trials, k), append(s.Loss, loss), append(s.Success, success), append(s.Condition, 0)
		}
	}
	s.ConditionNames = []string{"integrate"}
	return s, nil
}
