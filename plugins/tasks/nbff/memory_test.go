package nbff

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

// TestMemory compares the estimates with what generating and scoring all trials takes: many trials, long ones, and on several threads.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, bins, bits, threads int }{
		{1_000_000, 6, 1, 1},
		{4, 200_000, 8, 1},
		{12, 60_000, 16, 4},
		{600, 8_000, 8, 2},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"n_trials": c.trials, "n_timesteps": c.bins, "n_bits": c.bits, "transition_blind": 1})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got := f.Memory(values, c.threads).Bytes
		footprint.Check(t, name, got, func() error {
			tk, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			_, err = tk.Score(context.Background(), task.ScoreRequest{Split: task.All}, answers(tk.Trials(context.Background(), task.TrialRequest{Split: task.All})))
			return err
		})
	}
}

// answers takes the targets for outputs.
func answers(trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				b.Arrays = tensor.Set{b.Arrays.Get(task.Targets).Named("outputs")}
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
