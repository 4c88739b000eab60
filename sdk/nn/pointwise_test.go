package nn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/ctdb-host/ctdb/sdk/component"
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
	var panicked *component.PanicError
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

// moded is an operation with a mode for training, as Gorgonia's normalisation over batches has.
type moded struct {
	*op
	training *bool
}

func (m moded) SetTraining(training bool) error {
	*m.training = training
	return nil
}

// TestGorgoniasOperations: Gorgonia's own run among those of this package, in the mode of the graph, and their results and gradients are read like others'. What has no result is refused.
func TestGorgoniasOperations(t *testing.T) {
	p := NewParams[float64](3)
	p.Normal("a", 1, 2, 3)
	for _, training := range []bool{true, false} {
		g := NewGraph(p, Config[float64]{Rows: 2, Training: training})
		defer g.Close()
		a, x := g.Param("a"), g.Variable("x", 2, 3)
		square := gorgonia.Must(gorgonia.Square(g.Add(a, x)))
		noise := gorgonia.GaussianRandomNode(g.Expr(), dtype[float64](), 0, 1, 2, 3)
		y := gorgonia.Must(gorgonia.HadamardProd(g.Tanh(square), gorgonia.Must(gorgonia.Add(noise, noise))))
		mode := !training
		inner, err := g.apply(op{name: "inner", shape: []int{2, 3}, run: func(in []gorgonia.Value) (gorgonia.Value, error) { return in[0], nil }}, x)
		if err != nil {
			t.Fatal(err)
		}
		gorgonia.Must(gorgonia.ApplyOp(moded{inner.Op().(*op), &mode}, square))
		sum := g.Custom("sum", y, 1, func(_ Pass, y, grad []float64) (float64, error) {
			total := 0.0
			for i, v := range y {
				total += v
				if grad != nil {
					grad[i] = 1
				}
			}
			return total, nil
		})
		if err := g.Minimise(sum); err != nil {
			t.Fatal(err)
		}
		var last []float64
		for run := range 3 {
			for i := range g.Array(x) {
				g.Array(x)[i] = float64(run) / float64(i+1)
			}
			if g.Array(y) != nil && run == 0 {
				t.Error("a result before the first run")
			}
			if _, err := g.Run(Pass{}); err != nil {
				t.Fatal(err)
			}
			got, grad := g.Array(y), make([]float64, len(p.Flat()))
			if err := g.Gradient(grad); err != nil {
				t.Fatal(err)
			}
			for i, v := range p.Get("a") {
				v += g.Array(x)[i]
				want := math.Tanh(v*v) * 2 * g.Array(noise)[i]
				d := (1 - math.Tanh(v*v)*math.Tanh(v*v)) * 2 * v * 2 * g.Array(noise)[i]
				if math.Abs(got[i]-want) > 1e-12 || math.Abs(grad[i]-d) > 1e-12 {
					t.Errorf("run %d, element %d: %v with gradient %v, want %v and %v", run, i, got[i], grad[i], want, d)
				}
			}
			if last != nil && slices.Equal(last, g.Array(noise)) {
				t.Error("the noise is that of the last run")
			}
			last = slices.Clone(g.Array(noise))
		}
		if mode != training {
			t.Errorf("training is %v for a graph where it is %v", mode, training)
		}
	}
	g := NewGraph(p, Config[float64]{Rows: 2})
	defer g.Close()
	var into gorgonia.Value
	gorgonia.Read(g.Tanh(g.Param("a")), &into)
	if err := g.Compile(); err == nil || !strings.Contains(err.Error(), "Array") {
		t.Errorf("Read: %v", err)
	}
}

// TestNodesThatGorgoniaRemoves: operations after one that Gorgonia replaces, as it does log(1-x), keep their arguments, and gradients that it would lose are refused.
func TestNodesThatGorgoniaRemoves(t *testing.T) {
	p := NewParams[float64](3)
	p.Normal("a", 1, 2, 3)
	sum := func(g *Graph[float64], y *Node) *Loss {
		return g.Custom("sum", y, 1, func(_ Pass, y, grad []float64) (float64, error) {
			for i := range grad {
				grad[i] = 1
			}
			return y[0], nil
		})
	}
	g := NewGraph(p, Config[float64]{Rows: 2, Training: true})
	defer g.Close()
	y, target := g.Sigmoid(g.Param("a")), g.Variable("target", 2, 3)
	for i := range g.Array(target) {
		g.Array(target)[i] = float64(i%2) + 0.1
	}
	entropy := gorgonia.Must(gorgonia.BinaryXent(y, target))
	double := g.Add(entropy, entropy)
	if err := g.Minimise(sum(g, double)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(Pass{}); err != nil {
		t.Fatal(err)
	}
	grad := make([]float64, len(p.Flat()))
	if err := g.Gradient(grad); err != nil {
		t.Fatal(err)
	}
	for i, y := range g.Array(y) {
		target := g.Array(target)[i]
		want := []float64{-2 * (target*math.Log(y) + (1-target)*math.Log(1-y)), -2 * (target*(1-y) - (1-target)*y)}
		if got := []float64{g.Array(double)[i], grad[i]}; math.Abs(got[0]-want[0]) > 1e-12 || math.Abs(got[1]-want[1]) > 1e-12 {
			t.Errorf("element %d and its gradient: %v, want %v", i, got, want)
		}
	}

	lost := NewGraph(p, Config[float64]{Rows: 2, Training: true})
	defer lost.Close()
	gorgonia.Must(gorgonia.BinaryXent(lost.Variable("p", 2, 3), lost.Variable("q", 2, 3))) // whose 1 is the one that it looks for
	one := gorgonia.NewConstant(1.0)
	from := func(x *Node) *Node { return gorgonia.Must(gorgonia.Sub(one, x)) }
	first, second := from(lost.Variable("y", 2, 3)), from(lost.Variable("z", 2, 3))
	way := lost.Tanh(lost.Tanh(lost.Tanh(lost.Param("a"))))
	y = lost.Add(way, lost.Add(gorgonia.Must(gorgonia.Log(first)), gorgonia.Must(gorgonia.Log(second))))
	if err := lost.Minimise(sum(lost, y)); err == nil || !strings.Contains(err.Error(), "log(1+x)") {
		t.Errorf("the error is %v", err)
	}
}

// TestGradientsAskedForTwice: what one pass back needed on the way is a result where a later one asks for it.
func TestGradientsAskedForTwice(t *testing.T) {
	p := NewParams[float64](3)
	p.Normal("a", 1, 2, 3)
	g := NewGraph(p, Config[float64]{Rows: 2, Training: true})
	defer g.Close()
	h := g.Tanh(g.Param("a"))
	v := g.Tanh(h)
	u := g.Add(h, g.Zeros(3))
	y := g.Add(g.Add(g.Mul(u, u), g.Tanh(u)), v)
	one := g.Variable("one", 2, 3)
	for i := range g.Array(one) {
		g.Array(one)[i] = 1
	}
	if _, err := g.Backpropagate(gorgonia.Nodes{y}, gorgonia.Nodes{one}, gorgonia.Nodes{g.Param("a")}); err != nil {
		t.Fatal(err)
	}
	grads, err := g.Backpropagate(gorgonia.Nodes{y}, gorgonia.Nodes{one}, gorgonia.Nodes{u, h})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := g.Run(Pass{}); err != nil {
			t.Fatal(err)
		}
		for i, h := range g.Array(h) {
			slope := 1 - math.Tanh(h)*math.Tanh(h)
			du, dh := 2*h+slope, 2*h+2*slope
			if got := []float64{g.Array(grads[0])[i], g.Array(grads[1])[i]}; math.Abs(got[0]-du) > 1e-12 || math.Abs(got[1]-dh) > 1e-12 {
				t.Errorf("element %d: %v, want %v and %v", i, got, du, dh)
			}
		}
	}
}

// TestNodesThatHashAlike: two nodes whose hashes are the same stay two.
func TestNodesThatHashAlike(t *testing.T) {
	g := NewGraph[float64](nil, Config[float64]{Rows: 1})
	defer g.Close()
	x := g.Variable("x", 1, 1)
	constant := func(v float64) *Node {
		value := dense([]float64{v}, 1, 1)
		n, err := g.apply(op{name: "constant", shape: []int{1, 1}, run: func([]gorgonia.Value) (gorgonia.Value, error) { return value, nil }}, x)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// The numbers of operations are searched for a pair whose nodes have the same hash.
	first := map[uint32]int{}
	var pair [2]int
	exemplar := constant(0)
	for id := 2; pair[1] == 0; id++ {
		o := *exemplar.Op().(*op)
		o.id = id
		h := fnv.New32a()
		fmt.Fprintf(h, "%v%v", exemplar.Type(), exemplar.Shape())
		o.WriteHash(h)
		h.Write([]byte{1})
		if err := binary.Write(h, binary.LittleEndian, x.Hashcode()); err != nil {
			t.Fatal(err)
		}
		if other, ok := first[h.Sum32()]; ok {
			pair = [2]int{other, id}
		}
		first[h.Sum32()] = id
	}
	var nodes [2]*Node
	for i, id := range pair {
		g.ops = id - 1
		nodes[i] = constant(float64(i + 1))
	}
	if nodes[0].Hashcode() != nodes[1].Hashcode() {
		t.Fatal("the hashes differ: Gorgonia makes them otherwise")
	}
	sum := g.Add(nodes[0], g.Mul(nodes[1], nodes[1]))
	if _, err := g.Run(Pass{}); err != nil {
		t.Fatal(err)
	}
	if got := g.Array(sum)[0]; got != 1+2*2 {
		t.Errorf("1 + 2 * 2 is %v", got)
	}
}
