package figure

import (
	"math"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	longestTick = 130 // points that the name of a category may take
	slant       = math.Pi / 5
)

// retick chooses ticks for a data area of the given size.
func (q *panel) retick(size vg.Point) {
	q.yticks = q.y.ticks(yTickCount(q, size.Y))
	q.slanted = false
	if len(q.x.names) > 0 {
		q.xticks = q.x.ticks(int(size.X / (tickSize + 2)))
		slot := size.X / vg.Length(q.x.max-q.x.min)
		for i, t := range q.xticks {
			q.xticks[i].label = fit(q.tickStyle, t.label, longestTick)
			if width(q.tickStyle, q.xticks[i].label) > slot-3 {
				q.slanted = true
			}
		}
		return
	}
	if chosen := q.x.chosenTicks(); len(chosen) > 0 {
		q.xticks = q.apart(chosen, size.X)
		return
	}
	// Numbers along x: as many as leave a gap between them.
	for n := max(int(size.X/45), 2); ; n-- {
		q.xticks = q.x.ticks(n)
		if n <= 2 || q.fitsAlong(size.X) {
			return
		}
	}
}

func yTickCount(q *panel, height vg.Length) int {
	if len(q.y.names) > 0 {
		return max(int(height/(tickSize+2)), 2)
	}
	return min(max(int(height/22), 2), 8)
}

func (q *panel) fitsAlong(length vg.Length) bool {
	end := -vg.Length(math.Inf(1))
	for _, t := range q.xticks {
		half := width(q.tickStyle, t.label) / 2
		at := vg.Length(q.x.norm(t.at)) * length
		if at-half < end+6 {
			return false
		}
		end = at + half
	}
	return true
}

// apart leaves out ticks that would touch their neighbours, the last but not the first.
func (q *panel) apart(ticks []tick, length vg.Length) []tick {
	span := func(t tick) (from, to vg.Length) {
		at, half := vg.Length(q.x.norm(t.at))*length, width(q.tickStyle, t.label)/2
		return at - half, at + half
	}
	last := ticks[len(ticks)-1]
	limit, _ := span(last)
	end := -vg.Length(math.Inf(1))
	var out []tick
	for _, t := range ticks[:len(ticks)-1] {
		if from, to := span(t); from >= end+4 && (to <= limit-4 || len(out) == 0) {
			out, end = append(out, t), to
		}
	}
	if len(out) == 0 || limit >= end+4 {
		out = append(out, last)
	}
	return out
}

// tickWidth is the room that the names on the y axis take.
func (q *panel) tickWidth() vg.Length {
	var w vg.Length
	for i, t := range q.yticks {
		q.yticks[i].label = fit(q.tickStyle, t.label, longestTick)
		w = max(w, width(q.tickStyle, q.yticks[i].label))
	}
	return w
}

// tickHeight is the room that the names on the x axis take.
func (q *panel) tickHeight() vg.Length {
	if !q.slanted {
		return capHeight(tickSize) + 1
	}
	var w vg.Length
	for _, t := range q.xticks {
		w = max(w, width(q.tickStyle, t.label))
	}
	return w*vg.Length(math.Sin(slant)) + capHeight(tickSize)
}

// overhang is how far the last name on the x axis may stand out to the right.
func (q *panel) overhang() vg.Length {
	if q.slanted || len(q.xticks) == 0 {
		return 4
	}
	last := q.xticks[len(q.xticks)-1]
	if q.x.norm(last.at) < 0.9 {
		return 4
	}
	return max(4, width(q.tickStyle, last.label)/2)
}

// at maps data to the page.
func (q *panel) at(x, y float64) vg.Point {
	size := q.data.Size()
	return vg.Point{
		X: q.data.Min.X + vg.Length(q.x.norm(x))*size.X,
		Y: q.data.Min.Y + vg.Length(q.y.norm(y))*size.Y,
	}
}

// shown reports whether a point has a place on both axes.
func (q *panel) shown(x, y float64) bool { return q.x.shown(x) && q.y.shown(y) }

// within reports whether a place lies in the data's rectangle, give or take half a point.
func (q *panel) within(p vg.Point) bool {
	const slack = 0.5
	return p.X >= q.data.Min.X-slack && p.X <= q.data.Max.X+slack && p.Y >= q.data.Min.Y-slack && p.Y <= q.data.Max.Y+slack
}

func (q *panel) drawGrid(c draw.Canvas) {
	if q.bar != nil || q.Equal || slices.ContainsFunc(q.Marks, func(m component.Mark) bool { return m.Kind == component.Raster }) {
		return
	}
	style := draw.LineStyle{Color: grid().light, Width: 0.6}
	for _, t := range q.yticks {
		if len(q.y.names) == 0 {
			y := q.at(q.x.min, t.at).Y
			c.StrokeLine2(style, q.data.Min.X, y, q.data.Max.X, y)
		}
	}
}

func (q *panel) drawAxes(c draw.Canvas) {
	line := draw.LineStyle{Color: rule().light, Width: 0.7}
	d := q.data
	c.StrokeLines(line, []vg.Point{{X: d.Min.X, Y: d.Max.Y}, d.Min, {X: d.Max.X, Y: d.Min.Y}})
	for _, t := range q.xticks {
		p := vg.Point{X: q.at(t.at, q.y.min).X, Y: d.Min.Y}
		c.StrokeLine2(line, p.X, p.Y, p.X, p.Y-tickLength)
		p.Y -= tickLength + tickGap
		if q.slanted {
			put(c, q.tickStyle, vg.Point{X: p.X + 3, Y: p.Y}, anchor{1, 1}, slant, t.label)
		} else {
			put(c, q.tickStyle, p, anchor{0.5, 1}, 0, t.label)
		}
	}
	for _, t := range q.yticks {
		p := vg.Point{X: d.Min.X, Y: q.at(q.x.min, t.at).Y}
		c.StrokeLine2(line, p.X, p.Y, p.X-tickLength, p.Y)
		put(c, q.tickStyle, vg.Point{X: p.X - tickLength - tickGap, Y: p.Y}, anchor{1, 0.5}, 0, t.label)
	}
	x := vg.Point{X: d.Min.X + d.Size().X/2, Y: d.Min.Y - tickLength - tickGap - q.tickHeight() - labelGap}
	put(c, q.style, x, anchor{0.5, 1}, 0, fit(q.style, q.xlabel, d.Size().X+60))
	y := vg.Point{X: d.Min.X - tickLength - tickGap - q.tickWidth() - labelGap - descent, Y: d.Min.Y + d.Size().Y/2}
	put(c, q.style, y, anchor{0.5, 0}, math.Pi/2, fit(q.style, q.ylabel, d.Size().Y+16))
	bold := q.style
	bold.Font.Weight = boldWeight
	put(c, bold, vg.Point{X: d.Min.X, Y: d.Max.Y + 5}, anchor{0, 0}, 0, fit(bold, q.Title, d.Size().X+q.right))
	if q.empty {
		note := q.tickStyle
		put(c, note, vg.Point{X: x.X, Y: y.Y}, anchor{0.5, 0.5}, 0, fit(note, "nothing to show: no finite values", d.Size().X))
	}
}
