package spectra

import (
	"math"
	"math/cmplx"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/combin"

	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func atomsOf(t testing.TB, n int, values ...float64) atoms {
	t.Helper()
	a, ok := newAtoms(mat.NewDense(n, n, values))
	if !ok {
		t.Fatal("no eigenvectors")
	}
	return a
}

// TestOperatorDistance: of normal operators that are turned by an angle the cost of each mode is known; of others all pairings are tried.
func TestOperatorDistance(t *testing.T) {
	const angle = 0.3
	c, s := math.Cos(angle), math.Sin(angle)
	a := atomsOf(t, 2, 0.9, 0, 0, 0.2)
	turned := atomsOf(t, 2, 0.9*c*c+0.2*s*s, 0.7*c*s, 0.7*c*s, 0.9*s*s+0.2*c*c)
	for _, eta := range []float64{0, 0.5, 1} {
		if got, want := operatorDistance(a, turned, eta), (1-eta)*math.Sqrt(1-c*c*c*c); math.Abs(got-want) > 1e-9 {
			t.Errorf("eta %v: %v, want %v", eta, got, want)
		}
	}
	// The same directions, other eigenvalues.
	if got, want := operatorDistance(a, atomsOf(t, 2, 0.8, 0, 0, 0.4), 0.5), 0.5*math.Sqrt((0.01+0.04)/2); math.Abs(got-want) > 1e-9 {
		t.Errorf("%v, want %v", got, want)
	}
	rng := random.New(1, "spectra/test")
	for range 10 {
		const n = 4
		var values [2][]float64
		for i := range values {
			for range n * n {
				values[i] = append(values[i], rng.NormFloat64())
			}
		}
		x, y := atomsOf(t, n, values[0]...), atomsOf(t, n, values[1]...)
		// The atom of an eigenvalue is the projector r v^H, whose angle to another needs no eigenvectors apart.
		projector := func(a atoms, i int) *mat.CDense {
			p := mat.NewCDense(n, n, nil)
			for r := range n {
				for k := range n {
					p.Set(r, k, a.right.At(r, i)*cmplx.Conj(a.left.At(k, i)))
				}
			}
			return p
		}
		best := math.Inf(1)
		for _, order := range combin.Permutations(n, n) {
			sum := 0.0
			for i, j := range order {
				p, q := projector(x, i), projector(y, j)
				var inner complex128
				for r := range n {
					for k := range n {
						inner += cmplx.Conj(p.At(r, k)) * q.At(r, k)
					}
				}
				same := cmplx.Abs(inner)
				cost := 0.3*cmplx.Abs(x.values[i]-y.values[j]) + 0.7*math.Sqrt(max(0, 1-same*same))
				sum += cost * cost / n
			}
			best = min(best, math.Sqrt(sum))
		}
		if got := operatorDistance(x, y, 0.3); math.Abs(got-best) > 1e-9 || math.Abs(got-operatorDistance(y, x, 0.3)) > 1e-9 {
			t.Errorf("%v, want %v", got, best)
		}
	}
}

// spirals are latents of a noisy linear system of two rotations, seen through map (4, width).
func spirals(seed uint64, n, bins int, turns [2]float64, through *mat.Dense) *tensor.Tensor {
	rng := random.New(seed, "spectra/spirals")
	_, width := through.Dims()
	x := tensor.New64(comparator.Latents, n, bins, width)
	for k := range n {
		z := make([]float64, 4)
		for b := range bins {
			for i, w := range turns {
				p, q := z[2*i], z[2*i+1]
				z[2*i], z[2*i+1] = 0.95*(math.Cos(w)*p-math.Sin(w)*q)+rng.NormFloat64(), 0.95*(math.Sin(w)*p+math.Cos(w)*q)+0.5*rng.NormFloat64()
			}
			for j := range width {
				for i, v := range z {
					x.F64[(k*bins+b)*width+j] += v * through.At(i, j)
				}
			}
		}
	}
	return x
}

// TestSGOT: the same dynamics in other coordinates are at no distance; those that turn at another speed are, and shuffled bins more so.
func TestSGOT(t *testing.T) {
	rng := random.New(3, "spectra/test")
	through := mat.NewDense(4, 6, nil)
	for i := range 4 {
		for j := range 6 {
			through.Set(i, j, rng.NormFloat64())
		}
	}
	plain := mat.NewDense(4, 4, []float64{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1})
	as := func(label string, role comparator.Role, x *tensor.Tensor) comparator.Subject {
		return comparator.Subject{Label: label, Role: role, Train: tensor.Set{x.Slice(0, 40)}, Valid: tensor.Set{x.Slice(40, 70)}}
	}
	o := compare(t, param.Values{"operator_variance": 1.0, "bootstrap": 100}, as("truth", comparator.Truth, spirals(1, 70, 60, [2]float64{0.1, 0.5}, plain)),
		as("same", comparator.Fitted, spirals(1, 70, 60, [2]float64{0.1, 0.5}, through)), as("other", comparator.Fitted, spirals(2, 70, 60, [2]float64{0.2, 0.9}, through)))
	same, other := opened.Find(t, o, "sgot", "same"), opened.Find(t, o, "sgot", "other")
	// The ridge alone is seen.
	if !(same.Value < 1e-3) || !(same.Null > 0.2) || same.N != 30 {
		t.Errorf("%+v", same)
	}
	if !(other.Value > 0.2) || !(other.Low <= other.Value && other.Value <= other.High) {
		t.Errorf("%+v", other)
	}
	// Recordings that have nothing to do with each other are taken onto each other by a map that explains nothing, and this is told.
	if same.Reason != "" || !strings.Contains(other.Reason, "the map from the latents of other explains") {
		t.Errorf("reasons %q and %q", same.Reason, other.Reason)
	}
	// The matrix has both ways, of which the way back is that of the subjects in the other order.
	back := compare(t, param.Values{"operator_variance": 1.0, "bootstrap": 0}, as("other", comparator.Truth, spirals(2, 70, 60, [2]float64{0.2, 0.9}, through)),
		as("truth", comparator.Fitted, spirals(1, 70, 60, [2]float64{0.1, 0.5}, plain)))
	if m, r := o.Matrices.Get("sgot"), opened.Find(t, back, "sgot", "truth"); m.F64[2] != other.Value || m.F64[6] != r.Value || m.F64[2] == m.F64[6] {
		t.Errorf("other taken onto the truth is at %v, the truth taken onto the other at %v; the matrix has %v", other.Value, r.Value, m.F64)
	}
	// The operator's eigenvalues are those of the system: 0.95 exp(+-i w).
	x := spirals(1, 300, 60, [2]float64{0.1, 0.5}, plain)
	sums := make([]float64, 32)
	for k := range 300 {
		for i, v := range lagged(x.F64[k*240:(k+1)*240], 4) {
			sums[i] += v
		}
	}
	var solved mat.Dense
	if err := solved.Solve(mat.NewDense(4, 4, sums[:16]), mat.NewDense(4, 4, sums[16:])); err != nil {
		t.Fatal(err)
	}
	a, _ := newAtoms(solved.T())
	for _, w := range []float64{0.1, -0.1, 0.5, -0.5} {
		want := cmplx.Rect(0.95, w)
		if !slices.ContainsFunc(a.values, func(v complex128) bool { return cmplx.Abs(v-want) < 0.02 }) {
			t.Errorf("no eigenvalue near %v among %v", want, a.values)
		}
	}
}
