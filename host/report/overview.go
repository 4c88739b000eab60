package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/summary"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	overviewPanels = 12
	heatSubjects   = 6
	heatValues     = 40
)

// overview shows every metric in a small panel: against the first axis of the matrix that matters, or, in a study of seeds alone, for each subject.
// ok is false where there is only one metric, whose own figures say as much.
func overview(s *summary.Study, groups []metricGroup) (f sketch, ok bool) {
	if len(groups) < 2 {
		return sketch{}, false
	}
	axis := slices.IndexFunc(s.Axes, func(a artifact.StudyAxis) bool { return a.Path != summary.Seed && len(a.Values) > 1 })
	f.Name, f.Title = "overview", "All metrics"
	if axis >= 0 {
		// Metrics that the axis changes come first.
		groups = slices.Clone(groups)
		slices.SortStableFunc(groups, func(a, b metricGroup) int { return a.still(axis) - b.still(axis) })
	}
	var n counts
	pooled := map[int]bool{}
	for _, g := range groups[:min(len(groups), overviewPanels)] {
		p := component.Panel{Title: g.Metric}
		if g.Unit != "" {
			p.Title += " (" + g.Unit + ")"
		}
		if axis >= 0 {
			changing, still := g.along(axis)
			place := placeOf(s.Axes[axis], len(changing))
			if len(still) > 0 {
				place = place.withMargin()
			}
			p.X, f.ticks = place.bounds(), place.ticks
			for _, t := range g.Series {
				for _, other := range t.MatteringMatrix() {
					pooled[other] = pooled[other] || other != axis
				}
			}
			for k, t := range still {
				p.Marks = append(p.Marks, level(slot{place, k, len(still)}, t, t.Cells(), &n)...)
			}
			for k, t := range changing {
				p.Marks = append(p.Marks, strip(slot{place, k, len(changing)}, t, t.Cells(axis), &n)...)
			}
		} else {
			place := place{width: 0.75}
			for k, t := range g.Series {
				place.x, place.axis.Ticks = append(place.x, float64(k)), append(place.axis.Ticks, t.Label())
			}
			p.X = place.bounds()
			for k, t := range g.Series {
				cells := t.Cells()
				for i := range cells {
					cells[i].At = []int{k}
				}
				p.Marks = append(p.Marks, strip(slot{place: place, of: 1}, t, cells, &n)...)
			}
		}
		f.Panels = append(f.Panels, p)
	}
	f.Columns = columns(len(f.Panels))
	for i := range f.Panels {
		alike(f.Panels[i : i+1])
	}
	var lead []string
	if axis >= 0 {
		f.Title += " against " + s.Axes[axis].Label
		if s.Axes[axis].Label != s.Axes[axis].Path {
			lead = []string{"Against " + s.Axes[axis].Path + "."}
		}
	}
	if len(groups) > overviewPanels {
		lead = append(lead, fmt.Sprintf("The first %d of %d metrics.", overviewPanels, len(groups)))
	}
	var others []int
	for k := range s.Axes {
		if pooled[k] {
			others = append(others, k)
		}
	}
	f.Caption = strings.Join(slices.Concat(lead, []string{n.caption(s, false)}, poolRemark(s, others)), " ")
	return f, true
}

// still is 1 where no series of the group changes along an axis, else 0.
func (g metricGroup) still(axis int) int {
	if changing, _ := g.along(axis); len(changing) == 0 {
		return 1
	}
	return 0
}

// heat shows the mean of a metric over two axes, a panel for each subject that both matter to; ok is false where that would be no picture.
func heat(s *summary.Study, g metricGroup, down, along int) (f sketch, ok bool) {
	rows, cols := s.Axes[down].Values, s.Axes[along].Values
	if len(rows) < 2 || len(cols) < 2 || len(rows)*len(cols) < 6 || len(rows) > heatValues || len(cols) > heatValues {
		return sketch{}, false
	}
	f.Title = fmt.Sprintf("%s over %s and %s", g.Metric, s.Axes[along].Label, s.Axes[down].Label)
	var n counts
	pooled := map[int]bool{}
	for _, t := range g.Series {
		if !t.Matters(down) || !t.Matters(along) || len(f.Panels) == heatSubjects {
			continue
		}
		for _, k := range t.MatteringMatrix() {
			if k != down && k != along {
				pooled[k] = true
			}
		}
		m := component.Mark{Kind: component.HeatMap, Rows: len(rows), Cols: len(cols), ZLabel: "mean " + g.Metric, ZUnit: g.Unit}
		m.Z = make([]float64, len(rows)*len(cols))
		for i := range m.Z {
			m.Z[i] = math.NaN()
		}
		for _, c := range t.Cells(down, along) {
			n.add(c)
			m.Z[c.At[0]*len(cols)+c.At[1]] = c.Mean
		}
		f.Panels = append(f.Panels, component.Panel{
			Title: t.Label(), X: named(s.Axes[along]), Y: named(s.Axes[down]), Marks: []component.Mark{m},
		})
	}
	if len(f.Panels) == 0 || n.most == 0 {
		return sketch{}, false
	}
	f.Columns = columns(len(f.Panels))
	var others []int
	for k := range s.Axes {
		if pooled[k] {
			others = append(others, k)
		}
	}
	f.Caption = strings.Join(append([]string{fmt.Sprintf("Each cell is a mean over runs (%s); it is blank where no run has a value. Values stand side by side whatever their distance.", n)}, poolRemark(s, others)...), " ")
	return f, true
}

// named is an axis with a place for each value.
func named(a artifact.StudyAxis) component.Axis {
	out := component.Axis{Label: a.Label}
	for _, v := range a.Values {
		out.Ticks = append(out.Ticks, artifact.FormatValue(v))
	}
	return out
}
