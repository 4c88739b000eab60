package figure

import (
	"fmt"
	"image/color"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func linear(v uint8) float64 {
	x := float64(v) / 255
	if x <= 0.04045 {
		return x / 12.92
	}
	return math.Pow((x+0.055)/1.055, 2.4)
}

// lab is CIE L*a*b* (D65) of linear sRGB.
func lab(r, g, b float64) [3]float64 {
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	x := f((0.4124*r + 0.3576*g + 0.1805*b) / 0.9505)
	y := f(0.2126*r + 0.7152*g + 0.0722*b)
	z := f((0.0193*r + 0.1192*g + 0.9505*b) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// seen is a colour as it appears under a deficiency: the full-severity matrices of Machado, Oliveira & Fernandes (2009), on linear sRGB.
func seen(c color.NRGBA, m [3][3]float64) [3]float64 {
	in := [3]float64{linear(c.R), linear(c.G), linear(c.B)}
	var out [3]float64
	for i := range out {
		for k := range in {
			out[i] += m[i][k] * in[k]
		}
		out[i] = min(max(out[i], 0), 1)
	}
	return lab(out[0], out[1], out[2])
}

func TestColoursCanBeToldApart(t *testing.T) {
	for name, m := range map[string][3][3]float64{
		"full sight":   {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
		"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	} {
		// The truth and the first five models, in light and in dark.
		for _, dark := range []bool{false, true} {
			all := append([]shade{ink()}, okabeIto()[:5]...)
			for i, a := range all {
				for _, b := range all[i+1:] {
					ca, cb := a.light, b.light
					if dark {
						ca, cb = a.dark, b.dark
					}
					p, q := seen(ca, m), seen(cb, m)
					if d := math.Hypot(math.Hypot(p[0]-q[0], p[1]-q[1]), p[2]-q[2]); d < 15 {
						t.Errorf("%s, dark %v: %s and %s differ by %.1f in Lab", name, dark, a.name, b.name, d)
					}
				}
			}
		}
	}
}

func TestHeatMapColoursAscendInLightness(t *testing.T) {
	table := viridisTable()
	last := -1.0
	for i, c := range table {
		l := lab(linear(c.R), linear(c.G), linear(c.B))[0]
		if l < last-0.05 {
			t.Fatalf("step %d: lightness %.2f after %.2f", i, l, last)
		}
		last = l
	}
	// The ends and the middle of matplotlib's table: #440154, #21918c, #fde725.
	for i, want := range map[int]color.NRGBA{0: rgb(0x440154), 128: rgb(0x21918c), 255: rgb(0xfde725)} {
		got := table[i]
		for _, d := range []int{int(got.R) - int(want.R), int(got.G) - int(want.G), int(got.B) - int(want.B)} {
			if d > 6 || d < -6 {
				t.Errorf("step %d is %v, want %v within 6", i, got, want)
			}
		}
	}
}

func TestGroupsKeepTheirColours(t *testing.T) {
	p := NewPalette("b", "a", Truth, "b")
	if p.CSS("b") == p.CSS("a") || p.CSS(Truth) != cssVar(ink()) || p.CSS("b") != cssVar(okabeIto()[0]) {
		t.Errorf("b %s, a %s, truth %s", p.CSS("b"), p.CSS("a"), p.CSS(Truth))
	}
	f := component.Figure{Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.Line, Label: "new"}, {Kind: component.Line, Label: "x", Group: "a"}}}}}
	q := p.with(f)
	if q.CSS("a") != p.CSS("a") || q.CSS("new") != cssVar(okabeIto()[2]) {
		t.Errorf("with a figure: a %s, new %s", q.CSS("a"), q.CSS("new"))
	}
	if _, known := p.order["new"]; known {
		t.Error("drawing a figure changed the palette")
	}
}

// TestMoreGroupsThanColours: lines whose colour comes round again are dashed, in the figure and so in its legend; the figure that was given is left as it is.
func TestMoreGroupsThanColours(t *testing.T) {
	var marks []component.Mark
	for i := range 16 {
		marks = append(marks, component.Mark{Kind: component.Line, Label: fmt.Sprintf("task %d", i), X: []float64{0, 1}, Y: []float64{0, float64(i)}})
	}
	given := component.Figure{Name: "f", Panels: []component.Panel{{Marks: marks}}}
	pg := plan(given, New(NewPalette()), false)
	looks := map[string]bool{}
	for i, e := range pg.legend.entries {
		look := fmt.Sprint(e.colour, e.mark.Dashed, pg.figure.Panels[0].Marks[i].Dashed)
		if looks[look] {
			t.Errorf("%s looks like another", e.label)
		}
		looks[look] = true
	}
	if len(looks) != 16 || marks[15].Dashed {
		t.Errorf("%d looks; the last mark given is %+v", len(looks), marks[15])
	}
}
