package artifact

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

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

// Run is a run's folder. It is read when it is opened; what is added later is not seen.
type Run struct {
	dir    string
	stages []Stage
}

// Stage is a stage's folder within a run.
type Stage struct {
	// Name is "train", "simulate", "fit/LABEL" or "compare/LABEL"; Kind is what stands before the slash.
	Name, Kind, Label string
	Dir               string
	Record            Record
}

// OpenRun opens a run's folder: one that has an experiment.yaml, a provenance.json or at least one stage with a record.json. The folder
// may have been moved or copied. A record that cannot be read is an error.
func OpenRun(dir string) (*Run, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("artifact: %s is not a run's folder: a folder with %s is needed", dir, ExperimentFile)
	}
	r := &Run{dir: dir}
	for _, kind := range []string{TrainStage, SimulateStage} {
		if err := r.add(kind, kind, ""); err != nil {
			return nil, err
		}
	}
	for _, kind := range []string{FitStage, CompareStage} {
		labels, err := os.ReadDir(filepath.Join(dir, kind))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("artifact: %w", err)
		}
		for _, l := range labels {
			if l.IsDir() {
				if err := r.add(kind+"/"+l.Name(), kind, l.Name()); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(r.stages) == 0 && !exists(filepath.Join(dir, ExperimentFile)) && !exists(filepath.Join(dir, ProvenanceFile)) {
		return nil, fmt.Errorf("artifact: %s is not a run's folder: it has no %s, no %s and no stages", dir, ExperimentFile, ProvenanceFile)
	}
	return r, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// add adds a stage if it has a record.
func (r *Run) add(name, kind, label string) error {
	dir := filepath.Join(r.dir, filepath.FromSlash(name))
	record, err := ReadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.stages = append(r.stages, Stage{Name: name, Kind: kind, Label: label, Dir: dir, Record: record})
	return nil
}

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

// Provenance reads provenance.json. Where there is none the error wraps fs.ErrNotExist.
func (r *Run) Provenance() (Provenance, error) { return ReadProvenance(r.dir) }

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

// RunSummary is a line in a list of runs.
type RunSummary struct {
	Dir string
	// Name and Status are those of the provenance; empty where there is none.
	Name, Status      string
	Started, Finished time.Time
	// Stages are the names of the complete stages.
	Stages []string
	// Err says what is wrong with the folder.
	Err error
}

// ListRuns lists the runs in the folders of root, newest first. Folders that are not runs are left out, those with broken files have Err set. A root
// that does not exist has no runs.
func ListRuns(root string) ([]RunSummary, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	var out []RunSummary
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if !exists(filepath.Join(dir, ExperimentFile)) && !exists(filepath.Join(dir, ProvenanceFile)) {
			continue
		}
		out = append(out, summarizeRun(dir))
	}
	slices.SortStableFunc(out, func(a, b RunSummary) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.Dir, a.Dir))
	})
	return out, nil
}

func summarizeRun(dir string) RunSummary {
	s := RunSummary{Dir: dir}
	p, err := ReadProvenance(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Err = err
	}
	s.Name, s.Status, s.Started, s.Finished = p.Name, p.Status, p.Started, p.Finished
	r, err := OpenRun(dir)
	if err != nil {
		s.Err = errors.Join(s.Err, err)
		return s
	}
	for _, stage := range r.stages {
		s.Stages = append(s.Stages, stage.Name)
	}
	return s
}
