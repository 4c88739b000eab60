package panels

import (
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func TestBars(t *testing.T) {
	nan := math.NaN()
	r := func(metric, subject, reference string, value, low, null float64) component.Result {
		return component.Result{Metric: metric, Subject: subject, Reference: reference, Value: value, Low: low, High: value + 1, Null: null}
	}
	all := []component.Result{r("a", "x", "truth", 1, 0, 0.5), r("a", "y", "truth", 2, nan, -7), r("b", "x", "", nan, nan, nan), r("c", "x", "", 3, nan, nan)}
	out := Bars(all, -1)
	if len(out) != 2 || out[0].Title != "a" || out[1].Title != "c" || !slices.Equal(out[0].X.Ticks, []string{"x", "y"}) || len(out[0].Marks) != 3 {
		t.Fatalf("%+v", out)
	}
	if m := out[0].Marks; m[0].Low[0] != 0 || m[1].Low != nil || !slices.Equal(m[2].Y, []float64{0.5}) {
		t.Errorf("%+v", m)
	}
	if out := Bars(append(all, r("a", "y", "x", 4, nan, nan)), -1); !slices.Equal(out[0].X.Ticks, []string{"x, truth", "y, truth", "y, x"}) {
		t.Errorf("ticks %v", out[0].X.Ticks)
	}
}

func TestMatrix(t *testing.T) {
	p, ok := Matrix("d", []string{"a", "b"}, []float64{0, 1, 1, 2}, "distance", "rad")
	if !ok || !slices.Equal(p.Marks[0].Z, []float64{1, 2, 0, 1}) || !slices.Equal(p.Y.Ticks, []string{"b", "a"}) || !slices.Equal(p.X.Ticks, []string{"a", "b"}) {
		t.Errorf("%+v", p)
	}
	if _, ok := Matrix("d", []string{"a", "b"}, []float64{0, math.NaN(), math.NaN(), 0}, "", ""); ok {
		t.Error("nothing but the diagonal is drawn")
	}
}
