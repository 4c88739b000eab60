package distance

import (
	"errors"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
)

// ErrOperator is returned, wrapped, for a matrix that no distance can be had for.
var ErrOperator = errors.New("distance: unusable operator")

// Operator is a square matrix scaled to Frobenius norm 1, with what alignments and spectra need of it. It is not changed after it was made.
type Operator struct {
	n int
	// a is (n, n), row-major. own is the same in the basis of the columns of u, in which its symmetric part is diagonal.
	a, own, u []float64
	// symmetric are the eigenvalues of the symmetric part, skew the moduli of those of the skew part, singular the singular values; all ascending.
	symmetric, skew, singular []float64
	eigenvalues               []complex128
	frames                    []frame
}

// frame is an orthonormal basis, in an operator's own coordinates, that turns as the operator turns: the eigenvectors of a symmetric matrix made of it.
type frame struct {
	// u has the vectors as columns, in is the operator in these coordinates; both (n, n).
	u, in []float64
}

// NewOperator prepares a matrix. It must be square, finite and not zero; the error wraps [ErrOperator].
func NewOperator(a mat.Matrix) (*Operator, error) {
	o, err := scaled(a)
	if err != nil {
		return nil, err
	}
	if err := o.spectra(a); err != nil {
		return nil, err
	}
	return o, o.prepare()
}

// spectra finds the eigenvalues of the matrix as it was given.
func (o *Operator) spectra(a mat.Matrix) error {
	var e mat.Eigen
	if !e.Factorize(a, mat.EigenNone) {
		return fmt.Errorf("%w: its eigenvalues were not found", ErrOperator)
	}
	o.eigenvalues = e.Values(nil)
	slices.SortFunc(o.eigenvalues, compareComplex)
	return nil
}

func compareComplex(x, y complex128) int {
	switch {
	case real(x) != real(y):
		if real(x) < real(y) {
			return -1
		}
		return 1
	case imag(x) < imag(y):
		return -1
	case imag(x) > imag(y):
		return 1
	}
	return 0
}

// Size is the number of rows.
func (o *Operator) Size() int { return o.n }

// Eigenvalues returns those of the matrix as it was given, before scaling, sorted by real, then imaginary part.
func (o *Operator) Eigenvalues() []complex128 { return slices.Clone(o.eigenvalues) }

// Matrix returns a copy of the scaled matrix.
func (o *Operator) Matrix() *mat.Dense { return mat.NewDense(o.n, o.n, slices.Clone(o.a)) }

// diagonalise finds the coordinates in which the symmetric part is diagonal.
func (o *Operator) diagonalise() error {
	n := o.n
	a := mat.NewDense(n, n, o.a)
	values, u, err := eigenvectors(a)
	if err != nil {
		return err
	}
	o.symmetric = values
	var au, own mat.Dense
	au.Mul(a, u)
	own.Mul(u.T(), &au)
	o.u, o.own = u.RawMatrix().Data, own.RawMatrix().Data
	// What rounding leaves of the symmetric part beside the diagonal is dropped.
	for i := range n {
		for j := range i {
			v := (o.own[i*n+j] - o.own[j*n+i]) / 2
			o.own[i*n+j], o.own[j*n+i] = v, -v
		}
	}
	return nil
}

// prepare finds the spectra of the bounds and the frames.
func (o *Operator) prepare() error {
	if err := o.diagonalise(); err != nil {
		return err
	}
	n := o.n
	a := mat.NewDense(n, n, o.own)
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDNone) {
		return fmt.Errorf("%w: its singular values were not found", ErrOperator)
	}
	o.singular = svd.Values(nil)
	slices.Reverse(o.singular)
	var k, kk mat.Dense
	k.Sub(a, a.T())
	k.Scale(0.5, &k)
	// The moduli of the skew part's eigenvalues are its singular values; those of its square would lose half of the digits.
	var skew mat.SVD
	if !skew.Factorize(&k, mat.SVDNone) {
		return fmt.Errorf("%w: the eigenvalues of its skew part were not found", ErrOperator)
	}
	o.skew = skew.Values(nil)
	slices.Reverse(o.skew)
	one := make([]float64, n*n)
	for i := range n {
		one[i*n+i] = 1
	}
	o.frames = append(o.frames, frame{one, o.own})
	for _, w := range words(a, &k) {
		_, u, err := eigenvectors(w)
		if err != nil {
			return err
		}
		o.frame(a, u)
	}
	kk.Mul(&k, &k)
	_, u, err := eigenvectors(&kk)
	if err != nil {
		return err
	}
	o.frame(a, planes(&k, u))
	return nil
}

// eigenvectors of a matrix's symmetric part, as columns, in ascending order of their eigenvalues.
func eigenvectors(a *mat.Dense) ([]float64, *mat.Dense, error) {
	n, _ := a.Dims()
	s := make([]float64, n*n)
	for i := range n {
		for j := i; j < n; j++ {
			s[i*n+j] = (a.At(i, j) + a.At(j, i)) / 2
		}
	}
	values, rows, ok := symmetric.Decompose(s, n)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the eigenvectors of its symmetric part were not found", ErrOperator)
	}
	return values, mat.DenseCopyOf(mat.NewDense(n, n, rows).T()), nil
}

func (o *Operator) frame(a, u *mat.Dense) {
	var au, in mat.Dense
	au.Mul(a, u)
	in.Mul(u.T(), &au)
	o.frames = append(o.frames, frame{u.RawMatrix().Data, in.RawMatrix().Data})
}

// planes are orthonormal columns that span the invariant planes of the skew matrix k, two by two, in the order of the eigenvectors u of its square: what a
// symmetric matrix made of k alone leaves open, since all its eigenvalues are there twice. Each plane is turned the same way.
func planes(k, u *mat.Dense) *mat.Dense {
	n, _ := k.Dims()
	out := mat.NewDense(n, n, nil)
	held := 0
	rest := func(v *mat.VecDense) float64 {
		for range 2 {
			for j := range held {
				v.AddScaledVec(v, -mat.Dot(v, out.ColView(j)), out.ColView(j))
			}
		}
		return mat.Norm(v, 2)
	}
	put := func(v *mat.VecDense, norm float64) {
		for i := range n {
			out.Set(i, held, v.AtVec(i)/norm)
		}
		held++
	}
	scale := mat.Norm(k, 2)
	// What is in doubt at first, because a plane cut through several eigenvectors, is filled up in a second pass.
	for _, least := range []float64{0.5, 1e-6} {
		for c := range n {
			if held == n {
				return out
			}
			v := mat.VecDenseCopyOf(u.ColView(c))
			norm := rest(v)
			if norm < least {
				continue
			}
			put(v, norm)
			var w mat.VecDense
			w.MulVec(k, out.ColView(held-1))
			if size := mat.Norm(&w, 2); size > 1e-9*scale && held < n {
				if left := rest(&w); left > 0.5*size {
					put(&w, left)
				}
			}
		}
	}
	return out
}

// words are symmetric matrices that turn with the operator: if A = C B C^T then word(A) = C word(B) C^T. The symmetric part itself is left out. k is
// the skew part.
func words(a *mat.Dense, k *mat.Dense) []*mat.Dense {
	n, _ := a.Dims()
	product := func(x, y mat.Matrix) *mat.Dense {
		p := mat.NewDense(n, n, nil)
		p.Mul(x, y)
		return p
	}
	sum := func(x *mat.Dense, factor float64, y *mat.Dense) *mat.Dense {
		s := mat.NewDense(n, n, nil)
		s.Scale(factor, y)
		s.Add(x, s)
		return s
	}
	s := sum(a, -1, k)
	commutator := sum(product(s, k), -1, product(k, s))
	return []*mat.Dense{
		product(a, a.T()),
		product(a.T(), a),
		product(a, a),
		sum(s, 3, commutator),
		sum(s, -3, commutator),
	}
}
