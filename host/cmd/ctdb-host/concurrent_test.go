package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// made counts how often each stage was executed, by the logs of runs.
func (w *world) made(runs ...string) map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for _, run := range runs {
		for _, name := range w.files(run) {
			if !strings.HasSuffix(name, ".jsonl") || !strings.HasPrefix(name, "log") {
				continue
			}
			f, err := os.Open(w.path(run, name))
			if err != nil {
				w.t.Fatal(err)
			}
			for lines := bufio.NewScanner(f); lines.Scan(); {
				var record struct{ Msg, Stage, Key string }
				if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
					w.t.Fatalf("%s: %v: %s", name, err, lines.Text())
				}
				if record.Msg == "start" && record.Key != "" {
					count[record.Stage]++
				}
			}
			f.Close()
		}
	}
	return count
}

// TestTwoHostsOneStudy runs the same study in two hosts at the same time, with one store: between them each stage is executed once, and both have everything.
func TestTwoHostsOneStudy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	w.must(w.studyArgs(study, "whole")...)
	for round := range inShort(1, 10) {
		store := fmt.Sprintf("store-%d", round)
		var cmds []*exec.Cmd
		var outs []*output
		var runs []string
		for host := range 3 {
			runs = append(runs, fmt.Sprintf("run-%d-%d", round, host))
			cmd, out := w.command("run", study, "--store", w.path(store), "--out", w.path(runs[host]), "--jobs", fmt.Sprint(1+host%2))
			cmds, outs = append(cmds, cmd), append(outs, out)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
		}
		for i, cmd := range cmds {
			if status := w.finish(cmd, outs[i]); status != 0 {
				t.Errorf("exit status %d\n%s", status, outs[i])
			}
		}
		for _, run := range runs {
			w.sameRun("run-whole", run)
		}
		made := w.made(runs...)
		for _, stage := range []string{"train", "simulate", "fit/wide", "fit/narrow", "compare/metrics"} {
			if made[stage] != 1 {
				t.Errorf("%s was executed %d times between the hosts", stage, made[stage])
			}
		}
		w.quiet()
		w.tidy(store)
	}
}

// TestHostTakesOver kills one of two hosts on the same study in the middle of a training: the other, which waited for it, goes on from the checkpoint.
func TestHostTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := func(n string) []string {
		return append([]string{"run", study, "--store", w.path("store"), "--out", w.path("run-" + n), "--checkpoint-every", "20ms"}, "--set", "train.params.epochs=3000")
	}
	first, firstOut := w.command(args("first")...)
	w.started(first, "run-first")
	second, secondOut := w.command(args("second")...)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a checkpoint, and a second host that waits", func() bool {
		return len(w.checkpoints("store")) > 0 && w.log("run-second") != "" || strings.Contains(firstOut.String(), "done")
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	w.finish(first, firstOut)
	if status := w.finish(second, secondOut); status != 0 {
		t.Errorf("exit status %d\n%s", status, secondOut)
	}
	if log := w.log("run-second"); !strings.Contains(log, "resuming from a checkpoint") {
		t.Errorf("the second host did not go on from the checkpoint:\n%s", log)
	}
	w.quiet()
	w.tidy("store")
}

// TestTwoHostsOneFolder lets two hosts write the same run folder: the second is refused, the first is not disturbed.
func TestTwoHostsOneFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := append([]string{"run", study, "--store", w.path("store"), "--out", w.path("run-1")}, "--set", "train.params.epochs=3000")
	first, firstOut := w.command(args...)
	w.started(first, "run-1")
	status, out := w.run(args...)
	if status == 0 || !strings.Contains(out.String(), w.path("run-1")) || strings.Contains(out.String(), "running") && !strings.Contains(out.String(), "another") {
		t.Errorf("exit status %d, and it does not say that the folder is in use:\n%s", status, out)
	}
	t.Logf("the second host: exit status %d: %s", status, out)
	if status := w.finish(first, firstOut); status != 0 {
		t.Errorf("exit status %d\n%s", status, firstOut)
	}
	w.quiet()
	w.tidy("store")
}

// TestShardsAtOnce runs the shares of a study at the same time into one folder, one of them killed on the way and run again, and joins them: as one host would have
// done it, and no stage twice.
func TestShardsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("many.yaml", manyStudy)
	args := func(n string, more ...string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "10ms"}, more...)
	}
	w.must(args("whole")...)
	var cmds []*exec.Cmd
	var outs []*output
	for i := range 3 {
		cmd, out := w.command(args("shards", "--shard", fmt.Sprintf("%d/3", i+1))...)
		cmds, outs = append(cmds, cmd), append(outs, out)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "something to lose", func() bool { return len(w.files("run-shards/points")) > 0 })
	if err := cmds[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i, cmd := range cmds {
		if status := w.finish(cmd, outs[i]); status != 0 && i != 1 {
			t.Errorf("shard %d: exit status %d\n%s", i+1, status, outs[i])
		}
	}
	w.must(args("shards", "--shard", "2/3")...)
	w.must("report", w.path("run-shards"))
	w.quiet()
	for _, name := range []string{"results.json", "study.json", "experiment.yaml"} {
		a, errA := os.ReadFile(w.path("run-whole", name))
		b, errB := os.ReadFile(w.path("run-shards", name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs from that of one host (%v, %v)", name, errA, errB)
		}
	}
	entries, err := os.ReadDir(w.path("run-whole", "points"))
	if err != nil || len(entries) != 6 {
		t.Fatalf("points: %v, %v", entries, err)
	}
	for _, e := range entries {
		w.sameRun("run-whole/points/"+e.Name(), "run-shards/points/"+e.Name())
	}
	w.tidy("store-shards")
}
