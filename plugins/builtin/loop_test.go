package builtin

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestReachingInOnePluginAndInTwo trains a network through the arm, with all noise, pushes, catch trials and a growing horizon: where model and task call one another, where
// they share a plugin, and where each is in one of its own, on one thread and on two. Weights, last weights, curves and a noisy rollout are the same to the bit.
func TestReachingInOnePluginAndInTwo(t *testing.T) {
	given := param.Values{"n_trials": 75, "n_timesteps": 40, "target_on": []int{3, 6}, "reach_bins": 15, "horizon_epochs": 2}
	values, problems := reach.Factory().Info.Params.Resolve(given)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	env := component.Env{Seed: 1, Threads: 2, Log: slog.New(slog.DiscardHandler)}
	near, err := reach.Factory().Open(t.Context(), values, env)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := near.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one, two := served(t), served(t)
	in := func(p *client.Plugin) task.Task {
		tk, err := p.OpenTask(t.Context(), reach.Factory().Info.Name, values, env)
		if err != nil {
			t.Fatal(err)
		}
		return tk
	}
	shared, other := in(one), in(two)

	target := model.Target{Task: &spec}
	models := Plugin().Models
	gru := setting{name: "gru", factory: models[slices.IndexFunc(models, func(f model.Factory) bool { return f.Info.Name.Short == "gru" })]}
	if gru.values, problems = gru.factory.Info.Params.Resolve(param.Values{"epochs": 3, "batch_size": 40, "hidden": 17, "weight_decay": 1e-3}); len(problems) > 0 {
		t.Fatal(problems)
	}
	var want map[string]string
	for _, w := range []struct {
		name    string
		plugin  *client.Plugin
		task    task.Task
		threads int
	}{
		{"called directly", nil, near, 1},
		{"one plugin", one, shared, 1},
		{"two plugins", one, other, 1},
		{"two plugins, two threads", one, other, 2},
	} {
		m, err := opened{setting: gru, target: target, plugin: w.plugin}.open(t.Context(), component.Env{Seed: 7, Threads: w.threads, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		curve := &recorder{}
		result, err := m.Train(t.Context(), model.TrainRequest{Task: w.task}, curve)
		if err != nil {
			t.Fatal(err)
		}
		weights, err := m.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: 3, Noise: true, Task: w.task.(task.ClosedLoop), Split: task.Valid},
			w.task.Trials(t.Context(), task.TrialRequest{Split: task.Valid})))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{"weights": digest(t, weights), "last weights": digest(t, result.Last), "curves": curve.digest(), "rollout": digest(t, b.Arrays)}
		if want == nil {
			want = got
			if b.Arrays.Get(reach.Fingertip) == nil || result.Steps < 4 {
				t.Fatalf("a rollout gives %v after %d steps", b.Arrays.Names(), result.Steps)
			}
		}
		for part, sum := range want {
			if got[part] != sum {
				t.Errorf("%s: %s are %s, called directly %s", w.name, part, got[part], sum)
			}
		}
		if c, ok := m.(client.Model); ok {
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}
