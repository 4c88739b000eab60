package metrics

import (
	"context"
	"math"
)

// statistic is a metric of scored trials, in the form of sums over each trial, so that its value over any resample of trials costs little.
type statistic interface {
	trials() int
	// value is the metric with trial k counted weights[k] times; NaN where it is not defined.
	value(weights []float64) float64
}

// ones counts each trial once.
func ones(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

// average is the mean of one number a trial.
type average []float64

func (a average) trials() int { return len(a) }

func (a average) value(weights []float64) float64 {
	var n, sum float64
	for k, w := range weights {
		n += w
		sum += w * a[k]
	}
	return sum / n
}

// fixed is a value without trials, which is all that is needed of a shuffle.
type fixed float64

func (f fixed) trials() int             { return 0 }
func (f fixed) value([]float64) float64 { return float64(f) }

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

func (e *explained) trials() int { return len(e.bins) }

func (e *explained) value(weights []float64) float64 {
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
func explain(ctx context.Context, threads int, y series, bins func(k int) int, newPredictor func() predictor) (*explained, error) {
	d := y.width()
	e := newExplained(y.trials(), d)
	var means [shardCount][]float64
	err := inShards(ctx, threads, y.trials(), func(shard, from, to int) {
		buf := make([]float64, y.longest()*d)
		means[shard] = make([]float64, d)
		for k := from; k < to; k++ {
			n := bins(k)
			e.bins[k] = float64(n)
			sumRows(means[shard], y.read(buf, k, n))
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
		add(mean, m)
	}
	for j := range mean {
		mean[j] /= total
	}

	var residuals, squares [shardCount][]float64
	err = inShards(ctx, threads, y.trials(), func(shard, from, to int) {
		predict := newPredictor()
		rows, predicted := make([]float64, y.longest()*d), make([]float64, y.longest()*d)
		residuals[shard], squares[shard] = make([]float64, d), make([]float64, d)
		for k := from; k < to; k++ {
			n := bins(k)
			truth, guess := y.read(rows, k, n), predicted[:n*d]
			predict(guess, k, n)
			e.addTrial(k, truth, guess, mean, residuals[shard], squares[shard])
		}
	})
	if err != nil {
		return nil, err
	}
	for shard := range shardCount {
		add(e.columnResidual, residuals[shard])
		add(e.columnTotal, squares[shard])
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
