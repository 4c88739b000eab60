package report

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func rendered(t *testing.T, run *artifact.Run) string {
	t.Helper()
	var b bytes.Buffer
	must(t, Render(t.Context(), &b, run))
	return b.String()
}

func opened(t *testing.T, dir string) *artifact.Run {
	t.Helper()
	run, err := artifact.OpenRun(dir)
	must(t, err)
	return run
}

func expect(t *testing.T, page string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(page, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
}

func TestReportOfAFullRun(t *testing.T) {
	s := newSynthetic(t, "gru-64", "lds-8")
	run := s.full(t)
	must(t, Write(t.Context(), run))
	b, err := os.ReadFile(filepath.Join(s.dir, artifact.ReportFile))
	must(t, err)
	page := string(b)
	expect(t, page,
		"<h1>flip-flops</h1>", `<p class="about">Is it &lt;the same&gt;?</p>`, `<p class="about">It should be.</p>`, "23 November 2026", "took 4 min 12 s", "seed 3",
		"0.970", "0.958", "0.980", "−0.412", "bits/spike", "1.23e−5", "↑ higher", "input_r2 of gru-64, lds-8 against truth: flip-flops infers no inputs",
		"Dimensions that the model invented lower it. (Versteeg et al. 2025)", "100 epochs, 800 steps", "0.750 on 4 validation trials", "200 a trial, of 10 ms",
		"20, of them 15 held in", "learning_rate", "8d0c6f6de9e1", "OPENBLAS_CORETYPE", "2 min 11 s", "from the store", "comparator/metrics 1.0.0, plugin builtin 0.1.0",
	)
	for _, id := range []string{"results", "train", "simulate", "fit", "compare-metrics", "parameters", "provenance"} {
		expect(t, page, `<section id="`+id+`"`, `href="#`+id+`"`)
	}
	figures := []string{"train-learning-curves", "train-scores", "train-optimisation", "learning-curves", "optimisation", "example-trials", "success", "spikes", "rates", "latents", "train-weights"}
	for _, name := range figures {
		expect(t, page, `<figure id="figure-`+name+`">`)
		svg, err := os.Open(filepath.Join(s.dir, artifact.FiguresDir, name+".svg"))
		must(t, err)
		d := xml.NewDecoder(svg)
		for {
			if _, err = d.Token(); err != nil {
				break
			}
		}
		svg.Close()
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s.svg: %v", name, err)
		}
		picture, err := os.Open(filepath.Join(s.dir, artifact.FiguresDir, name+".png"))
		must(t, err)
		if _, err := png.Decode(picture); err != nil {
			t.Errorf("%s.png: %v", name, err)
		}
		picture.Close()
	}
	if n := strings.Count(page, "<svg "); n != len(figures) {
		t.Errorf("%d figures on the page, want %d", n, len(figures))
	}
	if strings.Contains(page, `class="note"`) {
		t.Error("a full run has something to remark on")
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "ZgotmplZ") {
		t.Error("the page has a NaN, or a value that the template refused")
	}
	if again := rendered(t, opened(t, s.dir)); again != page {
		t.Error("the page differs when it is made again")
	}
}

func TestPageNeedsNoNetwork(t *testing.T) {
	page := rendered(t, newSynthetic(t, "gru-64").full(t))
	page = strings.ReplaceAll(page, `xmlns="http://www.w3.org/2000/svg"`, "")
	page = strings.ReplaceAll(page, `href="data:image/png;base64,`, "")
	for _, pattern := range []string{`https?://`, `(?i)<(script|link|iframe|object|img)\b`, `(?i)\bsrc=`, `@import`, `url\(`, `(?i)\bhref="[^#]`} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("the page refers to something outside: %q", found)
		}
	}
}

func TestNamesCannotBecomeMarkup(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	s.name = `</title><script>alert("x")</script><img src=x onerror=alert(1)> & Co`
	page := rendered(t, s.full(t))
	if strings.Contains(page, "<script") || strings.Contains(page, "<img") {
		t.Error("a name became an element")
	}
	expect(t, page, "&lt;script&gt;")
}

func TestRecordingWithoutATruth(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	given := filepath.Join(t.TempDir(), "spikes.h5")
	s.fits(t, s.data(t, given, false))
	s.experiment(t, "version: 1\nname: recorded\nseed: 0\nsimulate: {dataset: "+given+"}\nfit:\n  - {name: gru-64, use: model/sae-gru}\n  - {name: old, load: /somewhere/else}\ncompare:\n  - {use: comparator/metrics}\n")
	s.sign(t, given)
	page := rendered(t, opened(t, s.dir))
	expect(t, page,
		"<h1>recorded</h1>", "The experiment trains no network.", given, "neither true rates nor true latents",
		"Observed counts and inferred rates", "there are no true latents to lay them over", "old was not fitted here but loaded from /somewhere/else",
		"This comparison is not complete.", "There is no provenance.json", "There are no results: no comparison is complete.",
	)
}

func TestFailedStagesAreNamed(t *testing.T) {
	s := newSynthetic(t)
	s.train(t)
	s.experiment(t, "version: 1\nname: halfway\nseed: 0\ntrain: {use: model/noisy-gru}\nsimulate: {use: simulator/spikes}\nfit:\n  - {name: gru-64, use: model/sae-gru}\n")
	s.provenance(t,
		artifact.StageUse{Stage: "train", Status: "done", Seconds: 3},
		artifact.StageUse{Stage: "simulate", Status: "failed", Error: "diverged at step 3: rate is +Inf"},
		artifact.StageUse{Stage: "fit/gru-64", Status: "skipped", Error: "it needs simulate"},
		artifact.StageUse{Stage: "compare/metrics", Status: "skipped", Error: "it needs fit/gru-64"},
	)
	s.sign(t, "")
	page := rendered(t, opened(t, s.dir))
	expect(t, page, "The stage simulate failed: diverged at step 3", "The stage fit/gru-64 was not run: it needs simulate", "The stage compare/metrics was not run", "figure-example-trials")
}

func TestRunWithNothingInIt(t *testing.T) {
	s := newSynthetic(t)
	s.experiment(t, "version: 1\n")
	expect(t, rendered(t, opened(t, s.dir)), "The experiment trains no network.", "The experiment has no spikes", "The experiment fits no models.", "the experiment compares nothing.")
}

func TestDamagedFilesAreRemarkedOn(t *testing.T) {
	s := newSynthetic(t, "gru-64", "lds-8")
	run := s.full(t)
	must(t, os.WriteFile(filepath.Join(s.dir, "fit", "gru-64", artifact.InferredFile), []byte("not HDF5"), 0o666))
	must(t, os.WriteFile(filepath.Join(s.dir, "train", artifact.RolloutFile), nil, 0o666))
	must(t, os.WriteFile(filepath.Join(s.dir, "train", artifact.MetricsFile), []byte("{"), 0o666))
	must(t, os.WriteFile(filepath.Join(s.dir, artifact.ResultsFile), []byte("["), 0o666))
	page := rendered(t, run)
	expect(t, page, "gru-64: what was inferred cannot be shown", "Example trials are not shown", "Learning curves are not shown", "0.970", "figure-rates")
}

// A figure that component.Figure.Check lets through but that cannot be drawn costs its picture, not the report.
func TestUndrawableFigureIsRemarkedOn(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	run := s.full(t)
	must(t, artifact.WriteFigure(filepath.Join(s.dir, "compare", "metrics"), component.Figure{
		Name: "odd", Title: "Odd", Panels: []component.Panel{{X: component.Axis{Log: true, Min: -1, Max: 1}}},
	}))
	must(t, Write(t.Context(), run))
	b, err := os.ReadFile(filepath.Join(s.dir, artifact.ReportFile))
	must(t, err)
	expect(t, string(b), "This figure cannot be drawn", "a logarithmic axis from -1", "figure-latents")
	if _, err := os.Stat(filepath.Join(s.dir, artifact.FiguresDir, "compare-metrics-odd.svg")); err == nil {
		t.Error("an undrawable figure has a file")
	}
}

func TestCancelledReportIsAnError(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	run := s.full(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, run); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, artifact.ReportFile)); err == nil {
		t.Error("a cancelled report left a page")
	}
}
