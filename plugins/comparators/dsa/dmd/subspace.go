package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

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
	all, err := gather(ctx, y, u, outputs, inputs, windows, h)
	if err != nil {
		return nil, err
	}
	// Of all, inputs of bins [from, to), and outputs.
	rows, _ := all.Dims()
	ins := func(from, to int) *mat.Dense { return mat.DenseCopyOf(all.Slice(0, rows, from*inputs, to*inputs)) }
	outs := func(from, to int) *mat.Dense {
		return mat.DenseCopyOf(all.Slice(0, rows, 2*h*inputs+from*outputs, 2*h*inputs+to*outputs))
	}
	// oblique projects outputs from bin "at" on along the inputs from there on, onto the past before it; rows are windows.
	oblique := func(at int) (*mat.Dense, error) {
		var known, theta, out mat.Dense
		known.Augment(ins(0, at), outs(0, at))
		past := mat.DenseCopyOf(&known)
		_, n := past.Dims()
		var joint mat.Dense
		joint.Augment(past, ins(at, 2*h))
		if err := leastSquares(&theta, &joint, outs(at, 2*h)); err != nil {
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
	left.Augment(x.T(), ins(h, h+1))
	right.Augment(xNext.T(), outs(h, h+1))
	if err := leastSquares(&abcd, &left, &right); err != nil {
		return nil, err
	}
	at := func(i, j, k, l int) *mat.Dense { return mat.DenseCopyOf(abcd.Slice(i, j, k, l).T()) }
	return &Driven{A: at(0, r, 0, r), B: at(r, r+inputs, 0, r), C: at(0, r, r, r+outputs), D: at(r, r+inputs, r, r+outputs), Singular: s}, nil
}

// gather has a row for each window of 2h bins, its inputs and then its outputs. Where there are many more windows than columns, it is instead a square matrix with the same inner
// products of columns, on which alone the identification depends: the root of the second moments, which are summed a few windows at a time.
func gather(ctx context.Context, y, u []Trial, outputs, inputs, windows, h int) (*mat.Dense, error) {
	columns := 2 * h * (outputs + inputs)
	const blockWindows = 256
	direct := float64(windows)*float64(columns)*float64(columns) <= directWork
	height := blockWindows
	if direct {
		height = windows
	}
	block := make([]float64, height*columns)
	moments := mat.NewDense(columns, columns, nil)
	var w product.Workspace
	filled := 0
	flush := func() {
		b := product.Operand{Data: block, Stride: columns}
		w.Add(moments.RawMatrix().Data, columns, columns, filled, product.Operand{Data: block, Stride: columns, T: true}, b)
		filled = 0
	}
	for k, t := range y {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for s := range max(0, t.Bins()-2*h+1) {
			row := block[filled*columns:][:columns]
			copy(row, u[k].Data[s*inputs:(s+2*h)*inputs])
			copy(row[2*h*inputs:], t.Data[s*outputs:(s+2*h)*outputs])
			if filled++; filled == height && !direct {
				flush()
			}
		}
	}
	if direct {
		return mat.NewDense(windows, columns, block), nil
	}
	flush()
	values, vectors, ok := symmetric.Decompose(moments.RawMatrix().Data, columns)
	if !ok {
		return nil, fmt.Errorf("%w: the eigenvalues of %d x %d second moments did not converge", ErrData, columns, columns)
	}
	root := mat.NewDense(columns, columns, vectors)
	for i, v := range values {
		for j := range root.RawRowView(i) {
			root.RawRowView(i)[j] *= math.Sqrt(max(0, v))
		}
	}
	return root, nil
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
