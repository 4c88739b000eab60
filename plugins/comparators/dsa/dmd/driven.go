package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/product"
)

// Driven is a fitted linear system x(t+1) = A x(t) + B u(t), y(t) = C x(t) + D u(t). A (r, r) and B (r, inputs) are unique up to the coordinates of x.
type Driven struct {
	A, B *mat.Dense
	// C and D are nil where states are the whitened embedding itself, see [FitDriven].
	C, D *mat.Dense
	// Singular values that the rank was chosen from, descending.
	Singular []float64
}

// Rank is the number of states.
func (d *Driven) Rank() int {
	r, _ := d.A.Dims()
	return r
}

// checkInputs reports inputs that do not go with the trials.
func checkInputs(x, u []Trial) (int, error) {
	width, err := check("inputs", u)
	if err != nil {
		return 0, err
	}
	if len(u) != len(x) {
		return 0, fmt.Errorf("%w: inputs of %d trials for %d trials", ErrData, len(u), len(x))
	}
	for k := range u {
		if u[k].Bins() != x[k].Bins() {
			return 0, fmt.Errorf("%w: trial %d: inputs of %d bins for %d bins", ErrData, k, u[k].Bins(), x[k].Bins())
		}
	}
	return width, nil
}

// FitDriven estimates the operator of a recording together with what known inputs do, in the whitened coordinates of [Fit]: a row and the inputs of its newest
// bin predict the next row of the same trial. Options.ReducedRank and Steps beyond 1 are refused.
func FitDriven(ctx context.Context, x, u []Trial, opt Options) (*Driven, error) {
	opt = opt.withDefaults()
	if err := opt.check(); err != nil {
		return nil, err
	}
	if opt.ReducedRank || opt.Steps != 1 {
		return nil, fmt.Errorf("%w: reduced rank %v, steps %d: a driven fit has neither", ErrOption, opt.ReducedRank, opt.Steps)
	}
	e, err := newEmbedding("x", x, opt)
	if err != nil {
		return nil, err
	}
	inputs, err := checkInputs(x, u)
	if err != nil {
		return nil, err
	}
	b, err := e.basis(ctx, opt)
	if err != nil {
		return nil, err
	}
	z, err := e.project(ctx, b.encode)
	if err != nil {
		return nil, err
	}
	r, lost := b.rank, (opt.Delays-1)*opt.Interval
	p := r + inputs
	past, cross := mat.NewDense(p, p, nil), mat.NewDense(p, r, nil)
	var w product.Workspace
	for k, t := range z {
		n := t.Bins() - 1
		if n <= 0 {
			continue
		}
		joint := make([]float64, n*p)
		for i := range n {
			copy(joint[i*p:], t.row(i))
			copy(joint[i*p+r:], u[k].row(i+lost))
		}
		w.Add(past.RawMatrix().Data, p, p, n, product.Operand{Data: joint, Stride: p, T: true}, product.Operand{Data: joint, Stride: p})
		w.Add(cross.RawMatrix().Data, p, r, n, product.Operand{Data: joint, Stride: p, T: true}, product.Operand{Data: t.Data[r:], Stride: r})
	}
	// Inputs at the scale of whitened rows, so that one ridge suits both; one that is always 0 has no column in B to be found.
	scale := mat.NewDiagDense(p, nil)
	for i := range p {
		v := past.At(i, i)
		if i < r {
			scale.SetDiag(i, 1)
			continue
		}
		if v == 0 {
			return nil, fmt.Errorf("%w: input %d is 0 in every bin: there is no telling what it does", ErrData, i-r)
		}
		scale.SetDiag(i, 1/math.Sqrt(v))
	}
	var scaledPast, scaledCross mat.Dense
	scaledPast.Product(scale, past, scale)
	scaledCross.Mul(scale, cross)
	both, err := ridge(&scaledPast, &scaledCross, opt.Ridge)
	if err != nil {
		return nil, fmt.Errorf("%w (inputs that are functions of each other, or of the state, cannot be told apart)", err)
	}
	both.Mul(scale, both)
	return &Driven{A: mat.DenseCopyOf(both.Slice(0, r, 0, r).T()), B: mat.DenseCopyOf(both.Slice(r, p, 0, r).T()), Singular: b.singular}, nil
}

// SubspaceOptions of an identification.
type SubspaceOptions struct {
	// Horizon is the number of bins of the past, and of the future, that states are found from: more than the states over the outputs; 0: 10.
	Horizon int
	// Rank is the number of states.
	Rank Rank
}

// maxUnknowns bounds the past and future that outputs are regressed on.
const maxUnknowns = 4096

// Subspace identifies a driven system from outputs y and inputs u alone (N4SID; Van Overschee & De Moor 1994, algorithm 1): future outputs are projected
// on the past along future inputs, the singular vectors of that are the states, and the system is the regression of next states and outputs on states and inputs.
// Windows never span two trials.
func Subspace(ctx context.Context, y, u []Trial, opt SubspaceOptions) (*Driven, error) {
	if opt.Horizon == 0 {
		opt.Horizon = 10
	}
	outputs, err := check("y", y)
	if err != nil {
		return nil, err
	}
	inputs, err := checkInputs(y, u)
	if err != nil {
		return nil, err
	}
	if err := opt.Rank.check(); err != nil {
		return nil, err
	}
	h := opt.Horizon
	if h < 2 || 2*h*(outputs+inputs) > maxUnknowns {
		return nil, fmt.Errorf("%w: horizon %d: at least 2, and at most %d for %d outputs and %d inputs", ErrOption, h, maxUnknowns/(2*(outputs+inputs)), outputs, inputs)
	}
	windows, longest := 0, 0
	for _, t := range y {
		windows += max(0, t.Bins()-2*h+1)
		longest = max(longest, t.Bins())
	}
	if least := 2*h*inputs + h*(inputs+outputs); windows < least {
		return nil, fmt.Errorf("%w: %d windows of %d bins (the longest trial has %d): at least %d are needed for horizon %d", ErrData, windows, 2*h, longest, least, h)
	}
	// stack has a row for each window: bins [from, to) of it.
	stack := func(t []Trial, width, from, to int) *mat.Dense {
		out := mat.NewDense(windows, (to-from)*width, nil)
		r := 0
		for _, t := range t {
			for s := range max(0, t.Bins()-2*h+1) {
				copy(out.RawRowView(r), t.Data[(s+from)*width:(s+to)*width])
				r++
			}
		}
		return out
	}
	// oblique projects outputs from bin "at" on along the inputs from there on, onto the past before it; rows are windows.
	oblique := func(at int) (*mat.Dense, error) {
		var known, theta, out mat.Dense
		pu, py := stack(u, inputs, 0, at), stack(y, outputs, 0, at)
		known.Augment(pu, py)
		past := mat.DenseCopyOf(&known)
		_, n := past.Dims()
		var all mat.Dense
		all.Augment(past, stack(u, inputs, at, 2*h))
		if err := leastSquares(&theta, &all, stack(y, outputs, at, 2*h)); err != nil {
			return nil, err
		}
		_, c := theta.Dims()
		out.Mul(past, theta.Slice(0, n, 0, c))
		return &out, ctx.Err()
	}
	now, err := oblique(h)
	if err != nil {
		return nil, err
	}
	var svd mat.SVD
	if !svd.Factorize(now, mat.SVDThinV) {
		return nil, fmt.Errorf("%w: the singular values of the projection did not converge", ErrData)
	}
	s := svd.Values(nil)
	total := 0.0
	for _, v := range s {
		total += v * v
	}
	_, columns := now.Dims()
	held := numerical(s, windows, columns, max(opt.Rank.Floor, 1e-11))
	if held == 0 {
		return nil, fmt.Errorf("%w: the past says nothing about the future", ErrData)
	}
	r, err := opt.Rank.of(s, held, total, windows, columns)
	if err != nil {
		return nil, err
	}
	next, err := oblique(h + 1)
	if err != nil {
		return nil, err
	}
	// Observability: columns, a block of outputs for each future bin. Projections have rows = gamma x.
	var v mat.Dense
	svd.VTo(&v)
	gamma := mat.NewDense(columns, r, nil)
	for i := range columns {
		for j := range r {
			gamma.Set(i, j, v.At(i, j)*math.Sqrt(s[j]))
		}
	}
	var x, xNext mat.Dense
	if err := leastSquares(&x, gamma, mat.DenseCopyOf(now.T())); err != nil {
		return nil, err
	}
	if err := leastSquares(&xNext, mat.DenseCopyOf(gamma.Slice(0, columns-outputs, 0, r)), mat.DenseCopyOf(next.T())); err != nil {
		return nil, err
	}
	var left, right, abcd mat.Dense
	left.Augment(x.T(), stack(u, inputs, h, h+1))
	right.Augment(xNext.T(), stack(y, outputs, h, h+1))
	if err := leastSquares(&abcd, &left, &right); err != nil {
		return nil, err
	}
	at := func(i, j, k, l int) *mat.Dense { return mat.DenseCopyOf(abcd.Slice(i, j, k, l).T()) }
	return &Driven{A: at(0, r, 0, r), B: at(r, r+inputs, 0, r), C: at(0, r, r, r+outputs), D: at(r, r+inputs, r, r+outputs), Singular: s}, nil
}

// leastSquares solves a x = b in the least-squares sense, of least norm where a's columns depend on each other.
func leastSquares(x, a, b *mat.Dense) error {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		return fmt.Errorf("%w: a regression did not converge", ErrData)
	}
	rank := svd.Rank(1e-10)
	if rank == 0 {
		return fmt.Errorf("%w: a regression on nothing but zeros", ErrData)
	}
	svd.SolveTo(x, b, rank)
	return nil
}
