package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report"
)

// patience is how long the tests wait for what must come: they share the machine with others.
const patience = 90 * time.Second

// markEnv marks every process of a world: the host hands on what begins with CTDB_.
const markEnv = "CTDB_TEST_WORLD"

// program is the executable under test, built once.
type program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

var tested program

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		// A study that runs within a test starts this executable as its plugin.
		os.Exit(run())
	}
	status := m.Run()
	if tested.dir != "" {
		os.RemoveAll(tested.dir)
	}
	os.Exit(status)
}

func (p *program) build() {
	if p.dir, p.err = os.MkdirTemp("", "ctdb-"); p.err != nil {
		return
	}
	if p.err = os.Chmod(p.dir, 0o755); p.err != nil {
		return
	}
	p.path = filepath.Join(p.dir, "ctdb-host")
	if b, err := exec.Command("go", "build", "-o", p.path, ".").CombinedOutput(); err != nil {
		p.err = fmt.Errorf("go build: %w\n%s", err, b)
	}
}

// binary builds the program.
func binary(t *testing.T) string {
	t.Helper()
	tested.once.Do(tested.build)
	if tested.err != nil {
		t.Fatal(tested.err)
	}
	return tested.path
}

// world is a user's home and temporary folders, whose every process and file can be found.
type world struct {
	t    *testing.T
	dir  string
	bin  string
	env  []string
	mark string
}

// newWorld makes a world whose path is short enough for sockets. Whatever runs in it at the test's end is killed.
func newWorld(t *testing.T) *world {
	t.Helper()
	bin := binary(t)
	dir, err := os.MkdirTemp("/tmp", "ctdb-w-")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dir: dir, bin: bin, mark: filepath.Base(dir)}
	t.Cleanup(func() {
		for _, p := range w.processes() {
			p.kill()
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for _, sub := range []string{"home", "tmp", "run"} {
		if err := os.Mkdir(w.path(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, "XDG_") && !strings.HasPrefix(name, "CTDB_") {
			w.env = append(w.env, e)
		}
	}
	w.env = append(w.env, "HOME="+w.path("home"), "TMPDIR="+w.path("tmp"), "XDG_RUNTIME_DIR="+w.path("run"), markEnv+"="+w.mark)
	return w
}

func (w *world) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

// write writes a file of the world and returns its path.
func (w *world) write(name, text string) string {
	w.t.Helper()
	path := w.path(name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// command is the program with arguments, in the world's folder, not yet started. What it prints is in the output.
func (w *world) command(args ...string) (*exec.Cmd, *output) {
	cmd := exec.Command(w.bin, args...)
	return cmd, w.prepare(cmd)
}

// shell is a line of shell in which the program is ctdb-host.
func (w *world) shell(line string) (*exec.Cmd, *output) {
	cmd := exec.Command("/bin/bash", "-c", line)
	out := w.prepare(cmd)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(w.bin)+":"+os.Getenv("PATH"))
	return cmd, out
}

func (w *world) prepare(cmd *exec.Cmd) *output {
	out := &output{}
	cmd.Dir, cmd.Env = w.dir, slices.Clone(w.env)
	cmd.Stdout, cmd.Stderr = &out.stdout, &out.stderr
	// Something that was left behind and holds the output open must not hold up the test.
	cmd.WaitDelay = 10 * time.Second
	return out
}

// output is what a program printed; it may be read while it runs.
type output struct{ stdout, stderr buffer }

func (o *output) String() string { return o.stdout.String() + o.stderr.String() }

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// run runs the program and returns its exit status and what it printed.
func (w *world) run(args ...string) (int, *output) {
	w.t.Helper()
	cmd, out := w.command(args...)
	return w.finish(cmd, out), out
}

// must runs the program, which must succeed.
func (w *world) must(args ...string) *output {
	w.t.Helper()
	status, out := w.run(args...)
	if status != 0 {
		w.t.Fatalf("ctdb-host %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// finish is end for a command that may not panic, nor print what only a programmer understands.
func (w *world) finish(cmd *exec.Cmd, out *output) int {
	w.t.Helper()
	status := w.end(cmd, out)
	for _, sign := range []string{"panic:", "goroutine ", "SIGSEGV", "HDF5-DIAG", "runtime error", "%!"} {
		if text := out.String(); strings.Contains(text, sign) {
			w.t.Errorf("%q in the output:\n%s", sign, text)
		}
	}
	return status
}

// end runs a command, or waits for it where it was started, and returns its exit status: -1 where a signal ended it.
func (w *world) end(cmd *exec.Cmd, out *output) int {
	w.t.Helper()
	if cmd.Process == nil {
		if err := cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
	}
	hung := time.AfterFunc(patience, func() {
		w.t.Errorf("%s: does not end within %v and is killed", strings.Join(cmd.Args, " "), patience)
		_ = cmd.Process.Kill()
	})
	defer hung.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return cmd.ProcessState.ExitCode()
}

// eventually waits until a condition holds, and fails the test with what where it does not.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !within(patience, holds) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// within polls a condition until it holds or the time is over.
func within(d time.Duration, holds func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if holds() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// process is a process of a world.
type process struct {
	pid  int
	args []string
}

// plugin reports whether it is a plugin.
func (p process) plugin() bool { return slices.Contains(p.args, "serve-builtin") }

func (p process) kill() {
	if victim, err := os.FindProcess(p.pid); err == nil {
		_ = victim.Kill()
	}
}

func (p process) String() string { return strconv.Itoa(p.pid) + " " + strings.Join(p.args, " ") }

// processes lists those that live in the world.
func (w *world) processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		w.t.Error(err)
	}
	var found []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), markEnv+"="+w.mark) {
			continue
		}
		// A zombie has ended: that it is not reaped yet is its parent's affair.
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(args) == 0 {
			continue
		}
		found = append(found, process{pid, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	return found
}

// plugins lists the plugins that live in the world.
func (w *world) plugins() []process {
	return slices.DeleteFunc(w.processes(), func(p process) bool { return !p.plugin() })
}

// quiet checks that no process and no temporary file is left, soon after the last host's end. It returns how long that took.
func (w *world) quiet() time.Duration {
	w.t.Helper()
	began := time.Now()
	if !within(10*time.Second, func() bool { return len(w.processes()) == 0 }) {
		w.t.Errorf("processes are left: %v", w.processes())
	}
	took := time.Since(began)
	var left []string
	if !within(10*time.Second, func() bool { left = append(w.files("tmp"), w.files("run")...); return len(left) == 0 }) {
		w.t.Errorf("temporary files are left: %q", left)
	}
	return took
}

// files lists the files and folders under a folder of the world, relative to it.
func (w *world) files(dir string) []string {
	w.t.Helper()
	var out []string
	root := w.path(dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was removed meanwhile
		}
		if err != nil || path == root {
			return err
		}
		rel, err := filepath.Rel(root, path)
		out = append(out, rel)
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
	return out
}

// tidy checks that a store holds entries and locks, nothing in the making, nothing damaged, and that every byte of it is right. A host that is killed between writing a
// file and renaming it leaves it under its temporary name, and hosts that come later cannot tell that it is dead but by its age: an hour passes here first.
func (w *world) tidy(store string) {
	w.t.Helper()
	long, dead := time.Now().Add(-2*time.Hour), false
	for _, name := range w.files(store) {
		if strings.HasPrefix(filepath.Base(name), ".") {
			dead = true
			if err := os.Chtimes(w.path(store, name), long, long); err != nil {
				w.t.Error(err)
			}
		}
	}
	if dead {
		if status, out := w.run("store", "gc", "--store", w.path(store), "--older", "1000d"); status != 0 {
			w.t.Errorf("store gc: exit status %d\n%s", status, out)
		}
	}
	if status, out := w.run("store", "verify", "--store", w.path(store)); status != 0 {
		w.t.Errorf("store verify: exit status %d\n%s", status, out)
	}
	for _, name := range w.files(store) {
		parts := strings.Split(name, string(filepath.Separator))
		switch top := parts[0]; {
		case len(parts) > 1 && (top == "work" || top == "damaged"):
			w.t.Errorf("store: %s is left", name)
		case strings.HasPrefix(parts[len(parts)-1], "."):
			w.t.Errorf("store: %s is left", name)
		}
	}
}

// unequal are the files of a run's folder that may differ between two runs of the same: what they say of times and of the machine's state.
func unequal(name string) bool {
	base := filepath.Base(name)
	return strings.HasPrefix(base, "provenance") || strings.HasPrefix(base, "log") || base == ".lock"
}

// sameRun compares every byte of two run folders. The page tells times and threads, which are the provenance's: so it is drawn again from the same
// provenance, for which it must have the same bytes too.
func (w *world) sameRun(want, got string) {
	w.t.Helper()
	keep := func(dir string) []string {
		return slices.DeleteFunc(w.files(dir), func(name string) bool { return unequal(name) })
	}
	if a, b := keep(want), keep(got); !slices.Equal(a, b) {
		w.t.Errorf("%s holds %q\n%s holds %q", want, a, got, b)
	}
	for _, name := range keep(want) {
		a, errA := os.ReadFile(w.path(want, name))
		b, errB := os.ReadFile(w.path(got, name))
		switch info, err := os.Stat(w.path(want, name)); {
		case err == nil && info.IsDir():
		case errA != nil || errB != nil:
			w.t.Error(errors.Join(errA, errB))
		case !bytes.Equal(a, b) && filepath.Base(name) == artifact.ReportFile:
			if a, b := w.page(want, filepath.Dir(name), want), w.page(got, filepath.Dir(name), want); !bytes.Equal(a, b) {
				w.t.Errorf("%s of %s differs from that of %s, from the same provenance", name, got, want)
			}
		case !bytes.Equal(a, b):
			w.t.Errorf("%s of %s differs from that of %s", name, got, want)
		}
	}
}

// page is the report on a copy of a run's folder which has the provenance of another.
func (w *world) page(run, sub, provenance string) []byte {
	w.t.Helper()
	// The copy has always the same path, in case the page tells it.
	dir := w.path("copy")
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS(w.path(run))); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range w.files(provenance) {
		if !unequal(name) || filepath.Base(name) == ".lock" {
			continue
		}
		b, err := os.ReadFile(w.path(provenance, name))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := artifact.OpenRun(filepath.Join(dir, sub))
	if err == nil {
		err = report.Write(context.Background(), r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, sub, artifact.ReportFile))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}
