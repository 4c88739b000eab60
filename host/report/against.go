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
	facetValues = 6    // values of an axis that get panels of their own
	facetPanels = 12   // panels of a figure
	mostRuns    = 2000 // runs of a subject that are drawn in a panel
)

// metricGroup is a metric with its series: one for each subject that has a value anywhere.
type metricGroup struct {
	Comparator, Metric, Unit string
	Better                   component.Better
	Series                   []*summary.Series
}

func metricGroups(s *summary.Study) []metricGroup {
	var out []metricGroup
	for _, t := range s.Series {
		if !t.HasValues() {
			continue
		}
		i := slices.IndexFunc(out, func(g metricGroup) bool { return g.Comparator == t.Comparator && g.Metric == t.Metric })
		if i < 0 {
			i = len(out)
			out = append(out, metricGroup{Comparator: t.Comparator, Metric: t.Metric, Unit: t.Unit, Better: t.Better})
		}
		out[i].Series = append(out[i].Series, t)
	}
	return out
}

// sketch is a figure with the ticks of its x axes, none where the drawing chooses.
type sketch struct {
	component.Figure
	ticks []float64
}

// facets chooses the axes that get panels of their own beside the one along x, as long as these are few; the others that matter are pooled.
func facets(s *summary.Study, g metricGroup, axis int) (split, pooled []int) {
	panels := 1
	for _, k := range s.Matrix() {
		if k == axis || !slices.ContainsFunc(g.Series, func(t *summary.Series) bool { return t.Matters(k) }) {
			continue
		}
		if n := len(s.Axes[k].Values); n <= facetValues && n*panels <= facetPanels {
			split, panels = append(split, k), panels*n
		} else {
			pooled = append(pooled, k)
		}
	}
	return split, pooled
}

// combinations lists the places on some axes that points have, in order.
func combinations(s *summary.Study, axes []int) [][]int {
	var out [][]int
	for point := range s.Points {
		at := make([]int, len(axes))
		for i, k := range axes {
			at[i] = s.At(point, k)
		}
		if !slices.ContainsFunc(out, func(o []int) bool { return slices.Equal(o, at) }) {
			out = append(out, at)
		}
	}
	slices.SortFunc(out, slices.Compare)
	return out
}

// against shows a metric against an axis: every run as a pale dot, and for each value the mean with a standard deviation to either side.
func against(s *summary.Study, g metricGroup, axis int) sketch {
	split, pooled := facets(s, g, axis)
	changing, still := g.along(axis)
	p := placeOf(s.Axes[axis], len(changing))
	if len(still) > 0 {
		p = p.withMargin()
	}
	var f sketch
	f.ticks = p.ticks
	f.Title = fmt.Sprintf("%s against %s", g.Metric, s.Axes[axis].Label)
	if s.Axes[axis].Path == summary.Seed {
		f.Title = g.Metric + " over seeds"
	}
	var n counts
	for _, at := range combinations(s, split) {
		panel := component.Panel{Title: combination(s, split, at), X: p.bounds(), Y: component.Axis{Label: g.Metric, Unit: g.Unit}}
		for k, t := range still {
			cells := slices.DeleteFunc(t.Cells(split...), func(c summary.Cell) bool { return !slices.Equal(c.At, at) })
			panel.Marks = append(panel.Marks, level(slot{p, k, len(still)}, t, cells, &n)...)
		}
		for k, t := range changing {
			cells := slices.DeleteFunc(t.Cells(append([]int{axis}, split...)...), func(c summary.Cell) bool { return !slices.Equal(c.At[1:], at) })
			if slot := (slot{p, k, len(changing)}); s.Axes[axis].Path == summary.Seed {
				panel.Marks = append(panel.Marks, overSeeds(slot, t, cells, &n)...)
			} else {
				panel.Marks = append(panel.Marks, strip(slot, t, cells, &n)...)
			}
		}
		f.Panels = append(f.Panels, panel)
	}
	f.Columns = columns(len(f.Panels))
	alike(f.Panels)
	f.Caption = strings.Join(append([]string{g.lead(s, axis), n.caption(s, s.Axes[axis].Path == summary.Seed)}, poolRemark(s, pooled)...), " ")
	return f
}

// along divides the series into those that change along an axis and those that do not.
func (g metricGroup) along(axis int) (changing, still []*summary.Series) {
	for _, t := range g.Series {
		if t.Matters(axis) {
			changing = append(changing, t)
		} else {
			still = append(still, t)
		}
	}
	return changing, still
}

func (g metricGroup) lead(s *summary.Study, axis int) string {
	a := s.Axes[axis]
	lead := fmt.Sprintf("%s against %s.", g.Metric, a.Path)
	if a.Path == a.Label {
		lead = ""
	}
	switch g.Better {
	case component.Higher:
		lead += " Higher is better."
	case component.Lower:
		lead += " Lower is better."
	}
	return strings.TrimSpace(lead)
}

func poolRemark(s *summary.Study, pooled []int) []string {
	if len(pooled) == 0 {
		return nil
	}
	var names []string
	for _, k := range pooled {
		names = append(names, s.Axes[k].Label)
	}
	return []string{"Runs of all values of " + strings.Join(names, " and ") + " are pooled."}
}

// combination names the places on some axes, e.g. "latent = 8, lr = 0.01".
func combination(s *summary.Study, axes, at []int) string {
	var parts []string
	for i, k := range axes {
		parts = append(parts, s.Axes[k].Label+" = "+artifact.FormatValue(s.Axes[k].Values[at[i]]))
	}
	return strings.Join(parts, ", ")
}

func columns(panels int) int {
	switch {
	case panels <= 3:
		return panels
	case panels == 4:
		return 2
	}
	return 3
}

// counts are the numbers of values that means were taken of.
type counts struct {
	least, most int
	// level is of the series that are the same along the whole axis.
	level   *counts
	thinned bool
}

func (n *counts) add(c summary.Cell) {
	if c.N == 0 {
		return
	}
	if n.most == 0 || c.N < n.least {
		n.least = c.N
	}
	n.most = max(n.most, c.N)
}

func (n counts) String() string {
	if n.least == n.most {
		return fmt.Sprintf("n = %d", n.most)
	}
	return fmt.Sprintf("n = %d to %d", n.least, n.most)
}

// caption says what the dots and bars are.
func (n counts) caption(s *summary.Study, seeds bool) string {
	out := ""
	switch {
	case n.most == 0:
	case seeds && n.most == 1:
		out = "Dots: runs (n = 1), with their own 95% intervals."
	case seeds:
		out = fmt.Sprintf("Dots: runs, with their own 95%% intervals; line and band: their mean and one standard deviation to either side (%s runs).", n)
	case n.most == 1:
		out = "Dots: runs (n = 1 each), with their own 95% intervals."
	default:
		order := ""
		if s.SeedAxis() >= 0 {
			order = ", from left to right in the order of the seeds"
		}
		out = fmt.Sprintf("Pale dots: runs%s; strong dots and bars: their mean and one standard deviation to either side (%s runs).", order, n)
	}
	if n.level != nil {
		spread := fmt.Sprintf("mean and one standard deviation to either side of its runs (%s, at the left edge)", n.level)
		if n.level.most == 1 {
			spread = "its run (n = 1, at the left edge) with its own 95% interval"
		}
		out = strings.TrimSpace(out + " A dashed line with a band: a subject that is the same at every value, " + spread + ".")
	}
	if n.thinned {
		out += fmt.Sprintf(" At most %d runs of a subject are drawn in a panel, evenly chosen; means are of all.", mostRuns)
	}
	return out
}

// strip draws the cells of a series: At[0] is the place on the axis. Where no cell has more than one value, the run's own interval takes the place of the
// standard deviation.
func strip(p slot, t *summary.Series, cells []summary.Cell, n *counts) []component.Mark {
	runs := component.Mark{Kind: component.Scatter, Group: t.Subject, Faint: true}
	means := component.Mark{Kind: component.Scatter, Group: t.Subject, Label: t.Label()}
	single, total := true, 0
	for _, c := range cells {
		single = single && c.N <= 1
		total += len(c.Runs)
	}
	stride := (total + mostRuns - 1) / mostRuns
	seen := 0
	for _, c := range cells {
		n.add(c)
		if c.N == 0 {
			continue
		}
		low, high := c.Mean, c.Mean
		if !math.IsNaN(c.SD) {
			low, high = c.Mean-c.SD, c.Mean+c.SD
		}
		for i, r := range c.Runs {
			if seen++; !single && seen%stride == 0 && !math.IsNaN(r.Value) {
				runs.X, runs.Y = append(runs.X, p.at(c.At[0], 0.14+0.3*(float64(i)+0.5)/float64(len(c.Runs)))), append(runs.Y, r.Value)
			}
			if single && !math.IsNaN(r.Low) && !math.IsNaN(r.High) {
				low, high = r.Low, r.High
			}
		}
		means.X, means.Y = append(means.X, p.at(c.At[0], 0)), append(means.Y, c.Mean)
		means.Low, means.High = append(means.Low, low), append(means.High, high)
	}
	n.thinned = n.thinned || stride > 1
	if len(means.X) == 0 {
		return nil
	}
	out := []component.Mark{means}
	if len(runs.X) > 0 {
		out = append([]component.Mark{runs}, out...)
	}
	if p.numeric && len(means.X) > 1 {
		out = append(out, joined(means))
	}
	return out
}

// level draws a series that is the same along the whole axis: a line across, in a band of a standard deviation to either side, or of the interval of a lone run.
// Its runs stand in the margin, not multiplied into points that were never run on their own.
func level(p slot, t *summary.Series, cells []summary.Cell, n *counts) []component.Mark {
	if len(cells) != 1 || cells[0].N == 0 {
		return nil
	}
	c := cells[0]
	if n.level == nil {
		n.level = &counts{}
	}
	n.level.add(c)
	axis := p.bounds()
	m := component.Mark{Kind: component.Line, Label: t.Label(), Group: t.Subject, Dashed: true, X: []float64{axis.Min, axis.Max}, Y: []float64{c.Mean, c.Mean}}
	runs := component.Mark{Kind: component.Scatter, Group: t.Subject, Faint: true}
	low, high := c.Mean-c.SD, c.Mean+c.SD
	for i, r := range c.Runs {
		if math.IsNaN(r.Value) {
			continue
		}
		if c.N == 1 {
			low, high = r.Low, r.High
		}
		runs.X = append(runs.X, p.inMargin(0.12+(float64(p.k)+(float64(i)+0.5)/float64(len(c.Runs)))/float64(p.of)))
		runs.Y = append(runs.Y, r.Value)
	}
	if !math.IsNaN(low) && !math.IsNaN(high) {
		m.Low, m.High = []float64{low, low}, []float64{high, high}
	}
	if stride := (len(runs.X) + mostRuns - 1) / mostRuns; stride > 1 {
		n.thinned = true
		runs = every(runs, stride)
	}
	return []component.Mark{m, runs}
}

// joined is the line through points, by x.
func joined(m component.Mark) component.Mark {
	order := make([]int, len(m.X))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if m.X[a] < m.X[b] {
			return -1
		}
		return 1
	})
	line := component.Mark{Kind: component.Line, Group: m.Group, Faint: true}
	for _, i := range order {
		line.X, line.Y = append(line.X, m.X[i]), append(line.Y, m.Y[i])
	}
	return line
}

// overSeeds draws the runs of a series seed by seed, and behind them the mean and standard deviation over all.
func overSeeds(p slot, t *summary.Series, cells []summary.Cell, n *counts) []component.Mark {
	runs := component.Mark{Kind: component.Scatter, Group: t.Subject, Label: t.Label()}
	var all summary.Cell
	for _, c := range cells {
		for i, r := range c.Runs {
			all.Runs = append(all.Runs, r)
			if math.IsNaN(r.Value) {
				continue
			}
			share := 0.0
			if len(c.Runs) > 1 {
				share = 0.7 * ((float64(i)+0.5)/float64(len(c.Runs)) - 0.5)
			}
			low, high := r.Low, r.High
			if math.IsNaN(low) || math.IsNaN(high) {
				low, high = r.Value, r.Value
			}
			runs.X, runs.Y = append(runs.X, p.at(c.At[0], share)), append(runs.Y, r.Value)
			runs.Low, runs.High = append(runs.Low, low), append(runs.High, high)
		}
	}
	all.Stat = summary.Of(runs.Y)
	n.add(all)
	if all.N == 0 {
		return nil
	}
	if stride := (len(runs.X) + mostRuns - 1) / mostRuns; stride > 1 {
		n.thinned = true
		runs = every(runs, stride)
	}
	out := []component.Mark{runs}
	if all.N > 1 {
		axis := p.bounds()
		mean := component.Mark{
			Kind: component.Line, Group: t.Subject, X: []float64{axis.Min, axis.Max}, Y: []float64{all.Mean, all.Mean},
			Low: []float64{all.Mean - all.SD, all.Mean - all.SD}, High: []float64{all.Mean + all.SD, all.Mean + all.SD},
		}
		out = append([]component.Mark{mean}, out...)
	}
	return out
}

// every keeps the points of a mark whose place divides by stride.
func every(m component.Mark, stride int) component.Mark {
	pick := func(v []float64) []float64 {
		var out []float64
		for i := 0; i < len(v); i += stride {
			out = append(out, v[i])
		}
		return out
	}
	m.X, m.Y, m.Low, m.High = pick(m.X), pick(m.Y), pick(m.Low), pick(m.High)
	return m
}

// alike gives panels side by side one range of y, and a logarithmic one where their values, all positive, span more than two decades.
func alike(panels []component.Panel) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range panels {
		for _, m := range p.Marks {
			for _, v := range slices.Concat(m.Y, m.Low, m.High) {
				if !math.IsNaN(v) {
					low, high = min(low, v), max(high, v)
				}
			}
		}
	}
	if low > high {
		return
	}
	log := low > 0 && high > 100*low
	for i := range panels {
		y := &panels[i].Y
		switch y.Log = log; {
		case len(panels) == 1:
		case log:
			edge := math.Pow(high/low, 0.06)
			y.Min, y.Max = low/edge, high*edge
		case low < high:
			edge := 0.06 * (high - low)
			y.Min, y.Max = low-edge, high+edge
		}
	}
}
