package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// fill makes n seeded numbers of standard deviation sd.
func fill[F Float](r *rand.Rand, n int, sd float64) []F {
	s := make([]F, n)
	for i := range s {
		s[i] = F(sd * r.NormFloat64())
	}
	return s
}

// apart is the largest difference of two arrays relative to the largest entry of want; a NaN in either is infinitely far.
func apart[F Float](got, want []F) float64 {
	top, worst := 0.0, 0.0
	for i, v := range want {
		top = max(top, math.Abs(float64(v)))
		d := math.Abs(float64(got[i]) - float64(v))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		worst = max(worst, d)
	}
	if worst == 0 {
		return 0
	}
	return worst / top
}

func near[F Float](t *testing.T, name string, got, want []F, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	if d := apart(got, want); !(d <= tolerance) {
		t.Errorf("%s: apart by %.3g of the largest entry, tolerance %g", name, d, tolerance)
	}
}

func same[F Float](t *testing.T, name string, got, want []F) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i := range got {
		if math.Float64bits(float64(got[i])) != math.Float64bits(float64(want[i])) {
			t.Errorf("%s: element %d of %d is %v, want %v to the bit", name, i, len(got), got[i], want[i])
			return
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sequenceCase is a whole problem: shape, parameters, inputs and cotangents.
type sequenceCase[F Float] struct {
	c   SequenceConfig
	w   SequenceWeights[F]
	in  SequenceInput[F]
	cot SequenceCotangent[F]
}

func newCase[F Float](c SequenceConfig, seed uint64) sequenceCase[F] {
	r := rand.New(rand.NewPCG(seed, 7))
	sd, rows := 1/math.Sqrt(float64(c.H)), c.Cell.Gates()*c.H
	k := sequenceCase[F]{c: c}
	k.w = SequenceWeights[F]{Wih: fill[F](r, rows*c.I, 0.5), Whh: fill[F](r, rows*c.H, sd), Bih: fill[F](r, rows, 0.3), Bhh: fill[F](r, rows, 0.3),
		Wout: fill[F](r, c.O*c.H, sd), Bout: fill[F](r, c.O, 0.3)}
	if c.Cell == CellLeakyCompat || c.Cell == CellLowRank {
		k.w.Bhh = nil
	}
	if c.Cell == CellLowRank && !c.Full {
		k.w.Whh = nil
	}
	for l := range c.MapCount() {
		out, in := c.Map(l)
		if c.Cell == CellLowRank {
			k.w.Maps = append(k.w.Maps, LinearWeights[F]{Weight: fill[F](r, out*in, 1)})
			continue
		}
		k.w.Maps = append(k.w.Maps, LinearWeights[F]{fill[F](r, out*in, 1/math.Sqrt(float64(in))), fill[F](r, out, 0.3)})
	}
	k.in = SequenceInput[F]{B: c.B, X: fill[F](r, c.B*c.T*c.I, 1), H0: fill[F](r, c.B*c.StateSize(), 0.5)}
	k.cot = SequenceCotangent[F]{Y: fill[F](r, c.B*c.T*c.O, 1), States: fill[F](r, c.B*c.T*c.H, 1), Clean: fill[F](r, c.B*c.T*c.H, 1), Final: fill[F](r, c.B*c.StateSize(), 1)}
	return k
}

func (k sequenceCase[F]) output() SequenceOutput[F] {
	n := k.c.B * k.c.T
	return SequenceOutput[F]{Y: make([]F, n*k.c.O), States: make([]F, n*k.c.H), Clean: make([]F, n*k.c.H), Final: make([]F, k.c.B*k.c.StateSize())}
}

func (k sequenceCase[F]) gradient() SequenceGradient[F] {
	g := SequenceGradient[F]{X: make([]F, len(k.in.X)), H0: make([]F, max(len(k.in.H0), k.c.StateSize()))}
	g.Weights = likeWeights(k.w)
	return g
}

// likeWeights is room for the gradients of weights.
func likeWeights[F Float](w SequenceWeights[F]) SequenceWeights[F] {
	like := func(s []F) []F {
		if s == nil {
			return nil
		}
		return make([]F, len(s))
	}
	g := SequenceWeights[F]{Wih: like(w.Wih), Whh: like(w.Whh), Bih: like(w.Bih), Bhh: like(w.Bhh), Wout: like(w.Wout), Bout: like(w.Bout)}
	for _, m := range w.Maps {
		g.Maps = append(g.Maps, LinearWeights[F]{like(m.Weight), like(m.Bias)})
	}
	return g
}

// run takes the case forward and back on a plan.
func (k sequenceCase[F]) run(t *testing.T, c SequenceConfig) (SequenceOutput[F], SequenceGradient[F]) {
	t.Helper()
	g, err := NewSequence[F](c)
	must(t, err)
	defer func() { must(t, g.Close()) }()
	out, grad := k.output(), k.gradient()
	must(t, g.Forward(k.w, k.in, out))
	must(t, g.Backward(k.cot, grad))
	return out, grad
}

func (k sequenceCase[F]) reference() (SequenceOutput[F], SequenceGradient[F]) {
	out, grad := k.output(), k.gradient()
	newRefGRU[F](k.c).sequence(k.w, k.in, out, k.cot, grad)
	return out, grad
}

// compare calls f for every array of two results.
func compare[F Float](o1, o2 SequenceOutput[F], g1, g2 SequenceGradient[F], f func(name string, got, want []F)) {
	f("Y", o1.Y, o2.Y)
	f("States", o1.States, o2.States)
	f("Clean", o1.Clean, o2.Clean)
	f("Final", o1.Final, o2.Final)
	f("grad X", g1.X, g2.X)
	f("grad H0", g1.H0, g2.H0)
	compareWeights(g1.Weights, g2.Weights, f)
}

func compareWeights[F Float](g1, g2 SequenceWeights[F], f func(name string, got, want []F)) {
	f("grad Wih", g1.Wih, g2.Wih)
	f("grad Whh", g1.Whh, g2.Whh)
	f("grad Bih", g1.Bih, g2.Bih)
	f("grad Bhh", g1.Bhh, g2.Bhh)
	f("grad Wout", g1.Wout, g2.Wout)
	f("grad Bout", g1.Bout, g2.Bout)
	for l := range g1.Maps {
		f(fmt.Sprintf("grad Maps[%d].Weight", l), g1.Maps[l].Weight, g2.Maps[l].Weight)
		f(fmt.Sprintf("grad Maps[%d].Bias", l), g1.Maps[l].Bias, g2.Maps[l].Bias)
	}
}

// eachVariant runs a test for every instruction set of this processor.
func eachVariant(t *testing.T, f func(t *testing.T, variant string)) {
	for _, v := range Variants() {
		t.Run(v, func(t *testing.T) { f(t, v) })
	}
}

// someCells has every cell, with sizes that fit no vector. B and T are left to the test.
func someCells() []SequenceConfig {
	out := []SequenceConfig{
		{Cell: CellGRU, I: 3, H: 5, O: 2}, {Cell: CellTanh, I: 3, H: 5, O: 2}, {Cell: CellReLU, I: 2, H: 6, O: 2}, {Cell: CellLinear, I: 3, H: 4, O: 2},
		{Cell: CellLSTM, I: 3, H: 5, O: 2}, {Cell: CellLeaky, I: 3, H: 5, O: 2, Gamma: 0.2}, {Cell: CellLeakyCompat, I: 3, H: 5, O: 2, Gamma: 0.2},
		{Cell: CellNODE, I: 3, H: 4, O: 2, Layers: 3, Width: 7, DT: 0.1}, {Cell: CellNODE, I: 2, H: 3, O: 2, Layers: 1, DT: 0.3},
		{Cell: CellNODE, I: 2, H: 3, O: 2, Layers: 2, Width: 5, DT: 0.4, RK4: true, Substeps: 2, TanhNet: true},
		{Cell: CellNODE, I: 0, H: 18, O: 1, Layers: 4, Width: 33, DT: 0.2, Substeps: 3},
		{Cell: CellNODE, I: 2, H: 3, O: 2, Layers: 3, Width: 5, DT: 1, TanhNet: true, Dopri5: true, RTol: 1e-10, ATol: 1e-11},
		{Cell: CellNODE, I: 0, H: 18, O: 1, Layers: 2, Width: 5, DT: 1, TanhNet: true, Dopri5: true, RTol: 1e-11, ATol: 1e-10, Substeps: 2},
		{Cell: CellLSTM, I: 0, H: 18, O: 1}, {Cell: CellTanh, I: 17, H: 33, O: 3},
		{Cell: CellLowRank, I: 3, H: 6, O: 2, Gamma: 0.2, Rank: 2}, {Cell: CellLowRank, I: 2, H: 5, O: 3, Gamma: 1, Rank: 1, Full: true},
		{Cell: CellLowRank, I: 0, H: 21, O: 1, Gamma: 0.3, Rank: 18},
	}
	return out
}

// eachCell runs a test for every cell and instruction set.
func eachCell(t *testing.T, batch, bins int, f func(t *testing.T, c SequenceConfig)) {
	eachVariant(t, func(t *testing.T, variant string) {
		for _, c := range someCells() {
			c.B, c.T, c.Variant = batch, bins, variant
			t.Run(c.String(), func(t *testing.T) { f(t, c) })
		}
	})
}
