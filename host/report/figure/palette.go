package figure

import (
	"image/color"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// The groups with a colour of their own: neutral, so that the models' colours stand out.
const (
	// Truth is the task-trained model and what was simulated from it.
	Truth = "truth"
	// Target is what was aimed at: targets, recorded data, values by chance.
	Target = "target"
	// Input is what drives a network.
	Input = "input"
	// Null is what chance gives; so are groups whose name says that trials or bins are shuffled, e.g. "shuffled trials" or "bins shuffled".
	Null = "null"
)

// shade is one colour on a light and on a dark page. Name is its CSS variable.
type shade struct {
	name        string
	light, dark color.NRGBA
}

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{R: uint8(hex >> 16), G: uint8(hex >> 8), B: uint8(hex), A: 255}
}

// The page's own colours.
func ink() shade   { return shade{"ink", rgb(0x1F2328), rgb(0xE6E8EB)} }
func muted() shade { return shade{"muted", rgb(0x555D66), rgb(0xA5ADB6)} }
func rule() shade  { return shade{"rule", rgb(0x99A1AA), rgb(0x69727C)} }
func grid() shade  { return shade{"grid", rgb(0xE7EAED), rgb(0x2B3036)} }
func grey() shade  { return shade{"grey", rgb(0x9A9FA5), rgb(0x858C94)} }
func slate() shade { return shade{"slate", rgb(0x64748B), rgb(0x94A3B8)} }

// okabeIto is the palette in an order that keeps neighbours far apart, its black left to the truth and its yellow darkened to be seen on white; the
// second seven are the same, darker, for studies with many models.
func okabeIto() []shade {
	base := []shade{
		{"c1", rgb(0x0072B2), rgb(0x5594EC)},
		{"c2", rgb(0xD55E00), rgb(0xE0662F)},
		{"c3", rgb(0x009E73), rgb(0x30D090)},
		{"c4", rgb(0xCC79A7), rgb(0xD28ABC)},
		{"c5", rgb(0xE69F00), rgb(0xF8D959)},
		{"c6", rgb(0x56B4E9), rgb(0x9AD4F5)},
		{"c7", rgb(0xB3A200), rgb(0xF0E442)},
	}
	for i, s := range base[:7] {
		base = append(base, shade{"d" + string(rune('1'+i)), mix(s.light, rgb(0), 0.42), mix(s.dark, rgb(0xFFFFFF), 0.5)})
	}
	return base
}

// shades lists every named colour, for the style sheet of a page that figures are set in.
func shades() []shade {
	return append([]shade{ink(), muted(), rule(), grid(), grey(), slate()}, okabeIto()...)
}

func mix(a, b color.NRGBA, t float64) color.NRGBA {
	m := func(x, y uint8) uint8 { return uint8(math.Round(float64(x)*(1-t) + float64(y)*t)) }
	return color.NRGBA{R: m(a.R, b.R), G: m(a.G, b.G), B: m(a.B, b.B), A: 255}
}

// Palette gives each group its colour. The zero Palette knows the reserved groups alone.
type Palette struct{ order map[string]int }

// NewPalette gives colours to groups in the order given; a group named twice keeps its first. [Truth], [Target], [Input] and [Null] have their own.
// After 14 groups the colours come round again, with lines that are dashed.
func NewPalette(groups ...string) Palette {
	p := Palette{order: map[string]int{}}
	for _, g := range groups {
		p.add(g)
	}
	return p
}

func (p Palette) add(group string) {
	if _, reserved := reservedShade(group); reserved {
		return
	}
	if _, known := p.order[group]; !known {
		p.order[group] = len(p.order)
	}
}

// with returns the palette and, after its own, the groups of a figure that it does not know.
func (p Palette) with(f component.Figure) Palette {
	q := Palette{order: make(map[string]int, len(p.order))}
	for g, i := range p.order {
		q.order[g] = i
	}
	for _, g := range Groups(f) {
		q.add(g)
	}
	return q
}

func (p Palette) shade(group string) shade {
	if s, ok := reservedShade(group); ok {
		return s
	}
	i, ok := p.order[group]
	if !ok {
		return ink()
	}
	all := okabeIto()
	return all[i%len(all)]
}

// apart is the figure with dashed lines for groups whose colour is another's too.
func (p Palette) apart(f component.Figure) component.Figure {
	colours := len(okabeIto())
	if len(p.order) <= colours {
		return f
	}
	f.Panels = slices.Clone(f.Panels)
	for i := range f.Panels {
		marks := slices.Clone(f.Panels[i].Marks)
		for k, m := range marks {
			if m.Kind == component.Line && p.order[group(m)] >= colours {
				marks[k].Dashed = true
			}
		}
		f.Panels[i].Marks = marks
	}
	return f
}

// CSS returns the group's colour on a light page, e.g. "#0072b2", with the variable that a dark page sets: var(--fig-c1,#0072b2).
func (p Palette) CSS(group string) string { return cssVar(p.shade(group)) }

func reservedShade(group string) (shade, bool) {
	switch group {
	case "", Truth:
		return ink(), true
	case Target, Null:
		return grey(), true
	case Input:
		return slate(), true
	}
	// Labels of models have no blanks, so that none of them is taken for chance.
	if strings.HasPrefix(group, "shuffled ") || strings.HasSuffix(group, " shuffled") {
		return grey(), true
	}
	return shade{}, false
}

// Groups lists the groups of the figures' marks in order of appearance, for a palette that is the same in all of them.
func Groups(figures ...component.Figure) []string {
	var out []string
	seen := map[string]bool{}
	for _, f := range figures {
		for _, p := range f.Panels {
			for _, m := range p.Marks {
				if g := group(m); g != "" && !seen[g] && m.Kind != component.HeatMap && m.Kind != component.Image {
					seen[g] = true
					out = append(out, g)
				}
			}
		}
	}
	return out
}

func group(m component.Mark) string {
	if m.Group != "" {
		return m.Group
	}
	return m.Label
}

func alpha(c color.NRGBA, a float64) color.NRGBA {
	c.A = uint8(math.Round(a * 255))
	return c
}

// viridis is the colour map of Smith and van der Walt (2015) at t in [0, 1], by the polynomial of degree 6 that Matt Zucker fitted to it (CC0;
// within 0.01 a channel).
func viridis(t float64) color.NRGBA {
	coefficients := [7][3]float64{
		{0.2777273272234177, 0.005407344544966578, 0.3340998053353061},
		{0.1050930431085774, 1.404613529898575, 1.384590162594685},
		{-0.3308618287255563, 0.214847559468213, 0.09509516302823659},
		{-4.634230498983486, -5.799100973351585, -19.33244095627987},
		{6.228269936347081, 14.17993336680509, 56.69055260068105},
		{4.776384997670288, -13.74514537774601, -65.35303263337234},
		{-5.435455855934631, 4.645852612178535, 26.3124352495832},
	}
	var c [3]float64
	for i := len(coefficients) - 1; i >= 0; i-- {
		for k := range c {
			c[k] = c[k]*t + coefficients[i][k]
		}
	}
	u := func(x float64) uint8 { return uint8(math.Round(255 * min(max(x, 0), 1))) }
	return color.NRGBA{R: u(c[0]), G: u(c[1]), B: u(c[2]), A: 255}
}

// viridisTable has 256 steps of viridis.
func viridisTable() []color.NRGBA {
	out := make([]color.NRGBA, 256)
	for i := range out {
		out[i] = viridis(float64(i) / 255)
	}
	return out
}
