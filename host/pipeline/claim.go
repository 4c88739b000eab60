package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

// ErrFolder is wrapped by the error of a run into a folder that holds something else.
var ErrFolder = errors.New("pipeline: run folder")

// claim makes the run's folder, or takes over that of an earlier run, and locks it.
func (x Run) claim(ctx context.Context, g *Graph) (*folders, error) {
	// Nothing is written into a folder that holds something else, not even a lock.
	old, err := x.inspect()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(x.Out, 0o777); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	f := newFolders(x, g)
	f.displaced = x.displaces(ctx, g, old)
	if x.shard() == "" {
		unlock, err := artifact.LockRun(x.Out)
		if err != nil {
			return nil, err
		}
		f.unlock = unlock
		if err := x.takeOver(); err != nil {
			return nil, errors.Join(err, unlock())
		}
		return f, nil
	}
	unlock, err := x.join(ctx)
	if err != nil {
		return nil, err
	}
	f.unlock = unlock
	if err := removeFolder(f.liveDir()); err != nil {
		return nil, errors.Join(err, unlock())
	}
	return f, nil
}

// join takes the shard's place in the folder beside others that may be running.
func (x Run) join(ctx context.Context) (unlock func() error, err error) {
	done, err := artifact.LockStudy(ctx, x.Out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	alone, err := artifact.LockRun(x.Out)
	switch {
	case err == nil:
		if err := errors.Join(x.takeOver(), alone()); err != nil {
			return nil, err
		}
	case !errors.Is(err, artifact.ErrRunLocked):
		return nil, err
	default:
		old, inspectErr := x.inspect()
		if inspectErr != nil {
			return nil, inspectErr
		}
		if old == nil || !sameStudy(*old, studyRecord(x.Study)) {
			return nil, fmt.Errorf("%w: %s: another host is running a study there that has other points or does something else at them: choose another folder", ErrFolder, x.Out)
		}
	}
	return artifact.LockShard(x.Out, x.Shard)
}

// takeOver makes the folder, which nobody else writes into, that of this study.
func (x Run) takeOver() error {
	old, err := x.inspect()
	if err != nil {
		return err
	}
	if err := sweep(x.Out); err != nil {
		return err
	}
	live, err := artifact.LiveDirs(x.Out)
	if err != nil {
		return err
	}
	for _, dir := range live {
		if err := removeFolder(dir); err != nil {
			return err
		}
	}
	if !x.isStudy() {
		if old != nil {
			if err := dropPoints(x.Out, old.Points); err != nil {
				return err
			}
			return remove(filepath.Join(x.Out, artifact.StudyFile))
		}
		return nil
	}
	now := studyRecord(x.Study)
	if old != nil && sameStudy(*old, now) {
		// One of before there were checksums of points has them from now on.
		if err := now.Write(x.Out); err != nil {
			return err
		}
		return artifact.WriteFile(filepath.Join(x.Out, artifact.ExperimentFile), x.Study.YAML())
	}
	if err := clearRun(x.Out); err != nil {
		return err
	}
	if old != nil {
		if err := dropPoints(x.Out, otherPoints(old.Points, now.Points)); err != nil {
			return err
		}
		// What shards did, they did for the other study.
		if err := dropShards(x.Out); err != nil {
			return err
		}
	}
	if err := now.Write(x.Out); err != nil {
		return err
	}
	return artifact.WriteFile(filepath.Join(x.Out, artifact.ExperimentFile), x.Study.YAML())
}

// inspect returns the study that is in the folder already; nil where there is none. The error says why the folder will not do.
func (x Run) inspect() (*artifact.Study, error) {
	entries, err := os.ReadDir(x.Out)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		return strings.HasPrefix(e.Name(), artifact.LockFile) || litter.MatchString(e.Name())
	})
	if len(entries) == 0 {
		return nil, nil
	}
	name := ""
	study, err := artifact.ReadStudy(x.Out)
	if err == nil {
		name = study.Name
	} else {
		p, err := artifact.ReadProvenance(x.Out)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is not empty and holds no run: choose another", ErrFolder, x.Out)
		}
		name = p.Name
	}
	if name != x.Study.Name {
		return nil, fmt.Errorf("%w: %s holds a run of %q, not of %q: choose another", ErrFolder, x.Out, name, x.Study.Name)
	}
	folder, absErr := filepath.Abs(x.Out)
	if absErr != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, absErr)
	}
	for path := range x.loads() {
		if rel, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%w: %s holds %s, which the experiment loads: choose another", ErrFolder, x.Out, rel)
		}
	}
	if err != nil {
		return nil, nil
	}
	return &study, nil
}

// loads are the paths that the points load from or begin with, absolute.
func (x Run) loads() map[string]bool {
	out := map[string]bool{}
	for _, p := range x.Study.Points {
		e := p.Experiment
		if e.Train != nil {
			out[e.Train.Load], out[e.Train.From] = true, true
		}
		if e.Simulate != nil {
			out[e.Simulate.Dataset] = true
		}
		for _, f := range e.Fit {
			out[f.Load], out[f.From] = true, true
		}
	}
	delete(out, "")
	return out
}

// studyRecord is a study as its folder has it.
func studyRecord(s *experiment.Study) artifact.Study {
	out := artifact.Study{Name: s.Name}
	for _, a := range s.Axes {
		out.Axes = append(out.Axes, artifact.StudyAxis{Path: a.Path, Label: a.Label, Values: a.Values})
	}
	for _, p := range s.Points {
		out.Points = append(out.Points, artifact.StudyPoint{Name: p.Name, Index: p.Index, Values: p.Values, Experiment: p.Experiment.Digest()})
	}
	return out
}

// sameStudy reports whether two studies have the same points in the same order, and do the same there.
func sameStudy(a, b artifact.Study) bool {
	name := func(s artifact.Study) (out []string) {
		for _, a := range s.Axes {
			out = append(out, a.Path)
		}
		for _, p := range s.Points {
			out = append(out, p.Name)
		}
		return append(out, s.Name)
	}
	return slices.Equal(name(a), name(b)) && len(otherPoints(a.Points, b.Points)) == 0
}

// otherPoints are the points of one study that another has not, or at which it does something else.
func otherPoints(of, in []artifact.StudyPoint) []artifact.StudyPoint {
	same := map[string]string{}
	for _, p := range in {
		same[p.Name] = p.Experiment
	}
	var out []artifact.StudyPoint
	for _, p := range of {
		if experiment, ok := same[p.Name]; !ok || p.Experiment != experiment && p.Experiment != "" && experiment != "" {
			out = append(out, p)
		}
	}
	return out
}

// litter is what a host leaves in a run's folder that is killed while it writes a file there.
var litter = regexp.MustCompile(`^\.(experiment\.yaml|study\.json|provenance[-0-9of]*\.json|results\.(json|csv)|report\.html)[0-9]+$`)

// sweep removes litter.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && litter.MatchString(e.Name()) {
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// clearRun removes what an earlier run linked into its folder, and what was made of it; the store has the stages still. Other files are let be.
func clearRun(dir string) error {
	stages := []string{artifact.TrainStage, artifact.SimulateStage}
	kinds := []string{artifact.FitStage, artifact.CompareStage}
	for _, kind := range kinds {
		labels, err := os.ReadDir(filepath.Join(dir, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("pipeline: run folder: %w", err)
		}
		for _, l := range labels {
			stages = append(stages, filepath.Join(kind, l.Name()))
		}
	}
	for _, name := range []string{artifact.ResultsFile, artifact.ResultsTable, artifact.ReportFile} {
		if err := remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, stage := range stages {
		if err := clearStage(filepath.Join(dir, stage)); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		_ = os.Remove(filepath.Join(dir, kind)) // where it is empty
	}
	return nil
}

// clearStage removes the files of a stage, of which some may be missing, and their list last, so that it can be done again where it is cut short.
func clearStage(dir string) error {
	sums, err := artifact.ReadSums(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, artifact.ErrSums) {
		return err
	}
	folders := map[string]bool{}
	for name := range sums {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := remove(path); err != nil {
			return err
		}
		if parent := filepath.Dir(path); parent != dir {
			folders[parent] = true
		}
	}
	if err := remove(filepath.Join(dir, artifact.SumsFile)); err != nil {
		return err
	}
	for f := range folders {
		_ = os.Remove(f) // where it is empty
	}
	_ = os.Remove(dir)
	return nil
}

// dropPoints removes the folders of points that are no longer in a study, but for files that no run put there.
func dropPoints(out string, points []artifact.StudyPoint) error {
	for _, p := range points {
		dir := artifact.PointDir(out, p.Name)
		if err := clearRun(dir); err != nil {
			return err
		}
		for _, name := range []string{artifact.ExperimentFile, artifact.ProvenanceFile, artifact.LockFile} {
			if err := remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
		_ = os.Remove(dir) // where it is empty
	}
	_ = os.Remove(filepath.Join(out, artifact.PointsDir))
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pipeline: run folder: %w", err)
	}
	return nil
}

func removeFolder(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("pipeline: run folder: %w", err)
	}
	return nil
}
