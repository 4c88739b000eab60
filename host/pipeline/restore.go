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
	if _, study := run.Study(); study || len(lacking(run)) == 0 {
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
	// A host that was writing until now may have left more.
	if run, err = artifact.OpenRun(run.Dir()); err != nil {
		return nil, err
	}
	prov, err := run.Provenance()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	written = lacking(run)
	whole, unread := run.Results()
	names := comparisons(run, prov)
	ended := prov.Status == statusDone || prov.Status == statusFailed || prov.Status == statusInterrupted
	switch {
	case len(written) == 0, len(names) == 0 && !ended:
		return nil, nil
	case unread == nil:
		return written, whole.WriteTable(run.Dir(), nil)
	case len(Lost(run, prov)) > 0:
		return nil, nil
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

// lacking are the names of the files of results that are missing or cannot be read.
func lacking(run *artifact.Run) []string {
	var out []string
	if _, err := run.Results(); err != nil {
		out = append(out, artifact.ResultsFile)
	}
	if _, err := os.Stat(filepath.Join(run.Dir(), artifact.ResultsTable)); errors.Is(err, fs.ErrNotExist) {
		out = append(out, artifact.ResultsTable)
	}
	return out
}

// Lost are the comparisons that a run made, by its provenance, and whose folders are gone or cannot be read: without them its results cannot be written again. Where there is no provenance any
// more they are those of its experiment, whether they were made or not.
func Lost(run *artifact.Run, prov artifact.Provenance) []string {
	var made []string
	for _, s := range prov.Stages {
		if s.Status == statusDone && strings.HasPrefix(s.Stage, artifact.CompareStage+"/") {
			made = append(made, s.Stage)
		}
	}
	if prov.Status == "" {
		made = asked(run)
	}
	return slices.DeleteFunc(made, func(name string) bool { _, ok := run.Stage(name); return ok })
}

// asked are the stages of the comparisons in a run's experiment, in its order; none where it cannot be read.
func asked(run *artifact.Run) []string {
	text, err := run.Experiment()
	if err != nil {
		return nil
	}
	study, err := experiment.Parse(filepath.Join(run.Dir(), artifact.ExperimentFile), text, nil)
	if err != nil {
		return nil
	}
	var out []string
	for _, c := range study.Points[0].Experiment.Compare {
		out = append(out, artifact.CompareStage+"/"+c.Name)
	}
	return out
}

// comparisons are the labels of a run's comparisons in the order of its experiment; where that is not known, in that of its provenance, and the others by name.
func comparisons(run *artifact.Run, prov artifact.Provenance) []string {
	order := asked(run)
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
