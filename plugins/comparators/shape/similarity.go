package shape

import (
	"context"
	"iter"
	"math"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// fullSquare is the squared Frobenius norm of a symmetric matrix of which the upper triangle is held.
func fullSquare(upper []float64, d int) float64 {
	sum := 0.0
	for i := range d {
		sum += upper[i*d+i] * upper[i*d+i]
		for _, v := range upper[i*d+i+1 : (i+1)*d] {
			sum += 2 * v * v
		}
	}
	return sum
}

// similarity is linear CKA, and the same of unbiased estimates, of the rows that moments m were taken of.
func (c *comparison) similarity(ctx context.Context, x, y trials.Series, pairs trials.Pairing, m *moments.Moments) (plain, debiased float64, err error) {
	dx, dy := x.Width(), y.Width()
	xx, yy, xy := fullSquare(m.XX, dx), fullSquare(m.YY, dy), floats.Dot(m.XY, m.XY)
	if !(xx > 0 && yy > 0) {
		return math.NaN(), math.NaN(), nil
	}
	plain = xy / math.Sqrt(xx*yy)
	// Sums over rows of |x|^2 |y|^2, |x|^4 and |y|^4.
	var shards [trials.Shards][3]float64
	err = trials.InShards(ctx, c.threads, x.Trials(), func(shard, from, to int) {
		bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
		for k := from; k < to; k++ {
			n := pairs.Common(x, y, k)
			rowsX, rowsY := x.Read(bufX, k, n), y.Read(bufY, pairs.Of(k), n)
			moments.Centre(rowsX, m.MeanX)
			moments.Centre(rowsY, m.MeanY)
			for i := range n {
				rowX, rowY := rowsX[i*dx:(i+1)*dx], rowsY[i*dy:(i+1)*dy]
				a, b := floats.Dot(rowX, rowX), floats.Dot(rowY, rowY)
				shards[shard][0] += a * b
				shards[shard][1] += a * a
				shards[shard][2] += b * b
			}
		}
	})
	if err != nil {
		return plain, math.NaN(), err
	}
	var fourth [3]float64
	for _, s := range shards {
		trials.Add(fourth[:], s[:])
	}
	traceX, traceY := 0.0, 0.0
	for i := range dx {
		traceX += m.XX[i*dx+i]
	}
	for i := range dy {
		traceY += m.YY[i*dy+i]
	}
	n := m.N
	if n < 4 {
		return plain, math.NaN(), nil
	}
	unbiased := func(square, fourth, product float64) float64 {
		return square - n/(n-2)*fourth + product/((n-1)*(n-2))
	}
	ux, uy := unbiased(xx, fourth[1], traceX*traceX), unbiased(yy, fourth[2], traceY*traceY)
	if !(ux > 0 && uy > 0) {
		return plain, math.NaN(), nil
	}
	return plain, unbiased(xy, fourth[0], traceX*traceY) / math.Sqrt(ux*uy), nil
}

// similarityBounds are the intervals of linear CKA and of its debiased estimate. Chance raises the plain one, and resampling does so again: its percentiles are moved down by the latter, so that they
// are of what so many trials give. For the other each of the three norms is, on each resample, less what chance adds to it, which is what resampling adds and as much again: they are sums of squares. That
// knows how bins of a trial hang together, as it is trials that are drawn.
func (c *comparison) similarityBounds(ctx context.Context, x, y *subject) (plain, debiased [2]float64, err error) {
	none := [2]float64{math.NaN(), math.NaN()}
	if c.draws == nil {
		return none, none, nil
	}
	var of [3][]float64
	for i, p := range [][2]*subject{{x, x}, {y, y}, {x, y}} {
		if i < 2 && c.norms[p[0].Label] != nil {
			of[i] = c.norms[p[0].Label]
			continue
		}
		if of[i], err = c.crossNorms(ctx, p[0].valid, p[1].valid); err != nil {
			return none, none, err
		}
		if i < 2 {
			c.norms[p[0].Label] = of[i]
		}
	}
	draws := c.draws.Number()
	similarities := func(less [3]float64) []float64 {
		out := make([]float64, len(of[0]))
		for i := range out {
			out[i] = math.NaN()
			if xx, yy := of[0][i]-less[0], of[1][i]-less[1]; xx > 0 && yy > 0 {
				out[i] = (of[2][i] - less[2]) / math.Sqrt(xx*yy)
			}
		}
		return out
	}
	values := similarities([3]float64{})
	resampled := values[1 : 1+draws]
	low, high := bootstrap.Bounds(values[0], resampled, nil)
	added := max(0, bootstrap.Mean(resampled)-values[0])
	plain = [2]float64{max(0, low-added), high - added}
	var twice [3]float64
	for i, norms := range of {
		twice[i] = 2 * max(0, bootstrap.Mean(norms[1:1+draws])-norms[0])
	}
	low, high = bootstrap.Bounds(0, similarities(twice)[1:1+draws], nil)
	debiased = [2]float64{max(-1, low), min(1, high)}
	if c.Interval == "bca" {
		plain[0], plain[1] = bootstrap.Bounds(values[0], resampled, values[1+c.draws.Number():])
	}
	return plain, debiased, nil
}

const (
	// blockColumns bounds the columns of products of trials that are held at a time, blockWeights the resamples.
	blockColumns, blockWeights = 2048, 64
)

// crossNorms is the squared Frobenius norm of the centred products x^T y over all trials, over each resample, and, for BCa, over all but each trial. The products of
// each trial are made for a few columns of x at a time, since those of all trials need not fit into memory.
func (c *comparison) crossNorms(ctx context.Context, x, y trials.Series) ([]float64, error) {
	n, dx, dy := x.Trials(), x.Width(), y.Width()
	m, err := moments.New(ctx, c.threads, x, y, nil, moments.Parts{}, nil)
	if err != nil {
		return nil, err
	}
	// Each trial's bins and sums around the means of all.
	bins, sumsX, sumsY := make([]float64, n), make([]float64, n*dx), make([]float64, n*dy)
	if err := trials.InShards(ctx, c.threads, n, func(_, from, to int) {
		bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
		for k := from; k < to; k++ {
			b := trials.Pairing(nil).Common(x, y, k)
			bins[k] = float64(b)
			rowsX, rowsY := x.Read(bufX, k, b), y.Read(bufY, k, b)
			moments.Centre(rowsX, m.MeanX)
			moments.Centre(rowsY, m.MeanY)
			moments.SumRows(sumsX[k*dx:(k+1)*dx], rowsX)
			moments.SumRows(sumsY[k*dy:(k+1)*dy], rowsY)
		}
	}); err != nil {
		return nil, err
	}
	out := make([]float64, c.counted(n))
	width := max(1, min(dx, blockColumns/dy))
	blocks := (dx + width - 1) / width
	var parts [trials.Shards][]float64
	err = trials.InShards(ctx, c.threads, blocks, func(shard, first, last int) {
		parts[shard] = make([]float64, len(out))
		bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
		for block := first; block < last; block++ {
			from, to := block*width, min(dx, (block+1)*width)
			w := to - from
			products, columns := make([]float64, n*w*dy), make([]float64, x.Longest()*w)
			for k := range n {
				if ctx.Err() != nil {
					return
				}
				b := int(bins[k])
				if b == 0 {
					continue
				}
				rowsX, rowsY := x.Read(bufX, k, b), y.Read(bufY, k, b)
				moments.Centre(rowsX, m.MeanX)
				moments.Centre(rowsY, m.MeanY)
				for i := range b {
					copy(columns[i*w:(i+1)*w], rowsX[i*dx+from:i*dx+to])
				}
				moments.AddProduct(products[k*w*dy:(k+1)*w*dy], columns[:b*w], rowsY, w, dy)
			}
			summed := make([]float64, blockWeights*w*dy)
			sumX, sumY := make([]float64, w), make([]float64, dy)
			for at, weights := range c.weights(n) {
				if ctx.Err() != nil {
					return
				}
				count := len(weights) / n
				moments.Multiply(summed[:count*w*dy], weights, products, n, w*dy)
				for i := range count {
					total := 0.0
					clear(sumX)
					clear(sumY)
					for k, v := range weights[i*n : (i+1)*n] {
						if v != 0 {
							total += v * bins[k]
							floats.AddScaled(sumX, v, sumsX[k*dx+from:k*dx+to])
							floats.AddScaled(sumY, v, sumsY[k*dy:(k+1)*dy])
						}
					}
					row := summed[i*w*dy : (i+1)*w*dy]
					for a, s := range sumX {
						floats.AddScaled(row[a*dy:(a+1)*dy], -s/total, sumY)
					}
					parts[shard][at+i] += floats.Dot(row, row)
				}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p != nil {
			trials.Add(out, p)
		}
	}
	return out, ctx.Err()
}

// counted is the number of weightings of n trials: all once, the resamples, and, for BCa, all but each.
func (c *comparison) counted(n int) int {
	out := 1 + c.draws.Number()
	if c.Interval == "bca" {
		out += n
	}
	return out
}

// weights gives how often each of n trials counts, a few weightings at a time with the number of those before; they are valid until the next.
func (c *comparison) weights(n int) iter.Seq2[int, []float64] {
	return func(yield func(int, []float64) bool) {
		held, at := bootstrap.Ones(n), 0
		add := func(w []float64) bool {
			held = append(held, w...)
			if len(held) < blockWeights*n {
				return true
			}
			ok := yield(at, held)
			at, held = at+len(held)/n, held[:0]
			return ok
		}
		for w := range c.draws.All {
			if !add(w) {
				return
			}
		}
		if c.Interval == "bca" {
			for k := range n {
				w := bootstrap.Ones(n)
				w[k] = 0
				if !add(w) {
					return
				}
			}
		}
		if len(held) > 0 {
			yield(at, held)
		}
	}
}
