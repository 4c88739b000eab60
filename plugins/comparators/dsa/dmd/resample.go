package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// Resample estimates the operator anew for each row of weights, in which trial k counts weights[b][k] times: what another draw of trials would have given, e.g.
// for a bootstrap (Efron 1979). Leading directions are found anew among the model's coordinates and the spare ones (Options.Spare), without which the space of the first would seem to be known for
// certain; coordinates along them are whitened for the weighted rows, turned to lie as near the model's as they can, and the operator is regressed in them, so that weights of 1 give the model's own. It
// costs one pass over the trials, however many rows of weights there are. Trials are those of the fit. A model of reduced-rank regression is refused: its operator is not the regression within its
// coordinates.
func (m *Model) Resample(ctx context.Context, trials []Trial, weights [][]float64) ([]*mat.Dense, error) {
	if m.opt.ReducedRank {
		return nil, fmt.Errorf("%w: reduced-rank regression: its operators cannot be resampled within their coordinates", ErrOption)
	}
	e, err := newEmbedding("x", trials, m.opt)
	if err != nil {
		return nil, err
	}
	if e.width != m.width {
		return nil, fmt.Errorf("%w: trials have width %d, those fitted %d", ErrData, e.width, m.width)
	}
	for b, w := range weights {
		if len(w) != len(trials) {
			return nil, fmt.Errorf("%w: weights %d: %d for %d trials", ErrOption, b, len(w), len(trials))
		}
	}
	z, err := e.project(ctx, m.basis.encode)
	if err != nil {
		return nil, err
	}
	p := len(m.basis.kept)
	// Of each resample: the moments of all rows, of those that have a next one, and with the next ones.
	sums := make([][3][]float64, len(weights))
	for b := range sums {
		for q := range sums[b] {
			sums[b][q] = make([]float64, p*p)
		}
	}
	var one [3][]float64
	for q := range one {
		one[q] = make([]float64, p*p)
	}
	var w product.Workspace
	for k, t := range z {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t.Bins() == 0 {
			continue
		}
		left := product.Operand{Data: t.Data, Stride: p, T: true}
		n := max(0, t.Bins()-m.opt.Steps)
		w.Mul(one[0], p, p, t.Bins(), left, product.Operand{Data: t.Data, Stride: p})
		w.Mul(one[1], p, p, n, left, product.Operand{Data: t.Data, Stride: p})
		w.Mul(one[2], p, p, n, left, product.Operand{Data: t.Data[min(len(t.Data), m.opt.Steps*p):], Stride: p})
		for b := range sums {
			if v := weights[b][k]; v != 0 {
				for q := range one {
					axpy(v, one[q], sums[b][q])
				}
			}
		}
	}
	out := make([]*mat.Dense, len(weights))
	for b, s := range sums {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out[b], err = m.resampled(s); err != nil {
			return nil, fmt.Errorf("resample %d: %w", b, err)
		}
	}
	return out, nil
}

// resampled is the operator of rows with the given moments of the basis' coordinates.
func (m *Model) resampled(s [3][]float64) (*mat.Dense, error) {
	p := len(m.basis.kept)
	turned, err := m.basis.lead(s[0], m.Rank())
	if err != nil {
		return nil, err
	}
	var past, cross mat.Dense
	past.Product(turned.T(), mat.NewDense(p, p, s[1]), turned)
	cross.Product(turned.T(), mat.NewDense(p, p, s[2]), turned)
	a, err := ridge(&past, &cross, m.opt.Ridge)
	if err != nil {
		return nil, err
	}
	return mat.DenseCopyOf(a.T()), nil
}

// lead (kept, r) takes the basis' coordinates to those of rows with the given moments along them: white, along the r leading directions, and turned to lie as near the basis' own as they can.
func (b *basis) lead(moments []float64, r int) (*mat.Dense, error) {
	p := len(b.kept)
	// The moments of the embedding: the basis' coordinates are its own over the singular values.
	along := make([]float64, p*p)
	for i, x := range b.kept {
		for j, y := range b.kept {
			along[i*p+j] = moments[i*p+j] * x * y
		}
	}
	values, vectors, ok := symmetric.Decompose(along, p)
	if !ok || !(values[p-r] > 1e-14*values[p-1]) {
		return nil, fmt.Errorf("%w: the trials that were drawn do not hold %d coordinates", ErrData, r)
	}
	white := mat.NewDense(p, r, nil)
	for j := range r {
		for i, x := range b.kept {
			white.Set(i, j, x*vectors[(p-1-j)*p+i]/math.Sqrt(values[p-1-j]))
		}
	}
	var common mat.Dense
	common.Mul(mat.NewDense(p, p, moments).Slice(0, r, 0, p), white)
	var svd mat.SVD
	if !svd.Factorize(&common, mat.SVDFull) {
		return nil, fmt.Errorf("%w: the directions of a draw were not found", ErrData)
	}
	var u, v, turned mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	turned.Product(white, &v, u.T())
	return &turned, nil
}
