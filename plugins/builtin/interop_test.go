package builtin

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// torchCase is a model that testdata/torch_models.py has as a module.
type torchCase struct {
	Model   string       `json:"model"`
	Inputs  int          `json:"inputs"`
	Outputs int          `json:"outputs"`
	Params  param.Values `json:"params"`
	factory model.Factory
	values  param.Values
	target  model.Target
}

// torchCases are all of them, and those over PyTorch's own cells also without inputs.
func torchCases(t *testing.T) []torchCase {
	t.Helper()
	var all []torchCase
	add := func(name string, inputs int, given param.Values) {
		i := slices.IndexFunc(Plugin().Models, func(f model.Factory) bool { return f.Info.Name.Short == name })
		if i < 0 {
			t.Fatalf("there is no model/%s", name)
		}
		f := Plugin().Models[i]
		for parameter, v := range smallParams() {
			if _, ok := f.Info.Params.Field(parameter); ok {
				given[parameter] = v
			}
		}
		values, problems := f.Info.Params.Resolve(given)
		if len(problems) > 0 {
			t.Fatal(name, problems)
		}
		target := model.Target{Task: &task.Spec{Inputs: inputs, Outputs: 3, Bins: torchBins, TrainTrials: 1,
			Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}}
		params := maps.Clone(values)
		if f.Info.Can(component.TrainsOnData) {
			target = model.Target{Data: &model.DataSpec{Neurons: 7, HeldIn: torchHeldIn, Inputs: inputs, Bins: torchBins, TrainTrials: 1}}
			params["held_in"] = torchHeldIn
		}
		c := torchCase{Model: name, Inputs: inputs, Outputs: 3, Params: params, factory: f, values: values, target: target}
		if target.Data != nil {
			c.Outputs = target.Data.Neurons
		}
		all = append(all, c)
	}
	for _, name := range []string{"gru", "noisy-gru", "noisy-gru-latent-l2", "lstm", "low-rank-rnn", "node", "sae-gru", "sae-rnn", "sae-lds", "sae-node"} {
		add(name, 2, param.Values{})
	}
	for _, compat := range []bool{false, true} {
		add("vanilla-rnn", 2, param.Values{"compat": compat})
		add("leaky-rnn", 2, param.Values{"compat": compat})
	}
	add("low-rank-rnn", 2, param.Values{"random_strength": 0.5})
	for _, name := range []string{"gru", "vanilla-rnn", "lstm", "node", "sae-gru", "sae-rnn", "sae-node"} {
		add(name, 0, param.Values{})
	}
	return all
}

func (c torchCase) open(t *testing.T) model.Model {
	t.Helper()
	m, err := c.factory.Open(t.Context(), c.values, component.Env{Seed: 1, Threads: 2}, c.target)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const torchTrials, torchBins, torchHeldIn = 37, 20, 5

// TestInteropTorch gives the weights of every model that PyTorch has modules for to such modules, which load them strictly and compute the same, and takes weights that PyTorch made.
func TestInteropTorch(t *testing.T) {
	python := os.Getenv("CTDB_INTEROP_PYTHON")
	if python == "" {
		t.Skip("CTDB_INTEROP_PYTHON does not name a Python with torch and safetensors: make interop installs one")
	}
	folder := t.TempDir()
	file := func(format string, args ...any) string { return filepath.Join(folder, fmt.Sprintf(format, args...)) }
	cases := torchCases(t)
	r := random.New(1, "interop")
	trials := map[int]tensor.Block{}
	for _, inputs := range []int{0, 2} {
		x, spikes := tensor.New32(model.Inputs, torchTrials, torchBins, inputs), tensor.New32(model.Encoded, torchTrials, torchBins, torchHeldIn)
		for i := range x.F32 {
			x.F32[i] = float32(r.NormFloat64())
		}
		for i := range spikes.F32 {
			spikes.F32[i] = float32(r.IntN(3))
		}
		b := tensor.Block{Arrays: tensor.Set{x, spikes}}
		for i := range torchTrials {
			b.Trials = append(b.Trials, int64(i))
		}
		trials[inputs] = b
		writeSafetensors(t, file("trials-%d.safetensors", inputs), b.Arrays)
	}
	rollout := func(m model.Model, inputs int) tensor.Set {
		b, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Want: []string{model.Latents, model.Outputs}}, tensor.Of(trials[inputs])))
		if err != nil {
			t.Fatal(err)
		}
		return b.Arrays
	}
	models, ours := make([]model.Model, len(cases)), make([]tensor.Set, len(cases))
	for i, c := range cases {
		models[i] = c.open(t)
		weights, err := models[i].Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// What starts at zero, the learned initial state and some biases, is to be seen too.
		for _, w := range weights {
			for k := range w.F32 {
				w.F32[k] += float32(0.1 * r.NormFloat64())
			}
		}
		if err := models[i].Load(t.Context(), weights); err != nil {
			t.Fatal(err)
		}
		writeSafetensors(t, file("%d.weights.safetensors", i), weights)
		ours[i] = rollout(models[i], c.Inputs)
	}
	list, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file("cases.json"), list, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "torch_models.py"), folder)
	cmd.Stderr = os.Stderr
	version, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	t.Logf("%d models beside those of torch %s", len(cases), strings.TrimSpace(string(version)))
	for i, c := range cases {
		t.Run(fmt.Sprintf("%s/I=%d", c.Model, c.Inputs), func(t *testing.T) {
			agree(t, "our weights", ours[i], readSafetensors(t, file("%d.results.safetensors", i)))
			if err := models[i].Load(t.Context(), readSafetensors(t, file("%d.torch-weights.safetensors", i))); err != nil {
				t.Fatal(err)
			}
			agree(t, "PyTorch's weights", rollout(models[i], c.Inputs), readSafetensors(t, file("%d.torch-results.safetensors", i)))
		})
	}
}

// Weights of models without inputs, one of which is empty, go through a file and a process boundary.
func TestWithoutInputs(t *testing.T) {
	there := served(t)
	for _, c := range torchCases(t) {
		if c.Inputs > 0 {
			continue
		}
		t.Run(c.Model, func(t *testing.T) {
			near := c.open(t)
			far, err := there.OpenModel(t.Context(), component.Name{Kind: component.Model, Short: c.Model}, c.values, component.Env{Seed: 2, Threads: 1}, c.target)
			if err != nil {
				t.Fatal(err)
			}
			weights, err := near.Save(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "weights.safetensors")
			writeSafetensors(t, path, weights)
			if err := far.Load(t.Context(), readSafetensors(t, path)); err != nil {
				t.Fatal(err)
			}
			back, err := far.Save(t.Context())
			if err != nil || len(back) != len(weights) {
				t.Fatalf("%v, want %v: %v", back.Names(), weights.Names(), err)
			}
			for _, w := range weights {
				if b := back.Get(w.Name); b == nil || !slices.Equal(b.Shape, w.Shape) || !slices.Equal(b.F32, w.F32) {
					t.Errorf("%s is %+v, want %+v", w.Name, b, w)
				}
			}
		})
	}
}

// agree compares what ours gives with what PyTorch gives, relative to the largest element where that is more than 1.
func agree(t *testing.T, what string, got, want tensor.Set) {
	t.Helper()
	for _, role := range []string{model.Latents, model.Outputs} {
		g, w := got.Get(role), want.Get(role)
		if g == nil || w == nil || !slices.Equal(g.Shape, w.Shape) {
			t.Fatalf("%s: %s: %v, PyTorch gives %v", what, role, got, want)
		}
		worst, scale, values := 0.0, 1.0, g.Float64s()
		for i, v := range w.Float64s() {
			// Not a number stays one.
			if d := math.Abs(values[i] - v); !(d <= worst) {
				worst = d
			}
			scale = max(scale, math.Abs(v))
		}
		if !(worst <= 1e-5*scale) {
			t.Errorf("%s: %s differ by %.3g of %.3g", what, role, worst, scale)
		}
	}
}

func writeSafetensors(t *testing.T, path string, set tensor.Set) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := tensor.WriteSafetensors(f, set, nil); err != nil {
		t.Fatal(err)
	}
}

func readSafetensors(t *testing.T, path string) tensor.Set {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := tensor.ReadSafetensors(f, info.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return set
}
