package figure

import (
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// page is a figure with every place on it decided.
type page struct {
	figure  component.Figure
	palette Palette
	set     typesetter
	width   vg.Length
	height  vg.Length
	titled  bool
	legend  legend
	panels  []*panel
}

// panel is one pair of axes: its scales, and the rectangle of its data.
type panel struct {
	component.Panel
	x, y             scale
	xticks, yticks   []tick
	xlabel, ylabel   string
	slanted          bool
	bar              *colourBar
	data             vg.Rectangle
	left, right      vg.Length
	top, bottom      vg.Length
	empty            bool
	tickStyle, style draw.TextStyle
}

const (
	tickLength = 3
	tickGap    = 2.5
	labelGap   = 5
	descent    = 2 // of the letters of a label that stands beside its axis
	panelGap   = 12
	margin     = 6
)

// plan lays a figure out. The figure has been checked and cleaned.
func plan(f component.Figure, d *Drawer, titled bool) *page {
	cols := min(max(f.Columns, 1), len(f.Panels))
	rows := (len(f.Panels) + cols - 1) / cols
	pg := &page{palette: d.palette.with(f), set: d.set, titled: titled && f.Title != ""}
	f = pg.palette.apart(f)
	pg.figure = f
	pg.width = pageWidth(f, cols)
	pg.legend = newLegend(f, pg.palette, d.set, pg.width-2*margin)
	colour := jointColours(f)
	height := dataHeight(f, cols, rows)
	for i, panel := range f.Panels {
		q := pg.panel(i, panel, cols, colour)
		if len(q.x.names) == 0 {
			q.x.at = d.ticks
		}
		pg.panels = append(pg.panels, q)
	}
	guess := (pg.width-2*margin)/vg.Length(cols) - 62
	pg.measure(cols, guess, height)
	width := pg.place(cols, rows, height)
	if pg.anyEqual() {
		height = min(max(width*vg.Length(pg.aspect()), 0.55*width), 1.15*width)
		pg.measure(cols, width, height)
		pg.place(cols, rows, height)
		for _, q := range pg.panels {
			if q.Equal {
				q.equalise()
			}
		}
	}
	for _, q := range pg.panels {
		q.retick(q.data.Size())
	}
	return pg
}

func pageWidth(f component.Figure, cols int) vg.Length {
	if cols == 1 {
		for _, p := range f.Panels {
			if !p.Equal {
				return 600
			}
		}
		return 380
	}
	return max(660, vg.Length(cols)*135)
}

func dataHeight(f component.Figure, cols, rows int) vg.Length {
	h := map[int]vg.Length{1: 190, 2: 150, 3: 125}[cols]
	if h == 0 {
		h = 105
	}
	if cols == 1 && rows > 2 {
		h = 105
	}
	if rows > 6 {
		h = min(h, 80)
	}
	// The names of a categorical y axis must have room.
	for _, p := range f.Panels {
		h = max(h, min(vg.Length(len(p.Y.Ticks))*(tickSize+2.5), 420))
	}
	return h
}

func (pg *page) panel(i int, p component.Panel, cols int, colour map[string]*colourScale) *panel {
	q := &panel{
		Panel:     p,
		xlabel:    title(p.X.Label, p.X.Unit),
		ylabel:    title(p.Y.Label, p.Y.Unit),
		tickStyle: pg.set.style(tickSize, false, muted().light),
		style:     pg.set.style(labelSize, false, ink().light),
	}
	panels := pg.figure.Panels
	// A label stands once where the panel below, or to the left, says the same.
	if i+cols < len(panels) && panels[i+cols].X.Label == p.X.Label && panels[i+cols].X.Unit == p.X.Unit {
		q.xlabel = ""
	}
	if i%cols > 0 && panels[i-1].Y.Label == p.Y.Label && panels[i-1].Y.Unit == p.Y.Unit {
		q.ylabel = ""
	}
	x, y, mx, my := extents(p)
	q.empty = len(p.Marks) == 0 || (x.empty() && y.empty())
	q.x, q.y = newScale(p.X, x, mx), newScale(p.Y, y, my)
	for _, m := range p.Marks {
		if m.Kind == component.HeatMap {
			c := colour[title(m.ZLabel, m.ZUnit)]
			q.bar = &colourBar{colourScale: c, label: title(m.ZLabel, m.ZUnit)}
		}
	}
	return q
}

// extents returns what the axes of a panel must show, and the margins, as fractions, that its marks ask for.
func extents(p component.Panel) (x, y extent, mx, my float64) {
	x, y = newExtent(p.X.Log), newExtent(p.Y.Log)
	for _, m := range p.Marks {
		switch m.Kind {
		case component.HeatMap:
			ex, ey := edges(m.X, m.Cols, p.X.Log), edges(m.Y, m.Rows, p.Y.Log)
			x.add(ex[0], ex[len(ex)-1])
			y.add(ey[0], ey[len(ey)-1])
		case component.Image:
			x.add(0, float64(m.Cols))
			y.add(0, float64(m.Rows))
		case component.Raster:
			x.add(m.X...)
			for _, v := range m.Y {
				y.add(v-0.5, v+0.5)
			}
		case component.Bars:
			half := barSpacing(p) / 2
			for _, v := range m.X {
				x.add(v-half, v+half)
			}
			y.add(0)
			y.add(m.Y...)
			y.add(m.Low...)
			y.add(m.High...)
			my = max(my, 0.06)
		default:
			x.add(m.X...)
			y.add(m.Y...)
			y.add(m.Low...)
			y.add(m.High...)
			my = max(my, 0.05)
			if m.Kind == component.Scatter || p.Equal {
				mx = max(mx, 0.04)
			}
		}
	}
	return x, y, mx, my
}

// measure finds how much room each panel needs around its data, for data of about the given size.
func (pg *page) measure(cols int, width, height vg.Length) {
	for i, q := range pg.panels {
		q.retick(vg.Point{X: width, Y: height})
		q.top = 3
		if q.Title != "" {
			q.top = labelSize + 5
		}
		q.left = tickLength + tickGap + q.tickWidth()
		if q.ylabel != "" {
			q.left += labelGap + labelSize + descent
		}
		q.bottom = tickLength + tickGap + q.tickHeight()
		if q.xlabel != "" {
			q.bottom += labelGap + labelSize
		}
		q.right = q.overhang()
		if q.bar != nil {
			q.right = max(q.right, q.bar.room(q.tickStyle))
		}
		if i%cols == 0 {
			q.left += 1
		}
	}
}

// place gives every panel its rectangle: data areas of one size, aligned by row and column. It sets the page's height and returns the width of a data area.
func (pg *page) place(cols, rows int, height vg.Length) vg.Length {
	left, right := make([]vg.Length, cols), make([]vg.Length, cols)
	top, bottom := make([]vg.Length, rows), make([]vg.Length, rows)
	for i, q := range pg.panels {
		c, r := i%cols, i/cols
		left[c], right[c] = max(left[c], q.left), max(right[c], q.right)
		top[r], bottom[r] = max(top[r], q.top), max(bottom[r], q.bottom)
	}
	free := pg.width - 2*margin - vg.Length(cols-1)*panelGap
	for c := range cols {
		free -= left[c] + right[c]
	}
	width := max(free/vg.Length(cols), 30)
	pg.height = margin + margin + pg.legend.height
	if pg.titled {
		pg.height += titleSize + 8
	}
	for r := range rows {
		pg.height += top[r] + height + bottom[r]
		if r > 0 {
			pg.height += panelGap * 0.6
		}
	}
	y := pg.height - margin - pg.legend.height
	if pg.titled {
		y -= titleSize + 8
	}
	for r := range rows {
		y -= top[r]
		x := vg.Length(margin)
		for c := range cols {
			x += left[c]
			if i := r*cols + c; i < len(pg.panels) {
				pg.panels[i].data = vg.Rectangle{Min: vg.Point{X: x, Y: y - height}, Max: vg.Point{X: x + width, Y: y}}
			}
			x += width + right[c] + panelGap
		}
		y -= height + bottom[r] + panelGap*0.6
	}
	return width
}

func (pg *page) anyEqual() bool {
	for _, q := range pg.panels {
		if q.Equal {
			return true
		}
	}
	return false
}

// aspect is the largest ratio of height to width that the data of an equal panel asks for.
func (pg *page) aspect() float64 {
	a := 0.0
	for _, q := range pg.panels {
		if q.Equal {
			a = max(a, q.y.span()/q.x.span())
		}
	}
	return min(a, 10)
}

// span is the length of the axis in the units that are drawn evenly.
func (s scale) span() float64 {
	if s.log {
		return math.Log(s.max) - math.Log(s.min)
	}
	return s.max - s.min
}

// grow extends a scale about its middle to the given span, unless that would leave the finite numbers.
func (s *scale) grow(span float64) {
	extra := (span - s.span()) / 2
	low, high := s.min-extra, s.max+extra
	if s.log {
		low, high = s.min*math.Exp(-extra), s.max*math.Exp(extra)
	}
	if s.shown(low) && s.shown(high) {
		s.min, s.max = low, high
	}
}

// shrink narrows [low, high] about its middle to the given length, though not to a sliver: then the scales stay unequal.
func shrink(low, high *vg.Length, length vg.Length) {
	const least = 20
	if cut := (*high - *low - length) / 2; length >= least {
		*low, *high = *low+cut, *high-cut
	}
}

// equalise gives both axes one scale: by extending the range that is short, or, where that is fixed, by shrinking the data's rectangle.
func (q *panel) equalise() {
	size := q.data.Size()
	ux, uy := q.x.span()/float64(size.X), q.y.span()/float64(size.Y)
	switch u := max(ux, uy); {
	case ux < u && !q.x.fixed:
		q.x.grow(u * float64(size.X))
	case ux < u:
		shrink(&q.data.Min.X, &q.data.Max.X, vg.Length(q.x.span()/u))
	case uy < u && !q.y.fixed:
		q.y.grow(u * float64(size.Y))
	case uy < u:
		shrink(&q.data.Min.Y, &q.data.Max.Y, vg.Length(q.y.span()/u))
	}
}
