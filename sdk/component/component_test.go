package component

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
)

func TestParseName(t *testing.T) {
	for _, s := range []string{"task/nbff", "model/noisy-gru", "simulator/spikes", "comparator/dsa", "model/lfads-2"} {
		if n, err := ParseName(s); err != nil || n.String() != s {
			t.Errorf("%s: got %v, error %v", s, n, err)
		}
	}
	for _, s := range []string{"", "nbff", "task/", "/nbff", "tasks/nbff", "task/NBFF", "task/a_b", "task/-a", "task/a-", "task/a--b", "task/a/b", "task/../x"} {
		if n, err := ParseName(s); err == nil {
			t.Errorf("%q is taken for %v", s, n)
		}
	}
}

func TestErrorsAreTold(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("outer: %w", err) }
	for _, c := range []struct {
		err    error
		is     error
		others []error
	}{
		{Invalid("params.x", "%d is too large", 3), ErrInvalidArgument, []error{ErrNotFound, ErrDiverged}},
		{&DivergedError{Step: 4, Quantity: "loss", Value: math.NaN()}, ErrDiverged, []error{ErrInvalidArgument, ErrUnavailable}},
		{&InternalError{Component: "task/x", Message: "broken"}, nil, []error{ErrInvalidArgument, ErrNotFound, ErrUnavailable, ErrUnsupported, ErrDiverged, ErrChecksum}},
	} {
		if c.is != nil && !errors.Is(wrapped(c.err), c.is) {
			t.Errorf("%v is not %v", c.err, c.is)
		}
		for _, o := range c.others {
			if errors.Is(wrapped(c.err), o) {
				t.Errorf("%v is %v", c.err, o)
			}
		}
	}
	var invalid *InvalidArgumentError
	if err := wrapped(Invalid("params.x", "%d is too large", 3)); !errors.As(err, &invalid) || invalid.Problems[0] != (param.Problem{Path: "params.x", Message: "3 is too large"}) {
		t.Errorf("problems of %v: %+v", err, invalid)
	}
}

func TestFigureCheck(t *testing.T) {
	one := func(m Mark) Figure { return Figure{Name: "a", Panels: []Panel{{Marks: []Mark{m}}}} }
	three, two := []float64{1, 2, 3}, []float64{1, 2}
	for name, f := range map[string]Figure{
		"line":    one(Mark{Kind: Line, X: three, Y: three, Low: three, High: three}),
		"bars":    one(Mark{Kind: Bars, X: two, Y: two}),
		"heatmap": one(Mark{Kind: HeatMap, Rows: 1, Cols: 3, Z: three, X: three}),
		"image":   one(Mark{Kind: Image, Rows: 3, Cols: 1, Z: three}),
	} {
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]Figure{
		"no name":        {Panels: []Panel{{}}},
		"escaping name":  {Name: "../a", Panels: []Panel{{}}},
		"no panels":      {Name: "a"},
		"other lengths":  one(Mark{Kind: Line, X: three, Y: two}),
		"other band":     one(Mark{Kind: Line, X: three, Y: three, Low: two}),
		"other grid":     one(Mark{Kind: HeatMap, Rows: 2, Cols: 2, Z: three}),
		"no grid":        one(Mark{Kind: Image}),
		"huge grid":      one(Mark{Kind: Image, Rows: math.MaxInt, Cols: 2, Z: three}),
		"other centres":  one(Mark{Kind: HeatMap, Rows: 1, Cols: 3, Z: three, X: two}),
		"unknown kind":   one(Mark{Kind: "pie", X: three, Y: three}),
		"kind left out":  one(Mark{X: three, Y: three}),
		"negative sizes": one(Mark{Kind: HeatMap, Rows: -1, Cols: -3, Z: three}),
	} {
		if err := f.Check(); !errors.Is(err, ErrInvalidArgument) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestReadings(t *testing.T) {
	readings := []Reading{{Metric: "performance", Text: "of all"}, {Metric: "performance/Go", Text: "of one"}}
	for metric, want := range map[string]string{"performance": "of all", "performance/Go": "of one", "performance/DelayPro": "of all", "performances": "", "Go": ""} {
		if got, ok := FindReading(readings, metric); got.Text != want || ok != (want != "") {
			t.Errorf("%s: %q, %v, want %q", metric, got.Text, ok, want)
		}
	}
	m := Manifest{Name: "p", Version: "1.0.0", Components: []Info{{Name: Name{Kind: Comparator, Short: "c"}, Version: "1.0.0", Readings: readings}}}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
	for _, wrong := range [][]Reading{{{Text: "x"}}, {{Metric: "x"}}, {readings[0], readings[0]}} {
		m.Components[0].Readings = wrong
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), "reading of") {
			t.Errorf("%+v gives %v", wrong, err)
		}
	}
}
