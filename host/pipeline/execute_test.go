package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

// tree maps the files of a folder to their contents, without what holds times and without locks.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "provenance") || strings.HasPrefix(name, "log") {
			return nil
		}
		b, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(dir, path)
		out[rel] = string(b)
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares two trees by name.
func same(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, b := range want {
		if other, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if other != b {
			t.Errorf("%s differs", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there in addition", name)
		}
	}
}

func execute(t testing.TB, x Run) error {
	t.Helper()
	_, err := x.Execute(t.Context())
	return err
}

const fourPoints = toyStudy + "seeds: [0, 1]\nmatrix: {fit.a.params.latent: [3, 4]}\n"

// A single experiment's folder is the run's; a study has one for each point, with its results gathered.
func TestFolders(t *testing.T) {
	h := toyHost(t, 2, 2)
	out := filepath.Join(t.TempDir(), "run")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: out}); err != nil {
		t.Fatal(err)
	}
	run, err := artifact.OpenRun(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range run.Stages() {
		names = append(names, s.Name)
	}
	if want := []string{"train", "simulate", "fit/a", "compare/c"}; !reflect.DeepEqual(names, want) || run.Status() != statusDone {
		t.Errorf("stages %v, %s", names, run.Status())
	}
	if r := results(t, out); len(r.Metrics) != 2 || len(r.Metrics[0].Point) != 0 {
		t.Errorf("results %+v", r)
	}

	out = filepath.Join(t.TempDir(), "study")
	if err := execute(t, Run{Study: study(t, h, fourPoints), Host: h, Out: out}); err != nil {
		t.Fatal(err)
	}
	if run, err = artifact.OpenRun(out); err != nil {
		t.Fatal(err)
	}
	points := run.Points()
	if len(points) != 4 || run.Status() != statusDone {
		t.Fatalf("%d points, %s", len(points), run.Status())
	}
	r := results(t, out)
	if len(r.Metrics) != 8 {
		t.Fatalf("%d results", len(r.Metrics))
	}
	for i, p := range points {
		if state, why := p.State(); state != artifact.PointDone {
			t.Errorf("%s is %s: %s", p.Name, state, why)
		}
		if !reflect.DeepEqual(r.Metrics[2*i].Point, p.Values) {
			t.Errorf("result %d is of %v, want %v", 2*i, r.Metrics[2*i].Point, p.Values)
		}
		prov, err := p.Run.Provenance()
		if err != nil || prov.Study != "toys" || len(prov.Stages) != 4 || prov.Stages[2].Stage != "fit/a" || len(prov.Plugins) != 1 {
			t.Errorf("provenance %+v, %v", prov, err)
		}
	}
	// Stages that points share are the same files.
	a, errA := os.Stat(filepath.Join(artifact.PointDir(out, points[0].Name), "train", artifact.WeightsFile))
	b, errB := os.Stat(filepath.Join(artifact.PointDir(out, points[1].Name), "train", artifact.WeightsFile))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("%v, %v: a shared stage takes its room twice", errA, errB)
	}
	prov, err := run.Provenance()
	if err != nil || len(prov.Stages) != 2+2+4+4 {
		t.Errorf("%d stages, %v", len(prov.Stages), err)
	}
}

// A run into the folder of an earlier one leaves what a run into a new folder does, whatever the earlier one was and wherever it was cut short.
func TestRunTakesAFolderOver(t *testing.T) {
	h := toyHost(t, 2, 2)
	single, several := study(t, h, toyStudy), study(t, h, fourPoints)
	other := study(t, h, toyStudy+"  - {name: d, use: comparator/toy}\nseeds: [1, 2]\n")
	fresh := func(s *experiment.Study) map[string]string {
		out := filepath.Join(t.TempDir(), "fresh")
		if err := execute(t, Run{Study: s, Host: h, Out: out}); err != nil {
			t.Fatal(err)
		}
		return tree(t, out)
	}
	for _, c := range []struct {
		name          string
		before, after *experiment.Study
	}{
		{"single over study", several, single}, {"study over single", single, several}, {"study over another", several, other}, {"study over itself", several, several},
		{"single over itself", single, single},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			if err := execute(t, Run{Study: c.before, Host: h, Out: out}); err != nil {
				t.Fatal(err)
			}
			// What a host leaves that is killed while it writes or links.
			litter := []string{".provenance.json123", ".results.json99"}
			for _, name := range litter {
				if err := os.WriteFile(filepath.Join(out, name), []byte("half"), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range []string{"train", filepath.Join("points", "seed-0_latent-3", "train")} {
				_ = os.Remove(filepath.Join(out, p, artifact.RecordFile))
			}
			if err := execute(t, Run{Study: c.after, Host: h, Out: out}); err != nil {
				t.Fatal(err)
			}
			same(t, tree(t, out), fresh(c.after))
			for _, name := range litter {
				if _, err := os.Stat(filepath.Join(out, name)); err == nil {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// A folder that holds something else is refused, and nothing is written there.
func TestFolderRefused(t *testing.T) {
	h := toyHost(t, 1, 1)
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, out string)
		text    string
		shard   string
	}{
		{"notes", func(t *testing.T, out string) { write(t, filepath.Join(out, "notes.txt"), "mine") }, toyStudy, ""},
		{"a run of another name", func(t *testing.T, out string) {
			if err := (artifact.Provenance{Name: "another"}).Write(out); err != nil {
				t.Fatal(err)
			}
		}, toyStudy, ""},
		{"a study of another name", func(t *testing.T, out string) {
			s := studyRecord(study(t, h, fourPoints, "name=another"))
			if err := s.Write(out); err != nil {
				t.Fatal(err)
			}
		}, fourPoints, "1/2"},
		{"a file", func(t *testing.T, out string) {
			if err := os.Remove(out); err != nil {
				t.Fatal(err)
			}
			write(t, out, "mine")
		}, toyStudy, ""},
		{"a shard of a single experiment", func(*testing.T, string) {}, toyStudy, "1/2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := t.TempDir()
			c.prepare(t, out)
			before := listing(t, out)
			err := execute(t, Run{Study: study(t, h, c.text), Host: h, Out: out, Shard: c.shard})
			if !errors.Is(err, ErrFolder) && !errors.Is(err, ErrShard) {
				t.Errorf("error %v", err)
			}
			if after := listing(t, out); !slices.Equal(after, before) {
				t.Errorf("files %v, were %v", after, before)
			}
		})
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func listing(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A folder that another host writes into is refused, in any combination of whole runs and shards but different shards.
func TestFolderLocked(t *testing.T) {
	h := toyHost(t, 1, 1)
	s := study(t, h, fourPoints)
	out := filepath.Join(t.TempDir(), "out")
	if err := os.MkdirAll(out, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ holder, comer string }{{"", ""}, {"", "1/2"}, {"1/2", ""}, {"1/2", "1/2"}} {
		lock := func() (func() error, error) { return artifact.LockRun(out) }
		if c.holder != "" {
			lock = func() (func() error, error) { return artifact.LockShard(out, c.holder) }
			if err := studyRecord(s).Write(out); err != nil {
				t.Fatal(err)
			}
		}
		unlock, err := lock()
		if err != nil {
			t.Fatal(err)
		}
		if err := execute(t, Run{Study: s, Host: h, Out: out, Shard: c.comer}); !errors.Is(err, artifact.ErrRunLocked) && !errors.Is(err, ErrFolder) {
			t.Errorf("%q beside %q: error %v", c.comer, c.holder, err)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

// Shards that run into one folder at the same time, or into folders of their own that are joined, leave what one run does.
func TestShardsGiveTheWhole(t *testing.T) {
	h := toyHost(t, 2, 1)
	s := study(t, h, fourPoints)
	whole := filepath.Join(t.TempDir(), "whole")
	if err := execute(t, Run{Study: s, Host: h, Out: whole}); err != nil {
		t.Fatal(err)
	}
	want := tree(t, whole)

	together := filepath.Join(t.TempDir(), "together")
	var runs sync.WaitGroup
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		own := h
		own.Budget = NewBudget(1, 1)
		runs.Go(func() {
			if _, err := (Run{Study: s, Host: own, Out: together, Shard: shard}).Execute(t.Context()); err != nil {
				t.Errorf("shard %s: %v", shard, err)
			}
		})
	}
	runs.Wait()
	same(t, tree(t, together), want)
	run, err := artifact.OpenRun(together)
	if err != nil {
		t.Fatal(err)
	}
	if run.Status() != statusDone {
		t.Errorf("status %s", run.Status())
	}

	var apart []string
	for _, shard := range []string{"1/2", "2/2"} {
		dir := filepath.Join(t.TempDir(), "apart")
		if err := execute(t, Run{Study: s, Host: h, Out: dir, Shard: shard}); err != nil {
			t.Fatal(err)
		}
		apart = append(apart, dir)
	}
	joined := filepath.Join(t.TempDir(), "joined")
	if err := Join(t.Context(), joined, apart[1:]); err != nil {
		t.Fatal(err)
	}
	if run, err = artifact.OpenRun(joined); err != nil || run.Status() != statusIncomplete {
		t.Errorf("half of the study is %s, %v", run.Status(), err)
	}
	for range 2 { // a second time nothing changes
		if err := Join(t.Context(), joined, apart); err != nil {
			t.Fatal(err)
		}
		same(t, tree(t, joined), want)
	}
	if run, err = artifact.OpenRun(joined); err != nil || run.Status() != statusDone {
		t.Errorf("joined, the study is %s, %v", run.Status(), err)
	}
	// Into one of them.
	if err := Join(t.Context(), apart[0], apart); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, apart[0]), want)
	if files, _ := filepath.Glob(filepath.Join(apart[0], "provenance*.json")); len(files) != 1 {
		t.Errorf("provenances %v", files)
	}
	// In place.
	if err := os.Remove(filepath.Join(joined, artifact.ResultsFile)); err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), joined, nil); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, joined), want)
}

func TestJoinRefuses(t *testing.T) {
	h := toyHost(t, 1, 1)
	dir := t.TempDir()
	make := func(name, text string, sets ...string) string {
		out := filepath.Join(dir, name)
		s := study(t, h, text, sets...)
		if len(s.Axes) == 0 {
			if err := os.MkdirAll(out, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := (artifact.Provenance{Name: s.Name}).Write(out); err != nil {
				t.Fatal(err)
			}
			return out
		}
		if err := os.MkdirAll(out, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := studyRecord(s).Write(out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	a, single := make("a", fourPoints), make("single", toyStudy)
	notes := filepath.Join(dir, "notes")
	if err := os.MkdirAll(notes, 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(notes, "mine"), "x")
	for _, c := range []struct {
		name string
		out  string
		dirs []string
	}{
		{"single", "out", []string{a, single}},
		{"another study", "out", []string{a, make("b", fourPoints, "name=other")}},
		{"other values", "out", []string{a, make("c", fourPoints, "seeds=[5, 6]")}},
		{"something else at the points", "out", []string{a, make("e", fourPoints, "fit.a.params.steps=3")}},
		{"something else in the folder joined before", make("f", fourPoints, "fit.a.params.steps=3"), []string{a}},
		{"other axes", "out", []string{a, make("d", toyStudy+"seeds: [0, 1]\n")}},
		{"nothing there", "out", []string{a, filepath.Join(dir, "nowhere")}},
		{"nothing to join", "out", nil},
		{"out is something else", notes, []string{a}},
	} {
		out := c.out
		if !filepath.IsAbs(out) {
			out = filepath.Join(dir, out)
		}
		if err := Join(t.Context(), out, c.dirs); !errors.Is(err, ErrStudies) && !errors.Is(err, ErrFolder) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
}

// TestAnotherStudyInTheFolder: of a study that does something else at the same points none of the old ones is left, however few the new one came to.
func TestAnotherStudyInTheFolder(t *testing.T) {
	h := toyHost(t, 2, 1)
	out := filepath.Join(t.TempDir(), "out")
	for _, shard := range []string{"1/2", "2/2"} {
		if err := execute(t, Run{Study: study(t, h, fourPoints), Host: h, Out: out, Shard: shard}); err != nil {
			t.Fatal(err)
		}
	}
	if err := execute(t, Run{Study: study(t, h, fourPoints, "fit.a.params.steps=3"), Host: h, Out: out, Shard: "1/2"}); err != nil {
		t.Fatal(err)
	}
	run, err := artifact.OpenRun(out)
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, p := range run.Points() {
		if p.Run == nil {
			continue
		}
		there++
		if text, err := p.Run.Experiment(); err != nil || !strings.Contains(string(text), "steps: 3") {
			t.Errorf("point %s is of\n%s%v", p.Name, text, err)
		}
	}
	results, err := run.Results()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range results.Metrics {
		seen[fmt.Sprint(m.Point)] = true
	}
	if there != 2 || len(seen) != 2 || run.Status() != statusIncomplete {
		t.Errorf("%d points are there, results of %d, and the study is %s", there, len(seen), run.Status())
	}
	// What was only said otherwise is the same study.
	if err := execute(t, Run{Study: study(t, h, fourPoints, "fit.a.params.steps=3", "about=again"), Host: h, Out: out, Shard: "2/2"}); err != nil {
		t.Fatal(err)
	}
	if run, err = artifact.OpenRun(out); err != nil || run.Status() != statusDone {
		t.Errorf("both halves are %s, %v", run.Status(), err)
	}
}

// TestJoinAgain: of a point that is done in several folders the one that was done last is taken, also where an older one was joined before.
func TestJoinAgain(t *testing.T) {
	h := toyHost(t, 1, 1)
	dir := t.TempDir()
	share, joined := filepath.Join(dir, "share"), filepath.Join(dir, "joined")
	if err := execute(t, Run{Study: study(t, h, fourPoints), Host: h, Out: share, Shard: "1/2"}); err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), joined, []string{share}); err != nil {
		t.Fatal(err)
	}
	run, err := artifact.OpenRun(share)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(run.Points(), func(p artifact.Point) bool { return p.Run != nil })
	again := run.Points()[i]
	prov, err := again.Run.Provenance()
	if err != nil {
		t.Fatal(err)
	}
	prov.Finished, prov.Host = prov.Finished.Add(time.Hour), "a later one"
	if err := prov.Write(again.Run.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := Join(t.Context(), joined, []string{share}); err != nil {
		t.Fatal(err)
	}
	if got, err := artifact.ReadProvenance(artifact.PointDir(joined, again.Name)); err != nil || got.Host != prov.Host {
		t.Errorf("point %s is that of host %q, %v", again.Name, got.Host, err)
	}
}

// Points that fail leave the others; they are listed with their reasons, and what was interrupted is told from what failed.
func TestPointsFailEachOnItsOwn(t *testing.T) {
	h := toyHost(t, 2, 2)
	s := study(t, h, toyStudy+"seeds: [0, 1]\nmatrix: {compare.c.params.fails: [false, true]}\n")
	out := filepath.Join(t.TempDir(), "out")
	if err := execute(t, Run{Study: s, Host: h, Out: out}); !errors.Is(err, ErrStages) {
		t.Fatalf("error %v", err)
	}
	run, err := artifact.OpenRun(out)
	if err != nil {
		t.Fatal(err)
	}
	if run.Status() != statusFailed {
		t.Errorf("status %s", run.Status())
	}
	for _, p := range run.Points() {
		state, why := p.State()
		want := artifact.PointDone
		if p.Values["compare.c.params.fails"] == true {
			want = artifact.PointFailed
		}
		if state != want || (state == artifact.PointFailed) != strings.Contains(why, "diverged") {
			t.Errorf("%s is %s: %s", p.Name, state, why)
		}
	}
	if r := results(t, out); len(r.Metrics) != 4 {
		t.Errorf("%d results", len(r.Metrics))
	}
}

// An interrupted study is gone on with by the same call, and ends as one that never was.
func TestInterruptedStudyGoesOn(t *testing.T) {
	h := toyHost(t, 2, 1)
	s := study(t, h, fourPoints)
	ctx, cancel := context.WithCancel(t.Context())
	cut := h
	cut.Observer = watcher(func(stage string, status Status) {
		if stage == "compare/c [seed=0 latent=3]" && status == Done {
			cancel()
		}
	})
	out := filepath.Join(t.TempDir(), "out")
	_, err := Run{Study: s, Host: cut, Out: out}.Execute(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	run, err := artifact.OpenRun(out)
	if err != nil {
		t.Fatal(err)
	}
	states := map[artifact.PointState]int{}
	for _, p := range run.Points() {
		state, _ := p.State()
		states[state]++
	}
	if run.Status() != statusInterrupted || states[artifact.PointDone] != 1 || states[artifact.PointFailed] != 0 {
		t.Errorf("%s: %v", run.Status(), states)
	}
	if r := results(t, out); len(r.Metrics) != 2 {
		t.Errorf("%d results of what was done", len(r.Metrics))
	}
	if err := execute(t, Run{Study: s, Host: h, Out: out}); err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(t.TempDir(), "whole")
	other := toyHost(t, 2, 1)
	other.Catalog = h.Catalog
	if err := execute(t, Run{Study: s, Host: other, Out: whole}); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, out), tree(t, whole))
	log, err := os.ReadFile(filepath.Join(out, artifact.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"msg":"run","status":"interrupted"`, `"msg":"stage","stage":"train [seed=0]","status":"running"`, `"msg":"progress","stage":"train [seed=0]","phase":"step"`, `"msg":"run","status":"done"`} {
		if !bytes.Contains(log, []byte(want)) {
			t.Errorf("the log lacks %s", want)
		}
	}
}
