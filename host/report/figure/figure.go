package figure

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"slices"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Drawer draws figures in one palette. It may be used from several goroutines.
type Drawer struct {
	palette Palette
	set     typesetter
	ticks   []float64
}

// New returns a drawer whose figures share a palette. A group that is not in the palette takes a colour after those that are, figure by figure.
func New(p Palette) *Drawer { return &Drawer{palette: p, set: newTypesetter()} }

// TicksAt returns a drawer that marks these values on every x axis without categories, as many of them as have room: where only some values of a
// parameter were tried, they say more than round numbers.
func (d *Drawer) TicksAt(x ...float64) *Drawer {
	out := *d
	out.ticks = slices.Clone(x)
	slices.Sort(out.ticks)
	return &out
}

// SVG writes a figure as a file of its own: on white, with its title. A figure that cannot be drawn is a [*component.InvalidArgumentError].
func (d *Drawer) SVG(w io.Writer, f component.Figure) error {
	return d.svg(w, f, false)
}

// Inline writes a figure as an <svg> element to be set in an HTML page with [Stylesheet]: without title and background, and with colours that follow
// the page from light to dark.
func (d *Drawer) Inline(w io.Writer, f component.Figure) error {
	return d.svg(w, f, true)
}

func (d *Drawer) svg(w io.Writer, f component.Figure, inline bool) error {
	pg, err := d.plan(f, !inline)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	err = guard(f.Name, func() error {
		canvas := vgsvg.NewWith(vgsvg.UseWH(pg.width, pg.height))
		pg.draw(canvas, !inline)
		_, err := canvas.WriteTo(&buf)
		return err
	})
	if err != nil {
		return err
	}
	out, err := dress(buf.Bytes(), pg, inline)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// resolution of PNG files, in pixels an inch.
const resolution = 160

// PNG writes a figure as a picture on white, with its title. A figure that cannot be drawn is a [*component.InvalidArgumentError].
func (d *Drawer) PNG(w io.Writer, f component.Figure) error {
	pg, err := d.plan(f, true)
	if err != nil {
		return err
	}
	var buf bytes.Buffer
	err = guard(f.Name, func() error {
		canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(pg.width, pg.height), vgimg.UseDPI(resolution))}
		pg.draw(canvas, true)
		_, err := canvas.WriteTo(&buf)
		return err
	})
	if err != nil {
		return err
	}
	_, err = w.Write(buf.Bytes())
	return err
}

func (d *Drawer) plan(f component.Figure, titled bool) (*page, error) {
	if err := Check(f); err != nil {
		return nil, fmt.Errorf("figure: %w", err)
	}
	var pg *page
	err := guard(f.Name, func() error {
		pg = plan(cleaned(f), d, titled)
		return nil
	})
	return pg, err
}

// guard turns a panic of the drawing library, which has several on odd input, into an error: a figure is never worth a run.
func guard(name string, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("figure: %q could not be drawn: %v", name, r)
		}
	}()
	return do()
}

// draw puts the page on a canvas of its size.
func (pg *page) draw(v vg.CanvasSizer, paper bool) {
	c := draw.New(v)
	if paper {
		c.SetColor(color.White)
		c.Fill(c.Rectangle.Path())
	}
	top := pg.height - margin
	if pg.titled {
		style := pg.set.style(titleSize, true, ink().light)
		put(c, style, vg.Point{X: margin, Y: top}, anchor{0, 1}, 0, fit(style, pg.figure.Title, pg.width-2*margin))
		top -= titleSize + 8
	}
	pg.legend.draw(c, vg.Point{X: margin, Y: top})
	for _, q := range pg.panels {
		q.drawGrid(c)
		for k, m := range q.Marks {
			colour := pg.palette.shade(group(m)).light
			switch m.Kind {
			case component.Line:
				q.drawLine(c, m, colour)
			case component.Scatter:
				q.drawScatter(c, m, colour)
			case component.Bars:
				q.drawBars(c, k, colour)
			case component.Raster:
				q.drawRaster(c, m, colour)
			case component.HeatMap:
				q.drawHeatMap(c, m)
			case component.Image:
				q.drawImage(c, m)
			}
		}
		if q.bar != nil {
			q.bar.draw(c, q)
		}
		q.drawAxes(c)
	}
}
