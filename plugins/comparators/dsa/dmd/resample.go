package dmd

import (
	"context"
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// Resample estimates the operator anew for each row of weights, in which trial k counts weights[b][k] times: what another draw of trials would have given, e.g.
// for a bootstrap (Efron 1979). The subspace of the model's coordinates is kept, the coordinates are whitened for the weighted rows and the operator is regressed
// in them, so that weights of 1 give the model's own. It costs one pass over the trials, however many rows of weights there are. Trials are those of the fit. A model of
// reduced-rank regression is refused: its operator is not the regression within its coordinates.
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
	z, err := e.project(ctx, m.encode)
	if err != nil {
		return nil, err
	}
	r := m.Rank()
	// Of each resample: the moments of all rows, of those that have a next one, and with the next ones.
	sums := make([][3][]float64, len(weights))
	for b := range sums {
		for q := range sums[b] {
			sums[b][q] = make([]float64, r*r)
		}
	}
	var one [3][]float64
	for q := range one {
		one[q] = make([]float64, r*r)
	}
	var w product.Workspace
	for k, t := range z {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t.Bins() == 0 {
			continue
		}
		left := product.Operand{Data: t.Data, Stride: r, T: true}
		n := max(0, t.Bins()-m.opt.Steps)
		w.Mul(one[0], r, r, t.Bins(), left, product.Operand{Data: t.Data, Stride: r})
		w.Mul(one[1], r, r, n, left, product.Operand{Data: t.Data, Stride: r})
		w.Mul(one[2], r, r, n, left, product.Operand{Data: t.Data[min(len(t.Data), m.opt.Steps*r):], Stride: r})
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
		if out[b], err = whitened(s, r, m.opt.Ridge); err != nil {
			return nil, fmt.Errorf("resample %d: %w", b, err)
		}
	}
	return out, nil
}

// whitened is the operator of rows with the given moments, in coordinates in which the moments of all rows are the identity.
func whitened(s [3][]float64, r int, lambda float64) (*mat.Dense, error) {
	var c mat.Cholesky
	if !c.Factorize(mat.NewSymDense(r, s[0])) || c.Cond() > 1e14 {
		return nil, fmt.Errorf("%w: the trials that were drawn do not hold %d coordinates", ErrData, r)
	}
	// With moments L L^T the whitened coordinates are L^-1 z, and moments X become L^-1 X L^-T.
	var l mat.TriDense
	c.LTo(&l)
	inside := func(x []float64) (*mat.Dense, error) {
		var left, both mat.Dense
		if err := left.Solve(&l, mat.NewDense(r, r, x)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrData, err)
		}
		if err := both.Solve(&l, left.T()); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrData, err)
		}
		return mat.DenseCopyOf(both.T()), nil
	}
	past, err := inside(s[1])
	if err != nil {
		return nil, err
	}
	cross, err := inside(s[2])
	if err != nil {
		return nil, err
	}
	a, err := ridge(past, cross, lambda)
	if err != nil {
		return nil, err
	}
	return mat.DenseCopyOf(a.T()), nil
}
