package fixedpoints

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// trainEnv names the number of units of a flip-flop to train anew into testdata: CTDB_TRAIN_FLIPFLOP=1 go test -run TestTrainFlipFlop.
const trainEnv = "CTDB_TRAIN_FLIPFLOP"

const flipflopFile = "flipflop.safetensors"

func flipflopTask(t testing.TB) (task.Task, task.Spec) {
	t.Helper()
	tk, err := nbff.Open(t.Context(), nbff.Params{Bits: 3, Bins: 150, SwitchProb: 0.012, Noise: 0.15, Blind: 4, Trials: 1000}, component.Env{Seed: 1, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tk.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tk, spec
}

func flipflopModel(t testing.TB, spec task.Spec, units int) model.Model {
	t.Helper()
	training := recurrent.Training{Epochs: 900, BatchSize: 200, LR: 2e-3, WeightDecay: 1e-8, Clip: 1, Options: train.Options{Keep: "last"}}
	m, err := recurrent.Open(gru.Design[float32](gru.Params{Hidden: units, ICNoise: 0.05, Training: training}, 0.01, 0), component.Env{Seed: 1, Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestTrainFlipFlop writes the weights that the other tests read; see [trainEnv].
func TestTrainFlipFlop(t *testing.T) {
	if os.Getenv(trainEnv) == "" {
		t.Skip(trainEnv + " is not set: it makes testdata/" + flipflopFile + " anew, which takes minutes")
	}
	tk, spec := flipflopTask(t)
	m := flipflopModel(t, spec, 64)
	r, err := m.Train(t.Context(), model.TrainRequest{Task: tk}, component.Discard{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d steps, loss %v, best %v", r.Steps, r.LastLoss, r.BestLoss)
	w, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join("testdata", flipflopFile))
	if err == nil {
		err = tensor.WriteSafetensors(f, w, nil)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
