package bootstrap

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// level of the intervals.
const level = 0.95

// Resamples draws trials with replacement. Resample r is the same whatever their number, and the same for all metrics and subjects, so that their
// differences can be compared.
type Resamples struct {
	// Purpose is that of the random stream.
	Purpose        string
	seed           uint64
	number, trials int
	// kept are those that have been drawn, of a number that memory has room for; nil where they are drawn anew each time.
	kept [][]float64
}

// KeptBytes bounds the resamples that are kept: 1000 of 4000 trials.
const KeptBytes = 32 << 20

// NewResamples draws so many of so many trials, from the stream of a purpose.
func NewResamples(seed uint64, purpose string, number, trials int) *Resamples {
	r := &Resamples{Purpose: purpose, seed: seed, number: number, trials: trials}
	if int64(number)*int64(trials) > KeptBytes/8 {
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
func (r *Resamples) draw(to []float64, i int) {
	clear(to)
	rng := random.New(r.seed, r.Purpose, uint64(i))
	for range to {
		to[rng.IntN(len(to))]++
	}
}

// Number is that of the resamples.
func (r *Resamples) Number() int { return r.number }

// All gives the resamples in order; each is valid until the next.
func (r *Resamples) All(yield func([]float64) bool) {
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

// Interval is the bootstrap 95% interval of a statistic: percentile, or bias-corrected and accelerated. It is NaN where the statistic is defined on fewer than
// half of the resamples. The error is ctx's.
func Interval(ctx context.Context, s Statistic, draws *Resamples, bca bool) (low, high float64, err error) {
	values := make([]float64, 0, draws.number)
	for w := range draws.All {
		if err := ctx.Err(); err != nil {
			return math.NaN(), math.NaN(), err
		}
		values = append(values, s.Value(w))
	}
	w := Ones(s.Trials())
	var value float64
	var left []float64
	if bca {
		value, left = s.Value(w), make([]float64, len(w))
		for k := range w {
			w[k] = 0
			left[k] = s.Value(w)
			w[k] = 1
		}
	}
	low, high = Bounds(value, values, left)
	return low, high, nil
}

// Distance is the 95% interval of a distance less what sampling alone adds to it, see [DistanceBounds]. What it adds to a mean of [Distances] depends on how they differ, and is not known where some are near 0: then
// the interval holds both that which takes them for alike and that which takes each for itself. The error is ctx's.
func Distance(ctx context.Context, s Statistic, draws *Resamples) (low, high float64, err error) {
	values := make([]float64, 0, draws.number)
	var parts [][]float64
	of, several := s.(Distances)
	for w := range draws.All {
		if err := ctx.Err(); err != nil {
			return math.NaN(), math.NaN(), err
		}
		if several {
			p := of.Parts(w)
			parts, values = append(parts, p), append(values, Mean(p))
			continue
		}
		values = append(values, s.Value(w))
	}
	ones := Ones(s.Trials())
	low, high = DistanceBounds(s.Value(ones), values, 0)
	if several && low-low == 0 {
		l, h := partBounds(of.Parts(ones), parts, values)
		low, high = min(low, l), max(high, h)
	}
	return low, high, nil
}

// partBounds are the bounds of a mean of distances of which each loses what sampling adds to it alone: the middle of the means of resamples, moved to the mean of what is left.
func partBounds(own []float64, parts [][]float64, means []float64) (low, high float64) {
	var left []float64
	squares := make([]float64, len(parts))
	for c, v := range own {
		for b, p := range parts {
			squares[b] = p[c] * p[c]
		}
		// What is below 0 stays so, lest parts that are 0 come to something together.
		square := v*v - max(0, Mean(squares)-v*v)
		left = append(left, math.Copysign(math.Sqrt(math.Abs(square)), square))
	}
	from, to := Bounds(0, means, nil)
	moved := Mean(left) - Mean(means)
	return max(0, from+moved), max(0, to+moved)
}

// DistanceBounds is the 95% interval of a distance from its value and those on the resamples. Chance only enlarges a distance: the square of what is measured, d^2, is about that of the true one and a
// term b^2, and the square of a resample's about d^2 + b^2 again, as squares are sums of squared differences. The interval holds the middle of the resamples' squares less 2 b^2, with b^2 their mean less
// d^2: what the value has of it and what resampling adds. It is one of the true distance, and d lies above it where sampling is most of it. Where
// it is known otherwise that chance adds as much as least, or more, the interval begins where that allows; subjects of the same trials share part of it, so that it does not end earlier for it. It is NaN
// where fewer than half of the resamples have a finite value.
func DistanceBounds(value float64, resampled []float64, least float64) (low, high float64) {
	squares := make([]float64, len(resampled))
	for i, v := range resampled {
		squares[i] = v * v
	}
	from, to := Bounds(0, squares, nil)
	if from-from != 0 || value-value != 0 {
		return math.NaN(), math.NaN()
	}
	// Resamples that are nearer than the value on the average know of no term.
	added := max(0, Mean(squares)-value*value)
	of := func(square float64) float64 { return math.Sqrt(max(0, square)) }
	return of(from - added - max(added, least*least)), of(to - 2*added)
}

// Bounds is the 95% interval of a statistic from its values on the resamples: percentile; or, where left holds its values on all trials but one, bias-corrected and
// accelerated (Efron 1987, "Better bootstrap confidence intervals"), for which value is that on all. It is NaN where fewer than half of the resamples have a
// finite value.
func Bounds(value float64, resampled, left []float64) (low, high float64) {
	values := finite(resampled)
	if len(values) == 0 || 2*len(values) < len(resampled) {
		return math.NaN(), math.NaN()
	}
	slices.Sort(values)
	from, to := (1-level)/2, (1+level)/2
	if left != nil {
		from, to = adjusted(value, values, finite(left))
	}
	return quantile(values, from), quantile(values, to)
}

// Mean is that of the finite values, NaN where there are none.
func Mean(values []float64) float64 {
	kept := finite(values)
	return floats.Sum(kept) / float64(len(kept))
}

func finite(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, v := range values {
		if v-v == 0 {
			out = append(out, v)
		}
	}
	return out
}

// adjusted are the levels at which BCa reads its ends off the sorted values of the resamples.
func adjusted(value float64, values, left []float64) (from, to float64) {
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
	mean := 0.0
	for _, v := range left {
		mean += v
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
	at := func(p float64) float64 {
		z := bias + distuv.UnitNormal.Quantile(p)
		return distuv.UnitNormal.CDF(bias + z/(1-acceleration*z))
	}
	return at((1 - level) / 2), at((1 + level) / 2)
}

// quantile of sorted values, linear between them.
func quantile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := min(int(at), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[j]-sorted[i])
}

// Shuffle pairs no trial with itself: a random cycle through all n of them (Sattolo 1986). One trial alone stays with itself.
func Shuffle(seed uint64, purpose string, index, n int) trials.Pairing {
	rng := random.New(seed, purpose, uint64(index))
	p := make(trials.Pairing, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := rng.IntN(i)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
