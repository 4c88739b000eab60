package report

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestWilson compares intervals with those that Newcombe (1998, table I) prints for the same method, 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{{81, 263, 0.2553, 0.3662}, {15, 148, 0.0624, 0.1605}, {0, 20, 0, 0.1611}, {20, 20, 0.8389, 1}, {1, 29, 0.0061, 0.1718}} {
		low, high := wilson(float64(c.k)/float64(c.n), c.n)
		if math.Abs(low-c.low) > 5.1e-5 || math.Abs(high-c.high) > 5.1e-5 {
			t.Errorf("%d of %d: %.4f to %.4f, want %.4f to %.4f", c.k, c.n, low, high, c.low, c.high)
		}
	}
}

// TestMeanSuccess: of fractions the interval is that of a mean, not that of a share of trials. The interval is held against that which R prints for the differences of its data set sleep
// (Student 1908): 0.7001142 to 2.4598858.
func TestMeanSuccess(t *testing.T) {
	low, high := student([]float64{1.2, 2.4, 1.3, 1.3, 0, 1, 1.8, 0.8, 4.6, 1.4})
	if math.Abs(low-0.7001142) > 1e-6 || math.Abs(high-2.4598858) > 1e-6 {
		t.Errorf("interval %v to %v", low, high)
	}
	if low, high := student([]float64{1, 1, 0.7}); low < 0 || high != 1 {
		t.Errorf("fractions have the interval %v to %v", low, high)
	}
	s := task.Score{ConditionNames: []string{"bit 1", "bit 2", "bit 3"}, Condition: []int64{0, 0, 0, 0, 1, 1, 1, 1, 2}, Success: []float64{0.9, 0.91, 0.9, 0.91, 1, 1, 0, 1, 0.5}}
	rows := conditionScores(s)
	if r := rows[0]; r.high-r.low > 0.02 || r.low > 0.905 || r.high < 0.905 || !math.IsNaN(rows[2].low) || !math.IsNaN(rows[2].high) {
		t.Errorf("conditions %+v", rows)
	}
	f, ok := success(s)
	if !ok || strings.Contains(f.Caption, "share") || strings.Contains(f.Caption, "Wilson") || !strings.Contains(f.Caption, "Student's 95% interval of a mean") || !strings.Contains(f.Caption, "n = 1 to 4") {
		t.Errorf("caption %q", f.Caption)
	}
	must(t, figure.New(figure.Palette{}).SVG(&bytes.Buffer{}, f))
	if l, ok := successList(s); !ok || l.Head[1] != "mean success" || l.Rows[2][2] != "" {
		t.Errorf("list %+v", l)
	}
}

// TestSuccess draws bars of the conditions that there are trials of, in their order.
func TestSuccess(t *testing.T) {
	s := task.Score{ConditionNames: []string{"Pro", "none", "Anti"}}
	for i := range 30 {
		s.Trials = append(s.Trials, int64(i))
		s.Condition = append(s.Condition, []int64{2, 0, 5}[i%3])
		s.Success = append(s.Success, []float64{1, float64(i % 2), 0}[i%3])
	}
	f, ok := success(s)
	if !ok || f.Check() != nil || len(f.Panels) != 1 {
		t.Fatalf("figure %+v, %t", f, ok)
	}
	bars := f.Panels[0].Marks[0]
	if p := f.Panels[0].X.Ticks; !slices.Equal(p, []string{"Pro", "Anti", "condition 5"}) || !slices.Equal(bars.Y, []float64{0.5, 1, 0}) || bars.High[1] < 1-1e-12 || bars.Low[1] > 0.8 {
		t.Errorf("bars %v of %v", bars, p)
	}
	if !strings.Contains(f.Caption, "n = 10 trials") || !strings.Contains(f.Caption, "conditions is 0.500") {
		t.Errorf("caption %q", f.Caption)
	}
	if l, ok := successList(s); !ok || len(l.Rows) != 3 || l.Rows[1][1] != "1.000" || l.Rows[2][4] != "10" {
		t.Errorf("list %+v", l)
	}
	// More conditions than a row has room for are spread over rows of as many.
	many := task.Score{}
	for i := range 34 {
		many.Condition, many.Success = append(many.Condition, int64(i)), append(many.Success, 1)
	}
	if f, ok := success(many); !ok || len(f.Panels) != 3 || len(f.Panels[0].X.Ticks) != 12 || len(f.Panels[2].X.Ticks) != 10 {
		t.Errorf("34 conditions: %+v", f)
	}
	for name, one := range map[string]task.Score{"one condition": {Condition: []int64{3, 3}, Success: []float64{1, 0}}, "none": {}, "lengths": {Condition: []int64{1}, Success: []float64{1, 1}}} {
		if _, ok := success(one); ok {
			t.Errorf("%s: there is a figure", name)
		}
	}
}

// ending are trials of three conditions that end at different bins: input 0 varies, input 1 does not, and after the end stands what must not be drawn.
func ending(trials int) (tensor.Block, artifact.Labels) {
	const bins = 20
	b := tensor.Block{Trials: numbered(trials)}
	x, truth, y := tensor.New32(task.Inputs, trials, bins, 2), tensor.New32(task.TrueInputs, trials, bins, 2), tensor.New32(model.Outputs, trials, bins, 1)
	lengths, conditions := tensor.NewInt(task.Lengths, trials), tensor.NewInt(task.Conditions, trials)
	extra := tensor.New32(task.Extra, trials, 4)
	for i := range trials {
		n := 10 + i%5
		lengths.I64[i], conditions.I64[i] = int64(n), int64(2-i%3)
		copy(extra.F32[i*4:], []float32{4, -1, float32(n), 99})
		if i%3 == 0 {
			extra.F32[i*4+1] = 8
		}
		for t := range bins {
			at := i*bins + t
			truth.F32[2*at], truth.F32[2*at+1] = float32(t%3), 1
			x.F32[2*at], x.F32[2*at+1], y.F32[at] = truth.F32[2*at]+0.1, 1.1, float32(t)
			if t >= n {
				x.F32[2*at], y.F32[at] = 1e6, 1e6
			}
		}
	}
	b.Arrays = tensor.Set{x, truth, y, y.Clone().Named(task.Targets), lengths, conditions, extra}
	return b, artifact.Labels{BinWidth: 0.1, Inputs: []string{"cue", "rule"}, Outputs: []string{"cue"}, Extra: []string{"stim", "mem", "end", "theta"}, Conditions: []string{"A", "B", "C"}}
}

// TestByCondition looks at which trials are drawn, which channels, up to which bin, and where the phases are.
func TestByCondition(t *testing.T) {
	b, labels := ending(9)
	rows := oneOfEach(b)
	if !slices.Equal(rows, []int{2, 1, 0}) {
		t.Fatalf("rows %v", rows)
	}
	b, err := pick(b, rows)
	must(t, err)
	f, err := eachTrial(b, labels, clock{labels.BinWidth}, true)
	must(t, err)
	if err := f.Check(); err != nil || len(f.Panels) != 3 || f.Panels[0].Title != "A, trial 2" || f.Panels[2].Title != "C, trial 0" {
		t.Fatalf("figure %+v, error %v", f, err)
	}
	if got := f.Panels[0].Y.Ticks; !slices.Equal(got, []string{"output cue", "input cue"}) {
		t.Errorf("channels %v", got)
	}
	for i, want := range []map[string][2]float64{{"stim": {0.4, 1.2}}, {"stim": {0.4, 1.1}}, {"stim": {0.4, 0.8}, "mem": {0.8, 1}}} {
		got := map[string][2]float64{}
		for _, m := range f.Panels[i].Marks {
			switch {
			case len(m.Low) > 1:
				got[m.Label] = [2]float64{math.Round(100*m.X[0]) / 100, math.Round(100*m.X[1]) / 100}
			case len(m.Low) == 0 && len(m.X) != []int{12, 11, 10}[i]:
				t.Errorf("panel %d: %s has %d bins", i, m.Label, len(m.X))
			}
			for _, y := range m.Y {
				if y > 1.6 {
					t.Errorf("panel %d: %s reaches %v", i, m.Label, y)
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("panel %d: phases %v, want %v", i, got, want)
		}
	}
	var legend []string
	for _, m := range f.Panels[0].Marks[:2] {
		legend = append(legend, m.Label)
	}
	if !slices.Equal(legend, []string{"stim", "mem"}) || !strings.Contains(f.Caption, "1 inputs that do not change") {
		t.Errorf("legend %v, caption %q", legend, f.Caption)
	}
	must(t, figure.New(figure.Palette{}).SVG(&bytes.Buffer{}, f))
	// Without an end there are no phases; with one condition it is not this figure.
	lengths := []int{12, 11, 10}
	if phasesOf(b, artifact.Labels{Extra: []string{"stim", "mem", "theta", "x"}}, lengths).of != nil || phasesOf(b, artifact.Labels{Extra: labels.Extra[:3]}, lengths).of != nil {
		t.Error("phases of extra columns that are none")
	}
	// Columns that are not bins of the trial are no phases, nor is one of them its end.
	units := labels
	units.ExtraUnits = []string{task.InBins, "rad", task.InBins, ""}
	if p := phasesOf(b, units, lengths); len(p.names) != 1 || p.names[0].name != "stim" {
		t.Errorf("phases %+v", p.names)
	}
	units.ExtraUnits = []string{"rad"}
	if p := phasesOf(b, units, lengths); p.of != nil {
		t.Errorf("phases %+v", p.names)
	}
	for i := range b.Arrays.Get(task.Conditions).I64 {
		b.Arrays.Get(task.Conditions).I64[i] = 1
	}
	if oneOfEach(b) != nil {
		t.Error("one condition is several")
	}
}

// TestReportOfConditions renders a run whose task has conditions and trials that end.
func TestReportOfConditions(t *testing.T) {
	s := newSynthetic(t)
	dir := s.stage(t, "train", "model/noisy-gru")
	b, labels := ending(9)
	w, err := artifact.CreateArrays(filepath.Join(dir, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: 9}, Attributes: labels.Attributes()})
	must(t, err)
	must(t, w.Write(task.Valid, b))
	must(t, w.Close())
	must(t, artifact.WriteScore(dir, task.Score{Trials: numbered(3), Success: []float64{1, 0, 1}, Loss: []float64{1, 2, 3}, Condition: []int64{0, 1, 2}, ConditionNames: labels.Conditions}))
	s.experiment(t, "version: 1\nname: tasks\nseed: 0\ntask: {use: task/multitask}\ntrain: {use: model/noisy-gru}\n")
	_, err = artifact.WriteSums(dir)
	must(t, err)
	run, err := artifact.OpenRun(s.dir)
	must(t, err)
	var page bytes.Buffer
	must(t, Render(t.Context(), &page, run))
	for _, want := range []string{"Success by condition", "An example trial of each condition", ">A, trial 2<", "The phases are shaded"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "Example trials are not shown") {
		t.Error("example trials are not shown")
	}
}
