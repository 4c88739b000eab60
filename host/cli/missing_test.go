package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// A run that was killed or interrupted says what was in progress and which command goes on with it.
func TestShowsHowToGoOn(t *testing.T) {
	command := []string{"ctdb-host", "run", "long.yaml", "-o", "there", "--set", "seed=3", "--out=there"}
	for _, c := range []struct {
		status string
		stages []artifact.StageUse
		want   []string
	}{
		{"running", nil, []string{`train +killed +in its training`, "it was killed; `ctdb-host run long.yaml --set seed=3 --out DIR` goes on where it stopped"}},
		{"interrupted", []artifact.StageUse{
			{Stage: "train", Status: "interrupted", Error: "launch: plugin builtin: context canceled"},
			{Stage: "fit/a", Status: "skipped", Error: "context canceled"},
		}, []string{"train +interrupted +(0s +)?by Ctrl-C or a signal", "fit/a +skipped +(0s +)?the run was interrupted before", "it was interrupted; `ctdb-host run long.yaml --set seed=3 --out DIR` goes on where it stopped"}},
	} {
		dir := t.TempDir()
		prov := artifact.Provenance{Name: "long", Status: c.status, Started: time.Now(), Command: command, Stages: c.stages}
		if err := prov.Write(dir); err != nil {
			t.Fatal(err)
		}
		if err := artifact.WriteFile(filepath.Join(dir, artifact.ExperimentFile), []byte("version: 1\n")); err != nil {
			t.Fatal(err)
		}
		live, err := artifact.FollowMetrics(filepath.Join(dir, artifact.LiveDir, "train"))
		if err == nil {
			err = live.Write(component.Metric{Name: "train/loss", Value: 1})
		}
		if err == nil {
			err = live.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if status := Main(t.Context(), []string{"ctdb-host", "show", dir}, Program{Out: &out, Err: &errs}); status != Success || errs.Len() > 0 {
			t.Errorf("exit status %d: %s", status, errs.String())
		}
		for _, want := range c.want {
			if !regexp.MustCompile(strings.ReplaceAll(want, "DIR", regexp.QuoteMeta(dir))).MatchString(out.String()) {
				t.Errorf("%q is not in\n%s", want, out.String())
			}
		}
	}
}

// A folder that lacks nothing is not complained of, and one that never came to have results is not either.
func TestGaps(t *testing.T) {
	dir := t.TempDir()
	prov := artifact.Provenance{Name: "x", Status: "running", Started: time.Now()}
	open := func() *artifact.Run {
		t.Helper()
		run, err := artifact.OpenRun(dir)
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	if err := prov.Write(dir); err != nil {
		t.Fatal(err)
	}
	if got := gaps(open(), prov); len(got) != 1 || got[0].what != "experiment.yaml is missing" {
		t.Errorf("gaps %v", got)
	}
	if err := os.WriteFile(filepath.Join(dir, artifact.ExperimentFile), []byte("version: 1\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := gaps(open(), prov); len(got) != 0 {
		t.Errorf("of a run that was cut short: %v", got)
	}
	prov.Status, prov.Finished = "done", time.Now()
	prov.Stages = []artifact.StageUse{{Stage: "train", Status: "done"}, {Stage: "fit/a", Status: "failed"}}
	var got []string
	for _, g := range gaps(open(), prov) {
		got = append(got, g.what)
	}
	if want := []string{"train is missing, which was done", "results.json is missing", "results.csv is missing"}; !slices.Equal(got, want) {
		t.Errorf("gaps %q, want %q", got, want)
	}
}

// TestGoesOn: what is advised can be run: of a point the study, of a folder without provenance a run into another, and of one without an experiment nothing.
func TestGoesOn(t *testing.T) {
	dir := t.TempDir()
	point := artifact.PointDir(dir, "latent-2")
	if err := os.MkdirAll(point, 0o777); err != nil {
		t.Fatal(err)
	}
	experiment := filepath.Join(dir, artifact.ExperimentFile)
	says := func(of string, prov artifact.Provenance, want string) {
		t.Helper()
		run, err := artifact.OpenRun(of)
		if err != nil {
			t.Fatal(err)
		}
		if got := goesOn(run, prov); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, folder := range []string{dir, point} {
		if err := os.WriteFile(filepath.Join(folder, artifact.ExperimentFile), []byte("version: 1\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	says(dir, artifact.Provenance{}, "ctdb-host run "+experiment+" --out "+dir+"-again")
	study := artifact.Provenance{Study: "s", Status: "done", Command: []string{"ctdb-host", "run", "s.yaml", "--out", "elsewhere", "--set", "seed=3"}}
	if err := study.Write(dir); err != nil {
		t.Fatal(err)
	}
	says(point, artifact.Provenance{Point: map[string]any{"fit.g.params.latent": 2}, Command: []string{"ctdb-host", "run", "s.yaml"}}, "ctdb-host run s.yaml --set seed=3 --out "+dir)
	says(dir, artifact.Provenance{}, "ctdb-host run "+experiment+" --out "+dir)

	at := artifact.Provenance{Point: map[string]any{"fit.g.params.latent": 2}, Command: []string{"ctdb-host", "run", "s.yaml"}, Shard: "1/2"}
	says(point+"/", at, "ctdb-host run s.yaml --set seed=3 --out "+dir)
	says(filepath.Join(dir, "..", filepath.Base(dir), artifact.PointsDir, "latent-2"), at, "ctdb-host run s.yaml --set seed=3 --out "+dir)
	for i, shard := range []string{"1/2", "2/2"} {
		study.Shard, study.Started, study.Command = shard, time.Now().Add(time.Duration(i)*time.Second), []string{"ctdb-host", "run", "s.yaml", "--shard=" + shard, "--out", "elsewhere"}
		if err := study.Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(point)
	says(".", at, "ctdb-host run s.yaml --shard 1/2 --out ../..")
	says(".", artifact.Provenance{}, "ctdb-host run s.yaml --out ../..") // of no shard that is known
	elsewhere := filepath.Join(t.TempDir(), "latent-2")
	if err := os.CopyFS(elsewhere, os.DirFS(point)); err != nil {
		t.Fatal(err)
	}
	says(elsewhere, at, "ctdb-host run "+filepath.Join(elsewhere, artifact.ExperimentFile)+" --out "+elsewhere+"-again")

	// A point whose provenance is gone still lies in its study.
	t.Chdir(filepath.Dir(dir))
	study.Shard, study.Started, study.Command = "", time.Now().Add(time.Hour), []string{"ctdb-host", "run", "s.yaml"}
	if err := study.Write(dir); err != nil {
		t.Fatal(err)
	}
	says(point, artifact.Provenance{}, "ctdb-host run s.yaml --out "+dir)

	if err := os.Remove(experiment); err != nil {
		t.Fatal(err)
	}
	says(dir, artifact.Provenance{}, "")
}
