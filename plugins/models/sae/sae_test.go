package sae

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/models/node"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// stored is a data set of given blocks.
type stored struct{ train, valid tensor.Block }

func (s stored) Data(_ context.Context, split task.Split) tensor.Blocks {
	if split == task.Valid {
		return tensor.Of(s.valid)
	}
	return tensor.Of(s.train)
}

type curves struct {
	component.Discard
	values map[string][]float64
}

func (c *curves) Metric(m component.Metric) {
	if c.values == nil {
		c.values = map[string][]float64{}
	}
	c.values[m.Name] = append(c.values[m.Name], m.Value)
}

// Params are those of sae-gru, flat.
type Params struct {
	Latent, EncoderSize, Epochs, BatchSize int
	LR, WeightDecay, Clip, Dropout         float64
	EncoderWindow                          int
	Keep                                   string
	Compat                                 bool
	Recompute                              int
}

func (p Params) fitting() Fitting {
	return Fitting{Epochs: p.Epochs, BatchSize: p.BatchSize, WeightDecay: p.WeightDecay, Clip: p.Clip, Dropout: p.Dropout, EncoderSize: p.EncoderSize,
		EncoderWindow: p.EncoderWindow, Options: train.Options{Keep: p.Keep}, Compat: p.Compat, Recompute: p.Recompute}
}

func open[F kernel.Float](p Params, env component.Env, t model.Target) (*Model[F], error) {
	return Open(GRU[F](GRUParams{Latent: p.Latent, LR: p.LR, Fitting: p.fitting()}), env, t, p)
}

// near compares relative to the largest element.
func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	scale := 0.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance*scale) {
			t.Errorf("%s[%d] is %v, want %v", what, i, got[i], w)
			return
		}
	}
}

// split separates the held-in neurons, the first ones, from all.
func split(spikes *tensor.Tensor, heldIn int) (encoded, all *tensor.Tensor) {
	b, bins, n := spikes.Shape[0], spikes.Shape[1], spikes.Shape[2]
	encoded = tensor.New64(model.Encoded, b, bins, heldIn)
	for i := range b * bins {
		for k := range heldIn {
			encoded.F64[i*heldIn+k] = float64(spikes.I64[i*n+k])
		}
	}
	return encoded, spikes.Named(model.Reconstructed)
}

func numbers(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func TestGoldenSAE(t *testing.T) {
	cases := golden.Read(t, "sae.json")
	first := map[string]golden.Case{}
	seen := map[string]int{}
	for _, c := range cases {
		kind, _, _ := strings.Cut(c.Name, "_")
		if c.Tensors["spikes"] != nil {
			first[kind] = c
		}
		seen[kind]++
		for _, precision := range []string{"float64", "float32"} {
			t.Run(c.Name+"/"+precision, func(t *testing.T) {
				if precision == "float64" {
					goldenSAE[float64](t, kind, c, first[kind], 1e-10, 1e-8)
				} else {
					goldenSAE[float32](t, kind, c, first[kind], 1e-5, 1e-5)
				}
			})
		}
	}
	for _, kind := range []string{"sae-gru", "sae-rnn", "sae-lds", "sae-node"} {
		if seen[kind] != 2 {
			t.Errorf("%d cases of %s, want 2", seen[kind], kind)
		}
	}
}

func goldenSAE[F kernel.Float](t *testing.T, kind string, c, first golden.Case, tolerance, gradients float64) {
	var p struct {
		Behaviour                                       string
		B, T, HeldIn, Neurons, Inputs, Latents, Encoder int
		Width                                           int `json:"vf_hidden_size"`
		Layers                                          int `json:"vf_num_layers"`
	}
	c.Decode(t, &p)
	spec := model.DataSpec{Neurons: p.Neurons, HeldIn: p.HeldIn, Inputs: p.Inputs, Bins: p.T, TrainTrials: p.B}
	f := Fitting{EncoderSize: p.Encoder, Compat: p.Behaviour == "compat", Epochs: 1, BatchSize: p.B}
	var d Design[F]
	switch kind {
	case "sae-gru":
		d = GRU[F](GRUParams{Latent: p.Latents, Fitting: f})
	case "sae-rnn":
		d = RNN[F](RNNParams{Latent: p.Latents, Fitting: f})
	case "sae-lds":
		d = LDS[F](LDSParams{Latent: p.Latents, Fitting: f})
	default:
		d = NODE[F](NODEParams{Latent: p.Latents, Hidden: p.Width, HiddenLayers: p.Layers, Integration: node.Integration{DT: 0.1}, Fitting: f})
	}
	m, err := Open(d, component.Env{Threads: 2}, model.Target{Data: &spec})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Load(t.Context(), golden.Weights(t, "sae.safetensors", kind)); err != nil {
		t.Fatal(err)
	}
	encoded, all := split(first.Tensors["spikes"], p.HeldIn)
	block := tensor.Block{Trials: numbers(p.B), Arrays: tensor.Set{encoded, all, first.Tensors["inputs"].Named(model.Inputs)}}
	out, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{Want: []string{model.Latents, model.Outputs, model.Rates}}, tensor.Of(block)))
	if err != nil {
		t.Fatal(err)
	}
	near(t, "latents", out.Arrays.Get(model.Latents).Float64s(), c.Floats(t, "latents"), tolerance)
	near(t, "log-rates", out.Arrays.Get(model.Outputs).Float64s(), c.Floats(t, "lograte"), tolerance)
	for i, r := range out.Arrays.Get(model.Rates).Float64s() {
		if want := math.Exp(c.Floats(t, "lograte")[i]); math.Abs(r-want) > 10*tolerance*want {
			t.Fatalf("rate is %v, want %v", r, want)
		}
	}
	loss, grads := lossOf(t, m, block)
	near(t, "loss", []float64{loss}, c.Floats(t, "loss"), tolerance)
	for name, g := range grads {
		near(t, name, g, c.Floats(t, "grad_w."+name), gradients)
	}
	// With the length of each trial, the end of the response.
	extra := first.Tensors["extra"]
	lengths := tensor.NewInt(model.Lengths, p.B)
	for i := range lengths.I64 {
		lengths.I64[i] = int64(extra.F64[i*extra.Shape[1]+extra.Shape[1]-1])
	}
	block.Arrays = append(block.Arrays, lengths)
	loss, _ = lossOf(t, m, block)
	near(t, "loss of short trials", []float64{loss}, c.Floats(t, "loss_multitask_"+p.Behaviour), tolerance)
}

// live are the weights themselves, for tests that change some of them.
func live[F kernel.Float](m *Model[F]) *nn.Params[F] {
	p, release := m.Hold()
	defer release()
	return p
}

// lossOf takes a block through the production path, forward and back.
func lossOf[F kernel.Float](t *testing.T, m *Model[F], b tensor.Block) (float64, map[string][]float64) {
	t.Helper()
	d, err := train.Load[F](t.Context(), tensor.Of(b), 0, m.config.columns(m.config.Spec.Bins, true)...)
	if err != nil {
		t.Fatal(err)
	}
	r := train.NewRunner(&network[F]{&m.config, live(m)}, 2)
	rows := make([]int, d.Len())
	for i := range rows {
		rows[i] = i
	}
	grad := make([]F, len(live(m).Flat()))
	loss, _, err := r.Run(d, rows, nn.Pass{Seed: 3, Stream: []uint64{1}}, grad)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]float64{}
	for _, w := range live(m).SaveFlat(grad) {
		out[w.Name] = w.Float64s()
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return loss, out
}

func TestGoldenTrain(t *testing.T) {
	cases := golden.Read(t, "train.json")
	for _, c := range cases {
		if c.Name != "sae_gru" {
			continue
		}
		var p struct {
			LR                                       float64 `json:"lr"`
			WeightDecay                              float64 `json:"weight_decay"`
			Clip                                     float64
			HeldIn, Encoder, Latents, Steps, Bins, B int
		}
		c.Decode(t, &p)
		spikes := c.Tensors["spikes"]
		inputs := cases[0].Tensors["inputs"]
		b := spikes.Shape[0]
		spec := model.DataSpec{Neurons: spikes.Shape[2], HeldIn: p.HeldIn, Inputs: inputs.Shape[2], Bins: spikes.Shape[1], TrainTrials: b}
		m, err := open[float64](Params{Latent: p.Latents, EncoderSize: p.Encoder, Compat: true, Epochs: p.Steps, BatchSize: b, LR: p.LR, WeightDecay: p.WeightDecay, Clip: p.Clip,
			Keep: "last"}, component.Env{Threads: 2}, model.Target{Data: &spec})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Load(t.Context(), golden.Weights(t, "train.safetensors", "sae_gru")); err != nil {
			t.Fatal(err)
		}
		encoded, all := split(spikes, p.HeldIn)
		block := tensor.Block{Trials: numbers(b), Arrays: tensor.Set{encoded, all, inputs}}
		var got curves
		if _, err := m.Train(t.Context(), model.TrainRequest{Data: stored{block, block}}, &got); err != nil {
			t.Fatal(err)
		}
		near(t, "loss", got.values["train/loss"], c.Floats(t, "loss"), 1e-8)
		near(t, "gradient norm", got.values["train/gradient_norm"], c.Floats(t, "grad_norm"), 1e-8)
		for _, w := range live(m).Save() {
			for i, want := range c.Floats(t, "final."+w.Name) {
				if math.Abs(w.F64[i]-want) > 1e-6 {
					t.Errorf("%s[%d] is %v, want %v", w.Name, i, w.F64[i], want)
					break
				}
			}
		}
		return
	}
	t.Error("no case sae_gru")
}

// synthetic is spikes of neurons that share a few sinusoids, with inputs if there are any.
func synthetic(seed uint64, trials int, spec model.DataSpec) tensor.Block {
	b := tensor.Block{Trials: numbers(trials)}
	all := tensor.New32(model.Reconstructed, trials, spec.Bins, spec.Neurons)
	enc := tensor.New32(model.Encoded, trials, spec.Bins, spec.HeldIn)
	in := tensor.New32(model.Inputs, trials, spec.Bins, spec.Inputs)
	lengths := tensor.NewInt(model.Lengths, trials)
	for i := range trials {
		r := random.New(seed, "spikes", uint64(i))
		phase := 2 * math.Pi * r.Float64()
		lengths.I64[i] = int64(spec.Bins - i%3)
		for t := range spec.Bins {
			for n := range spec.Neurons {
				rate := math.Exp(1.5 * math.Sin(phase+0.2*float64(t)+float64(n)))
				k, p := 0, r.Float64()
				for term := math.Exp(-rate); p > term && k < 20; k++ {
					p -= term
					term *= rate / float64(k+1)
				}
				all.F32[(i*spec.Bins+t)*spec.Neurons+n] = float32(k)
				if n < spec.HeldIn {
					enc.F32[(i*spec.Bins+t)*spec.HeldIn+n] = float32(k)
				}
			}
			for c := range spec.Inputs {
				in.F32[(i*spec.Bins+t)*spec.Inputs+c] = float32(r.NormFloat64())
			}
		}
		b.Trials[i] += int64(seed) * 1000
	}
	b.Arrays = tensor.Set{enc, all, lengths}
	if spec.Inputs > 0 {
		b.Arrays = append(b.Arrays, in)
	}
	return b
}

// TestGradients compares all four with finite differences, dropout on, with and without inputs, with short trials and a batch of more than one shard.
func TestGradients(t *testing.T) {
	f := Fitting{EncoderSize: 3, Dropout: 0.3, Epochs: 1, BatchSize: 40}
	for name, d := range map[string]Design[float64]{
		"sae-gru": GRU[float64](GRUParams{Latent: 5, LR: 1, Fitting: f}), "sae-rnn": RNN[float64](RNNParams{Latent: 5, LR: 1, Fitting: f}),
		"sae-lds":         LDS[float64](LDSParams{Latent: 5, LR: 1, Fitting: f}),
		"sae-node":        NODE[float64](NODEParams{Latent: 5, Hidden: 6, HiddenLayers: 2, LR: 1, Integration: node.Integration{DT: 0.1}, Fitting: f}),
		"sae-node, rk4":   NODE[float64](NODEParams{Latent: 5, Hidden: 6, HiddenLayers: 1, LR: 1, Integration: node.Integration{DT: 0.1, Integrator: "rk4", Substeps: 2}, Fitting: f}),
		"sae-node, large": NODE[float64](NODEParams{Latent: 5, Hidden: 20, HiddenLayers: 6, LR: 1, Integration: node.Integration{DT: 0.1}, Fitting: f}),
	} {
		for _, inputs := range []int{0, 2} {
			spec := model.DataSpec{Neurons: 6, HeldIn: 4, Inputs: inputs, Bins: 9}
			m, err := Open(d, component.Env{Seed: 2}, model.Target{Data: &spec})
			if err != nil {
				t.Fatal(err)
			}
			block := synthetic(1, 40, spec)
			_, grads := lossOf(t, m, block)
			for _, p := range live(m).All() {
				if len(p.Value) == 0 {
					continue
				}
				for _, i := range []int{0, len(p.Value) / 2, len(p.Value) - 1} {
					const step = 1e-6
					at := p.Value[i]
					p.Value[i] = at + step
					up, _ := lossOf(t, m, block)
					p.Value[i] = at - step
					down, _ := lossOf(t, m, block)
					p.Value[i] = at
					if got, want := grads[p.Name][i], (up-down)/(2*step); math.Abs(got-want) > 1e-7*max(1, math.Abs(want)) {
						t.Errorf("%s, %d inputs: gradient of %s[%d] is %v, by differences %v", name, inputs, p.Name, i, got, want)
					}
				}
			}
		}
	}
}

func TestLearnsAndThreadsDoNotMatter(t *testing.T) {
	spec := model.DataSpec{Neurons: 12, HeldIn: 9, Inputs: 1, Bins: 40, TrainTrials: 90, ValidTrials: 35}
	data := stored{synthetic(1, 90, spec), synthetic(2, 35, spec)}
	var saved []tensor.Set
	for _, c := range []struct{ threads, recompute int }{{1, 0}, {2, 0}, {2, 8}} {
		m, err := open[float32](Params{Latent: 16, EncoderSize: 12, Dropout: 0.05, Epochs: 40, BatchSize: 40, LR: 1e-2, Clip: 1, Keep: "best", Recompute: c.recompute},
			component.Env{Seed: 2, Threads: c.threads}, model.Target{Data: &spec})
		if err != nil {
			t.Fatal(err)
		}
		var got curves
		r, err := m.Train(t.Context(), model.TrainRequest{Data: data}, &got)
		if err != nil {
			t.Fatal(err)
		}
		saved = append(saved, live(m).Save())
		if first := got.values["valid/loss"][0]; !(r.BestLoss < first-0.15) {
			t.Errorf("best validation loss is %v after %v in the first epoch", r.BestLoss, first)
		}
	}
	for i, w := range saved[0] {
		if !slices.Equal(w.F32, saved[1][i].F32) {
			t.Errorf("%s depends on the number of threads", w.Name)
		}
		if !slices.Equal(w.F32, saved[2][i].F32) {
			t.Errorf("%s depends on what is computed once more", w.Name)
		}
	}
	for _, f := range Factories() {
		bytes := map[int]int64{}
		for _, recompute := range []int{0, 8} {
			v, problems := f.Info.Params.Resolve(map[string]any{"recompute": recompute})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			bytes[recompute] = f.Memory(v, model.Target{Data: &spec}, 2).Bytes
		}
		if bytes[8] >= bytes[0] {
			t.Errorf("%s: %d bytes with recomputing, %d without", f.Info.Name, bytes[8], bytes[0])
		}
	}
}

// A learning rate that is too high ends in finite losses or in an error that says where; one beyond all reason always in the error.
func TestLearningRatesThatDiverge(t *testing.T) {
	spec := model.DataSpec{Neurons: 12, HeldIn: 9, Inputs: 1, Bins: 20, TrainTrials: 60, ValidTrials: 20}
	data := stored{synthetic(1, 60, spec), synthetic(2, 20, spec)}
	for _, f := range Factories() {
		for _, lr := range []float64{1, 10, 100, 1e30} {
			v, problems := f.Info.Params.Resolve(map[string]any{"latent": 6, "encoder_size": 5, "epochs": 4, "batch_size": 30, "lr": lr, "clip": 0})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			m, err := f.Open(t.Context(), v, component.Env{Seed: 3, Threads: 2}, model.Target{Data: &spec})
			if err != nil {
				t.Fatal(err)
			}
			r, err := m.Train(t.Context(), model.TrainRequest{Data: data}, component.Discard{})
			var e *component.DivergedError
			switch {
			case err == nil && lr < 1e30:
				if !(r.BestLoss < 1e6) || !(r.LastLoss < 1e6) {
					t.Errorf("%s, lr %v: ended with %+v", f.Info.Name.Short, lr, r)
				}
			case !errors.As(err, &e) || e.Step < 0 || e.Quantity == "" || e.Hint == "":
				t.Errorf("%s, lr %v: error is %v", f.Info.Name.Short, lr, err)
			}
		}
	}
}

// TestDynamics starts from the inferred state and steps to the rollout's latents and rates.
func TestDynamics(t *testing.T) {
	spec := model.DataSpec{Neurons: 6, HeldIn: 4, Inputs: 2, Bins: 9}
	m, err := open[float32](Params{Latent: 5, EncoderSize: 3, Epochs: 1, BatchSize: 1, LR: 1}, component.Env{Seed: 2, Threads: 2}, model.Target{Data: &spec})
	if err != nil {
		t.Fatal(err)
	}
	block := synthetic(1, 40, spec)
	out, err := tensor.Collect(m.Rollout(t.Context(), model.RolloutRequest{}, tensor.Of(block)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.InitialState(t.Context(), tensor.Block{}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("initial state of no trial: %v", err)
	}
	h, err := d.InitialState(t.Context(), block)
	if err != nil {
		t.Fatal(err)
	}
	for bin := range spec.Bins {
		if h, err = d.Step(t.Context(), h, block.Arrays.Get(model.Inputs).Bin(bin)); err != nil {
			t.Fatal(err)
		}
		rates, err := d.Observe(t.Context(), h, model.Rates)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			role  string
			width int
			want  []float64
		}{{model.Latents, 5, h.F64}, {model.Rates, spec.Neurons, rates.F64}} {
			for b := range 40 {
				for k := range c.width {
					if got, want := float64(out.Arrays.Get(c.role).F32[(b*spec.Bins+bin)*c.width+k]), c.want[b*c.width+k]; math.Abs(got-want) > 1e-5 {
						t.Fatalf("%s of trial %d, bin %d is %v, want %v", c.role, b, bin, got, want)
					}
				}
			}
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	f := Factories()[0]
	good := model.DataSpec{Neurons: 6, HeldIn: 4, Bins: 9, TrainTrials: 1}
	for _, f := range Factories() {
		for given, want := range map[string]int{"encoder.*": 0, "decoder.cell.*": 0, "readout": 1, "*": 1} {
			v, problems := f.Info.Params.Resolve(map[string]any{"freeze": []any{given}})
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := f.Check(v, model.Target{Data: &good}); len(got) != want || want > 0 && got[0].Path != "freeze" {
				t.Errorf("%s: freeze %q: %v", f.Info.Name, given, got)
			}
		}
	}
	for i, c := range []struct {
		window any
		target model.Target
		want   int
	}{
		{0, model.Target{Data: &good}, 0}, {-8, model.Target{Data: &good}, 0}, {9, model.Target{Data: &good}, 0}, {0, model.Target{}, 0},
		{-9, model.Target{Data: &good}, 1}, {10, model.Target{Data: &good}, 1}, {0, model.Target{Task: &task.Spec{}}, 1},
		{0, model.Target{Data: &model.DataSpec{Neurons: 0, HeldIn: 3, Inputs: -1, Bins: 0}}, 5},
	} {
		v, problems := f.Info.Params.Resolve(map[string]any{"encoder_window": c.window})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := f.Check(v, c.target); len(got) != c.want {
			t.Errorf("case %d: %v, want %d problems", i, got, c.want)
		}
		if c.want > 0 {
			if _, err := f.Open(t.Context(), v, component.Env{}, c.target); !errors.Is(err, component.ErrInvalidArgument) {
				t.Errorf("case %d: opened: %v", i, err)
			}
		}
	}
}
