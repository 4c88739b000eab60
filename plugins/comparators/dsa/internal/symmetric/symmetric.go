// Package symmetric decomposes real symmetric matrices: gonum's reduction to tridiagonal form, then implicit QR with the eigenvectors as rows, where a rotation of two of them is
// a walk through contiguous memory. Gonum's own keeps them as columns and takes several times as long.
package symmetric

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	lapack "gonum.org/v1/gonum/lapack/gonum"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// sweeps bounds the iterations for one eigenvalue; they are two or three.
const sweeps = 60

// Decompose returns the eigenvalues of a (n, n), of which only the upper triangle is read, ascending, and their orthonormal eigenvectors as the rows of an (n, n) array. ok is false where
// the matrix is not finite or the iteration does not converge.
func Decompose(a []float64, n int) (values, vectors []float64, ok bool) {
	if n == 0 {
		return nil, nil, true
	}
	scale := 0.0
	for i := range n {
		for _, v := range a[i*n+i : i*n+n] {
			if v-v != 0 {
				return nil, nil, false
			}
			scale = max(scale, math.Abs(v))
		}
	}
	q := make([]float64, n*n)
	if scale == 0 {
		for i := range n {
			q[i*n+i] = 1
		}
		return make([]float64, n), q, true
	}
	// By the largest element, so that squares neither overflow nor vanish.
	for i, v := range a[:n*n] {
		q[i] = v / scale
	}
	d, e, tau := make([]float64, n), make([]float64, max(1, n-1)), make([]float64, max(1, n-1))
	var l lapack.Implementation
	work := make([]float64, 1)
	l.Dsytrd(blas.Upper, n, q, n, d, e[:n-1], tau[:n-1], work, -1)
	size := int(work[0])
	l.Dorgtr(blas.Upper, n, q, n, tau[:n-1], work, -1)
	work = make([]float64, max(size, int(work[0])))
	l.Dsytrd(blas.Upper, n, q, n, d, e[:n-1], tau[:n-1], work, len(work))
	l.Dorgtr(blas.Upper, n, q, n, tau[:n-1], work, len(work))
	for i := range n {
		for j := range i {
			q[i*n+j], q[j*n+i] = q[j*n+i], q[i*n+j]
		}
	}
	if !tridiagonal(d, e[:n-1], q, n) {
		return nil, nil, false
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(d[x], d[y]) })
	values, vectors = make([]float64, n), make([]float64, n*n)
	for to, from := range order {
		values[to] = d[from] * scale
		copy(vectors[to*n:to*n+n], q[from*n:])
	}
	return values, vectors, true
}

// tridiagonal turns rows of z as the implicit QR iteration with Wilkinson's shift turns the tridiagonal matrix of diagonal d and off-diagonal e to a diagonal one (Golub & Van Loan
// 2013, algorithm 8.3.3).
func tridiagonal(d, e, z []float64, n int) bool {
	tries := 0
	for high := n - 1; high > 0; {
		low := high
		for low > 0 {
			if math.Abs(e[low-1]) <= 0x1p-53*(math.Abs(d[low-1])+math.Abs(d[low])) {
				e[low-1] = 0
				break
			}
			low--
		}
		if low == high {
			high--
			tries = 0
			continue
		}
		if tries++; tries > sweeps {
			return false
		}
		half, b := (d[high-1]-d[high])/2, e[high-1]
		shift := d[high] - b*b/(half+math.Copysign(math.Hypot(half, b), half))
		x, y := d[low]-shift, e[low]
		for k := low; k < high; k++ {
			r := math.Hypot(x, y)
			c, s := 1.0, 0.0
			if r > 0 {
				c, s = x/r, y/r
			}
			if k > low {
				e[k-1] = r
			}
			p, q, t := d[k], d[k+1], e[k]
			d[k] = c*c*p + 2*c*s*t + s*s*q
			d[k+1] = s*s*p - 2*c*s*t + c*c*q
			e[k] = c*s*(q-p) + (c*c-s*s)*t
			if k < high-1 {
				x, y = e[k], s*e[k+1]
				e[k+1] *= c
			}
			product.Rotate(z[k*n:k*n+n], z[(k+1)*n:(k+1)*n+n], c, s)
		}
	}
	return true
}
