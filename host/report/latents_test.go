package report

import (
	"math"
	"math/rand/v2"
	"testing"
)

func wholeCube(data []float64, trials, bins, channels int) *cube {
	c := &cube{data: data, trials: trials, bins: bins, channels: channels, lengths: make([]int, trials)}
	for i := range c.lengths {
		c.lengths[i] = bins
	}
	return c
}

// Points with variances 9, 1 and 0.01 along known orthonormal axes: the plane is that of the first two.
func TestPlaneIsThatOfMostVariance(t *testing.T) {
	axes := [3][3]float64{{2. / 3, 2. / 3, 1. / 3}, {-2. / 3, 1. / 3, 2. / 3}, {1. / 3, -2. / 3, 2. / 3}}
	sd := [3]float64{3, 1, 0.1}
	r := rand.New(rand.NewPCG(1, 2))
	const trials, bins = 20, 400
	data := make([]float64, 0, trials*bins*3)
	for range trials * bins {
		row := [3]float64{5, -2, 1}
		for k := range axes {
			z := sd[k] * r.NormFloat64()
			for j := range row {
				row[j] += z * axes[k][j]
			}
		}
		data = append(data, row[:]...)
	}
	p, err := newPlane(wholeCube(data, trials, bins, 3))
	must(t, err)
	for k := range 2 {
		dot := 0.0
		for j := range 3 {
			dot += p.axes.At(j, k) * axes[k][j]
		}
		if math.Abs(math.Abs(dot)-1) > 1e-3 {
			t.Errorf("axis %d is at cosine %v to the true one", k, dot)
		}
		if want := sd[k] * sd[k] / 10.01; math.Abs(p.shares[k]-want) > 0.02 {
			t.Errorf("share of variance %v, want %v", p.shares[k], want)
		}
	}
}

// Any invertible affine map of the latents is undone, also where a latent is given twice.
func TestMappingUndoesAnAffineMap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const trials, bins, d = 6, 50, 3
	truth := make([]float64, trials*bins*d)
	for i := range truth {
		truth[i] = r.NormFloat64()
	}
	mix := [d][d + 1]float64{{1, 2, 0, 1}, {0, 1, -1, 0}, {1, 0, 1, 1}}
	var inferred []float64
	for row := range trials * bins {
		for k := range d + 1 {
			v := 0.7
			for j := range d {
				v += truth[row*d+j] * mix[j][k]
			}
			inferred = append(inferred, v)
		}
	}
	a, b := wholeCube(truth, trials, bins, d), wholeCube(inferred, trials, bins, d+1)
	p, err := newPlane(a)
	must(t, err)
	target := p.project(a)
	m, err := fitMapping(b, target)
	must(t, err)
	if r2 := planeR2(target, m.apply(b)); math.Abs(r2-1) > 1e-10 {
		t.Errorf("R2 %v, want 1", r2)
	}
}

func TestPlaneNeedsTwoDimensionsThatVary(t *testing.T) {
	for name, c := range map[string]*cube{
		"one dimension": wholeCube([]float64{1, 2, 3, 4}, 1, 4, 1),
		"constant":      wholeCube(make([]float64, 20), 1, 10, 2),
		"one bin":       wholeCube([]float64{1, 2}, 1, 1, 2),
	} {
		if _, err := newPlane(c); err == nil {
			t.Errorf("%s: a plane was found", name)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	for _, tc := range []struct {
		v    float64
		want string
	}{{0.97, "0.970"}, {-0.41234, "−0.412"}, {0, "0.000"}, {1.23e-5, "1.23e−5"}, {1234.5, "1234.500"}, {2.5e7, "2.50e7"}, {math.NaN(), ""}, {math.Inf(1), ""}} {
		if got := number(tc.v); got != tc.want {
			t.Errorf("number(%v) = %q, want %q", tc.v, got, tc.want)
		}
	}
	for _, tc := range []struct {
		seconds float64
		want    string
	}{{4.2, "4.2 s"}, {95, "95 s"}, {131, "2 min 11 s"}, {7300, "2 h 01 min"}, {math.NaN(), ""}} {
		if got := span(tc.seconds); got != tc.want {
			t.Errorf("span(%v) = %q, want %q", tc.seconds, got, tc.want)
		}
	}
	for _, tc := range []struct {
		n, k int
		want []int
	}{{50, 4, []int{0, 16, 32, 49}}, {2, 4, []int{0, 1}}, {0, 2, nil}, {10, 1, []int{0}}} {
		got := spread(tc.n, tc.k)
		if len(got) != len(tc.want) {
			t.Errorf("spread(%d, %d) = %v, want %v", tc.n, tc.k, got, tc.want)
			continue
		}
		for i := range got {
			if got[i] != tc.want[i] {
				t.Errorf("spread(%d, %d) = %v, want %v", tc.n, tc.k, got, tc.want)
			}
		}
	}
	for _, tc := range []struct {
		v          float64
		unit, want string
	}{{27, "points", "27\u2008\u2007\u2007\u2007"}, {-3, "points", "−3\u2008\u2007\u2007\u2007"}, {2.5, "points", "2.500"}, {27, "rad", "27.000"}, {math.NaN(), "points", ""}} {
		if got := counted(tc.v, tc.unit); got != tc.want {
			t.Errorf("counted(%v, %q) = %q, want %q", tc.v, tc.unit, got, tc.want)
		}
	}
}
