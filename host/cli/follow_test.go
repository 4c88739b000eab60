package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// fakeRun is the folder of a run that this test plays the host of.
type fakeRun struct {
	t      *testing.T
	dir    string
	prov   artifact.Provenance
	unlock func() error
}

func newFakeRun(t *testing.T, dir string) *fakeRun {
	t.Helper()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	unlock, err := artifact.LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeRun{t: t, dir: dir, unlock: unlock, prov: artifact.Provenance{Name: "study", Status: "running", Started: time.Now().Add(-time.Minute).UTC()}}
	f.write()
	return f
}

func (f *fakeRun) write() {
	f.t.Helper()
	if err := f.prov.Write(f.dir); err != nil {
		f.t.Fatal(err)
	}
}

// log appends records; the time is left to the first.
func (f *fakeRun) log(records ...string) {
	f.t.Helper()
	file, err := os.OpenFile(filepath.Join(f.dir, artifact.LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range records {
		if _, err := file.WriteString(`{"time":"2026-01-01T00:00:00Z",` + r + "}\n"); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		f.t.Fatal(err)
	}
}

// end ends the run: with a status, or, where it is empty, as one ends whose host is killed.
func (f *fakeRun) end(status string) {
	f.t.Helper()
	if status != "" {
		f.prov.Status, f.prov.Finished = status, time.Now().UTC()
		f.write()
	}
	if err := f.unlock(); err != nil {
		f.t.Fatal(err)
	}
}

const (
	begun    = `"level":"INFO","msg":"run","status":"running","name":"study","points":1,"stages":3`
	training = `"level":"INFO","msg":"stage","stage":"train","status":"running"`
	trained  = `"level":"INFO","msg":"stage","stage":"train","status":"done","seconds":62`
	fitting  = `"level":"INFO","msg":"stage","stage":"fit/a","status":"running"`
	fitted   = `"level":"INFO","msg":"stage","stage":"fit/a","status":"failed","seconds":1.5,"error":"launch: plugin died\n  its last lines"`
	warned   = `"level":"WARN","msg":"clipped","stage":"fit/a","plugin":"builtin","component":"model/sae-gru","norm":3`
)

func progress(stage string, done string) string {
	return `"level":"INFO","msg":"progress","stage":"` + stage + `","phase":"epoch","done":` + done + `,"total":10,"loss":0.5`
}

// What was written before, what is written while one looks, and the end.
func TestFollowRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	host := newFakeRun(t, dir)
	// An earlier run into this folder is not told.
	host.log(begun, training, progress("train", "9"), `"level":"INFO","msg":"stage","stage":"train","status":"interrupted","seconds":5,"error":"context canceled"`)
	host.log(begun, training, progress("train", "3"), progress("train", "10"), trained, fitting, progress("fit/a", "1"), progress("fit/a", "2"))
	run, err := artifact.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := newTestWatch(&out)
	ticks := make(chan time.Time)
	type ended struct {
		status string
		err    error
	}
	result := make(chan ended, 1)
	go func() {
		status, err := followRun(t.Context(), run, w, ticks)
		result <- ended{status, err}
	}()
	tick := func(n int) {
		for range n {
			select {
			case ticks <- time.Time{}:
			case e := <-result:
				t.Fatalf("it ended with %+v", e)
			}
		}
	}
	tick(2)
	host.log(warned)
	tick(2)
	host.log(progress("fit/a", "10"), fitted)
	host.end("failed")
	for sent := 0; ; sent++ {
		if sent > 2*statusEvery {
			t.Fatal("it goes on after the run has ended")
		}
		select {
		case ticks <- time.Time{}:
			continue
		case e := <-result:
			if e.err != nil || e.status != runFailed {
				t.Errorf("ended with %+v", e)
			}
		}
		break
	}
	want := strings.Join([]string{
		"train                running",
		"train                done in 1m02s",
		"fit/a                running",
		"fit/a                epoch 2/10  loss 0.5",
		`fit/a                warning model/sae-gru: clipped  norm=3`,
		"fit/a                failed after 1.5s: launch: plugin died",
		"",
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// The exit status is the run's, whatever became of it; without a name the newest that goes on is meant.
func TestFollowedStatus(t *testing.T) {
	for _, c := range []struct {
		end        string
		want       int
		says, also string
	}{
		{"done", Success, "train                done in 1m02s", ""},
		{"failed", Failure, "ctdb-host: fit/a: launch: plugin died", "its last lines"},
		{"interrupted", Interrupted, "was interrupted", "--out"},
		{"", Killed, "was killed", "--out"},
	} {
		root := t.TempDir()
		older := newFakeRun(t, filepath.Join(root, "older"))
		older.end("done")
		host := newFakeRun(t, filepath.Join(root, "newer"))
		host.log(begun, training, trained)
		if c.end == "failed" {
			host.prov.Stages = []artifact.StageUse{{Stage: "train", Status: "done"}, {Stage: "fit/a", Status: "failed", Error: "launch: plugin died\n  its last lines"}}
		}
		if err := (artifact.Results{}).Write(host.dir); err != nil {
			t.Fatal(err)
		}
		host.end(c.end)
		var out, errs bytes.Buffer
		got := Main(t.Context(), []string{"ctdb-host", "show", "--follow", "--root", root}, Program{Out: &out, Err: &errs})
		if got != c.want {
			t.Errorf("%q: exit status %d, want %d\n%s%s", c.end, got, c.want, out.String(), errs.String())
		}
		for _, text := range []string{c.says, c.also, "train                done in 1m02s", "newer"} {
			if !strings.Contains(errs.String(), text) {
				t.Errorf("%q: %q is missing in\n%s", c.end, text, errs.String())
			}
		}
	}
}

// Ctrl-C ends the following, not the run.
func TestFollowInterrupted(t *testing.T) {
	host := newFakeRun(t, filepath.Join(t.TempDir(), "run"))
	defer host.end("done")
	run, err := artifact.OpenRun(host.dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	ticks := make(chan time.Time)
	result := make(chan error, 1)
	go func() {
		_, err := followRun(ctx, run, newTestWatch(&out), ticks)
		result <- err
	}()
	ticks <- time.Time{}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || exitStatus(ctx, err) != Interrupted {
		t.Errorf("error is %v", err)
	}
	if run.Status() != runRunning {
		t.Errorf("the run is %s", run.Status())
	}
}
