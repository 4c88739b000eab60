package pipeline

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/registry"
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

// TestMemoryNamesAllParts: a model that would hold too many trials is not all that the memory depends on: the task's parameters are named too.
func TestMemoryNamesAllParts(t *testing.T) {
	ref := func(text string) *experiment.Use {
		r, err := registry.ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		return &experiment.Use{Ref: r}
	}
	v := validation{limit: limit{1 << 20, "--memory allows %s"}, needs: map[string]int64{}}
	m := stageMemory{stage: "train", parts: []memoryPart{{ref("task/multitask"), 1 << 30, []string{"n_trials", "n_timesteps"}}, {ref("model/gru"), 5 << 30, []string{"hidden", "batch_size"}}}}
	if v.affordable(m) || len(v.problems) != 1 || !strings.Contains(v.problems[0].Hint, "hidden, batch_size; and on n_trials, n_timesteps of task/multitask") {
		t.Errorf("problems %q", v.problems)
	}
	// Where the model's parameters have no part in it, the task's first is where to begin.
	v.problems, m.parts[1].params = nil, nil
	if v.affordable(m) || len(v.problems) != 1 || !strings.HasSuffix(v.problems[0].Path, "n_trials") || v.problems[0].Hint != "it depends on n_trials, n_timesteps" ||
		!strings.Contains(v.problems[0].Message, "5.0 GiB of it for model/gru") {
		t.Errorf("problems %q", v.problems)
	}
	// Where no parameter has a part in it, the trials are what there is too much of.
	v.problems, m.parts[0].params = nil, nil
	if v.affordable(m) || len(v.problems) != 1 || !strings.HasPrefix(v.problems[0].Hint, "the sizes of its data decide") {
		t.Errorf("problems %q", v.problems)
	}
}
