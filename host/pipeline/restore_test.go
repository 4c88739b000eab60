package pipeline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// Results that were deleted or broken are written again as they were, of a single run and of a study's point; those that are whole are let be.
func TestRestore(t *testing.T) {
	h := toyHost(t, 2, 2)
	out := t.TempDir()
	text := toyStudy + "  - {name: b, use: comparator/toy, subjects: [a]}\n"
	single, several := filepath.Join(out, "single"), filepath.Join(out, "several")
	for dir, s := range map[string]string{single: text, several: text + "seeds: [0, 1]\n"} {
		if err := execute(t, Run{Study: study(t, h, s), Host: h, Out: dir}); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{single, artifact.PointDir(several, "seed-1")} {
		want := tree(t, dir)
		for _, c := range []struct {
			name  string
			files map[string]string // what is written in their place; empty for nothing
			want  []string
		}{
			{"whole", nil, nil},
			{"deleted", map[string]string{artifact.ResultsFile: "", artifact.ResultsTable: ""}, []string{artifact.ResultsFile, artifact.ResultsTable}},
			{"the table alone", map[string]string{artifact.ResultsTable: ""}, []string{artifact.ResultsTable}},
			{"broken", map[string]string{artifact.ResultsFile: "{"}, []string{artifact.ResultsFile}},
			{"without the experiment", map[string]string{artifact.ResultsTable: "", artifact.ExperimentFile: ""}, []string{artifact.ResultsTable}},
		} {
			for name, instead := range c.files {
				path := filepath.Join(dir, name)
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if instead != "" {
					write(t, path, instead)
				}
			}
			run, err := artifact.OpenRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Restore(run)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("%s: wrote %v, want %v: %v", c.name, got, c.want, err)
			}
			now := tree(t, dir)
			if _, gone := c.files[artifact.ExperimentFile]; gone {
				delete(want, artifact.ExperimentFile)
			}
			same(t, now, want)
		}
	}
}

// TestRestoreWithoutAComparison: whole results are let be whatever else is gone, and broken ones are not written again of less than there was.
func TestRestoreWithoutAComparison(t *testing.T) {
	h := toyHost(t, 2, 2)
	dir := t.TempDir()
	if err := execute(t, Run{Study: study(t, h, toyStudy+"  - {name: b, use: comparator/toy, subjects: [a]}\n"), Host: h, Out: dir}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, artifact.CompareStage, "b")); err != nil {
		t.Fatal(err)
	}
	want := tree(t, dir)
	restore := func(files ...string) {
		t.Helper()
		run, err := artifact.OpenRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Restore(run); err != nil || !slices.Equal(got, files) {
			t.Errorf("wrote %v, want %v: %v", got, files, err)
		}
	}
	if err := os.Remove(filepath.Join(dir, artifact.ResultsTable)); err != nil {
		t.Fatal(err)
	}
	restore(artifact.ResultsTable)
	same(t, tree(t, dir), want)
	write(t, filepath.Join(dir, artifact.ResultsFile), "{")
	restore()
	// Without a provenance what was asked for stands for what was made.
	if err := os.Remove(filepath.Join(dir, artifact.ProvenanceFile)); err != nil {
		t.Fatal(err)
	}
	restore()
	if err := os.Remove(filepath.Join(dir, artifact.ExperimentFile)); err != nil {
		t.Fatal(err)
	}
	restore(artifact.ResultsFile)
}
