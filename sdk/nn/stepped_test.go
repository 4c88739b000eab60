package nn

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// torchGRU is PyTorch's GRU cell written down as a step, with its own parameters: three maps of the inputs and three of the state.
type torchGRU[F kernel.Float] struct{ units int }

func (c torchGRU[F]) Units() int     { return c.units }
func (c torchGRU[F]) StateSize() int { return c.units }

func (c torchGRU[F]) Declare(p *Params[F], prefix string, inputs int) {
	for _, gate := range []string{"r", "z", "n"} {
		if inputs > 0 {
			p.Linear(under(prefix, "x"+gate), inputs, c.units)
		}
		p.Linear(under(prefix, "h"+gate), c.units, c.units)
	}
}

func (c torchGRU[F]) Step(g *Graph[F], prefix string, x, h *Node) *Node {
	gate := func(f func(*Node) *Node, name string, times *Node) *Node {
		a := g.LinearOf(under(prefix, "h"+name), h)
		if times != nil {
			a = g.Mul(times, a)
		}
		if x != nil {
			a = g.Add(g.LinearOf(under(prefix, "x"+name), x), a)
		}
		return f(a)
	}
	r := gate(g.Sigmoid, "r", nil)
	z := gate(g.Sigmoid, "z", nil)
	n := gate(g.Tanh, "n", r)
	return g.Add(n, g.Mul(z, g.Sub(h, n)))
}

// torchLSTM is PyTorch's, whose state is wider than its latents.
type torchLSTM[F kernel.Float] struct{ units int }

func (c torchLSTM[F]) Units() int     { return c.units }
func (c torchLSTM[F]) StateSize() int { return 2 * c.units }

func (c torchLSTM[F]) Declare(p *Params[F], prefix string, inputs int) {
	for _, gate := range []string{"i", "f", "g", "o"} {
		p.Linear(under(prefix, "x"+gate), inputs, c.units)
		p.Linear(under(prefix, "h"+gate), c.units, c.units)
	}
}

func (c torchLSTM[F]) Step(g *Graph[F], prefix string, x, state *Node) *Node {
	h := g.Columns(state, 0, c.units)
	gate := func(f func(*Node) *Node, name string) *Node {
		return f(g.Add(g.LinearOf(under(prefix, "x"+name), x), g.LinearOf(under(prefix, "h"+name), h)))
	}
	i, f, o := gate(g.Sigmoid, "i"), gate(g.Sigmoid, "f"), gate(g.Sigmoid, "o")
	old := g.Columns(state, c.units, 2*c.units)
	now := g.Add(g.Mul(f, old), g.Mul(i, gate(g.Tanh, "g")))
	out := g.Mul(o, g.Tanh(now))
	return g.Concat(out, now)
}

// gates copies the weights of a kernel's cell, or their gradients, to those of its steps.
func gates(p *Params[float64], names ...string) {
	for q, name := range names {
		for from, to := range map[string]string{"weight_ih": "x" + name + ".weight", "bias_ih": "x" + name + ".bias", "weight_hh": "h" + name + ".weight", "bias_hh": "h" + name + ".bias"} {
			dst := p.Get("steps." + to)
			copy(dst, p.Get("cell." + from)[q*len(dst):])
		}
	}
}

// A cell that is written down as a step gives what the kernel of the same cell gives: all results, their gradients, the noise, and the step map.
func TestSteppedIsTheKernel(t *testing.T) {
	const rows, bins, units, out = 5, 6, 4, 3
	for name, c := range map[string]struct {
		kernel, steps Cell[float64]
		gates         []string
		inputs        int
	}{
		"gru":                {GRU[float64](units), Stepped(torchGRU[float64]{units}, torchGRU[float64]{units}), []string{"r", "z", "n"}, 2},
		"gru without inputs": {GRU[float64](units), Stepped(torchGRU[float64]{units}, torchGRU[float64]{units}), []string{"r", "z", "n"}, 0},
		"lstm":               {LSTM[float64](units), Stepped(torchLSTM[float64]{units}, torchLSTM[float64]{units}), []string{"i", "f", "g", "o"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			size := c.kernel.StateSize()
			p := NewParams[float64](5)
			p.Normal("initial", 0.3, size)
			p.Linear("in", 2, max(1, c.inputs))
			p.Linear("readout", units, out)
			c.kernel.Declare(p, "cell", c.inputs)
			c.steps.Declare(p, "steps", c.inputs)
			if p.Err() != nil {
				t.Fatal(p.Err())
			}
			if c.inputs == 0 {
				clear(p.Get("cell.bias_ih")) // the steps have none then
			}
			gates(p, c.gates...)
			count := int64(0)
			for _, q := range p.All() {
				if strings.HasPrefix(q.Name, "steps.") {
					count += int64(len(q.Value))
				}
			}
			if n := c.steps.Weights(c.inputs); n != count {
				t.Errorf("%d weights, want %d", n, count)
			}
			type results struct {
				loss                          float64
				grad                          []float64
				outputs, states, clean, final []float64
			}
			run := func(cell Cell[float64], prefix string, each bool, truncate int) results {
				g := NewGraph(p, Config[float64]{Rows: rows, Training: true})
				defer g.Close()
				raw, target, more := g.Data("raw", bins, 2), g.Data("target", bins, out), g.Data("more", size)
				fill("raw", g.Array(raw))
				fill("target", g.Array(target))
				fill("more", g.Array(more))
				var x *Node
				if c.inputs > 0 {
					x = g.LinearOf("in", raw)
				}
				u := Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: Noise{SD: 0.2, Purpose: "noise"}, InitialNoise: Noise{SD: 0.1, Purpose: "first"}, Truncate: truncate}
				if each {
					u.Initial, u.Noise, u.InitialNoise = nil, Noise{}, Noise{}
				}
				s := cell.Unroll(g, prefix, x, bins, u)
				losses := []*Loss{g.SquaredError(s.Outputs(), target, nil, Scale{Factor: 1}), g.LatentL2(s.States(), nil, 0.1), g.LatentL2(s.Clean(), nil, 0.2), g.SquaredError(s.Final(), more, nil, Scale{Factor: 0.3})}
				if err := g.Minimise(losses...); err != nil {
					t.Fatal(err)
				}
				var r results
				for range 2 {
					var err error
					if r.loss, err = g.Run(Pass{Seed: 3}); err != nil {
						t.Fatal(err)
					}
				}
				r.grad = make([]float64, len(p.Flat()))
				if err := g.Gradient(r.grad); err != nil {
					t.Fatal(err)
				}
				copied := func(n *Node) []float64 { return append([]float64(nil), g.Array(n)...) }
				r.outputs, r.states, r.clean, r.final = copied(s.Outputs()), copied(s.States()), copied(s.Clean()), copied(s.Final())
				return r
			}
			for _, o := range []struct {
				plain    bool
				truncate int
			}{{false, 0}, {true, 0}, {false, 1}, {false, 4}, {true, 2}, {false, bins}} {
				want, got := run(c.kernel, "cell", o.plain, o.truncate), run(c.steps, "steps", o.plain, o.truncate)
				closeTo(t, "loss", []float64{got.loss}, []float64{want.loss}, 1e-13)
				closeTo(t, "outputs", got.outputs, want.outputs, 1e-13)
				closeTo(t, "states", got.states, want.states, 1e-13)
				closeTo(t, "clean", got.clean, want.clean, 1e-13)
				closeTo(t, "final", got.final, want.final, 1e-13)
				own := p.Clone()
				copy(own.Flat(), got.grad)
				theirs := p.Clone()
				copy(theirs.Flat(), want.grad)
				for _, name := range []string{"initial", "in.weight", "in.bias", "readout.weight", "readout.bias"} {
					closeTo(t, name, own.Get(name), theirs.Get(name), 1e-12)
				}
				gates(theirs, c.gates...)
				for _, q := range own.All() {
					if strings.HasPrefix(q.Name, "steps.") {
						closeTo(t, q.Name, q.Value, theirs.Get(q.Name), 1e-12)
					}
				}
			}
			values := p.Float64()
			want, err := c.kernel.Map(values, "cell", c.inputs)
			if err != nil {
				t.Fatal(err)
			}
			for name, m := range map[string]func() (StepMap, error){
				"steps":  func() (StepMap, error) { return c.steps.Map(values, "steps", c.inputs) },
				"kernel": func() (StepMap, error) { return GraphMap(c.kernel, values, "cell", c.inputs) },
			} {
				got, err := m()
				if err != nil {
					t.Fatal(err)
				}
				for _, points := range []int{1, 3, 40} {
					t.Run(name, func(t *testing.T) { sameMap(t, got, want, points, c.inputs, size) })
				}
			}
		})
	}
}

func sameMap(t *testing.T, got, want StepMap, points, inputs, size int) {
	t.Helper()
	array := func(name string, n int) []float64 {
		a := make([]float64, n)
		fill(name, a)
		return a
	}
	x, h, dx, dh, cot := array("a", points*inputs), array("b", points*size), array("c", points*inputs), array("d", points*size), array("e", points*size)
	type results struct{ next, jvp, half, gx, gh, jx, jh []float64 }
	of := func(m StepMap) results {
		r := results{make([]float64, len(h)), make([]float64, len(h)), make([]float64, len(h)), make([]float64, len(x)), make([]float64, len(h)),
			make([]float64, len(x)*size), make([]float64, len(h)*size)}
		for _, err := range []error{m.Step(x, h, r.next), m.JVP(x, h, dx, dh, r.jvp), m.JVP(x, h, nil, dh, r.half), m.VJP(x, h, cot, r.gx, r.gh), m.VJP(x, h, cot, nil, r.gh), m.Jacobians(x, h, r.jx, r.jh)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	a, b := of(got), of(want)
	closeTo(t, "step", a.next, b.next, 1e-13)
	closeTo(t, "jvp", a.jvp, b.jvp, 1e-12)
	closeTo(t, "jvp of the state", a.half, b.half, 1e-12)
	closeTo(t, "vjp x", a.gx, b.gx, 1e-12)
	closeTo(t, "vjp state", a.gh, b.gh, 1e-12)
	closeTo(t, "jx", a.jx, b.jx, 1e-12)
	closeTo(t, "jstate", a.jh, b.jh, 1e-12)
	for _, err := range []error{got.Step(x, h[1:], a.next), got.Step(x, h, a.next[1:]), got.JVP(x, h, nil, dh[1:], a.jvp), got.VJP(x, h, cot[1:], nil, a.gh), got.Jacobians(x, h, nil, a.jh[1:])} {
		if err == nil {
			t.Error("arrays of the wrong size are taken")
		}
	}
}

func TestClip(t *testing.T) {
	p := NewParams[float64](1)
	p.Normal("x", 2, 4, 3)
	g := NewGraph(p, Config[float64]{Rows: 4, Training: true})
	defer g.Close()
	target := g.Data("target", 3)
	y := g.Clip(g.Param("x"), -1, 1.5)
	if err := g.Minimise(g.SquaredError(y, target, nil, Scale{Factor: 1})); err != nil {
		t.Fatal(err)
	}
	fill("target", g.Array(target))
	run := func() float64 {
		v, err := g.Run(Pass{})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	againstDifferences(t, p, g, run, 1e-8)
	run()
	for i, v := range g.Array(y) {
		if v != math.Min(1.5, math.Max(-1, p.Get("x")[i])) {
			t.Errorf("element %d is %v, of %v", i, v, p.Get("x")[i])
		}
	}
	if bad := NewGraph(p, Config[float64]{Rows: 4}); bad.Clip(bad.Param("x"), 2, 1) != nil || bad.Compile() == nil {
		t.Error("bounds the wrong way round are taken")
	}
}

// TestLongSteps: the graph of a long cell in steps is compiled in no time; the sums of its gradients need no memory of their own.
func TestLongSteps(t *testing.T) {
	const bins, units = 300, 48
	p := NewParams[float32](5)
	c := Stepped[float32](torchGRU[float32]{units}, torchGRU[float64]{units})
	c.Declare(p, "cell", 3)
	p.Linear("readout", units, 3)
	g := NewGraph(p, Config[float32]{Rows: 8, Training: true})
	defer g.Close()
	s := c.Unroll(g, "cell", g.Data("x", bins, 3), bins, Unroll{Readout: "readout"})
	if err := g.Minimise(g.SquaredError(s.Outputs(), g.Data("y", bins, 3), nil, Scale{})); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := g.Compile(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("compiling %d nodes took %v", len(g.expr.AllNodes()), d)
	}
	run := func() {
		if _, err := g.Run(Pass{}); err != nil {
			t.Fatal(err)
		}
	}
	run()
	sums, arrays := 0, map[uintptr]bool{}
	for n := range g.sums.made {
		if n.Shape().Eq(tensor.Shape{units, units}) {
			sums++
			arrays[g.value(n).Uintptr()] = true
		}
	}
	if want := 3 * (bins - 1); sums != want || len(arrays) != 3 {
		t.Errorf("%d sums of gradients of square matrices in %d arrays, want %d in 3", sums, len(arrays), want)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(len(g.expr.AllNodes())); each > 200 {
		t.Errorf("a run allocates %d bytes a node", each)
	}
}

// BenchmarkStepped takes a shard of a batch there and back through a GRU that is written down as a step and through the kernel's.
func BenchmarkStepped(b *testing.B) {
	const rows, bins = 32, 400
	for _, units := range []int{16, 64, 256} {
		for _, c := range []struct {
			name string
			cell Cell[float32]
		}{{"steps", Stepped[float32](torchGRU[float32]{units}, torchGRU[float64]{units})}, {"kernel", GRU[float32](units)}} {
			b.Run(fmt.Sprintf("H=%d/%s", units, c.name), func(b *testing.B) {
				p := NewParams[float32](5)
				c.cell.Declare(p, "cell", 3)
				p.Linear("readout", units, 3)
				g := NewGraph(p, Config[float32]{Rows: rows, Training: true})
				defer g.Close()
				s := c.cell.Unroll(g, "cell", g.Data("x", bins, 3), bins, Unroll{Readout: "readout"})
				if err := g.Minimise(g.SquaredError(s.Outputs(), g.Data("y", bins, 3), nil, Scale{})); err != nil {
					b.Fatal(err)
				}
				if err := g.Compile(); err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := g.Run(Pass{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
