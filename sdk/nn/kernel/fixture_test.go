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

// gruCase is a whole GRU problem: shape, parameters, inputs and cotangents.
type gruCase[F Float] struct {
	c   GRUConfig
	w   GRUWeights[F]
	in  GRUInput[F]
	cot GRUCotangent[F]
}

func newGRUCase[F Float](c GRUConfig, seed uint64) gruCase[F] {
	r := rand.New(rand.NewPCG(seed, 7))
	sd := 1 / math.Sqrt(float64(c.H))
	k := gruCase[F]{c: c}
	k.w = GRUWeights[F]{Wih: fill[F](r, 3*c.H*c.I, 0.5), Whh: fill[F](r, 3*c.H*c.H, sd), Bih: fill[F](r, 3*c.H, 0.3), Bhh: fill[F](r, 3*c.H, 0.3),
		Wout: fill[F](r, c.O*c.H, sd), Bout: fill[F](r, c.O, 0.3)}
	k.in = GRUInput[F]{B: c.B, X: fill[F](r, c.B*c.T*c.I, 1), H0: fill[F](r, c.B*c.H, 0.5)}
	k.cot = GRUCotangent[F]{Y: fill[F](r, c.B*c.T*c.O, 1), States: fill[F](r, c.B*c.T*c.H, 1), Clean: fill[F](r, c.B*c.T*c.H, 1), Final: fill[F](r, c.B*c.H, 1)}
	return k
}

func (k gruCase[F]) output() GRUOutput[F] {
	n := k.c.B * k.c.T
	return GRUOutput[F]{Y: make([]F, n*k.c.O), States: make([]F, n*k.c.H), Clean: make([]F, n*k.c.H), Final: make([]F, k.c.B*k.c.H)}
}

func (k gruCase[F]) gradient() GRUGradient[F] {
	g := GRUGradient[F]{X: make([]F, len(k.in.X)), H0: make([]F, max(len(k.in.H0), k.c.H))}
	g.Weights = GRUWeights[F]{Wih: make([]F, len(k.w.Wih)), Whh: make([]F, len(k.w.Whh)), Bih: make([]F, len(k.w.Bih)), Bhh: make([]F, len(k.w.Bhh)),
		Wout: make([]F, len(k.w.Wout)), Bout: make([]F, len(k.w.Bout))}
	return g
}

// run takes the case forward and back on a plan.
func (k gruCase[F]) run(t *testing.T, c GRUConfig) (GRUOutput[F], GRUGradient[F]) {
	t.Helper()
	g, err := NewGRU[F](c)
	must(t, err)
	defer func() { must(t, g.Close()) }()
	out, grad := k.output(), k.gradient()
	must(t, g.Forward(k.w, k.in, out))
	must(t, g.Backward(k.cot, grad))
	return out, grad
}

func (k gruCase[F]) reference() (GRUOutput[F], GRUGradient[F]) {
	out, grad := k.output(), k.gradient()
	newRefGRU[F](k.c).sequence(k.w, k.in, out, k.cot, grad)
	return out, grad
}

// compare calls f for every array of two results.
func compare[F Float](o1, o2 GRUOutput[F], g1, g2 GRUGradient[F], f func(name string, got, want []F)) {
	f("Y", o1.Y, o2.Y)
	f("States", o1.States, o2.States)
	f("Clean", o1.Clean, o2.Clean)
	f("Final", o1.Final, o2.Final)
	f("grad X", g1.X, g2.X)
	f("grad H0", g1.H0, g2.H0)
	compareWeights(g1.Weights, g2.Weights, f)
}

func compareWeights[F Float](g1, g2 GRUWeights[F], f func(name string, got, want []F)) {
	f("grad Wih", g1.Wih, g2.Wih)
	f("grad Whh", g1.Whh, g2.Whh)
	f("grad Bih", g1.Bih, g2.Bih)
	f("grad Bhh", g1.Bhh, g2.Bhh)
	f("grad Wout", g1.Wout, g2.Wout)
	f("grad Bout", g1.Bout, g2.Bout)
}

// eachVariant runs a test for every instruction set of this processor.
func eachVariant(t *testing.T, f func(t *testing.T, variant string)) {
	for _, v := range Variants() {
		t.Run(v, func(t *testing.T) { f(t, v) })
	}
}

func (c GRUConfig) String() string {
	return fmt.Sprintf("B=%d,T=%d,I=%d,H=%d,O=%d,reverse=%t", c.B, c.T, c.I, c.H, c.O, c.Reverse)
}
