package cli

import (
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func losses(name string, values ...float64) []component.Metric {
	var out []component.Metric
	for i, v := range values {
		out = append(out, component.Metric{Name: name, Epoch: int64(i), Step: int64(10*i + 9), Value: v})
	}
	return out
}

func TestCurve(t *testing.T) {
	s := screen{}
	var falling, rising []float64
	for i := range 500 {
		falling, rising = append(falling, math.Exp(-float64(i)/40)), append(rising, 1+float64(i)/1000)
	}
	got := s.curve(learning{stage: "fit/gru", component: "model/sae-gru", going: true, metrics: append(losses("train/loss", falling...), losses("valid/loss", falling...)...)})
	for _, want := range []string{"fit/gru  model/sae-gru  epoch 499, step 4999  running\n", "··· training", "─── validation", "lowest 3.821e-06 in epoch 499", "3.82e-06 ┤", "        1 ┼", "└┬"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	// Little change is no reason for a logarithmic axis: half way up stands the mean.
	if got = s.curve(learning{stage: "train", cut: true, metrics: losses("valid/loss", rising...)}); !strings.Contains(got, "     1.25 ┤") || !strings.Contains(got, "incomplete") {
		t.Errorf("got\n%s", got)
	}
	for name, m := range map[string][]component.Metric{
		"nothing":          nil,
		"one value":        losses("train/loss", 3),
		"two values":       losses("valid/loss", 3, 4),
		"a constant":       losses("train/loss", 2, 2, 2),
		"zero":             losses("train/loss", 0, 0),
		"NaN":              losses("train/loss", math.NaN(), math.Inf(1)),
		"diverges":         losses("train/loss", 1, 10, 1e300, math.NaN()),
		"all there is":     losses("train/loss", -math.MaxFloat64, math.MaxFloat64),
		"another quantity": losses("reward", -1, 2, 0),
		"less validation":  append(losses("train/loss", 5, 4, 3, 2), component.Metric{Name: "valid/loss", Epoch: 2, Value: 4}),
		"twice":            append(losses("train/loss", 5, 4), losses("train/loss", 3, 2)...),
	} {
		got := s.curve(learning{stage: "train", metrics: m})
		if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || !strings.HasPrefix(got, "train") {
			t.Errorf("%s:\n%s", name, got)
		}
		for line := range strings.Lines(got) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > curveWidth+2 {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
		}
	}
	if got := (screen{colours: true}).curve(learning{stage: "train", metrics: losses("train/loss", 1, 2)}); !strings.Contains(got, "\x1b[") {
		t.Error("no colours where there may be")
	}
}

func TestOver(t *testing.T) {
	c := series{x: []float64{2, 3, 4, 8}, y: []float64{1, 3, 2, 6}}
	got := c.over(0, 10, 6) // at 0, 2, 4, 6, 8, 10
	want := []float64{math.NaN(), 2, 2, 4, 6, math.NaN()}
	for i := range want {
		if got[i] != want[i] && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}
