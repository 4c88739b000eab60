package dmd

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
)

// TestHardThreshold: 2.858 times the median for a square matrix, and the values published for other shapes (Gavish & Donoho 2014).
func TestHardThreshold(t *testing.T) {
	for _, c := range []struct {
		rows, cols int
		want       float64
	}{{100, 100, 2.8582}, {200, 100, 2.1711}, {100, 1000, 1.6089}} {
		if got := HardThreshold(c.rows, c.cols, 1); math.Abs(got-c.want) > 2e-3 {
			t.Errorf("%d x %d: %v, want %v", c.rows, c.cols, got, c.want)
		}
	}
}

// TestRefusals: what cannot be fitted is an error that names what was given.
func TestRefusals(t *testing.T) {
	good := modes(1, 2, 40, 3)
	constant := Trial{make([]float64, 120), 3}
	bad := Trial{make([]float64, 120), 3}
	bad.Data[7] = math.NaN()
	for _, c := range []struct {
		name   string
		trials []Trial
		opt    Options
		is     error
		names  string
	}{
		{"no trials", nil, Options{}, ErrData, "no trials"},
		{"one bin", []Trial{{good[0].Data[:3], 3}}, Options{}, ErrData, "has 1 bins"},
		{"too many delays", good, Options{Delays: 40}, ErrData, "40 delays"},
		{"NaN", []Trial{bad}, Options{}, ErrData, "bin 2, dimension 1"},
		{"constant", []Trial{constant}, Options{}, ErrData, "constant"},
		{"widths", []Trial{good[0], {good[1].Data, 2}}, Options{}, ErrData, "trial 1"},
		{"rank above", good, Options{Rank: Rank{Number: 4}}, ErrOption, "has rank 3"},
		{"negative rank", good, Options{Rank: Rank{Number: -1}}, ErrOption, "number -1"},
		{"two criteria", good, Options{Rank: Rank{Number: 2, Explained: 0.9}}, ErrOption, "one criterion"},
		{"share", good, Options{Rank: Rank{Explained: 1.5}}, ErrOption, "1.5"},
		{"threshold", good, Options{Rank: Rank{Threshold: 1e9}}, ErrOption, "1e+09"},
		{"ridge", good, Options{Ridge: -1}, ErrOption, "-1"},
		{"delays", good, Options{Delays: -2}, ErrOption, "-2"},
		{"steps", good, Options{Steps: -1}, ErrOption, "-1"},
		{"columns", good, Options{Delays: 1 << 20}, ErrData, "bins"},
	} {
		_, err := Fit(t.Context(), c.trials, c.opt)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	if m, err := Fit(t.Context(), good, Options{Rank: Rank{Number: 9, AtMost: true}}); err != nil || m.Rank() != 3 {
		t.Errorf("at most 9: error %v", err)
	}
	if _, err := Fit(t.Context(), good[:1], Options{Delays: 2}); err != nil {
		t.Errorf("a single trial: error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Fit(ctx, good, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

// TestTrialsStayApart: trials one after the other give another operator than one long trial, and their order does not matter.
func TestTrialsStayApart(t *testing.T) {
	x := modes(3, 2, 50, 3)
	apart, err := Fit(t.Context(), x, Options{Delays: 2})
	if err != nil {
		t.Fatal(err)
	}
	turned, err := Fit(t.Context(), []Trial{x[1], x[0]}, Options{Delays: 2})
	if err != nil {
		t.Fatal(err)
	}
	joined, err := Fit(t.Context(), []Trial{{append(append([]float64(nil), x[0].Data...), x[1].Data...), 3}}, Options{Delays: 2})
	if err != nil {
		t.Fatal(err)
	}
	same, other := 0.0, 0.0
	a, b, c := apart.Operator().RawMatrix().Data, turned.Operator().RawMatrix().Data, joined.Operator().RawMatrix().Data
	for i := range a {
		same, other = max(same, math.Abs(a[i]-b[i])), max(other, math.Abs(a[i]-c[i]))
	}
	if same > 1e-10 || other < 1e-4 {
		t.Errorf("order changes the operator by %v, joining trials by %v", same, other)
	}
}
