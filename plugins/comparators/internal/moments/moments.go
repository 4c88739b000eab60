// Package moments has means and products of the rows of two arrays of trials, least squares from them, and the products of small blocks that they are made of.
package moments

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// Tolerance on the eigenvalues of a covariance, relative to the largest: directions with a standard deviation below 3e-7 of the largest one are
// the rounding of float32 and carry nothing.
const Tolerance = 1e-13

// Moments are the means and the centred sums of squares and products of paired rows of x and y. Centring comes first and products second, in two passes
// over the data, which keeps the digits that raw products would lose.
type Moments struct {
	N            float64
	MeanX, MeanY []float64
	// XX (dx, dx), upper triangle; YY (dy, dy), upper triangle; XY (dx, dy).
	XX, YY, XY []float64
}

// Parts says which products are wanted.
type Parts struct{ XX, YY, XY bool }

// All wants every product.
func All() Parts { return Parts{true, true, true} }

// New sums over the trials of x, each with its partner in y. Where base is given and no trial is shorter than another, all but xy is taken
// from there: pairing trials otherwise does not change it.
func New(ctx context.Context, threads int, x, y trials.Series, pairs trials.Pairing, want Parts, base *Moments) (*Moments, error) {
	dx, dy := x.Width(), y.Width()
	m := &Moments{MeanX: make([]float64, dx), MeanY: make([]float64, dy)}
	if base != nil && !x.Ragged && !y.Ragged {
		m.N, m.MeanX, m.MeanY, m.XX, m.YY = base.N, base.MeanX, base.MeanY, base.XX, base.YY
		want.XX, want.YY = false, false
	} else {
		var sumX, sumY [trials.Shards][]float64
		var counts [trials.Shards]float64
		err := trials.InShards(ctx, threads, x.Trials(), func(shard, from, to int) {
			bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
			sumX[shard], sumY[shard] = make([]float64, dx), make([]float64, dy)
			for k := from; k < to; k++ {
				n := pairs.Common(x, y, k)
				SumRows(sumX[shard], x.Read(bufX, k, n))
				SumRows(sumY[shard], y.Read(bufY, pairs.Of(k), n))
				counts[shard] += float64(n)
			}
		})
		if err != nil {
			return nil, err
		}
		for shard := range trials.Shards {
			m.N += counts[shard]
			trials.Add(m.MeanX, sumX[shard])
			trials.Add(m.MeanY, sumY[shard])
		}
		for _, mean := range [][]float64{m.MeanX, m.MeanY} {
			for i := range mean {
				mean[i] /= m.N
			}
		}
	}

	var xx, yy, xy [trials.Shards][]float64
	make2 := func(want bool, n int) []float64 {
		if !want {
			return nil
		}
		return make([]float64, n)
	}
	err := trials.InShards(ctx, threads, x.Trials(), func(shard, from, to int) {
		bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
		xx[shard], yy[shard], xy[shard] = make2(want.XX, dx*dx), make2(want.YY, dy*dy), make2(want.XY, dx*dy)
		for k := from; k < to; k++ {
			n := pairs.Common(x, y, k)
			if n == 0 {
				continue
			}
			rowsX, rowsY := x.Read(bufX, k, n), y.Read(bufY, pairs.Of(k), n)
			Centre(rowsX, m.MeanX)
			Centre(rowsY, m.MeanY)
			if want.XX {
				AddSquare(xx[shard], rowsX, dx)
			}
			if want.YY {
				AddSquare(yy[shard], rowsY, dy)
			}
			if want.XY {
				AddProduct(xy[shard], rowsX, rowsY, dx, dy)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	join := func(shards [trials.Shards][]float64) []float64 {
		for shard := 1; shard < trials.Shards; shard++ {
			trials.Add(shards[0], shards[shard])
		}
		return shards[0]
	}
	if want.XX {
		m.XX = join(xx)
	}
	if want.YY {
		m.YY = join(yy)
	}
	if want.XY {
		m.XY = join(xy)
	}
	return m, nil
}

// SumRows adds the rows to to.
func SumRows(to, rows []float64) {
	d := len(to)
	for from := 0; from < len(rows); from += d {
		trials.Add(to, rows[from:from+d])
	}
}

// Centre takes the mean from each row.
func Centre(rows, mean []float64) {
	d := len(mean)
	for from := 0; from < len(rows); from += d {
		row := rows[from : from+d]
		for i, m := range mean {
			row[i] -= m
		}
	}
}

// tile is the width of the blocks of a product: a block of 64 x 64 stays in the first-level cache, and gonum starts no goroutines of its own on it.
const tile = 64

// AddProduct adds x^T y to c (dx, dy).
func AddProduct(c, x, y []float64, dx, dy int) {
	n := len(x) / dx
	for i := 0; i < dx; i += tile {
		for j := 0; j < dy; j += tile {
			ni, nj := min(tile, dx-i), min(tile, dy-j)
			blas64.Gemm(blas.Trans, blas.NoTrans, 1,
				blas64.General{Rows: n, Cols: ni, Stride: dx, Data: x[i:]},
				blas64.General{Rows: n, Cols: nj, Stride: dy, Data: y[j:]},
				1, blas64.General{Rows: ni, Cols: nj, Stride: dy, Data: c[i*dy+j:]})
		}
	}
}

// AddSquare adds the upper triangle of x^T x to c (d, d).
func AddSquare(c, x []float64, d int) {
	blas64.Syrk(blas.Trans, 1, blas64.General{Rows: len(x) / d, Cols: d, Stride: d, Data: x},
		1, blas64.Symmetric{Uplo: blas.Upper, N: d, Stride: d, Data: c})
}

// Multiply writes rows x (n, dx) times b (dx, dy) into to (n, dy).
func Multiply(to, x, b []float64, dx, dy int) {
	n := len(x) / dx
	if n == 0 {
		return
	}
	for j := 0; j < dy; j += tile {
		nj := min(tile, dy-j)
		for i := 0; i < n; i += tile {
			ni := min(tile, n-i)
			blas64.Gemm(blas.NoTrans, blas.NoTrans, 1,
				blas64.General{Rows: ni, Cols: dx, Stride: dx, Data: x[i*dx:]},
				blas64.General{Rows: dx, Cols: nj, Stride: dy, Data: b[j:]},
				0, blas64.General{Rows: ni, Cols: nj, Stride: dy, Data: to[i*dy+j:]})
		}
	}
}

// Linear is a map x -> (x - MeanX) B + MeanY; B is (dx, dy).
type Linear struct{ MeanX, MeanY, B []float64 }

// Forward is the least-squares map from x to y, [Moments.Backward] from y to x. Where columns depend on each other it is one of the maps that fit equally well.
func (m *Moments) Forward() (Linear, error) {
	b, err := leastSquares(m.XX, m.XY, len(m.MeanX), len(m.MeanY))
	return Linear{m.MeanX, m.MeanY, b}, err
}

// Backward is the least-squares map from y to x.
func (m *Moments) Backward() (Linear, error) { return m.Turned().Forward() }

// Turned exchanges x and y.
func (m *Moments) Turned() *Moments {
	dx, dy := len(m.MeanX), len(m.MeanY)
	yx := make([]float64, dx*dy)
	for i := range dx {
		for j := range dy {
			yx[j*dx+i] = m.XY[i*dy+j]
		}
	}
	return &Moments{m.N, m.MeanY, m.MeanX, m.YY, m.XX, yx}
}

// Explained is the variance-weighted R2 of the map on other rows, given their moments: what the rows themselves give,
// to the rounding of the moments, where nothing but the value is needed.
func (f Linear) Explained(m *Moments) float64 {
	dx, dy := len(m.MeanX), len(m.MeanY)
	xx := make([]float64, dx*dx)
	for i := range dx {
		for j := i; j < dx; j++ {
			xx[i*dx+j], xx[j*dx+i] = m.XX[i*dx+j], m.XX[i*dx+j]
		}
	}
	xxb := make([]float64, dx*dy)
	Multiply(xxb, xx, f.B, dx, dy)
	residual, total := 0.0, 0.0
	for i, b := range f.B {
		residual += b * (xxb[i] - 2*m.XY[i])
	}
	for j := range dy {
		total += m.YY[j*dy+j]
		offset := m.MeanY[j] - f.MeanY[j]
		for i := range dx {
			offset -= (m.MeanX[i] - f.MeanX[i]) * f.B[i*dy+j]
		}
		residual += m.N * offset * offset
	}
	return 1 - (residual+total)/total
}

// leastSquares solves xx b = xy through the eigenvectors of the correlation matrix, which a column's scale cannot make ill-conditioned.
func leastSquares(xx, xy []float64, dx, dy int) ([]float64, error) {
	scale := make([]float64, dx)
	for i := range scale {
		if v := xx[i*dx+i]; v > 0 {
			scale[i] = 1 / math.Sqrt(v)
		}
	}
	r := mat.NewSymDense(dx, nil)
	for i := range dx {
		for j := i; j < dx; j++ {
			r.SetSym(i, j, xx[i*dx+j]*scale[i]*scale[j])
		}
	}
	values, vectors, err := Eigen(r)
	if err != nil {
		return nil, err
	}
	target := mat.NewDense(dx, dy, nil)
	for i := range dx {
		for j := range dy {
			target.Set(i, j, xy[i*dy+j]*scale[i])
		}
	}
	var inner, b mat.Dense
	inner.Mul(vectors.T(), target)
	for i, v := range values {
		f := 0.0
		if v > Tolerance*values[dx-1] {
			f = 1 / v
		}
		for j := range dy {
			inner.Set(i, j, inner.At(i, j)*f)
		}
	}
	b.Mul(vectors, &inner)
	out := make([]float64, dx*dy)
	for i := range dx {
		for j := range dy {
			out[i*dy+j] = b.At(i, j) * scale[i]
		}
	}
	return out, nil
}

// Eigen gives eigenvalues, ascending, and eigenvectors in columns.
func Eigen(a *mat.SymDense) ([]float64, *mat.Dense, error) {
	if n := mat.Norm(a, 1); n-n != 0 {
		return nil, nil, trials.Omit("the values are too large: their squares overflow")
	}
	var e mat.EigenSym
	if !e.Factorize(a, true) {
		return nil, nil, trials.Omit("the eigenvectors of a covariance matrix cannot be found")
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	return e.Values(nil), &vectors, nil
}
