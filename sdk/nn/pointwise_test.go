package nn

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

// TestSumsOfGradients: a sum that Gorgonia takes for another is found, whether it is a gradient or a part of one; a gradient that is asked for twice is not one.
func TestSumsOfGradients(t *testing.T) {
	g := NewGraph[float64](nil, Config[float64]{Rows: 2})
	defer g.Close()
	x, y, z := g.Variable("x", 2, 3), g.Variable("y", 2, 3), g.Variable("z", 2, 3)
	part := func() *Node { return g.Tanh(x) }
	add := func(a, b *Node) *Node { return gorgonia.Must(gorgonia.Add(a, b)) }
	a, b := add(part(), part()), part()
	sum := add(add(part(), a), b)
	for _, c := range []struct {
		of, grad *Node
		wrong    bool
	}{{x, sum, false}, {x, sum, false}, {y, a, true}, {y, add(part(), a), true}, {y, b, true}, {z, add(b, add(part(), b)), true}, {y, add(part(), part()), false}, {z, part(), false}, {z, y, false}} {
		if err := g.sums.claim(c.of, c.grad); (err != nil) != c.wrong {
			t.Errorf("%v of %v: %v", c.grad, c.of, err)
		}
	}
	// Within what Gorgonia differentiates nothing is known.
	add(z, y)
	if err := g.sums.claim(z, a); err != nil {
		t.Error(err)
	}
}

// TestGradientsThatArePassedOn: graphs in which one gradient is right in several places are no mistake.
func TestGradientsThatArePassedOn(t *testing.T) {
	p := NewParams[float64](2)
	for _, name := range []string{"l1", "l2", "l3", "l4"} {
		p.Linear(name, 3, 3)
	}
	noise := Noise{SD: 0.1, Purpose: "noise"}
	for name, build := range map[string]func(g *Graph[float64], l []*Node) (*Node, gorgonia.Nodes){
		"sums of sums": func(g *Graph[float64], l []*Node) (*Node, gorgonia.Nodes) {
			return g.Tanh(gorgonia.Must(gorgonia.Add(g.Add(l[0], l[1]), g.Add(l[2], l[3])))), nil
		},
		"noise on both": func(g *Graph[float64], l []*Node) (*Node, gorgonia.Nodes) {
			return g.Tanh(gorgonia.Must(gorgonia.Add(g.AddNoise(l[0], noise), g.AddNoise(l[1], noise)))), nil
		},
		"noise twice": func(g *Graph[float64], l []*Node) (*Node, gorgonia.Nodes) {
			return g.Tanh(gorgonia.Must(gorgonia.Add(g.AddNoise(l[0], noise), g.AddNoise(l[0], noise)))), nil
		},
		"before and after noise": func(g *Graph[float64], l []*Node) (*Node, gorgonia.Nodes) {
			n := g.AddNoise(l[0], noise)
			return g.Add(g.Tanh(n), l[1]), gorgonia.Nodes{l[0], n}
		},
	} {
		g := NewGraph(p, Config[float64]{Rows: 2, Training: true})
		x, cot := g.Data("x", 3), g.Tanh(g.Data("cotangent", 3))
		var l []*Node
		for _, name := range []string{"l1", "l2", "l3", "l4"} {
			l = append(l, g.LinearOf(name, x))
		}
		y, wrt := build(g, l)
		if wrt == nil {
			wrt = gorgonia.Nodes{g.Param("l1.weight")}
		}
		// The same cotangent for two outputs.
		if _, err := g.Backpropagate(gorgonia.Nodes{y, g.Tanh(l[0])}, gorgonia.Nodes{cot, cot}, wrt); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		g.Close()
	}
}

// TestManyWaysToPass: two ways from each step to the next are two a step, and not twice as many with every one.
func TestManyWaysToPass(t *testing.T) {
	p := NewParams[float64](2)
	p.Linear("l", 3, 3)
	g := NewGraph(p, Config[float64]{Rows: 2, Training: true})
	defer g.Close()
	x := g.LinearOf("l", g.Data("x", 3))
	for range 60 {
		x = g.Add(g.AddNoise(x, Noise{SD: 0.1, Purpose: "noise"}), x)
	}
	l := g.Custom("sum", x, 1, func(_ Pass, y, grad []float64) (float64, error) { return y[0], nil })
	if err := g.Minimise(l); err != nil {
		t.Error(err)
	}
}

// TestNamesOfArrays: a second array of a name is not the first.
func TestNamesOfArrays(t *testing.T) {
	p := NewParams[float32](1)
	p.Zeros("w", 3)
	for name, twice := range map[string]func(g *Graph[float32]){
		"data":            func(g *Graph[float32]) { g.Data("x", 3); g.Data("x", 3) },
		"data, variable":  func(g *Graph[float32]) { g.Data("x", 3); g.Variable("x", 2, 3) },
		"parameter, data": func(g *Graph[float32]) { g.Param("w"); g.Variable("w", 3) },
	} {
		g := NewGraph(p, Config[float32]{Rows: 2})
		twice(g)
		if err := g.Compile(); err == nil || !strings.Contains(err.Error(), "of that name is there already") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPanicInAnOperation: it ends the run, not the process.
func TestPanicInAnOperation(t *testing.T) {
	g := NewGraph[float64](nil, Config[float64]{Rows: 2, Training: true})
	defer g.Close()
	l := g.Custom("mine", g.Variable("x", 2, 3), 1, func(_ Pass, y, _ []float64) (float64, error) { return y[6], nil })
	_, err := g.Run(Pass{})
	var panicked *PanicError
	if !errors.As(err, &panicked) || !bytes.Contains(panicked.Stack, []byte("TestPanicInAnOperation")) || !strings.Contains(err.Error(), l.Name()) {
		t.Errorf("the error is %v", err)
	}
}

// TestElementwise holds the operations between arrays and of their elements, and their gradients, against what they are.
func TestElementwise(t *testing.T) {
	p := NewParams[float64](3)
	p.Normal("a", 1, 2, 3)
	p.Normal("b", 1, 2, 3)
	a, b := p.Get("a"), p.Get("b")
	square := func(v float64) float64 { return v * v }
	for name, f := range map[string]struct {
		node func(g *Graph[float64], a, b *Node) *Node
		want func(a, b float64) float64
	}{
		"add":       {func(g *Graph[float64], a, b *Node) *Node { return g.Add(a, b) }, func(a, b float64) float64 { return a + b }},
		"add twice": {func(g *Graph[float64], a, _ *Node) *Node { return g.Add(g.Add(a, a), a) }, func(a, _ float64) float64 { return 3 * a }},
		"sub":       {func(g *Graph[float64], a, b *Node) *Node { return g.Sub(b, a) }, func(a, b float64) float64 { return b - a }},
		"mul":       {func(g *Graph[float64], a, b *Node) *Node { return g.Mul(g.Mul(a, a), b) }, func(a, b float64) float64 { return a * a * b }},
		"functions": {func(g *Graph[float64], a, b *Node) *Node {
			return g.Elementwise("square", g.Add(g.Sigmoid(a), g.Tanh(b)), square, func(v float64) float64 { return 2 * v })
		}, func(a, b float64) float64 { return square(1/(1+math.Exp(-a)) + math.Tanh(b)) }},
	} {
		loss := func(gradient []float64) float64 {
			g := NewGraph(p, Config[float64]{Rows: 2, Training: true})
			defer g.Close()
			y := f.node(g, g.Param("a"), g.Param("b"))
			l := g.Custom("sum", y, 1, func(_ Pass, y, grad []float64) (float64, error) {
				sum := 0.0
				for i, v := range y {
					sum += float64(i+1) * v
					if grad != nil {
						grad[i] = float64(i + 1)
					}
				}
				return sum, nil
			})
			if err := g.Minimise(l); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v, err := g.Run(Pass{})
			if err == nil {
				err = g.Gradient(gradient)
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return v
		}
		grad, other := make([]float64, len(p.Flat())), make([]float64, len(p.Flat()))
		got, want := loss(grad), 0.0
		for i := range a {
			want += float64(i+1) * f.want(a[i], b[i])
		}
		if math.Abs(got-want) > 1e-12*(1+math.Abs(want)) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		for _, q := range p.All() {
			for i := range q.Value {
				const h = 1e-5
				at := q.Value[i]
				q.Value[i] = at + h
				up := loss(other)
				q.Value[i] = at - h
				down := loss(other)
				q.Value[i] = at
				if d := (up - down) / (2 * h); math.Abs(grad[q.Offset+i]-d) > 1e-8*(1+math.Abs(d)) {
					t.Errorf("%s: gradient by %s[%d] is %v, differences give %v", name, q.Name, i, grad[q.Offset+i], d)
				}
			}
		}
	}
}
