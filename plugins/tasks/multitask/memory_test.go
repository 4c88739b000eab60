package multitask

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

// TestMemory compares the estimates with what generating and scoring all trials takes: trials as published, which are never in memory whole, many short trials, and long ones.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, bins, threads int }{
		{300, 320, 1},
		{300, 320, 4},
		{200_000, 12, 1},
		{6, 20_000, 2},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factory()
		given := param.Values{"n_trials": c.trials, "n_timesteps": c.bins}
		if c.bins < 320 {
			given["tasks"], given["react_bins"] = []string{"ReactPro", "ReactAnti"}, []int{1, 6, 6, 6}
		}
		values, problems := f.Info.Params.Resolve(given)
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
