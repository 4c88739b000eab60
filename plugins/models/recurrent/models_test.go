package recurrent_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/leaky"
	"github.com/ctdb-host/ctdb/plugins/models/lowrank"
	"github.com/ctdb-host/ctdb/plugins/models/lstm"
	"github.com/ctdb-host/ctdb/plugins/models/node"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/plugins/models/rnn"
	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// stored is a task whose trials are given.
type stored struct {
	task.Task
	spec task.Spec
	tensor.Block
}

func (s stored) Spec(context.Context) (task.Spec, error)                 { return s.spec, nil }
func (s stored) Trials(context.Context, task.TrialRequest) tensor.Blocks { return tensor.Of(s.Block) }

// curves keeps metrics and can do something at one of them.
type curves struct {
	component.Discard
	mu     sync.Mutex
	values map[string][]float64
	saved  int
	at     func(component.Metric)
}

func (c *curves) Metric(m component.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[string][]float64{}
	}
	c.values[m.Name] = append(c.values[m.Name], m.Value)
	if c.at != nil {
		c.at(m)
	}
}

func (c *curves) Checkpoint(component.Checkpoint) { c.saved++ }

func close64(t *testing.T, what string, got, want []float64, relative, absolute float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= relative*math.Abs(w)+absolute) {
			t.Errorf("%s[%d] is %v, want %v", what, i, got[i], w)
			return
		}
	}
}

// TestGoldenTrain takes the reference's six optimiser steps through the trainer, in float64.
func TestGoldenTrain(t *testing.T) {
	cases := golden.Read(t, "train.json")
	data := cases[0]
	inputs, targets := data.Tensors["inputs"], data.Tensors["targets"]
	seen := map[string]int{}
	for _, c := range cases {
		kind := ""
		for _, k := range []string{"nbff_noisy_gru", "nbff_vanilla_rnn", "nbff_node"} {
			if strings.HasPrefix(c.Name, k) {
				kind = k
			}
		}
		if kind == "" {
			continue
		}
		seen[kind]++
		t.Run(c.Name, func(t *testing.T) {
			var p struct {
				LR          float64 `json:"lr"`
				WeightDecay float64 `json:"weight_decay"`
				L2          float64 `json:"l2_wt"`
				Clip        float64
				T, B, Steps int
			}
			c.Decode(t, &p)
			bits := inputs.Shape[2]
			mask := make([]float64, len(targets.F64))
			for b := range p.B {
				row := p.T * bits
				nbff.Mask(mask[b*row:(b+1)*row], targets.F64[b*row:(b+1)*row], bits, 4, true)
			}
			block := tensor.Block{Arrays: tensor.Set{inputs, targets, tensor.From64(task.Weights, mask, p.B, p.T, bits)}}
			for b := range p.B {
				block.Trials = append(block.Trials, int64(b))
			}
			spec := task.Spec{Inputs: bits, Outputs: bits, Bins: p.T, TrainTrials: p.B, ValidTrials: p.B,
				Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
			before := golden.Weights(t, "train.safetensors", c.Name)
			training := recurrent.Training{Epochs: p.Steps, BatchSize: p.B, LR: p.LR, WeightDecay: p.WeightDecay, Clip: p.Clip, Options: train.Options{Keep: "last"}}
			var d recurrent.Design[float64]
			switch units := before.Get("readout.weight").Shape[1]; kind {
			case "nbff_noisy_gru":
				d = gru.Design[float64](gru.Params{Hidden: units, Training: training}, 0, p.L2)
			case "nbff_vanilla_rnn":
				d = rnn.Design[float64](rnn.Params{Hidden: units, Compat: true, Training: training})
			case "nbff_node":
				maps := 0
				for _, w := range before {
					if strings.HasPrefix(w.Name, "generator") && strings.HasSuffix(w.Name, "weight") {
						maps++
					}
				}
				d = node.Design[float64](node.Params{Latent: units, Hidden: before.Get("generator.vf_net.0.weight").Shape[0], Layers: maps, Integration: node.Integration{DT: 0.1}, Training: training})
			}
			m, err := recurrent.Open(d, component.Env{Threads: 2}, model.Target{Task: &spec})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Load(t.Context(), before); err != nil {
				t.Fatal(err)
			}
			var got curves
			if _, err := m.Train(t.Context(), model.TrainRequest{Task: stored{spec: spec, Block: block}}, &got); err != nil {
				t.Fatal(err)
			}
			close64(t, "loss", got.values["train/loss"], c.Floats(t, "loss"), 1e-8, 0)
			close64(t, "gradient norm", got.values["train/gradient_norm"], c.Floats(t, "grad_norm"), 1e-8, 0)
			after, err := m.Save(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range after {
				close64(t, w.Name, w.F64, c.Floats(t, "final."+w.Name), 0, 1e-6)
			}
		})
	}
	if len(seen) != 3 {
		t.Errorf("cases of %v, want nbff_noisy_gru, nbff_vanilla_rnn and nbff_node", seen)
	}
}

func all() []model.Factory {
	return append(gru.Factories(), rnn.Factory(), leaky.Factory(), lstm.Factory(), lowrank.Factory(), node.Factory())
}

func flipflop(t *testing.T, trials, bins int) (task.Task, task.Spec) {
	t.Helper()
	f := nbff.Factory()
	v, problems := f.Info.Params.Resolve(param.Values{"n_bits": 2, "n_timesteps": bins, "n_trials": trials, "switch_prob": 0.05})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	k, err := f.Open(t.Context(), v, component.Env{Seed: 1, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := k.Spec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return k, s
}

// open opens a small model: what a factory has of hidden, latent and the rest is set.
func open(t *testing.T, f model.Factory, spec *task.Spec, epochs int, env component.Env) model.Model {
	t.Helper()
	v := param.Values{"epochs": epochs, "batch_size": 40, "lr": 5e-3}
	for _, field := range f.Info.Params {
		switch field.Name {
		case "hidden":
			v["hidden"] = 17
		case "latent":
			v["latent"] = 5
		case "noise":
			v["noise"] = 0.02
		}
	}
	resolved, problems := f.Info.Params.Resolve(v)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m, err := f.Open(t.Context(), resolved, env, model.Target{Task: spec})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func save(t *testing.T, m model.Model) tensor.Set {
	t.Helper()
	w, err := m.Save(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func same(t *testing.T, what string, a, b tensor.Set) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d tensors and %d", what, len(a), len(b))
	}
	for i := range a {
		if a[i].Name != b[i].Name || !slices.Equal(a[i].F32, b[i].F32) {
			t.Errorf("%s: %s differs", what, a[i].Name)
		}
	}
}

// Every model learns, to the same bits whatever the number of threads and an interruption in between.
func TestTrainingToTheBit(t *testing.T) {
	for _, f := range all() {
		t.Run(f.Info.Name.Short, func(t *testing.T) {
			tk, spec := flipflop(t, 100, 30)
			fit := func(threads int, dir string, stopAt int) (tensor.Set, *curves) {
				m := open(t, f, &spec, 6, component.Env{Seed: 7, Threads: threads, Dir: dir})
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				c := &curves{at: func(m component.Metric) {
					if m.Name == "train/loss" && m.Epoch == int64(stopAt) {
						stop()
					}
				}}
				_, err := m.Train(ctx, model.TrainRequest{Task: tk, CheckpointEvery: 1}, c)
				if (err != nil) != (stopAt >= 0) {
					t.Fatal(err)
				}
				return save(t, m), c
			}
			one, c := fit(1, "", -1)
			two, _ := fit(2, "", -1)
			same(t, "threads", two, one)
			losses := c.values["train/loss"]
			if first, last := losses[0], losses[len(losses)-1]; !(last < first) {
				t.Errorf("the loss went from %v to %v", first, last)
			}
			dir := t.TempDir()
			fit(2, dir, 3)
			resumed, _ := fit(1, dir, -1)
			same(t, "resumed", resumed, one)
		})
	}
}
