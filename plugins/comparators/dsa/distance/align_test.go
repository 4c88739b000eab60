package distance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// gaussian is a random (n, n) matrix, orthogonal one of the given determinant.
func gaussian(seed uint64, n int) *mat.Dense {
	rng := random.New(seed, "distance/test", uint64(n))
	m := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	return m
}

func orthogonal(seed uint64, n, determinant int) *mat.Dense {
	var qr mat.QR
	qr.Factorize(gaussian(seed, n))
	var q mat.Dense
	qr.QTo(&q)
	if mat.Det(&q)*float64(determinant) < 0 {
		for i := range n {
			q.Set(i, 0, -q.At(i, 0))
		}
	}
	return &q
}

// rotations is block diagonal with scaled rotations: normal, and each eigenvalue of its symmetric part is there twice.
func rotations(n int) *mat.Dense {
	m := mat.NewDense(n, n, nil)
	for i := 0; i < n; i += 2 {
		if i+1 == n {
			m.Set(i, i, 0.5)
			break
		}
		g, w := 0.9-0.01*float64(i), 0.1+0.05*float64(i)
		m.Set(i, i, g*math.Cos(w))
		m.Set(i, i+1, -g*math.Sin(w))
		m.Set(i+1, i, g*math.Sin(w))
		m.Set(i+1, i+1, g*math.Cos(w))
	}
	return m
}

// TestConjugates: exactly conjugate systems have distance 0, whatever the determinant of what turns one to the other, and symmetric, skew, normal and
// nearly degenerate operators as well as general ones.
func TestConjugates(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 10, 11, 50, 100} {
		if testing.Short() && n > 50 {
			continue
		}
		general := gaussian(1, n)
		var symmetric, skew, shift, stable, projector mat.Dense
		symmetric.Add(general, general.T())
		skew.Sub(general, general.T())
		shift.CloneFrom(mat.NewDense(n, n, nil))
		projector.CloneFrom(mat.NewDense(n, n, nil))
		for i := range n {
			shift.Set((i+1)%n, i, 1)
			if i <= n/2 {
				projector.Set(i, i, 1)
			}
		}
		stable.Scale(0.05/math.Sqrt(float64(n)), general)
		for i := range n {
			stable.Set(i, i, stable.At(i, i)+0.95)
		}
		for _, c := range []struct {
			name string
			a    *mat.Dense
		}{{"general", general}, {"symmetric", &symmetric}, {"skew", &skew}, {"rotations", rotations(n)}, {"shift", &shift}, {"near the identity", &stable}, {"projector", &projector}} {
			if c.name == "skew" && n == 1 {
				continue // It is 0.
			}
			for _, det := range []int{1, -1} {
				t.Run(fmt.Sprintf("%s/%d/%+d", c.name, n, det), func(t *testing.T) {
					q := orthogonal(2, n, det)
					var b mat.Dense
					b.Product(q, c.a, q.T())
					x, y := operator(t, c.a), operator(t, &b)
					r, err := Align(t.Context(), x, y, Options{})
					if err != nil {
						t.Fatal(err)
					}
					if !(r.Angular < 1e-6) || !(r.Euclidean < 1e-6) {
						t.Errorf("distance %v, bound %v, after %d starts", r.Angular, r.Bound, r.Starts)
					}
					checkAlignment(t, x, y, r)
				})
			}
		}
	}
}

// TestSymmetry: both orders give the same distance, and so does every call, on any number of threads; C of one is the transpose of that of the other.
func TestSymmetry(t *testing.T) {
	for _, n := range []int{2, 5, 12, 25} {
		a, b := operator(t, gaussian(3, n)), operator(t, gaussian(4, n))
		first, err := Align(t.Context(), a, b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := Align(t.Context(), b, a, Options{Threads: 3})
		if err != nil {
			t.Fatal(err)
		}
		if back.Angular != first.Angular || back.Euclidean != first.Euclidean || back.Bound != first.Bound || !mat.Equal(back.C.T(), first.C) {
			t.Errorf("n %d: %v one way, %v the other", n, first.Angular, back.Angular)
		}
		if first.Gap() < 0 || first.Bound > first.Angular {
			t.Errorf("n %d: %v with bound %v", n, first.Angular, first.Bound)
		}
		checkAlignment(t, b, a, back)
		// A turned operator is as far away, up to what another search finds.
		q := orthogonal(5, n, -1)
		var turned mat.Dense
		turned.Product(q, b.Matrix(), q.T())
		moved, err := Align(t.Context(), a, operator(t, &turned), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if d := math.Abs(moved.Angular - first.Angular); n <= 12 && d > 1e-6 {
			t.Errorf("n %d: the distance changes by %v with the second operator's coordinates", n, d)
		}
	}
}

// TestSmallByHand: of two rows, every orthogonal matrix can be tried.
func TestSmallByHand(t *testing.T) {
	for seed := range uint64(20) {
		a, b := operator(t, gaussian(10+seed, 2)), operator(t, gaussian(40+seed, 2))
		best := math.Inf(1)
		for k := range 20000 {
			s, c := math.Sincos(2 * math.Pi * float64(k) / 20000)
			for _, det := range []float64{1, -1} {
				r := mat.NewDense(2, 2, []float64{c, -s * det, s, c * det})
				var m mat.Dense
				m.Product(r, b.Matrix(), r.T())
				m.Sub(a.Matrix(), &m)
				best = min(best, mat.Norm(&m, 2))
			}
		}
		r, err := Align(t.Context(), a, b, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Euclidean > best+1e-12 || r.Euclidean < best-1e-6 {
			t.Errorf("seed %d: %v, by trying all %v", seed, r.Euclidean, best)
		}
	}
}

func TestBadOperators(t *testing.T) {
	for name, m := range map[string]*mat.Dense{
		"not square": mat.NewDense(2, 3, []float64{1, 2, 3, 4, 5, 6}),
		"zero":       mat.NewDense(2, 2, nil),
		"NaN":        mat.NewDense(1, 1, []float64{math.NaN()}),
		"infinite":   mat.NewDense(1, 1, []float64{math.Inf(1)}),
	} {
		if _, err := NewOperator(m); !errors.Is(err, ErrOperator) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	a, b := operator(t, gaussian(1, 3)), operator(t, gaussian(1, 4))
	if _, err := Align(t.Context(), a, b, Options{}); !errors.Is(err, ErrSizes) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Align(ctx, a, operator(t, gaussian(2, 3)), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, scale := range []float64{1e-200, 1e200} {
		var m mat.Dense
		m.Scale(scale, gaussian(1, 3))
		if r, err := Align(t.Context(), a, operator(t, &m), Options{}); err != nil || r.Angular > 1e-6 {
			t.Errorf("scaled by %v: %v, error %v", scale, r.Angular, err)
		}
	}
}
