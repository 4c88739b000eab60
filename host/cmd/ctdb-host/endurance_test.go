package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/host/cli"
	"github.com/ctdb-host/ctdb/host/launch"
)

// held is what a process holds on to.
type held struct {
	files, goroutines, children int
	temporary                   []string
	resident                    int64 // bytes
}

// holds measures this process, with its garbage returned. temporary are the folders that must be empty.
func holds(t *testing.T, temporary ...string) held {
	t.Helper()
	debug.FreeOSMemory()
	var h held
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h.files, h.goroutines = len(fds), runtime.NumGoroutine()
	for _, dir := range temporary {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			h.temporary = append(h.temporary, filepath.Join(dir, e.Name()))
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		h.children += len(strings.Fields(string(b)))
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	h.resident = pages * int64(os.Getpagesize())
	return h
}

// inProcess runs the command line within this process, as main does; the plugins are this test's executable.
func inProcess(t *testing.T, args ...string) (int, string) {
	t.Helper()
	janitor := launch.NewJanitor("plugin", "janitor")
	var out, said bytes.Buffer
	status := cli.Main(launch.WithJanitor(t.Context(), janitor), append([]string{"ctdb-host"}, args...), cli.Program{
		Out: &out, Err: &said, Builtin: []string{"plugin", "serve-builtin"}, CheckFile: []string{"plugin", "check-file"},
		ServeBuiltin: func() { t.Error("the host serves") },
	})
	if err := janitor.Close(); err != nil {
		t.Error(err)
	}
	return status, out.String() + said.String()
}

// TestManyStudiesInOneProcess runs small studies one after the other, each of five plugin processes and one that is started and fails among them: at the end the
// process holds what it held after the first ones.
func TestManyStudiesInOneProcess(t *testing.T) {
	dir := t.TempDir()
	for name, sub := range map[string]string{"HOME": "home", "TMPDIR": "tmp", "XDG_RUNTIME_DIR": "run"} {
		path := filepath.Join(dir, sub)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, path)
	}
	t.Chdir(dir)
	if err := os.WriteFile("tiny.yaml", []byte(tinyStudy), 0o600); err != nil {
		t.Fatal(err)
	}
	study := func(i int) {
		args := []string{"run", "tiny.yaml", "--store", "store", "--out", "out", "--quiet", "--set", fmt.Sprintf("seed=%d", i)}
		want := cli.Success
		if i%10 == 9 {
			// A training that diverges.
			args, want = append(args, "--set", "train.params.lr=1e30", "--set", "train.params.clip=0"), cli.Failure
		}
		if status, out := inProcess(t, args...); status != want {
			t.Fatalf("study %d: exit status %d, want %d\n%s", i, status, want, out)
		}
		for _, gone := range []string{"out", "store"} {
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
		}
	}
	const warm = 3
	for i := range warm {
		study(i)
	}
	ignore := goleak.IgnoreCurrent()
	before := holds(t, "tmp", "run")
	n := inShort(6, 200)
	began := time.Now()
	for i := range n {
		study(warm + i)
	}
	took := time.Since(began)
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	after := holds(t, "tmp", "run")
	t.Logf("%d studies in %v: %d files, %d goroutines, %d children, %d MiB; before %d, %d, %d, %d MiB", n, took.Round(time.Millisecond), after.files, after.goroutines,
		after.children, after.resident>>20, before.files, before.goroutines, before.children, before.resident>>20)
	if after.files > before.files || after.goroutines > before.goroutines || after.children > before.children {
		t.Errorf("held are %d files, %d goroutines and %d children, before %d, %d and %d", after.files, after.goroutines, after.children, before.files, before.goroutines, before.children)
	}
	if len(after.temporary) > 0 {
		t.Errorf("left are %v", after.temporary)
	}
	// A study takes some hundred kilobytes while it runs: what stayed of each would show.
	if grown := after.resident - before.resident; grown > 16<<20+int64(n)*32<<10 {
		t.Errorf("the process has grown by %d MiB", grown>>20)
	}
}
