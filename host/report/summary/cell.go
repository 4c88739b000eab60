package summary

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Stat is how some values spread. NaN stands for what cannot be said: everything of no values, the standard deviation of one.
type Stat struct {
	// N is the number of values, not counting those that could not be had.
	N    int
	Mean float64
	// SD is the standard deviation of the sample, with N-1 in the denominator.
	SD       float64
	Min, Max float64
}

// Of sums up values; those that are NaN do not count.
func Of(values []float64) Stat {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	s := Stat{N: len(values), Mean: math.NaN(), SD: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	if s.N == 0 {
		return s
	}
	s.Min, s.Max = slices.Min(values), slices.Max(values)
	s.Mean = stat.Mean(values, nil)
	if s.N > 1 {
		s.SD = stat.StdDev(values, nil)
	}
	// The mean of equal values is that value, whatever the rounding on the way.
	s.Mean = min(max(s.Mean, s.Min), s.Max)
	return s
}

// Cell is the runs of a series that agree on some axes.
type Cell struct {
	// At is the place of the cell's value on each of these axes.
	At []int
	// Runs are those with a line for the metric, of Points points that the study has there.
	Runs   []Run
	Points int
	Stat
}

// Null is the mean over runs of the value by chance, NaN where none has one.
func (c Cell) Null() float64 {
	sum, n := 0.0, 0.0
	for _, r := range c.Runs {
		if !math.IsNaN(r.Null) {
			sum, n = sum+r.Null, n+1
		}
	}
	return sum / n
}

// Matters reports whether the series changes along an axis, all else being equal, as far as its runs tell. The seed always matters.
func (t *Series) Matters(axis int) bool { return t.matters[axis] }

// weigh finds the axes that matter.
func (t *Series) weigh() {
	s := t.study
	t.matters = make([]bool, len(s.Axes))
	for axis := range s.Axes {
		t.matters[axis] = s.Axes[axis].Path == Seed || t.changes(axis)
	}
}

// changes reports whether two runs that differ on this axis alone differ in their values, or whether none do.
func (t *Series) changes(axis int) bool {
	first := map[string]Run{}
	compared := false
	for _, r := range t.Runs {
		key := t.study.key(r.Point, func(k int) bool { return k != axis })
		other, seen := first[key]
		if !seen {
			first[key] = r
			continue
		}
		compared = true
		if !same(r.Value, other.Value) || !same(r.Low, other.Low) || !same(r.High, other.High) {
			return true
		}
	}
	return !compared && len(t.study.Axes[axis].Values) > 1
}

func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// key is a text that points share if they agree on the axes that count.
func (s *Study) key(point int, counts func(axis int) bool) string {
	b := make([]byte, 0, 2*len(s.Axes))
	for k, at := range s.at[point] {
		if counts(k) {
			b = append(b, byte(at), byte(at>>8))
		}
	}
	return string(b)
}

// Cells groups the runs by their values on some axes, in the order of these values. Of runs that differ only on axes that do not matter to the series, and that
// are not asked for, the first stands for all. Cells without points are left out.
func (t *Series) Cells(axes ...int) []Cell {
	s := t.study
	asked := func(k int) bool { return slices.Contains(axes, k) }
	counts := func(k int) bool { return t.matters[k] || asked(k) }
	cells, seen := map[string]*Cell{}, map[string]bool{}
	cell := func(point int) *Cell {
		key := s.key(point, asked)
		if cells[key] == nil {
			c := &Cell{}
			for _, k := range axes {
				c.At = append(c.At, s.at[point][k])
			}
			cells[key] = c
		}
		return cells[key]
	}
	for point := range s.Points {
		if key := s.key(point, counts); !seen[key] {
			seen[key] = true
			cell(point).Points++
		}
	}
	clear(seen)
	// A run with a value stands for one without.
	runs := slices.Clone(t.Runs)
	slices.SortStableFunc(runs, func(a, b Run) int { return cmp.Compare(missing(a), missing(b)) })
	for _, r := range runs {
		if key := s.key(r.Point, counts); !seen[key] {
			seen[key] = true
			c := cell(r.Point)
			c.Runs = append(c.Runs, r)
		}
	}
	out := make([]Cell, 0, len(cells))
	for _, c := range cells {
		slices.SortFunc(c.Runs, func(a, b Run) int { return a.Point - b.Point })
		values := make([]float64, len(c.Runs))
		for i, r := range c.Runs {
			values[i] = r.Value
		}
		c.Stat = Of(values)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Cell) int { return slices.Compare(a.At, b.At) })
	return out
}

func missing(r Run) int {
	if math.IsNaN(r.Value) {
		return 1
	}
	return 0
}

// MatteringMatrix is the axes, but for the seed, that matter to the series.
func (t *Series) MatteringMatrix() []int {
	var out []int
	for _, k := range t.study.Matrix() {
		if t.matters[k] {
			out = append(out, k)
		}
	}
	return out
}
