package nn

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// The gradients of every parameter of every cell by differences, through the graph: its noise, its initial state and its readout in it, and a buffer out of it.
func TestCells(t *testing.T) {
	const rows, bins, units, out = 5, 6, 7, 3
	field := func(c kernel.SequenceConfig) kernel.SequenceConfig {
		c.Layers, c.Width, c.DT = 3, 6, 0.2
		return c
	}
	for name, c := range map[string]struct {
		cell            Cell[float64]
		tolerance, step float64
	}{
		"gru":               {cell: GRU[float64](units)},
		"rnn":               {cell: RNN[float64](units)},
		"relu":              {cell: ReLU[float64](units), tolerance: 1e-6, step: 1e-6},
		"lstm":              {cell: LSTM[float64](units)},
		"linear":            {cell: Linear[float64](units)},
		"leaky":             {cell: Leaky[float64](units, 0.3, false)},
		"leaky, compat":     {cell: Leaky[float64](units, 0.3, true)},
		"low rank":          {cell: LowRank[float64](units, 2, 0.3, 0)},
		"low rank and full": {cell: LowRank[float64](units, 2, 0.3, 0.8)},
		"node, euler":       {cell: NODE[float64](units, field(kernel.SequenceConfig{Substeps: 2})), tolerance: 1e-6, step: 1e-6},
		"node, rk4":         {cell: NODE[float64](units, field(kernel.SequenceConfig{RK4: true, TanhNet: true}))},
		"node, dopri5":      {cell: NODE[float64](units, field(kernel.SequenceConfig{Dopri5: true, RTol: 1e-11, ATol: 1e-11, TanhNet: true})), tolerance: 1e-6},
		"node, adjoint":     {cell: NODE[float64](units, field(kernel.SequenceConfig{Dopri5: true, RTol: 1e-11, ATol: 1e-11, TanhNet: true, Adjoint: true})), tolerance: 1e-6},
	} {
		for _, in := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s, %d inputs", name, in), func(t *testing.T) {
				size := c.cell.StateSize()
				p := NewParams[float64](5)
				p.Normal("initial", 0.3, size)
				before := p.Count()
				c.cell.Declare(p, "cell", in)
				declared := p.Count() - before
				for _, b := range p.buffers {
					declared += len(b.Value)
				}
				if n := c.cell.Weights(in); n != int64(declared) {
					t.Errorf("%d weights, %d are declared", n, declared)
				}
				p.Linear("readout", units, out)
				g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
				target, last := g.Data("target", bins, out), g.Data("last", size)
				fill("target", g.Array(target))
				fill("last", g.Array(last))
				var x *Node
				if in > 0 {
					x = g.Data("x", bins, in)
					fill("x", g.Array(x))
				}
				s := c.cell.Unroll(g, "cell", x, bins, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{SD: 0.1, Purpose: "noise"}, InitialNoise: Noise{SD: 0.1, Purpose: "first"}})
				if err := g.Minimise(g.SquaredError(s.Outputs(), target, nil, Scale{Factor: 1}), g.LatentL2(s.States(), nil, 0.1), g.SquaredError(s.Final(), last, nil, Scale{Factor: 0.2})); err != nil {
					t.Fatal(err)
				}
				run := func() float64 {
					v, err := g.Run(Pass{Seed: 2})
					if err != nil {
						t.Fatal(err)
					}
					return v
				}
				tolerance, step := 1e-8, 1e-5
				if c.tolerance > 0 {
					tolerance = c.tolerance
				}
				if c.step > 0 {
					step = c.step
				}
				againstDifferencesWithin(t, step, p, g, run, tolerance)
				if err := g.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	if read := ReadOf(LowRank[float64](units, 2, 0.3, 0)); read == nil || read(0.7) != math.Tanh(0.7) {
		t.Error("the low-rank cell is not read out of the tanh")
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
		}, "nn: gru: 1 maps are given, gru needs 0"},
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

// TestRecompute: every cell gives the same bits whether what gradients need is kept or computed once more, cut or not, and needs less memory.
func TestRecompute(t *testing.T) {
	const rows, bins = 5, 27
	for name, cell := range loopCells() {
		_, steps := cell.(stepped[float64])
		run := func(truncate, recompute int) ([]float64, error) {
			p := loopParams(cell, 4)
			g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
			defer g.Close()
			x := g.Data("x", bins, 3)
			fill("x", g.Array(x))
			s := cell.Unroll(g, "cell", x, bins, Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{0.1, "state"}, Truncate: truncate, Recompute: recompute})
			if err := g.Minimise(g.SquaredError(s.Outputs(), g.Zeros(bins, 2), nil, Scale{Factor: 1}), g.LatentL2(s.States(), nil, 0.3)); err != nil {
				return nil, err
			}
			if _, err := g.Run(Pass{Seed: 2}); err != nil {
				return nil, err
			}
			grad := make([]float64, len(p.Flat()))
			return grad, g.Gradient(grad)
		}
		for _, truncate := range []int{0, 6} {
			want, err := run(truncate, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, recompute := range []int{5, 8, 100} {
				got, err := run(truncate, recompute)
				if steps {
					if err == nil || !strings.Contains(err.Error(), "recompute") {
						t.Errorf("%s: a cell in steps computes once more: %v", name, err)
					}
					continue
				}
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s, truncate %d, recompute %d: the gradient differs, %v", name, truncate, recompute, err)
				}
			}
		}
		if all, some := cell.Bytes(rows, bins, 3, 2, 0, true), cell.Bytes(rows, bins, 3, 2, 4, true); some > all || some == all && !steps && name != "dopri5" {
			t.Errorf("%s: %d bytes with recomputing, %d without", name, some, all)
		}
	}
	g := NewGraph(loopParams(GRU[float64](4), 1), Config[float64]{Rows: rows, Training: true})
	if GRU[float64](4).Unroll(g, "cell", g.Data("x", bins, 3), bins, Unroll{Recompute: -1}) != nil || g.Compile() == nil {
		t.Error("a negative number of bins is taken")
	}
}
