package reach

import (
	"context"
	"fmt"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what it takes to generate all trials, to run a batch of them forward and back, and to score all: the published set, many short trials, and long ones.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, bins, batch, threads int }{
		{250, 300, 250, 1},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"n_trials": c.trials, "n_timesteps": c.bins, "sim_timesteps": 71})
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
			_, err = k.Score(context.Background(), task.ScoreRequest{Split: task.All}, idle(k.Trials(context.Background(), task.TrialRequest{Split: task.All})))
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
func idle(trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				goal := b.Arrays.Get(task.Targets)
				b.Arrays = tensor.Set{goal.Named(Fingertip), tensor.New32("outputs", goal.Shape[0], goal.Shape[1], 6)}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
