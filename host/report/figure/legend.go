package figure

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// entry is one line of a legend: a mark's label and how it is drawn.
type entry struct {
	label  string
	mark   component.Mark
	colour color.NRGBA
	at     vg.Point // left end of the sample's middle, from the legend's upper left corner
}

// legend names the marks of all panels, once each, in rows above them.
type legend struct {
	entries []entry
	style   draw.TextStyle
	height  vg.Length
	more    string
	moreAt  vg.Point
}

const (
	sampleWidth = 18
	legendRow   = 15
	maxEntries  = 24
)

func newLegend(f component.Figure, p Palette, set typesetter, limit vg.Length) legend {
	l := legend{style: set.style(labelSize, false, ink().light)}
	type look struct {
		label, group  string
		kind          component.MarkKind
		dashed, faint bool
	}
	seen := map[look]bool{}
	x, y := vg.Length(0), vg.Length(-legendRow/2)
	left := 0
	for _, panel := range f.Panels {
		for _, m := range panel.Marks {
			k := look{m.Label, group(m), m.Kind, m.Dashed, m.Faint}
			if m.Label == "" || m.Kind == component.HeatMap || m.Kind == component.Image || seen[k] {
				continue
			}
			seen[k] = true
			if len(l.entries) == maxEntries {
				left++
				continue
			}
			label := fit(l.style, m.Label, limit/2)
			w := sampleWidth + 5 + width(l.style, label)
			if x > 0 && x+w > limit {
				x, y = 0, y-legendRow
			}
			l.entries = append(l.entries, entry{label, m, p.shade(group(m)).light, vg.Point{X: x, Y: y}})
			x += w + 16
		}
	}
	if len(l.entries) == 0 {
		return l
	}
	if left > 0 {
		l.more = fmt.Sprintf("and %d more", left)
		if x+width(l.style, l.more) > limit {
			x, y = 0, y-legendRow
		}
		l.moreAt = vg.Point{X: x, Y: y}
	}
	l.height = -y + legendRow/2 + 5
	return l
}

// draw sets the legend with its upper left corner at the given place.
func (l legend) draw(c draw.Canvas, corner vg.Point) {
	for _, e := range l.entries {
		at := corner.Add(e.at)
		e.sample(c, at)
		put(c, l.style, vg.Point{X: at.X + sampleWidth + 5, Y: at.Y}, anchor{0, 0.5}, 0, e.label)
	}
	put(c, l.style, corner.Add(l.moreAt), anchor{0, 0.5}, 0, l.more)
}

func (e entry) sample(c draw.Canvas, at vg.Point) {
	shade := e.colour
	if e.mark.Faint {
		shade = alpha(shade, faintAlpha)
	}
	mid := vg.Point{X: at.X + sampleWidth/2, Y: at.Y}
	switch e.mark.Kind {
	case component.Line:
		if len(e.mark.Low) > 0 || len(e.mark.High) > 0 {
			box := vg.Rectangle{Min: vg.Point{X: at.X, Y: at.Y - 4}, Max: vg.Point{X: at.X + sampleWidth, Y: at.Y + 4}}
			c.SetColor(alpha(e.colour, bandAlpha))
			c.Fill(box.Path())
		}
		c.StrokeLine2(stroke(e.mark, e.colour), at.X, at.Y, at.X+sampleWidth, at.Y)
	case component.Scatter:
		r := pointSize(1)
		if e.mark.Faint {
			r *= faintSize
		}
		path := disc(nil, mid, r)
		if e.mark.Dashed {
			c.SetLineStyle(draw.LineStyle{Color: shade, Width: 0.9})
			c.Stroke(path)
			return
		}
		c.SetColor(shade)
		c.Fill(path)
	case component.Bars:
		box := vg.Rectangle{Min: vg.Point{X: mid.X - 5, Y: at.Y - 4}, Max: vg.Point{X: mid.X + 5, Y: at.Y + 4}}
		if e.mark.Dashed {
			c.SetLineStyle(draw.LineStyle{Color: e.colour, Width: 0.9, Dashes: []vg.Length{3, 2}})
			c.Stroke(box.Path())
			return
		}
		c.SetColor(shade)
		c.Fill(box.Path())
	case component.Raster:
		for i := range 3 {
			x := mid.X + vg.Length(4*(i-1))
			c.StrokeLine2(draw.LineStyle{Color: shade, Width: 0.9}, x, at.Y-4, x, at.Y+4)
		}
	}
}
