package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	studies "github.com/ctdb-host/ctdb/host/report/summary"
)

func TestMeanText(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		s           studies.Stat
		mean, limit string
	}{
		{studies.Stat{N: 3, Mean: 0.68321, SD: 0.0123, Min: 0.67, Max: 0.7}, "0.683 ± 0.012", "0.670 to 0.700"},
		{studies.Stat{N: 3, Mean: 1234.5, SD: 99.6, Min: 1100, Max: 1300}, "1234 ± 100", "1100 to 1300"},
		{studies.Stat{N: 2, Mean: -0.5, SD: 2, Min: -2, Max: 1}, "-0.5 ± 2.0", "-2.0 to 1.0"},
		{studies.Stat{N: 1, Mean: 0.25, SD: nan, Min: 0.25, Max: 0.25}, "0.25", ""},
		{studies.Stat{N: 3, Mean: 1, SD: 0, Min: 1, Max: 1}, "1", "1 to 1"},
		{studies.Stat{N: 2, Mean: 3e9, SD: 2e8, Min: 2.9e9, Max: 3.1e9}, "3e+09 ± 2e+08", "2.9e+09 to 3.1e+09"},
		{studies.Stat{Mean: nan, SD: nan, Min: nan, Max: nan}, "", ""},
	} {
		if mean, limit := meanText(c.s), rangeText(c.s); mean != c.mean || limit != c.limit {
			t.Errorf("%+v: %q, %q; want %q, %q", c.s, mean, limit, c.mean, c.limit)
		}
	}
}

// smallStudy writes a study of three seeds, of which the last has failed.
func smallStudy(t *testing.T, root string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(root, "three")
	s := artifact.Study{Name: "three", Axes: []artifact.StudyAxis{{Path: "seed", Label: "seed", Values: []any{int64(0), int64(1), int64(2)}}}}
	for i, name := range []string{"seed-0", "seed-1", "seed-2"} {
		p := artifact.StudyPoint{Name: name, Index: i, Values: map[string]any{"seed": int64(i)}}
		s.Points = append(s.Points, p)
		folder := artifact.PointDir(dir, name)
		must(os.MkdirAll(folder, 0o777))
		prov := artifact.Provenance{Name: "three", Status: "done", Point: p.Values}
		if i == 2 {
			prov.Status, prov.Stages = "failed", []artifact.StageUse{{Stage: "train", Status: "failed", Error: "no space left"}}
		} else {
			nan := artifact.Number(math.NaN())
			must((artifact.Results{Metrics: []artifact.Result{{Comparator: "m", Metric: "r2", Subject: "gru", Value: artifact.Number(1 + i), Low: nan, High: nan, Null: nan, Point: p.Values}}}).Write(folder))
		}
		must(prov.Write(folder))
	}
	must(s.Write(dir))
	must((artifact.Provenance{Name: "three", Status: "failed"}).Write(dir))
}

func TestShowsAStudy(t *testing.T) {
	root := t.TempDir()
	smallStudy(t, root)
	run := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if status := Main(t.Context(), append([]string{"h"}, args...), Program{Out: &out, Err: &errs}); status != Success {
			t.Fatalf("%v: status %d: %s", args, status, errs.String())
		}
		return out.String()
	}
	shown := run("show", "three", "--root", root)
	for _, want := range []string{`three\s+failed`, `3 points of seed \(3\): 2 done, 1 failed`, `gru\s+r2\s+1.50 ± 0.71\s+1.00 to 2.00\s+2 of 3`, `seed-2\s+failed\s+train: no space left`} {
		if !regexp.MustCompile(want).MatchString(shown) {
			t.Errorf("show lacks %s:\n%s", want, shown)
		}
	}
	var parsed struct {
		Study   string
		Points  []struct{ Name, State, Reason string }
		Summary []struct {
			N, Points     int
			Mean, SD, Max float64
		}
	}
	if err := json.Unmarshal([]byte(run("show", "three", "--root", root, "--json")), &parsed); err != nil {
		t.Fatal(err)
	}
	if parsed.Study != "three" || len(parsed.Points) != 3 || parsed.Points[2].Reason != "train: no space left" || len(parsed.Summary) != 1 {
		t.Fatalf("%+v", parsed)
	}
	if s := parsed.Summary[0]; s.N != 2 || s.Points != 3 || s.Mean != 1.5 || math.Abs(s.SD-math.Sqrt(0.5)) > 1e-15 || s.Max != 2 {
		t.Errorf("%+v", s)
	}
	if list := run("runs", "--root", root); !strings.Contains(list, "2 of 3 points done, 1 failed") {
		t.Errorf("runs:\n%s", list)
	}
	file := strings.TrimSpace(run("report", "three", "--root", root))
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "report of a study") {
		t.Errorf("%s: %v", file, err)
	}
	if _, err := os.Stat(artifact.PointDir(filepath.Dir(file), "seed-0") + "/" + artifact.ReportFile); err == nil {
		t.Error("a point has a report that nobody asked for")
	}
	run("report", "three", "--root", root, "--points")
	page, err = os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), `href="points/seed-0/report.html"`) {
		t.Errorf("the study's report does not lead to those of its points: %v", err)
	}
	var out, errs bytes.Buffer
	if status := Main(t.Context(), []string{"h", "report", "three", "other", "--root", root}, Program{Out: &out, Err: &errs}); status != Usage {
		t.Errorf("two folders and no --out: status %d", status)
	}
}
