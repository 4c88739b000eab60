package pipeline

import (
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// watcher is an Observer of what becomes of stages.
type watcher func(stage string, status Status)

func (w watcher) StageChanged(stage string, status Status, _ time.Duration, _ error) {
	w(stage, status)
}

func (w watcher) StageProgress(string, component.Progress) {}
