package figure

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// barSpacing is the smallest distance between bars of a panel, 1 where there is none.
func barSpacing(p component.Panel) float64 {
	var at []float64
	for _, m := range p.Marks {
		if m.Kind == component.Bars {
			for _, x := range m.X {
				if finite(x) {
					at = append(at, x)
				}
			}
		}
	}
	slices.Sort(at)
	d := math.Inf(1)
	for i := 1; i < len(at); i++ {
		if step := at[i] - at[i-1]; step > 0 {
			d = min(d, step)
		}
	}
	if math.IsInf(d, 1) {
		return 1
	}
	return d
}

// widestBar is the width, in points, of a bar that has its place to itself.
const widestBar = 44

// neighbours counts, for each x, the bar marks of the panel that have a bar there, and those of them that come before mark k: these stand side by side.
func (q *panel) neighbours(k int) (of, before map[float64]int) {
	of, before = map[float64]int{}, map[float64]int{}
	for i, m := range q.Marks {
		if m.Kind != component.Bars {
			continue
		}
		seen := map[float64]bool{}
		for _, x := range m.X {
			if seen[x] {
				continue
			}
			seen[x] = true
			of[x]++
			if i < k {
				before[x]++
			}
		}
	}
	return of, before
}

// drawBars draws the bars of mark k. Bars of several marks at the same x share its place.
func (q *panel) drawBars(c draw.Canvas, k int, colour color.NRGBA) {
	m := q.Marks[k]
	slot := 0.78 * barSpacing(q.Panel)
	beside, before := q.neighbours(k)
	base := q.y.min
	if !q.y.log {
		base = min(max(0, q.y.min), q.y.max)
	}
	var path vg.Path
	type errorBar struct {
		i int
		x vg.Length
	}
	var errors []errorBar
	for i := range m.X {
		if !q.shown(m.X[i], m.Y[i]) {
			continue
		}
		of := beside[m.X[i]]
		share := slot / float64(of)
		x0 := m.X[i] - slot/2 + share*float64(before[m.X[i]])
		x0, x1 := x0+0.02*share, x0+0.98*share
		if !q.shown(x0, m.Y[i]) || !q.shown(x1, m.Y[i]) {
			continue
		}
		a, b := q.at(x0, base), q.at(x1, m.Y[i])
		if wide := (b.X - a.X - widestBar) / 2; wide > 0 && of == 1 {
			a.X, b.X = a.X+wide, b.X-wide
		}
		a.X, b.X = max(a.X, q.data.Min.X), min(b.X, q.data.Max.X)
		b.Y = min(max(b.Y, q.data.Min.Y), q.data.Max.Y)
		if a.X >= b.X {
			continue
		}
		path.Move(a)
		path.Line(vg.Point{X: b.X, Y: a.Y})
		path.Line(b)
		path.Line(vg.Point{X: a.X, Y: b.Y})
		path.Close()
		errors = append(errors, errorBar{i, (a.X + b.X) / 2})
	}
	if len(path) == 0 {
		return
	}
	fill := colour
	if m.Faint {
		fill = alpha(colour, faintAlpha)
	}
	c.SetColor(fill)
	if m.Dashed {
		c.SetLineStyle(draw.LineStyle{Color: colour, Width: 0.9, Dashes: []vg.Length{3, 2}})
		c.Stroke(path)
	} else {
		c.Fill(path)
	}
	for _, e := range errors {
		q.drawError(c, m, e.i, e.x, ink().light)
	}
	if base > q.y.min {
		y := q.at(q.x.min, base).Y
		c.StrokeLine2(draw.LineStyle{Color: rule().light, Width: 0.7}, q.data.Min.X, y, q.data.Max.X, y)
	}
}
