package builtin

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TestMemory: every component estimates its memory; the estimate is positive, does not fall when sizes or threads grow, and does not overflow.
func TestMemory(t *testing.T) {
	p := Plugin()
	grows := func(name component.Name, schema param.Schema, at func(v param.Values, size, threads int) component.Memory) {
		t.Helper()
		v := param.Values{}
		for _, f := range schema {
			v[f.Name] = f.Default
		}
		last := int64(0)
		for _, size := range []int{1, 10, 1000, 100_000, 1 << 40, math.MaxInt} {
			for _, threads := range []int{1, 2, 64, math.MaxInt32} {
				m := at(v, size, threads)
				if m.Bytes <= 0 || (threads == 1 && m.Bytes < last) {
					t.Errorf("%s: %d bytes for size %d and %d threads, %d for less", name, m.Bytes, size, threads, last)
				}
				if threads == 1 {
					last = m.Bytes
				}
				for _, driver := range m.Params {
					if _, ok := schema.Field(driver); !ok {
						t.Errorf("%s: it depends on %q, which is no parameter", name, driver)
					}
				}
			}
		}
		if last < 1<<40 {
			t.Errorf("%s: %d bytes for sizes beyond counting", name, last)
		}
	}
	for _, f := range p.Tasks {
		grows(f.Info.Name, f.Info.Params, func(v param.Values, size, threads int) component.Memory {
			v["n_trials"] = int64(size)
			return f.Memory(v, threads)
		})
	}
	for _, f := range p.Models {
		grows(f.Info.Name, f.Info.Params, func(v param.Values, size, threads int) component.Memory {
			if f.Info.Can(component.TrainsOnData) {
				return f.Memory(v, model.Target{Data: &model.DataSpec{Neurons: 20, HeldIn: 10, Bins: size, Inputs: 2, TrainTrials: size, ValidTrials: size}}, threads)
			}
			terms := []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}
			return f.Memory(v, model.Target{Task: &task.Spec{Inputs: 3, Outputs: 3, Bins: size, TrainTrials: size, ValidTrials: size, Loss: task.Loss{Terms: terms}}}, threads)
		})
		if f.Memory(param.Values{}, model.Target{}, 1).Bytes != 0 {
			t.Errorf("%s: an estimate for no target", f.Info.Name)
		}
	}
	for _, f := range p.Simulators {
		grows(f.Info.Name, f.Info.Params, func(v param.Values, size, threads int) component.Memory {
			return f.Memory(v, simulator.Source{Latents: 3, Bins: size}, threads)
		})
	}
	for _, f := range p.Comparators {
		grows(f.Info.Name, f.Info.Params, func(v param.Values, size, threads int) component.Memory {
			return f.Memory(v, comparator.Sizes{Data: &model.DataSpec{Neurons: 20, Bins: size, TrainTrials: size, ValidTrials: size}, Subjects: 3, Latents: min(size, 1<<30)}, threads)
		})
	}
}
