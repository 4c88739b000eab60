package bootstrap

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestInterval compares intervals of a mean with theory: percentile with the normal approximation; BCa of a skewed mean with the first terms of the
// Edgeworth expansion (Efron 1987), which shift both ends by skewness/(6 sqrt n) (2 z^2 + 1) standard errors further than the normal interval.
func TestInterval(t *testing.T) {
	rng := random.New(2, "test")
	const n = 200
	sample := make(Average, n)
	for i := range sample {
		sample[i] = rng.ExpFloat64()
	}
	mean := sample.Value(Ones(n))
	var squares, cubes float64
	for _, x := range sample {
		squares, cubes = squares+(x-mean)*(x-mean)/n, cubes+math.Pow(x-mean, 3)/n
	}
	se, skew := math.Sqrt(squares/n), cubes/math.Pow(squares, 1.5)
	draws := NewResamples(1, "test/bootstrap", 40000, n)
	for _, c := range []struct {
		bca   bool
		shift float64
	}{
		{false, skew / (6 * math.Sqrt(n)) * (1.96*1.96 - 1) * se},
		{true, skew / (6 * math.Sqrt(n)) * (2*1.96*1.96 + 1) * se},
	} {
		low, high, err := Interval(t.Context(), sample, draws, c.bca)
		if err != nil || math.Abs(low-(mean-1.96*se+c.shift)) > 0.06*se || math.Abs(high-(mean+1.96*se+c.shift)) > 0.06*se {
			t.Errorf("bca %v: %v..%v, want %v..%v", c.bca, low, high, mean-1.96*se+c.shift, mean+1.96*se+c.shift)
		}
	}
	few := NewResamples(1, "test/bootstrap", 10, n)
	i := 0
	for w := range draws.All {
		if i == few.number {
			break
		}
		if !slices.Equal(w, few.kept[i]) {
			t.Errorf("resample %d depends on how many there are, or on whether they are kept", i)
		}
		i++
	}
	if few.kept == nil || draws.kept != nil {
		t.Error("the few resamples are not kept, or the many are")
	}
	for n := 2; n < 9; n++ {
		p := Shuffle(1, "test", n, n)
		for k, j := range p {
			if k == j {
				t.Errorf("trial %d of %d is paired with itself", k, n)
			}
		}
	}
}

// An interval over many resamples ends when it is told to.
func TestIntervalEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if low, _, err := Interval(ctx, Average{1, 2, 3}, NewResamples(1, "test/bootstrap", 1_000_000, 3), false); !errors.Is(err, context.Canceled) || !math.IsNaN(low) {
		t.Errorf("%v, error %v", low, err)
	}
	r := NewResamples(1, "test/bootstrap", 100, 5)
	var kept, anew [][]float64
	for w := range r.All {
		kept = append(kept, slices.Clone(w))
	}
	r.kept = nil
	for w := range r.All {
		anew = append(anew, slices.Clone(w))
	}
	if !slices.EqualFunc(kept, anew, slices.Equal[[]float64]) {
		t.Error("resamples that are not kept are others")
	}
}

// The absolute difference of two means that are nearly the same is enlarged by resampling: percentiles lie above it, the centred interval holds it.
func TestCentred(t *testing.T) {
	rng := random.New(4, "test")
	const channels = 20
	s := Sums{Of: make([][]float64, 50), Function: func(sums []float64) float64 {
		total := 0.0
		for _, v := range sums {
			total += math.Abs(v) / channels / 50
		}
		return total
	}}
	sum := make([]float64, channels)
	for k := range s.Of {
		for c := range channels {
			v := rng.NormFloat64()
			sum[c] += v
			s.Of[k] = append(s.Of[k], v)
		}
	}
	// Nothing is left of the differences of the sample itself but a twentieth.
	for k := range s.Of {
		for c := range channels {
			s.Of[k][c] -= 0.95 * sum[c] / 50
		}
	}
	draws := NewResamples(1, "test/bootstrap", 500, 50)
	value := s.Value(Ones(50))
	if low, _, err := Interval(t.Context(), s, draws, false); err != nil || low <= value {
		t.Errorf("percentiles begin at %v, the value is %v: there is nothing to mend", low, value)
	}
	low, high, err := Centred(t.Context(), s, draws)
	if err != nil || !(0 <= low && low < value && value < high && high < value+0.1) {
		t.Errorf("%v to %v around %v, error %v", low, high, value, err)
	}
}
