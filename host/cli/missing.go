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
	// run is the folder's, prov its provenance.
	run  *artifact.Run
	prov artifact.Provenance
	what string
	// results is true where `report` brings it back; else the run itself does.
	results bool
}

// gaps are those of a single run, or of a study's point, that is not being written.
func gaps(run *artifact.Run, prov artifact.Provenance) []gap {
	var out []gap
	add := func(results bool, format string, args ...any) {
		out = append(out, gap{run, prov, fmt.Sprintf(format, args...), results})
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

// allGaps are those of a folder that is not being written: of a study those of its points.
func allGaps(run *artifact.Run, prov artifact.Provenance) []gap {
	if run.Status() == runRunning {
		return nil
	}
	if _, study := run.Study(); !study {
		return gaps(run, prov)
	}
	var out []gap
	for _, q := range run.Points() {
		if q.Run == nil {
			continue // the study says what has become of it
		}
		if prov, err := q.Run.Provenance(); err == nil || errors.Is(err, fs.ErrNotExist) {
			out = append(out, gaps(q.Run, prov)...)
		}
	}
	return out
}

// sayGaps says on the error writer what folders lack, and how to get it back; whole is the folder that was asked for.
func (p Program) sayGaps(whole *artifact.Run, all []gap) {
	results := false
	var commands []string
	asked := map[*artifact.Run]bool{}
	for i, g := range all {
		if i < mostMissing {
			fmt.Fprintf(p.Err, "%s: %s\n", g.run.Dir(), g.what)
		}
		results = results || g.results
		if g.results || asked[g.run] {
			continue
		}
		asked[g.run] = true
		if command := goesOn(g.run, g.prov); command != "" && !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	if n := len(all) - mostMissing; n > 0 {
		fmt.Fprintf(p.Err, "and %d more\n", n)
	}
	if results {
		fmt.Fprintf(p.Err, "`%s` writes the results again, of what the comparisons have\n", again([]string{"ctdb-host", "report", whole.Dir()}, true, ""))
	}
	for _, command := range commands {
		fmt.Fprintf(p.Err, "`%s` makes what is missing again: what is stored is not computed anew\n", command)
	}
}

// gapsJSON is what `show --json` says of them.
func gapsJSON(all []gap) []map[string]string {
	out := []map[string]string{}
	for _, g := range all {
		out = append(out, map[string]string{"folder": g.run.Dir(), "what": g.what})
	}
	return out
}

// goesOn is the command line that goes on with a run in its folder, or with the study that it is a point of: the one that it was begun with, of the shard that the point was in, or where that is
// not known its own experiment. Without a provenance the folder is not known as that of a run, and another is named; it is empty where there is nothing to run either.
func goesOn(run *artifact.Run, prov artifact.Provenance) string {
	dir := run.Dir()
	if prov.Point != nil || prov.Name == "" { // or is gone
		shard := prov.Shard
		prov = artifact.Provenance{}
		if study := studyAround(dir); study != nil {
			dir = study.Dir()
			prov, _ = study.Provenance() // what cannot be read is as if it were not there
			// The study's command is that of its newest shard, which need not be the point's; without any all points are gone over.
			if whole := without(prov.Command, "shard"); len(whole) < len(prov.Command) {
				if prov.Command = whole; shard != "" {
					prov.Command = append(prov.Command, "--shard", shard)
				}
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
	// The folder's own parents, also where it was named by "." or with a slash at its end.
	if abs, err := filepath.Abs(dir); err != nil || filepath.Base(filepath.Dir(abs)) != artifact.PointsDir {
		return nil
	}
	study, err := artifact.OpenRun(filepath.Join(dir, "..", ".."))
	if err != nil {
		return nil
	}
	return study
}
