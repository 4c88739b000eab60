package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/host/pipeline"
)

// tally counts the stages of a run.
type tally struct {
	total                                         int
	done, stored, failed, skipped, cut, atPresent int
	// begun is when the first stage was begun that is run, and spent what those that are done took together.
	begun time.Time
	spent time.Duration
}

// count takes a stage's new status.
func (t *tally) count(now time.Time, status pipeline.Status, elapsed time.Duration) {
	switch status {
	case pipeline.Running:
		t.atPresent++
		if t.begun.IsZero() {
			t.begun = now
		}
		return
	case pipeline.Waiting:
		return
	case pipeline.Stored:
		t.stored++
		return
	case pipeline.Skipped:
		t.skipped++
		return
	case pipeline.Done:
		t.done++
	case pipeline.Failed:
		t.failed++
	case pipeline.Interrupted:
		t.cut++
	}
	t.atPresent = max(t.atPresent-1, 0)
	t.spent += elapsed
}

// left estimates how long the rest will take, as long a stage as those that are done took and as many side by side; 0 where nothing can be said.
func (t *tally) left(now time.Time) time.Duration {
	ran := t.done + t.failed
	rest := t.total - t.done - t.stored - t.failed - t.skipped - t.cut
	wall := now.Sub(t.begun)
	if ran == 0 || rest <= 0 || t.begun.IsZero() || wall <= 0 {
		return 0
	}
	beside := max(t.spent.Seconds()/wall.Seconds(), 1)
	return seconds(t.spent.Seconds() / float64(ran) * float64(rest) / beside)
}

// line is e.g. "12/240 done (3 stored), 2 running, 1 failed, 1h20m left".
func (t *tally) line(now time.Time) string {
	parts := []string{fmt.Sprintf("%d/%d done", t.done+t.stored, t.total)}
	if t.stored > 0 {
		parts[0] += fmt.Sprintf(" (%d stored)", t.stored)
	}
	for _, c := range []struct {
		n    int
		what string
	}{{t.atPresent, "running"}, {t.failed, "failed"}, {t.skipped, "skipped"}, {t.cut, "interrupted"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if d := t.left(now); d > 0 {
		parts = append(parts, left(d))
	}
	return strings.Join(parts, ", ")
}
