package pipeline

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/launch"
)

// A plugin that alone uses more than it may is told as such before anything starts, without a word of stages.
func TestMemoryOfThePluginAlone(t *testing.T) {
	h := toyHost(t, 1, 1)
	h.Memory = 4 << 20
	err := Validate(t.Context(), study(t, h, toyStudy), h)
	if !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "--memory allows 4.0 MiB, and plugin toys alone uses ") || strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("error is %v", err)
	}
}

// TestKilledBeforeItIsLookedAt: a plugin that was killed for its memory a moment ago has none.
func TestKilledBeforeItIsLookedAt(t *testing.T) {
	h := toyHost(t, 1, 1)
	h.Memory, h.Log = 4<<20, slog.New(slog.DiscardHandler)
	c, err := h.Catalog.Find("task/toy")
	if err != nil {
		t.Fatal(err)
	}
	v := &validation{host: h, limit: memoryLimit(h.Memory), procs: map[string]*launch.Process{}}
	defer v.stop()
	p, err := v.process(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := v.startable(); !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), "plugin toys alone uses ") {
		t.Errorf("error is %v", err)
	}
}
