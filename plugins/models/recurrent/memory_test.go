package recurrent_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TestMemory compares the estimates with what two epochs and a rollout take: sizes where the data, the kernels' plans and the weights weigh most.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		model                             string
		hidden, batch, bins, bits, trials int
		threads                           int
	}{
		{"gru", 64, 256, 500, 3, 320, 2},                  // plans of 500 bins
		{"noisy-gru", 256, 64, 200, 3, 100, 1},            // one thread
		{"noisy-gru-latent-l2", 128, 256, 300, 3, 300, 2}, // the states and their gradient besides
		{"gru", 16, 64, 400, 16, 1500, 2},                 // data
		{"gru", 1536, 32, 20, 3, 40, 2},                   // weights
		{"noisy-gru", 32, 1000, 100, 3, 1000, 4},          // many shards
		{"lstm", 96, 64, 300, 3, 200, 2},
		{"leaky-rnn", 256, 64, 200, 3, 200, 2},
		{"node", 128, 64, 200, 3, 200, 2},
	} {
		name := fmt.Sprintf("%+v", c)
		models := all()
		i := slices.IndexFunc(models, func(f model.Factory) bool { return f.Info.Name.Short == c.model })
		if i < 0 {
			t.Fatalf("there is no %s", c.model)
		}
		f := models[i]
		values, problems := f.Info.Params.Resolve(param.Values{"hidden": c.hidden, "batch_size": c.batch, "epochs": 2})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		// The task's own memory is not the model's: where it is measured along, it is small.
		tk, err := nbff.Open(t.Context(), nbff.Params{Bits: c.bits, Bins: c.bins, SwitchProb: 0.01, Noise: 0.1, Blind: 4, Trials: c.trials}, component.Env{Seed: 1, Threads: c.threads})
		if err != nil {
			t.Fatal(err)
		}
		spec, err := tk.Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		target := model.Target{Task: &spec}
		got := f.Memory(values, target, c.threads).Bytes
		footprint.Check(t, name, got, func() error { return use(f, values, target, tk, c.threads, t.TempDir()) })
	}
}

func use(f model.Factory, values param.Values, target model.Target, tk task.Task, threads int, dir string) error {
	ctx := context.Background()
	m, err := f.Open(ctx, values, component.Env{Seed: 1, Threads: threads, Dir: dir}, target)
	if err != nil {
		return err
	}
	if _, err := m.Train(ctx, model.TrainRequest{Task: tk}, nil); err != nil {
		return err
	}
	for _, err := range m.Rollout(ctx, model.RolloutRequest{}, tk.Trials(ctx, task.TrialRequest{Split: task.All})) {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestLoopMemory is TestMemory in closed loop, where more shards are under way than threads.
func TestLoopMemory(t *testing.T) {
	models := all()
	f := models[slices.IndexFunc(models, func(f model.Factory) bool { return f.Info.Name.Short == "gru" })]
	for _, c := range []struct {
		distant      bool
		train, batch int
	}{{false, 512, 512}, {true, 512, 512}, {true, 1480, 1000}} {
		distant := c.distant
		p := ice()
		p.Bins, p.Train, p.Valid = 200, c.train, 64
		values, problems := f.Info.Params.Resolve(param.Values{"hidden": 64, "batch_size": c.batch, "epochs": 1})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		spec, err := newPuck(p, 1).Spec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		target := model.Target{Task: &spec, Distant: distant}
		got := f.Memory(values, target, 2).Bytes
		footprint.Check(t, fmt.Sprintf("distant %v, %d trials in batches of %d", distant, c.train, c.batch), got, func() error {
			tk := task.Task(newPuck(p, 1))
			if distant {
				tk = elsewhere(t, p, 1)
			}
			return trainIn(f, values, target, tk, 2, t.TempDir())
		})
	}
}

func trainIn(f model.Factory, values param.Values, target model.Target, tk task.Task, threads int, dir string) error {
	ctx := context.Background()
	m, err := f.Open(ctx, values, component.Env{Seed: 1, Threads: threads, Dir: dir}, target)
	if err != nil {
		return err
	}
	_, err = m.Train(ctx, model.TrainRequest{Task: tk}, nil)
	return err
}
