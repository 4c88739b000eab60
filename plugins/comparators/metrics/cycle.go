package metrics

import (
	"context"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// projection takes latents (centred on the training trials) to r axes, and from there to what comes back of them through the log-rates. How much that is, is
// cycle consistency: least squares from latents to log-rates gives W; its pseudo-inverse of rank k, enough for all but a fraction v of the squared
// singular values, leads back. A model with latents that do not show in the rates cannot score high.
//
// The published definition rotates latents and log-rates by full-rank PCA first. That changes neither W's singular values nor the sums of squares, and W
// followed by its pseudo-inverse of rank k is the projection on the k leading right singular vectors, so that log-rates are needed for W alone.
type projection struct {
	mean []float64
	// rotate is (latents, r), back (r, r).
	rotate, back []float64
	r            int
}

// newProjection is given the moments of latents and log-rates of the training trials. Whitened, latents are first divided by their standard
// deviations along their principal axes, so that no rescaling of latents changes the score; axes without variance are left out.
func newProjection(m *moments.Moments, v float64, whitened bool) (*projection, error) {
	d, n := len(m.MeanX), len(m.MeanY)
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, m.XX[i*d+j]/m.N)
		}
	}
	values, axes, err := moments.Eigen(cov)
	if err != nil {
		return nil, err
	}
	top := values[d-1]
	if !(top > 0) {
		return nil, trials.Omit("the inferred latents do not vary over the training trials")
	}
	first := 0
	for values[first] <= moments.Tolerance*top {
		first++
	}
	// W (log-rates, axes) by axes, weakest axis first; an axis without variance has no weight. rotate (latents, axes) takes a latent there.
	cross := mat.NewDense(d, n, m.XY)
	var byAxis mat.Dense
	byAxis.Mul(axes.T(), cross)
	skip := 0
	if whitened {
		skip = first
	}
	r := d - skip
	w, rotate := mat.NewDense(n, r, nil), make([]float64, d*r)
	for a := range r {
		value := values[skip+a]
		scale := 1.0
		if whitened {
			scale = 1 / math.Sqrt(value)
		}
		for i := range d {
			rotate[i*r+a] = axes.At(i, skip+a) * scale
		}
		if skip+a < first {
			continue
		}
		for i := range n {
			w.Set(i, a, byAxis.At(skip+a, i)/(m.N*value*scale))
		}
	}
	keep, err := leadingDirections(w, v)
	if err != nil {
		return nil, err
	}
	// back takes a rotated latent to the part of it that comes back.
	var back mat.Dense
	back.Mul(keep, keep.T())

	return &projection{m.MeanX, rotate, back.RawMatrix().Data, r}, nil
}

// leadingDirections gives the k leading right singular vectors of w in columns, where k is the least number whose squares sum up to 1-v of all, and
// not above the rank.
func leadingDirections(w *mat.Dense, v float64) (*mat.Dense, error) {
	var svd mat.SVD
	if !svd.Factorize(w, mat.SVDThin) {
		return nil, trials.Omit("the singular vectors of the map from latents to log-rates cannot be found")
	}
	s := svd.Values(nil)
	total := 0.0
	for _, x := range s {
		total += x * x
	}
	if !(total > 0) {
		return nil, trials.Omit("the inferred rates do not depend on the inferred latents")
	}
	rows, cols := w.Dims()
	rank := 0
	for rank < len(s) && s[rank] > s[0]*float64(max(rows, cols))*0x1p-52 {
		rank++
	}
	k, sum := 0, 0.0
	for k < len(s) {
		sum += s[k] * s[k] / total
		k++
		if sum >= 1-v {
			break
		}
	}
	k = min(k, rank)
	var right mat.Dense
	svd.VTo(&right)
	return mat.DenseCopyOf(right.Slice(0, cols, 0, k)), nil
}

// explain scores what comes back of latents.
func (p *projection) explain(ctx context.Context, threads int, z trials.Series) (*explained, error) {
	d := z.Width()
	e := newExplained(z.Trials(), p.r)
	origin := make([]float64, p.r)
	var residuals, squares [trials.Shards][]float64
	err := trials.InShards(ctx, threads, z.Trials(), func(shard, from, to int) {
		buf, at, again := make([]float64, z.Longest()*d), make([]float64, z.Longest()*p.r), make([]float64, z.Longest()*p.r)
		residuals[shard], squares[shard] = make([]float64, p.r), make([]float64, p.r)
		for k := from; k < to; k++ {
			n := z.Lengths[k]
			rows := z.Read(buf, k, n)
			moments.Centre(rows, p.mean)
			moments.Multiply(at[:n*p.r], rows, p.rotate, d, p.r)
			moments.Multiply(again[:n*p.r], at[:n*p.r], p.back, p.r, p.r)
			e.bins[k] = float64(n)
			e.addTrial(k, at[:n*p.r], again[:n*p.r], origin, residuals[shard], squares[shard])
		}
	})
	if err != nil {
		return nil, err
	}
	for shard := range trials.Shards {
		trials.Add(e.columnResidual, residuals[shard])
		trials.Add(e.columnTotal, squares[shard])
	}
	return e, nil
}

// explained is the score from the moments of latents, their xx, alone.
func (p *projection) explained(m *moments.Moments) float64 {
	d := len(m.MeanX)
	// The latents' sums of squares and products around the training mean, along the axes: c = R^T S R, and o their mean there.
	s, o := mat.NewSymDense(d, m.XX), make([]float64, p.r)
	r := mat.NewDense(d, p.r, p.rotate)
	var sr, c mat.Dense
	sr.Mul(s, r)
	c.Mul(r.T(), &sr)
	for a := range o {
		for i := range d {
			o[a] += (m.MeanX[i] - p.mean[i]) * p.rotate[i*p.r+a]
		}
	}
	// A symmetric projection P leaves tr((I-P) (c + n o o^T)) behind.
	residual, total := 0.0, 0.0
	for a := range p.r {
		total += c.At(a, a)
		for b := range p.r {
			left := -p.back[a*p.r+b]
			if a == b {
				left++
			}
			residual += left * (c.At(a, b) + m.N*o[a]*o[b])
		}
	}
	return 1 - residual/total
}
