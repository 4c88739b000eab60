package distance

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Follow finds the angle between a and C b C^T in radians that a descent from the given C comes to, within its determinant: the distance of operators near two that [Align]
// has aligned with that C, for a fraction of its cost. It is one descent, and so an upper bound on the distance without the promises of Align.
func Follow(ctx context.Context, a, b mat.Matrix, c *mat.Dense) (float64, error) {
	x, err := scaled(a)
	if err != nil {
		return 0, err
	}
	y, err := scaled(b)
	if err != nil {
		return 0, err
	}
	if r, k := c.Dims(); x.n != y.n || r != x.n || k != x.n {
		return 0, fmt.Errorf("%w: %d and %d rows, from C of shape (%d, %d)", ErrSizes, x.n, y.n, r, k)
	}
	if err := x.diagonalise(); err != nil {
		return 0, err
	}
	y.own = y.a
	var from mat.Dense
	from.Mul(mat.NewDense(x.n, x.n, x.u).T(), c)
	e, err := newDescent(x, y).run(ctx, from.RawMatrix().Data, followed, followTolerance)
	return e.angular, err
}

// A descent that begins near its end needs few steps, and what it is followed for, a spread, few digits.
const (
	followed        = 200
	followTolerance = 1e-5
)

// Spectrum is the eigenvalues of a matrix, sorted by real, then imaginary part.
func Spectrum(a mat.Matrix) ([]complex128, error) {
	o, err := scaled(a)
	if err != nil {
		return nil, err
	}
	if err := o.spectra(a); err != nil {
		return nil, err
	}
	return o.eigenvalues, nil
}

// scaled checks a matrix and scales it to Frobenius norm 1, without what an alignment prepares.
func scaled(a mat.Matrix) (*Operator, error) {
	n, c := a.Dims()
	if n != c || n == 0 {
		return nil, fmt.Errorf("%w: shape (%d, %d): it must be square and not empty", ErrOperator, n, c)
	}
	o := &Operator{n: n, a: make([]float64, n*n)}
	largest := 0.0
	for i := range n {
		for j := range n {
			v := a.At(i, j)
			if v-v != 0 {
				return nil, fmt.Errorf("%w: element (%d, %d) is %v: it must be finite", ErrOperator, i, j, v)
			}
			o.a[i*n+j] = v
			largest = max(largest, math.Abs(v))
		}
	}
	if largest == 0 {
		return nil, fmt.Errorf("%w: all elements are 0: there is no direction to compare", ErrOperator)
	}
	// By the largest element first, so that squares neither overflow nor vanish.
	sum := 0.0
	for i := range o.a {
		o.a[i] /= largest
		sum += o.a[i] * o.a[i]
	}
	for i := range o.a {
		o.a[i] /= math.Sqrt(sum)
	}
	return o, nil
}
