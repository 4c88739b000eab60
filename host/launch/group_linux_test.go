package launch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// started is a host in a process of its own, with what it has started.
type started struct {
	cmd             *exec.Cmd
	plugin, janitor int
	folder          string
	// children are one in the plugin's process group, one in a session of its own, and one whose parent has ended.
	children []int
}

// startHost starts a host, which starts a plugin that starts children.
func startHost(t *testing.T, args ...string) *started {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &started{cmd: exec.Command(path, append([]string{hidden}, args...)...)}
	s.cmd.Stderr = &lineSink{t: t}
	if _, err := s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pid := range append(s.children, s.plugin, s.cmd.Process.Pid) {
			if pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if s.folder != "" {
			os.RemoveAll(s.folder)
		}
	})
	for lines := bufio.NewScanner(out); (s.plugin == 0 || s.children == nil) && lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "plugin=") {
			if _, err := fmt.Sscanf(line, "plugin=%d folder=%s janitor=%d", &s.plugin, &s.folder, &s.janitor); err != nil && s.plugin == 0 {
				t.Fatal(err)
			}
		}
		s.children = append(s.children, childrenIn(t, line)...)
	}
	if s.plugin == 0 || len(s.children) != 3 {
		t.Fatalf("the host has started %+v", s)
	}
	return s
}

// childrenIn reads the numbers that raise prints.
func childrenIn(t *testing.T, line string) []int {
	t.Helper()
	_, rest, ok := strings.Cut(line, "children=")
	if !ok {
		return nil
	}
	var out []int
	for _, n := range strings.Split(strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '"' })[0], ",") {
		pid, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// lineSink logs what a host says, which is of interest where a test fails.
type lineSink struct{ t *testing.T }

func (s *lineSink) Write(p []byte) (int, error) {
	s.t.Logf("host: %s", p)
	return len(p), nil
}

// kill kills the host and nothing else, and reaps it.
func (s *started) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// That it was killed is no news.
	_ = s.cmd.Wait()
}

// left lists what has not ended in two seconds.
func (s *started) left(t *testing.T) []string {
	t.Helper()
	var out []string
	limit := time.Now().Add(2 * time.Second)
	for what, pid := range map[string]int{"plugin": s.plugin, "child": s.children[0], "child in its own session": s.children[1], "orphan": s.children[2], "janitor": s.janitor} {
		if pid > 0 && !goneBy(t, pid, limit) {
			out = append(out, what)
		}
	}
	return out
}

func TestPlainGoPluginOutlivesItsHost(t *testing.T) {
	keepSockets(t)
	s := startHost(t, "plain-host", "parent")
	s.kill(t)
	for _, pid := range append(s.children, s.plugin) {
		if !alive(pid) {
			t.Errorf("process %d has ended: this is no hole", pid)
		}
	}
}

// Without a janitor a killed host leaves what has left its plugin's group, and folders, until the next host sweeps.
func TestSweepEndsWhatAKilledHostLeft(t *testing.T) {
	s := startHost(t, "host", "parent")
	if removed, err := Sweep(t.Context()); err != nil || slices.Contains(removed, s.folder) {
		t.Fatalf("with a living host removed %v, %v", removed, err)
	}
	s.kill(t)
	if !goneBy(t, s.plugin, time.Now().Add(2*time.Second)) {
		t.Error("the plugin lives on")
	}
	if !alive(s.children[1]) || !alive(s.children[2]) {
		t.Error("the strays have ended: this is no hole")
	}
	removed, err := Sweep(t.Context())
	if err != nil || !slices.Contains(removed, s.folder) {
		t.Errorf("removed %v, %v; want %s", removed, err, s.folder)
	}
	if left := s.left(t); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
	if _, err := os.Stat(s.folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestJanitorCleansUp(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		end     func(*testing.T, *started)
	}{
		{"killed", nil, func(t *testing.T, s *started) { s.kill(t) }},
		{"panic", []string{"panic"}, func(_ *testing.T, s *started) { _ = s.cmd.Wait() }},
		{"killed while its plugin is stopped", nil, func(t *testing.T, s *started) {
			_ = syscall.Kill(-s.plugin, syscall.SIGSTOP)
			s.kill(t)
		}},
		{"interrupted with its terminal", nil, func(t *testing.T, s *started) {
			awaitIgnored(t, s.janitor)
			if own, err := unix.Getsid(0); err != nil {
				t.Error(err)
			} else if sid, err := unix.Getsid(s.janitor); err != nil || sid == own {
				t.Errorf("the janitor is in the session of its host (%v)", err)
			}
			_ = syscall.Kill(s.janitor, syscall.SIGINT)
			_ = syscall.Kill(s.janitor, syscall.SIGHUP)
			_ = syscall.Kill(s.janitor, syscall.SIGTERM)
			s.kill(t)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spool := filepath.Join(t.TempDir(), "spool")
			if err := os.MkdirAll(filepath.Join(spool, "sub"), 0o777); err != nil {
				t.Fatal(err)
			}
			s := startHost(t, append([]string{"host", "parent", "janitor", "guard", spool}, c.options...)...)
			if s.janitor == 0 {
				t.Fatal("no janitor")
			}
			c.end(t, s)
			if left := s.left(t); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
			for _, folder := range []string{s.folder, spool} {
				if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("folder %s is left: %v", folder, err)
				}
			}
		})
	}
}

// awaitIgnored waits until a process ignores interrupts, which a janitor does from its first moments on.
func awaitIgnored(t *testing.T, pid int) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); runtime.Gosched() {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "SigIgn:")
		rest, _, _ = strings.Cut(strings.TrimSpace(rest), "\n")
		if mask, err := strconv.ParseUint(rest, 16, 64); err == nil && mask&(1<<(syscall.SIGINT-1)) != 0 && mask&(1<<(syscall.SIGTERM-1)) != 0 && mask&(1<<(syscall.SIGHUP-1)) != 0 {
			return
		}
	}
	t.Fatal("the janitor does not ignore interrupts")
}

// A janitor that somebody kills is replaced at once, and the replacement knows everything.
func TestJanitorIsReplaced(t *testing.T) {
	s := startHost(t, "host", "parent", "janitor")
	first := s.janitor
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !goneBy(t, first, time.Now().Add(2*time.Second)) {
		t.Fatal("it lives")
	}
	s.janitor = awaitJanitor(t, s.cmd.Process.Pid, first)
	// The host tells it everything as it starts it.
	awaitIgnored(t, s.janitor)
	s.kill(t)
	if left := s.left(t); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// parentOf is the number of a process's parent; 0 where there is no such process.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	var state string
	var parent int
	if _, err := fmt.Sscan(string(b[bytes.LastIndexByte(b, ')')+1:]), &state, &parent); err != nil {
		return 0
	}
	return parent
}

// awaitJanitor finds the janitor among a host's children.
func awaitJanitor(t *testing.T, host, not int) int {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); time.Now().Before(limit); runtime.Gosched() {
		for _, pid := range processes() {
			if pid == not || parentOf(pid) != host {
				continue
			}
			if cmd, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(cmd), "janitor-under-test") {
				return pid
			}
		}
	}
	t.Fatal("no janitor")
	return 0
}

func TestStraysEndWithThePlugin(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*testing.T, *Process)
	}{
		{"stopped", func(t *testing.T, p *Process) {
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		{"killed by somebody", func(t *testing.T, p *Process) {
			_ = syscall.Kill(p.PID(), syscall.SIGKILL)
			<-p.Done()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, log := spec(t, "parent")
			p := start(t, s)
			children := childrenIn(t, log.await(t, "children="))
			c.end(t, p)
			limit := time.Now().Add(2 * time.Second)
			for i, pid := range children {
				if !goneBy(t, pid, limit) {
					t.Errorf("child %d is alive", i)
				}
			}
		})
	}
	t.Run("never ready", func(t *testing.T) {
		s, log := spec(t, "parent-dies")
		if _, err := Start(context.Background(), s); err == nil {
			t.Fatal("it started")
		}
		for i, pid := range childrenIn(t, log.await(t, "children=")) {
			if !goneBy(t, pid, time.Now().Add(2*time.Second)) {
				t.Errorf("child %d is alive", i)
			}
		}
	})
}

// goneBy waits until a process has ended, be it reaped or not.
func goneBy(t *testing.T, pid int, limit time.Time) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(time.Until(limit), 0).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}
