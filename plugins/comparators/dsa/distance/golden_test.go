package distance

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
)

func matrix(t testing.TB, c golden.Case, name string) *mat.Dense {
	t.Helper()
	x := c.Tensors[name]
	if x == nil {
		t.Fatalf("%s has no %s", c.Name, name)
	}
	return mat.NewDense(x.Shape[0], x.Shape[1], x.Float64s())
}

func operator(t testing.TB, m mat.Matrix) *Operator {
	t.Helper()
	o, err := NewOperator(m)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestGoldenDistances: on every pair the distance is not above the best of the reference's five seeds, and as low as the lowest that is known; C is
// orthogonal and gives that distance; the bound is below it.
func TestGoldenDistances(t *testing.T) {
	for _, c := range golden.Select(t, "dsa.json", func(c golden.Case) bool { return c.Tensors["ref_angular_min"] != nil }) {
		t.Run(c.Name, func(t *testing.T) {
			a, b := operator(t, matrix(t, c, "A")), operator(t, matrix(t, c, "B"))
			r, err := Align(t.Context(), a, b, Options{})
			if err != nil {
				t.Fatal(err)
			}
			refA, refE := c.Floats(t, "ref_angular_min")[0], c.Floats(t, "ref_euclidean_min")[0]
			bestA, bestE := c.Floats(t, "best_known_angular")[0], c.Floats(t, "best_known_euclidean")[0]
			t.Logf("n %d: %.9f, best known %+.1e, reference %+.1e, bound %.6f, %d starts", a.Size(), r.Angular, r.Angular-bestA, r.Angular-refA, r.Bound, r.Starts)
			if r.Angular > refA+1e-9 || r.Euclidean > refE+1e-9 {
				t.Errorf("%v rad, %v: the reference has %v, %v", r.Angular, r.Euclidean, refA, refE)
			}
			if r.Angular > bestA+1e-6 || r.Euclidean > bestE+1e-6 {
				t.Errorf("%v rad, %v: %v, %v are known", r.Angular, r.Euclidean, bestA, bestE)
			}
			if r.Bound > bestA+1e-9 {
				t.Errorf("bound %v is above %v, which is attained", r.Bound, bestA)
			}
			checkAlignment(t, a, b, r)
		})
	}
}

// checkAlignment recomputes what C gives.
func checkAlignment(t *testing.T, a, b *Operator, r Alignment) {
	t.Helper()
	var i, m mat.Dense
	i.Mul(r.C.T(), r.C)
	for k := range a.Size() {
		i.Set(k, k, i.At(k, k)-1)
	}
	if e := mat.Norm(&i, 2); e > 1e-12 {
		t.Errorf("C is orthogonal to %v only", e)
	}
	if d := mat.Det(r.C); math.Abs(d-float64(r.Determinant)) > 1e-9 {
		t.Errorf("determinant %v, reported %d", d, r.Determinant)
	}
	m.Product(r.C, b.Matrix(), r.C.T())
	m.Sub(a.Matrix(), &m)
	if e := mat.Norm(&m, 2); math.Abs(e-r.Euclidean) > 1e-11 {
		t.Errorf("|A - C B C^T| is %v, reported %v", e, r.Euclidean)
	}
	if e := 2 * math.Asin(r.Euclidean/2); math.Abs(e-r.Angular) > 1e-12 {
		t.Errorf("angle %v for distance %v", r.Angular, r.Euclidean)
	}
}
