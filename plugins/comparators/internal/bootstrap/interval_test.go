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
