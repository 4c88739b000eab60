package kernel

import (
	"fmt"
	"strings"
	"testing"
)

// interleave joins rows of two arrays: the states (h, c) of an LSTM.
func interleave[F Float](h, c []F, width int) []F {
	var out []F
	for i := 0; i < len(h); i += width {
		out = append(append(out, h[i:i+width]...), c[i:i+width]...)
	}
	return out
}

func TestGoldenSequences(t *testing.T) {
	cases := golden(t)
	eachVariant(t, func(t *testing.T, variant string) {
		for name, cell := range map[string]Cell{"rnn_tanh": CellTanh, "lstm": CellLSTM, "gru": CellGRU} {
			t.Run(name+"/float64", func(t *testing.T) { goldenSequence[float64](t, find(t, cases, name+"/float64"), cell, variant) })
			t.Run(name+"/float32", func(t *testing.T) { goldenSequence[float32](t, find(t, cases, name+"/float32"), cell, variant) })
		}
	})
}

func goldenSequence[F Float](t *testing.T, k goldenCase, cell Cell, variant string) {
	c := SequenceConfig{Cell: cell, B: k.size(t, "x", 0), T: k.size(t, "x", 1), I: k.size(t, "x", 2), H: k.size(t, "h0", 2), Variant: variant, Threads: 2}
	state := func(h, second string) []F {
		if cell != CellLSTM {
			return tensor[F](t, k, h)
		}
		return interleave(tensor[F](t, k, h), tensor[F](t, k, second), c.H)
	}
	g, err := NewSequence[F](c)
	must(t, err)
	defer g.Close()
	y, final := make([]F, c.B*c.T*c.H), make([]F, c.B*c.StateSize())
	must(t, g.Forward(goldenWeights[F](t, k, "w.", "", "_l0"), SequenceInput[F]{X: tensor[F](t, k, "x"), H0: state("h0", "c0")}, SequenceOutput[F]{States: y, Final: final}))
	want := goldenWeights[F](t, k, "grad_w.", "", "_l0")
	grad := SequenceGradient[F]{Weights: likeWeights(want), X: make([]F, c.B*c.T*c.I), H0: make([]F, c.B*c.StateSize())}
	must(t, g.Backward(SequenceCotangent[F]{States: tensor[F](t, k, "cot_y"), Final: state("cot_hn", "cot_cn")}, grad))
	closeTo(t, "y", y, tensor[F](t, k, "y"))
	closeTo(t, "final", final, state("hn", "cn"))
	closeTo(t, "grad x", grad.X, tensor[F](t, k, "grad_x"))
	closeTo(t, "grad h0", grad.H0, state("grad_h0", "grad_c0"))
	compareWeights(grad.Weights, want, func(name string, got, want []F) { closeTo(t, name, got, want) })
}

// One step of every cell of the task-trained models, with its readout.
func TestGoldenSteps(t *testing.T) {
	cases := golden(t)
	cells := map[string]struct {
		cell    Cell
		weights func(t *testing.T, k goldenCase, prefix string) SequenceWeights[float64]
		readout bool
	}{
		"rnn_cell/float64":          {CellTanh, torchCell(""), false},
		"model_gru/float64":         {CellGRU, torchCell("cell."), true},
		"model_vanilla_rnn/float64": {CellTanh, torchCell("cell."), true},
		"leaky_rnn_compat/float64":  {CellLeakyCompat, leakyWeights, true},
		"leaky_rnn_default/float64": {CellLeaky, leakyWeights, true},
		"node_3layers/float64":      {CellNODE, nodeWeights, true},
		"node_4layers/float64":      {CellNODE, nodeWeights, true},
		"lds_cell/float64":          {CellLinear, linearWeights, false},
	}
	eachVariant(t, func(t *testing.T, variant string) {
		for name, e := range cells {
			t.Run(name, func(t *testing.T) {
				k := find(t, cases, name)
				c := SequenceConfig{Cell: e.cell, B: k.size(t, "x", 0), T: 1, I: k.size(t, "x", 1), H: k.size(t, "h", 1), Variant: variant, Gamma: k.number(t, "gamma", 0)}
				w, want := e.weights(t, k, "w."), e.weights(t, k, "grad_w.")
				if e.cell == CellNODE {
					c.DT, c.Layers, c.Width = 0.1, len(w.Maps), int(k.number(t, "layer_hidden", 0))
				}
				cot := SequenceCotangent[float64]{States: tensor[float64](t, k, "cot_h_next")}
				if e.readout {
					c.O = k.size(t, "output", 1)
					cot.Y = tensor[float64](t, k, "cot_output")
					w.Wout, w.Bout = tensor[float64](t, k, "w.readout.weight"), tensor[float64](t, k, "w.readout.bias")
					want.Wout, want.Bout = tensor[float64](t, k, "grad_w.readout.weight"), tensor[float64](t, k, "grad_w.readout.bias")
				}
				g, err := NewSequence[float64](c)
				must(t, err)
				defer g.Close()
				y, next := make([]float64, c.B*c.O), make([]float64, c.B*c.H)
				must(t, g.Forward(w, SequenceInput[float64]{X: tensor[float64](t, k, "x"), H0: tensor[float64](t, k, "h")}, SequenceOutput[float64]{Y: y, States: next}))
				grad := SequenceGradient[float64]{Weights: likeWeights(want), X: make([]float64, c.B*c.I), H0: make([]float64, c.B*c.H)}
				must(t, g.Backward(cot, grad))
				closeTo(t, "h_next", next, tensor[float64](t, k, "h_next"))
				if e.readout {
					closeTo(t, "output", y, tensor[float64](t, k, "output"))
				}
				closeTo(t, "grad x", grad.X, tensor[float64](t, k, "grad_x"))
				closeTo(t, "grad h", grad.H0, tensor[float64](t, k, "grad_h"))
				compareWeights(grad.Weights, want, func(name string, got, want []float64) { closeTo(t, name, got, want) })

				m, err := NewStepMap(c, w)
				must(t, err)
				must(t, m.Step(tensor[float64](t, k, "x"), tensor[float64](t, k, "h"), next))
				closeTo(t, "h_next of the map", next, tensor[float64](t, k, "h_next"))
			})
		}
	})
}

func torchCell(prefix string) func(*testing.T, goldenCase, string) SequenceWeights[float64] {
	return func(t *testing.T, k goldenCase, w string) SequenceWeights[float64] {
		return goldenWeights[float64](t, k, w, prefix, "")
	}
}

func leakyWeights(t *testing.T, k goldenCase, w string) SequenceWeights[float64] {
	return SequenceWeights[float64]{Wih: tensor[float64](t, k, w+"inpW.weight"), Whh: tensor[float64](t, k, w+"recW.weight"), Bih: tensor[float64](t, k, w+"bias")}
}

func linearWeights(t *testing.T, k goldenCase, w string) SequenceWeights[float64] {
	return SequenceWeights[float64]{Wih: tensor[float64](t, k, w+"linear_ih.weight"), Bih: tensor[float64](t, k, w+"linear_ih.bias"),
		Whh: tensor[float64](t, k, w+"linear_hh.weight"), Bhh: tensor[float64](t, k, w+"linear_hh.bias")}
}

func nodeWeights(t *testing.T, k goldenCase, w string) SequenceWeights[float64] {
	var out SequenceWeights[float64]
	for l := 0; ; l++ {
		name := fmt.Sprintf("%sgenerator.vf_net.%d.", w, 2*l)
		if _, ok := k.Tensors[name+"weight"]; !ok {
			break
		}
		out.Maps = append(out.Maps, LinearWeights[float64]{tensor[float64](t, k, name+"weight"), tensor[float64](t, k, name+"bias")})
	}
	if len(out.Maps) == 0 || !strings.HasPrefix(k.Name, "node") {
		t.Fatalf("%s has no maps", k.Name)
	}
	return out
}
