package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// basis holds whitened coordinates of an embedding H = V S U^T.
type basis struct {
	singular []float64
	// kept are the singular values of the coordinates: the leading ones with those that are spare, or all for a reduced-rank regression; rank is what the criterion chose.
	kept []float64
	rank int
	// encode = U / S (columns, kept), decode = S U^T (kept, columns).
	encode, decode *mat.Dense
}

// basis decomposes the embedding.
func (e *embedding) basis(ctx context.Context, opt Options) (*basis, error) {
	if e.constant() {
		return nil, fmt.Errorf("%w: every dimension is constant: there are no dynamics to fit", ErrData)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var s []float64
	var u *mat.Dense
	var err error
	total, floor := 0.0, opt.Rank.Floor
	if work := float64(e.rows) * float64(e.columns) * float64(min(e.rows, e.columns)); work > directWork {
		floor = max(floor, gramFloor)
		if s, u, total, err = e.fromMoments(ctx, opt); err != nil {
			return nil, err
		}
	} else {
		if s, u, err = e.decompose(); err != nil {
			return nil, err
		}
		for _, v := range s {
			total += v * v
		}
	}
	held := numerical(s, e.rows, e.columns, floor)
	r, err := opt.Rank.of(s, held, total, e.rows, e.columns)
	if err != nil {
		return nil, err
	}
	b := &basis{singular: s, rank: r, kept: s[:max(r, min(held, r+opt.Spare))]}
	if opt.ReducedRank {
		b.kept = s[:held]
	}
	p := len(b.kept)
	b.encode, b.decode = mat.NewDense(e.columns, p, nil), mat.NewDense(p, e.columns, nil)
	for i := range e.columns {
		for j, v := range b.kept {
			x := u.At(i, j)
			b.encode.Set(i, j, x/v)
			b.decode.Set(j, i, x*v)
		}
	}
	return b, nil
}

// decompose returns singular values, descending, and right singular vectors as columns.
func (e *embedding) decompose() ([]float64, *mat.Dense, error) {
	h := make([]float64, e.rows*e.columns)
	e.block(h, 0, e.rows)
	var svd mat.SVD
	if !svd.Factorize(mat.NewDense(e.rows, e.columns, h), mat.SVDThinV) {
		return nil, nil, fmt.Errorf("%w: the singular value decomposition of %d x %d did not converge", ErrData, e.rows, e.columns)
	}
	var v mat.Dense
	svd.VTo(&v)
	s := svd.Values(nil)
	for _, x := range s {
		if math.IsNaN(x) {
			return nil, nil, fmt.Errorf("%w: a singular value is not a number", ErrData)
		}
	}
	return s, &v, nil
}

func dot(x, y []float64) float64 { return blas64.Dot(vec(x), vec(y)) }

func axpy(alpha float64, x, y []float64) { blas64.Axpy(alpha, vec(x), vec(y)) }

func vec(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }
