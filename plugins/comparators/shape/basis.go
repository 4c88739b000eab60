package shape

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// basis holds the principal axes of a subject's latents in training trials that have any variance.
type basis struct {
	mean []float64
	// values are the variances along the axes, falling; axes (latents, rank).
	values []float64
	axes   *mat.Dense
	// size is the root of the mean variance along the axes, weighted by itself.
	size float64
}

// newBasis takes the first of the two sides of moments.
func newBasis(m *moments.Moments, label string) (*basis, error) {
	d := len(m.MeanX)
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, m.XX[i*d+j]/m.N)
		}
	}
	values, vectors, err := moments.Eigen(cov)
	if err != nil {
		return nil, err
	}
	top := values[d-1]
	if !(top > 0) {
		return nil, trials.Omit("the latents of %s do not vary over the training trials", label)
	}
	b := &basis{mean: m.MeanX}
	for i := d - 1; i >= 0 && values[i] > moments.Tolerance*top; i-- {
		b.values = append(b.values, values[i])
	}
	b.axes = mat.NewDense(d, len(b.values), nil)
	var sum, squares float64
	for k, v := range b.values {
		sum, squares = sum+v, squares+v*v
		for i := range d {
			b.axes.Set(i, k, vectors.At(i, d-1-k))
		}
	}
	b.size = math.Sqrt(squares / sum)
	return b, nil
}

// explaining is the least number of axes that explain a share of the variance.
func (b *basis) explaining(share float64) int {
	total, sum := 0.0, 0.0
	for _, v := range b.values {
		total += v
	}
	for k, v := range b.values {
		// A share of 1 asks for all axes, whatever the rounding of the sums.
		if sum += v; sum >= share*total && share < 1 {
			return k + 1
		}
	}
	return len(b.values)
}

// whitening (latents, k) takes centred latents to their first k coordinates, partially whitened: X (alpha/size I + (1-alpha) C^-1/2) along the principal axes. The second value
// holds the variances of these coordinates.
func (b *basis) whitening(alpha, size float64, k int) (*mat.Dense, []float64) {
	d, _ := b.axes.Dims()
	z, variances := mat.NewDense(d, k, nil), make([]float64, k)
	for j := range k {
		f := alpha/size + (1-alpha)/math.Sqrt(b.values[j])
		variances[j] = f * f * b.values[j]
		for i := range d {
			z.Set(i, j, f*b.axes.At(i, j))
		}
	}
	return z, variances
}
