package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Functions of elements are those of the standard library to the precision of the type, wherever in an array an element stands, and at their ends.
func TestFunctions(t *testing.T) {
	t.Run("float32", func(t *testing.T) { testFunctions[float32](t, 4e-7) })
	t.Run("float64", func(t *testing.T) { testFunctions[float64](t, 1e-15) })
}

func testFunctions[F Float](t *testing.T, within float64) {
	for name, c := range map[string]struct {
		got  func(x, y []F) error
		want func(x float64) float64
	}{"sigmoid": {Sigmoid[F], func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }}, "tanh": {Tanh[F], math.Tanh}} {
		x := fill[F](rand.New(rand.NewPCG(1, 2)), 203, 3)
		x = append(x, 0, 1e-6, -1e-6, 30, -30, 1e30, -1e30, F(math.Inf(1)), F(math.Inf(-1)), F(math.NaN()))
		y := make([]F, len(x))
		must(t, c.got(x, y))
		for first := range 20 { // wherever it begins in memory
			part := make([]F, len(x)-first)
			must(t, c.got(x[first:], part))
			same(t, name, part[:200-first], y[first:200])
		}
		for i, x := range x {
			want := c.want(float64(x))
			if math.IsNaN(want) != math.IsNaN(float64(y[i])) || math.Abs(float64(y[i])-want) > within*math.Max(math.Abs(want), 1e-30) {
				t.Errorf("%s of %v is %v, want %v", name, x, y[i], want)
			}
			one := []F{x}
			must(t, c.got(one, one))
			if one[0] != y[i] && one[0] == one[0] {
				t.Errorf("%s of %v is %v in an array and %v alone", name, x, y[i], one[0])
			}
		}
		must(t, c.got(nil, nil))
		if c.got(x, y[1:]) == nil {
			t.Errorf("%s: lengths that differ are taken", name)
		}
	}
}
