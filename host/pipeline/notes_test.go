package pipeline

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// TestShortOfTheHorizon: the record of a training that ended before the task's curriculum did says which bins the network has not learnt from.
func TestShortOfTheHorizon(t *testing.T) {
	h := toyHost(t, 1, 1)
	for set, want := range map[string]string{"task.params.horizon=10": "the first 1 of 4 bins", "task.params.horizon=2": ""} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := (Run{Study: study(t, h, "version: 1\nname: toys\ntask: {use: task/toy}\ntrain: {use: model/toy, params: {steps: 3}}\n", set), Host: h, Out: out}).Execute(t.Context()); err != nil {
			t.Fatal(err)
		}
		record, err := artifact.ReadRecord(filepath.Join(out, "train"))
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(record.Notes, "\n"); (notes == "") != (want == "") || !strings.Contains(notes, want) {
			t.Errorf("%s: notes %q, want %q", set, notes, want)
		}
	}
}
