package shape

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// rows are sums over some rows of x and y around the training means: their number, sums, squares and products. xx (dx, dx) and yy (dy, dy) are full.
type rows struct {
	n              float64
	sumX, sumY     []float64
	xx, yy, xy     []float64
	widthX, widthY int
}

// around makes rows of moments, which are around their own means.
func around(m *moments.Moments, meanX, meanY []float64) rows {
	dx, dy := len(m.MeanX), len(m.MeanY)
	r := rows{m.N, make([]float64, dx), make([]float64, dy), make([]float64, dx*dx), make([]float64, dy*dy), make([]float64, dx*dy), dx, dy}
	for i, v := range m.MeanX {
		r.sumX[i] = m.N * (v - meanX[i])
	}
	for i, v := range m.MeanY {
		r.sumY[i] = m.N * (v - meanY[i])
	}
	square := func(to, upper, sum []float64) {
		d := len(sum)
		for i := range d {
			for j := i; j < d; j++ {
				v := upper[i*d+j] + sum[i]*sum[j]/m.N
				to[i*d+j], to[j*d+i] = v, v
			}
		}
	}
	square(r.xx, m.XX, r.sumX)
	square(r.yy, m.YY, r.sumY)
	for i, a := range r.sumX {
		for j, b := range r.sumY {
			r.xy[i*dy+j] = m.XY[i*dy+j] + a*b/m.N
		}
	}
	return r
}

// projector is a fit: what is needed of rows to measure it on them.
type projector interface {
	// sums are those of rows that the values are functions of; they add up over rows.
	sums(r rows) []float64
}

// alignment is a shape metric's fit.
type alignment struct {
	// squares give |phi(x)|^2 and |phi(y)|^2, product phi(x) (phi(y) T)^T, of centred rows: (dx, dx), (dy, dy), (dx, dy).
	squareX, squareY, product []float64
	// values on the training trials.
	angular, euclidean float64
}

var _ projector = (*alignment)(nil)

func (a *alignment) sums(r rows) []float64 {
	return []float64{r.n, floats.Dot(a.product, r.xy), floats.Dot(a.squareX, r.xx), floats.Dot(a.squareY, r.yy)}
}

func angle(s []float64) float64 {
	if !(s[2] > 0 && s[3] > 0) {
		return math.NaN()
	}
	return math.Acos(min(1, max(-1, s[1]/math.Sqrt(s[2]*s[3]))))
}

func distance(s []float64) float64 { return math.Sqrt(max(0, s[2]+s[3]-2*s[1]) / s[0]) }

// correlation is a fit of canonical directions.
type correlation struct {
	// x (dx, k) and y (dy, k) take centred rows to their canonical variates.
	x, y *mat.Dense
	// value is the mean canonical correlation of the training trials.
	value float64
}

var _ projector = (*correlation)(nil)

// sums are n, then for each pair of directions those of a, b, a^2, b^2 and ab.
func (c *correlation) sums(r rows) []float64 {
	_, k := c.x.Dims()
	out := make([]float64, 1+5*k)
	out[0] = r.n
	var xx, yy, xy mat.Dense
	xx.Mul(mat.NewDense(r.widthX, r.widthX, r.xx), c.x)
	yy.Mul(mat.NewDense(r.widthY, r.widthY, r.yy), c.y)
	xy.Mul(mat.NewDense(r.widthX, r.widthY, r.xy), c.y)
	for j := range k {
		s := out[1+5*j : 6+5*j]
		for i := range r.widthX {
			v := c.x.At(i, j)
			s[0] += v * r.sumX[i]
			s[2] += v * xx.At(i, j)
			s[4] += v * xy.At(i, j)
		}
		for i := range r.widthY {
			v := c.y.At(i, j)
			s[1] += v * r.sumY[i]
			s[3] += v * yy.At(i, j)
		}
	}
	return out
}

// meanCorrelation is that of the variates; one that does not vary correlates with nothing.
func meanCorrelation(s []float64) float64 {
	n, sum := s[0], 0.0
	for at := 1; at < len(s); at += 5 {
		a, b := s[at+2]-s[at]*s[at]/n, s[at+3]-s[at+1]*s[at+1]/n
		if a > 0 && b > 0 {
			sum += (s[at+4] - s[at]*s[at+1]/n) / math.Sqrt(a*b)
		}
	}
	return sum / float64(len(s)/5)
}

// singular decomposes zx^T C zy, the cross-covariance of whitened coordinates.
func singular(m *moments.Moments, zx, zy *mat.Dense) (u, v *mat.Dense, s []float64, err error) {
	dx, dy := len(m.MeanX), len(m.MeanY)
	cov := mat.NewDense(dx, dy, nil)
	for i, p := range m.XY {
		cov.Set(i/dy, i%dy, p/m.N)
	}
	var half, cross mat.Dense
	half.Mul(zx.T(), cov)
	cross.Mul(&half, zy)
	if n := mat.Norm(&cross, 1); n-n != 0 {
		return nil, nil, nil, trials.Omit("the values are too large: their products overflow")
	}
	var svd mat.SVD
	if !svd.Factorize(&cross, mat.SVDThin) {
		return nil, nil, nil, trials.Omit("the singular vectors of a cross-covariance cannot be found")
	}
	u, v = new(mat.Dense), new(mat.Dense)
	svd.UTo(u)
	svd.VTo(v)
	return u, v, svd.Values(nil), nil
}

// align fits a shape metric.
func align(m *moments.Moments, x, y *basis, alpha float64, scale bool) (*alignment, error) {
	sizeX, sizeY := 1.0, 1.0
	if scale {
		sizeX, sizeY = x.size, y.size
	}
	zx, varX := x.whitening(alpha, sizeX, len(x.values))
	zy, varY := y.whitening(alpha, sizeY, len(y.values))
	u, v, s, err := singular(m, zx, zy)
	if err != nil {
		return nil, err
	}
	var ax, by, product, squareX, squareY mat.Dense
	ax.Mul(zx, u)
	by.Mul(zy, v)
	product.Mul(&ax, by.T())
	squareX.Mul(zx, zx.T())
	squareY.Mul(zy, zy.T())
	sums := []float64{1, floats.Sum(s), floats.Sum(varX), floats.Sum(varY)}
	return &alignment{squareX.RawMatrix().Data, squareY.RawMatrix().Data, product.RawMatrix().Data, angle(sums), distance(sums)}, nil
}

// correlate fits canonical directions of the first axes of each side.
func correlate(m *moments.Moments, x, y *basis, axesX, axesY int) (*correlation, error) {
	zx, _ := x.whitening(0, 1, axesX)
	zy, _ := y.whitening(0, 1, axesY)
	u, v, s, err := singular(m, zx, zy)
	if err != nil {
		return nil, err
	}
	var a, b mat.Dense
	a.Mul(zx, u)
	b.Mul(zy, v)
	return &correlation{&a, &b, floats.Sum(s) / float64(len(s))}, nil
}
