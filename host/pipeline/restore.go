package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

// Restore writes the results of a single run's folder, or of that of a study's point, again where they are missing or cannot be read: of what its comparisons have. It returns the names of
// the files that it wrote; none where nothing was missing, where the run did not come to have any, where a comparison is [Lost], or where a host is writing there.
func Restore(run *artifact.Run) (written []string, err error) {
	if _, study := run.Study(); study {
		return nil, nil
	}
	if _, err := run.Results(); err != nil {
		written = append(written, artifact.ResultsFile)
	}
	if _, err := os.Stat(filepath.Join(run.Dir(), artifact.ResultsTable)); errors.Is(err, fs.ErrNotExist) {
		written = append(written, artifact.ResultsTable)
	}
	if len(written) == 0 {
		return nil, nil
	}
	whole, unread := run.Results()
	prov, err := run.Provenance()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if unread != nil && len(Lost(run, prov)) > 0 {
		return nil, nil
	}
	names := comparisons(run, prov)
	if ended := prov.Status == statusDone || prov.Status == statusFailed || prov.Status == statusInterrupted; len(names) == 0 && !ended {
		return nil, nil
	}
	unlock, err := artifact.LockRun(run.Dir())
	if errors.Is(err, artifact.ErrRunLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if unread == nil {
		return written, whole.WriteTable(run.Dir(), nil)
	}
	var all artifact.Results
	for _, name := range names {
		st, _ := run.Stage(artifact.CompareStage + "/" + name)
		r, err := st.Results()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.Name, err)
		}
		for i := range r.Metrics {
			r.Metrics[i].Point = prov.Point
		}
		all.Add(r)
	}
	if err := writeResults(run.Dir(), all, nil); err != nil {
		return nil, err
	}
	return written, nil
}

// Lost are the comparisons that a run made, by its provenance, and whose folders are gone or cannot be read: without them its results cannot be written again.
func Lost(run *artifact.Run, prov artifact.Provenance) []string {
	var out []string
	for _, s := range prov.Stages {
		if _, ok := run.Stage(s.Stage); !ok && s.Status == statusDone && strings.HasPrefix(s.Stage, artifact.CompareStage+"/") {
			out = append(out, s.Stage)
		}
	}
	return out
}

// comparisons are the labels of a run's comparisons in the order of its experiment; where that is not known, in that of its provenance, and the others by name.
func comparisons(run *artifact.Run, prov artifact.Provenance) []string {
	var order []string
	if text, err := run.Experiment(); err == nil {
		if study, err := experiment.Parse(filepath.Join(run.Dir(), artifact.ExperimentFile), text, nil); err == nil {
			for _, c := range study.Points[0].Experiment.Compare {
				order = append(order, artifact.CompareStage+"/"+c.Name)
			}
		}
	}
	for _, s := range prov.Stages {
		order = append(order, s.Stage)
	}
	for _, st := range run.Stages() {
		order = append(order, st.Name)
	}
	var out []string
	for _, name := range order {
		if st, ok := run.Stage(name); ok && st.Kind == artifact.CompareStage && !slices.Contains(out, st.Label) {
			out = append(out, st.Label)
		}
	}
	return out
}
