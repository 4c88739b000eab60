package metrics

import (
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/panels"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// floor is where R2 of single columns are drawn that lie below it: far below 0 they say no more than that the column is lost.
const floor = -1

// figures shows each metric that has a value, with its interval and null, and the R2 of single neurons and latents.
func (c *comparison) figures(results []component.Result) []component.Figure {
	var out []component.Figure
	if f, ok := c.bars(results); ok {
		out = append(out, f)
	}
	for _, d := range []struct{ metric, name, title, column, what string }{
		{"rate_r2", "rate-r2-by-neuron", "Rate R² of each neuron", "neuron", "R² of the inferred rate of each neuron against its true rate"},
		{"state_r2", "state-r2-by-latent", "State R² of each inferred latent", "inferred latent", "R² of each inferred latent, predicted from the true latents by least squares: one that is low was invented"},
	} {
		if f, ok := distribution(c.columns[d.metric]); ok {
			f.Name, f.Title = d.name, d.title
			f.Panels[0].X.Label = d.column + ", from best to worst"
			f.Caption = fmt.Sprintf("%s, on validation trials, sorted; values below %d are drawn there.", d.what, floor)
			out = append(out, f)
		}
	}
	return out
}

// bars draws a panel for each metric, a bar for each subject.
func (c *comparison) bars(results []component.Result) (component.Figure, bool) {
	f := component.Figure{
		Name: "metrics", Title: "Metrics", Columns: 3,
		Caption: "Bars: value on validation trials",
	}
	if c.Resamples > 0 {
		f.Caption += fmt.Sprintf(", with the 95%% interval of %d bootstrap resamples of trials (%s)", c.Resamples, c.Interval)
	}
	if c.nulls > 0 {
		f.Caption += fmt.Sprintf("; points: the same with trials shuffled, mean of %d shuffles, not drawn where it is far below", c.nulls)
	}
	f.Caption += "."
	f.Panels = panels.Bars(results, floor)
	return f, len(f.Panels) > 0
}

// distribution draws sorted values, one line a subject.
func distribution(columns []labelled) (component.Figure, bool) {
	p := component.Panel{Y: component.Axis{Label: "R²"}}
	for _, l := range columns {
		var y []float64
		for _, v := range l.values {
			if !math.IsNaN(v) {
				y = append(y, max(v, floor))
			}
		}
		if len(y) == 0 {
			continue
		}
		slices.Sort(y)
		slices.Reverse(y)
		m := component.Mark{Kind: component.Line, Label: l.subject, Group: l.subject, Y: y}
		for i := range y {
			m.X = append(m.X, float64(i+1))
		}
		p.Marks = append(p.Marks, m)
	}
	return component.Figure{Panels: []component.Panel{p}}, len(p.Marks) > 0
}
