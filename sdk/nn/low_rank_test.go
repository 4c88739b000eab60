package nn

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func TestBuffers(t *testing.T) {
	p := NewParams[float64](3)
	p.Zeros("a", 2)
	p.NormalBuffer("chi", 0.5, 100, 100)
	p.Zeros("b", 3)
	if len(p.All()) != 2 || p.Count() != 5 || len(p.Flat()) != 2*align {
		t.Errorf("the buffer is among the parameters: %d of %d, flat %d", len(p.All()), p.Count(), len(p.Flat()))
	}
	mean, square := 0.0, 0.0
	for _, v := range p.Get("chi") {
		mean, square = mean+v/1e4, square+v*v/1e4
	}
	if math.Abs(mean) > 5*.5/100 || math.Abs(square-.25) > .02 {
		t.Errorf("mean %v, mean square %v", mean, square)
	}
	w := p.Save()
	if names := w.Names(); !slices.Equal(names, []string{"a", "b", "chi"}) {
		t.Errorf("saved are %v", names)
	}
	if len(p.SaveFlat(p.Flat())) != 2 || p.LoadFlat(p.Flat(), p.SaveFlat(p.Flat())) != nil {
		t.Error("a checkpoint's weights are not those without buffers")
	}
	c := p.Clone()
	w.Get("chi").F64[7] = 42
	if err := p.Load(w); err != nil {
		t.Fatal(err)
	}
	if p.Get("chi")[7] != 42 || c.Get("chi")[7] == 42 || p.Float64()["chi"][7] != 42 {
		t.Error("loading did not change the buffer, or changed a clone's")
	}
	var e *MismatchError
	if err := p.Load(tensor.Set{tensor.New64("a", 2), tensor.New64("b", 3), tensor.New64("chi", 3)}); !errors.As(err, &e) || len(e.Shapes) != 1 {
		t.Errorf("a buffer of another shape: %v", err)
	}
	if err := p.Load(tensor.Set{tensor.New64("a", 2), tensor.New64("b", 3)}); !errors.As(err, &e) || len(e.Missing) != 1 {
		t.Errorf("a buffer is missing: %v", err)
	}
	p.NormalBuffer("a", 1, 2)
	if p.Err() == nil {
		t.Error("a buffer took a parameter's name")
	}
	p = NewParams[float64](3)
	p.NormalBuffer("chi", 1, 0)
	if p.Err() == nil {
		t.Error("an empty buffer was added")
	}
}

// The gradients of every parameter of the low-rank cell by differences, through the graph; its buffer stays out.
func TestLowRank(t *testing.T) {
	for _, random := range []float64{0, 0.8} {
		const rows, bins, in, units, out = 5, 6, 2, 7, 3
		cell := LowRank[float64](units, 2, 0.3, random)
		p := NewParams[float64](5)
		p.Normal("initial", 0.3, units)
		cell.Declare(p, "cell", in)
		p.Linear("readout", units, out)
		if n := cell.Weights(in); n != int64(2*units*2+units*(in+1)+map[bool]int{true: units * units}[random > 0]) {
			t.Errorf("%d weights", n)
		}
		g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
		x, target := g.Data("x", bins, in), g.Data("target", bins, out)
		fill("x", g.Array(x))
		fill("target", g.Array(target))
		s := cell.Unroll(g, "cell", x, 0, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{SD: 0.1, Purpose: "noise"}})
		if err := g.Minimise(g.SquaredError(s.Outputs(), target, nil, Scale{Factor: 1}), g.LatentL2(s.States(), nil, 0.1)); err != nil {
			t.Fatal(err)
		}
		run := func() float64 {
			v, err := g.Run(Pass{Seed: 2})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		againstDifferences(t, p, g, run, 1e-8)
		if read := ReadOf(cell); read == nil || read(0.7) != math.Tanh(0.7) {
			t.Error("it is not read out of the tanh")
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ReadOf(GRU[float64](3)) != nil {
		t.Error("a GRU is read out of its state")
	}
}

// Weights that do not make a cell are told when the graph is built, by name and shape.
func TestCellsThatDoNotFit(t *testing.T) {
	low := kernel.SequenceConfig{Cell: kernel.CellLowRank, H: 4, Rank: 2, Gamma: 1}
	for name, c := range map[string]struct {
		cell kernel.SequenceConfig
		w    func(g *Graph[float32]) CellWeights
		want string
	}{
		"maps of a GRU": {kernel.SequenceConfig{}, func(g *Graph[float32]) CellWeights {
			return CellWeights{WeightHH: g.Variable("h", 12, 4), WeightIH: g.Variable("i", 12, 3), Maps: make([]LinearWeights, 1)}
		}, "nn: sequence: 1 maps are given, sequence needs 0"},
		"one map": {low, func(g *Graph[float32]) CellWeights {
			return CellWeights{WeightIH: g.Variable("i", 4, 3), Maps: []LinearWeights{{Weight: g.Variable("n", 2, 4)}}}
		}, "nn: low-rank: 1 maps are given, low-rank needs 2"},
		"transposed": {low, func(g *Graph[float32]) CellWeights {
			return CellWeights{WeightIH: g.Variable("i", 4, 3), Maps: []LinearWeights{{Weight: g.Variable("n", 4, 2)}, {Weight: g.Variable("m", 4, 2)}}}
		}, "nn: low-rank: weight of map 0 has shape [4 2], want [2 4] (-1: any)"},
		"no inputs' weights": {low, func(g *Graph[float32]) CellWeights {
			return CellWeights{Maps: []LinearWeights{{Weight: g.Variable("n", 2, 4)}, {Weight: g.Variable("m", 4, 2)}}}
		}, "nn: low-rank: weight_ih and inputs go together: there are 3 inputs"},
		"a full part": {low, func(g *Graph[float32]) CellWeights {
			return CellWeights{WeightIH: g.Variable("i", 4, 3), WeightHH: g.Variable("h", 4, 4), Maps: []LinearWeights{{Weight: g.Variable("n", 2, 4)}, {Weight: g.Variable("m", 4, 2)}}}
		}, "nn: low-rank: weight_hh is given to a cell that is not Full"},
		"no recurrent weight": {kernel.SequenceConfig{Cell: kernel.CellLSTM}, func(g *Graph[float32]) CellWeights { return CellWeights{WeightIH: g.Variable("i", 16, 3)} },
			"nn: lstm: weight_hh is missing"},
	} {
		g := NewGraph[float32](nil, Config[float32]{Rows: 2})
		g.Sequence(c.cell, g.Data("x", 7, 3), 0, c.w(g), SequenceOptions{}).States()
		if err := g.Compile(); err == nil || err.Error() != c.want {
			t.Errorf("%s: error is %v, want %s", name, err, c.want)
		}
	}
}
