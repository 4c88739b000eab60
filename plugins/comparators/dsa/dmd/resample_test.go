package dmd

import (
	"errors"
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestResample: weights of 1 give the fitted operator back; weights that drop trials give, up to the coordinates, the operator of the others where these span the
// same space; what resampling cannot do is refused.
func TestResample(t *testing.T) {
	rng := random.New(6, "dmd/resample")
	trials := make([]Trial, 12)
	for k := range trials {
		trials[k] = Trial{Data: make([]float64, 3*(30+k)), Width: 3}
		for i := 3; i < len(trials[k].Data); i++ {
			trials[k].Data[i] = 0.9*trials[k].Data[i-3] + 0.2*trials[k].Data[i-1-i%3] + rng.NormFloat64()
		}
	}
	m, err := Fit(t.Context(), trials, Options{Delays: 2, Ridge: 1e-8})
	if err != nil {
		t.Fatal(err)
	}
	ones, half := make([]float64, 12), make([]float64, 12)
	for k := range ones {
		ones[k] = 1
		if k < 6 {
			half[k] = 1
		}
	}
	a, err := m.Resample(t.Context(), trials, [][]float64{ones, half})
	if err != nil {
		t.Fatal(err)
	}
	if !mat.EqualApprox(a[0], m.A, 1e-9) {
		t.Errorf("with weights of 1: %v, want %v", mat.Formatted(a[0]), mat.Formatted(m.A))
	}
	direct, err := Fit(t.Context(), trials[:6], Options{Delays: 2, Ridge: 1e-8})
	if err != nil {
		t.Fatal(err)
	}
	// All of the embedding's columns are kept, so that both spaces are the whole one: eigenvalues and norms are those of the direct fit.
	if x, y := mat.Norm(a[1], 2), mat.Norm(direct.A, 2); math.Abs(x-y) > 1e-6 {
		t.Errorf("norm %v of half the trials by weights, %v fitted", x, y)
	}
	if x, y := mat.Trace(a[1]), mat.Trace(direct.A); math.Abs(x-y) > 1e-6 {
		t.Errorf("trace %v of half the trials by weights, %v fitted", x, y)
	}
	// Of fewer coordinates, those that half of the trials have are found among the spare ones: the same as fitted to these trials.
	few := Options{Delays: 2, Rank: Rank{Number: 3}, Ridge: 1e-8, Spare: 3}
	if m, err = Fit(t.Context(), trials, few); err != nil {
		t.Fatal(err)
	}
	if a, err = m.Resample(t.Context(), trials, [][]float64{ones, half}); err != nil {
		t.Fatal(err)
	}
	if !mat.EqualApprox(a[0], m.A, 1e-9) {
		t.Errorf("with spare coordinates and weights of 1: %v, want %v", mat.Formatted(a[0]), mat.Formatted(m.A))
	}
	if direct, err = Fit(t.Context(), trials[:6], few); err != nil {
		t.Fatal(err)
	}
	if x, y := mat.Norm(a[1], 2), mat.Norm(direct.A, 2); m.Rank() != 3 || math.Abs(x-y) > 1e-6 || math.Abs(mat.Trace(a[1])-mat.Trace(direct.A)) > 1e-6 {
		t.Errorf("norm %v of half the trials by weights, %v fitted, rank %d", x, y, m.Rank())
	}
	few.Spare = 0
	if m, err = Fit(t.Context(), trials, few); err != nil {
		t.Fatal(err)
	}
	if a, err = m.Resample(t.Context(), trials, [][]float64{half}); err != nil || math.Abs(mat.Norm(a[0], 2)-mat.Norm(direct.A, 2)) < 1e-6 {
		t.Errorf("without spare coordinates the norm is %v, fitted %v, error %v", mat.Norm(a[0], 2), mat.Norm(direct.A, 2), err)
	}
	if _, err := m.Resample(t.Context(), trials, [][]float64{make([]float64, 12)}); !errors.Is(err, ErrData) {
		t.Errorf("no trials at all: error %v", err)
	}
	if _, err := m.Resample(t.Context(), trials, [][]float64{{1}}); !errors.Is(err, ErrOption) {
		t.Errorf("one weight: error %v", err)
	}
	if m, err = Fit(t.Context(), trials, Options{Delays: 2, Rank: Rank{Number: 2}, ReducedRank: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resample(t.Context(), trials, [][]float64{ones}); !errors.Is(err, ErrOption) {
		t.Errorf("reduced rank: error %v", err)
	}
}
