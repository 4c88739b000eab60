package fixedpoints

import (
	"flag"
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

var trainFlipFlop = flag.Bool("train-flipflop", false, "train the network of TestTrainedFlipFlop anew into testdata, which takes minutes")

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

// writeFlipFlop trains the network whose weights the tests read.
func writeFlipFlop(t *testing.T) {
	t.Helper()
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
