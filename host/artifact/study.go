package artifact

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The names in the folder of a study: PointsDir holds a run's folder for each point.
const (
	StudyFile = "study.json"
	PointsDir = "points"
)

// Study is the contents of study.json: every point of the product of its axes, also those that another host is to run.
type Study struct {
	Name   string       `json:"name"`
	Axes   []StudyAxis  `json:"axes"`
	Points []StudyPoint `json:"points"`
}

// StudyAxis is one thing that a study varies.
type StudyAxis struct {
	// Path is "seed" or an override's path, e.g. "fit.gru-64.params.latent"; Label its shortest tail that no other axis has, e.g. "latent".
	Path  string `json:"path"`
	Label string `json:"label"`
	// Values in the experiment's order: bool, int64, uint64, float64, string, []any or map[string]any. Read back, whole floats are int64.
	Values []any `json:"values"`
}

// StudyPoint is one combination of values.
type StudyPoint struct {
	// Name is the point's folder within [PointsDir].
	Name string `json:"name"`
	// Index is its place in the product, from 0.
	Index int `json:"index"`
	// Values has one value for the path of each axis.
	Values map[string]any `json:"values"`
	// Experiment is a checksum of what is done at the point, by which studies of the same points are told apart; empty in folders of before there was one.
	Experiment string `json:"experiment,omitempty"`
}

// Write writes DIR/study.json.
func (s Study) Write(dir string) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("artifact: study %q: %w", s.Name, err)
	}
	out := Study{Name: s.Name, Axes: make([]StudyAxis, len(s.Axes)), Points: make([]StudyPoint, len(s.Points))}
	for i, a := range s.Axes {
		a.Values, _ = finite(a.Values).([]any)
		out.Axes[i] = a
	}
	for i, p := range s.Points {
		p.Values, _ = finite(p.Values).(map[string]any)
		out.Points[i] = p
	}
	return WriteJSON(filepath.Join(dir, StudyFile), out)
}

// ReadStudy reads DIR/study.json. Where there is none the error wraps fs.ErrNotExist.
func ReadStudy(dir string) (Study, error) {
	var s Study
	path := filepath.Join(dir, StudyFile)
	if err := ReadJSON(path, &s); err != nil {
		return Study{}, err
	}
	for _, a := range s.Axes {
		plain(a.Values)
	}
	for _, p := range s.Points {
		plain(p.Values)
	}
	if err := s.check(); err != nil {
		return Study{}, fmt.Errorf("artifact: %s: %w", path, err)
	}
	slices.SortFunc(s.Points, func(a, b StudyPoint) int { return a.Index - b.Index })
	return s, nil
}

// check finds what would lead a reader astray: names that leave the folder, points that cannot be told apart, points without a value on an axis.
func (s Study) check() error {
	if len(s.Axes) == 0 || len(s.Points) == 0 {
		return fmt.Errorf("%d axes and %d points: at least one of each is needed", len(s.Axes), len(s.Points))
	}
	paths := map[string]bool{}
	for i, a := range s.Axes {
		if a.Path == "" || paths[a.Path] {
			return fmt.Errorf("axes[%d]: path %q: it must be there and unique", i, a.Path)
		}
		if len(a.Values) == 0 {
			return fmt.Errorf("axes[%d]: %s has no values", i, a.Path)
		}
		paths[a.Path] = true
	}
	names, indices := map[string]bool{}, map[int]bool{}
	for i, p := range s.Points {
		switch {
		case p.Name == "" || p.Name == "." || !filepath.IsLocal(p.Name) || strings.ContainsAny(p.Name, "/\\"):
			return fmt.Errorf("points[%d]: %q cannot be a folder's name", i, p.Name)
		case names[p.Name]:
			return fmt.Errorf("points[%d]: there are two of the name %q", i, p.Name)
		case p.Index < 0 || p.Index >= len(s.Points) || indices[p.Index]:
			return fmt.Errorf("points[%d]: index %d: each from 0 to %d must be there once", i, p.Index, len(s.Points)-1)
		}
		names[p.Name], indices[p.Index] = true, true
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			if _, ok := p.Values[path]; !ok {
				return fmt.Errorf("points[%d]: %q has no value of %s", i, p.Name, path)
			}
		}
	}
	return nil
}

// PointDir is the folder of a point within a study's.
func PointDir(dir, name string) string { return filepath.Join(dir, PointsDir, name) }

// PointState is how far a point has come.
type PointState string

// The states of a point. Those from Running to Killed are of its provenance.
const (
	PointDone        PointState = "done"
	PointRunning     PointState = "running"
	PointFailed      PointState = "failed"
	PointInterrupted PointState = "interrupted"
	PointKilled      PointState = "killed"
	// PointMissing: nothing has been run there yet.
	PointMissing PointState = "missing"
	// PointDamaged: its folder cannot be read.
	PointDamaged PointState = "damaged"
)

// Point is a point of a study with what there is of it.
type Point struct {
	StudyPoint
	// Run is nil where the point has no folder, and where that cannot be read, as Err says.
	Run *Run
	Err error
}

// State is how far the point has come, and where it is not done, why, as one or several lines.
func (p Point) State() (state PointState, reason string) {
	switch {
	case p.Err != nil:
		return PointDamaged, p.Err.Error()
	case p.Run == nil:
		return PointMissing, "not run yet, or not in this folder"
	}
	return pointState(p.Run.dir)
}

// pointState reads no more of a point's folder than its provenance.
func pointState(dir string) (PointState, string) {
	state, reason := pointStateNow(dir)
	if state == PointKilled {
		state, reason = pointStateNow(dir) // as in folderStatus
	}
	return state, reason
}

func pointStateNow(dir string) (PointState, string) {
	if !exists(dir) {
		return PointMissing, "not run yet, or not in this folder"
	}
	p, err := ReadProvenance(dir)
	if err != nil {
		if exists(filepath.Join(dir, ProvenanceFile)) {
			return PointDamaged, err.Error()
		}
		return PointMissing, "not run yet: there is no " + ProvenanceFile
	}
	switch state := PointState(status(dir, p)); state {
	case PointDone, PointRunning:
		return state, ""
	case PointKilled:
		return state, "its host was killed: run the experiment again and it goes on"
	default:
		return state, p.reasons()
	}
}

// reasons lists what failed, one stage a line; where none did, what was interrupted or skipped.
func (p Provenance) reasons() string {
	var failed, others []string
	for _, s := range p.Stages {
		if s.Error == "" {
			continue
		}
		line := s.Stage + ": " + s.Error
		if s.Status == "failed" {
			failed = append(failed, line)
		} else {
			others = append(others, line)
		}
	}
	if len(failed) == 0 {
		failed = others
	}
	if len(failed) == 0 {
		return "its provenance does not say why"
	}
	return strings.Join(failed, "\n")
}

// Study is the study whose folder this is; false where it is that of a single run.
func (r *Run) Study() (Study, bool) {
	if r.study == nil {
		return Study{}, false
	}
	return *r.study, true
}

// Points reads the points of a study, in the order of the product; nil where the folder is a single run's. Each call reads them anew.
func (r *Run) Points() []Point {
	if r.study == nil {
		return nil
	}
	out := make([]Point, len(r.study.Points))
	for i, p := range r.study.Points {
		out[i].StudyPoint = p
		dir := PointDir(r.dir, p.Name)
		if !exists(dir) || !isRun(dir) {
			continue
		}
		out[i].Run, out[i].Err = OpenRun(dir)
	}
	return out
}
