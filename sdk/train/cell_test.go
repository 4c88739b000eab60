package train_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// clipped is a cell that the kernels do not have, in the whole that it takes: the clipped GRU of LFADS (Sedler & Pandarinath 2023), where r multiplies h before its product.
//
//	r, z = sigmoid(W x + b + U h), n = tanh(W_n x + b_n + U_n (r*h)), h' = clip(z*h + (1-z)*n)
type clipped[F kernel.Float] struct {
	units int
	bound float64
}

func newClipped[F kernel.Float](units int, bound float64) nn.Cell[F] {
	return nn.Stepped[F](clipped[F]{units, bound}, clipped[float64]{units, bound})
}

func (c clipped[F]) Units() int     { return c.units }
func (c clipped[F]) StateSize() int { return c.units }

func (c clipped[F]) Declare(p *nn.Params[F], prefix string, inputs int) {
	for _, gate := range []string{"r", "z", "n"} {
		p.Normal(prefix+".w_"+gate, 1/math.Sqrt(float64(inputs)), c.units, inputs)
		p.Normal(prefix+".u_"+gate, 1/math.Sqrt(float64(c.units)), c.units, c.units)
		p.Zeros(prefix+".b_"+gate, c.units)
	}
}

func (c clipped[F]) Step(g *nn.Graph[F], prefix string, x, h *nn.Node) *nn.Node {
	gate := func(f func(*nn.Node) *nn.Node, name string, h *nn.Node) *nn.Node {
		in := g.Linear(x, g.Param(prefix+".w_"+name), g.Param(prefix+".b_"+name))
		return f(g.Add(in, g.Linear(h, g.Param(prefix+".u_"+name), nil)))
	}
	r, z := gate(g.Sigmoid, "r", h), gate(g.Sigmoid, "z", h)
	n := gate(g.Tanh, "n", g.Mul(r, h))
	return g.Clip(g.Add(n, g.Mul(z, g.Sub(h, n))), -c.bound, c.bound)
}

// running is a network over any cell that adds up its input over the bins.
type running[F kernel.Float] struct {
	params *nn.Params[F]
	cell   nn.Cell[F]
}

const runningBins = 8

func newRunning[F kernel.Float](cell nn.Cell[F]) running[F] {
	p := nn.NewParams[F](2)
	p.Zeros("initial", cell.StateSize())
	cell.Declare(p, "cell", 1)
	p.Linear("readout", cell.Units(), 1)
	return running[F]{p, cell}
}

func (n running[F]) Params() *nn.Params[F] { return n.params }

func (n running[F]) Build(g *nn.Graph[F], _ *train.Data[F]) (train.Program[F], error) {
	x, sum := g.Data("x", runningBins, 1), g.Data("sum", runningBins, 1)
	s := n.cell.Unroll(g, "cell", x, runningBins, nn.Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: nn.Noise{SD: 0.01, Purpose: "noise"}})
	return train.Program[F]{Losses: []*nn.Loss{g.SquaredError(s.Outputs(), sum, nil, nn.Scale{Factor: 1})}, Fill: train.Gather(g, x, sum)}, nil
}

func (n running[F]) Columns() []train.Column {
	return []train.Column{{Name: "x", Shape: []int{-1, 1}}, {Name: "sum", Shape: []int{-1, 1}}}
}

func (n running[F]) BuildRollout(g *nn.Graph[F], _ *train.Data[F]) (train.RolloutProgram[F], error) {
	x := g.Data("x", runningBins, 1)
	s := n.cell.Unroll(g, "cell", x, runningBins, nn.Unroll{Initial: g.Param("initial")})
	return train.RolloutProgram[F]{Results: []train.Result{{Name: "latents", Node: s.States()}}, Fill: train.Gather(g, x)}, nil
}

func sums(trials int) tensor.Block {
	b := tensor.Block{}
	x, sum := tensor.New64("x", trials, runningBins, 1), tensor.New64("sum", trials, runningBins, 1)
	for i := range trials {
		total := 0.0
		for t := range runningBins {
			v := math.Sin(float64(7*i+3*t*t)) / 2
			total += v
			x.F64[i*runningBins+t], sum.F64[i*runningBins+t] = v, total
		}
		b.Trials = append(b.Trials, int64(i))
	}
	b.Arrays = tensor.Set{x, sum}
	return b
}

// A cell from outside of package nn trains, to the same bits on any number of threads; its Map takes the steps of its rollout, and its Jacobians are those of the steps.
func TestCellOfOnesOwn(t *testing.T) {
	var trained []running[float32]
	for _, threads := range []int{1, 3} {
		n := newRunning(newClipped[float32](6, 5))
		load := func(ctx context.Context) (*train.Data[float32], error) {
			return train.Load[float32](ctx, tensor.Of(sums(70)), 70, n.Columns()...)
		}
		r, err := train.Fit(t.Context(), n, train.Source[float32]{Train: func(ctx context.Context, _ uint64) (*train.Data[float32], error) { return load(ctx) }, Valid: load},
			train.Config{Epochs: 60, BatchSize: 40, Optimiser: train.Adam(0.02, 0, false), Clip: 1, Env: component.Env{Seed: 1, Threads: threads}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !(r.BestLoss < 0.01) {
			t.Errorf("the best loss is %v", r.BestLoss)
		}
		trained = append(trained, n)
	}
	if !slices.Equal(trained[0].params.Flat(), trained[1].params.Flat()) {
		t.Error("the weights depend on the number of threads")
	}
	n := trained[0]
	if want, got := n.cell.Weights(1), int64(3*(6+36+6)); got != want {
		t.Errorf("%d weights, want %d", got, want)
	}
	out, err := tensor.Collect(train.Rollout(t.Context(), n, 2, nn.Pass{Quiet: true}, tensor.Of(sums(40))))
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.cell.Map(n.params.Float64(), "cell", 1)
	if err != nil {
		t.Fatal(err)
	}
	latents, x := out.Arrays.Get("latents"), sums(40).Arrays.Get("x")
	h := make([]float64, 40*6)
	for i := range 40 {
		copy(h[i*6:], n.params.Float64()["initial"])
	}
	for bin := range runningBins {
		if err := m.Step(x.Bin(bin).F64, h, h); err != nil {
			t.Fatal(err)
		}
		for i, v := range latents.Bin(bin).F32 {
			if math.Abs(h[i]-float64(v)) > 1e-5 {
				t.Fatalf("bin %d: element %d is %v by steps, %v by rollout", bin, i, h[i], v)
			}
		}
	}
	jx, jh := make([]float64, 40*6), make([]float64, 40*36)
	in := x.Bin(0).F64
	if err := m.Jacobians(in, h, jx, jh); err != nil {
		t.Fatal(err)
	}
	difference := func(at *float64, of func(up, down []float64)) {
		const step = 1e-6
		up, down, was := make([]float64, len(h)), make([]float64, len(h)), *at
		*at = was + step
		err1 := m.Step(in, h, up)
		*at = was - step
		err2 := m.Step(in, h, down)
		*at = was
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for i := range up {
			up[i] = (up[i] - down[i]) / (2 * step)
		}
		of(up, down)
	}
	for _, p := range []int{0, 39} {
		difference(&in[p], func(d, _ []float64) {
			for j := range 6 {
				if math.Abs(d[p*6+j]-jx[p*6+j]) > 1e-8 {
					t.Errorf("point %d: derivative %d by x is %v, by differences %v", p, j, jx[p*6+j], d[p*6+j])
				}
			}
		})
		for i := range 6 {
			difference(&h[p*6+i], func(d, _ []float64) {
				for j := range 6 {
					if math.Abs(d[p*6+j]-jh[(p*6+j)*6+i]) > 1e-8 {
						t.Errorf("point %d: derivative %d by %d is %v, by differences %v", p, j, i, jh[(p*6+j)*6+i], d[p*6+j])
					}
				}
			})
		}
	}
}

// The bound of a clipped cell holds, from an initial state beyond it on.
func TestClippedCell(t *testing.T) {
	p := nn.NewParams[float64](3)
	cell := newClipped[float64](4, 0.2)
	cell.Declare(p, "cell", 1)
	m, err := cell.Map(p.Float64(), "cell", 1)
	if err != nil {
		t.Fatal(err)
	}
	h, j := []float64{3, -3, 3, -3}, make([]float64, 16)
	if err := m.Jacobians([]float64{0}, h, nil, j); err != nil {
		t.Fatal(err)
	}
	if err := m.Step([]float64{0}, h, h); err != nil {
		t.Fatal(err)
	}
	for i, v := range h {
		if math.Abs(v) > 0.2 {
			t.Errorf("state %d is %v", i, v)
		}
		if math.Abs(v) == 0.2 && slices.ContainsFunc(j[4*i:4*i+4], func(d float64) bool { return d != 0 }) {
			t.Errorf("state %d is at its bound and has the derivatives %v", i, j[4*i:4*i+4])
		}
	}
}
