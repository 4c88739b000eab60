package fixedpoints

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/plugins/tasks/multitask"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// trainedMultitask is the network of 64 units that the example multitask-small trains, and what it does in some trials.
func trainedMultitask(t testing.TB) comparator.Subject {
	t.Helper()
	tk, err := multitask.Open(t.Context(), multitask.Params{Tasks: []string{"DelayPro", "DelayAnti", "MemoryPro", "MemoryAnti", "ReactPro", "ReactAnti", "IntMod1", "Match2Sample"}, Trials: 20, Bins: 100, Noise: 0.3,
		MatchProb: 0.5, Delay: []int{8, 14, 8, 24, 12, 18}, Memory: []int{8, 14, 8, 16, 8, 24, 12, 18}, React: []int{12, 40, 12, 24}, Decision: []int{8, 12, 12, 20, 5, 10, 12, 20, 5, 8, 12, 18},
		Match: []int{8, 12, 8, 16, 8, 24, 12, 18}, Mode: "training"}, component.Env{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tk.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	training := recurrent.Training{Epochs: 1, BatchSize: 1, LR: 1e-3, Options: train.Options{Keep: "last"}}
	m, err := recurrent.Open(gru.Design[float32](gru.Params{Hidden: 64, ICNoise: 0.05, Training: training}, 0.01, 0), component.Env{Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join("testdata", "multitask.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	weights, _, err := tensor.ReadSafetensors(bytes.NewReader(b), int64(len(b)))
	if err == nil {
		err = m.Load(t.Context(), weights)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := comparator.Subject{Label: "truth", Role: comparator.Truth, InputChannels: spec.Inputs}
	if s.Dynamics, err = m.Dynamics(t.Context()); err != nil {
		t.Fatal(err)
	}
	rolled, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Seed: 3, Noise: true, Split: task.Train, Want: []string{model.Latents}}, tk.Trials(t.Context(), task.TrialRequest{Split: task.Train})))
	if err != nil {
		t.Fatal(err)
	}
	trials, err := tensor.Collect(tk.Trials(t.Context(), task.TrialRequest{Split: task.Train}))
	if err != nil {
		t.Fatal(err)
	}
	s.Train = tensor.Set{rolled.Arrays.Get(model.Latents), trials.Arrays.Get(task.TrueInputs).Named(comparator.TrueInputs)}
	for from, to := range map[string]string{task.Conditions: comparator.Conditions, task.Lengths: comparator.Lengths} {
		if a := trials.Arrays.Get(from); a != nil {
			s.Train = append(s.Train, a.Named(to))
		}
	}
	return s
}

// TestTrainedMultitask: in a network that inputs drive, nearly all descents of q end where it is not 0, but every start comes to a point, and any seed to the same ones.
func TestTrainedMultitask(t *testing.T) {
	s := trainedMultitask(t)
	given := param.Values{"inputs": "phases", "max_inputs": 3, "starts": 64, "basin_steps": 0, "eigenvectors": 0}
	var first tensor.Set
	for seed := range uint64(2) {
		o, err := open(t, 2, seed, given).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{s}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		sound(t, o)
		if first == nil {
			first = o.Matrices
		}
		for phase := 1; phase <= 3; phase++ {
			name := fmt.Sprintf("condition 0 phase %d", phase)
			if r := opened.Find(t, o, "starts_without_point/"+name, "truth"); r.Value != 0 {
				t.Errorf("seed %d: %+v", seed, r)
			}
			a, b := first.Get("truth."+name+".fixed_points"), o.Matrices.Get("truth."+name+".fixed_points")
			if a == nil || b == nil || len(a.F64) != len(b.F64) || !(floats.Distance(a.F64, b.F64, math.Inf(1)) < 1e-6) {
				t.Errorf("seed %d, %s: %v, want %v", seed, name, b, a)
			}
		}
	}
}
