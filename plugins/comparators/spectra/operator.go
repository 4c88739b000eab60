package spectra

import (
	"context"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/transport"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// ridge is added to the second moments of coordinates of unit variance.
const ridge = 1e-8

// atoms are an operator's eigenvalues, each with its right and left eigenvector of unit length.
type atoms struct {
	values      []complex128
	right, left mat.CDense
}

// newAtoms decomposes an operator; false where it cannot be.
func newAtoms(a mat.Matrix) (atoms, bool) {
	var e mat.Eigen
	if !e.Factorize(a, mat.EigenBoth) {
		return atoms{}, false
	}
	out := atoms{values: e.Values(nil)}
	e.VectorsTo(&out.right)
	e.LeftVectorsTo(&out.left)
	for _, v := range []*mat.CDense{&out.right, &out.left} {
		n, _ := v.Dims()
		for j := range n {
			length := 0.0
			for i := range n {
				length = math.Hypot(length, cmplx.Abs(v.At(i, j)))
			}
			if !(length > 0) {
				return atoms{}, false
			}
			for i := range n {
				v.Set(i, j, v.At(i, j)/complex(length, 0))
			}
		}
	}
	return out, true
}

// operatorDistance is the spectral-Grassmann distance of two operators on one space.
func operatorDistance(a, b atoms, eta float64) float64 {
	n, m := len(a.values), len(b.values)
	inner := func(x, y *mat.CDense, i, j int) float64 {
		rows, _ := x.Dims()
		var sum complex128
		for k := range rows {
			sum += cmplx.Conj(x.At(k, i)) * y.At(k, j)
		}
		return cmplx.Abs(sum)
	}
	cost := make([]float64, n*m)
	for i, x := range a.values {
		for j, y := range b.values {
			same := inner(&a.right, &b.right, i, j) * inner(&a.left, &b.left, i, j)
			c := eta*cmplx.Abs(x-y) + (1-eta)*math.Sqrt(max(0, 1-same*same))
			cost[i*m+j] = c * c
		}
	}
	return math.Sqrt(transport.Uniform(cost, n, m))
}

// operators are two subjects' one-bin operators in common coordinates, of which each trial holds the second moments: those of a bin, and of a bin with the next, first of x and then of y.
type operators struct {
	rank int
	eta  float64
	of   [][]float64
	// explained is the share of the variance of x, as far as the axes hold it, that the map from y explains on validation trials.
	explained float64
}

// faint is the share explained below which it is told: what is compared is little of what x does.
const faint = 0.5

var _ bootstrap.Statistic = operators{}

// Trials implements [bootstrap.Statistic].
func (o operators) Trials() int { return len(o.of) }

// Value implements [bootstrap.Statistic].
func (o operators) Value(weights []float64) float64 {
	k := o.rank
	sums := make([]float64, 4*k*k)
	for t, w := range weights {
		if w == 0 {
			continue
		}
		for i, v := range o.of[t] {
			sums[i] += w * v
		}
	}
	var both [2]atoms
	for i := range both {
		past, cross := mat.NewDense(k, k, sums[2*i*k*k:(2*i+1)*k*k]), mat.NewDense(k, k, sums[(2*i+1)*k*k:(2*i+2)*k*k])
		trace := mat.Trace(past)
		if !(trace > 0) {
			return math.NaN()
		}
		for j := range k {
			past.Set(j, j, past.At(j, j)+ridge*trace/float64(k))
		}
		// Rows: z_t+1 = z_t A^T, so that A^T solves past A^T = cross. A condition is not an error: directions that are missing are held by the ridge.
		var solved mat.Dense
		if err := solved.Solve(past, cross); err != nil {
			if _, ok := err.(mat.Condition); !ok {
				return math.NaN()
			}
		}
		a, ok := newAtoms(solved.T())
		if !ok {
			return math.NaN()
		}
		both[i] = a
	}
	return operatorDistance(both[0], both[1], o.eta)
}

// operatorsOf takes the latents of y to those of x by least squares on training trials, and both to the axes of x that explain most there, each scaled to unit variance. Their operators are of
// validation trials; those of a null have the bins of y shuffled.
func (c *comparison) operatorsOf(ctx context.Context, x, y *examined, withNull bool) (value, null bootstrap.Statistic, err error) {
	xs, err := c.Both(x.Subject, comparator.Latents)
	if err != nil {
		return nil, nil, err
	}
	ys, err := c.Both(y.Subject, comparator.Latents)
	if err != nil {
		return nil, nil, err
	}
	m, err := moments.New(ctx, c.threads, xs[0], ys[0], nil, moments.All(), nil)
	if err != nil {
		return nil, nil, err
	}
	back, err := m.Backward()
	if err != nil {
		return nil, nil, err
	}
	axes, err := c.axes(m, x.Label)
	if err != nil {
		return nil, nil, err
	}
	dx, k := axes.Dims()
	// An axis of the latents' variance s is a principal axis over its root.
	variance := make([]float64, k)
	for j := range variance {
		column := mat.Col(nil, j, axes)
		variance[j] = 1 / floats.Dot(column, column)
	}
	dy := len(m.MeanY)
	// y to the axes in one step.
	var to mat.Dense
	to.Mul(mat.NewDense(dy, dx, back.B), axes)
	n := xs[1].Trials()
	o, shuffled := operators{rank: k, eta: c.Eta, of: make([][]float64, n)}, operators{rank: k, eta: c.Eta, of: make([][]float64, n)}
	// The squares of what the map leaves and of all, by trial.
	left, all := make([]float64, n), make([]float64, n)
	err = trials.InShards(ctx, c.threads, n, func(_, from, last int) {
		for t := from; t < last && ctx.Err() == nil; t++ {
			n := trials.Pairing(nil).Common(xs[1], ys[1], t)
			zx := coordinates(xs[1], t, n, m.MeanX, axes.RawMatrix().Data, k)
			zy := coordinates(ys[1], t, n, m.MeanY, to.RawMatrix().Data, k)
			o.of[t] = slices.Concat(lagged(zx, k), lagged(zy, k))
			for i, v := range zx {
				s := variance[i%k]
				left[t], all[t] = left[t]+s*(v-zy[i])*(v-zy[i]), all[t]+s*v*v
			}
			other := make([]float64, len(zy))
			for to, from := range random.New(c.seed, "spectra/operators", uint64(t)).Perm(n) {
				copy(other[to*k:(to+1)*k], zy[from*k:(from+1)*k])
			}
			shuffled.of[t] = slices.Concat(lagged(zx, k), lagged(other, k))
		}
	})
	o.explained = 1 - floats.Sum(left)/floats.Sum(all)
	if err != nil || !withNull {
		return o, nil, err
	}
	return o, shuffled, nil
}

// axes (latents, k) take centred latents to coordinates of unit variance along the principal axes that explain a share of the variance.
func (c *comparison) axes(m *moments.Moments, label string) (*mat.Dense, error) {
	d := len(m.MeanX)
	cov := mat.NewSymDense(d, nil)
	total := 0.0
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, m.XX[i*d+j]/m.N)
		}
		total += cov.At(i, i)
	}
	values, vectors, err := moments.Eigen(cov)
	if err != nil {
		return nil, err
	}
	if !(total > 0) {
		return nil, trials.Omit("the latents of %s do not vary over the training trials", label)
	}
	k, sum := 0, 0.0
	for k < min(d, c.Rank) && sum < c.Explained*total && values[d-1-k] > moments.Tolerance*values[d-1] {
		sum += values[d-1-k]
		k++
	}
	out := mat.NewDense(d, k, nil)
	for j := range k {
		for i := range d {
			out.Set(i, j, vectors.At(i, d-1-j)/math.Sqrt(values[d-1-j]))
		}
	}
	return out, nil
}

// coordinates (bins, k) of the first bins of a trial.
func coordinates(x trials.Series, trial, bins int, mean, to []float64, k int) []float64 {
	rows := x.Read(make([]float64, bins*x.Width()), trial, bins)
	moments.Centre(rows, mean)
	out := make([]float64, bins*k)
	moments.Multiply(out, rows, to, x.Width(), k)
	return out
}

// lagged are the sums of z_t z_t^T and z_t z_t+1^T over the bins of a trial that have a next.
func lagged(z []float64, k int) []float64 {
	out := make([]float64, 2*k*k)
	for at := 0; at+2*k <= len(z); at += k {
		now, next := z[at:at+k], z[at+k:at+2*k]
		for i, v := range now {
			for j := range k {
				out[i*k+j] += v * now[j]
				out[k*k+i*k+j] += v * next[j]
			}
		}
	}
	return out
}
