package artifact

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// latents is a study of two seeds and two values of a parameter.
func latents() Study {
	const path = "fit.gru.params.latent"
	s := Study{Name: "latents", Axes: []StudyAxis{
		{Path: "seed", Label: "seed", Values: []any{uint64(0), uint64(math.MaxUint64)}},
		{Path: path, Label: "latent", Values: []any{int64(8), 0.5}},
	}}
	for _, seed := range s.Axes[0].Values {
		for _, latent := range s.Axes[1].Values {
			s.Points = append(s.Points, StudyPoint{
				Name: "seed-" + FormatValue(seed) + "_latent-" + FormatValue(latent), Index: len(s.Points), Values: map[string]any{"seed": seed, path: latent},
			})
		}
	}
	return s
}

// putRun writes what a run's folder needs to have a status.
func putRun(t *testing.T, dir string, p Provenance) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(dir); err != nil {
		t.Fatal(err)
	}
}

func TestStudy(t *testing.T) {
	dir := t.TempDir()
	want := latents()
	if _, err := ReadStudy(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if err := want.Write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadStudy(dir)
	if err != nil {
		t.Fatal(err)
	}
	// JSON has one kind of number: small whole ones come back as int64.
	want.Axes[0].Values[0] = int64(0)
	for i := range 2 {
		want.Points[i].Values["seed"] = int64(0)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back\n%+v\nwant\n%+v", got, want)
	}
}

func TestStudyRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Study){
		"no axes":          func(s *Study) { s.Axes = nil },
		"no points":        func(s *Study) { s.Points = nil },
		"axis twice":       func(s *Study) { s.Axes[1].Path = "seed" },
		"axis of nothing":  func(s *Study) { s.Axes[1].Values = nil },
		"name leaves":      func(s *Study) { s.Points[0].Name = "../../etc" },
		"name is a path":   func(s *Study) { s.Points[0].Name = "a/b" },
		"name is empty":    func(s *Study) { s.Points[0].Name = "" },
		"name is the dir":  func(s *Study) { s.Points[0].Name = "." },
		"names twice":      func(s *Study) { s.Points[0].Name = s.Points[1].Name },
		"index twice":      func(s *Study) { s.Points[0].Index = 1 },
		"index too large":  func(s *Study) { s.Points[0].Index = 4 },
		"value is missing": func(s *Study) { delete(s.Points[3].Values, "seed") },
	} {
		s := latents()
		spoil(&s)
		dir := t.TempDir()
		if err := s.Write(dir); err == nil {
			t.Errorf("%s: it was written", name)
		}
		if err := WriteJSON(filepath.Join(dir, StudyFile), s); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadStudy(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: read: %v", name, err)
		}
		if _, err := OpenRun(dir); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestPoints(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "study")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := latents()
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	point := func(i int) string { return PointDir(dir, s.Points[i].Name) }
	putRun(t, point(0), Provenance{Name: "latents", Status: "done", Point: s.Points[0].Values})
	putRun(t, point(1), Provenance{Status: "failed", Point: s.Points[1].Values, Stages: []StageUse{
		{Stage: "train", Status: "done"}, {Stage: "fit/gru", Status: "failed", Error: "it diverged"}, {Stage: "compare/m", Status: "skipped", Error: "it needs fit/gru"},
	}})
	putRun(t, point(2), Provenance{Status: "running", Point: s.Points[2].Values})
	// The folder may be moved.
	moved := filepath.Join(root, "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	dir = moved
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := r.Study(); !ok || got.Name != "latents" {
		t.Errorf("study %+v, %v", got, ok)
	}
	check := func(want ...PointState) {
		t.Helper()
		points := r.Points()
		if len(points) != len(want) {
			t.Fatalf("%d points", len(points))
		}
		for i, p := range points {
			state, reason := p.State()
			if state != want[i] || (reason == "") != (state == PointDone || state == PointRunning) {
				t.Errorf("point %d: %s (%s), want %s", i, state, reason, want[i])
			}
			if (p.Run == nil) != (state == PointMissing) && state != PointDamaged {
				t.Errorf("point %d: %s: run %v", i, state, p.Run)
			}
		}
	}
	check(PointDone, PointFailed, PointKilled, PointMissing)
	if _, reason := r.Points()[1].State(); reason != "fit/gru: it diverged" {
		t.Errorf("reason %q", reason)
	}
	unlock, err := LockRun(point(2))
	if err != nil {
		t.Fatal(err)
	}
	check(PointDone, PointFailed, PointRunning, PointMissing)
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(point(0), ProvenanceFile), []byte("{")); err != nil {
		t.Fatal(err)
	}
	check(PointDamaged, PointFailed, PointKilled, PointMissing)

	runs, err := ListRuns(root)
	if err != nil || len(runs) != 1 || runs[0].Name != "latents" || runs[0].Points != 4 || runs[0].Done != 0 || runs[0].Failed != 2 || runs[0].Err != nil {
		t.Errorf("runs %+v, %v", runs, err)
	}
	one, err := OpenRun(point(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := one.Study(); ok || one.Points() != nil {
		t.Error("a point is not a study")
	}
}

func TestStatus(t *testing.T) {
	dir := t.TempDir()
	putRun(t, dir, Provenance{Status: "running"})
	status := func(want string) {
		t.Helper()
		r, err := OpenRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Status(); got != want {
			t.Errorf("status %q, want %q", got, want)
		}
		runs, err := ListRuns(filepath.Dir(dir))
		if err != nil || len(runs) != 1 || runs[0].Status != want {
			t.Errorf("listed as %+v (%v), want %q", runs, err, want)
		}
	}
	status("killed")
	unlock, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	status("running")
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	status("killed")
	for _, s := range []string{"done", "failed", "interrupted"} {
		putRun(t, dir, Provenance{Status: s})
		status(s)
	}
}

func TestShards(t *testing.T) {
	dir := t.TempDir()
	s := latents()
	if err := s.Write(dir); err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	first := Provenance{
		Name: "latents", Shard: "1/2", Status: "done", Started: began, Finished: began.Add(time.Hour), Plugins: []PluginUse{{Name: "a", SHA256: "1"}},
		Stages: []StageUse{{Stage: "train [seed=0]", Status: "done"}, {Stage: "fit/gru [seed=0 latent=8]", Status: "done"}},
	}
	second := first
	second.Shard, second.Started, second.Finished = "2/2", began.Add(time.Minute), began.Add(2*time.Hour)
	second.Plugins = []PluginUse{{Name: "a", SHA256: "1"}, {Name: "b", SHA256: "2"}}
	second.Stages = []StageUse{{Stage: "train [seed=0]", Status: "done", Stored: true}, {Stage: "fit/gru [seed=1 latent=8]", Status: "done"}}
	for _, p := range []Provenance{first, second} {
		if err := p.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	if !exists(filepath.Join(dir, "provenance-2-of-2.json")) {
		t.Error("a shard's provenance is not in a file of its own")
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Provenance()
	if err != nil || !p.Started.Equal(began) || !p.Finished.Equal(began.Add(2*time.Hour)) || len(p.Plugins) != 2 || len(p.Stages) != 3 || p.Stages[0].Stored || p.Shard != "" {
		t.Errorf("joined %+v, %v", p, err)
	}
	if got := r.Status(); got != "incomplete" {
		t.Errorf("status %q while no point is there", got)
	}
	for _, p := range s.Points {
		putRun(t, PointDir(dir, p.Name), Provenance{Status: "done", Point: p.Values, Shard: "1/2"})
	}
	if got := r.Status(); got != "done" {
		t.Errorf("status %q with all points done", got)
	}
	second.Status = "running"
	if err := second.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got := r.Status(); got != "killed" {
		t.Errorf("status %q of a shard that was killed", got)
	}
	unlock, err := LockShard(dir, "2/2")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Status(); got != "running" {
		t.Errorf("status %q of a shard that runs", got)
	}
	// A share is run once, other shares run beside it, and nobody has the folder for himself meanwhile.
	if _, err := LockShard(dir, "2/2"); !errors.Is(err, ErrRunLocked) {
		t.Errorf("the same share: %v", err)
	}
	if _, err := LockRun(dir); !errors.Is(err, ErrRunLocked) {
		t.Errorf("the whole folder: %v", err)
	}
	other, err := LockShard(dir, "1/2")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unlock(), other()); err != nil {
		t.Fatal(err)
	}
	// A later run of the whole takes over.
	if err := (Provenance{Status: "failed", Started: began.Add(3 * time.Hour)}).Write(dir); err != nil {
		t.Fatal(err)
	}
	if got := r.Status(); got != "failed" {
		t.Errorf("status %q of a later run", got)
	}
}

// TestLockRunRemovesWhatWasBegun: a host that was killed while it wrote leaves files without a name of their own, which the next one removes, and nothing else.
func TestLockRunRemovesWhatWasBegun(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, FiguresDir), 0o777); err != nil {
		t.Fatal(err)
	}
	pending, err := createPending(filepath.Join(dir, FiguresDir, "latents.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer pending.Cleanup()
	left := []string{"results.json", ".hidden.json", "figure.png12", filepath.Join(FiguresDir, "latents.svg"), filepath.Join(FiguresDir, ".written.json")}
	gone := []string{".report.html123", filepath.Join(FiguresDir, ".rates.svg9876543210")}
	for _, name := range slices.Concat(left, gone) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	unlock, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Error(err)
	}
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	for _, name := range append(gone, filepath.Join(FiguresDir, filepath.Base(pending.Name()))) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestLockRun(t *testing.T) {
	dir := t.TempDir()
	unlock, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockRun(dir); !errors.Is(err, ErrRunLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second time: %v", err)
	}
	if _, err := LockShard(dir, "1/3"); !errors.Is(err, ErrRunLocked) {
		t.Errorf("a shard: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if _, err := LockRun(filepath.Join(dir, "absent")); errors.Is(err, ErrRunLocked) || err == nil {
		t.Errorf("a folder that is not there: %v", err)
	}
	study, err := LockStudy(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := study(); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedStage(t *testing.T) {
	dir := t.TempDir()
	putRun(t, dir, Provenance{Status: "done"})
	for _, s := range []string{"train", "simulate"} {
		if err := os.MkdirAll(filepath.Join(dir, s), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (Record{Stage: s}).Write(filepath.Join(dir, s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "train", RecordFile), 7); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil || len(r.Stages()) != 1 || len(r.Problems()) != 1 || !strings.Contains(r.Problems()[0].Error(), "train") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestResultsTable(t *testing.T) {
	dir := t.TempDir()
	s := latents()
	s.Axes = append(s.Axes, StudyAxis{Path: "compare.m.params.value", Label: "value", Values: []any{"x, \"y\""}}, StudyAxis{Path: "layers", Label: "layers", Values: []any{[]any{int64(1), int64(2)}}})
	point := map[string]any{"seed": int64(2), "fit.gru.params.latent": 0.5, "compare.m.params.value": "x, \"y\"", "layers": []any{int64(1), int64(2)}}
	nan := Number(math.NaN())
	r := Results{Metrics: []Result{
		{Comparator: "m", Metric: "r2", Subject: "gru", Reference: "truth", Value: 1.0 / 3, Low: 0.1, High: nan, Null: nan, Unit: "", Better: "higher", N: 20, Seed: 77, Point: point},
		{Comparator: "m", Metric: "odd", Subject: "gru", Value: nan, Low: nan, High: nan, Null: nan, Seed: 77, Point: map[string]any{}, Reason: "no\ninputs"},
	}}
	if err := r.WriteTable(dir, s.Axes); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, ResultsTable))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"seed", "latent", "compare.m.params.value", "layers", "comparator", "metric", "subject", "reference", "value", "low", "high", "null", "unit", "better", "n", "reason"},
		{"2", "0.5", "x, \"y\"", "[1,2]", "m", "r2", "gru", "truth", "0.3333333333333333", "0.1", "", "", "", "higher", "20", ""},
		{"77", "", "", "", "m", "odd", "gru", "", "", "", "", "", "", "", "0", "no inputs"},
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestEndIsNoKill looks at a run while it ends, in its host, again and again: it goes on or is done, and was never killed.
func TestEndIsNoKill(t *testing.T) {
	dir := t.TempDir()
	for range 150 {
		unlock, err := LockRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		p := Provenance{Name: "x", Status: "running", Started: time.Now().UTC()}
		if err := p.Write(dir); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			p.Status = "done"
			ended <- errors.Join(p.Write(dir), unlock())
		}()
		for last := ""; last != "done"; {
			if last = folderStatus(dir, nil); last == "killed" {
				t.Fatal("killed, of a run that has just ended")
			}
			if state, _ := pointState(dir); state == PointKilled {
				t.Fatal("killed, of a point that has just ended")
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}
