package cli

import (
	"bytes"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/runlog"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func newTestWatch(out *bytes.Buffer) *watch {
	return &watch{screen: screen{out: out}, level: slog.LevelWarn, stage: map[string]*watched{}}
}

// What is said last stays on the terminal, and no bar does, whether it was full or not.
func TestBarsGoAndLinesStay(t *testing.T) {
	var out bytes.Buffer
	w := newTestWatch(&out)
	w.drawOn(w.screen)
	w.expect(10)
	for _, stage := range []string{"train", "simulate"} {
		w.StageChanged(stage, pipeline.Running, 0, nil)
		w.StageProgress(stage, component.Progress{Phase: "step", Done: 3, Total: 10, Loss: 0.5})
	}
	w.StageProgress("train", component.Progress{Phase: "step", Done: 10, Total: 10, Loss: math.NaN()})
	w.StageChanged("train", pipeline.Done, time.Second, nil)
	w.StageChanged("simulate", pipeline.Failed, time.Second, nil)
	w.StageChanged("fit/a", pipeline.Stored, 0, nil)
	w.close()
	text := out.String()
	for _, line := range []string{"train                done in 1s\n", "simulate             failed after 1s\n", "fit/a                stored\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
	_, end, _ := strings.Cut(text, "stored\n")
	if strings.Contains(end, "10/10") || strings.Contains(end, "3/10") {
		t.Errorf("a bar is left after the last line:\n%s", text)
	}
	if !strings.Contains(end, "2/10 done (1 stored), 1 failed") {
		t.Errorf("it does not end with how things stand:\n%q", end)
	}
}

// Where there is no terminal progress is told in lines, not too many, and for many stages how many are done; those that are stored are only counted.
func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	w := newTestWatch(&out)
	w.expect(40)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }
	for range 5 {
		w.changed(at(0), "train [seed=0]", pipeline.Stored, 0, "")
	}
	w.changed(at(0), "train [seed=1]", pipeline.Running, 0, "")
	for s := range 41 {
		w.progress(at(s), "train [seed=1]", component.Progress{Phase: "epoch", Done: int64(s), Total: 100, Loss: 0.25})
	}
	w.changed(at(41), "train [seed=1]", pipeline.Done, 41*time.Second, "")
	w.changed(at(42), "train [seed=2]", pipeline.Running, 0, "")
	w.changed(at(43), "train [seed=2]", pipeline.Failed, time.Second, "launch: plugin died\n  its last lines")
	w.changed(at(43), "fit/a [seed=2]", pipeline.Skipped, 0, "it needs train [seed=2]")
	want := strings.Join([]string{
		"train [seed=1]       running",
		"train [seed=1]       epoch 10/100  loss 0.25  1.0/s  1m30s left",
		"train [seed=1]       epoch 20/100  loss 0.25  1.0/s  1m20s left",
		"train [seed=1]       epoch 30/100  loss 0.25  1.0/s  1m10s left",
		"train [seed=1]       epoch 40/100  loss 0.25  1.0/s  1m00s left",
		"train [seed=1]       done in 41s",
		"6/40 done (5 stored), 23m14s left",
		"train [seed=2]       running",
		"train [seed=2]       failed after 1s: launch: plugin died",
		"",
	}, "\n")
	got := out.String()
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestPaceAfterAPause: what is left is told by the last minutes, not by an hour in which nothing went on.
func TestPaceAfterAPause(t *testing.T) {
	var out bytes.Buffer
	w := newTestWatch(&out)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	w.changed(at, "train", pipeline.Running, 0, "")
	for step := range 3000 {
		if at = at.Add(time.Second); step == 1000 {
			at = at.Add(time.Hour)
		}
		w.progress(at, "train", component.Progress{Phase: "step", Done: int64(step), Total: 4000, Loss: 0.25})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for _, c := range []struct {
		step, want string
	}{{"step 990/", "1.0/s  50m10s left"}, {"step 2990/", "1.0/s  16m50s left"}} {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, c.step) })
		if i < 0 || !strings.HasSuffix(lines[i], c.want) {
			t.Errorf("%s: %q", c.step, lines)
		}
	}
}

func TestTally(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ty := tally{total: 240}
	if got := ty.line(now); got != "0/240 done" {
		t.Errorf("got %q", got)
	}
	// Two at a time, ten minutes each.
	for k := range 6 {
		began := now.Add(time.Duration(k) * 10 * time.Minute)
		ty.count(began, pipeline.Running, 0)
		ty.count(began, pipeline.Running, 0)
		ty.count(began.Add(10*time.Minute), pipeline.Done, 10*time.Minute)
		status := pipeline.Done
		if k > 3 {
			status = pipeline.Failed
		}
		ty.count(began.Add(10*time.Minute), status, 10*time.Minute)
	}
	for range 100 {
		ty.count(now, pipeline.Stored, 0)
	}
	ty.count(now, pipeline.Skipped, 0)
	ty.count(now, pipeline.Running, 0)
	// 240 - 10 - 2 - 100 - 1 = 127 stages of 10 minutes, two side by side.
	if got, want := ty.line(now.Add(time.Hour)), "110/240 done (100 stored), 1 running, 2 failed, 1 skipped, 10h35m left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A line of the log is shown with whose it is, unless it is below the level or told already.
func TestLogLines(t *testing.T) {
	var out bytes.Buffer
	w := newTestWatch(&out)
	record := func(level slog.Level, message string, attrs ...string) runlog.Record {
		r := runlog.Record{Level: level, Message: message, Attrs: map[string]any{}}
		for i := 0; i < len(attrs); i += 2 {
			r.Attrs[attrs[i]] = attrs[i+1]
		}
		return r
	}
	w.log(record(slog.LevelInfo, "start", "stage", "train"))
	w.log(record(slog.LevelError, "failed", "stage", "train", "error", "x"))
	w.log(record(slog.LevelWarn, "clipped", "stage", "fit/a", "plugin", "builtin", "component", "model/gru", "norm", "3 units"))
	w.log(record(slog.LevelError, "failed", "stage", "fit/a", "plugin", "mine"))
	want := "fit/a                warning model/gru: clipped  norm=\"3 units\"\nfit/a                error mine: failed\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
