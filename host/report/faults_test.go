package report

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// What an earlier report drew and this one does not is removed; files of others, and names that a list should not have, are let be.
func TestFiguresOfAnEarlierReportGo(t *testing.T) {
	study := product(seedAxis(2))
	dir := fakeStudy(t, study, func(p artifact.StudyPoint) []artifact.Result {
		out := []artifact.Result{result("a", float64(p.Index)), result("a", 1)}
		out[1].Metric = "other"
		return out
	})
	must(t, Write(t.Context(), opened(t, dir)))
	figures := filepath.Join(dir, artifact.FiguresDir)
	own, outside := filepath.Join(figures, "my-own.svg"), filepath.Join(dir, "outside.svg")
	must(t, os.WriteFile(own, nil, 0o666))
	must(t, os.WriteFile(outside, nil, 0o666))
	list := filepath.Join(figures, writtenFile)
	var before written
	must(t, artifact.ReadJSON(list, &before))
	if !slices.Contains(before.Files, "other-over-seeds.svg") {
		t.Fatalf("the list has %v", before.Files)
	}
	before.Files = append(before.Files, "../outside.svg", "/etc/hostname", "../report.html", ".", "")
	must(t, artifact.WriteJSON(list, before))
	for _, p := range study.Points {
		must(t, (artifact.Results{Metrics: []artifact.Result{result("a", float64(p.Index))}}).Write(artifact.PointDir(dir, p.Name)))
	}
	must(t, Write(t.Context(), opened(t, dir)))
	for _, name := range []string{"other-over-seeds.svg", "other-over-seeds.png", "overview.svg"} {
		if _, err := os.Stat(filepath.Join(figures, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, path := range []string{own, outside, filepath.Join(dir, artifact.ReportFile), filepath.Join(figures, "r2-over-seeds.svg")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	var after written
	must(t, artifact.ReadJSON(list, &after))
	if len(after.Files) != 2 || slices.Contains(after.Files, "../outside.svg") {
		t.Errorf("the list has %v", after.Files)
	}
	// A list that is damaged costs nothing but what it listed.
	must(t, os.WriteFile(list, []byte("{"), 0o666))
	must(t, Write(t.Context(), opened(t, dir)))
}

// libhdf5 never sees a file that is not what its stage's checksums say, however small the difference.
func TestDamagedHDF5IsNotOpened(t *testing.T) {
	for _, c := range []struct{ file, note string }{
		{"fit/gru-64/" + artifact.InferredFile, "gru-64: what was inferred cannot be shown"},
		{"simulate/" + artifact.DatasetFile, "The data set cannot be shown"},
		{"train/" + artifact.RolloutFile, "Example trials are not shown"},
	} {
		s := newSynthetic(t, "gru-64")
		run := s.full(t)
		path := filepath.Join(s.dir, filepath.FromSlash(c.file))
		b, err := os.ReadFile(path)
		must(t, err)
		b[len(b)/2] ^= 1
		must(t, os.WriteFile(path, b, 0o666))
		expect(t, rendered(t, run), c.note, "changed: "+filepath.Base(path))
	}
}

func TestChangedDatasetIsNotOpened(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	given := filepath.Join(t.TempDir(), "spikes.h5")
	s.fits(t, s.data(t, given, false))
	s.experiment(t, "version: 1\nname: recorded\nseed: 0\nsimulate: {dataset: "+given+"}\n")
	s.sign(t, given)
	must(t, os.Truncate(given, 3000))
	expect(t, rendered(t, opened(t, s.dir)), "The data set cannot be shown", "has changed since fit/gru-64 read it")
}

// A host that was killed leaves a folder that says "running", with whatever stages were done and some half-copied.
func TestKilledRunHasAReport(t *testing.T) {
	s := newSynthetic(t, "gru-64")
	s.full(t)
	p, err := artifact.ReadProvenance(s.dir)
	must(t, err)
	p.Status, p.Stages = "running", nil
	must(t, p.Write(s.dir))
	must(t, os.Remove(filepath.Join(s.dir, artifact.ResultsFile)))
	must(t, os.RemoveAll(filepath.Join(s.dir, "compare")))
	must(t, os.Remove(filepath.Join(s.dir, "fit", "gru-64", artifact.RecordFile)))
	must(t, os.Truncate(filepath.Join(s.dir, "simulate", artifact.RecordFile), 9))
	page := rendered(t, opened(t, s.dir))
	expect(t, page, ">killed</span>", "The host was killed before this run had ended", "There are no results", "gru-64 has not been fitted", "its record cannot be read", "figure-example-trials")
	unlock, err := artifact.LockRun(s.dir)
	must(t, err)
	expect(t, rendered(t, opened(t, s.dir)), ">running</span>", "The run is still going on")
	must(t, unlock())
	must(t, os.Remove(filepath.Join(s.dir, artifact.ExperimentFile)))
	must(t, os.WriteFile(filepath.Join(s.dir, artifact.ProvenanceFile), []byte("not JSON"), 0o666))
	expect(t, rendered(t, opened(t, s.dir)), "There is no experiment.yaml", "line 1")
}

// The report of a study with points that were killed, damaged or never begun lists them and shows the others.
func TestStudyWithBrokenPoints(t *testing.T) {
	study := product(seedAxis(5))
	dir := fakeStudy(t, study, plausible)
	point := func(i int) string { return artifact.PointDir(dir, study.Points[i].Name) }
	must(t, os.RemoveAll(point(1)))
	must(t, os.Remove(filepath.Join(dir, artifact.ResultsFile)))
	must(t, os.WriteFile(filepath.Join(point(2), artifact.ProvenanceFile), []byte("{"), 0o666))
	p, err := artifact.ReadProvenance(point(3))
	must(t, err)
	p.Status = "running"
	must(t, p.Write(point(3)))
	must(t, os.WriteFile(filepath.Join(point(4), artifact.ResultsFile), []byte("["), 0o666))
	must(t, Write(t.Context(), opened(t, dir)))
	b, err := os.ReadFile(filepath.Join(dir, artifact.ReportFile))
	must(t, err)
	expect(t, string(b), "2 done, 1 damaged, 1 killed, 1 missing", "seed-4: ", "3 of 5", "not run yet, or not in this folder", "its host was killed")
	must(t, os.RemoveAll(filepath.Join(dir, artifact.PointsDir)))
	expect(t, rendered(t, opened(t, dir)), "all are missing", "There are no results")
}
