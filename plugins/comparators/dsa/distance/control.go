package distance

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// ErrDriven is returned, wrapped, for driven systems that cannot be compared.
var ErrDriven = errors.New("distance: unusable driven system")

// Driven is a linear system x' = A x + B u; A is (n, n), B is (n, m).
type Driven struct{ A, B mat.Matrix }

// Similarity of two driven systems under one orthogonal map of states.
type Similarity struct {
	// C takes states of the first system to states of the second.
	C *mat.Dense
	// Joint compares what inputs can reach, |C K1 - K2|; State the operators, |C A1 C^T - A2|; Input the input maps, |C B1 - B2|. InputAlone is the last under
	// the map that suits the input maps alone.
	Joint, State, Input, InputAlone Pair
}

// Pair is a Frobenius distance and the angle between the same two matrices in radians.
type Pair struct{ Euclidean, Angular float64 }

// Controllability compares two driven systems of the same sizes by their controllability matrices K = [B, AB, A^T B, A^2 B, (A^T)^2 B, ...] up to power n-1
// (Huang et al. 2025): C = U V^T of the singular value decomposition of K2 K1^T is the orthogonal map that brings K1 closest to K2, in
// closed form. Where the inputs reach every state of both, conjugate systems have distance 0.
func Controllability(one, two Driven) (Similarity, error) {
	n, m, err := one.size("first")
	if err != nil {
		return Similarity{}, err
	}
	n2, m2, err := two.size("second")
	if err != nil {
		return Similarity{}, err
	}
	if n != n2 || m != m2 {
		return Similarity{}, fmt.Errorf("%w: %d states and %d inputs against %d and %d: both must be the same", ErrDriven, n, m, n2, m2)
	}
	k1, k2 := one.reach(n, m), two.reach(n, m)
	c, err := procrustes(k1, k2)
	if err != nil {
		return Similarity{}, err
	}
	alone, err := procrustes(mat.DenseCopyOf(one.B), mat.DenseCopyOf(two.B))
	if err != nil {
		return Similarity{}, err
	}
	var ck, ca, cb, cbAlone mat.Dense
	ck.Mul(c, k1)
	ca.Product(c, one.A, c.T())
	cb.Mul(c, one.B)
	cbAlone.Mul(alone, one.B)
	return Similarity{
		C: c, Joint: between(&ck, k2), State: between(&ca, mat.DenseCopyOf(two.A)), Input: between(&cb, mat.DenseCopyOf(two.B)),
		InputAlone: between(&cbAlone, mat.DenseCopyOf(two.B)),
	}, nil
}

func (d Driven) size(which string) (n, m int, err error) {
	n, c := d.A.Dims()
	r, m := d.B.Dims()
	if n != c || n != r || m == 0 {
		return 0, 0, fmt.Errorf("%w: %s: A is (%d, %d) and B (%d, %d): (n, n) and (n, m) are needed", ErrDriven, which, n, c, r, m)
	}
	for _, x := range []mat.Matrix{d.A, d.B} {
		if sum := mat.Norm(x, 2); sum-sum != 0 || sum == 0 {
			return 0, 0, fmt.Errorf("%w: %s: a norm is %v: it must be finite and above 0", ErrDriven, which, sum)
		}
	}
	return n, m, nil
}

// reach is K.
func (d Driven) reach(n, m int) *mat.Dense {
	k := mat.NewDense(n, m*(2*n-1), nil)
	put := func(block int, x mat.Matrix) { k.Slice(0, n, block*m, (block+1)*m).(*mat.Dense).Copy(x) }
	put(0, d.B)
	forward, backward := mat.DenseCopyOf(d.B), mat.DenseCopyOf(d.B)
	for p := 1; p < n; p++ {
		var f, b mat.Dense
		f.Mul(d.A, forward)
		b.Mul(d.A.T(), backward)
		forward, backward = &f, &b
		put(2*p-1, forward)
		put(2*p, backward)
	}
	return k
}

// procrustes is the orthogonal C that minimises |C x - y|.
func procrustes(x, y *mat.Dense) (*mat.Dense, error) {
	var yx mat.Dense
	yx.Mul(y, x.T())
	var svd mat.SVD
	if !svd.Factorize(&yx, mat.SVDFull) {
		return nil, fmt.Errorf("%w: the singular vectors of its reach were not found", ErrDriven)
	}
	var u, v, c mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	c.Mul(&u, v.T())
	return &c, nil
}

// between finds the angle from the chord of the normalised matrices, which keeps its digits near 0.
func between(x, y *mat.Dense) Pair {
	nx, ny := mat.Norm(x, 2), mat.Norm(y, 2)
	var d, unit mat.Dense
	d.Sub(x, y)
	unit.Scale(nx/ny, y)
	unit.Sub(x, &unit)
	return Pair{mat.Norm(&d, 2), 2 * math.Asin(min(1, mat.Norm(&unit, 2)/(2*nx)))}
}
