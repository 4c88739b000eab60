package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// longStudy is a training of 10 to 30 seconds, of which the tests see some.
const longStudy = `version: 1
name: long
seed: 5
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 60, n_trials: 40, switch_prob: 0.1}}
train: {use: model/noisy-gru, params: {hidden: 16, epochs: 10000, batch_size: 8}}
`

// shorter makes of longStudy one that ends in a few seconds, not before a test has seen it begin.
var shorter = []string{"--set", "train.params.epochs=1000"}

// started starts a command that runs into a folder, and returns when its training takes steps.
func (w *world) started(cmd *exec.Cmd, run string) {
	w.t.Helper()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	eventually(w.t, "steps of the training", func() bool { return strings.Contains(w.log(run), `"phase":"step"`) })
}

// checkpoints are the files that trainings left in a store, to go on from.
func (w *world) checkpoints(store string) []string {
	w.t.Helper()
	found, err := filepath.Glob(w.path(store, "work", "*", "scratch", "checkpoint*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// TestInterruptedRunGoesOn interrupts a training in its course: the run ends with status 130 and says how to go on, nothing is left but the checkpoint, and the same
// command goes on from it to the bytes of a run that was never interrupted.
func TestInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := func(n string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n)}, shorter...)
	}
	w.must(args("whole")...)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		// Where the tests themselves run under nohup a child would go on ignoring what they ignore; what they catch it does not inherit.
		caught := make(chan os.Signal, 1)
		signal.Notify(caught, sig)
		defer signal.Stop(caught)
		t.Run(sig.String(), func(t *testing.T) {
			w := *w
			w.t = t
			n := strings.ReplaceAll(sig.String(), " ", "-")
			cmd, out := w.command(args(n)...)
			w.started(cmd, "run-"+n)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if status := w.finish(cmd, out); status != 130 || !strings.Contains(out.String(), "goes on where") {
				t.Errorf("exit status %d, want 130 and how to go on:\n%s", status, out)
			}
			t.Logf("ended after %v", time.Since(began))
			w.quiet()
			if found := w.checkpoints("store-" + n); len(found) != 1 {
				t.Errorf("checkpoints: %q", found)
			}
			if status, shown := w.run("show", w.path("run-"+n)); status != 0 || !strings.Contains(shown.String(), "by Ctrl-C or a signal") ||
				!strings.Contains(shown.String(), "--out "+w.path("run-"+n)+"` goes on where it stopped") || strings.Contains(shown.String(), "context canceled") {
				t.Errorf("show, exit status %d:\n%s", status, shown)
			}
			w.must(args(n)...)
			if !strings.Contains(w.log("run-"+n), "resuming from a checkpoint") {
				t.Error("the training began anew")
			}
			w.sameRun("run-whole", "run-"+n)
			w.tidy("store-" + n)
		})
	}
}

// TestInterruptedTwice stops a plugin so that the host waits for it in vain, and interrupts twice: the second signal ends everything.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	cmd, out := w.command("run", study, "--store", w.path("store"), "--out", w.path("run-1"))
	w.started(cmd, "run-1")
	for _, p := range w.plugins() {
		if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	first := time.Now()
	ended := make(chan struct{})
	go func() {
		// The same signal again within a second is held to be the same interrupt, so it is sent until it counts.
		for {
			select {
			case <-ended:
				return
			case <-time.After(200 * time.Millisecond):
				_ = cmd.Process.Signal(syscall.SIGINT)
			}
		}
	}()
	status := w.finish(cmd, out)
	close(ended)
	if status != 130 || !strings.Contains(out.String(), "killed") {
		t.Errorf("exit status %d, want 130 and that it was killed:\n%s", status, out)
	}
	t.Logf("exit status %d, %v after the first signal", status, time.Since(first))
	w.quiet()
	w.whole("store")
}

// TestTimeout lets coreutils' timeout interrupt a run: it signals the host and then the whole group, which is one interrupt and not two.
func TestTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	cmd, out := w.shell("timeout -s INT 4 ctdb-host run " + study + " --store store --out run-1 --checkpoint-every 100ms")
	if status := w.finish(cmd, out); status != 124 {
		t.Errorf("exit status %d, want 124\n%s", status, out)
	}
	// The shell does not wait for what timeout started.
	w.quiet()
	if !strings.Contains(out.String(), "goes on where") {
		t.Errorf("it does not say how to go on:\n%s", out)
	}
	if found := w.checkpoints("store"); strings.Contains(w.log("run-1"), `"phase":"step"`) && len(found) != 1 {
		t.Errorf("checkpoints: %q", found)
	}
}

// TestIgnoredSignals runs as nohup and a shell's background jobs do, with signals ignored from the start: they stay ignored.
func TestIgnoredSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	cmd, out := w.shell("trap '' HUP INT; exec ctdb-host run " + study + " --store store --out run-1 " + strings.Join(shorter, " "))
	w.started(cmd, "run-1")
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if status := w.finish(cmd, out); status != 0 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	w.quiet()
}

// TestStoppedPlugin stops a plugin as a debugger or a job control would, and never lets it go on: the host finds that it hangs, ends it, and makes one more attempt
// from the checkpoint, with the bytes of an undisturbed run.
func TestStoppedPlugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := func(n string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--stall", "2s", "--checkpoint-every", "20ms"}, shorter...)
	}
	w.must(args("whole")...)
	cmd, out := w.command(args("cut")...)
	w.started(cmd, "run-cut")
	eventually(t, "a checkpoint", func() bool { return len(w.checkpoints("store-cut")) > 0 })
	stopped := w.plugins()
	if len(stopped) == 0 {
		t.Fatal("no plugin runs")
	}
	began := time.Now()
	for _, p := range stopped {
		if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "that the plugin is found to hang", func() bool { return strings.Contains(w.log("run-cut"), "one more attempt") })
	t.Logf("found after %v", time.Since(began))
	if status := w.finish(cmd, out); status != 0 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if log := w.log("run-cut"); !strings.Contains(log, "resuming from a checkpoint") || !strings.Contains(log, "2s") {
		t.Errorf("the log does not say that the plugin was silent for 2s, nor that its training went on:\n%s", log)
	}
	w.quiet()
	w.sameRun("run-whole", "run-cut")
	w.tidy("store-cut")
}

// TestPluginDies kills the plugin of a training, and that of its second attempt: each death is reported at once, the second ends the run with the component,
// the plugin, how it died and what to do; the same command goes on.
func TestPluginDies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := func(n string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "20ms"}, shorter...)
	}
	w.must(args("whole")...)
	cmd, out := w.command(args("cut")...)
	w.started(cmd, "run-cut")
	soonest := patience
	for attempt, sign := range []string{"one more attempt", `"failed"`} {
		// The training of the attempt has begun when it has written a checkpoint since the one before.
		var last string
		eventually(t, "a new checkpoint", func() bool {
			log := w.log("run-cut")
			return strings.Count(log, `"msg":"start"`) == attempt+1 && (attempt == 0 || strings.Contains(log, "resuming")) && w.changed("store-cut", &last)
		})
		victims := w.plugins()
		if len(victims) == 0 {
			t.Fatal("no plugin runs")
		}
		began := time.Now()
		victims[0].kill()
		eventually(t, sign, func() bool { return strings.Contains(w.log("run-cut"), sign) })
		soonest = min(soonest, time.Since(began))
	}
	status := w.finish(cmd, out)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	for _, part := range []string{"model/noisy-gru", "builtin", "signal: killed", "second attempt"} {
		if !strings.Contains(out.stderr.String(), part) {
			t.Errorf("%q is not in what is said:\n%s", part, out.stderr.String())
		}
	}
	t.Logf("reported after %v:\n%s", soonest, out.stderr.String())
	if soonest > time.Second {
		t.Errorf("a death was reported after %v at the soonest", soonest)
	}
	w.quiet()
	w.must(args("cut")...)
	w.sameRun("run-whole", "run-cut")
	w.tidy("store-cut")
}

// changed reports whether a checkpoint of a store is there and was written since the last call with the same variable.
func (w *world) changed(store string, last *string) bool {
	for _, path := range w.checkpoints(store) {
		if info, err := os.Stat(path); err == nil {
			before := *last
			*last = info.ModTime().String()
			return before != "" && before != *last
		}
	}
	return false
}

// TestStoppedAndContinued stops host and plugins for a while, as a suspended laptop does: they go on.
func TestStoppedAndContinued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	cmd, out := w.command(append([]string{"run", study, "--store", w.path("store"), "--out", w.path("run-1"), "--stall", "2s"}, shorter...)...)
	w.started(cmd, "run-1")
	all := w.processes()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		for _, p := range all {
			if err := syscall.Kill(p.pid, sig); err != nil {
				t.Fatal(err)
			}
		}
		if sig == syscall.SIGSTOP {
			// Longer than a plugin may be silent.
			<-time.After(3 * time.Second)
		}
	}
	if status := w.finish(cmd, out); status != 0 {
		t.Errorf("exit status %d\n%s", status, out)
	}
	w.quiet()
}
