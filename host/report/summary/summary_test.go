package summary

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

func TestOf(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		values []float64
		want   Stat
	}{
		{nil, Stat{0, nan, nan, nan, nan}},
		{[]float64{nan}, Stat{0, nan, nan, nan, nan}},
		{[]float64{3}, Stat{1, 3, nan, 3, 3}},
		{[]float64{2, nan, 4}, Stat{2, 3, math.Sqrt2, 2, 4}},
		// The sum is 42 and that of the squares 252: (252 - 42*42/8)/7 = 31.5/7.
		{[]float64{3, 5, 4, 4, 4, 5, 8, 9}, Stat{8, 5.25, math.Sqrt(31.5 / 7), 3, 9}},
		{[]float64{0.1, 0.1, 0.1}, Stat{3, 0.1, 0, 0.1, 0.1}},
	} {
		got := Of(c.values)
		near := func(a, b float64) bool { return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-15 }
		if got.N != c.want.N || !near(got.Mean, c.want.Mean) || !near(got.SD, c.want.SD) || !near(got.Min, c.want.Min) || !near(got.Max, c.want.Max) {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

const size = "fit.big.params.latent"

// folder writes a study of three seeds and two sizes of the model big. The model small does not change with the size of big. Of the last point there is no folder,
// of the one before a provenance that says why it failed.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := artifact.Study{Name: "s", Axes: []artifact.StudyAxis{
		{Path: "seed", Label: "seed", Values: []any{int64(0), int64(1), int64(2)}}, {Path: size, Label: "latent", Values: []any{int64(8), int64(64)}},
	}}
	nan := artifact.Number(math.NaN())
	var all artifact.Results
	for seed := range 3 {
		for k, latent := range []int64{8, 64} {
			p := artifact.StudyPoint{Index: len(s.Points), Values: map[string]any{"seed": int64(seed), size: latent}}
			p.Name = "seed-" + string(rune('0'+seed)) + "_latent-" + []string{"8", "64"}[k]
			s.Points = append(s.Points, p)
			if p.Index == 5 {
				continue
			}
			sub := artifact.PointDir(dir, p.Name)
			check(t, os.MkdirAll(sub, 0o777))
			prov := artifact.Provenance{Status: "done", Point: p.Values}
			if p.Index == 4 {
				prov.Status, prov.Stages = "failed", []artifact.StageUse{{Stage: "fit/big", Status: "failed", Error: "it diverged"}}
				check(t, prov.Write(sub))
				continue
			}
			check(t, prov.Write(sub))
			r := artifact.Results{Metrics: []artifact.Result{
				{Metric: "r2", Subject: "big", Value: artifact.Number(float64(10*k + seed)), Low: nan, High: nan, Null: nan, Point: p.Values},
				{Metric: "r2", Subject: "small", Value: artifact.Number(float64(seed) / 2), Low: nan, High: nan, Null: nan, Point: p.Values},
				{Metric: "inputs", Subject: "small", Value: nan, Low: nan, High: nan, Null: nan, Point: p.Values, Reason: "it infers none"},
			}}
			check(t, r.Write(sub))
			all.Metrics = append(all.Metrics, r.Metrics...)
		}
	}
	check(t, s.Write(dir))
	check(t, all.Write(dir))
	return dir
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, dir string) *Study {
	t.Helper()
	run, err := artifact.OpenRun(dir)
	check(t, err)
	s, err := Read(run)
	check(t, err)
	return s
}

func (s *Study) find(metric, subject string) *Series {
	i := slices.IndexFunc(s.Series, func(t *Series) bool { return t.Metric == metric && t.Subject == subject })
	return s.Series[i]
}

func TestRead(t *testing.T) {
	dir := folder(t)
	s := read(t, dir)
	if len(s.Problems) != 0 || len(s.Series) != 3 || len(s.Results.Metrics) != 12 {
		t.Fatalf("problems %v, %d series, %d results", s.Problems, len(s.Series), len(s.Results.Metrics))
	}
	if s.Count(artifact.PointDone) != 4 || s.States[4].PointState != artifact.PointFailed || s.States[4].Reason != "fit/big: it diverged" || s.States[5].PointState != artifact.PointMissing {
		t.Errorf("states %+v", s.States)
	}
	big, small := s.find("r2", "big"), s.find("r2", "small")
	if !big.Matters(1) || small.Matters(1) || !big.Matters(0) || !small.Matters(0) {
		t.Error("an axis that matters is taken for one that does not, or the other way round")
	}
	cells := big.Cells(1)
	// Seeds 0, 1 and, at 8 of the two sizes, none of the third: (0+1)/2 and (10+11)/2, standard deviation 1/sqrt(2).
	if len(cells) != 2 || cells[0].N != 2 || cells[0].Points != 3 || cells[0].Mean != 0.5 || cells[1].Mean != 10.5 || math.Abs(cells[1].SD-math.Sqrt(0.5)) > 1e-15 || cells[1].Max != 11 {
		t.Errorf("cells %+v", cells)
	}
	// The four runs of small are two.
	if cells := small.Cells(); len(cells) != 1 || cells[0].N != 2 || cells[0].Points != 3 || cells[0].Mean != 0.25 {
		t.Errorf("cells %+v", cells)
	}
	if cells := small.Cells(1); len(cells) != 2 || cells[0].N != 2 || cells[1].N != 2 {
		t.Errorf("cells of an axis that was asked for %+v", cells)
	}
	// Over all, the sizes of big are pooled: (0+1+10+11)/4.
	if cells := big.Cells(); len(cells) != 1 || cells[0].N != 4 || cells[0].Mean != 5.5 || cells[0].Points != 6 {
		t.Errorf("pooled %+v", cells)
	}
	gaps := s.Gaps()
	if len(gaps) != 1 || len(gaps[0].Points) != 4 || s.Where(gaps[0]) != "all 4 points" {
		t.Errorf("gaps %+v", gaps)
	}
}

// Metrics that are missing at the same points for the same reason are one gap; a value that is missing elsewhere, or against another subject, is another.
func TestGapsAreGathered(t *testing.T) {
	nan := math.NaN()
	series := func(metric, subject, reference string, runs ...Run) *Series {
		return &Series{Comparator: "m", Metric: metric, Subject: subject, Reference: reference, Runs: runs}
	}
	missing := func(point int, why string) Run { return Run{Point: point, Value: nan, Reason: why} }
	s := &Study{Series: []*Series{
		series("a", "x", "truth", missing(0, "short"), missing(1, "short")),
		series("b", "x", "truth", missing(0, "short"), missing(1, "short")),
		series("c", "x", "truth", missing(0, "short"), Run{Point: 1, Value: 1}),
		series("a", "x", "y", missing(0, "short"), missing(1, "short")),
		series("a", "y", "truth", missing(0, "other"), missing(1, "short")),
	}}
	var got []string
	for _, g := range s.Gaps() {
		got = append(got, fmt.Sprintf("%s at %v: %s", g.Values(), g.Points, g.Reason))
	}
	want := []string{
		"a, b of x against truth at [0 1]: short", "c of x against truth at [0]: short", "a of x against y at [0 1]: short",
		"a of y against truth at [0]: other", "a of y against truth at [1]: short",
	}
	if !slices.Equal(got, want) {
		t.Errorf("gaps\n%q, want\n%q", got, want)
	}
}

// A study without its points' folders has what results.json says; points' own files come before it.
func TestReadWhatThereIs(t *testing.T) {
	dir := folder(t)
	check(t, os.RemoveAll(filepath.Join(dir, artifact.PointsDir)))
	s := read(t, dir)
	if len(s.Results.Metrics) != 12 || s.Count(artifact.PointMissing) != 6 || s.find("r2", "big").Cells(1)[1].Mean != 10.5 {
		t.Errorf("%d results, %d missing points", len(s.Results.Metrics), s.Count(artifact.PointMissing))
	}
	dir = folder(t)
	check(t, os.WriteFile(filepath.Join(dir, artifact.ResultsFile), []byte("{"), 0o666))
	check(t, os.Truncate(filepath.Join(artifact.PointDir(dir, "seed-0_latent-8"), artifact.ResultsFile), 10))
	s = read(t, dir)
	if len(s.Problems) != 2 || !strings.Contains(s.Problems[1], "seed-0_latent-8") || len(s.Results.Metrics) != 9 {
		t.Errorf("problems %q, %d results", s.Problems, len(s.Results.Metrics))
	}
	single := t.TempDir()
	check(t, os.WriteFile(filepath.Join(single, artifact.ExperimentFile), nil, 0o666))
	run, err := artifact.OpenRun(single)
	check(t, err)
	if _, err := Read(run); !errors.Is(err, ErrNoStudy) {
		t.Errorf("a single run: %v", err)
	}
}

func TestReadRefusesStrangePoints(t *testing.T) {
	dir := folder(t)
	study, err := artifact.ReadStudy(dir)
	check(t, err)
	study.Axes[1].Values = study.Axes[1].Values[:1]
	check(t, study.Write(dir))
	run, err := artifact.OpenRun(dir)
	check(t, err)
	if _, err := Read(run); err == nil || !strings.Contains(err.Error(), size) {
		t.Errorf("a value that its axis does not have: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		values []any
		want   []float64
	}{
		{[]any{int64(8), uint64(1 << 63), 0.5}, []float64{8, 1 << 63, 0.5}},
		{[]any{int64(8), "8"}, nil},
		{[]any{true, false}, nil},
		{[]any{int64(1), 1.0}, nil},
		{[]any{math.Inf(1)}, nil},
	} {
		got, ok := Numbers(artifact.StudyAxis{Values: c.values})
		if ok != (c.want != nil) || ok && !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v", c.values, got, ok)
		}
	}
}
