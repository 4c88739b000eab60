package pipeline

import (
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// progressEvery is the least time between two records of a stage's progress in the log.
const progressEvery = 2 * time.Second

// logged is an Observer that also writes what happens into the run's log, so that another process can follow it:
//
//	{"msg": "run", "status": "running" | "done" | "failed" | "interrupted", "name", "points", "stages", "shard"}
//	{"msg": "stage", "stage", "status", "seconds", "error"}
//	{"msg": "progress", "stage", "phase", "done", "total", "loss"}
//
// all at level INFO. Progress is written at most every two seconds for each stage, and at the end of a phase; loss is left out where there is none.
type logged struct {
	next Observer
	log  *slog.Logger

	mu   sync.Mutex
	told map[string]toldProgress
}

type toldProgress struct {
	at    time.Time
	phase string
}

var _ Observer = (*logged)(nil)

func newLogged(next Observer, log *slog.Logger) *logged {
	return &logged{next: next, log: log, told: map[string]toldProgress{}}
}

// StageChanged writes the new status and passes on.
func (l *logged) StageChanged(stage string, status Status, elapsed time.Duration, err error) {
	attrs := []any{"stage", stage, "status", string(status)}
	if elapsed > 0 {
		attrs = append(attrs, "seconds", elapsed.Seconds())
	}
	if err != nil {
		attrs = append(attrs, "error", err.Error())
	}
	l.log.Info("stage", attrs...)
	if status != Running {
		l.mu.Lock()
		delete(l.told, stage)
		l.mu.Unlock()
	}
	l.next.StageChanged(stage, status, elapsed, err)
}

// StageProgress writes progress now and then and passes on.
func (l *logged) StageProgress(stage string, p component.Progress) {
	l.mu.Lock()
	told := l.told[stage]
	due := told.phase != p.Phase || time.Since(told.at) >= progressEvery || p.Total > 0 && p.Done == p.Total
	if due {
		l.told[stage] = toldProgress{time.Now(), p.Phase}
	}
	l.mu.Unlock()
	if due {
		attrs := []any{"stage", stage, "phase", p.Phase, "done", p.Done, "total", p.Total}
		if !math.IsNaN(p.Loss) && !math.IsInf(p.Loss, 0) {
			attrs = append(attrs, "loss", p.Loss)
		}
		l.log.Info("progress", attrs...)
	}
	l.next.StageProgress(stage, p)
}
