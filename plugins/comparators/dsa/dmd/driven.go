package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
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
	opt.Spare = 0
	d, err := newDriving(ctx, x, u, opt)
	if err != nil {
		return nil, err
	}
	var sums [3][]float64
	d.zero(&sums)
	for k := range x {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.add(&sums, k)
	}
	p := d.p + d.inputs
	return d.solve(mat.NewDense(p, p, sums[1]), mat.NewDense(p, d.p, sums[2]))
}

// ResampleDriven estimates a driven system anew for each row of weights, in which trial k counts weights[b][k] times, as [Model.Resample] does an operator.
func ResampleDriven(ctx context.Context, x, u []Trial, opt Options, weights [][]float64) ([]*Driven, error) {
	d, err := newDriving(ctx, x, u, opt)
	if err != nil {
		return nil, err
	}
	sums := make([][3][]float64, len(weights))
	for b, w := range weights {
		if len(w) != len(x) {
			return nil, fmt.Errorf("%w: weights %d: %d for %d trials", ErrOption, b, len(w), len(x))
		}
		d.zero(&sums[b])
	}
	var one [3][]float64
	for k := range x {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.zero(&one)
		d.add(&one, k)
		for b := range sums {
			if v := weights[b][k]; v != 0 {
				for q := range one {
					axpy(v, one[q], sums[b][q])
				}
			}
		}
	}
	out := make([]*Driven, len(weights))
	for b, s := range sums {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		turned, err := d.basis.lead(s[0], d.basis.rank)
		if err != nil {
			return nil, fmt.Errorf("resample %d: %w", b, err)
		}
		// Inputs stay what they are.
		r, p := d.basis.rank, d.p+d.inputs
		joint := mat.NewDense(p, r+d.inputs, nil)
		joint.Slice(0, d.p, 0, r).(*mat.Dense).Copy(turned)
		for i := range d.inputs {
			joint.Set(d.p+i, r+i, 1)
		}
		var past, cross mat.Dense
		past.Product(joint.T(), mat.NewDense(p, p, s[1]), joint)
		cross.Product(joint.T(), mat.NewDense(p, d.p, s[2]), turned)
		if out[b], err = d.solve(&past, &cross); err != nil {
			return nil, fmt.Errorf("resample %d: %w", b, err)
		}
	}
	return out, nil
}

// driving is a recording in the p whitened coordinates of its basis, with the inputs that go with its rows.
type driving struct {
	opt             Options
	basis           *basis
	z, u            []Trial
	p, inputs, lost int
	w               product.Workspace
}

func newDriving(ctx context.Context, x, u []Trial, opt Options) (*driving, error) {
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
	return &driving{opt: opt, basis: b, z: z, u: u, p: len(b.kept), inputs: inputs, lost: (opt.Delays - 1) * opt.Interval}, nil
}

// zero makes room for sums: the moments of all rows, of rows that have a next one with their inputs, and of these with the next ones.
func (d *driving) zero(sums *[3][]float64) {
	p := d.p + d.inputs
	*sums = [3][]float64{make([]float64, d.p*d.p), make([]float64, p*p), make([]float64, p*d.p)}
}

// add adds those of a trial.
func (d *driving) add(sums *[3][]float64, k int) {
	t, p := d.z[k], d.p+d.inputs
	if t.Bins() == 0 {
		return
	}
	all := product.Operand{Data: t.Data, Stride: d.p}
	d.w.Add(sums[0], d.p, d.p, t.Bins(), product.Operand{Data: t.Data, Stride: d.p, T: true}, all)
	n := t.Bins() - 1
	if n == 0 {
		return
	}
	joint := make([]float64, n*p)
	for i := range n {
		copy(joint[i*p:], t.row(i))
		copy(joint[i*p+d.p:], d.u[k].row(i+d.lost))
	}
	left := product.Operand{Data: joint, Stride: p, T: true}
	d.w.Add(sums[1], p, p, n, left, product.Operand{Data: joint, Stride: p})
	d.w.Add(sums[2], p, d.p, n, left, product.Operand{Data: t.Data[d.p:], Stride: d.p})
}

// solve finds the system from the moments of states with inputs, and of these with next states.
func (d *driving) solve(past, cross *mat.Dense) (*Driven, error) {
	p, r := cross.Dims()
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
	both, err := ridge(&scaledPast, &scaledCross, d.opt.Ridge)
	if err != nil {
		return nil, fmt.Errorf("%w (inputs that are functions of each other, or of the state, cannot be told apart)", err)
	}
	both.Mul(scale, both)
	return &Driven{A: mat.DenseCopyOf(both.Slice(0, r, 0, r).T()), B: mat.DenseCopyOf(both.Slice(r, p, 0, r).T()), Singular: d.basis.singular}, nil
}
