package figure

import (
	"image/color"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// maxPoints is the number of points of one mark that are drawn; beyond it, points that would fall on one another are left out.
const maxPoints = 6000

// faintSize is the size of a pale point beside a strong one.
const faintSize = 0.8

// disc adds a circle to a path.
func disc(p vg.Path, at vg.Point, r vg.Length) vg.Path {
	p.Move(vg.Point{X: at.X + r, Y: at.Y})
	p.Arc(at, r, 0, 2*math.Pi)
	p.Close()
	return p
}

func pointSize(n int) vg.Length {
	switch {
	case n <= 60:
		return 2.6
	case n <= 600:
		return 1.9
	case n <= 3000:
		return 1.3
	}
	return 0.9
}

// drawScatter draws discs, rings where the mark is dashed, and error bars where it has Low and High.
func (q *panel) drawScatter(c draw.Canvas, m component.Mark, colour color.NRGBA) {
	var pts []vg.Point
	for i := range m.X {
		if !q.shown(m.X[i], m.Y[i]) {
			continue
		}
		if p := q.at(m.X[i], m.Y[i]); q.within(p) {
			pts = append(pts, p)
			q.drawError(c, m, i, p.X, colour)
		}
	}
	n := len(pts)
	for cell := 0.5; len(pts) > maxPoints; cell *= 1.4 {
		pts = sparse(pts, cell)
	}
	r := pointSize(n)
	if m.Faint {
		r *= faintSize
	}
	var path vg.Path
	for _, p := range pts {
		path = disc(path, p, r)
	}
	if len(path) == 0 {
		return
	}
	shade := alpha(colour, 0.85)
	if m.Faint {
		shade = alpha(colour, faintAlpha)
	}
	if m.Dashed {
		c.SetLineStyle(draw.LineStyle{Color: shade, Width: 0.9})
		c.Stroke(path)
		return
	}
	c.SetColor(shade)
	c.Fill(path)
}

// drawError draws the error bar of point i at the given place.
func (q *panel) drawError(c draw.Canvas, m component.Mark, i int, x vg.Length, colour color.NRGBA) {
	low, high := m.Y[i], m.Y[i]
	if len(m.Low) > 0 && q.y.shown(m.Low[i]) {
		low = m.Low[i]
	}
	if len(m.High) > 0 && q.y.shown(m.High[i]) {
		high = m.High[i]
	}
	if low == high || !q.y.shown(low) || !q.y.shown(high) {
		return
	}
	y0, y1 := q.at(q.x.min, low).Y, q.at(q.x.min, high).Y
	y0, y1 = max(min(y0, y1), q.data.Min.Y), min(max(y0, y1), q.data.Max.Y)
	if y0 >= y1 {
		return
	}
	style := draw.LineStyle{Color: colour, Width: 0.9}
	c.StrokeLine2(style, x, y0, x, y1)
	c.StrokeLine2(style, x-2, y0, x+2, y0)
	c.StrokeLine2(style, x-2, y1, x+2, y1)
}

// sparse keeps the first point in each cell of the given size.
func sparse(pts []vg.Point, cell float64) []vg.Point {
	type key struct{ x, y int }
	seen := make(map[key]bool, len(pts))
	var out []vg.Point
	for _, p := range pts {
		k := key{int(math.Floor(float64(p.X) / cell)), int(math.Floor(float64(p.Y) / cell))}
		if !seen[k] {
			seen[k] = true
			out = append(out, p)
		}
	}
	return out
}

// drawRaster draws a vertical tick for each event; events of one row closer than a quarter of a point are one.
func (q *panel) drawRaster(c draw.Canvas, m component.Mark, colour color.NRGBA) {
	row := float64(q.data.Size().Y) / q.y.span()
	if q.y.log {
		row = 4
	}
	half := vg.Length(min(max(0.42*row, 0.35), 6))
	var pts []vg.Point
	for i := range m.X {
		if q.shown(m.X[i], m.Y[i]) {
			if p := q.at(m.X[i], m.Y[i]); q.within(p) {
				pts = append(pts, p)
			}
		}
	}
	for cell := 0.25; len(pts) > 4*maxPoints; cell *= 1.4 {
		pts = sparse(pts, cell)
	}
	var path vg.Path
	for _, p := range pts {
		path.Move(vg.Point{X: p.X, Y: max(p.Y-half, q.data.Min.Y)})
		path.Line(vg.Point{X: p.X, Y: min(p.Y+half, q.data.Max.Y)})
	}
	if len(path) == 0 {
		return
	}
	style := draw.LineStyle{Color: colour, Width: 0.7}
	if m.Faint {
		style.Color = alpha(colour, faintAlpha)
	}
	c.SetLineStyle(style)
	c.Stroke(path)
}
