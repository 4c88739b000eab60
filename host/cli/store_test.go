package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/store"
)

// ran is what a command printed, and how it ended.
type ran struct {
	out, err string
	status   int
}

func runLine(t *testing.T, args ...string) ran {
	t.Helper()
	var out, err bytes.Buffer
	status := Main(t.Context(), append([]string{"ctdb-host"}, args...), Program{Out: &out, Err: &err, Builtin: []string{"plugin", "serve-builtin"}})
	return ran{out.String(), err.String(), status}
}

// keep puts a result into a store and returns its entry.
func keep(t *testing.T, dir, stage, component, name string, size int) store.Entry {
	t.Helper()
	st, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	key := artifact.HashBytes([]byte(name))
	w, found, err := st.Begin(t.Context(), key)
	if err != nil || found != nil {
		t.Fatalf("found %v, error %v", found, err)
	}
	defer w.Abort()
	rec := artifact.Record{Stage: stage, Component: component, ComponentVersion: "1.0.0", Key: key}
	if err := rec.Write(w.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.Dir(), "data"), bytes.Repeat([]byte("x"), size), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// aStore has a training that a study's point and a run hold, and two fits that nobody does, one of them not used for 100 days.
func aStore(t *testing.T) (dir string, train, young, old store.Entry) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	train = keep(t, dir, "train", "model/noisy-gru", "train", 5000)
	young = keep(t, dir, "fit", "model/sae-gru", "young", 3000)
	old = keep(t, dir, "fit", "model/lfads", "old", 2_000_000)
	st, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(filepath.Dir(dir), "runs")
	for _, into := range []string{"single/train", "study/points/seed-0/train", "study/points/seed-1/train"} {
		if err := st.Link(train, filepath.Join(runs, into)); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-100 * 24 * time.Hour)
	for _, path := range []string{filepath.Join(dir, "uses", old.Key), old.Path(artifact.SumsFile)} {
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir, train, young, old
}

func TestStoreLs(t *testing.T) {
	dir, train, young, old := aStore(t)
	runs := filepath.Join(filepath.Dir(dir), "runs")
	in := func(e ...store.Entry) []string {
		var keys []string
		for _, x := range e {
			keys = append(keys, x.Key)
		}
		return keys
	}
	for _, c := range []struct {
		args string
		want []string
	}{
		{"--sort used", nil}, // the order of two that were used in the same moment is by key
		{"--sort size", in(old, train, young)},
		{"--sort frees", in(old, young, train)},
		{"--sort component", in(old, train, young)},
		{"--component sae-gru", in(young)},
		{"--component model/*gru --sort size", in(train, young)},
		{"--component nothing", in()},
		{"--stage fit --sort size", in(old, young)},
		{"--older 30d", in(old)},
		{"--older 101d", in()},
		{"--unreferenced --sort size", in(old, young)},
	} {
		r := runLine(t, append([]string{"store", "ls", "--store", dir, "--json"}, strings.Fields(c.args)...)...)
		var got struct {
			Store   string
			Entries []struct {
				Key, Stage, Component string
				Bytes                 int64
				Frees                 int64 `json:"frees_bytes"`
				Linked                bool
				Folders               []string
			}
		}
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.status != Success {
			t.Fatalf("%s: status %d: %v\n%s%s", c.args, r.status, err, r.out, r.err)
		}
		if c.want == nil && c.args == "--sort used" {
			if len(got.Entries) != 3 || got.Entries[2].Key != old.Key || got.Store != dir {
				t.Errorf("%s: %+v", c.args, got)
			}
			continue
		}
		if len(got.Entries) != len(c.want) {
			t.Errorf("%s: %+v, want %v", c.args, got.Entries, c.want)
			continue
		}
		for i, e := range got.Entries {
			if e.Key != c.want[i] {
				t.Errorf("%s: entry %d is %+v, want %s", c.args, i, e, c.want[i])
			}
			if e.Key == train.Key && (!e.Linked || e.Frees != 0 || e.Bytes < 5000 || len(e.Folders) != 3) {
				t.Errorf("the training: %+v", e)
			}
		}
	}
	text := runLine(t, "store", "ls", "--store", dir).out
	for _, want := range []string{shortKey(train.Key) + "  train", "model/lfads", "1.9 MiB", "3 months ago", filepath.Join(runs, "single") + " and 1 more", "3 entries in " + dir} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if long := runLine(t, "store", "ls", "--store", dir, "--long").out; !strings.Contains(long, young.Key) || !strings.Contains(long, filepath.Join(runs, "single")+", "+filepath.Join(runs, "study")) {
		t.Errorf("the long form:\n%s", long)
	}
	absent := filepath.Join(dir, "..", "absent")
	if r := runLine(t, "store", "ls", "--store", absent); r.status != Success || !strings.HasPrefix(r.out, "0 entries") {
		t.Errorf("a store that is not there: %+v", r)
	}
	if _, err := os.Stat(absent); err == nil {
		t.Error("looking at a store made it")
	}
}

func TestStoreGC(t *testing.T) {
	for _, c := range []struct {
		args       string
		left       int
		says, none string
	}{
		{"--older 30d", 2, "removed 1 entry of 3", "kept"},
		{"--older 30d --component sae-gru", 3, "removed 0 entries of 3", ""},
		{"--unreferenced", 1, "removed 2 entries of 3", "linked"},
		{"--max-size 1MB", 2, "removed 1 entry of 3", "still"},
		{"--max-size 1KB --stage train", 3, "what only the store holds is still 1.9 MiB, above 1000 B", ""},
		{"--stage train", 2, "stay on the disk as long as runs link to them", ""},
		{"--checkpoints 0d", 3, "removed 0 entries", ""},
	} {
		dir, train, _, _ := aStore(t)
		args := append([]string{"store", "gc", "--store", dir}, strings.Fields(c.args)...)
		dry := runLine(t, append(args, "--dry-run")...)
		if want := strings.Replace(c.says, "removed", "would remove", 1); dry.status != Success || !strings.Contains(dry.out, want) {
			t.Errorf("%s, dry: no %q in\n%+v", c.args, want, dry)
		}
		if left := keysIn(t, dir); len(left) != 3 {
			t.Errorf("%s, dry: %d entries are left", c.args, len(left))
		}
		r := runLine(t, args...)
		if r.status != Success || !strings.Contains(r.out, c.says) || c.none != "" && strings.Contains(r.out, c.none) {
			t.Errorf("%s: %+v, want %q", c.args, r, c.says)
		}
		if left := keysIn(t, dir); len(left) != c.left {
			t.Errorf("%s: %d entries are left, want %d", c.args, len(left), c.left)
		}
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "runs", "single", "train", "data")); err != nil || len(b) != 5000 {
			t.Errorf("%s: the run of %s has %d bytes (%v)", c.args, train.Key, len(b), err)
		}
	}
	dir, _, _, old := aStore(t)
	r := runLine(t, "store", "gc", "--store", dir, "--older", "30d", "--json")
	var got struct {
		Removed []struct {
			What, Key string
			Freed     int64 `json:"freed_bytes"`
		}
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got.Removed) != 1 || got.Removed[0].Key != old.Key || got.Removed[0].Freed < 2_000_000 {
		t.Errorf("as JSON: %+v (%v)", r, err)
	}
}

func keysIn(t *testing.T, dir string) []string {
	t.Helper()
	st, err := store.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := st.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestStoreVerify(t *testing.T) {
	dir, train, young, _ := aStore(t)
	if r := runLine(t, "store", "verify", "--store", dir); r.status != Success || !strings.Contains(r.out, "3 entries in "+dir+": all as they were stored") {
		t.Errorf("a sound store: %+v", r)
	}
	// A file in a run's folder is the store's: writing over it damages both.
	path := filepath.Join(filepath.Dir(dir), "runs", "single", "train", "data")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("by hand"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := runLine(t, "store", "verify", "--store", dir)
	if r.status != Failure || !strings.Contains(r.out, shortKey(train.Key)+"  damaged: ") || !strings.Contains(r.out, "changed: data") || strings.Contains(r.out, shortKey(young.Key)) || !strings.Contains(r.err, "1 of 3 entries") || !strings.Contains(r.err, "--repair") {
		t.Errorf("a damaged store: %+v", r)
	}
	if r := runLine(t, "store", "verify", "--store", dir, young.Key[:6]); r.status != Success || !strings.Contains(r.out, "1 entry") {
		t.Errorf("the sound one: %+v", r)
	}
	r = runLine(t, "store", "verify", "--store", dir, "--json", train.Key[:6])
	var got struct{ Entries []verified }
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.status != Failure || len(got.Entries) != 1 || got.Entries[0].Status != "damaged" || len(got.Entries[0].Changed) != 1 {
		t.Errorf("as JSON: %+v (%v)", r, err)
	}
	r = runLine(t, "store", "verify", "--store", dir, "--repair")
	if r.status != Failure || !strings.Contains(r.out, "moved to "+filepath.Join(dir, "damaged", train.Key+"-1")) {
		t.Errorf("repaired: %+v", r)
	}
	if r := runLine(t, "store", "verify", "--store", dir); r.status != Success || !strings.Contains(r.out, "2 entries") {
		t.Errorf("after that: %+v", r)
	}
	if r := runLine(t, "store", "ls", "--store", dir); !strings.Contains(r.out, "was damaged and moved") {
		t.Errorf("the list does not tell: %+v", r)
	}
}

func TestStoreWrongLines(t *testing.T) {
	dir, _, _, _ := aStore(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, says string }{
		{"store gc", "At least one of --older, --max-size, --unreferenced"},
		{"store gc --dry-run", "At least one of"},
		{"store gc --older soon", `--older "soon": a duration is needed, such as 30d`},
		{"store gc --older -3d", "a duration is needed"},
		{"store gc --max-size 0", "a size above 0 with its unit is needed"},
		{"store gc --max-size big", `--max-size "big"`},
		{"store gc --checkpoints x", `--checkpoints "x"`},
		{"store gc --stage fits --older 1d", "did you mean"},
		{"store gc abc --older 1d", `no arguments are needed, got "abc"`},
		{"store ls --sort siez", "did you mean"},
		{"store ls --component [", "--component"},
		{"store ls --older=1x", "a duration is needed"},
		{"store ls more", "no arguments are needed"},
		{"store verify zzzz", `begins with "zzzz"`},
		{"store verify ../../etc", "begins with"},
		{"store lss", "did you mean"},
		{"store ls --store " + file, "it is a file"},
		{"store gc --older 1d --store " + file, "it is a file"},
		{"store verify --repair --store " + file, "it is a file"},
	} {
		args := strings.Fields(c.args)
		if !strings.Contains(c.args, "--store") {
			args = append(args, "--store", dir)
		}
		if r := runLine(t, args...); r.status != Usage || !strings.Contains(r.err, c.says) || r.out != "" {
			t.Errorf("%s: %+v, want %q", c.args, r, c.says)
		}
	}
	if left := keysIn(t, dir); len(left) != 3 {
		t.Errorf("%d entries are left", len(left))
	}
}

func TestParseAge(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{"30d", 30 * day, true}, {"2w", 14 * day, true}, {"1w2d3h", 9*day + 3*time.Hour, true}, {"1.5d", 36 * time.Hour, true}, {"90m", 90 * time.Minute, true}, {"0s", 0, true}, {"0", 0, true},
		{"", 0, false}, {"d", 0, false}, {"-1d", 0, false}, {"-3h", 0, false}, {"3", 0, false}, {"1d2w", 0, false}, {"NaNd", 0, false}, {"1e9d", 0, false}, {"30 days", 0, false},
	} {
		if got, err := parseAge(c.text); got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}
