package reach

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what it takes to generate all trials, to run a batch of them forward and back, and to score all: a
// quarter of the published set, on one thread and on more, many short trials, few long ones, long delays, and other bodies.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		trials, bins, batch, threads int
		more                         param.Values
	}{
		{trials: 250, bins: 300, batch: 250, threads: 1},
		{trials: 250, bins: 300, batch: 250, threads: 4},
		{trials: 20000, bins: 40, batch: 1000, threads: 2},
		{trials: 20, bins: 4000, batch: 20, threads: 2},
		{trials: 2, bins: 100000, batch: 2, threads: 1},
		{trials: 100, bins: 100, batch: 100, threads: 1, more: param.Values{"vision_delay": 10, "proprioception_delay": 10}},
		{trials: 300, bins: 200, batch: 300, threads: 1, more: param.Values{"effector": "point-mass", "start_joints": []float64{60, 90, 60, 90}, "target_joints": []float64{60, 90, 60, 90}}},
		{trials: 40, bins: 400, batch: 40, threads: 2, more: param.Values{"effector": "compliant"}},
		{trials: 300, bins: 200, batch: 300, threads: 1, more: param.Values{"compat": true, "mode": "simulation", "sim_timesteps": 200}},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		given := param.Values{"n_trials": c.trials, "n_timesteps": c.bins, "sim_timesteps": 72}
		maps.Copy(given, c.more)
		values, problems := f.Info.Params.Resolve(given)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got := f.Memory(values, c.threads).Bytes
		footprint.Check(t, name, got, func() error {
			opened, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			k := opened.(*reach)
			if err := forthAndBack(k, c.batch); err != nil {
				return err
			}
			_, err = k.Score(context.Background(), task.ScoreRequest{Split: task.All}, idle(k.Trials(context.Background(), task.TrialRequest{Split: task.All}), k.muscles))
			return err
		})
	}
}

func forthAndBack(k *reach, batch int) error {
	ctx := context.Background()
	e, o, err := k.Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: numbers(batch), Tape: true})
	if err != nil {
		return err
	}
	y := tensor.New32("actions", batch, k.muscles)
	for t := range k.bins() {
		if o, err = e.Step(ctx, t, y); err != nil {
			return err
		}
	}
	for t := k.bins() - 1; t >= 0; t-- {
		if _, err := e.VJP(ctx, t, o.Inputs, o.State); err != nil {
			return err
		}
	}
	return e.End(ctx)
}

// idle takes goals for hands, and no actions.
func idle(trials tensor.Blocks, muscles int) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				goal := b.Arrays.Get(task.Targets)
				b.Arrays = tensor.Set{goal.Named(Fingertip), tensor.New32("outputs", goal.Shape[0], goal.Shape[1], muscles)}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
