package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// second adds a comparison called dsa, with a figure, a remark and an omission, and a network that was loaded to be compared.
func (s *synthetic) second(t *testing.T) *artifact.Run {
	t.Helper()
	s.full(t)
	nan := math.NaN()
	dir := s.stage(t, "compare/dsa", "comparator/dsa")
	rec, err := artifact.ReadRecord(dir)
	must(t, err)
	rec.Params = param.Values{"n_delays": int64(20), "rank": int64(50), "alpha": []float64{1, 0.5}}
	rec.Defaults = param.Values{"n_delays": int64(10), "rank": int64(50), "alpha": []float64{1, 0.5}}
	rec.KeyParts = map[string]string{"settings.networks": `["net2"]`, "components.subject/net2.component": `"model/vanilla-rnn"`, "components.subject/net2.seed": "0"}
	rec.Notes = []string{"It does not promise the same bytes."}
	must(t, rec.Write(dir))
	must(t, artifact.WriteFigure(dir, component.Figure{
		Name: "map", Title: "Dynamics on a map", Caption: "Where subjects lie.",
		Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.Scatter, X: []float64{1, 2}, Y: []float64{3, 4}}}}},
	}))
	var out artifact.Results
	for i, m := range append(slices.Clone(s.models), "net2") {
		for _, r := range []component.Result{
			{Metric: "dsa", Subject: m, Reference: "truth", Value: 0.2345 + float64(i), Low: 0.111, High: 0.345, Null: 0.876, Unit: "rad", Better: component.Lower, N: 48, Reason: "rank 5 in place of 50"},
			{Metric: "dsa_insample", Subject: m, Reference: "truth", Value: 0.555, Low: nan, High: nan, Null: nan, Unit: "rad", Better: component.Lower, N: 48},
			{Metric: "dsa_split_half", Subject: m, Value: nan, Low: nan, High: nan, Null: nan, Reason: "too few trials"},
		} {
			out.Metrics = append(out.Metrics, artifact.NewResult("dsa", 0, nil, r))
		}
	}
	out.Readings = []artifact.Reading{
		{Comparator: "dsa", Reading: component.Reading{Metric: "dsa", Text: "Angle between operators: 0 is the same dynamics.", Source: "Ostrow et al. 2023"}},
		{Comparator: "dsa", Reading: component.Reading{Metric: "dsa_insample", Text: "dsa on the training trials, which flatters.", Source: "Ostrow et al. 2023"}},
		{Comparator: "dsa", Reading: component.Reading{Metric: "dsa_split_half", Text: "What sampling makes of 0."}},
	}
	must(t, out.Write(dir))
	all, err := artifact.ReadResults(s.dir)
	must(t, err)
	all.Add(out)
	must(t, all.Write(s.dir))
	yaml := "version: 1\nname: flip-flops\nseed: 3\ntrain: {use: model/noisy-gru}\nsimulate: {use: simulator/spikes}\nfit:\n"
	for _, m := range s.models {
		yaml += "  - {name: " + m + ", use: model/sae-gru}\n"
	}
	s.experiment(t, yaml+"  - {name: net2, load: /gone/train}\ncompare:\n  - {use: comparator/metrics, subjects: [truth, "+strings.Join(s.models, ", ")+"]}\n  - {name: dsa, use: comparator/dsa}\n")
	_, err = artifact.WriteSums(dir)
	must(t, err)
	return opened(t, s.dir)
}

// sectionOf is the text of a section of a page.
func sectionOf(t *testing.T, page, id string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `<section id="`+id+`"`)
	if !ok {
		t.Fatalf("there is no section %s", id)
	}
	text, _, _ := strings.Cut(rest, "</section>")
	return text
}

// inOrder expects texts one after another.
func inOrder(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		_, after, ok := strings.Cut(text, w)
		if !ok {
			t.Fatalf("%q is not there, or not in its place, in\n%s", w, text)
		}
		text = after
	}
}

// Each comparison is a page of its own: what was compared, numbers, remarks, figures, readings, in this order, and nothing of it elsewhere.
func TestComparisonIsAPageOfItsOwn(t *testing.T) {
	s := newSynthetic(t, "gru-64", "lds-8")
	page := rendered(t, s.second(t))
	dsa, metrics := sectionOf(t, page, "compare-dsa"), sectionOf(t, page, "compare-metrics")
	inOrder(t, dsa, "Comparison: dsa", "It does not promise the same bytes.",
		"What was compared", "comparator/dsa 1.0.0", "truth: the network trained on the task (model/noisy-gru) and the spikes simulated from it",
		"gru-64, lds-8: data-trained (model/sae-gru); net2: another network trained on the task (model/vanilla-rnn)",
		"simulated spikes: 48 trials to fit on and 12 to validate on, of 200 bins of 10 ms; 20 neurons, of them 15 held in",
		"n_delays: 20 (10 by default); the others are the defaults",
		"Numbers", `dsa<wbr> <span class="unit">rad</span>`, "0.234", "0.111", "0.345", "0.876", "↓ lower",
		"dsa of gru-64, lds-8, net2 against truth: rank 5 in place of 50", "Not computed", "dsa_split_half of gru-64, lds-8, net2: too few trials",
		"<h3>Figures</h3>", `<figure id="figure-compare-dsa-map">`, "<h4>Dynamics on a map</h4>", "Where subjects lie.",
		"How to read the numbers", "<dt>dsa</dt>", "Angle between operators: 0 is the same dynamics. (Ostrow et al. 2023) _insample: on the training trials, which flatters.")
	for what, n := range map[string]int{"rank 5 in place of 50": 1, "too few trials": 1, "Ostrow": 1, "<sup>1</sup>": 3, "<dt>": 6} {
		if got := strings.Count(dsa, what); got != n {
			t.Errorf("%q stands %d times on the page of a comparison, want %d", what, got, n)
		}
	}
	inOrder(t, metrics, "rate_r2", "0.970", "0.958", "0.980", "−0.412", "↑ higher", "input_r2 of gru-64, lds-8 against truth: flip-flops infers no inputs", "Dimensions that the model invented lower it. (Versteeg et al. 2025)")
	if strings.Contains(metrics, "net2") || strings.Contains(metrics, "Figures") || strings.Contains(metrics, "dsa") {
		t.Error("a comparison's page has what belongs to another one")
	}
	for _, w := range []string{"Where subjects lie.", ">0.876<", "too few trials", "Versteeg"} {
		if strings.Count(page, w) != strings.Count(dsa, w)+strings.Count(metrics, w) {
			t.Errorf("%q stands outside of the comparisons' pages as well", w)
		}
	}
	// The overview has a few numbers, without intervals, and leads to the pages.
	results := sectionOf(t, page, "results")
	inOrder(t, results, `<a href="#compare-metrics">metrics</a>`, "rate_r2", "0.970", `<a href="#compare-dsa">dsa</a>`, "0.234", "1.234")
	for _, w := range []string{"0.958", ">0.876<", "0.555", "dsa_insample", "Angle between"} {
		if strings.Contains(results, w) {
			t.Errorf("the overview has %q, which is for the comparison's page", w)
		}
	}
	// A network that was trained on the task is no model of the data.
	if fit := sectionOf(t, page, "fit"); strings.Contains(fit, "net2") {
		t.Error("a task-trained network stands under the data-trained models")
	}
	expect(t, sectionOf(t, page, "train"), "net2 is another network that was trained on the task (model/vanilla-rnn): loaded from /gone/train")
}

// Of many subjects the overview has the lowest and the highest, and a long table opens on demand.
func TestManySubjects(t *testing.T) {
	var all artifact.Results
	for i := range 40 {
		for k := range 5 {
			all.Metrics = append(all.Metrics, artifact.NewResult("m", 0, nil, component.Result{
				Metric: fmt.Sprint("metric_", string(rune('a'+k))), Subject: fmt.Sprint("model-", i), Reference: "truth", Value: float64(i) + float64(k)/10, Low: math.NaN(), High: math.NaN(), Null: math.NaN(), Better: component.Lower,
			}))
		}
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, artifact.ExperimentFile), []byte("version: 1\n"), 0o666))
	must(t, all.Write(dir))
	page := rendered(t, opened(t, dir))
	inOrder(t, sectionOf(t, page, "results"), "lowest", "highest", "metric_a", "0.000", "model-0", "39.000", "model-39", "metric_c", "39.200")
	inOrder(t, sectionOf(t, page, "compare-m"), "This comparison is not complete.", "<details><summary>All 200 numbers</summary>", "metric_e", "39.400", "</details>")
	if n := strings.Count(page, ">39.300<"); n != 1 {
		t.Errorf("a number stands in %d tables", n)
	}
}

func TestReadingsOfVariantsAreFolded(t *testing.T) {
	r := func(metric, text, source string) component.Reading {
		return component.Reading{Metric: metric, Text: text, Source: source}
	}
	got := folded([]component.Reading{
		r("cca", "Mean correlation.", "A"), r("cca_insample", "cca on the training trials.", "A"), r("svcca", "As cca.", "B"), r("svcca_insample", "svcca on the training trials.", "B"),
		r("cycle", "Recovered.", "C"), r("cycle_whitened", "After scaling.", "D"), r("alone_insample", "alone on the training trials.", ""),
		r("points_1_unstable", "Points with 1 growing directions: 1, 6 and 12.", "E"), r("points_2_unstable", "Points with 2 growing directions: 1, 6 and 12.", "E"),
		r("lag_1", "The first.", ""), r("lag_2", "The second.", ""), r("r2", "Share.", ""),
		r("x", "First.", ""), r("x_insample", "x on the training trials.", "A"), r("x_insample_whitened", "Both.", ""),
	})
	want := []pair{
		{"cca", "Mean correlation. (A)"}, {"svcca", "As cca. (B)"}, {"cycle", "Recovered. (C) _whitened: After scaling. (D)"}, {"alone_insample", "alone on the training trials."},
		{"points_k_unstable", "Points with k growing directions: 1, 6 and 12. (E)"}, {"lag_1", "The first."}, {"lag_2", "The second."}, {"r2", "Share."},
		{"x", "First."}, {"x_insample_whitened", "Both."}, {"…_insample", "cca, svcca, x, on the training trials."},
	}
	if !slices.Equal(got, want) {
		t.Errorf("folded\n%q, want\n%q", got, want)
	}
}
