package distance

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/combin"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/sdk/random"
)

func spectrum(t testing.TB, c golden.Case, name string) []complex128 {
	t.Helper()
	v := c.Floats(t, name)
	out := make([]complex128, len(v)/2)
	for i := range out {
		out[i] = complex(v[2*i], v[2*i+1])
	}
	return out
}

func TestGoldenWasserstein(t *testing.T) {
	for _, c := range golden.Select(t, "dsa.json", func(c golden.Case) bool { return c.Tensors["w2_unpadded"] != nil }) {
		x, y := spectrum(t, c, "eig_A"), spectrum(t, c, "eig_B")
		got, err := Wasserstein(x, y)
		if err != nil {
			t.Fatal(err)
		}
		back, _ := Wasserstein(y, x)
		if want := c.Floats(t, "w2_unpadded")[0]; math.Abs(got-want) > 1e-9 || math.Abs(got-back) > 1e-12 {
			t.Errorf("%s: %v one way, %v the other, want %v", c.Name, got, back, want)
		}
	}
}

// TestWassersteinByBruteForce tries every permutation, of spectra repeated to a common size.
func TestWassersteinByBruteForce(t *testing.T) {
	rng := random.New(1, "wasserstein")
	// The sizes and their common multiple.
	for _, s := range [][3]int{{1, 1, 1}, {5, 5, 5}, {7, 7, 7}, {2, 3, 6}, {2, 6, 6}, {3, 1, 3}, {8, 2, 8}} {
		draw := func(n int) []complex128 {
			x := make([]complex128, n)
			for i := range x {
				x[i] = complex(float64(rng.IntN(4)), rng.NormFloat64())
			}
			return x
		}
		x, y := draw(s[0]), draw(s[1])
		if s[0] == 7 {
			y[1], y[2] = y[0], y[0] // Repeated eigenvalues.
		}
		got, err := Wasserstein(x, y)
		if err != nil {
			t.Fatal(err)
		}
		l := s[2]
		best := math.Inf(1)
		for _, p := range combin.Permutations(l, l) {
			sum := 0.0
			for i, j := range p {
				d := x[i*s[0]/l] - y[j*s[1]/l]
				sum += real(d)*real(d) + imag(d)*imag(d)
			}
			best = min(best, math.Sqrt(sum/float64(l)))
		}
		if math.Abs(got-best) > 1e-12 {
			t.Errorf("%v: %v, by brute force %v", s, got, best)
		}
	}
	for _, bad := range [][]complex128{nil, {complex(math.NaN(), 0)}, {complex(0, math.Inf(1))}} {
		if _, err := Wasserstein([]complex128{1}, bad); !errors.Is(err, ErrSpectrum) {
			t.Errorf("%v: error %v", bad, err)
		}
	}
}

func TestGoldenControllability(t *testing.T) {
	for _, c := range golden.Select(t, "input_dsa.json", func(c golden.Case) bool { return c.Tensors["joint_euclidean"] != nil }) {
		s, err := Controllability(Driven{matrix(t, c, "A1"), matrix(t, c, "B1")}, Driven{matrix(t, c, "A2"), matrix(t, c, "B2")})
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string]Pair{"joint": s.Joint, "state": s.State, "control": s.Input, "control_alone": s.InputAlone} {
			if want := c.Floats(t, name+"_euclidean")[0]; math.Abs(p.Euclidean-want) > 1e-9 {
				t.Errorf("%s: %s: Euclidean %v, want %v", c.Name, name, p.Euclidean, want)
			}
			tolerance := 1e-9
			if p.Angular < 1e-6 {
				tolerance = 1e-6 // The reference's arccos has no more near 0.
			}
			if want := c.Floats(t, name+"_angular")[0]; math.Abs(p.Angular-want) > tolerance {
				t.Errorf("%s: %s: angle %v, want %v", c.Name, name, p.Angular, want)
			}
		}
		var d mat.Dense
		d.Sub(s.C, matrix(t, c, "C"))
		if e := mat.Norm(&d, 2); e > 1e-8 {
			t.Errorf("%s: C differs by %v", c.Name, e)
		}
	}
}
