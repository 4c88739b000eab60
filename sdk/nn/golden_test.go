package nn

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// goldenTensor and goldenCase are the format of the golden files, see testdata/nn.json's about block for where the numbers are from.
type goldenTensor struct {
	Shape []int     `json:"shape"`
	DType string    `json:"dtype"`
	Data  []float64 `json:"data"`
}

type goldenCase struct {
	Name    string                  `json:"name"`
	Params  map[string]any          `json:"params"`
	Tensors map[string]goldenTensor `json:"tensors"`
}

// golden reads the cases of a file from $CTDB_GOLDEN, or else from testdata.
func golden(t *testing.T, name string) []goldenCase {
	t.Helper()
	dir := os.Getenv("CTDB_GOLDEN")
	if dir == "" {
		dir = "testdata"
	}
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Cases []goldenCase }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Cases) == 0 {
		t.Fatalf("%s has no cases", name)
	}
	return f.Cases
}

func values[F kernel.Float](x []float64) []F {
	out := make([]F, len(x))
	for i, v := range x {
		out[i] = F(v)
	}
	return out
}

// closeTo compares relative to the tensor's largest magnitude, and at least to 1e-3 of the values' usual size 1.
func closeTo[F kernel.Float](t *testing.T, what string, got []F, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d elements, want %d", what, len(got), len(want))
		return
	}
	scale := 0.0
	for _, w := range want {
		scale = math.Max(scale, math.Abs(w))
	}
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= tolerance*math.Max(scale, 1e-3)) {
			t.Errorf("%s[%d] is %v, want %v", what, i, got[i], w)
			return
		}
	}
}

// variable adds a node with a golden tensor's values.
func variable[F kernel.Float](g *Graph[F], name string, x goldenTensor, shape ...int) *Node {
	if shape == nil {
		shape = x.Shape
	}
	n := g.Variable(name, shape...)
	copy(g.Array(n), values[F](x.Data))
	return n
}

// check runs the graph and compares nodes with golden tensors.
func check[F kernel.Float](t *testing.T, g *Graph[F], tolerance float64, nodes map[string]*Node, want map[string]goldenTensor) {
	t.Helper()
	for range 2 { // the second run shows that nothing is left over from the first
		if _, err := g.Run(Pass{}); err != nil {
			t.Fatal(err)
		}
		for name, n := range nodes {
			closeTo(t, name, g.Array(n), want[name].Data, tolerance)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
}

func gruWeights[F kernel.Float](g *Graph[F], c goldenCase, prefix, suffix string) (CellWeights, map[string]*Node) {
	nodes := map[string]*Node{}
	get := func(name string) *Node {
		n := variable(g, name, c.Tensors["w."+name])
		nodes["grad_w."+name] = n
		return n
	}
	return CellWeights{WeightIH: get(prefix + "weight_ih" + suffix), WeightHH: get(prefix + "weight_hh" + suffix), BiasIH: get(prefix + "bias_ih" + suffix), BiasHH: get(prefix + "bias_hh" + suffix)}, nodes
}

// backprop adds gradients and returns them by the names of wrt.
func backprop[F kernel.Float](t *testing.T, g *Graph[F], outputs, cotangents gorgonia.Nodes, wrt map[string]*Node) map[string]*Node {
	t.Helper()
	var names []string
	var nodes gorgonia.Nodes
	for name, n := range wrt {
		names, nodes = append(names, name), append(nodes, n)
	}
	grads, err := g.Backpropagate(outputs, cotangents, nodes)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*Node{}
	for i, name := range names {
		out[name] = grads[i]
	}
	return out
}

func TestGoldenGRU(t *testing.T) {
	seen := 0
	for _, c := range golden(t, "nn.json") {
		if c.Params["kind"] != "gru" {
			continue
		}
		seen++
		t.Run(c.Name, func(t *testing.T) {
			if c.Params["dtype"] == "float32" {
				goldenGRU[float32](t, c, 1e-5)
				return
			}
			goldenGRU[float64](t, c, 1e-10)
			goldenGRU[float32](t, c, 1e-5)
		})
	}
	if seen < 4 {
		t.Errorf("%d cases, want 4", seen)
	}
}

func goldenGRU[F kernel.Float](t *testing.T, c goldenCase, tolerance float64) {
	b, h := c.Tensors["x"].Shape[0], c.Tensors["hn"].Shape[2]
	g := NewGraph[F](nil, Config[F]{Rows: b, Training: true})
	x := variable(g, "x", c.Tensors["x"])
	h0 := c.Tensors["h0"]
	w, wrt := gruWeights(g, c, "", "_l0")
	o := SequenceOptions{Initial: variable(g, "h0", goldenTensor{Data: h0.Data[:b*h]}, b, h)}
	wrt["grad_x"], wrt["h0"] = x, o.Initial
	var s *Sequence
	both := c.Params["bidirectional"] == true
	// hn and grad_h0 are (directions, B, H); ours stand side by side, (B, directions*H), or apart.
	hn, cotHn, gradH0 := c.Tensors["hn"], c.Tensors["cot_hn"], c.Tensors["grad_h0"]
	if both {
		back, more := gruWeights(g, c, "", "_l0_reverse")
		for k, v := range more {
			wrt[k] = v
		}
		o.InitialReverse = variable(g, "h0r", goldenTensor{Data: h0.Data[b*h:]}, b, h)
		wrt["h0r"] = o.InitialReverse
		s = g.Bidirectional(kernel.SequenceConfig{}, x, w, back, o)
		hn, cotHn = sideBySide(hn), sideBySide(cotHn)
	} else {
		hn.Shape, cotHn.Shape = hn.Shape[1:], cotHn.Shape[1:]
		s = g.Sequence(kernel.SequenceConfig{}, x, 0, w, o)
	}
	y, final := s.States(), s.Final()
	nodes := backprop(t, g, gorgonia.Nodes{y, final}, gorgonia.Nodes{variable(g, "cot_y", c.Tensors["cot_y"]), variable(g, "cot_hn", cotHn)}, wrt)
	nodes["y"], nodes["hn"] = y, final
	want := maps.Clone(c.Tensors)
	want["hn"] = hn
	want["h0"] = goldenTensor{Data: gradH0.Data[:b*h]}
	want["h0r"] = goldenTensor{Data: gradH0.Data[len(gradH0.Data)-b*h:]}
	check(t, g, tolerance, nodes, want)
}

// one is the cotangent of a scalar.
func one[F kernel.Float](g *Graph[F]) *Node {
	return gorgonia.NewScalar(g.Expr(), dtype[F](), gorgonia.WithName("one"), gorgonia.WithValue(newScalar[F](1).set(1)))
}

func sideBySide(x goldenTensor) goldenTensor {
	d, b, h := x.Shape[0], x.Shape[1], x.Shape[2]
	out := goldenTensor{Shape: []int{b, d * h}, Data: make([]float64, d*b*h)}
	for i := range d {
		for j := range b {
			copy(out.Data[j*d*h+i*h:], x.Data[(i*b+j)*h:][:h])
		}
	}
	return out
}

// TestGoldenCells takes single steps, sequences of one bin, and the layers beside them.
func TestGoldenCells(t *testing.T) {
	seen := 0
	for _, c := range golden(t, "nn.json") {
		prefix, readout := "", false
		switch {
		case c.Name == "gru_cell/float64":
		case c.Name == "model_gru/float64", c.Name == "model_noisy_gru_noise_off/float64":
			prefix, readout = "cell.", true
		default:
			continue
		}
		seen++
		t.Run(c.Name, func(t *testing.T) {
			x, h := c.Tensors["x"], c.Tensors["h"]
			b := x.Shape[0]
			g := NewGraph[float64](nil, Config[float64]{Rows: b, Training: true})
			xn := variable(g, "x", x, b, 1, x.Shape[1])
			hn := variable(g, "h", h)
			w, wrt := gruWeights(g, c, prefix, "")
			wrt["grad_x"], wrt["grad_h"] = xn, hn
			if readout {
				w.ReadoutWeight = variable(g, "readout.weight", c.Tensors["w.readout.weight"])
				w.ReadoutBias = variable(g, "readout.bias", c.Tensors["w.readout.bias"])
				wrt["grad_w.readout.weight"], wrt["grad_w.readout.bias"] = w.ReadoutWeight, w.ReadoutBias
			}
			s := g.Sequence(kernel.SequenceConfig{}, xn, 0, w, SequenceOptions{Initial: hn})
			outputs := gorgonia.Nodes{s.Final()}
			cots := gorgonia.Nodes{variable(g, "cot_h_next", c.Tensors["cot_h_next"])}
			if readout {
				o := c.Tensors["output"].Shape[1]
				outputs, cots = append(outputs, s.Outputs()), append(cots, variable(g, "cot_output", c.Tensors["cot_output"], b, 1, o))
			}
			nodes := backprop(t, g, outputs, cots, wrt)
			nodes["h_next"] = outputs[0]
			if readout {
				nodes["output"] = outputs[1]
			}
			check(t, g, 1e-10, nodes, c.Tensors)
		})
	}
	if seen == 0 {
		t.Error("no cases")
	}
}

func TestGoldenLinear(t *testing.T) {
	seen := 0
	for _, c := range golden(t, "nn.json") {
		if c.Name != "linear/float64" {
			continue
		}
		seen++
		x := c.Tensors["x"]
		for _, shape := range [][]int{x.Shape, {1, x.Shape[0], x.Shape[1]}} {
			g := NewGraph[float64](nil, Config[float64]{Rows: shape[0], Training: true})
			xn := variable(g, "x", x, shape...)
			w, b := variable(g, "w", c.Tensors["w.weight"]), variable(g, "b", c.Tensors["w.bias"])
			y := g.Linear(xn, w, b)
			cot := variable(g, "cot", c.Tensors["cot_h_next"], shapeOf(y)...)
			nodes := backprop(t, g, gorgonia.Nodes{y}, gorgonia.Nodes{cot}, map[string]*Node{"grad_x": xn, "grad_w.weight": w, "grad_w.bias": b})
			nodes["h_next"] = y
			check(t, g, 1e-10, nodes, c.Tensors)
		}
	}
	if seen == 0 {
		t.Error("no cases")
	}
}

// TestGoldenLatentL2 is a sequence with two heads: outputs with a cotangent and latents with the norm's gradient.
func TestGoldenLatentL2(t *testing.T) {
	seen := 0
	for _, c := range golden(t, "nn.json") {
		if !strings.HasPrefix(c.Name, "noisy_gru_seq_l2") {
			continue
		}
		seen++
		x := c.Tensors["x"]
		g := NewGraph[float64](nil, Config[float64]{Rows: x.Shape[0], Training: true})
		xn := variable(g, "x", x)
		w, wrt := gruWeights(g, c, "cell.", "")
		w.ReadoutWeight, w.ReadoutBias = variable(g, "rw", c.Tensors["w.readout.weight"]), variable(g, "rb", c.Tensors["w.readout.bias"])
		h0 := variable(g, "latent_ics", c.Tensors["w.latent_ics"])
		wrt["grad_w.readout.weight"], wrt["grad_w.readout.bias"], wrt["grad_w.latent_ics"], wrt["grad_x"] = w.ReadoutWeight, w.ReadoutBias, h0, xn
		s := g.Sequence(kernel.SequenceConfig{}, xn, 0, w, SequenceOptions{Initial: h0})
		l := g.LatentL2(s.States(), nil, c.Params["l2_wt"].(float64))
		nodes := backprop(t, g, gorgonia.Nodes{s.Outputs(), l.Node()}, gorgonia.Nodes{variable(g, "cot", c.Tensors["cot"]), one(g)}, wrt)
		nodes["outputs"], nodes["latents"] = s.Outputs(), s.States()
		check(t, g, 1e-10, nodes, c.Tensors)
		closeTo(t, "latent_l2", []float64{l.Value()}, c.Tensors["latent_l2"].Data, 1e-10)
	}
	if seen == 0 {
		t.Error("no cases")
	}
}

func TestGoldenPoisson(t *testing.T) {
	seen := 0
	for _, c := range golden(t, "nn.json") {
		full, logs := c.Params["full"] == true, c.Params["log_input"] == true
		if !strings.HasPrefix(c.Name, "sae_loss") && !logs {
			continue
		}
		seen++
		x := c.Tensors["lograte"]
		b, bins := x.Shape[0], x.Shape[1]
		g := NewGraph[float64](nil, Config[float64]{Rows: b, Training: true})
		scale := Scale{Factor: 1}
		if c.Params["reduction"] == "sum" {
			scale.Reduction = Sum
		}
		o := PoissonOptions{Full: full}
		if extra, ok := c.Tensors["extra"]; ok {
			// The columns of extra that bound a trial: its length is the response's end.
			mask, weights := g.Data("mask", bins), g.Variable("weights", b)
			for i := range b {
				n := int(extra.Data[i*extra.Shape[1]+extra.Shape[1]-1])
				for k := range n {
					g.Array(mask)[i*bins+k] = 1
				}
				g.Array(weights)[i] = 1 / float64(n)
				if c.Params["behaviour"] == "default" {
					g.Array(weights)[i] *= float64(bins)
				}
			}
			o.BinMask, o.TrialWeights = mask, weights
		}
		r := variable(g, "r", x)
		l := g.PoissonNLL(r, variable(g, "k", c.Tensors["counts"]), o, scale)
		nodes := backprop(t, g, gorgonia.Nodes{l.Node()}, gorgonia.Nodes{one(g)}, map[string]*Node{"grad_lograte": r})
		check(t, g, 1e-10, nodes, c.Tensors)
		closeTo(t, c.Name, []float64{l.Value()}, c.Tensors["loss"].Data, 1e-10)
	}
	if seen < 7 {
		t.Errorf("%d cases, want 7", seen)
	}
}
