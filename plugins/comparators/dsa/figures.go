package dsa

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/panels"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// figures shows the matrix of angles as it is.
func (c *comparison) figures(angular *tensor.Tensor) []component.Figure {
	n := len(c.subjects)
	if n < 2 {
		return nil
	}
	var labels []string
	for _, s := range c.subjects {
		labels = append(labels, s.Label)
	}
	panel, known := panels.Matrix("", labels, angular.F64, "angle", "rad")
	if !known {
		return nil
	}
	out := []component.Figure{{
		Name: "dsa", Title: "Distance between dynamics",
		Caption: fmt.Sprintf("Angle between the operators of each two subjects under the best rotation, on training trials: 0 where the dynamics are the same up to a rotation. Delays: %d, rank: %d.", c.Delays, c.rank),
		Panels:  []component.Panel{panel},
	}}
	if f, ok := c.against(); ok {
		out = append(out, f)
	}
	// Subjects without an operator are in no tree and on no map; fewer than three need neither.
	var held []int
	for i := range n {
		if c.systems[i].err == nil && c.systems[i].operator != nil {
			held = append(held, i)
		}
	}
	d := make([]float64, len(held)*len(held))
	for a, i := range held {
		for b, j := range held {
			v := angular.F64[i*n+j]
			if math.IsNaN(v) {
				return out
			}
			d[a*len(held)+b] = v
		}
	}
	if len(held) < 3 {
		return out
	}
	names := make([]string, len(held))
	for a, i := range held {
		names[a] = labels[i]
	}
	out = append(out, dendrogram(d, names))
	if f, ok := scaling(d, names); ok {
		out = append(out, f)
	}
	return out
}

// against shows each model's distance to the truth or recording between what it would be at best and without dynamics: ok is false where there is neither, or its latents are not known.
func (c *comparison) against() (f component.Figure, ok bool) {
	if !c.anchored() {
		return f, false
	}
	p := component.Panel{Y: component.Axis{Label: "angle", Unit: "rad"}}
	null := component.Mark{Kind: component.Scatter, Label: "bins shuffled", Group: "bins shuffled"}
	// Levels, across each bar and beyond it, so that they are seen wherever its end is.
	floor := component.Mark{Kind: component.Line, Label: "half of its trials to the other half", Group: "half"}
	bound := component.Mark{Kind: component.Line, Label: "lower bound", Group: "bound", Dashed: true}
	point := func(m *component.Mark, x, y float64) {
		if !math.IsNaN(y) {
			m.X, m.Y = append(m.X, x), append(m.Y, y)
		}
	}
	level := func(m *component.Mark, x, y float64) {
		if !math.IsNaN(y) {
			m.X, m.Y = append(m.X, x-0.3, x+0.3, x+0.3), append(m.Y, y, y, math.NaN())
		}
	}
	for j := 1; j < len(c.subjects); j++ {
		q := &c.pairs[j]
		if q.err != nil {
			continue
		}
		x := float64(len(p.X.Ticks))
		p.X.Ticks = append(p.X.Ticks, c.subjects[j].Label)
		low, high := q.low, q.high
		if math.IsNaN(low) {
			low, high = q.Angular, q.Angular
		}
		label := c.subjects[j].Label
		p.Marks = append(p.Marks, component.Mark{Kind: component.Bars, Group: label, X: []float64{x}, Y: []float64{q.Angular}, Low: []float64{low}, High: []float64{high}})
		point(&null, x, q.null.angular)
		level(&bound, x, q.Bound)
		if c.halves != nil {
			level(&floor, x, c.halves[j].angular)
		}
	}
	if len(p.Marks) == 0 {
		return f, false
	}
	for _, m := range []component.Mark{null, floor, bound} {
		if len(m.X) > 0 {
			p.Marks = append(p.Marks, m)
		}
	}
	caption := fmt.Sprintf("Bars: angle between the operators of a model and of %s", c.subjects[0].Label)
	if c.Resamples > 0 && !c.ReducedRank {
		caption += fmt.Sprintf(", with the 95%% interval of %d bootstrap resamples of trials, which is of the distance without what sampling alone adds", c.Resamples)
	}
	if len(null.X) > 0 {
		caption += "; what it would be if the model's latents had the same values and no dynamics (bins shuffled)"
	}
	if len(floor.X) > 0 {
		caption += "; what two halves of the model's own trials differ by, the least that so many trials can tell from 0"
	}
	return component.Figure{
		Name: "dsa-against", Title: "Distance from the dynamics of " + c.subjects[0].Label,
		Caption: caption + "; the bound that no rotation can pass (from the spectra of the operators' parts).", Panels: []component.Panel{p},
	}, true
}

// dendrogram joins the nearest clusters again and again, the distance of two being the mean over their members (average linkage; Sokal & Michener 1958).
func dendrogram(d []float64, names []string) component.Figure {
	n := len(names)
	type cluster struct {
		members   []int
		x, height float64
	}
	// The order of the leaves first: members of a joined cluster follow each other. Then the same joins with their places.
	var lines []component.Mark
	var order []int
	for pass := range 2 {
		var live []cluster
		for i := range n {
			c := cluster{members: []int{i}}
			if pass == 1 {
				c.x = float64(slices.Index(order, i))
			}
			live = append(live, c)
		}
		// The distances of live clusters are kept, so that a join costs their number alone.
		dist := slices.Clone(d)
		for len(live) > 1 {
			m := len(live)
			a, b := 0, 1
			for i := range m {
				for j := i + 1; j < m; j++ {
					if dist[i*m+j] < dist[a*m+b] {
						a, b = i, j
					}
				}
			}
			x, y, h := live[a], live[b], dist[a*m+b]
			if pass == 1 {
				lines = append(lines, component.Mark{Kind: component.Line, Group: "tree", X: []float64{x.x, x.x, y.x, y.x}, Y: []float64{x.height, h, h, y.height}})
			}
			live[a] = cluster{slices.Concat(x.members, y.members), (x.x + y.x) / 2, h}
			live = slices.Delete(live, b, b+1)
			next := make([]float64, (m-1)*(m-1))
			was := func(i int) int {
				if i >= b {
					return i + 1
				}
				return i
			}
			for i := range m - 1 {
				for j := range m - 1 {
					next[i*(m-1)+j] = dist[was(i)*m+was(j)]
				}
			}
			for i := range m - 1 {
				if i != a {
					v := (float64(len(x.members))*dist[was(i)*m+a] + float64(len(y.members))*dist[was(i)*m+b]) / float64(len(x.members)+len(y.members))
					next[a*(m-1)+i], next[i*(m-1)+a] = v, v
				}
			}
			dist = next
		}
		order = live[0].members
	}
	ticks := make([]string, n)
	for at, i := range order {
		ticks[at] = names[i]
	}
	return component.Figure{
		Name: "dsa-tree", Title: "Which dynamics are alike",
		Caption: "Dendrogram of the angles between operators: branches join at the mean angle between their members (average linkage). Subjects that join low share their dynamics.",
		Panels:  []component.Panel{{X: component.Axis{Ticks: ticks}, Y: component.Axis{Label: "angle", Unit: "rad"}, Marks: lines}},
	}
}

// scaling places subjects in the plane so that their distances are about those given: classical multidimensional scaling (Torgerson 1952).
func scaling(d []float64, names []string) (component.Figure, bool) {
	n := len(names)
	square := mat.NewSymDense(n, nil)
	rows, all := make([]float64, n), 0.0
	for i := range n {
		for j := range n {
			v := d[i*n+j] * d[i*n+j]
			rows[i] += v / float64(n)
			all += v / float64(n*n)
		}
	}
	trace := 0.0
	for i := range n {
		for j := i; j < n; j++ {
			square.SetSym(i, j, -(d[i*n+j]*d[i*n+j]-rows[i]-rows[j]+all)/2)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(square, true) {
		return component.Figure{}, false
	}
	values := e.Values(nil)
	var v mat.Dense
	e.VectorsTo(&v)
	for _, x := range values {
		trace += math.Abs(x)
	}
	if trace == 0 {
		return component.Figure{}, false
	}
	place := func(axis int) []float64 {
		k := n - 1 - axis
		// The sign that puts the first subject that is off the axis on its positive side.
		x, sign := make([]float64, n), 0.0
		for i := range n {
			x[i] = v.At(i, k) * math.Sqrt(max(0, values[k]))
			if sign == 0 && math.Abs(v.At(i, k)) > 1e-9 {
				sign = math.Copysign(1, x[i])
			}
			x[i] *= sign
		}
		return x
	}
	x, y := place(0), place(1)
	p := component.Panel{X: component.Axis{Label: "first dimension", Unit: "rad"}, Y: component.Axis{Label: "second dimension", Unit: "rad"}, Equal: true}
	for i, name := range names {
		p.Marks = append(p.Marks, component.Mark{Kind: component.Scatter, Label: name, Group: name, X: x[i : i+1], Y: y[i : i+1]})
	}
	return component.Figure{
		Name: "dsa-map", Title: "Dynamics on a map",
		Caption: fmt.Sprintf("Subjects placed so that their distances in the plane are about the angles between their operators (classical multidimensional scaling); the plane holds %.0f%% of it.",
			100*(max(0, values[n-1])+max(0, values[n-2]))/trace),
		Panels: []component.Panel{p},
	}, true
}
