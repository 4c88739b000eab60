package report

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/summary"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func latentAxis(v ...int64) artifact.StudyAxis {
	return artifact.StudyAxis{Path: latentPath, Label: "latent", Values: values(v...)}
}

func TestReportOfAStudy(t *testing.T) {
	dir := fakeStudy(t, product(seedAxis(3), latentAxis(8, 16, 64)), func(p artifact.StudyPoint) []artifact.Result {
		if p.Index == 4 {
			return nil
		}
		return plausible(p)
	})
	folder := artifact.PointDir(dir, "seed-0_latent-8")
	must(t, os.WriteFile(filepath.Join(folder, artifact.ReportFile), nil, 0o666))
	must(t, Write(t.Context(), opened(t, dir)))
	b, err := os.ReadFile(filepath.Join(dir, artifact.ReportFile))
	must(t, err)
	page := string(b)
	expect(t, page,
		"report of a study", "<h1>latents", "9 points: 3 seeds × 3 values of latent. Of these, 8 done, 1 failed.", `<section id="metric-rate-r2">`,
		"2 of 3", "diverged at step 812", ">any</span>", `<a href="points/seed-0_latent-8/report.html">`, `<a href="points/seed-2_latent-64/">`,
		"one standard deviation to either side (n = 2 to 3 runs)", "from left to right in the order of the seeds", "↑ higher is better", "In bits/spike.",
	)
	for _, metric := range []string{"rate-r2", "state-r2", "state-r2-reverse", "cycle-con", "co-bps", "loss"} {
		for _, against := range []string{"-against-latent", "-over-seeds"} {
			expect(t, page, `<figure id="figure-`+metric+against+`">`)
			for _, ext := range []string{".svg", ".png"} {
				if _, err := os.Stat(filepath.Join(dir, artifact.FiguresDir, metric+against+ext)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "ZgotmplZ") {
		t.Error("the page has a NaN, or a value that the template refused")
	}
	page = strings.ReplaceAll(page, `href="data:image/png;base64,`, "")
	if found := regexp.MustCompile(`(?i)<(script|link|iframe|object|img)\b|\bsrc=|\bhref="(?:[^#p]|p[^o])`).FindString(page); found != "" {
		t.Errorf("the page refers to something outside: %q", found)
	}
	again := rendered(t, opened(t, dir))
	if string(b) != again {
		t.Error("the page differs when it is made again")
	}
}

func studyOf(t *testing.T, s artifact.Study, measure func(p artifact.StudyPoint) []artifact.Result) (*summary.Study, []metricGroup) {
	t.Helper()
	study, err := summary.Read(opened(t, fakeStudy(t, s, measure)))
	must(t, err)
	return study, metricGroups(study)
}

func result(subject string, value float64) artifact.Result {
	nan := math.NaN()
	return artifact.NewResult("m", 0, nil, component.Result{Metric: "r2", Subject: subject, Value: value, Low: value - 1, High: value + 2, Null: nan, Reason: "for a test"})
}

func marksOf(p component.Panel, kind component.MarkKind, group string, faint bool) component.Mark {
	i := slices.IndexFunc(p.Marks, func(m component.Mark) bool { return m.Kind == kind && m.Group == group && m.Faint == faint })
	if i < 0 {
		return component.Mark{}
	}
	return p.Marks[i]
}

// The runs are seeds 0, 1, 2 with values 10 latent + seed; their mean is 10 latent + 1 and their standard deviation 1.
func TestFigureAgainstAnAxis(t *testing.T) {
	s, groups := studyOf(t, product(seedAxis(3), latentAxis(64, 8, 16)), func(p artifact.StudyPoint) []artifact.Result {
		latent, seed := p.Values[latentPath].(int64), p.Values["seed"].(int64)
		return []artifact.Result{result("big", float64(10*latent+seed)), result("small", float64(5*seed))}
	})
	f := against(s, groups[0], 1)
	if len(f.Panels) != 1 || !f.Panels[0].X.Log || !slices.Equal(f.ticks, []float64{64, 8, 16}) {
		t.Fatalf("%d panels, x %+v, ticks %v", len(f.Panels), f.Panels[0].X, f.ticks)
	}
	p := f.Panels[0]
	means := marksOf(p, component.Scatter, "big", false)
	if !slices.Equal(means.Y, []float64{641, 81, 161}) || !slices.Equal(means.Low, []float64{640, 80, 160}) || !slices.Equal(means.High, []float64{642, 82, 162}) {
		t.Errorf("means %v from %v to %v", means.Y, means.Low, means.High)
	}
	for i, x := range []float64{64, 8, 16} {
		if math.Abs(means.X[i]-x) > 1e-12*x {
			t.Errorf("the mean of a lone subject at %v stands at %v", x, means.X[i])
		}
	}
	runs := marksOf(p, component.Scatter, "big", true)
	if !slices.Equal(runs.Y, []float64{640, 641, 642, 80, 81, 82, 160, 161, 162}) {
		t.Errorf("runs %v", runs.Y)
	}
	for i, x := range runs.X {
		at := []float64{64, 8, 16}[i/3]
		if x <= at || x > at*math.Sqrt2 {
			t.Errorf("the run at %v stands at %v", at, x)
		}
		if i%3 > 0 && x <= runs.X[i-1] {
			t.Error("runs do not stand in the order of their seeds")
		}
	}
	line := marksOf(p, component.Line, "big", true)
	if !slices.Equal(line.Y, []float64{81, 161, 641}) {
		t.Errorf("the line joins %v", line.Y)
	}
	// The other subject is the same at every latent: a line at the mean of 0, 5 and 10, in a band of 5 to either side.
	still := marksOf(p, component.Line, "small", false)
	if !slices.Equal(still.Y, []float64{5, 5}) || !slices.Equal(still.Low, []float64{0, 0}) || !slices.Equal(still.High, []float64{10, 10}) || still.X[0] != p.X.Min || still.X[1] != p.X.Max {
		t.Errorf("the subject that is the same everywhere: %+v", still)
	}
	dots := marksOf(p, component.Scatter, "small", true)
	if !slices.Equal(dots.Y, []float64{0, 5, 10}) || slices.Min(dots.X) < p.X.Min || slices.Max(dots.X) >= 8 {
		t.Errorf("its runs: %v at %v", dots.Y, dots.X)
	}
	expect(t, f.Caption, "(n = 3 runs)", "(n = 3, at the left edge)")
}

// Two subjects stand beside each other; further axes become panels, or are pooled where they have too many values.
func TestFacetsAndPooling(t *testing.T) {
	many := artifact.StudyAxis{Path: "train.params.lr", Label: "lr"}
	for i := range 9 {
		many.Values = append(many.Values, float64(i+1)/1000)
	}
	use := artifact.StudyAxis{Path: "train.use", Label: "use", Values: values("gru", "rnn")}
	s, groups := studyOf(t, product(seedAxis(2), many, use), func(p artifact.StudyPoint) []artifact.Result {
		v := float64(p.Index)
		return []artifact.Result{result("a", v), result("b", 2*v)}
	})
	f := against(s, groups[0], 1)
	if len(f.Panels) != 2 || f.Panels[0].Title != "use = gru" || f.Panels[1].Title != "use = rnn" || f.Panels[0].Y.Max != f.Panels[1].Y.Max {
		t.Fatalf("%d panels, the first %q", len(f.Panels), f.Panels[0].Title)
	}
	a, b := marksOf(f.Panels[0], component.Scatter, "a", false), marksOf(f.Panels[0], component.Scatter, "b", false)
	if len(a.X) != 9 || f.Panels[0].X.Log || a.X[0] >= 0.001 || b.X[0] <= 0.001 {
		t.Errorf("the subjects stand at %v and %v", a.X, b.X)
	}
	// The other way round, the nine values are pooled: at gru the indices 0, 2, ... 34 of two seeds, mean 17.
	f = against(s, groups[0], 2)
	a = marksOf(f.Panels[0], component.Scatter, "a", false)
	if len(f.Panels) != 1 || !slices.Equal(a.Y, []float64{17, 18}) || !slices.Equal(f.Panels[0].X.Ticks, []string{"gru", "rnn"}) {
		t.Errorf("%d panels, means %v", len(f.Panels), a.Y)
	}
	expect(t, f.Caption, "Runs of all values of lr are pooled.", "n = 18 runs")
	h, ok := heat(s, groups[0], 1, 2)
	if !ok || len(h.Panels) != 2 {
		t.Fatalf("heat map: %v, %d panels", ok, len(h.Panels))
	}
	z := h.Panels[0].Marks[0]
	// The first value of lr: points 0 and 18 with gru, 1 and 19 with rnn.
	if z.Rows != 9 || z.Cols != 2 || z.Z[0] != 9 || z.Z[1] != 10 || z.Z[17] != 26 {
		t.Errorf("heat map of %d x %d: %v", z.Rows, z.Cols, z.Z)
	}
}

func TestFigureOverSeeds(t *testing.T) {
	s, groups := studyOf(t, product(seedAxis(3)), func(p artifact.StudyPoint) []artifact.Result {
		return []artifact.Result{result("a", float64(p.Index))}
	})
	p := against(s, groups[0], 0).Panels[0]
	runs, band := marksOf(p, component.Scatter, "a", false), marksOf(p, component.Line, "a", false)
	if !slices.Equal(runs.Y, []float64{0, 1, 2}) || !slices.Equal(runs.Low, []float64{-1, 0, 1}) || !slices.Equal(runs.High, []float64{2, 3, 4}) {
		t.Errorf("runs %+v", runs)
	}
	if !slices.Equal(band.Y, []float64{1, 1}) || band.Low[0] != 0 || band.High[0] != 2 {
		t.Errorf("mean %+v", band)
	}
}

func TestScales(t *testing.T) {
	for _, c := range []struct {
		values       []any
		numeric, log bool
	}{
		{values(int64(8), int64(16), int64(64)), true, true},
		{values(1e-4, 1e-3, 1e-2), true, true},
		{values(0.1, 0.2, 0.3), true, false},
		{values(int64(1), int64(2), int64(3), int64(4), int64(50)), true, true},
		{values(int64(10), int64(20), int64(30), int64(40), int64(50)), true, false},
		{values(0.0, 1.0, 100.0), true, false},
		{values(-1.0, 10.0, 100.0), true, false},
		{values(int64(1), int64(8)), true, false},
		{values(int64(1), int64(10)), true, true},
		{values(int64(5)), false, false},
		{values("8", "16"), false, false},
		{values(true, false), false, false},
	} {
		p := placeOf(artifact.StudyAxis{Label: "x", Values: c.values}, 2)
		axis := p.bounds()
		if p.numeric != c.numeric || axis.Log != c.log || (len(axis.Ticks) > 0) == c.numeric {
			t.Errorf("%v: numeric %v, %+v", c.values, p.numeric, axis)
		}
		for i := range c.values {
			for k := range 2 {
				for _, share := range []float64{0, 0.44} {
					if x := (slot{p, k, 2}).at(i, share); math.IsNaN(x) || x <= axis.Min || x >= axis.Max {
						t.Errorf("%v: %v stands at %v, outside of the axis from %v to %v", c.values, c.values[i], x, axis.Min, axis.Max)
					}
				}
			}
		}
	}
}

func TestStudyWithHostileNames(t *testing.T) {
	evil := `"><script>alert(1)</script>`
	axis := artifact.StudyAxis{Path: "a." + evil, Label: evil, Values: values(evil, "b")}
	s := product(axis)
	for i := range s.Points {
		s.Points[i].Name = fmt.Sprintf("p %d%%?#", i)
	}
	dir := fakeStudy(t, s, func(p artifact.StudyPoint) []artifact.Result {
		r := []artifact.Result{result(evil, float64(p.Index)), result("b", 1)}
		r[1].Metric = evil
		return r
	})
	page := rendered(t, opened(t, dir))
	if strings.Contains(page, "<script") {
		t.Error("a name became an element")
	}
	expect(t, page, "&lt;script&gt;", `href="points/p%200%25%3F%23/"`)
}

// A study of thousands of points still has a page that a browser opens.
func TestLargeStudyIsBounded(t *testing.T) {
	lr := artifact.StudyAxis{Path: "train.params.lr", Label: "lr"}
	for i := range 40 {
		lr.Values = append(lr.Values, float64(i+1))
	}
	s := product(seedAxis(100), lr)
	study := summary.Study{Study: s}
	if len(study.Points) != 4000 {
		t.Fatal(len(study.Points))
	}
	dir := t.TempDir()
	must(t, s.Write(dir))
	var all artifact.Results
	for _, p := range s.Points {
		for _, m := range []string{"a", "b"} {
			r := result(m, float64(p.Index%97)+float64(p.Index))
			r.Point = p.Values
			all.Metrics = append(all.Metrics, r)
		}
	}
	must(t, all.Write(dir))
	page := rendered(t, opened(t, dir))
	if len(page) > 12<<20 {
		t.Errorf("the page has %d MB", len(page)>>20)
	}
	expect(t, page, "more are in results.csv", "At most 2000 runs of a subject are drawn in a panel")
}
