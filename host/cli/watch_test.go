package cli

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// What is said last stays on the terminal, and no bar does, whether it was full or not.
func TestBarsGoAndLinesStay(t *testing.T) {
	var out bytes.Buffer
	w := &watch{stage: map[string]*watched{}}
	w.drawOn(&out)
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
	if _, end, _ := strings.Cut(text, "stored\n"); strings.Contains(end, "10/10") {
		t.Errorf("a bar is left after the last line:\n%s", text)
	}
}
