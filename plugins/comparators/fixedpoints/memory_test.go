package fixedpoints

import (
	"context"
	"fmt"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what a comparison takes, the subjects' arrays included: wide latents, and much data.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ trials, bins, latents, neurons, threads int }{
		{300, 100, 64, 50, 2},
		{40, 50, 200, 20, 2},
	} {
		const inputs = 2
		f := Factory()
		values := mustResolve(t, nil)
		got := f.Memory(values, comparator.Sizes{Data: &model.DataSpec{Neurons: c.neurons, HeldIn: c.neurons, Inputs: inputs, Bins: c.bins, TrainTrials: c.trials, ValidTrials: c.trials / 4},
			Subjects: 2, Latents: c.latents}, c.threads).Bytes
		footprint.Check(t, fmt.Sprintf("%+v", c), got, func() error {
			r := random.New(1, "test")
			array := func(name string, trials, width int) *tensor.Tensor {
				a := tensor.New32(name, trials, c.bins, width)
				for i := range a.F32 {
					a.F32[i] = float32(r.NormFloat64())
				}
				return a
			}
			w := make([]float64, c.latents*c.latents)
			for i := range w {
				w[i] = 0.01 * r.NormFloat64()
			}
			req := comparator.Request{Subjects: []comparator.Subject{{Label: "truth", Role: comparator.Truth}, {Label: "fit", Role: comparator.Fitted}}}
			for i := range req.Subjects {
				s := &req.Subjects[i]
				s.Dynamics = tanhNet(w, make([]float64, c.latents))
				names := map[string]int{comparator.Latents: c.latents, comparator.Rates: c.neurons, comparator.Inputs: inputs}
				if i == 0 {
					names[comparator.Spikes], names[comparator.TrueInputs] = c.neurons, inputs
				} else {
					names[comparator.State] = c.latents
				}
				for name, width := range names {
					s.Train = append(s.Train, array(name, c.trials, width))
					s.Valid = append(s.Valid, array(name, c.trials/4, width))
				}
			}
			m, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			_, err = m.Compare(context.Background(), req, nil)
			return err
		})
	}
}
