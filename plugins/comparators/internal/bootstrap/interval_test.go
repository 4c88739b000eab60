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

// The distance of two means of many channels is enlarged by sampling, and by resampling once more. Its interval holds the true one, as often where there is none as where there is, and quantiles of the
// resamples do not.
func TestDistance(t *testing.T) {
	const channels, trials, repetitions = 20, 30, 200
	for _, apart := range []float64{0, 0.05, 0.3} {
		held, plain, width := 0, 0, 0.0
		for rep := range repetitions {
			rng := random.New(4, "test", uint64(rep))
			s := Sums{Of: make([][]float64, trials), Function: func(sums []float64) float64 {
				total := 0.0
				for _, v := range sums {
					total += v * v / channels / trials / trials
				}
				return math.Sqrt(total)
			}}
			for k := range s.Of {
				for range channels {
					s.Of[k] = append(s.Of[k], apart+rng.NormFloat64())
				}
			}
			draws := NewResamples(uint64(rep), "test/bootstrap", 200, trials)
			low, high, err := Distance(t.Context(), s, draws)
			if err != nil || !(0 <= low && low <= high) {
				t.Fatalf("%v to %v, error %v", low, high, err)
			}
			if low <= apart && apart <= high {
				held++
			}
			if low, high, _ = Interval(t.Context(), s, draws, false); low <= apart && apart <= high {
				plain++
			}
			width += (high - low) / repetitions
		}
		t.Logf("%v apart: held by %d of %d intervals, %.3f wide, and by %d of percentiles", apart, held, repetitions, width, plain)
		if held < repetitions*92/100 {
			t.Errorf("%v apart: held by %d of %d intervals", apart, held, repetitions)
		}
		if apart < 0.1 && plain > repetitions/10 {
			t.Errorf("%v apart: percentiles hold it %d times of %d: there is nothing to mend", apart, plain, repetitions)
		}
	}
	if low, high := DistanceBounds(1, []float64{math.NaN(), math.NaN(), 1}, 0); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Errorf("%v to %v where most resamples have no distance", low, high)
	}
}

// unlike is the mean over channels of how far means of them are from 0 in a plane, some of them not at all.
type unlike [][]float64

func (u unlike) Trials() int { return len(u) }

func (u unlike) Value(weights []float64) float64 { return Mean(u.Parts(weights)) }

func (u unlike) Parts(weights []float64) []float64 {
	sums := make([]float64, len(u[0]))
	for k, w := range weights {
		for i, v := range u[k] {
			sums[i] += w * v / float64(len(u))
		}
	}
	out := make([]float64, len(sums)/2)
	for c := range out {
		out[c] = math.Hypot(sums[2*c], sums[2*c+1])
	}
	return out
}

// TestDistances: a mean of distances has an interval that holds the true one where they are all alike and where half of them are 0.
func TestDistances(t *testing.T) {
	const channels, trials, repetitions = 40, 30, 200
	for _, far := range [][2]float64{{0, 0}, {0.3, 0.3}, {0, 1}} {
		held, width, whole := 0, 0.0, (far[0]+far[1])/2
		for rep := range repetitions {
			rng := random.New(5, "test", uint64(rep))
			u := make(unlike, trials)
			for k := range u {
				for c := range channels {
					u[k] = append(u[k], far[c%2]+rng.NormFloat64(), rng.NormFloat64())
				}
			}
			low, high, err := Distance(t.Context(), u, NewResamples(uint64(rep), "test/bootstrap", 200, trials))
			if err != nil {
				t.Fatal(err)
			}
			if low <= whole && whole <= high {
				held++
			}
			width += (high - low) / repetitions
		}
		if width > 0.25 {
			t.Errorf("%v apart: intervals are %v wide", far, width)
		}
		if held < repetitions*92/100 {
			t.Errorf("%v apart: held by %d of %d intervals", far, held, repetitions)
		}
	}
}
