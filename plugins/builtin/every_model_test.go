package builtin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// smallParams are values of parameters, by name, with which a model trains in milliseconds: odd sizes, a batch that is no multiple of a shard, all noise on.
func smallParams() param.Values {
	return param.Values{
		"epochs": 3, "batch_size": 40, "lr": 5e-3, "hidden": 17, "latent": 5, "rank": 3, "encoder_size": 9, "layers": 2, "hidden_layers": 2, "substeps": 2,
		"noise": 0.02, "ic_noise": 0.1, "latent_l2": 1e-3, "dropout": 0.2, "weight_decay": 1e-3,
	}
}

// otherParams are values of numbers that switch something on that is off in smallParams.
func otherParams() param.Values {
	return param.Values{"warmup": 1, "early_stopping": 1, "max_updates": 8, "encoder_window": -4, "plateau_patience": 0, "clip": 1e-3}
}

// setting is a model with parameters.
type setting struct {
	name    string
	factory model.Factory
	values  param.Values
	// varied is true but for the first setting of a model.
	varied bool
}

func (s setting) onData() bool { return s.factory.Info.Can(component.TrainsOnData) }

// target is what the settings' models must fit.
func (s setting) target(spec task.Spec, data model.DataSpec) model.Target {
	if s.onData() {
		return model.Target{Data: &data}
	}
	return model.Target{Task: &spec}
}

// settings returns every model that the plugin offers with small sizes, and then once more for each other value that a parameter of few values has, and for each of otherParams: so
// a model that is added is tested without a word here. Combinations that the model itself refuses are left out.
func settings(t *testing.T, target func(setting) model.Target) []setting {
	t.Helper()
	var all []setting
	for _, f := range Plugin().Models {
		given := param.Values{}
		for name, v := range smallParams() {
			if _, ok := f.Info.Params.Field(name); ok {
				given[name] = v
			}
		}
		short := f.Info.Name.Short
		try := func(name string, v any) bool {
			g := param.Values{}
			for k, v := range given {
				g[k] = v
			}
			s := setting{name: short, factory: f, varied: name != ""}
			if name != "" {
				s.name, g[name] = fmt.Sprintf("%s/%s=%v", short, name, v), v
			}
			values, problems := f.Info.Params.Resolve(g)
			if s.values = values; len(problems) == 0 && f.Check != nil {
				problems = f.Check(values, target(s))
			}
			if len(problems) > 0 {
				t.Logf("%s is refused: %v", s.name, problems)
				return false
			}
			all = append(all, s)
			return true
		}
		if !try("", nil) {
			t.Errorf("%s refuses its small setting", short)
		}
		for _, field := range f.Info.Params {
			for _, choice := range field.Choices {
				if choice != field.Default {
					try(field.Name, choice)
				}
			}
			if on, ok := field.Default.(bool); ok {
				try(field.Name, !on)
			}
			if v, ok := otherParams()[field.Name]; ok {
				try(field.Name, v)
			}
		}
	}
	for _, values := range []param.Values{smallParams(), otherParams()} {
		for name := range values {
			if !slices.ContainsFunc(Plugin().Models, func(f model.Factory) bool { _, ok := f.Info.Params.Field(name); return ok }) {
				t.Errorf("no model has a parameter %s", name)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	return all
}

// flipflop is a task of 125 trials, 100 of them for training.
func flipflop(t testing.TB, trials, bins int) (task.Task, task.Spec) {
	t.Helper()
	tk, err := nbff.Open(t.Context(), nbff.Params{Bits: 2, Bins: bins, SwitchProb: 0.05, Noise: 0.1, Blind: 2, Trials: trials}, component.Env{Seed: 1, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := tk.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tk, spec
}

// recording is a data set of Poisson-like counts: the trials of two splits.
type recording struct {
	spec         model.DataSpec
	train, valid tensor.Block
}

// record makes a recording of that many trials, four fifths of them for training.
func record(trials, bins int) recording {
	r := recording{spec: model.DataSpec{Neurons: 7, HeldIn: 5, Inputs: 2, Bins: bins, BinWidth: 0.01, TrainTrials: trials * 4 / 5, ValidTrials: trials - trials*4/5}}
	split := func(from, n int) tensor.Block {
		in, all, x := tensor.New32(model.Encoded, n, bins, r.spec.HeldIn), tensor.New32(model.Reconstructed, n, bins, r.spec.Neurons), tensor.New32(model.Inputs, n, bins, r.spec.Inputs)
		b := tensor.Block{Arrays: tensor.Set{in, all, x}}
		for k := range n {
			b.Trials = append(b.Trials, int64(from+k))
			rng := random.New(3, "recording", uint64(from+k))
			for bin := range bins {
				at := k*bins + bin
				for i := range r.spec.Neurons {
					count := float32(rng.IntN(4) / 2)
					all.F32[at*r.spec.Neurons+i] = count
					if i < r.spec.HeldIn {
						in.F32[at*r.spec.HeldIn+i] = count
					}
				}
				for i := range r.spec.Inputs {
					x.F32[at*r.spec.Inputs+i] = float32(rng.NormFloat64())
				}
			}
		}
		return b
	}
	r.train, r.valid = split(0, r.spec.TrainTrials), split(r.spec.TrainTrials, r.spec.ValidTrials)
	return r
}

// cut cuts a block into blocks of at most size trials; 0 leaves it whole.
func cut(b tensor.Block, size int) tensor.Blocks {
	if size == 0 {
		return tensor.Of(b)
	}
	return func(yield func(tensor.Block, error) bool) {
		for from := 0; from < len(b.Trials); from += size {
			to := min(len(b.Trials), from+size)
			part := tensor.Block{Trials: b.Trials[from:to]}
			for _, a := range b.Arrays {
				row := 1
				for _, n := range a.Shape[1:] {
					row *= n
				}
				c := *a
				c.Shape = append([]int{to - from}, a.Shape[1:]...)
				if a.F32 != nil {
					c.F32 = a.F32[from*row : to*row]
				}
				if a.I64 != nil {
					c.I64 = a.I64[from*row : to*row]
				}
				part.Arrays = append(part.Arrays, &c)
			}
			if !yield(part, nil) {
				return
			}
		}
	}
}

// blocksOf gives the data of a recording in blocks of a size.
type blocksOf struct {
	recording
	size int
}

func (b blocksOf) Data(_ context.Context, split task.Split) tensor.Blocks {
	if split == task.Train {
		return cut(b.train, b.size)
	}
	return cut(b.valid, b.size)
}

// inBlocks is a task whose trials come in blocks of a size.
type inBlocks struct {
	task.Task
	size int
}

func (b inBlocks) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	req.BlockTrials = b.size
	return b.Task.Trials(ctx, req)
}
