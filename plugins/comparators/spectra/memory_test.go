package spectra

import (
	"context"
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestMemory compares the estimates with what a comparison takes: wide states, many neurons.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ valid, bins, wide, neurons, threads int }{
		{40, 30, 200, 10, 2},
		{300, 120, 4, 200, 1},
	} {
		f := Factory()
		values, problems := f.Info.Params.Resolve(param.Values{"bootstrap": 20, "exponents": 30})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		sizes := comparator.Sizes{Data: &model.DataSpec{Neurons: c.neurons, Bins: c.bins, TrainTrials: c.valid, ValidTrials: c.valid}, Subjects: 2, Latents: c.wide}
		footprint.Check(t, fmt.Sprintf("%+v", c), f.Memory(values, sizes, c.threads).Bytes, func() error {
			m, err := f.Open(context.Background(), values, component.Env{Seed: 1, Threads: c.threads})
			if err != nil {
				return err
			}
			decay := system{size: c.wide, step: func(x, _, next []float64) {
				for i, v := range x {
					next[i] = v * (0.99 - 0.5*float64(i)/float64(len(x)))
				}
			}}
			decay.jvp = func(_, u, v, out []float64) { decay.step(v, u, out) }
			var subjects []comparator.Subject
			for i, role := range []comparator.Role{comparator.Truth, comparator.Fitted} {
				s := dynamic(string(role), role, decay, beginning(uint64(i), c.valid, c.bins, c.wide, 1))
				s.Valid = append(s.Valid, tensor.From32(comparator.Rates, beginning(9, c.valid, c.bins, c.neurons, 1).Float32s(), c.valid, c.bins, c.neurons))
				for _, a := range s.Valid {
					s.Train = append(s.Train, a.Clone())
				}
				subjects = append(subjects, s)
			}
			_, err = m.Compare(context.Background(), comparator.Request{Subjects: subjects}, nil)
			return err
		})
	}
}

// BenchmarkCompare takes a network of 64 units that is driven through 200 trials of 500 bins and shows 60 neurons, and a model as large.
func BenchmarkCompare(b *testing.B) {
	const trials, bins, units = 200, 500, 64
	w := beginning(5, 1, units, units, 1.2/8).F64
	net := system{size: units, step: func(x, _, next []float64) {
		for i := range next {
			next[i] = math.Tanh(floats.Dot(w[i*units:(i+1)*units], x))
		}
	}}
	net.jvp = func(x, _, v, out []float64) {
		for i := range out {
			h := math.Tanh(floats.Dot(w[i*units:(i+1)*units], x))
			out[i] = (1 - h*h) * floats.Dot(w[i*units:(i+1)*units], v)
		}
	}
	var subjects []comparator.Subject
	for i, role := range []comparator.Role{comparator.Truth, comparator.Fitted} {
		s := dynamic(string(role), role, net, beginning(uint64(i), trials, bins, units, 1))
		s.Train = s.Valid
		s.Valid = append(s.Valid, beginning(9, trials, bins, 60, 1).Named(comparator.Rates))
		subjects = append(subjects, s)
	}
	c := open(b, 2, nil)
	for b.Loop() {
		if _, err := c.Compare(b.Context(), comparator.Request{Subjects: subjects}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
