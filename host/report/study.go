package report

import (
	"context"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/host/report/summary"
)

// studyComposer makes the sections of a study's page.
type studyComposer struct {
	*composer
	study  *summary.Study
	groups []metricGroup
	// tables are the sections of the groups, in their order.
	tables []int
}

func (c *studyComposer) compose(ctx context.Context) error {
	c.groups = metricGroups(c.study)
	for _, t := range c.study.Series {
		c.subjects = append(c.subjects, t.Subject)
	}
	c.begin("results", "Results", c.intro())
	s := &c.sections[0]
	if len(c.groups) == 0 {
		s.Notes = append(s.Notes, "There are no results: no point has a complete comparison.")
	}
	if note := unfinished(c.run.Status()); note != "" {
		s.Notes = append(s.Notes, note)
	}
	s.Notes = append(s.Notes, c.study.Problems...)
	if gaps := c.study.Gaps(); len(gaps) > 0 {
		l := list{Title: "Not computed", Head: []string{"metrics", "subject", "where", "reason"}, Right: make([]bool, 4)}
		for _, g := range gaps {
			subject := g.Subject
			if g.Reference != "" {
				subject += " against " + g.Reference
			}
			l.Rows = append(l.Rows, []string{strings.Join(g.Metrics, ", "), subject, c.study.Where(g), g.Reason})
		}
		s.Lists = append(s.Lists, l)
	}
	c.attempt("All metrics", func() {
		if f, ok := overview(c.study, c.groups); ok {
			c.sketch(f, f.Name)
		}
	})
	for _, g := range c.groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.metric(g)
	}
	c.points()
	c.begin("parameters", "Parameters", "")
	c.parameters()
	c.begin("provenance", "Provenance", "What it takes to have these numbers again.")
	c.origin()
	return nil
}

// intro says what the study varies and how far it has come.
func (c *studyComposer) intro() string {
	var product, states []string
	for _, a := range c.study.Axes {
		name := a.Label
		switch {
		case a.Path == summary.Seed && len(a.Values) == 1:
			name = "seed"
		case a.Path == summary.Seed:
			name = "seeds"
		case len(a.Values) > 1:
			name = "values of " + name
		default:
			name = "value of " + name
		}
		product = append(product, fmt.Sprintf("%d %s", len(a.Values), name))
	}
	for _, state := range []artifact.PointState{
		artifact.PointDone, artifact.PointFailed, artifact.PointDamaged, artifact.PointInterrupted, artifact.PointKilled, artifact.PointRunning, artifact.PointMissing,
	} {
		if n := c.study.Count(state); n == len(c.study.Points) {
			states = append(states, fmt.Sprintf("all are %s", state))
		} else if n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	n := fmt.Sprintf("%d points", len(c.study.Points))
	if len(c.study.Points) == 1 {
		n = "1 point"
	}
	return fmt.Sprintf("%s: %s. Of these, %s. Standard deviations are of the sample, over runs; an interval is that of one run, a bootstrap over its trials. "+
		"Every number is also in %s.", n, strings.Join(product, " × "), strings.Join(states, ", "), artifact.ResultsTable)
}

// sketch adds a figure under a name that no other one has.
func (c *studyComposer) sketch(f sketch, name string) {
	name = fileName(name)
	f.Name = name
	for i := 2; slices.ContainsFunc(c.figures, func(p placed) bool { return p.figure.Name == f.Name }); i++ {
		f.Name = fmt.Sprintf("%s-%d", name, i)
	}
	c.figures = append(c.figures, placed{len(c.sections) - 1, f.Figure, f.ticks})
}

func (c *studyComposer) metric(g metricGroup) {
	id, title := "metric-"+fileName(g.Metric), g.Metric
	if slices.ContainsFunc(c.groups, func(o metricGroup) bool { return o.Metric == g.Metric && o.Comparator != g.Comparator }) {
		id, title = id+"-"+fileName(g.Comparator), g.Metric+" ("+g.Comparator+")"
	}
	text := ""
	if r, ok := c.study.Results.Reading(g.Comparator, g.Metric); ok {
		text = explained(r)
	}
	c.begin(id, title, text)
	c.tables = append(c.tables, len(c.sections)-1)
	name := strings.TrimPrefix(id, "metric-")
	matrix := c.study.Matrix()
	for _, axis := range matrix {
		if label := c.study.Axes[axis].Label; len(c.study.Axes[axis].Values) > 1 {
			c.attempt("Values against "+label, func() { c.sketch(against(c.study, g, axis), name+"-against-"+label) })
		}
	}
	for i, down := range matrix {
		for _, along := range matrix[i+1:] {
			over := c.study.Axes[along].Label + "-and-" + c.study.Axes[down].Label
			c.attempt("Values over "+over, func() {
				if f, ok := heat(c.study, g, down, along); ok {
					c.sketch(f, name+"-over-"+over)
				}
			})
		}
	}
	if axis := c.study.SeedAxis(); axis >= 0 && len(c.study.Axes[axis].Values) > 1 {
		c.attempt("Values over seeds", func() { c.sketch(against(c.study, g, axis), name+"-over-seeds") })
	}
}

// points lists the study's points: what became of them and where they are.
func (c *studyComposer) points() {
	s := c.begin("points", "Points", "")
	l := pointList{}
	for _, a := range c.study.Axes {
		l.Head = append(l.Head, a.Label)
	}
	for i, p := range c.study.Points {
		state := c.study.States[i]
		row := pointRow{Name: p.Name, State: string(state.PointState), Reason: state.Reason, Done: state.PointState == artifact.PointDone, At: c.values(i)}
		if state.Present {
			row.Link = c.link(p.Name)
		}
		l.Rows = append(l.Rows, row)
	}
	l.Open = len(l.Rows) <= 60
	for _, r := range l.Rows {
		if !r.Done {
			s.Failures.Rows = append(s.Failures.Rows, r)
		}
	}
	s.Failures.Head = l.Head
	s.Points = l
	s.Notes = append(s.Notes, fmt.Sprintf("A point's folder is in %s. `ctdb-host report` writes its report there, with learning curves, spikes and latents; with --points it writes all of them.", artifact.PointsDir))
}

// values are a point's values on all axes, as texts.
func (c *studyComposer) values(point int) []string {
	var out []string
	for k, a := range c.study.Axes {
		out = append(out, artifact.FormatValue(a.Values[c.study.At(point, k)]))
	}
	return out
}

// link leads to a point's report where it has one, else to its folder.
func (c *studyComposer) link(name string) string {
	file := ""
	if _, err := os.Stat(filepath.Join(artifact.PointDir(c.run.Dir(), name), artifact.ReportFile)); err == nil {
		file = artifact.ReportFile
	}
	return artifact.PointsDir + "/" + url.PathEscape(name) + "/" + file
}

// fillMetrics fills the metrics' sections, whose colours are known last.
func (c *studyComposer) fillMetrics(palette figure.Palette) {
	colour := func(subject string) template.CSS {
		if subject == experiment.Truth {
			subject = figure.Truth
		}
		return template.CSS("background:" + palette.CSS(subject))
	}
	for i, g := range c.groups {
		s := &c.sections[c.tables[i]]
		s.Spread, s.Runs = c.spreadTable(g, colour), c.runTable(g, colour)
	}
}

func composeStudy(ctx context.Context, run *artifact.Run, asFiles bool) (*composer, map[string][]byte, error) {
	study, err := summary.Read(run)
	if err != nil {
		return nil, nil, err
	}
	src := readOutline(run)
	c := &studyComposer{composer: &composer{source: src}, study: study}
	if err := c.compose(ctx); err != nil {
		return nil, nil, err
	}
	files, palette, err := c.draw(ctx, asFiles)
	if err != nil {
		return nil, nil, err
	}
	c.fillMetrics(palette)
	return c.composer, files, nil
}

// pointOf names the point of a study that a run is, e.g. "point of latents: latent = 8, seed = 0"; empty where it is none.
func pointOf(p artifact.Provenance) string {
	if len(p.Point) == 0 {
		return ""
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(p.Point)) {
		parts = append(parts, k+" = "+artifact.FormatValue(p.Point[k]))
	}
	return strings.TrimSpace("point of "+p.Study) + ": " + strings.Join(parts, ", ")
}
