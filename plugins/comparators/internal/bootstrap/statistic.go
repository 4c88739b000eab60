// Package bootstrap gives metrics their intervals and nulls: resamples of trials, percentile and BCa intervals of statistics of them, and shuffles that pair trials
// with others.
package bootstrap

// Statistic is a metric of scored trials, in the form of sums over each trial, so that its value over any resample of trials costs little.
type Statistic interface {
	Trials() int
	// Value is the metric with trial k counted weights[k] times; NaN where it is not defined.
	Value(weights []float64) float64
}

// Distances is the mean of several distances, such as those of each channel.
type Distances interface {
	Statistic
	// Parts are the distances of which [Statistic.Value] is the mean over those that are finite.
	Parts(weights []float64) []float64
}

// Ones counts each trial once.
func Ones(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

// Average is the mean of one number a trial.
type Average []float64

// Trials implements [Statistic].
func (a Average) Trials() int { return len(a) }

// Value implements [Statistic].
func (a Average) Value(weights []float64) float64 {
	var n, sum float64
	for k, w := range weights {
		n += w
		sum += w * a[k]
	}
	return sum / n
}

// Fixed is a value without trials, which is all that is needed of a shuffle.
type Fixed float64

// Trials implements [Statistic].
func (f Fixed) Trials() int { return 0 }

// Value implements [Statistic].
func (f Fixed) Value([]float64) float64 { return float64(f) }

// Sums are sums over each trial, of which a statistic is a function: that of the sums over all.
type Sums struct {
	// Of holds a row for each trial.
	Of       [][]float64
	Function func(sums []float64) float64
}

// Trials implements [Statistic].
func (s Sums) Trials() int { return len(s.Of) }

// Value implements [Statistic].
func (s Sums) Value(weights []float64) float64 {
	var total []float64
	for k, w := range weights {
		if total == nil {
			total = make([]float64, len(s.Of[k]))
		}
		if w == 0 {
			continue
		}
		for i, v := range s.Of[k] {
			total[i] += w * v
		}
	}
	return s.Function(total)
}
