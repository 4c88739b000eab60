package figure

import (
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// The opacity of bands and of faint marks.
const (
	bandAlpha  = 0.2
	faintAlpha = 0.4
)

func stroke(m component.Mark, c color.NRGBA) draw.LineStyle {
	s := draw.LineStyle{Color: c, Width: 1.25}
	if m.Faint {
		s.Color, s.Width = alpha(c, faintAlpha), 0.7
	}
	if m.Dashed {
		s.Dashes = []vg.Length{4, 2.5}
	}
	return s
}

// drawLine draws a line and its band.
func (q *panel) drawLine(c draw.Canvas, m component.Mark, colour color.NRGBA) {
	area := draw.Canvas{Canvas: c.Canvas, Rectangle: q.data}
	q.drawBand(area, m, colour)
	style := stroke(m, colour)
	for _, run := range q.runs(m.X, m.Y) {
		pts := thin(run)
		if len(pts) == 1 {
			// A lone point between gaps would be invisible as a line.
			if q.within(pts[0]) {
				c.SetColor(style.Color)
				c.Fill(disc(nil, pts[0], 1.1))
			}
			continue
		}
		area.StrokeLines(style, area.ClipLinesXY(pts)...)
	}
}

func (q *panel) drawBand(c draw.Canvas, m component.Mark, colour color.NRGBA) {
	if len(m.Low) == 0 && len(m.High) == 0 {
		return
	}
	low, high := m.Low, m.High
	if len(low) == 0 {
		low = m.Y
	}
	if len(high) == 0 {
		high = m.Y
	}
	for i := 0; i < len(m.X); {
		var upper, lower []vg.Point
		for ; i < len(m.X) && q.shown(m.X[i], low[i]) && q.shown(m.X[i], high[i]); i++ {
			upper, lower = append(upper, q.at(m.X[i], high[i])), append(lower, q.at(m.X[i], low[i]))
		}
		i++
		if len(upper) < 2 {
			continue
		}
		outline := thin(upper)
		back := thin(lower)
		slices.Reverse(back)
		if polygon := c.ClipPolygonXY(append(slices.Clone(outline), back...)); len(polygon) > 2 {
			c.FillPolygon(alpha(colour, bandAlpha), polygon)
		}
	}
}

// runs cuts a line where a point has no place.
func (q *panel) runs(x, y []float64) [][]vg.Point {
	var out [][]vg.Point
	var run []vg.Point
	for i := range x {
		if q.shown(x[i], y[i]) {
			run = append(run, q.at(x[i], y[i]))
			continue
		}
		if len(run) > 0 {
			out, run = append(out, run), nil
		}
	}
	if len(run) > 0 {
		out = append(out, run)
	}
	return out
}

// thin drops the points of a line that a picture cannot show. Where x ascends, each half-point column keeps its first, lowest, highest and last
// point, so that no spike is lost (M4; Jugel et al. 2014); elsewhere a point goes that is within a quarter of a point of the last one kept.
func thin(pts []vg.Point) []vg.Point {
	const few, column, near = 400, 0.5, 0.25
	if len(pts) <= few {
		return slices.Clone(pts)
	}
	if !slices.IsSortedFunc(pts, func(a, b vg.Point) int {
		switch {
		case a.X < b.X:
			return -1
		case a.X > b.X:
			return 1
		}
		return 0
	}) {
		out := []vg.Point{pts[0]}
		for _, p := range pts[1 : len(pts)-1] {
			if last := out[len(out)-1]; math.Hypot(float64(p.X-last.X), float64(p.Y-last.Y)) >= near {
				out = append(out, p)
			}
		}
		return append(out, pts[len(pts)-1])
	}
	var out []vg.Point
	for i := 0; i < len(pts); {
		cell := math.Floor(float64(pts[i].X) / column)
		first, low, high := i, i, i
		for ; i < len(pts) && math.Floor(float64(pts[i].X)/column) == cell; i++ {
			if pts[i].Y < pts[low].Y {
				low = i
			}
			if pts[i].Y > pts[high].Y {
				high = i
			}
		}
		keep := []int{first, low, high, i - 1}
		slices.Sort(keep)
		for _, k := range slices.Compact(keep) {
			out = append(out, pts[k])
		}
	}
	return out
}
