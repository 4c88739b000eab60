package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/pipeline"
)

// gap is what a run's folder should have and has not, or what of it cannot be read.
type gap struct {
	what string
	// results is true where `report` brings it back; else the run itself does.
	results bool
}

// gaps are those of a single run, or of a study's point, that is not being written.
func gaps(run *artifact.Run, prov artifact.Provenance) []gap {
	var out []gap
	add := func(results bool, format string, args ...any) {
		out = append(out, gap{fmt.Sprintf(format, args...), results})
	}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(run.Dir(), name))
		return !errors.Is(err, fs.ErrNotExist)
	}
	for _, name := range []string{artifact.ExperimentFile, artifact.ProvenanceFile} {
		if !has(name) {
			add(false, "%s is missing", name)
		}
	}
	for _, s := range prov.Stages {
		if _, ok := run.Stage(s.Stage); !ok && s.Status == "done" && !unreadable(run, s.Stage) {
			add(false, "%s is missing, which was done", filepath.FromSlash(s.Stage))
		}
	}
	for _, err := range run.Problems() {
		add(false, "%s", bareError(err))
	}
	compared := false
	for _, st := range run.Stages() {
		compared = compared || st.Kind == artifact.CompareStage
		sums, err := artifact.ReadSums(st.Dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			add(false, "%s: %s is missing", st.Name, artifact.SumsFile)
		case err != nil:
			add(false, "%s: %s", st.Name, bareError(err))
		}
		var lost []string
		for name := range sums {
			if !st.Has(filepath.FromSlash(name)) {
				lost = append(lost, name)
			}
		}
		if slices.Sort(lost); len(lost) > 0 {
			add(false, "%s: %s missing", st.Name, areOrIs(lost))
		}
	}
	if !compared && prov.Finished.IsZero() {
		return out // it did not come to have results
	}
	_, err := run.Results()
	// Of less than there was `report` writes nothing.
	whole := err == nil || len(pipeline.Lost(run, prov)) == 0
	switch {
	case errors.Is(err, fs.ErrNotExist):
		add(whole, "%s is missing", artifact.ResultsFile)
	case err != nil:
		add(whole, "%s", strings.TrimPrefix(bareError(err), run.Dir()+string(filepath.Separator)))
	}
	if !has(artifact.ResultsTable) {
		add(whole, "%s is missing", artifact.ResultsTable)
	}
	return out
}

// unreadable reports whether a stage is among a run's problems.
func unreadable(run *artifact.Run, stage string) bool {
	return slices.ContainsFunc(run.Problems(), func(err error) bool {
		var broken *artifact.StageError
		return errors.As(err, &broken) && broken.Name == stage
	})
}

func areOrIs(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return few(names) + " are"
}

func wereOrWas(names []string) string {
	if len(names) == 1 {
		return names[0] + " was"
	}
	return few(names) + " were"
}

// sayGaps says on the error writer what a run's folder lacks, and how to get it back.
func (p Program) sayGaps(run *artifact.Run, prov artifact.Provenance, all []gap) {
	results, others := false, false
	for _, g := range all {
		fmt.Fprintf(p.Err, "%s: %s\n", run.Dir(), g.what)
		results, others = results || g.results, others || !g.results
	}
	if results {
		fmt.Fprintf(p.Err, "`%s` writes the results again, of what the comparisons have\n", again([]string{"ctdb-host", "report", run.Dir()}, true, ""))
	}
	if command := goesOn(run, prov); others && command != "" {
		fmt.Fprintf(p.Err, "`%s` makes what is missing again: what is stored is not computed anew\n", command)
	}
}

// goesOn is the command line that goes on with a run in its folder, or with the study that it is a point of: the one that it was begun with, of the shard that the point was in, or where that is
// not known its own experiment. Without a provenance the folder is not known as that of a run, and another is named; it is empty where there is nothing to run either.
func goesOn(run *artifact.Run, prov artifact.Provenance) string {
	dir := run.Dir()
	if prov.Point != nil {
		shard := prov.Shard
		prov = artifact.Provenance{}
		if study := studyAround(dir); study != nil {
			dir = study.Dir()
			prov, _ = study.Provenance() // what cannot be read is as if it were not there
			if whole := without(prov.Command, "shard"); shard != "" && len(whole) < len(prov.Command) {
				prov.Command = append(whole, "--shard", shard)
			}
		}
	}
	if len(prov.Command) > 1 {
		return again(without(without(prov.Command, "out"), "o"), false, dir)
	}
	file, out := filepath.Join(dir, artifact.ExperimentFile), dir
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	if _, err := os.Stat(filepath.Join(dir, artifact.ProvenanceFile)); err != nil {
		out = dir + "-again"
	}
	return again([]string{"ctdb-host", "run", file}, false, out)
}

// studyAround is the run in whose points a folder lies; nil where it lies elsewhere, as a copy does.
func studyAround(dir string) *artifact.Run {
	dir, err := filepath.Abs(dir) // whose parents are those of the folder, where it was named by "." or with a slash at its end
	if err != nil || filepath.Base(filepath.Dir(dir)) != artifact.PointsDir {
		return nil
	}
	study, err := artifact.OpenRun(filepath.Dir(filepath.Dir(dir)))
	if err != nil {
		return nil
	}
	return study
}
