package fixedpoints

import (
	"math"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// network is a built-in GRU in float64 with the given weights of its cell.
func network(t testing.TB, cell tensor.Set) model.Dynamics {
	t.Helper()
	const outputs = 3
	units, inputs := cell.Get("weight_hh").Shape[1], cell.Get("weight_ih").Shape[1]
	spec := task.Spec{Inputs: inputs, Outputs: outputs, Bins: 10, TrainTrials: 1, ValidTrials: 1,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
	training := recurrent.Training{Epochs: 1, BatchSize: 1, LR: 1e-3, Options: train.Options{Keep: "last"}}
	m, err := recurrent.Open(gru.Design[float64](gru.Params{Hidden: units, Training: training}, 0, 0), component.Env{Threads: 2}, model.Target{Task: &spec})
	if err != nil {
		t.Fatal(err)
	}
	weights := tensor.Set{tensor.New64("latent_ics", 1, units), tensor.New64("readout.weight", outputs, units), tensor.New64("readout.bias", outputs)}
	own, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	weights[0].Shape = own.Get("latent_ics").Shape
	for _, w := range cell {
		weights = append(weights, w.Named("cell."+w.Name))
	}
	if err := m.Load(t.Context(), weights); err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// box draws starts from a cube around 0.
func box(seed uint64, n, size int, half float64) []float64 {
	r := random.New(seed, "test")
	out := make([]float64, n*size)
	for i := range out {
		out[i] = half * (2*r.Float64() - 1)
	}
	return out
}

// TestGoldenGRU finds every point of the golden networks from 1024 starts, whatever the seed, and no others.
func TestGoldenGRU(t *testing.T) {
	for _, c := range golden.Read(t, "fixed_points.json") {
		prefix := map[string]string{"gru_flipflop": "ff", "gru_flipflop_input": "ff", "gru_random": "rand"}[c.Name]
		if prefix == "" {
			continue
		}
		d := network(t, golden.Weights(t, "fixed_points_gru.safetensors", prefix))
		want := c.Tensors["points"]
		hits := c.Ints(t, "hits")
		for seed := range uint64(3) {
			began := time.Now()
			set, err := Search{Dynamics: d, Input: c.Floats(t, "input"), Threads: 2}.Find(t.Context(), box(seed, 1024, 16, 1))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, seed %d: %d fixed, %d slow, %d outliers, %d unfinished, %v", c.Name, seed, len(set.Fixed), len(set.Slow), set.Outliers, set.Unfinished, time.Since(began))
			for i := range want.Shape[0] {
				x := want.F64[i*16 : (i+1)*16]
				best := math.Inf(1)
				for _, p := range set.Fixed {
					best = min(best, distance(p.X, x))
				}
				if best > 1e-9 && hits[i] >= 5 {
					t.Errorf("%s: point %d (%d hits) is %v from the nearest found", c.Name, i, hits[i], best)
				}
			}
			if len(set.Fixed) != want.Shape[0] {
				t.Errorf("%s: %d points, want %d", c.Name, len(set.Fixed), want.Shape[0])
			}
		}
	}
}
