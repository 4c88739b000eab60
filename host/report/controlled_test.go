package report

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// inLoop are the trials of reaching as a closed loop has them.
func inLoop(trials int) (tensor.Block, artifact.Labels) {
	b, labels := reaching(trials)
	b.Arrays = append(b.Arrays, b.Arrays.Get(reachHand).Clone().Named(task.Controlled))
	b.Arrays.Get(task.Targets).Unit = "m"
	labels.State = []string{"hand x", "hand y"}
	return b, labels
}

// exampled writes trials as the examples of a training and has their figures composed.
func exampled(t *testing.T, b tensor.Block, labels artifact.Labels) []component.Figure {
	t.Helper()
	s := newSynthetic(t)
	dir := s.stage(t, "train", "model/noisy-gru")
	w, err := artifact.CreateArrays(filepath.Join(dir, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: len(b.Trials)}, Attributes: labels.Attributes()})
	must(t, err)
	must(t, w.Write(task.Valid, b))
	must(t, w.Close())
	s.sign(t, "")
	st, ok := opened(t, s.dir).Stage(artifact.TrainStage)
	if !ok {
		t.Fatal("no stage")
	}
	figures, err := exampleTrials(t.Context(), st, clock{})
	must(t, err)
	for _, f := range figures {
		must(t, f.Check())
		must(t, figure.New(figure.Palette{}).SVG(&bytes.Buffer{}, f))
	}
	return figures
}

// bands are the shaded spans of a panel, in hundredths of a second, without those that are of the legend alone.
func bands(p component.Panel) string {
	var out []string
	for _, m := range p.Marks {
		if len(m.Low) > 1 {
			out = append(out, fmt.Sprintf("%s %.0f-%.0f", m.Label, 100*m.X[0], 100*m.X[len(m.X)-1]))
		}
	}
	return strings.Join(out, ", ")
}

// TestExamplesOfAClosedLoop: the phases of reaches are shaded, targets lie dashed over what the outputs control and never over the outputs, and captions claim no more.
func TestExamplesOfAClosedLoop(t *testing.T) {
	b, labels := inLoop(12)
	figures := exampled(t, b, labels)
	if len(figures) != 2 || len(figures[0].Panels) != 2 || len(figures[1].Panels) != 4 {
		t.Fatalf("figures %+v", figures)
	}
	for i, want := range []string{"target shown 26-66, after the go cue 66-150", "target shown 26-150"} {
		for _, p := range []component.Panel{figures[0].Panels[i], figures[1].Panels[i], figures[1].Panels[2+i]} {
			if got := bands(p); got != want {
				t.Errorf("shaded are %q, want %q", got, want)
			}
		}
	}
	if c := figures[0].Caption; strings.Contains(c, "target") || !strings.Contains(c, "The phases are shaded.") || figures[0].Panels[1].Title != "catch, trial 3" {
		t.Errorf("caption %q over %q", c, figures[0].Panels[1].Title)
	}
	hand, p := b.Arrays.Get(reachHand), figures[1].Panels[2]
	var drawn, dashed component.Mark
	for _, m := range p.Marks {
		switch {
		case m.Dashed:
			dashed = m
		case m.Label == "controlled":
			drawn = m
		}
	}
	if p.Y.Label != "hand y" || p.Y.Unit != "m" || len(drawn.Y) != 150 || drawn.Y[100] != float64(hand.F32[201]) || len(dashed.Y) != 150 || dashed.Y[149] != float64(b.Arrays.Get(task.Targets).F32[299]) {
		t.Errorf("panel %q (%s): %v, %v", p.Y.Label, p.Y.Unit, drawn, dashed)
	}
	if c := figures[1].Caption; !strings.Contains(c, "and, dashed, the targets") {
		t.Errorf("caption %q", c)
	}

	// As many actions as there are states: targets are of the states all the same. Trials of one condition are the first ones.
	b, labels = inLoop(12)
	b.Arrays = slices.DeleteFunc(b.Arrays, func(a *tensor.Tensor) bool { return a.Name == model.Outputs || a.Name == task.Conditions })
	b.Arrays = append(b.Arrays, tensor.New32(model.Outputs, 12, 150, 2))
	figures = exampled(t, b, labels)
	if len(figures) != 2 || len(figures[0].Panels) != 3 || figures[0].Title != exampleTitle || bands(figures[0].Panels[2]) != "target shown 26-66, after the go cue 66-150, push 86-106" {
		t.Fatalf("figures %+v", figures)
	}
	for _, p := range figures[0].Panels {
		for _, m := range p.Marks {
			if m.Dashed {
				t.Errorf("over the actions lies %q", m.Label)
			}
		}
	}

	// Without times there are no phases, and nothing is said of them; more states than have room are one above the other.
	b, labels = inLoop(12)
	b.Arrays = slices.DeleteFunc(b.Arrays, func(a *tensor.Tensor) bool {
		return a.Name == task.Extra || a.Name == task.Controlled || a.Name == task.Targets
	})
	b.Arrays = append(b.Arrays, tensor.New32(task.Controlled, 12, 150, 5))
	figures = exampled(t, b, labels)
	if len(figures) != 2 || len(figures[1].Panels) != 2 || !slices.Equal(figures[1].Panels[0].Y.Ticks, []string{"hand x", "hand y", "state 3", "state 4", "state 5"}) {
		t.Fatalf("figures %+v", figures)
	}
	for _, f := range figures {
		if strings.Contains(f.Caption, "phases") || strings.Contains(f.Caption, "target") {
			t.Errorf("caption %q", f.Caption)
		}
	}
}

// TestCaptionsOfExamples: those of an open loop claim phases and targets only where these are drawn.
func TestCaptionsOfExamples(t *testing.T) {
	for name, c := range map[string]struct {
		without          []string
		phased, targeted bool
	}{
		"all":            {nil, true, true},
		"no phases":      {[]string{task.Extra}, false, true},
		"no targets":     {[]string{task.Targets}, true, false},
		"one condition":  {[]string{task.Conditions}, true, true},
		"neither":        {[]string{task.Extra, task.Targets}, false, false},
		"outputs alone":  {[]string{task.Extra, task.Targets, task.Conditions, task.Inputs}, false, false},
		"of other width": {[]string{task.Targets, ""}, true, false},
	} {
		b, labels := ending(9)
		b.Arrays = slices.DeleteFunc(b.Arrays, func(a *tensor.Tensor) bool { return slices.Contains(c.without, a.Name) })
		if slices.Contains(c.without, "") {
			b.Arrays = append(b.Arrays, tensor.New32(task.Targets, 9, 20, 3))
		}
		figures := exampled(t, b, labels)
		if len(figures) != 1 {
			t.Fatalf("%s: %d figures", name, len(figures))
		}
		caption := figures[0].Caption
		if got := strings.Contains(caption, "The phases are shaded"); got != c.phased || (bands(figures[0].Panels[0]) != "") != got {
			t.Errorf("%s: caption %q, shaded %q", name, caption, bands(figures[0].Panels[0]))
		}
		if got := strings.Contains(caption, "targets"); got != c.targeted {
			t.Errorf("%s: caption %q", name, caption)
		}
	}
}

// TestShadeOfAPush: the phases make way for a push at the top, for as long as it lasts, and the push is there alone.
func TestShadeOfAPush(t *testing.T) {
	marks := shade(reachSpans(10, 30, 20, 40, 50), 0, 1, clock{})
	for i, want := range []struct{ x, low, high []float64 }{
		{[]float64{10, 20, 20, 30, 30, 30}, []float64{0, 0, 0, 0, 0, 0}, []float64{1, 1, .92, .92, 1, 1}},
		{[]float64{30, 30, 30, 40, 40, 50}, []float64{0, 0, 0, 0, 0, 0}, []float64{1, 1, .92, .92, 1, 1}},
		{[]float64{20, 40}, []float64{.92, .92}, []float64{1, 1}},
	} {
		if m := marks[i]; !slices.Equal(m.X, want.x) || !slices.Equal(m.Low, want.low) || !slices.Equal(m.High, want.high) {
			t.Errorf("%s: %v from %v to %v", m.Label, m.X, m.Low, m.High)
		}
	}
}
