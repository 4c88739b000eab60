package metrics

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// level of the intervals.
const level = 0.95

// resamples draws trials with replacement. Resample r is the same whatever their number, and the same for all metrics and subjects, so that their
// differences can be compared.
type resamples struct {
	seed           uint64
	number, trials int
	// kept are those that have been drawn, of a number that memory has room for; nil where they are drawn anew each time.
	kept [][]float64
}

// keptBytes bounds the resamples that are kept: 1000 of 4000 trials.
const keptBytes = 32 << 20

func newResamples(seed uint64, number, trials int) *resamples {
	r := &resamples{seed: seed, number: number, trials: trials}
	if int64(number)*int64(trials) > keptBytes/8 {
		return r
	}
	r.kept = make([][]float64, number)
	for i := range r.kept {
		r.kept[i] = make([]float64, trials)
		r.draw(r.kept[i], i)
	}
	return r
}

// draw writes how often each trial is in resample i.
func (r *resamples) draw(to []float64, i int) {
	clear(to)
	rng := random.New(r.seed, "metrics/bootstrap", uint64(i))
	for range to {
		to[rng.IntN(len(to))]++
	}
}

// all gives the resamples in order; each is valid until the next.
func (r *resamples) all(yield func([]float64) bool) {
	var w []float64
	for i := range r.number {
		switch {
		case r.kept != nil:
			w = r.kept[i]
		case w == nil:
			w = make([]float64, r.trials)
			fallthrough
		default:
			r.draw(w, i)
		}
		if !yield(w) {
			return
		}
	}
}

// interval is the bootstrap 95% interval of a statistic: percentile, or bias-corrected and accelerated (Efron 1987, "Better bootstrap confidence
// intervals"). It is NaN where the statistic is defined on fewer than half of the resamples. The error is ctx's.
func interval(ctx context.Context, s statistic, draws *resamples, bca bool) (low, high float64, err error) {
	values := make([]float64, 0, draws.number)
	for w := range draws.all {
		if err := ctx.Err(); err != nil {
			return math.NaN(), math.NaN(), err
		}
		if v := s.value(w); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	if len(values) == 0 || 2*len(values) < draws.number {
		return math.NaN(), math.NaN(), nil
	}
	slices.Sort(values)
	from, to := (1-level)/2, (1+level)/2
	if bca {
		from, to = adjusted(s, values, from), adjusted(s, values, to)
	}
	return quantile(values, from), quantile(values, to), nil
}

// adjusted is the level at which BCa reads the quantile p off the sorted values of the resamples.
func adjusted(s statistic, values []float64, p float64) float64 {
	w := ones(s.trials())
	value := s.value(w)
	below := 0.0
	for _, v := range values {
		switch {
		case v < value:
			below++
		case v == value:
			below += 0.5
		}
	}
	n := float64(len(values))
	below = min(max(below, 0.5), n-0.5)
	bias := distuv.UnitNormal.Quantile(below / n)

	// The acceleration is a sixth of the skewness of the values that leave one trial out.
	left := make([]float64, 0, len(w))
	mean := 0.0
	for k := range w {
		w[k] = 0
		if v := s.value(w); !math.IsNaN(v) && !math.IsInf(v, 0) {
			left = append(left, v)
			mean += v
		}
		w[k] = 1
	}
	mean /= float64(len(left))
	var squares, cubes float64
	for _, v := range left {
		d := mean - v
		squares, cubes = squares+d*d, cubes+d*d*d
	}
	acceleration := 0.0
	if squares > 0 {
		acceleration = cubes / (6 * math.Pow(squares, 1.5))
	}
	z := bias + distuv.UnitNormal.Quantile(p)
	return distuv.UnitNormal.CDF(bias + z/(1-acceleration*z))
}

// quantile of sorted values, linear between them.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[j]-sorted[i])
}

// shuffle pairs no trial with itself: a random cycle through all n of them (Sattolo 1986). One trial alone stays with itself.
func shuffle(seed uint64, purpose string, index, n int) pairing {
	rng := random.New(seed, purpose, uint64(index))
	p := make(pairing, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := rng.IntN(i)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
