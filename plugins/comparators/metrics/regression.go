package metrics

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// tolerance on the eigenvalues of a covariance, relative to the largest: directions with a standard deviation below 3e-7 of the largest one are
// the rounding of float32 and carry nothing.
const tolerance = 1e-13

// moments are the means and the centred sums of squares and products of paired rows of x and y. Centring comes first and products second, in two passes
// over the data, which keeps the digits that raw products would lose.
type moments struct {
	n            float64
	meanX, meanY []float64
	// xx (dx, dx), upper triangle; yy (dy, dy), upper triangle; xy (dx, dy).
	xx, yy, xy []float64
}

// parts says which products are wanted.
type parts struct{ xx, yy, xy bool }

// newMoments sums over the trials of x, each with its partner in y. Where base is given and no trial is shorter than another, all but xy is taken
// from there: pairing trials otherwise does not change it.
func newMoments(ctx context.Context, threads int, x, y series, pairs pairing, want parts, base *moments) (*moments, error) {
	dx, dy := x.width(), y.width()
	m := &moments{meanX: make([]float64, dx), meanY: make([]float64, dy)}
	if base != nil && !x.ragged && !y.ragged {
		m.n, m.meanX, m.meanY, m.xx, m.yy = base.n, base.meanX, base.meanY, base.xx, base.yy
		want.xx, want.yy = false, false
	} else {
		var sumX, sumY [shardCount][]float64
		var counts [shardCount]float64
		err := inShards(ctx, threads, x.trials(), func(shard, from, to int) {
			bufX, bufY := make([]float64, x.longest()*dx), make([]float64, y.longest()*dy)
			sumX[shard], sumY[shard] = make([]float64, dx), make([]float64, dy)
			for k := from; k < to; k++ {
				n := pairs.common(x, y, k)
				sumRows(sumX[shard], x.read(bufX, k, n))
				sumRows(sumY[shard], y.read(bufY, pairs.of(k), n))
				counts[shard] += float64(n)
			}
		})
		if err != nil {
			return nil, err
		}
		for shard := range shardCount {
			m.n += counts[shard]
			add(m.meanX, sumX[shard])
			add(m.meanY, sumY[shard])
		}
		for _, mean := range [][]float64{m.meanX, m.meanY} {
			for i := range mean {
				mean[i] /= m.n
			}
		}
	}

	var xx, yy, xy [shardCount][]float64
	make2 := func(want bool, n int) []float64 {
		if !want {
			return nil
		}
		return make([]float64, n)
	}
	err := inShards(ctx, threads, x.trials(), func(shard, from, to int) {
		bufX, bufY := make([]float64, x.longest()*dx), make([]float64, y.longest()*dy)
		xx[shard], yy[shard], xy[shard] = make2(want.xx, dx*dx), make2(want.yy, dy*dy), make2(want.xy, dx*dy)
		for k := from; k < to; k++ {
			n := pairs.common(x, y, k)
			if n == 0 {
				continue
			}
			rowsX, rowsY := x.read(bufX, k, n), y.read(bufY, pairs.of(k), n)
			centre(rowsX, m.meanX)
			centre(rowsY, m.meanY)
			if want.xx {
				addSquare(xx[shard], rowsX, dx)
			}
			if want.yy {
				addSquare(yy[shard], rowsY, dy)
			}
			if want.xy {
				addProduct(xy[shard], rowsX, rowsY, dx, dy)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	join := func(shards [shardCount][]float64) []float64 {
		for shard := 1; shard < shardCount; shard++ {
			add(shards[0], shards[shard])
		}
		return shards[0]
	}
	if want.xx {
		m.xx = join(xx)
	}
	if want.yy {
		m.yy = join(yy)
	}
	if want.xy {
		m.xy = join(xy)
	}
	return m, nil
}

func sumRows(to, rows []float64) {
	d := len(to)
	for from := 0; from < len(rows); from += d {
		add(to, rows[from:from+d])
	}
}

func centre(rows, mean []float64) {
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

// addProduct adds x^T y to c (dx, dy).
func addProduct(c, x, y []float64, dx, dy int) {
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

// addSquare adds the upper triangle of x^T x to c (d, d).
func addSquare(c, x []float64, d int) {
	blas64.Syrk(blas.Trans, 1, blas64.General{Rows: len(x) / d, Cols: d, Stride: d, Data: x},
		1, blas64.Symmetric{Uplo: blas.Upper, N: d, Stride: d, Data: c})
}

// multiply writes rows x (n, dx) times b (dx, dy) into to (n, dy).
func multiply(to, x, b []float64, dx, dy int) {
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

// linear is a map x -> (x - meanX) b + meanY; b is (dx, dy).
type linear struct{ meanX, meanY, b []float64 }

// forward is the least-squares map from x to y, backward from y to x. Where columns depend on each other it is one of the maps that fit equally well.
func (m *moments) forward() (linear, error) {
	b, err := leastSquares(m.xx, m.xy, len(m.meanX), len(m.meanY))
	return linear{m.meanX, m.meanY, b}, err
}

func (m *moments) backward() (linear, error) { return m.turned().forward() }

// turned exchanges x and y.
func (m *moments) turned() *moments {
	dx, dy := len(m.meanX), len(m.meanY)
	yx := make([]float64, dx*dy)
	for i := range dx {
		for j := range dy {
			yx[j*dx+i] = m.xy[i*dy+j]
		}
	}
	return &moments{m.n, m.meanY, m.meanX, m.yy, m.xx, yx}
}

// explained is the variance-weighted R2 of the map on other rows, given their moments: what [explained] gives from the rows themselves,
// to the rounding of the moments, where nothing but the value is needed.
func (f linear) explained(m *moments) float64 {
	dx, dy := len(m.meanX), len(m.meanY)
	xx := make([]float64, dx*dx)
	for i := range dx {
		for j := i; j < dx; j++ {
			xx[i*dx+j], xx[j*dx+i] = m.xx[i*dx+j], m.xx[i*dx+j]
		}
	}
	xxb := make([]float64, dx*dy)
	multiply(xxb, xx, f.b, dx, dy)
	residual, total := 0.0, 0.0
	for i, b := range f.b {
		residual += b * (xxb[i] - 2*m.xy[i])
	}
	for j := range dy {
		total += m.yy[j*dy+j]
		offset := m.meanY[j] - f.meanY[j]
		for i := range dx {
			offset -= (m.meanX[i] - f.meanX[i]) * f.b[i*dy+j]
		}
		residual += m.n * offset * offset
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
	values, vectors, err := eigen(r)
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
		if v > tolerance*values[dx-1] {
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

// eigen gives eigenvalues, ascending, and eigenvectors in columns.
func eigen(a *mat.SymDense) ([]float64, *mat.Dense, error) {
	if n := mat.Norm(a, 1); n-n != 0 {
		return nil, nil, omit("the values are too large: their squares overflow")
	}
	var e mat.EigenSym
	if !e.Factorize(a, true) {
		return nil, nil, omit("the eigenvectors of a covariance matrix cannot be found")
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	return e.Values(nil), &vectors, nil
}
