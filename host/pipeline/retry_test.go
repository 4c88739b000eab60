package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// failedCurve looks at the curve that a training leaves behind which failed in its fourth step or later.
func failedCurve(t *testing.T, out string) {
	t.Helper()
	run, err := artifact.OpenRun(out)
	if err != nil {
		t.Fatal(err)
	}
	live, err := run.Live()
	if err != nil || len(live) != 1 || live[0].Name != "train" {
		t.Fatalf("curves of trainings that did not end: %+v, %v", live, err)
	}
	if curve, err := live[0].Metrics(); err != nil || len(curve) < 4 {
		t.Errorf("%d metrics, %v", len(curve), err)
	}
}

// A plugin that dies, hangs or falls silent in its training is given one more attempt, which goes on from its checkpoint and ends with the bytes of an undisturbed run.
// One that diverges, or that dies again, is not.
func TestSecondAttempt(t *testing.T) {
	h := toyHost(t, 1, 1)
	s := study(t, h, toyStudy)
	whole := filepath.Join(t.TempDir(), "whole")
	if err := execute(t, Run{Study: s, Host: h, Out: whole}); err != nil {
		t.Fatal(err)
	}
	want := tree(t, whole)
	for _, c := range []struct {
		fate  string
		stall time.Duration
		ok    bool
		say   string
	}{
		{"kill", 0, true, "died: signal: killed"},
		{"quiet", 3 * time.Second, true, "made no progress for 3s"},
		{"stop", 3 * time.Second, true, "made no progress for 3s"},
		{"kill!", 0, false, "it was the second attempt"},
		{"diverge", 0, false, "diverged"},
	} {
		t.Run(c.fate, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "fate")
			if err := os.WriteFile(strings.TrimSuffix(file, "!"), []byte(c.fate), 0o666); err != nil {
				t.Fatal(err)
			}
			t.Setenv(fateEnv, file)
			own := toyHost(t, 1, 1)
			own.Catalog, own.Stall = h.Catalog, c.stall
			out := filepath.Join(t.TempDir(), "out")
			err := execute(t, Run{Study: s, Host: own, Out: out})
			if (err == nil) != c.ok {
				t.Fatalf("error %v", err)
			}
			p, provErr := artifact.ReadProvenance(out)
			if provErr != nil {
				t.Fatal(provErr)
			}
			if !c.ok {
				if !strings.Contains(err.Error(), c.say) {
					t.Errorf("error %v lacks %q", err, c.say)
				}
				if (p.Stages[0].Retried != "") != (c.fate == "kill!") {
					t.Errorf("retried %q", p.Stages[0].Retried)
				}
				failedCurve(t, out)
				return
			}
			same(t, tree(t, out), want)
			if !strings.Contains(p.Stages[0].Retried, c.say) {
				t.Errorf("the provenance says %q, want %q", p.Stages[0].Retried, c.say)
			}
			for _, st := range p.Stages[1:] {
				if st.Retried != "" {
					t.Errorf("%s was retried: %s", st.Stage, st.Retried)
				}
			}
		})
	}
}

func TestRepeatable(t *testing.T) {
	died := &launch.ExitError{Plugin: "p", State: "signal: killed"}
	for _, c := range []struct {
		err  error
		want bool
	}{
		{died, true},
		{&launch.HangError{ExitError: died}, true},
		{errors.Join(errors.New("task/toy: score"), died), true},
		{&StallError{Stage: "train"}, true},
		{&launch.MemoryError{ExitError: died}, false},
		{&component.DivergedError{}, false},
		{component.Invalid("x", "y"), false},
		{&launch.ExitError{Err: component.Invalid("x", "y")}, false},
		{&launch.StartError{}, false},
		{component.ErrUnavailable, false},
		{&component.InternalError{}, false},
		{context.Canceled, false},
		{errors.New("disk full"), false},
	} {
		if got := repeatable(c.err); got != c.want {
			t.Errorf("%T %v: repeatable %v", c.err, c.err, got)
		}
	}
}

// quietLog counts the warnings of a log.
type quietLog struct {
	slog.Handler
	warnings *atomic.Int64
}

func (q quietLog) Enabled(context.Context, slog.Level) bool { return true }
func (q quietLog) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		q.warnings.Add(1)
	}
	return nil
}

// Silence is warned of after five minutes, and less and less often; progress ends it, and only what is silent for the whole time is ended.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var warnings atomic.Int64
		r := &running{stage: &stage{name: "train"}, observer: Unobserved{}, log: slog.New(quietLog{warnings: &warnings})}
		ctx, done := r.watch(t.Context(), 30*time.Minute)
		time.Sleep(4 * time.Minute)
		r.showed(component.Progress{Phase: "step", Done: 300, Total: 4000})
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if warnings.Load() != 0 || ctx.Err() != nil {
			t.Errorf("%d warnings of a stage that goes on, %v", warnings.Load(), ctx.Err())
		}
		time.Sleep(25 * time.Minute) // 29 of silence
		synctest.Wait()
		if warnings.Load() != 3 || ctx.Err() != nil { // after 5, 10 and 20
			t.Errorf("%d warnings after 29 minutes, %v", warnings.Load(), ctx.Err())
		}
		r.pulse.beat()
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("ended after 29 minutes")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("not ended")
		}
		var stalled *StallError
		if err := done(); !errors.As(err, &stalled) || stalled.Quiet != 30*time.Minute || stalled.Last != "step 300 of 4000" {
			t.Errorf("error %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var warnings atomic.Int64
		r := &running{stage: &stage{name: "train"}, observer: Unobserved{}, log: slog.New(quietLog{warnings: &warnings})}
		ctx, done := r.watch(t.Context(), 0)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if err := done(); ctx.Err() == nil || err != nil || warnings.Load() < 5 || warnings.Load() > 10 {
			t.Errorf("without a limit: %v, %d warnings", err, warnings.Load())
		}
	})
}
