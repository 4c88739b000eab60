package metrics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// level of the intervals.
const level = 0.95

// resamples draws trials with replacement: out[r][k] is how often trial k is in resample r. Resample r is the same whatever their number, and
// the same for all metrics and subjects, so that their differences can be compared.
func resamples(seed uint64, number, trials int) [][]float64 {
	out := make([][]float64, number)
	for r := range out {
		rng := random.New(seed, "metrics/bootstrap", uint64(r))
		out[r] = make([]float64, trials)
		for range trials {
			out[r][rng.IntN(trials)]++
		}
	}
	return out
}

// interval is the bootstrap 95% interval of a statistic: percentile, or bias-corrected and accelerated (Efron 1987, "Better bootstrap confidence
// intervals"). It is NaN where the statistic is defined on fewer than half of the resamples.
func interval(s statistic, draws [][]float64, bca bool) (low, high float64) {
	values := make([]float64, 0, len(draws))
	for _, w := range draws {
		if v := s.value(w); !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	if len(values) == 0 || 2*len(values) < len(draws) {
		return math.NaN(), math.NaN()
	}
	slices.Sort(values)
	from, to := (1-level)/2, (1+level)/2
	if bca {
		from, to = adjusted(s, values, from), adjusted(s, values, to)
	}
	return quantile(values, from), quantile(values, to)
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
