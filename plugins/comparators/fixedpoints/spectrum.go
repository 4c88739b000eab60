package fixedpoints

import (
	"cmp"
	"context"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// Linear is the dynamics around a point: x' - p = J (x - p) + B (u' - u).
type Linear struct {
	// Jacobian J (state, state), nil where it is not kept, and InputJacobian B (state, inputs), row-major.
	Jacobian, InputJacobian []float64
	// Eigenvalues of J in order of falling modulus, of a conjugate pair the one above the real axis first.
	Eigenvalues []complex128
	// Right and Left are the leading eigenvectors, J r = lambda r and l^H J = lambda l^H, of norm 1 with a positive largest element.
	Right, Left [][]complex128
	// Unstable is the number of eigenvalues of modulus above 1.
	Unstable int
}

// longest is the modulus of the time constant of an eigenvalue of modulus 1, in steps: no number is NaN or infinite.
const longest = 1e12

// TimeConstant is -dt/ln|lambda|: the time in which a perturbation falls to 1/e, or, negative, that in which it grows e-fold.
func TimeConstant(lambda complex128, dt float64) float64 {
	m := cmplx.Abs(lambda)
	if m == 0 {
		return 0
	}
	tau := -1 / math.Log(m)
	if math.IsInf(tau, 0) || math.Abs(tau) > longest {
		tau = math.Copysign(longest, 1-m)
	}
	return tau * dt
}

// linearise computes the spectra of points, with as many eigenvectors; Jacobians are kept for [system.basins] alone.
func (s *system) linearise(ctx context.Context, points []Point, vectors int, keep bool) ([]Linear, error) {
	out := make([]Linear, len(points))
	err := each(ctx, s.threads, len(points), 1, func(ctx context.Context, i, _ int) error {
		js, ju, err := s.jacobians(ctx, points[i].X)
		if err != nil {
			return err
		}
		out[i], err = linear(js, ju, s.size(), vectors)
		if !keep {
			out[i].Jacobian = nil
		}
		return err
	})
	return out, err
}

func linear(js, ju []float64, d, vectors int) (Linear, error) {
	l := Linear{Jacobian: js, InputJacobian: ju}
	kind := mat.EigenNone
	if vectors > 0 {
		kind = mat.EigenBoth
	}
	var e mat.Eigen
	if !finite(js) || !e.Factorize(mat.NewDense(d, d, slices.Clone(js)), kind) {
		return l, trials.Omit("a Jacobian has no eigenvalues: it is not finite, or the iteration did not converge")
	}
	values := e.Values(nil)
	order := make([]int, d)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := values[a], values[b]
		return cmp.Or(cmp.Compare(cmplx.Abs(y), cmplx.Abs(x)), cmp.Compare(real(y), real(x)), cmp.Compare(imag(y), imag(x)))
	})
	var right, left mat.CDense
	if vectors > 0 {
		e.VectorsTo(&right)
		e.LeftVectorsTo(&left)
	}
	for i, k := range order {
		l.Eigenvalues = append(l.Eigenvalues, values[k])
		if cmplx.Abs(values[k]) > 1 {
			l.Unstable++
		}
		if i < vectors {
			l.Right = append(l.Right, column(&right, k))
			l.Left = append(l.Left, column(&left, k))
		}
	}
	return l, nil
}

// column is a column turned so that its largest element is positive.
func column(m *mat.CDense, k int) []complex128 {
	rows, _ := m.Dims()
	out := make([]complex128, rows)
	largest, norm := complex(0, 0), 0.0
	for i := range out {
		out[i] = m.At(i, k)
		a := cmplx.Abs(out[i])
		norm += a * a
		// Of elements that are as large but for rounding the first counts.
		if a > cmplx.Abs(largest)*(1+1e-9) {
			largest = out[i]
		}
	}
	if norm == 0 {
		return out
	}
	turn := cmplx.Conj(largest) / complex(cmplx.Abs(largest)*math.Sqrt(norm), 0)
	for i := range out {
		out[i] *= turn
	}
	return out
}
