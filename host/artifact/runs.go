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
)

// RunSummary is a line in a list of runs.
type RunSummary struct {
	Dir string
	// Name is that of the provenance, or of the study; Status is as of [Run.Status].
	Name, Status      string
	Started, Finished time.Time
	// Stages are the names of the complete stages; a study's are in its points.
	Stages []string
	// Points is the number of a study's points, 0 for a single run; Done of them are, Failed of them failed or are damaged.
	Points, Done, Failed int
	// Err says what is wrong with the folder.
	Err error
}

// ListRuns lists the runs and studies in the folders of root, newest first. Folders that are neither are left out, those with broken files have Err set.
// A root that does not exist has no runs.
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
		if dir := filepath.Join(root, e.Name()); isRun(dir) {
			out = append(out, summarizeRun(dir))
		}
	}
	slices.SortStableFunc(out, func(a, b RunSummary) int {
		return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(b.Dir, a.Dir))
	})
	return out, nil
}

func summarizeRun(dir string) RunSummary {
	s := RunSummary{Dir: dir}
	r, err := OpenRun(dir)
	if err != nil {
		s.Err = err
		return s
	}
	p, err := r.Provenance()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Err = err
	}
	s.Err = errors.Join(append([]error{s.Err}, r.problems...)...)
	s.Name, s.Status, s.Started, s.Finished = p.Name, r.Status(), p.Started, p.Finished
	if r.study != nil {
		s.Name, s.Points = r.study.Name, len(r.study.Points)
		for _, p := range r.study.Points {
			switch state, _ := pointState(PointDir(dir, p.Name)); state {
			case PointDone:
				s.Done++
			case PointFailed, PointDamaged:
				s.Failed++
			}
		}
	}
	for _, stage := range r.stages {
		s.Stages = append(s.Stages, stage.Name)
	}
	return s
}
