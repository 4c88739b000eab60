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
