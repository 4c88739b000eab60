package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

func spec(t *testing.T, how string) (Spec, *records) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &records{lines: make(chan string, 10000)}
	return Spec{Path: path, Args: []string{hidden, how}, Name: "sample", Log: slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))}, r
}

// records are the lines of a log.
type records struct{ lines chan string }

func (r *records) Write(p []byte) (int, error) {
	select {
	case r.lines <- string(bytes.TrimSpace(p)):
	default:
	}
	return len(p), nil
}

// await returns the first line that contains a text.
func (r *records) await(t *testing.T, text string) string {
	t.Helper()
	limit := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case line := <-r.lines:
			if seen = append(seen, line); strings.Contains(line, text) {
				return line
			}
		case <-limit:
			t.Fatalf("no line with %q in\n%s", text, strings.Join(seen, "\n"))
		}
	}
}

func start(t *testing.T, s Spec) *Process {
	t.Helper()
	p, err := Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill() })
	return p
}

// alive reports whether there is a process of that number.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartUseStop(t *testing.T) {
	s, log := spec(t, "good")
	sum, err := registry.Checksum(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	s.SHA256 = sum
	p := start(t, s)
	folder := p.folder.path
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("private folder: %v, %v", info, err)
	}
	m, err := p.Client.Describe(t.Context())
	if err != nil || m.Name != "sample" || len(m.Components) != 1 {
		t.Fatalf("manifest %+v, error %v", m, err)
	}
	instance, err := p.Client.OpenTask(t.Context(), m.Components[0].Name, param.Values{"how": "work"}, component.Env{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if line := log.await(t, "opened"); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "plugin=sample") || !strings.Contains(line, "how=work") {
		t.Errorf("logged %q", line)
	}
	if err := instance.Close(t.Context()); err != nil {
		t.Error(err)
	}
	pid := p.PID()
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stopped again: %v", err)
	}
	if p.Err() != nil || alive(pid) {
		t.Errorf("error %v, alive %v", p.Err(), alive(pid))
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder is left: %v", err)
	}
}

// go-plugin's own reader panics at {"@level":1}, and takes the first line of standard output for the handshake.
func TestNoiseIsLoggedAndPassedOver(t *testing.T) {
	s, log := spec(t, "noisy")
	p := start(t, s)
	if _, err := p.Client.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(log.lines)
	var all []string
	for line := range log.lines {
		all = append(all, line)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"loading libraries", "1|no handshake", `{\"@level\":1}`, "msg=odd", "bytes_dropped=234465"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%.3000s", want, text)
		}
	}
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name   string
		change func(*Spec)
		want   []string
	}{
		{"dies", func(s *Spec) { s.Args[1] = "dies" }, []string{"ended with exit status 3 before it was ready", "libfoo.so.3"}},
		{"mute", func(s *Spec) { s.Args[1], s.StartTimeout = "mute", 300*time.Millisecond }, []string{"did not answer within 300ms"}},
		{"closes", func(s *Spec) { s.Args[1] = "closes" }, []string{"without go-plugin's handshake"}},
		{"other protocol", func(s *Spec) { s.Args[1] = "other-protocol" }, []string{"speaks version 99 of the plugin protocol, this host speaks version 1", "build it again"}},
		{"not there", func(s *Spec) { s.Path = filepath.Join(dir, "none") }, []string{"it does not exist"}},
		{"no interpreter", func(s *Spec) { s.Path = script("s", "#!/no/such/python\n", 0o700) }, []string{"the interpreter that its first line names"}},
		{"not executable", func(s *Spec) { s.Path = script("t", "#!/bin/sh\n", 0o600) }, []string{"it may not be run"}},
		{"no program", func(s *Spec) { s.Path = script("u", "\x00\x01\x02", 0o700) }, []string{"no program for this machine"}},
		{"no plugin", func(s *Spec) { s.Path, s.Args = script("v", "#!/bin/sh\necho hello\n", 0o700), nil }, []string{"exit status 0 before it was ready", "hello"}},
		{"killed", func(s *Spec) { s.Path, s.Args = script("w", "#!/bin/sh\nkill -9 $$\n", 0o700), nil }, []string{"ended with signal: killed before it was ready"}},
		{"no module", func(s *Spec) {
			s.Path = script("x", "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'jax.numpy'\" >&2\nexit 1\n", 0o700)
		}, []string{"the Python module jax is missing", "the package that has it, which may have another name"}},
		{"SDK", func(s *Spec) {
			s.Path = script("sdk", "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'grpc'\" >&2\nexit 1\n", 0o700)
		}, []string{"the Python module grpc is missing", "python3 -m pip install grpcio"}},
		{"no library", func(s *Spec) {
			s.Path = script("y", "#!/bin/sh\necho 'x: error while loading shared libraries: libcublas.so.12: cannot open shared object file: No such file or directory' >&2\nexit 127\n", 0o700)
		}, []string{"the shared library libcublas.so.12 is missing", "LD_LIBRARY_PATH"}},
		{"no interpreter on the path", func(s *Spec) { s.Path = script("z", "#!/usr/bin/env python9\n", 0o700) }, []string{"its first line names python9, which is not on the PATH"}},
		{"files that were changed", func(s *Spec) { s.Check = func() error { return errors.New("lib/a.py: its checksum differs") } }, []string{"cannot be started: lib/a.py: its checksum differs"}},
		{"checksum", func(s *Spec) { s.SHA256 = strings.Repeat("0", 64) }, []string{"it was replaced", strings.Repeat("0", 64)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := spec(t, "good")
			c.change(&s)
			p, err := Start(t.Context(), s)
			var failed *StartError
			if !errors.As(err, &failed) || p != nil {
				t.Fatalf("error is %v, want a *StartError", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q is not in %q", w, err)
				}
			}
		})
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("ctdb-%d-*", os.Getpid()))); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPythonOf(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]string{
		"#!/usr/bin/env python3\n": "python3", "#!/opt/venv/bin/python -E\n": "/opt/venv/bin/python", "#!/usr/bin/env -S python3.12 -E\n": "python3.12", "#!/bin/sh\npython": "", "\x7fELF python": "", "": "",
	} {
		path := filepath.Join(dir, "x")
		if err := os.WriteFile(path, []byte(line), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := pythonOf(path); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestStartIsCancelled(t *testing.T) {
	s, _ := spec(t, "mute")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Start(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := Start(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("started with an ended context: %v", err)
	}
}

func TestDeathIsTold(t *testing.T) {
	name := component.Name{Kind: component.Task, Short: "silent"}
	t.Run("panic", func(t *testing.T) {
		s, _ := spec(t, "good")
		p := start(t, s)
		_, err := p.Client.OpenTask(t.Context(), name, param.Values{"how": "panic"}, component.Env{Threads: 1})
		err = p.Wrap(err)
		var died *ExitError
		if !errors.As(err, &died) || !errors.Is(err, component.ErrUnavailable) {
			t.Fatalf("error is %v", err)
		}
		if died.State != "exit status 2" || !strings.Contains(err.Error(), "panic: out of cheese") || !strings.Contains(err.Error(), "plugin sample") {
			t.Errorf("error is %v", err)
		}
		if err := p.Stop(t.Context()); !errors.As(err, &died) {
			t.Errorf("stop says %v", err)
		}
	})
	t.Run("killed in a call", func(t *testing.T) {
		s, log := spec(t, "good")
		p := start(t, s)
		go func() {
			log.await(t, "opened")
			_ = syscall.Kill(p.PID(), syscall.SIGKILL)
		}()
		_, err := p.Client.OpenTask(t.Context(), name, param.Values{"how": "wait"}, component.Env{Threads: 1})
		err = p.Wrap(err)
		var died *ExitError
		if !errors.As(err, &died) || died.State != "signal: killed" || !slices.ContainsFunc(died.Lines, func(l string) bool { return strings.Contains(l, "opened") }) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("not dead", func(t *testing.T) {
		s, _ := spec(t, "good")
		p := start(t, s)
		_, err := p.Client.OpenTask(t.Context(), component.Name{Kind: component.Task, Short: "none"}, nil, component.Env{Threads: 1})
		if got := p.Wrap(err); got != err || err == nil || p.Wrap(nil) != nil {
			t.Errorf("error is %v, wrapped %v", err, got)
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	for _, c := range []struct {
		name, how string
		before    func(*Process)
		limit     time.Duration
	}{
		// Half a second is the caller's deadline; the rest is for a busy machine.
		{"stopped by a signal", "good", func(p *Process) { _ = syscall.Kill(p.PID(), syscall.SIGSTOP) }, 500 * time.Millisecond},
		{"does not exit", "stubborn", func(*Process) {}, 500 * time.Millisecond},
		{"killed at once", "good", func(*Process) {}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := spec(t, c.how)
			p := start(t, s)
			c.before(p)
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			begin := time.Now()
			if err := p.Stop(ctx); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d > c.limit+5*time.Second {
				t.Errorf("took %v", d)
			}
			if alive(p.PID()) {
				t.Error("is alive")
			}
		})
	}
}

func TestRunningCallEndsWhenStopped(t *testing.T) {
	s, log := spec(t, "good")
	p := start(t, s)
	result := make(chan error, 1)
	go func() {
		_, err := p.Client.OpenTask(context.Background(), component.Name{Kind: component.Task, Short: "silent"}, param.Values{"how": "wait"}, component.Env{Threads: 1})
		result <- err
	}()
	log.await(t, "opened")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := <-result; err == nil {
		t.Error("the call succeeded")
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("CTDB_SOMETHING", "1")
	t.Setenv("OPENBLAS_CORETYPE", "Haswell")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "no")
	t.Setenv("WANTED", "yes")
	got := environment(append(os.Environ(), "CTDB_PLUGIN_TOKEN=stale", "GOMAXPROCS=64"), Spec{Env: []string{"WANTED"}, Threads: 3}, "fresh", "/folder")
	for _, want := range []string{"CTDB_SOMETHING=1", "OPENBLAS_CORETYPE=Haswell", "WANTED=yes", "OMP_NUM_THREADS=3", "GOMAXPROCS=4", "OPENBLAS_NUM_THREADS=1", "CTDB_PLUGIN_TOKEN=fresh"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, entry := range got {
		if name, value, _ := strings.Cut(entry, "="); name == "AWS_SECRET_ACCESS_KEY" || value == "stale" || value == "64" {
			t.Errorf("%s is handed on", entry)
		}
	}
	s, log := spec(t, "environment")
	start(t, s)
	if line := log.await(t, "PLUGIN_UNIX_SOCKET_DIR="); len(line) == 0 {
		t.Error("no folder for sockets")
	}
}

// From start to the answer of the first call, and to the end.
func BenchmarkStartDescribeStop(b *testing.B) {
	path, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var first time.Duration
	for b.Loop() {
		begin := time.Now()
		p, err := Start(b.Context(), Spec{Path: path, Args: []string{hidden, "good"}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Client.Describe(b.Context()); err != nil {
			b.Fatal(err)
		}
		first += time.Since(begin)
		if err := p.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(first.Microseconds())/1000/float64(b.N), "ms-to-first-call")
}
