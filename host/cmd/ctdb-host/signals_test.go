package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestSignalsAreCounted(t *testing.T) {
	for _, c := range []struct {
		name        string
		at          []time.Duration
		ends, kills int32
	}{
		{"none", nil, 0, 0},
		{"one", []time.Duration{0}, 1, 0},
		{"two at once", []time.Duration{0, 0}, 1, 0},
		{"a burst", []time.Duration{0, 300 * time.Millisecond, 999 * time.Millisecond}, 1, 0},
		{"a second one", []time.Duration{0, time.Second}, 1, 1},
		{"a burst and one", []time.Duration{0, 0, time.Minute}, 1, 1},
		{"many", []time.Duration{0, time.Second, 2 * time.Second, time.Minute}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ends, kills atomic.Int32
				signals := make(chan os.Signal, len(c.at))
				done := make(chan struct{})
				go func() {
					defer close(done)
					heed(signals, func() { ends.Add(1) }, func() { kills.Add(1) })
				}()
				var now time.Duration
				for _, at := range c.at {
					time.Sleep(at - now)
					now = at
					signals <- os.Interrupt
				}
				synctest.Wait()
				close(signals)
				<-done
				if ends.Load() != c.ends || kills.Load() != c.kills {
					t.Errorf("ended %d times, killed %d; want %d, %d", ends.Load(), kills.Load(), c.ends, c.kills)
				}
			})
		})
	}
}

// TestSignalsOfTheProgram interrupts a run in its training. Two signals at once, as of `timeout -s INT`, end it in good order; a second one later kills it, and with it all
// that it has started, although its plugin has been stopped and cannot come to an end by itself.
func TestSignalsOfTheProgram(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "ctdb-host")
	build(t, ".", bin)
	dir := t.TempDir()
	file := filepath.Join(dir, "long.yaml")
	if err := os.WriteFile(file, []byte(strings.Replace(longStudy, "epochs: 400", "epochs: 40000", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	// begin starts a run and returns when it trains.
	begin := func(t *testing.T) (*exec.Cmd, *bufio.Scanner) {
		t.Helper()
		cmd := exec.Command(bin, "run", file, "--store", filepath.Join(dir, "store"), "--out", filepath.Join(dir, "out"))
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "step") {
				return cmd, lines
			}
		}
		t.Fatalf("no training: %v", cmd.Wait())
		return nil, nil
	}
	ended := func(t *testing.T, cmd *exec.Cmd) {
		t.Helper()
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
			t.Errorf("ended with %v, want exit status 130", err)
		}
		if left := childrenLike(t, bin); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("ctdb-%d-*", cmd.Process.Pid))); len(left) > 0 {
			t.Errorf("folders are left: %v", left)
		}
	}
	t.Run("twice at once", func(t *testing.T) {
		cmd, lines := begin(t)
		for range 2 {
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
		var said strings.Builder
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		ended(t, cmd)
		if strings.Contains(said.String(), "killed") || !strings.Contains(said.String(), "goes on where") {
			t.Errorf("it said:\n%s", said.String())
		}
	})
	t.Run("twice", func(t *testing.T) {
		cmd, lines := begin(t)
		// The plugin cannot drain now, which is what the program waits for after the first signal.
		for _, pid := range childrenLike(t, "serve-builtin") {
			if groupOf(t, pid) == pid {
				_ = syscall.Kill(pid, syscall.SIGSTOP)
			}
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		first := time.Now()
		tick := time.NewTicker(burst + 50*time.Millisecond)
		defer tick.Stop()
		<-tick.C
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		ended(t, cmd)
		if took := time.Since(first); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(said.String(), "killed; the same command goes on") {
			t.Errorf("it said:\n%s", said.String())
		}
	})
}
