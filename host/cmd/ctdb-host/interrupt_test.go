package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const longStudy = `version: 1
name: long
seed: 5
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 60, n_trials: 40, switch_prob: 0.1}}
train: {use: model/noisy-gru, params: {hidden: 16, epochs: 400, batch_size: 8}}
`

// TestInterruptedRunGoesOn interrupts a training in its course: the run ends with status 130 and says how to go on, no process is left, and the same command goes
// on from its checkpoint to the bytes of a run that was never interrupted.
func TestInterruptedRunGoesOn(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "ctdb-host")
	build(t, ".", bin)
	dir := t.TempDir()
	file := filepath.Join(dir, "long.yaml")
	if err := os.WriteFile(file, []byte(longStudy), 0o666); err != nil {
		t.Fatal(err)
	}
	run := func(store, out string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), bin, "run", file, "--store", filepath.Join(dir, store), "--out", filepath.Join(dir, out))
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
		return cmd
	}

	cmd := run("store", "cut")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	interrupted := time.Time{}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if interrupted.IsZero() && strings.Contains(lines.Text(), "step") {
			interrupted = time.Now()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Fatalf("ended with %v, want exit status 130:\n%s", err, said.String())
	}
	if took := time.Since(interrupted); took > 10*time.Second {
		t.Errorf("took %v to end", took)
	}
	if !strings.Contains(said.String(), "goes on where") {
		t.Errorf("does not say how to go on:\n%s", said.String())
	}
	if left, _ := exec.Command("pgrep", "-f", bin).Output(); len(left) > 0 {
		t.Errorf("processes are left: %s", left)
	}
	checkpoints, err := filepath.Glob(filepath.Join(dir, "store", "work", "*", "scratch", "*"))
	if err != nil || len(checkpoints) == 0 {
		t.Errorf("no checkpoint is left (%v)", err)
	}

	for _, c := range []struct{ store, out string }{{"store", "cut"}, {"other", "whole"}} {
		if b, err := run(c.store, c.out).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
	}
	for _, name := range []string{"weights.safetensors", "weights-last.safetensors", "metrics.jsonl", "score.json", "rollout.h5", "record.json"} {
		cut, err := os.ReadFile(filepath.Join(dir, "cut", "train", name))
		if err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(filepath.Join(dir, "whole", "train", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(cut, whole) {
			t.Errorf("%s differs from that of a run that was never interrupted", name)
		}
	}
}
