package pipeline

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// simulatedFrom is the experiment's task with the trials that its data set was simulated from, where the file is one that a run has made of the very network that the
// experiment loads, on this task. It is nil where that is not so, or not known: then the file is data like any other.
func simulatedFrom(e *experiment.Experiment, on use) *use {
	if e.Train == nil || e.Train.Load == "" || filepath.Base(e.Simulate.Dataset) != artifact.DatasetFile {
		return nil
	}
	rec, err := artifact.ReadRecord(filepath.Dir(e.Simulate.Dataset))
	if err != nil || rec.Stage != artifact.SimulateStage || len(otherTask(rec, e.Task)) > 0 {
		return nil
	}
	trained, err := artifact.ReadRecord(e.Train.Load)
	if err != nil || !sameModel(trained, rec) {
		return nil
	}
	weights, err := artifact.HashFile(filepath.Join(e.Train.Load, artifact.WeightsFile))
	if err != nil || weights != rec.Inputs["weights"] {
		return nil
	}
	of, known := rec.Keyed("task")
	if !known {
		return nil
	}
	given := param.Values{}
	for path, text := range rec.KeyParts {
		name, ok := strings.CutPrefix(path, "settings.trials.")
		if !ok {
			continue
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			return nil
		}
		given[name] = v
	}
	whole, problems := on.found.Params.Resolve(merged(on.params, given))
	if len(problems) > 0 {
		return nil
	}
	on.seed, on.overlay = of.Seed, param.Values{}
	for name := range given {
		on.overlay[name] = whole[name]
	}
	return &on
}

// sameModel reports whether the model of two records is one component with one set of parameters.
func sameModel(a, b artifact.Record) bool {
	one, known := a.Keyed("model")
	other, too := b.Keyed("model")
	return known && too && one.Component == other.Component && maps.Equal(one.Params, other.Params)
}
