package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The kinds of stage, in the order in which they are done.
const (
	TrainStage    = "train"
	SimulateStage = "simulate"
	FitStage      = "fit"
	CompareStage  = "compare"
)

// Run is a run's folder, or a study's. It is read when it is opened; what is added later is not seen.
type Run struct {
	dir      string
	stages   []Stage
	study    *Study
	problems []error
}

// Stage is a stage's folder within a run.
type Stage struct {
	// Name is "train", "simulate", "fit/LABEL" or "compare/LABEL"; Kind is what stands before the slash.
	Name, Kind, Label string
	Dir               string
	Record            Record
}

// OpenRun opens a run's folder: one that has an experiment.yaml, a study.json, a provenance or at least one stage with a record.json. The folder
// may have been moved or copied. A stage whose record cannot be read is left out, see [Run.Problems]; a study.json that cannot be read is an error.
func OpenRun(dir string) (*Run, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("artifact: %s is not a run's folder: a folder with %s is needed", dir, ExperimentFile)
	}
	r := &Run{dir: dir}
	study, err := ReadStudy(dir)
	switch {
	case err == nil:
		r.study = &study
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, kind := range []string{TrainStage, SimulateStage} {
		r.add(kind, kind, "")
	}
	for _, kind := range []string{FitStage, CompareStage} {
		labels, err := os.ReadDir(filepath.Join(dir, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.problems = append(r.problems, fmt.Errorf("artifact: %w", err))
		}
		for _, l := range labels {
			if l.IsDir() {
				r.add(kind+"/"+l.Name(), kind, l.Name())
			}
		}
	}
	if len(r.stages) == 0 && len(r.problems) == 0 && r.study == nil && !isRun(dir) {
		return nil, fmt.Errorf("artifact: %s is not a run's folder: it has no %s, no %s and no stages", dir, ExperimentFile, ProvenanceFile)
	}
	return r, nil
}

// isRun reports whether a folder has what the host writes first.
func isRun(dir string) bool {
	return exists(filepath.Join(dir, ExperimentFile)) || exists(filepath.Join(dir, ProvenanceFile)) || exists(filepath.Join(dir, StudyFile)) || len(shardFiles(dir)) > 0
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// add adds a stage if it has a record.
func (r *Run) add(name, kind, label string) {
	dir := filepath.Join(r.dir, filepath.FromSlash(name))
	record, err := ReadRecord(dir)
	switch {
	case err == nil:
		r.stages = append(r.stages, Stage{Name: name, Kind: kind, Label: label, Dir: dir, Record: record})
	case !errors.Is(err, fs.ErrNotExist):
		r.problems = append(r.problems, &StageError{name, kind, err})
	}
}

// StageError is a stage whose record cannot be read.
type StageError struct {
	Name, Kind string
	Err        error
}

func (e *StageError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap is what is wrong with the record.
func (e *StageError) Unwrap() error { return e.Err }

// Problems are the stages that are not listed because their records cannot be read.
func (r *Run) Problems() []error { return slices.Clone(r.problems) }

// Dir is the run's folder.
func (r *Run) Dir() string { return r.dir }

// Experiment reads the resolved experiment.
func (r *Run) Experiment() ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(r.dir, ExperimentFile))
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	return b, nil
}

// Provenance reads provenance.json; of a study that was run in shards, what its provenance-I-of-N.json say together. Where there is none the error
// wraps fs.ErrNotExist.
func (r *Run) Provenance() (Provenance, error) {
	all, err := readProvenances(r.dir)
	if err != nil {
		return Provenance{}, err
	}
	return JoinProvenances(all), nil
}

// Status is that of the provenance, "" where there is none that can be read. Where it says "running" and no host holds the folder's lock, it is
// "killed". A study that was run in shards is "incomplete" where all that were run are done and points are lacking.
func (r *Run) Status() string { return folderStatus(r.dir, r.study) }

// Results reads the run's results.json. Where there is none the error wraps fs.ErrNotExist.
func (r *Run) Results() (Results, error) { return ReadResults(r.dir) }

// Stages lists the stages that are complete: train, simulate, fits and comparisons, the latter by name.
func (r *Run) Stages() []Stage { return slices.Clone(r.stages) }

// Stage finds a stage by its name, e.g. "fit/gru-64".
func (r *Run) Stage(name string) (Stage, bool) {
	i := slices.IndexFunc(r.stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return Stage{}, false
	}
	return r.stages[i], true
}

// Path is where a file of the stage is, or would be.
func (s Stage) Path(file string) string { return filepath.Join(s.Dir, file) }

// Has reports whether the stage has a file.
func (s Stage) Has(file string) bool { return exists(s.Path(file)) }

// Check compares a file of the stage with its checksum in [SumsFile]: libhdf5 may crash on a file that is damaged, so it is checked first. A file that differs,
// is missing or is not in the list is a *[SumsError]; where there is no list, and where the stage never had the file, the error wraps fs.ErrNotExist.
func (s Stage) Check(file string) error {
	sums, err := ReadSums(s.Dir)
	if err != nil {
		return err
	}
	want, listed := sums[file]
	if !listed && !s.Has(file) {
		return fmt.Errorf("artifact: %s: %w", s.Path(file), fs.ErrNotExist)
	}
	if !listed {
		return &SumsError{Dir: s.Dir, Extra: []string{file}}
	}
	switch got, err := HashFile(s.Path(file)); {
	case errors.Is(err, fs.ErrNotExist):
		return &SumsError{Dir: s.Dir, Missing: []string{file}}
	case err != nil:
		return err
	case got != want:
		return &SumsError{Dir: s.Dir, Changed: []string{file}}
	}
	return nil
}

// Metrics reads metrics.jsonl. Where a stage lacks the file, the errors of this and the following methods wrap fs.ErrNotExist.
func (s Stage) Metrics() ([]component.Metric, error) { return ReadMetrics(s.Dir) }

// Figures reads figures/*.json; none is not an error.
func (s Stage) Figures() ([]component.Figure, error) { return ReadFigures(s.Dir) }

// Score reads score.json.
func (s Stage) Score() (task.Score, error) { return ReadScore(s.Dir) }

// Results reads results.json.
func (s Stage) Results() (Results, error) { return ReadResults(s.Dir) }

// Weights reads weights.safetensors.
func (s Stage) Weights() (tensor.Set, error) {
	set, _, err := ReadWeights(s.Path(WeightsFile))
	return set, err
}

// Dataset opens dataset.h5.
func (s Stage) Dataset() (*Dataset, error) { return OpenDataset(s.Path(DatasetFile)) }

// Arrays opens one of rollout.h5, inferred.h5 and matrices.h5.
func (s Stage) Arrays(file string) (*Arrays, error) { return OpenArrays(s.Path(file)) }
