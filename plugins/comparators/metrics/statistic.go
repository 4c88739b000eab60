package metrics

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// explained is the variance-weighted R2: 1 - sum_j SSres_j / sum_j SStot_j over columns j, SStot around the columns' means over the very trials that are
// counted. A column that does not vary adds its residual alone.
type explained struct {
	// bins, residual and square are sums of each trial: the number of bins, squared residuals, and squared distances from a fixed centre near the mean.
	bins, residual, square []float64
	// sums are each trial's sums of each column's distances from that centre.
	sums [][]float64
	// columnResidual and columnTotal are SSres_j and SStot_j over all trials.
	columnResidual, columnTotal []float64
}

func newExplained(trials, width int) *explained {
	return &explained{
		bins: make([]float64, trials), residual: make([]float64, trials), square: make([]float64, trials), sums: make([][]float64, trials),
		columnResidual: make([]float64, width), columnTotal: make([]float64, width),
	}
}

func (e *explained) Trials() int { return len(e.bins) }

func (e *explained) Value(weights []float64) float64 {
	var n, residual, total float64
	sums := make([]float64, len(e.columnTotal))
	for k, w := range weights {
		if w == 0 {
			continue
		}
		n += w * e.bins[k]
		residual += w * e.residual[k]
		total += w * e.square[k]
		for j, s := range e.sums[k] {
			sums[j] += w * s
		}
	}
	square := total
	for _, s := range sums {
		total -= s * s / n
	}
	// What rounding leaves of columns that do not vary is not a variance.
	if !(total > 1e-14*square) || total == 0 {
		return math.NaN()
	}
	return 1 - residual/total
}

// columns is the R2 of each column over all trials, NaN for one that does not vary.
func (e *explained) columns() []float64 {
	out := make([]float64, len(e.columnTotal))
	for j, total := range e.columnTotal {
		out[j] = math.NaN()
		if total > 0 {
			out[j] = 1 - e.columnResidual[j]/total
		}
	}
	return out
}

// predictor writes the prediction of the first bins of trial k of y.
type predictor func(to []float64, k, bins int)

// explain scores predictions of y. bins gives the number of bins of each trial that count; newPredictor is called once for each goroutine.
func explain(ctx context.Context, threads int, y trials.Series, bins func(k int) int, newPredictor func() predictor) (*explained, error) {
	d := y.Width()
	e := newExplained(y.Trials(), d)
	var means [trials.Shards][]float64
	err := trials.InShards(ctx, threads, y.Trials(), func(shard, from, to int) {
		buf := make([]float64, y.Longest()*d)
		means[shard] = make([]float64, d)
		for k := from; k < to; k++ {
			n := bins(k)
			e.bins[k] = float64(n)
			moments.SumRows(means[shard], y.Read(buf, k, n))
		}
	})
	if err != nil {
		return nil, err
	}
	total, mean := 0.0, means[0]
	for _, n := range e.bins {
		total += n
	}
	for _, m := range means[1:] {
		trials.Add(mean, m)
	}
	for j := range mean {
		mean[j] /= total
	}

	var residuals, squares [trials.Shards][]float64
	err = trials.InShards(ctx, threads, y.Trials(), func(shard, from, to int) {
		predict := newPredictor()
		rows, predicted := make([]float64, y.Longest()*d), make([]float64, y.Longest()*d)
		residuals[shard], squares[shard] = make([]float64, d), make([]float64, d)
		for k := from; k < to; k++ {
			n := bins(k)
			truth, guess := y.Read(rows, k, n), predicted[:n*d]
			predict(guess, k, n)
			e.addTrial(k, truth, guess, mean, residuals[shard], squares[shard])
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

// addTrial sums up trial k, given its rows and their prediction; residuals and squares are by column.
func (e *explained) addTrial(k int, truth, guess, centre, residuals, squares []float64) {
	d := len(centre)
	sums := make([]float64, d)
	for from := 0; from < len(truth); from += d {
		row, fit := truth[from:from+d], guess[from:from+d]
		for j, c := range centre {
			r, x := row[j]-fit[j], row[j]-c
			residuals[j] += r * r
			squares[j] += x * x
			e.residual[k] += r * r
			e.square[k] += x * x
			sums[j] += x
		}
	}
	e.sums[k] = sums
}
