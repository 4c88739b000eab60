// Package panels draws what comparators have in common alike: metrics with intervals and nulls as bars, and matrices of each two subjects.
package panels

import (
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Bars has a panel for each metric that has a value, in the order of the results, and a bar for each subject, or each two where there are several references; points are nulls, which are left out
// below floor: they would leave nothing of the bars to be seen.
func Bars(results []component.Result, floor float64) []component.Panel {
	var names []string
	references := map[string]bool{}
	for _, r := range results {
		references[r.Reference] = true
		if !math.IsNaN(r.Value) && !slices.Contains(names, r.Metric) {
			names = append(names, r.Metric)
		}
	}
	// A metric of a subject alone has no reference, and needs none to be told apart.
	delete(references, "")
	var out []component.Panel
	for _, name := range names {
		p := component.Panel{Title: name}
		nulls := component.Mark{Kind: component.Scatter, Label: "shuffled trials", Group: "shuffled trials"}
		for _, r := range results {
			if r.Metric != name || math.IsNaN(r.Value) {
				continue
			}
			x := float64(len(p.X.Ticks))
			label := r.Subject
			if len(references) > 1 {
				label += ", " + r.Reference
			}
			p.X.Ticks = append(p.X.Ticks, label)
			p.Y.Label, p.Y.Unit = name, r.Unit
			bar := component.Mark{Kind: component.Bars, Group: label, X: []float64{x}, Y: []float64{r.Value}}
			if !math.IsNaN(r.Low) {
				bar.Low, bar.High = []float64{r.Low}, []float64{r.High}
			}
			p.Marks = append(p.Marks, bar)
			if r.Null > floor {
				nulls.X, nulls.Y = append(nulls.X, x), append(nulls.Y, r.Null)
			}
		}
		if len(nulls.X) > 0 {
			p.Marks = append(p.Marks, nulls)
		}
		out = append(out, p)
	}
	return out
}

// Matrix is a panel of an (n, n) matrix of n subjects, the first at the top, so that the diagonal falls as that of a table does; false where no two of them have a value.
func Matrix(title string, labels []string, values []float64, what, unit string) (component.Panel, bool) {
	n := len(labels)
	down, z, known := slices.Clone(labels), make([]float64, 0, n*n), false
	slices.Reverse(down)
	for i := range n {
		z = append(z, values[(n-1-i)*n:][:n]...)
	}
	for i, v := range values {
		known = known || (i%(n+1) != 0 && !math.IsNaN(v))
	}
	return component.Panel{Title: title, X: component.Axis{Ticks: labels}, Y: component.Axis{Ticks: down}, Equal: true, Marks: []component.Mark{{
		Kind: component.HeatMap, Rows: n, Cols: n, Z: z, ZLabel: what, ZUnit: unit,
	}}}, known
}
