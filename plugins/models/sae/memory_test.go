package sae

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/footprint"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// silence is a data set without spikes, its blocks made when they are asked for, as they come over the boundary.
type silence model.DataSpec

func (d silence) Data(_ context.Context, split task.Split) tensor.Blocks {
	n := d.TrainTrials
	if split == task.Valid {
		n = d.ValidTrials
	}
	return func(yield func(tensor.Block, error) bool) {
		size := train.Block(int64(4*d.Bins*(d.HeldIn+d.Neurons+d.Inputs)), n)
		for from := 0; from < n; from += size {
			rows := min(size, n-from)
			b := tensor.Block{Arrays: tensor.Set{tensor.New32(model.Encoded, rows, d.Bins, d.HeldIn), tensor.New32(model.Reconstructed, rows, d.Bins, d.Neurons)}}
			if d.Inputs > 0 {
				b.Arrays = append(b.Arrays, tensor.New32(model.Inputs, rows, d.Bins, d.Inputs))
			}
			for _, a := range b.Arrays {
				for i := range a.F32 {
					a.F32[i] = float32(i % 2)
				}
			}
			for i := range rows {
				b.Trials = append(b.Trials, int64(from+i))
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// TestMemory compares the estimates with what two epochs and a rollout take: sizes where the data, the kernels' plans and the weights weigh most.
func TestMemory(t *testing.T) {
	for _, c := range []struct {
		model                  int // of Factories
		latent, encoder, batch int
		spec                   model.DataSpec
		threads                int
	}{
		{0, 64, 100, 250, model.DataSpec{Neurons: 60, HeldIn: 50, Inputs: 3, Bins: 300, TrainTrials: 256, ValidTrials: 64}, 2},
		{0, 8, 16, 50, model.DataSpec{Neurons: 200, HeldIn: 150, Bins: 200, TrainTrials: 600, ValidTrials: 150}, 2},
		{0, 1024, 512, 32, model.DataSpec{Neurons: 60, HeldIn: 50, Bins: 40, TrainTrials: 64, ValidTrials: 8}, 1},
		{0, 512, 8, 32, model.DataSpec{Neurons: 20, HeldIn: 10, Inputs: 1, Bins: 100, TrainTrials: 600, ValidTrials: 32}, 2},
		{3, 10, 16, 64, model.DataSpec{Neurons: 30, HeldIn: 20, Inputs: 3, Bins: 200, TrainTrials: 128, ValidTrials: 32}, 2},
	} {
		name := fmt.Sprintf("%+v", c)
		f := Factories()[c.model]
		values, problems := f.Info.Params.Resolve(param.Values{"latent": c.latent, "encoder_size": c.encoder, "batch_size": c.batch, "epochs": 2})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		target := model.Target{Data: &c.spec}
		got := f.Memory(values, target, c.threads).Bytes
		footprint.Check(t, name, got, func() error { return use(f, values, target, c.threads, t.TempDir()) })
	}
}

func use(f model.Factory, values param.Values, target model.Target, threads int, dir string) error {
	ctx := context.Background()
	m, err := f.Open(ctx, values, component.Env{Seed: 1, Threads: threads, Dir: dir}, target)
	if err != nil {
		return err
	}
	data := silence(*target.Data)
	if _, err := m.Train(ctx, model.TrainRequest{Data: data}, nil); err != nil {
		return err
	}
	for _, err := range m.Rollout(ctx, model.RolloutRequest{}, data.Data(ctx, task.Train)) {
		if err != nil {
			return err
		}
	}
	return nil
}

// A decoder that keeps the steps that it chose cannot compute bins once more, and nothing proposes it where memory is short.
func TestNODEProblems(t *testing.T) {
	for _, f := range Factories() {
		if f.Info.Name.Short != "sae-node" {
			continue
		}
		target := model.Target{Data: &model.DataSpec{Neurons: 6, HeldIn: 5, Bins: 20, TrainTrials: 40, ValidTrials: 10}}
		for _, c := range []struct {
			given param.Values
			want  string // the field with a problem
			saves bool   // recompute saves memory
		}{
			{param.Values{"integrator": "dopri5"}, "", false},
			{param.Values{"integrator": "rk4", "recompute": 16}, "", true},
			{param.Values{"integrator": "dopri5", "recompute": 16}, "recompute", false},
			{param.Values{"gradient": "adjoint"}, "gradient", true},
		} {
			v, problems := f.Info.Params.Resolve(c.given)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			problems = f.Check(v, target)
			if c.want == "" && len(problems) > 0 || c.want != "" && (len(problems) != 1 || problems[0].Path != c.want) {
				t.Errorf("%v: %v, want a problem of %q", c.given, problems, c.want)
			}
			if _, err := f.Open(t.Context(), v, component.Env{}, target); errors.Is(err, component.ErrInvalidArgument) != (c.want != "") {
				t.Errorf("%v: opened: %v", c.given, err)
			}
			if got := slices.Contains(f.Memory(v, target, 2).Params, "recompute"); got != c.saves {
				t.Errorf("%v: recompute is proposed: %v", c.given, got)
			}
		}
	}
}

// TestMemoryOfManyTrials: where the trials weigh most no parameter of the model's is named.
func TestMemoryOfManyTrials(t *testing.T) {
	for _, f := range Factories() {
		v, problems := f.Info.Params.Resolve(nil)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		d := model.DataSpec{Neurons: 60, HeldIn: 50, Bins: 100, TrainTrials: 800, ValidTrials: 200}
		few := f.Memory(v, model.Target{Data: &d}, 2)
		d.TrainTrials = 10_000_000
		if many := f.Memory(v, model.Target{Data: &d}, 2); len(few.Params) == 0 || len(many.Params) != 0 || many.Bytes < few.Bytes {
			t.Errorf("%s: %+v of few trials, %+v of many", f.Info.Name.Short, few, many)
		}
	}
}
