package symmetric

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestDecompose: eigenvalues are gonum's, vectors are orthonormal and rebuild the matrix, whether eigenvalues are spread over many orders of magnitude, equal, or few.
func TestDecompose(t *testing.T) {
	rng := random.New(1, "symmetric")
	draw := func(n int, spread func(i int) float64) []float64 {
		q := mat.NewDense(n, n, nil)
		for i := range n {
			for j := range n {
				q.Set(i, j, rng.NormFloat64())
			}
		}
		var qr mat.QR
		qr.Factorize(q)
		qr.QTo(q)
		d := mat.NewDiagDense(n, nil)
		for i := range n {
			d.SetDiag(i, spread(i))
		}
		var a mat.Dense
		a.Product(q, d, q.T())
		return a.RawMatrix().Data
	}
	for _, n := range []int{1, 2, 3, 10, 50, 137} {
		for name, a := range map[string][]float64{
			"spread":   draw(n, func(i int) float64 { return math.Exp(-float64(i)) }),
			"equal":    draw(n, func(i int) float64 { return float64(i / 4) }),
			"low rank": draw(n, func(i int) float64 { return max(0, 1-float64(i)) }),
			"zero":     make([]float64, n*n),
			"tiny":     draw(n, func(i int) float64 { return 1e-200 * float64(i-1) }),
			"large":    draw(n, func(i int) float64 { return 1e200 * float64(i+1) }),
		} {
			values, vectors, ok := Decompose(a, n)
			if !ok {
				t.Errorf("%s, %d: not converged", name, n)
				continue
			}
			scale := 0.0
			for _, v := range values {
				scale = max(scale, math.Abs(v))
			}
			var e mat.EigenSym
			if scale > 1e-150 && scale < 1e150 {
				e.Factorize(mat.NewSymDense(n, a), false)
				for i, v := range e.Values(nil) {
					if math.Abs(v-values[i]) > 1e-13*float64(n)*scale {
						t.Errorf("%s, %d: eigenvalue %d is %v, gonum's %v", name, n, i, values[i], v)
					}
				}
			}
			for i := range n {
				for j := range n {
					sum, back := 0.0, 0.0
					for k := range n {
						sum += vectors[i*n+k] * vectors[j*n+k]
						if scale > 0 {
							back += vectors[k*n+i] * values[k] / scale * vectors[k*n+j]
						}
					}
					if i == j {
						sum--
					}
					if math.Abs(sum) > 1e-13*float64(n) {
						t.Fatalf("%s, %d: vectors %d and %d are orthonormal to %v", name, n, i, j, sum)
					}
					if scale > 0 && math.Abs(back-a[min(i, j)*n+max(i, j)]/scale) > 1e-13*float64(n) {
						t.Fatalf("%s, %d: element %d, %d is rebuilt as %v of %v", name, n, i, j, back*scale, a[i*n+j])
					}
				}
			}
		}
	}
	if _, _, ok := Decompose([]float64{1, math.NaN(), math.NaN(), 1}, 2); ok {
		t.Error("what is not a number was decomposed")
	}
}
