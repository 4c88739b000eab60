package figure

import (
	"image"
	"image/color"
	"math"
	"sort"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// colourScale is the range of values that a heat map's colours stand for.
type colourScale struct{ low, high float64 }

// jointColours gives the heat maps of a figure that show the same quantity one range of colours, so that they can be compared.
func jointColours(f component.Figure) map[string]*colourScale {
	out := map[string]*colourScale{}
	for _, p := range f.Panels {
		for _, m := range p.Marks {
			if m.Kind != component.HeatMap {
				continue
			}
			name := title(m.ZLabel, m.ZUnit)
			if out[name] == nil {
				out[name] = &colourScale{math.Inf(1), math.Inf(-1)}
			}
			for _, z := range m.Z {
				if finite(z) {
					out[name].low, out[name].high = min(out[name].low, z), max(out[name].high, z)
				}
			}
		}
	}
	for _, s := range out {
		if s.low > s.high {
			s.low, s.high = 0, 1
		} else if narrow(s.low, s.high) {
			s.low, s.high = widen(s.low, s.high)
		}
	}
	return out
}

// colourBar stands to the right of a heat map.
type colourBar struct {
	*colourScale
	label string
}

const barWidth = 9

func (b *colourBar) scale() scale { return scale{min: b.low, max: b.high} }

func (b *colourBar) room(s draw.TextStyle) vg.Length {
	var w vg.Length
	for _, t := range b.scale().ticks(5) {
		w = max(w, width(s, t.label))
	}
	w += 8 + barWidth + tickLength + tickGap + 2
	if b.label != "" {
		w += labelGap + labelSize
	}
	return w
}

func (b *colourBar) draw(c draw.Canvas, q *panel) {
	r := vg.Rectangle{
		Min: vg.Point{X: q.data.Max.X + 8, Y: q.data.Min.Y},
		Max: vg.Point{X: q.data.Max.X + 8 + barWidth, Y: q.data.Max.Y},
	}
	table := viridisTable()
	img := image.NewNRGBA(image.Rect(0, 0, 1, len(table)))
	for i, col := range table {
		img.SetNRGBA(0, len(table)-1-i, col)
	}
	c.DrawImage(r, img)
	line := draw.LineStyle{Color: rule().light, Width: 0.7}
	s := b.scale()
	var w vg.Length
	for _, t := range s.ticks(min(max(int(r.Size().Y/24), 2), 5)) {
		y := r.Min.Y + vg.Length(s.norm(t.at))*r.Size().Y
		c.StrokeLine2(line, r.Max.X, y, r.Max.X+tickLength, y)
		put(c, q.tickStyle, vg.Point{X: r.Max.X + tickLength + tickGap, Y: y}, anchor{0, 0.5}, 0, t.label)
		w = max(w, width(q.tickStyle, t.label))
	}
	at := vg.Point{X: r.Max.X + tickLength + tickGap + w + labelGap + capHeight(labelSize), Y: (r.Min.Y + r.Max.Y) / 2}
	put(c, q.style, at, anchor{0.5, 0}, math.Pi/2, fit(q.style, b.label, r.Size().Y+16))
}

// edges returns the n+1 borders of n cells with the given centres (0, 1, ... where there are none): half way between them, on a logarithmic axis in
// the ratio.
func edges(centres []float64, n int, log bool) []float64 {
	at := func(i int) float64 {
		if len(centres) == 0 {
			return float64(i)
		}
		return centres[i]
	}
	forth, back := func(v float64) float64 { return v }, func(v float64) float64 { return v }
	if log {
		for i := range n {
			if at(i) <= 0 {
				log = false
			}
		}
	}
	if log {
		forth, back = math.Log, math.Exp
	}
	out := make([]float64, n+1)
	if n == 1 {
		return []float64{at(0) - 0.5, at(0) + 0.5}
	}
	for i := 1; i < n; i++ {
		out[i] = back(forth(at(i-1))/2 + forth(at(i))/2)
	}
	first, last := forth(at(0)), forth(at(n-1))
	out[0] = back(first - (forth(at(1))-first)/2)
	out[n] = back(last + (last-forth(at(n-2)))/2)
	return out
}

// cells maps the pixels along one axis, from low to high, to the cells that they show: pixel i shows cells [from[i], to[i]), none where from == to.
func cells(edge []float64, s scale, pixels int) (from, to []int) {
	n := len(edge) - 1
	norm := make([]float64, n+1)
	for i, e := range edge {
		if s.shown(e) {
			norm[i] = s.norm(e)
		} else {
			norm[i] = -1e4
		}
	}
	flipped := norm[n] < norm[0]
	if flipped {
		for i := range (n + 1) / 2 {
			norm[i], norm[n-i] = norm[n-i], norm[i]
		}
	}
	from, to = make([]int, pixels), make([]int, pixels)
	for i := range pixels {
		a, b := float64(i)/float64(pixels), float64(i+1)/float64(pixels)
		mid := (a + b) / 2
		// The cell under the pixel's middle, and further ones that lie wholly in it.
		j := sort.SearchFloat64s(norm, mid) - 1
		if j < 0 || j >= n {
			continue
		}
		lo, hi := j, j+1
		for lo > 0 && norm[lo-1] >= a {
			lo--
		}
		for hi < n && norm[hi+1] <= b {
			hi++
		}
		if flipped {
			lo, hi = n-hi, n-lo
		}
		from[i], to[i] = lo, hi
	}
	return from, to
}

// pixels is how many pixels to draw n cells over a length with: a multiple of n where the cells are few, so that their borders stay sharp.
func pixels(n int, length vg.Length) int {
	full := int(2 * length)
	if n >= full {
		return full
	}
	return n * ((full + n - 1) / n)
}

// drawHeatMap draws a grid as one picture over the data's rectangle. Cells smaller than a pixel are averaged; a cell that is not finite is left blank.
func (q *panel) drawHeatMap(c draw.Canvas, m component.Mark) {
	size := q.data.Size()
	nx, ny := pixels(m.Cols, size.X), pixels(m.Rows, size.Y)
	x0, x1 := cells(edges(m.X, m.Cols, q.x.log), q.x, nx)
	y0, y1 := cells(edges(m.Y, m.Rows, q.y.log), q.y, ny)
	table := viridisTable()
	img := image.NewNRGBA(image.Rect(0, 0, nx, ny))
	for j := range ny {
		for i := range nx {
			var sum float64
			n := 0
			for r := y0[j]; r < y1[j]; r++ {
				for _, z := range m.Z[r*m.Cols+x0[i] : r*m.Cols+x1[i]] {
					if finite(z) {
						sum, n = sum+z, n+1
					}
				}
			}
			if n > 0 {
				t := (sum/float64(n) - q.bar.low) / (q.bar.high - q.bar.low)
				img.SetNRGBA(i, ny-1-j, table[int(255*min(max(t, 0), 1)+0.5)])
			}
		}
	}
	c.DrawImage(q.data, img)
}

// drawImage draws grey values over [0, Cols] x [0, Rows].
func (q *panel) drawImage(c draw.Canvas, m component.Mark) {
	size := q.data.Size()
	border := func(n int) []float64 {
		out := make([]float64, n+1)
		for i := range out {
			out[i] = float64(i)
		}
		return out
	}
	nx, ny := pixels(m.Cols, size.X), pixels(m.Rows, size.Y)
	x0, x1 := cells(border(m.Cols), q.x, nx)
	y0, y1 := cells(border(m.Rows), q.y, ny)
	img := image.NewNRGBA(image.Rect(0, 0, nx, ny))
	for j := range ny {
		for i := range nx {
			var sum float64
			n := 0
			for r := y0[j]; r < y1[j]; r++ {
				top := m.Rows - 1 - r
				for _, z := range m.Z[top*m.Cols+x0[i] : top*m.Cols+x1[i]] {
					if finite(z) {
						sum, n = sum+z, n+1
					}
				}
			}
			if n > 0 {
				v := uint8(math.Round(255 * min(max(sum/float64(n), 0), 1)))
				img.SetNRGBA(i, ny-1-j, color.NRGBA{R: v, G: v, B: v, A: 255})
			}
		}
	}
	c.DrawImage(q.data, img)
}
