package pipeline

import (
	"errors"
	"strings"
	"testing"
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
