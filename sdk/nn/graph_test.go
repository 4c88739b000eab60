package nn

import (
	"math"
	"slices"
	"sync"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
)

func fill[F kernel.Float](purpose string, dst []F) {
	r := random.New(11, purpose)
	for i := range dst {
		dst[i] = F(r.NormFloat64())
	}
}

// autoencoder is every operation of the package and some of Gorgonia's own in one graph: a bidirectional encoder, dropout, linear maps before and after, noise, a
// decoder, a product with a gate of Gorgonia's, three losses.
func autoencoder(t testing.TB, p *Params[float64], rows, batch int, memory *Memory[float64], training bool) (*Graph[float64], func(first int)) {
	t.Helper()
	const bins, in, out, enc, dec = 6, 3, 2, 4, 5
	if len(p.All()) == 0 {
		p.Cell(kernel.CellGRU, "encoder", "_l0", in, enc)
		p.Cell(kernel.CellGRU, "encoder", "_l0_reverse", in, enc)
		p.Linear("initial", 2*enc, dec)
		p.Cell(kernel.CellGRU, "cell", "", out, dec)
		p.Linear("into", in, out)
		p.Linear("readout", dec, out)
		p.Uniform("gate", 1, rows, bins, out)
	}
	g := NewGraph(p, Config[float64]{Rows: rows, Training: training, Memory: memory, Threads: 1 + rows%2})
	x, target, counts := g.Data("x", bins, in), g.Data("target", bins, out), g.Data("counts", bins, out)
	e := g.Bidirectional(kernel.SequenceConfig{}, x, g.CellWeights("encoder", "_l0", ""), g.CellWeights("encoder", "_l0_reverse", ""), SequenceOptions{})
	h0 := g.AddNoise(g.LinearOf("initial", g.Dropout(e.Final(), 0.2, "drop")), Noise{0.1, "initial"})
	s := g.Sequence(kernel.SequenceConfig{}, g.LinearOf("into", x), 0, g.CellWeights("cell", "", "readout"), SequenceOptions{Initial: h0, Noise: Noise{0.1, "state"}, InitialNoise: Noise{0.1, "more"}})
	y := s.Outputs()
	if p.Get("gate") != nil && len(p.Get("gate")) == rows*bins*out {
		// The gradient of y then passes through Gorgonia's own operation, and y has two readers.
		gated, err := gorgonia.HadamardProd(y, gorgonia.Must(gorgonia.Tanh(g.Param("gate"))))
		if err != nil {
			t.Fatal(err)
		}
		if y, err = gorgonia.Add(gated, y); err != nil {
			t.Fatal(err)
		}
	}
	losses := []*Loss{g.SquaredError(y, target, nil, Scale{Factor: 1}), g.PoissonNLL(s.Outputs(), counts, PoissonOptions{}, Scale{Factor: 0.5, Reduction: SumTime}), g.LatentL2(s.States(), nil, 0.1)}
	if training {
		if err := g.Minimise(losses...); err != nil {
			t.Fatal(err)
		}
	}
	return g, func(first int) {
		for name, n := range map[string]*Node{"x": x, "target": target, "counts": counts} {
			all := make([]float64, 64*bins*in)
			fill(name, all)
			a := g.Array(n)
			copy(a, all[first*len(a)/rows:])
			if n == counts {
				for i := range a {
					a[i] = math.Round(math.Abs(a[i]))
				}
			}
		}
	}
}

// againstDifferences compares the gradient of every parameter with central differences of the loss that run returns.
func againstDifferences(t *testing.T, p *Params[float64], g *Graph[float64], run func() float64, tolerance float64) {
	t.Helper()
	againstDifferencesWithin(t, 1e-5, p, g, run, tolerance)
}

// againstDifferencesWithin is the same for differences of that size: a small one for what has kinks.
func againstDifferencesWithin(t *testing.T, step float64, p *Params[float64], g *Graph[float64], run func() float64, tolerance float64) {
	t.Helper()
	run()
	grad := make([]float64, len(p.Flat()))
	if err := g.Gradient(grad); err != nil {
		t.Fatal(err)
	}
	for _, q := range p.All() {
		for i := range q.Value {
			at := q.Value[i]
			q.Value[i] = at + step
			up := run()
			q.Value[i] = at - step
			down := run()
			q.Value[i] = at
			if got, want := grad[q.Offset+i], (up-down)/(2*step); math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
				t.Errorf("gradient of %s[%d] is %v, by differences %v", q.Name, i, got, want)
			}
		}
	}
}

func TestGradientsAgainstDifferences(t *testing.T) {
	p := NewParams[float64](4)
	g, give := autoencoder(t, p, 3, 3, nil, true)
	run := func() float64 {
		t.Helper()
		give(0)
		v, err := g.Run(Pass{Seed: 5, Stream: []uint64{6}, Trials: []uint64{9, 2, 4}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	againstDifferences(t, p, g, run, 1e-7)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(Pass{}); err == nil {
		t.Error("a closed graph ran")
	}
}

// TestShardsOfABatch takes a batch through one graph, and through graphs of its shards that share memory, with validation in between.
func TestShardsOfABatch(t *testing.T) {
	const batch = 39
	numbers := make([]uint64, batch)
	for i := range numbers {
		numbers[i] = uint64(100 + i)
	}
	p := NewParams[float64](4)
	whole, give := autoencoder(t, p, batch, batch, nil, true)
	defer whole.Close()
	// Only the whole batch has Gorgonia's gate, so take it out.
	for i := range p.Get("gate") {
		p.Get("gate")[i] = 0
	}
	give(0)
	pass := Pass{Seed: 5, Stream: []uint64{6}, Batch: batch, Trials: numbers}
	want, err := whole.Run(pass)
	if err != nil {
		t.Fatal(err)
	}
	grad := make([]float64, len(p.Flat()))
	if err := whole.Gradient(grad); err != nil {
		t.Fatal(err)
	}
	var m Memory[float64]
	defer m.Close()
	sum, got := make([]float64, len(grad)), 0.0
	for _, first := range []int{0, 32} {
		rows := min(32, batch-first)
		shard := pass
		shard.Trials = numbers[first : first+rows]
		valid, giveValid := autoencoder(t, p, rows, batch, &m, false)
		g, give := autoencoder(t, p, rows, batch, &m, true)
		giveValid(first)
		if _, err := valid.Run(shard); err != nil {
			t.Fatal(err)
		}
		give(first)
		v, err := g.Run(shard)
		if err != nil {
			t.Fatal(err)
		}
		got += v
		part := make([]float64, len(grad))
		if err := g.Gradient(part); err != nil {
			t.Fatal(err)
		}
		for i, v := range part {
			sum[i] += v
		}
	}
	if math.Abs(got-want) > 1e-12*want {
		t.Errorf("loss of the shards is %v, of the batch %v", got, want)
	}
	for _, q := range p.All() {
		if q.Name != "gate" {
			closeTo(t, q.Name, sum[q.Offset:q.Offset+len(q.Value)], grad[q.Offset:q.Offset+len(q.Value)], 1e-12)
		}
	}
}

func TestGraphsInParallel(t *testing.T) {
	var wg sync.WaitGroup
	losses := make([]float64, 4)
	for k := range losses {
		wg.Go(func() {
			g, give := autoencoder(t, NewParams[float64](4), 5, 5, nil, true)
			defer g.Close()
			give(0)
			for range 3 {
				v, err := g.Run(Pass{Seed: 1})
				if err != nil {
					t.Error(err)
				}
				losses[k] = v
			}
		})
	}
	wg.Wait()
	if slices.Min(losses) != slices.Max(losses) {
		t.Errorf("losses differ: %v", losses)
	}
}

func TestMistakesAreReported(t *testing.T) {
	for name, build := range map[string]func(g *Graph[float32]) error{
		"parameter": func(g *Graph[float32]) error { g.Param("nothing"); return g.Compile() },
		"linear": func(g *Graph[float32]) error {
			g.Linear(g.Data("x", 7, 3), g.Variable("w", 2, 4), nil)
			return g.Compile()
		},
		"rows": func(g *Graph[float32]) error {
			g.Linear(g.Variable("x", 3, 4), g.Variable("w", 2, 4), nil)
			return g.Compile()
		},
		"gru": func(g *Graph[float32]) error {
			g.Sequence(kernel.SequenceConfig{}, g.Data("x", 7, 3), 0, CellWeights{WeightIH: g.Variable("wi", 12, 3), WeightHH: g.Variable("wh", 15, 5)}, SequenceOptions{}).States()
			return g.Compile()
		},
		"no readout": func(g *Graph[float32]) error {
			g.Sequence(kernel.SequenceConfig{}, nil, 7, CellWeights{WeightHH: g.Variable("wh", 15, 5)}, SequenceOptions{}).Outputs()
			return g.Compile()
		},
		"target": func(g *Graph[float32]) error {
			g.SquaredError(g.Data("y", 7, 3), g.Data("t", 7, 2), nil, Scale{})
			return g.Compile()
		},
		"dropout": func(g *Graph[float32]) error { g.Dropout(g.Data("x", 3), 1, ""); return g.Compile() },
		"shape":   func(g *Graph[float32]) error { g.Data("x", 0); return g.Compile() },
		"no loss": func(g *Graph[float32]) error { return g.Minimise() },
		"no parameter": func(g *Graph[float32]) error {
			return g.Minimise(g.SquaredError(g.Data("y", 7, 3), g.Data("t", 7, 3), nil, Scale{}))
		},
		"empty": func(g *Graph[float32]) error { return g.Compile() },
		"trials": func(g *Graph[float32]) error {
			g.Dropout(g.Data("x", 3), 0.5, "")
			_, err := g.Run(Pass{Trials: []uint64{1}})
			return err
		},
	} {
		g := NewGraph[float32](nil, Config[float32]{Rows: 2, Training: true})
		if err := build(g); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := NewGraph[float32](nil, Config[float32]{}).Compile(); err == nil {
		t.Error("a graph without rows was compiled")
	}
}
