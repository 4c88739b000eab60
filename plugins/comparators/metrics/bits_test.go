package metrics

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/sdk/comparator"
)

// TestIntervalOfBits: however few the trials, the interval of bits per spike holds the value well inside, since resamples are scored against the very null model of the value. With a null of each resample's own, as
// ownNull has it, values near 0 lie at the upper edge with 4 trials; with 200, and a model of use, the two are
// hardly told apart.
func TestIntervalOfBits(t *testing.T) {
	for _, n := range []int{4, 5, 6, 8, 200} {
		req := simulated(10, n, 20, 3, 4, 12, 6)
		if rates := req.Subjects[1].Valid.Get(comparator.Rates).F32; n < 200 {
			// A model of little use: its rates hardly vary.
			for i, r := range rates {
				rates[i] = 1.1 * float32(math.Pow(float64(r), 0.1))
			}
		}
		c, err := newComparison(&metrics{Params: Params{CycleV: 0.01, Shots: []int{4}, ShotDraws: 2, ShotRidge: 1}, threads: 1}, req)
		if err != nil {
			t.Fatal(err)
		}
		draws, checked := bootstrap.NewResamples(1, "test", 1000, n), 0
		for _, q := range c.measures(1) {
			s, err := q.compute(t.Context(), asTheyAre)
			if err != nil {
				t.Fatal(err)
			}
			b, ok := s.(bitsPerSpike)
			if !ok {
				continue
			}
			checked++
			value, before := s.Value(bootstrap.Ones(n)), ownNull{b}.Value(bootstrap.Ones(n))
			if math.Abs(value-before) > 1e-12 {
				t.Errorf("%s of %d trials is %v, against the null of all of them %v", q.metric, n, value, before)
			}
			low, high, err := bootstrap.Interval(t.Context(), s, draws, false)
			if err != nil {
				t.Fatal(err)
			}
			l, h, err := bootstrap.Interval(t.Context(), ownNull{b}, draws, false)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s of %d trials: %.4f in %.4f to %.4f, with nulls of their own %.4f to %.4f", q.metric, n, value, low, high, l, h)
			if inside := (value - low) / (high - low); !(inside > 0.2 && inside < 0.8) {
				t.Errorf("%s of %d trials: %v lies at %.2f of its interval, %v to %v", q.metric, n, value, inside, low, high)
			}
			if off := max(math.Abs(l-low), math.Abs(h-high)) / (high - low); n == 200 && !(off < 0.1) {
				t.Errorf("%s of %d trials: %v to %v, with nulls of their own %v to %v", q.metric, n, low, high, l, h)
			}
		}
		if checked != 3 {
			t.Fatalf("%d metrics are bits per spike: co_bps, heldin_bps and few_shot_co_bps are", checked)
		}
	}
}

// ownNull is bits per spike against the mean rates of the weighted trials.
type ownNull struct{ bitsPerSpike }

func (o ownNull) Value(weights []float64) float64 {
	b := o.bitsPerSpike
	b.null = make([]float64, len(b.null))
	n := 0.0
	for k, w := range weights {
		n += w * b.bins[k]
		for i, s := range b.spikes[k] {
			b.null[i] += w * s
		}
	}
	for i := range b.null {
		b.null[i] /= n
	}
	return b.Value(weights)
}
