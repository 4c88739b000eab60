package kernel

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type goldenCase struct {
	Name    string
	Params  map[string]any
	Tensors map[string]struct {
		Shape []int
		Dtype string
		Data  json.RawMessage
	}
}

// golden reads nn.json from testdata, or from the folder that $CTDB_GOLDEN names.
func golden(t *testing.T) map[string]goldenCase {
	t.Helper()
	dir := "testdata"
	if d := os.Getenv("CTDB_GOLDEN"); d != "" {
		dir = d
	}
	data, err := os.ReadFile(filepath.Join(dir, "nn.json"))
	must(t, err)
	var file struct{ Cases []goldenCase }
	must(t, json.Unmarshal(data, &file))
	cases := map[string]goldenCase{}
	for _, c := range file.Cases {
		cases[c.Name] = c
	}
	return cases
}

func find(t *testing.T, cases map[string]goldenCase, name string) goldenCase {
	t.Helper()
	c, ok := cases[name]
	if !ok {
		t.Fatalf("the golden file has no case %s", name)
	}
	return c
}

// tensor is a case's tensor; a scalar is one element.
func tensor[F Float](t *testing.T, c goldenCase, name string) []F {
	t.Helper()
	e, ok := c.Tensors[name]
	if !ok {
		t.Fatalf("%s has no tensor %s", c.Name, name)
	}
	var flat []F
	must(t, json.Unmarshal(e.Data, &flat))
	return flat
}

func (c goldenCase) number(t *testing.T, name string, otherwise float64) float64 {
	t.Helper()
	v, ok := c.Params[name]
	if !ok {
		return otherwise
	}
	f, ok := v.(float64)
	if !ok {
		t.Fatalf("%s: %s is %v", c.Name, name, v)
	}
	return f
}

func (c goldenCase) size(t *testing.T, tensor string, axis int) int {
	t.Helper()
	s := c.Tensors[tensor].Shape
	if axis >= len(s) {
		t.Fatalf("%s: %s has shape %v", c.Name, tensor, s)
	}
	return s[axis]
}

// closeTo checks float64 entry by entry, float32 against the largest entry.
func closeTo[F Float](t *testing.T, name string, got, want []F) {
	t.Helper()
	if isDouble[F]() == 0 {
		near(t, name, got, want, 1e-5)
		return
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i := range got {
		if g, w := float64(got[i]), float64(want[i]); !(math.Abs(g-w) <= 1e-10*math.Abs(w)+1e-15) {
			t.Errorf("%s[%d]: %v, want %v", name, i, g, w)
			return
		}
	}
}

func goldenWeights[F Float](t *testing.T, c goldenCase, prefix, cell, suffix string) SequenceWeights[F] {
	return SequenceWeights[F]{Wih: tensor[F](t, c, prefix+cell+"weight_ih"+suffix), Whh: tensor[F](t, c, prefix+cell+"weight_hh"+suffix),
		Bih: tensor[F](t, c, prefix+cell+"bias_ih"+suffix), Bhh: tensor[F](t, c, prefix+cell+"bias_hh"+suffix)}
}

func TestGoldenGRU(t *testing.T) {
	cases := golden(t)
	eachVariant(t, func(t *testing.T, variant string) {
		for _, name := range []string{"gru", "gru_bidirectional"} {
			t.Run(name+"/float64", func(t *testing.T) { goldenGRU[float64](t, find(t, cases, name+"/float64"), variant) })
			t.Run(name+"/float32", func(t *testing.T) { goldenGRU[float32](t, find(t, cases, name+"/float32"), variant) })
		}
	})
}

// goldenGRU runs one or two directions into shared arrays, as a bidirectional layer does.
func goldenGRU[F Float](t *testing.T, k goldenCase, variant string) {
	B, T, I := k.size(t, "x", 0), k.size(t, "x", 1), k.size(t, "x", 2)
	D, H := k.size(t, "h0", 0), k.size(t, "h0", 2)
	x, h0, gradX := tensor[F](t, k, "x"), tensor[F](t, k, "h0"), make([]F, B*T*I)
	y, hn, cot, cotHn := make([]F, B*T*D*H), make([]F, D*B*H), tensor[F](t, k, "cot_y"), tensor[F](t, k, "cot_hn")
	gradH0 := make([]F, D*B*H)
	for d := range D {
		g, err := NewSequence[F](SequenceConfig{B: B, T: T, I: I, H: H, Reverse: d == 1, Variant: variant, Threads: 2})
		must(t, err)
		suffix := []string{"_l0", "_l0_reverse"}[d]
		one := func(s []F) []F { return s[d*B*H : (d+1)*B*H] }
		must(t, g.Forward(goldenWeights[F](t, k, "w.", "", suffix), SequenceInput[F]{X: x, H0: one(h0)}, SequenceOutput[F]{States: y[d*H:], Stride: D * H, Final: one(hn)}))
		want := goldenWeights[F](t, k, "grad_w.", "", suffix)
		got := SequenceWeights[F]{Wih: make([]F, len(want.Wih)), Whh: make([]F, len(want.Whh)), Bih: make([]F, len(want.Bih)), Bhh: make([]F, len(want.Bhh))}
		gx := make([]F, len(x))
		must(t, g.Backward(SequenceCotangent[F]{States: cot[d*H:], Stride: D * H, Final: one(cotHn)}, SequenceGradient[F]{Weights: got, X: gx, H0: one(gradH0)}))
		must(t, Sum(gradX, true, gx))
		compareWeights(got, want, func(name string, got, want []F) { closeTo(t, name+suffix, got, want) })
		must(t, g.Close())
	}
	closeTo(t, "y", y, tensor[F](t, k, "y"))
	closeTo(t, "hn", hn, tensor[F](t, k, "hn"))
	closeTo(t, "grad_x", gradX, tensor[F](t, k, "grad_x"))
	closeTo(t, "grad_h0", gradH0, tensor[F](t, k, "grad_h0"))
}

func TestGoldenGRUCell(t *testing.T) {
	k := find(t, golden(t), "gru_cell/float64")
	B, I, H := k.size(t, "x", 0), k.size(t, "x", 1), k.size(t, "h", 1)
	x, h, w := tensor[float64](t, k, "x"), tensor[float64](t, k, "h"), goldenWeights[float64](t, k, "w.", "", "")
	cot := tensor[float64](t, k, "cot_h_next")
	wantX, wantH, wantNext := tensor[float64](t, k, "grad_x"), tensor[float64](t, k, "grad_h"), tensor[float64](t, k, "h_next")
	cell, err := NewStepMap(SequenceConfig{I: I, H: H}, w)
	must(t, err)
	next, gx, gh := make([]float64, B*H), make([]float64, B*I), make([]float64, B*H)
	must(t, cell.Step(x, h, next))
	must(t, cell.VJP(x, h, cot, gx, gh))
	closeTo(t, "cell: h_next", next, wantNext)
	closeTo(t, "cell: grad_x", gx, wantX)
	closeTo(t, "cell: grad_h", gh, wantH)
	eachVariant(t, func(t *testing.T, variant string) {
		g, err := NewSequence[float64](SequenceConfig{B: B, T: 1, I: I, H: H, Variant: variant})
		must(t, err)
		defer g.Close()
		must(t, g.Begin(w, SequenceInput[float64]{H0: h}))
		must(t, g.StepForward(0, x, SequenceBin[float64]{State: next}))
		closeTo(t, "h_next", next, wantNext)
		must(t, g.BeginBackward(nil))
		must(t, g.StepBackward(0, SequenceBin[float64]{State: cot}, gx))
		want := goldenWeights[float64](t, k, "grad_w.", "", "")
		got := SequenceWeights[float64]{Wih: make([]float64, 3*H*I), Whh: make([]float64, 3*H*H), Bih: make([]float64, 3*H), Bhh: make([]float64, 3*H)}
		must(t, g.EndBackward(SequenceGradient[float64]{Weights: got, H0: gh}))
		closeTo(t, "grad_x", gx, wantX)
		closeTo(t, "grad_h", gh, wantH)
		compareWeights(got, want, func(name string, got, want []float64) { closeTo(t, name, got, want) })
	})
}

// The noisy GRU with its readout inside, and the latent L2 term.
func TestGoldenNoisyGRUSequence(t *testing.T) {
	cases := golden(t)
	eachVariant(t, func(t *testing.T, variant string) {
		found := 0
		for _, k := range cases {
			if !strings.HasPrefix(k.Name, "noisy_gru_seq_l2") {
				continue
			}
			found++
			B, T, I := k.size(t, "x", 0), k.size(t, "x", 1), k.size(t, "x", 2)
			H, O := k.size(t, "latents", 2), k.size(t, "outputs", 2)
			w := goldenWeights[float64](t, k, "w.", "cell.", "")
			w.Wout, w.Bout = tensor[float64](t, k, "w.readout.weight"), tensor[float64](t, k, "w.readout.bias")
			g, err := NewSequence[float64](SequenceConfig{B: B, T: T, I: I, H: H, O: O, Variant: variant})
			must(t, err)
			y, latents, cot := make([]float64, B*T*O), make([]float64, B*T*H), make([]float64, B*T*H)
			must(t, g.Forward(w, SequenceInput[float64]{X: tensor[float64](t, k, "x"), H0: tensor[float64](t, k, "w.latent_ics")}, SequenceOutput[float64]{Y: y, States: latents}))
			l2, err := LatentNorm(Shape{B: B, T: T, C: H}, latents, nil, k.number(t, "l2_wt", 0)/float64(B), cot, false)
			must(t, err)
			closeTo(t, k.Name+" outputs", y, tensor[float64](t, k, "outputs"))
			closeTo(t, k.Name+" latents", latents, tensor[float64](t, k, "latents"))
			closeTo(t, k.Name+" latent_l2", []float64{l2}, tensor[float64](t, k, "latent_l2"))
			want := goldenWeights[float64](t, k, "grad_w.", "cell.", "")
			want.Wout, want.Bout = tensor[float64](t, k, "grad_w.readout.weight"), tensor[float64](t, k, "grad_w.readout.bias")
			got := SequenceWeights[float64]{Wih: make([]float64, 3*H*I), Whh: make([]float64, 3*H*H), Bih: make([]float64, 3*H), Bhh: make([]float64, 3*H),
				Wout: make([]float64, O*H), Bout: make([]float64, O)}
			gx, gh := make([]float64, B*T*I), make([]float64, H)
			must(t, g.Backward(SequenceCotangent[float64]{Y: tensor[float64](t, k, "cot"), States: cot}, SequenceGradient[float64]{Weights: got, X: gx, H0: gh}))
			compareWeights(got, want, func(name string, got, want []float64) { closeTo(t, k.Name+" "+name, got, want) })
			closeTo(t, k.Name+" grad_x", gx, tensor[float64](t, k, "grad_x"))
			closeTo(t, k.Name+" grad latent_ics", gh, tensor[float64](t, k, "grad_w.latent_ics"))
			must(t, g.Close())
		}
		if found == 0 {
			t.Error("no case noisy_gru_seq_l2_*")
		}
	})
}

// One step of the noisy GRU with its noise given: the output reads the clean state, the noise is in the next one.
func TestGoldenNoisyGRUStep(t *testing.T) {
	k := find(t, golden(t), "model_noisy_gru_noise_on/float64")
	B, I, H, O := k.size(t, "x", 0), k.size(t, "x", 1), k.size(t, "h", 1), k.size(t, "output", 1)
	w := goldenWeights[float64](t, k, "w.", "cell.", "")
	w.Wout, w.Bout = tensor[float64](t, k, "w.readout.weight"), tensor[float64](t, k, "w.readout.bias")
	eachVariant(t, func(t *testing.T, variant string) {
		g, err := NewSequence[float64](SequenceConfig{B: B, T: 1, I: I, H: H, O: O, Variant: variant, Inference: true})
		must(t, err)
		defer g.Close()
		y, next := make([]float64, B*O), make([]float64, B*H)
		in := SequenceInput[float64]{X: tensor[float64](t, k, "x"), H0: tensor[float64](t, k, "h"), Noise: Noise[float64]{SD: 1, Values: tensor[float64](t, k, "noise_times_level")}}
		must(t, g.Forward(w, in, SequenceOutput[float64]{Y: y, States: next}))
		closeTo(t, "output", y, tensor[float64](t, k, "output"))
		closeTo(t, "h_next", next, tensor[float64](t, k, "h_next"))
	})
}

func TestGoldenPoisson(t *testing.T) {
	cases := golden(t)
	check := func(name string, o PoissonOptions[float64], scale float64) {
		k := find(t, cases, name)
		s := Shape{B: k.size(t, "lograte", 0), T: k.size(t, "lograte", 1), C: k.size(t, "lograte", 2), Threads: 2}
		if scale == 0 {
			scale = 1 / float64(s.B*s.T*s.C)
		}
		grad := make([]float64, s.B*s.T*s.C)
		loss, err := PoissonNLL(s, tensor[float64](t, k, "lograte"), tensor[float64](t, k, "counts"), o, scale, grad)
		must(t, err)
		closeTo(t, name+" loss", []float64{loss}, tensor[float64](t, k, "loss"))
		closeTo(t, name+" gradient", grad, tensor[float64](t, k, "grad_lograte"))
	}
	check("poisson_nll_log_full0_mean", PoissonOptions[float64]{}, 0)
	check("poisson_nll_log_full0_sum", PoissonOptions[float64]{}, 1)
	check("poisson_nll_log_full1_mean", PoissonOptions[float64]{Full: true}, 0)
	check("poisson_nll_log_full1_sum", PoissonOptions[float64]{Full: true}, 1)
	check("sae_loss", PoissonOptions[float64]{}, 0)
	// The last column of extra is the bin in which a trial's response ends; compat divides by the number of bins once more.
	for _, name := range []string{"sae_loss_multitask_default", "sae_loss_multitask_compat"} {
		k := find(t, cases, name)
		B, T, C := k.size(t, "lograte", 0), k.size(t, "lograte", 1), k.size(t, "lograte", 2)
		columns := k.size(t, "extra", 1)
		extra, mask, weights := tensor[float64](t, k, "extra"), make([]float64, B*T), make([]float64, B)
		for b := range B {
			valid := int(extra[(b+1)*columns-1])
			weights[b] = 1 / float64(valid)
			for i := range valid {
				mask[b*T+i] = 1
			}
		}
		scale := 1 / float64(B*C)
		if k.Params["behaviour"] == "compat" {
			scale /= float64(T)
		}
		check(name, PoissonOptions[float64]{BinMask: mask, TrialWeights: weights}, scale)
	}
}

func TestGoldenAdam(t *testing.T) {
	cases := golden(t)
	found := 0
	for _, k := range cases {
		if !strings.HasPrefix(k.Name, "opt_adam") {
			continue
		}
		found++
		if strings.HasSuffix(k.Name, "float64") {
			goldenAdam[float64](t, k)
		} else {
			goldenAdam[float32](t, k)
		}
	}
	if found == 0 {
		t.Error("no case opt_adam*")
	}
}

func goldenAdam[F Float](t *testing.T, k goldenCase) {
	a := Adam{LR: k.number(t, "lr", 1e-3), Beta1: 0.9, Beta2: 0.999, Eps: k.number(t, "eps", 1e-8), WeightDecay: k.number(t, "weight_decay", 0),
		Decoupled: strings.HasPrefix(k.Name, "opt_adamw/")}
	if betas, ok := k.Params["betas"].([]any); ok {
		a.Beta1, a.Beta2 = betas[0].(float64), betas[1].(float64)
	}
	p, grads, after := tensor[F](t, k, "p0"), tensor[F](t, k, "grads"), tensor[F](t, k, "after")
	n := len(p)
	m, v := make([]F, n), make([]F, n)
	for s := range len(grads) / n {
		must(t, AdamStep(a, s+1, p, grads[s*n:(s+1)*n], m, v))
		closeTo(t, k.Name, p, after[s*n:(s+1)*n])
	}
}

func TestGoldenClip(t *testing.T) {
	found := 0
	for _, k := range golden(t) {
		if !strings.HasPrefix(k.Name, "clip_") {
			continue
		}
		found++
		var grads [][]float64
		for _, name := range []string{"g0", "g1", "g2"} {
			grads = append(grads, slices.Clone(tensor[float64](t, k, name)))
		}
		norm := GlobalNorm(grads...)
		closeTo(t, k.Name+" norm", []float64{norm}, tensor[float64](t, k, "norm"))
		for i, name := range []string{"c0", "c1", "c2"} {
			Scale(grads[i], ClipFactor(norm, k.number(t, "max_norm", 0)))
			closeTo(t, k.Name+" "+name, grads[i], tensor[float64](t, k, name))
		}
	}
	if found == 0 {
		t.Error("no case clip_*")
	}
}
