package summary

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Seed is the path of the axis that varies the experiment's seed.
const Seed = "seed"

// Study is a study with its results.
type Study struct {
	artifact.Study
	// States has what became of each point, in the order of Points.
	States []State
	// Results are those of all points, in the points' order.
	Results artifact.Results
	// Series in order of appearance.
	Series []*Series
	// Problems are files that could not be read.
	Problems []string

	// at is, for each point and axis, the place of the point's value among the axis's.
	at [][]int
}

// State is what became of a point; Reason is empty where it is done.
type State struct {
	artifact.PointState
	Reason string
	// Present is true where the point has a folder that can be read.
	Present bool
}

// Series is one metric of one subject.
type Series struct {
	Comparator, Metric, Subject, Reference string
	Unit                                   string
	Better                                 component.Better
	// Runs in the points' order; points that have no line for the metric are left out.
	Runs []Run

	study *Study
	// matters is, for each axis, whether the series changes along it.
	matters []bool
}

// Label is the subject, and what it is measured against where that is not the truth.
func (s *Series) Label() string {
	if s.Reference == "" || s.Reference == experiment.Truth {
		return s.Subject
	}
	return s.Subject + " against " + s.Reference
}

// Run is what one run of a study gave.
type Run struct {
	// Point is the place in the study's Points.
	Point int
	// Value is NaN where it could not be had, as Reason says. Low and High bound the run's own 95% interval, Null is the value by chance; NaN where there is none.
	Value, Low, High, Null float64
	N                      int64
	Reason                 string
}

// ErrNoStudy is wrapped where a folder is that of a single run.
var ErrNoStudy = errors.New("summary: not a study's folder")

// Read reads a study's folder: the results of each point from the point's own folder, or, where that has none, from the study's results.json. What
// cannot be read is told in Problems.
func Read(run *artifact.Run) (*Study, error) {
	study, ok := run.Study()
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoStudy, run.Dir())
	}
	s := &Study{Study: study}
	if err := s.index(); err != nil {
		return nil, err
	}
	known := make([][]artifact.Result, len(s.Points))
	s.readJoined(run, known)
	for i, p := range run.Points() {
		state, reason := p.State()
		s.States = append(s.States, State{state, reason, p.Run != nil})
		if p.Run == nil {
			continue
		}
		for _, err := range p.Run.Problems() {
			s.Problems = append(s.Problems, p.Name+": "+err.Error())
		}
		own, err := p.Run.Results()
		switch {
		case err == nil:
			known[i] = own.Metrics
			s.Results.Add(artifact.Results{Readings: own.Readings})
		case !errors.Is(err, fs.ErrNotExist):
			s.Problems = append(s.Problems, p.Name+": "+err.Error())
		}
	}
	for i, results := range known {
		for _, r := range results {
			s.add(i, r)
		}
	}
	for _, series := range s.Series {
		series.weigh()
	}
	return s, nil
}

// readJoined reads the study's results.json, which may be all that there is of a point.
func (s *Study) readJoined(run *artifact.Run, known [][]artifact.Result) {
	joined, err := run.Results()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.Problems = append(s.Problems, err.Error())
		}
		return
	}
	s.Results.Add(artifact.Results{Readings: joined.Readings})
	points := map[string]int{}
	for i, p := range s.Points {
		points[identity(p.Values)] = i
	}
	strangers := 0
	for _, r := range joined.Metrics {
		if i, ok := points[identity(r.Point)]; ok {
			known[i] = append(known[i], r)
		} else {
			strangers++
		}
	}
	if strangers > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("%s has %d results of points that the study does not have", artifact.ResultsFile, strangers))
	}
}

// identity is a text that two points share if their values are the same.
func identity(values map[string]any) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&b, "%s=%s\n", k, artifact.FormatValue(values[k]))
	}
	return b.String()
}

// index finds the place of each point on each axis.
func (s *Study) index() error {
	for _, p := range s.Points {
		at := make([]int, len(s.Axes))
		for k, a := range s.Axes {
			text := artifact.FormatValue(p.Values[a.Path])
			at[k] = slices.IndexFunc(a.Values, func(v any) bool { return artifact.FormatValue(v) == text })
			if at[k] < 0 {
				return fmt.Errorf("summary: %s: point %s: %s = %s is not among the axis's values", artifact.StudyFile, p.Name, a.Path, text)
			}
		}
		s.at = append(s.at, at)
	}
	return nil
}

func (s *Study) add(point int, r artifact.Result) {
	i := slices.IndexFunc(s.Series, func(t *Series) bool {
		return t.Comparator == r.Comparator && t.Metric == r.Metric && t.Subject == r.Subject && t.Reference == r.Reference
	})
	if i < 0 {
		i = len(s.Series)
		s.Series = append(s.Series, &Series{
			Comparator: r.Comparator, Metric: r.Metric, Subject: r.Subject, Reference: r.Reference, Unit: r.Unit, Better: r.Better, study: s,
		})
	}
	r.Point = s.Points[point].Values
	s.Results.Metrics = append(s.Results.Metrics, r)
	s.Series[i].Runs = append(s.Series[i].Runs, Run{
		Point: point, Value: known(r.Value), Low: known(r.Low), High: known(r.High), Null: known(r.Null), N: r.N, Reason: r.Reason,
	})
}

func known(n artifact.Number) float64 {
	if v := float64(n); !math.IsInf(v, 0) {
		return v
	}
	return math.NaN()
}

// Count is the number of points in a state.
func (s *Study) Count(state artifact.PointState) int {
	n := 0
	for _, t := range s.States {
		if t.PointState == state {
			n++
		}
	}
	return n
}

// Gap is values of a subject that could not be had, for one reason.
type Gap struct {
	Comparator, Subject, Reference, Reason string
	Metrics                                []string
	// Points are places in the study's Points.
	Points []int
}

// Values says which values are missing, e.g. "rate_r2, co_bps of gru-64 against truth".
func (g Gap) Values() string {
	return artifact.Remark{Metrics: g.Metrics, Subjects: []string{g.Subject}, Reference: g.Reference}.Values()
}

// Gaps lists the values that are missing although the comparison was done, in order of appearance; metrics that are missing at the same points for the same reason are one.
func (s *Study) Gaps() []Gap {
	var out []Gap
	for _, t := range s.Series {
		var own []Gap
		for _, r := range t.Runs {
			if !math.IsNaN(r.Value) {
				continue
			}
			i := slices.IndexFunc(own, func(g Gap) bool { return g.Reason == r.Reason })
			if i < 0 {
				i = len(own)
				own = append(own, Gap{Comparator: t.Comparator, Subject: t.Subject, Reference: t.Reference, Reason: r.Reason, Metrics: []string{t.Metric}})
			}
			own[i].Points = append(own[i].Points, r.Point)
		}
		for _, g := range own {
			i := slices.IndexFunc(out, func(o Gap) bool {
				return o.Comparator == g.Comparator && o.Subject == g.Subject && o.Reference == g.Reference && o.Reason == g.Reason && slices.Equal(o.Points, g.Points)
			})
			if i < 0 {
				out = append(out, g)
			} else {
				out[i].Metrics = append(out[i].Metrics, t.Metric)
			}
		}
	}
	return out
}

// Where names the points of a gap: all of those that have results, a few by name, or how many.
func (s *Study) Where(g Gap) string {
	have := 0
	for _, state := range s.States {
		if state.PointState == artifact.PointDone {
			have++
		}
	}
	switch n := len(g.Points); {
	case n == len(s.Points) || n >= have && n > 1:
		return fmt.Sprintf("all %d points", n)
	case n <= 3:
		var names []string
		for _, p := range g.Points {
			names = append(names, s.Points[p].Name)
		}
		return strings.Join(names, ", ")
	default:
		return fmt.Sprintf("%d of %d points, the first %s", n, len(s.Points), s.Points[g.Points[0]].Name)
	}
}

// HasValues reports whether any run of the series has a value.
func (t *Series) HasValues() bool {
	return slices.ContainsFunc(t.Runs, func(r Run) bool { return !math.IsNaN(r.Value) })
}

// SeedAxis is the place of the axis that varies the seed, -1 where there is none.
func (s *Study) SeedAxis() int {
	return slices.IndexFunc(s.Axes, func(a artifact.StudyAxis) bool { return a.Path == Seed })
}

// Matrix is the places of the axes that are not the seed.
func (s *Study) Matrix() []int {
	var out []int
	for i, a := range s.Axes {
		if a.Path != Seed {
			out = append(out, i)
		}
	}
	return out
}

// At is the place of a point's value among the axis's values.
func (s *Study) At(point, axis int) int { return s.at[point][axis] }

// Numbers are the axis's values as numbers; ok is false where one is none, and where two are the same.
func Numbers(a artifact.StudyAxis) (values []float64, ok bool) {
	seen := map[float64]bool{}
	for _, v := range a.Values {
		var x float64
		switch v := v.(type) {
		case int64:
			x = float64(v)
		case uint64:
			x = float64(v)
		case float64:
			x = v
		default:
			return nil, false
		}
		if math.IsNaN(x) || math.IsInf(x, 0) || seen[x] {
			return nil, false
		}
		seen[x] = true
		values = append(values, x)
	}
	return values, true
}
