package fixedpoints

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// roots are the x in (-1, 1) with x = tanh(2 x + u), by bisection between the places where the difference turns.
func roots(u float64) []float64 {
	f := func(x float64) float64 { return math.Atanh(x) - 2*x - u }
	// The derivative 1/(1-x^2) - 2 is 0 at +-sqrt(1/2).
	ends := []float64{-1 + 1e-15, -math.Sqrt(0.5), math.Sqrt(0.5), 1 - 1e-15}
	var out []float64
	for i := range 3 {
		low, high := ends[i], ends[i+1]
		if f(low)*f(high) > 0 {
			continue
		}
		for range 100 {
			if middle := (low + high) / 2; f(low)*f(middle) <= 0 {
				high = middle
			} else {
				low = middle
			}
		}
		out = append(out, (low+high)/2)
	}
	return out
}

// TestDriven: units that each hold a sign, x = tanh(2 x + u), begin where they rested without input. An input beyond the fold at |u| = 0.53284 drives some of them over to the other sign: where these were is
// a ghost, a minimum of q that is not 0, at which a descent of q stays. All points are known: those of each unit alone, in all combinations.
func TestDriven(t *testing.T) {
	for _, c := range []struct {
		name  string
		input []float64
		turn  float64
	}{
		{"one unit", []float64{0.6}, 0},
		{"two bits beside two that are driven", []float64{0, 0, 0.56, 0.7}, 0},
		{"the same in other coordinates", []float64{0, 0, 0.56, 0.7}, 0.7},
		{"three bits, one near its fold, beside one that is driven", []float64{0, 0.1, -0.5, 0.6}, 0.4},
	} {
		d := len(c.input)
		want := [][]float64{nil}
		for _, u := range c.input {
			var more [][]float64
			for _, x := range want {
				for _, r := range roots(u) {
					more = append(more, append(slices.Clone(x), r))
				}
			}
			want = more
		}
		turn := turned(d, c.turn)
		for i := range want {
			want[i] = turn(want[i], 1)
		}
		dynamics := toy{size: d, inputs: d, step: func(x, u, next []float64) {
			x = turn(x, -1)
			for i, v := range x {
				x[i] = math.Tanh(2*v + u[i])
			}
			copy(next, turn(x, 1))
		}, jacobian: func(x, u, js, ju []float64) {
			x = turn(x, -1)
			for k := range d {
				column := make([]float64, d)
				column[k] = 1
				column = turn(column, -1)
				for i, v := range x {
					h := math.Tanh(2*v + u[i])
					column[i] *= 2 * (1 - h*h)
				}
				for i, v := range turn(column, 1) {
					js[i*d+k] = v
				}
			}
		}}
		for seed := range uint64(3) {
			r := random.New(seed, "test")
			var starts []float64
			for range 200 {
				x := make([]float64, d)
				for i, u := range c.input {
					x[i] = -0.9575
					if math.Abs(u) <= 0.5 && r.Float64() < 0.5 {
						x[i] = 0.9575
					}
					x[i] += 0.3 * r.NormFloat64()
				}
				starts = append(starts, turn(x, 1)...)
			}
			set, err := Search{Dynamics: dynamics, Input: c.input, Threads: 2}.Find(t.Context(), starts)
			if err != nil {
				t.Fatal(err)
			}
			missing := 0
			for _, x := range want {
				if !slices.ContainsFunc(set.Fixed, func(p Point) bool { return distance(p.X, x) < 1e-8 }) {
					missing++
				}
			}
			if missing > 0 || len(set.Fixed) != len(want) || set.Unfinished > 0 {
				t.Errorf("%s, seed %d: %d points, %d of %d missing, %d starts without one", c.name, seed, len(set.Fixed), missing, len(want), set.Unfinished)
			}
		}
	}
}

// TestIndex: a point from which all goes away has the index -1, of which the result says that points may be missing; a set that is complete says nothing.
func TestIndex(t *testing.T) {
	for _, c := range []struct {
		d    toy
		says bool
	}{{linearNet([]float64{1.5}, 1), true}, {tanhNet([]float64{2}, []float64{0}), false}} {
		o, err := open(t, 1, 1, param.Values{"starts": 50, "exact": false}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{subject(t, "a", c.d, 4, 5)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r := opened.Find(t, o, "fixed_points", "a"); strings.Contains(r.Reason, "indices sum to -1") != c.says || r.Value == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// turned turns neighbouring coordinates by an angle, one pair after the other; in the sense -1 it turns them back.
func turned(d int, angle float64) func(x []float64, sense float64) []float64 {
	m := make([]float64, d*d)
	for i := range d {
		m[i*d+i] = 1
	}
	s, c := math.Sincos(angle)
	for i := range d - 1 {
		for k := range d {
			a, b := m[i*d+k], m[(i+1)*d+k]
			m[i*d+k], m[(i+1)*d+k] = c*a-s*b, s*a+c*b
		}
	}
	return func(x []float64, sense float64) []float64 {
		out := make([]float64, d)
		for i := range d {
			if sense > 0 {
				out[i] = floats.Dot(m[i*d:(i+1)*d], x)
			} else {
				floats.AddScaled(out, x[i], m[i*d:(i+1)*d])
			}
		}
		return out
	}
}
