package figure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// texts parses an SVG and returns its text elements.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var out []string
	d := xml.NewDecoder(bytes.NewReader(svg))
	inText := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			inText = e.Name.Local == "text"
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				out = append(out, string(e))
			}
		}
	}
}

func drawn(t *testing.T, f component.Figure) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := New(NewPalette("gru-64")).SVG(&b, f); err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return b.Bytes()
}

func TestEveryKindIsDrawnWithItsLabels(t *testing.T) {
	kinds := map[component.MarkKind]bool{}
	for _, f := range samples() {
		said := strings.Join(texts(t, drawn(t, f)), "\n")
		want := []string{f.Title}
		for _, p := range f.Panels {
			want = append(want, p.Title, title(p.X.Label, p.X.Unit), title(p.Y.Label, p.Y.Unit))
			want = append(want, p.X.Ticks...)
			for _, m := range p.Marks {
				kinds[m.Kind] = true
				want = append(want, m.Label, title(m.ZLabel, m.ZUnit))
			}
		}
		for _, w := range want {
			if !strings.Contains(said, w) {
				t.Errorf("%s: %q is not in the picture", f.Name, w)
			}
		}
		var b bytes.Buffer
		if err := New(NewPalette()).PNG(&b, f); err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(&b); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	for _, k := range []component.MarkKind{component.Line, component.Scatter, component.Bars, component.Raster, component.HeatMap, component.Image} {
		if !kinds[k] {
			t.Errorf("no sample of %s", k)
		}
	}
}

func TestSameFigureSameBytes(t *testing.T) {
	for _, f := range samples() {
		var pictures [2][2]bytes.Buffer
		for i := range pictures {
			d := New(NewPalette("gru-64", "lds-8"))
			if err := errors.Join(d.Inline(&pictures[i][0], f), d.PNG(&pictures[i][1], f)); err != nil {
				t.Fatal(err)
			}
		}
		for k := range pictures[0] {
			if !bytes.Equal(pictures[0][k].Bytes(), pictures[1][k].Bytes()) {
				t.Errorf("%s differs from one drawing to the next", f.Name)
			}
		}
	}
}

func TestInlineNeedsNothingFromOutside(t *testing.T) {
	address := regexp.MustCompile(`(?i)(href|src)="[^"#]|url\(`)
	for _, f := range samples() {
		var b bytes.Buffer
		if err := New(NewPalette("gru-64")).Inline(&b, f); err != nil {
			t.Fatal(err)
		}
		svg := strings.ReplaceAll(b.String(), `href="data:image/png;base64,`, "")
		if loc := address.FindString(svg); loc != "" {
			t.Errorf("%s refers to something outside: %s", f.Name, loc)
		}
		if strings.HasPrefix(svg, "<?xml") {
			t.Errorf("%s has an XML declaration, which HTML does not allow", f.Name)
		}
		if strings.Contains(svg, ":"+canvasHex(ink().light)) {
			t.Errorf("%s has ink that does not follow the page's colours", f.Name)
		}
	}
}

// What users call their things must neither break the picture nor become part of a page.
func TestTextIsEscaped(t *testing.T) {
	hostile := "<script>alert(1)</script> & \"x\" 'y' \x00\x1b[31m\xff\ufffe line\nbreak"
	axis := component.Axis{Label: hostile, Unit: hostile}
	f := component.Figure{Name: "hostile", Title: hostile, Caption: hostile, Panels: []component.Panel{{
		Title: hostile, X: axis, Y: component.Axis{Ticks: []string{hostile, hostile}},
		Marks: []component.Mark{
			{Kind: component.Line, Label: hostile, Group: hostile, X: []float64{0, 1}, Y: []float64{0, 1}},
			{Kind: component.HeatMap, Rows: 1, Cols: 1, Z: []float64{1}, ZLabel: hostile, ZUnit: hostile},
		},
	}}}
	svg := drawn(t, f)
	if bytes.Contains(svg, []byte("<script")) {
		t.Error("a label became an element")
	}
	if said := strings.Join(texts(t, svg), "\n"); !strings.Contains(said, "<script>") {
		t.Errorf("the label is gone: %q", said)
	}
}

func TestUndrawableFigureIsAnError(t *testing.T) {
	line := func(x, y []float64) []component.Mark { return []component.Mark{{Kind: component.Line, X: x, Y: y}} }
	for _, tc := range []struct {
		name string
		f    component.Figure
	}{
		{"no name", component.Figure{Panels: make([]component.Panel, 1)}},
		{"a name that leaves the folder", component.Figure{Name: "../x", Panels: make([]component.Panel, 1)}},
		{"no panels", component.Figure{Name: "a"}},
		{"lengths", component.Figure{Name: "a", Panels: []component.Panel{{Marks: line([]float64{1}, nil)}}}},
		{"kind", component.Figure{Name: "a", Panels: []component.Panel{{Marks: []component.Mark{{Kind: "pie"}}}}}},
		{"grid", component.Figure{Name: "a", Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.HeatMap, Rows: 2, Cols: 2, Z: []float64{1}}}}}}},
		{"centres", component.Figure{Name: "a", Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.HeatMap, Rows: 1, Cols: 3, Z: make([]float64, 3), X: []float64{1, 3, 2}}}}}}},
		{"centres that stand still", component.Figure{Name: "a", Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.HeatMap, Rows: 1, Cols: 2, Z: make([]float64, 2), X: []float64{1, 1}}}}}}},
		{"range", component.Figure{Name: "a", Panels: []component.Panel{{X: component.Axis{Min: 1, Max: math.Inf(1)}}}}},
		{"log range", component.Figure{Name: "a", Panels: []component.Panel{{Y: component.Axis{Log: true, Min: -1, Max: 2}}}}},
		{"panels", component.Figure{Name: "a", Panels: make([]component.Panel, maxPanels+1)}},
		{"columns", component.Figure{Name: "a", Columns: -1, Panels: make([]component.Panel, 1)}},
	} {
		err := New(NewPalette()).SVG(io.Discard, tc.f)
		if !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: %v, want an invalid argument", tc.name, err)
		}
		if err := New(NewPalette()).PNG(io.Discard, tc.f); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s as PNG: %v, want an invalid argument", tc.name, err)
		}
	}
}

// Whatever passes Check is drawn, with every coordinate finite.
func TestOddDataIsDrawn(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	bad := regexp.MustCompile(`NaN|Inf`)
	values := [][]float64{
		nil, {0}, {nan}, {inf, -inf}, {nan, 1, nan}, {5, 5, 5}, {0, 0}, {-1, -2}, {1e300, -1e300}, {math.MaxFloat64, -math.MaxFloat64}, {5e-324, 1e-323},
		{1, 1 + 1e-15}, {1e-300, 1e300}, {-1, 0, 1e-9}, {1e9, 1e9 + 1},
	}
	axes := []component.Axis{
		{}, {Log: true}, {Min: 0, Max: 1}, {Min: 1, Max: 1}, {Min: 5e-324, Max: 1e-323}, {Min: 1, Max: 1 + 1e-16}, {Min: -1e300, Max: 1e300},
		{Log: true, Min: 1e-300, Max: 1e300}, {Log: true, Min: 1, Max: 1 + 1e-15}, {Ticks: []string{"a"}}, {Ticks: make([]string, 500)},
	}
	r := rand.New(rand.NewPCG(3, 4))
	kinds := []component.MarkKind{component.Line, component.Scatter, component.Bars, component.Raster, component.HeatMap, component.Image}
	pick := func(n int) []float64 {
		v := values[r.IntN(len(values))]
		out := make([]float64, n)
		for i := range out {
			if len(v) > 0 {
				out[i] = v[r.IntN(len(v))]
			}
		}
		return out
	}
	for round := range 250 {
		f := component.Figure{Name: fmt.Sprintf("odd-%d", round), Columns: r.IntN(4)}
		for range 1 + r.IntN(3) {
			p := component.Panel{X: axes[r.IntN(len(axes))], Y: axes[r.IntN(len(axes))], Equal: r.IntN(3) == 0}
			for range r.IntN(3) {
				m := component.Mark{Kind: kinds[r.IntN(len(kinds))], Label: "m", Dashed: r.IntN(2) == 0, Faint: r.IntN(2) == 0}
				switch m.Kind {
				case component.HeatMap, component.Image:
					m.Rows, m.Cols = 1+r.IntN(3), 1+r.IntN(3)
					m.Z = pick(m.Rows * m.Cols)
				default:
					n := r.IntN(5)
					m.X, m.Y = pick(n), pick(n)
					if r.IntN(2) == 0 {
						m.Low = pick(n)
					}
					if r.IntN(2) == 0 {
						m.High = pick(n)
					}
				}
				p.Marks = append(p.Marks, m)
			}
			f.Panels = append(f.Panels, p)
		}
		svg := drawn(t, f)
		texts(t, svg)
		if loc := bad.FindIndex(svg); loc != nil {
			t.Fatalf("round %d: %s in %+v", round, svg[max(loc[0]-80, 0):min(loc[1]+20, len(svg))], f)
		}
	}
}

func TestEmptyPanelSaysSo(t *testing.T) {
	f := component.Figure{Name: "empty", Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.Line, X: []float64{math.NaN()}, Y: []float64{1}}}}}}
	f.Panels = append(f.Panels, component.Panel{})
	n := strings.Count(strings.Join(texts(t, drawn(t, f)), "\n"), "nothing to show")
	if n != 1 {
		t.Errorf("%d panels say that they are empty, want the one without marks", n)
	}
}

func TestLongLineKeepsItsSpike(t *testing.T) {
	const n, spike = 200_000, 123_457
	pts := make([]vg.Point, n)
	for i := range pts {
		pts[i].X = vg.Length(i) * 400 / n
	}
	pts[spike].Y = 99
	pts[spike+1].Y = -99
	kept := thin(pts)
	if len(kept) > 4000 {
		t.Errorf("%d points kept of %d", len(kept), n)
	}
	var high, low bool
	for _, p := range kept {
		high, low = high || p == pts[spike], low || p == pts[spike+1]
	}
	if !high || !low || kept[0] != pts[0] || kept[len(kept)-1] != pts[n-1] {
		t.Errorf("lost: spike up kept %v, down kept %v", high, low)
	}
}

func TestLegendStandsAboveTheData(t *testing.T) {
	for _, f := range samples() {
		pg := plan(f, New(NewPalette()), true)
		floor := pg.height - margin - pg.legend.height - titleSize - 8
		for i, q := range pg.panels {
			if q.data.Max.Y > floor+0.01 {
				t.Errorf("%s: panel %d reaches %v, the legend %v", f.Name, i, q.data.Max.Y, floor)
			}
			if q.data.Min.X < 0 || q.data.Max.X > pg.width {
				t.Errorf("%s: panel %d leaves the page: %v", f.Name, i, q.data)
			}
		}
	}
}

func TestEqualAspect(t *testing.T) {
	f := component.Figure{Name: "equal", Panels: []component.Panel{{Equal: true, Marks: []component.Mark{{Kind: component.Line, X: []float64{0, 30}, Y: []float64{0, 1}}}}}}
	for _, fixed := range []bool{false, true} {
		if fixed {
			f.Panels[0].X, f.Panels[0].Y = component.Axis{Min: -1, Max: 30}, component.Axis{Min: 0, Max: 2}
		}
		q := plan(f, New(NewPalette()), false).panels[0]
		d := q.at(1, 1).Sub(q.at(0, 0))
		if math.Abs(float64(d.X/d.Y)-1) > 1e-9 {
			t.Errorf("fixed %v: a unit is %v wide and %v high", fixed, d.X, d.Y)
		}
	}
}

func TestBarsStandSideBySideOnlyWhereTheyMeet(t *testing.T) {
	bar := func(x ...float64) component.Mark {
		return component.Mark{Kind: component.Bars, X: x, Y: make([]float64, len(x))}
	}
	q := &panel{Panel: component.Panel{Marks: []component.Mark{bar(0, 1), bar(1), bar(2)}}}
	for _, tc := range []struct {
		mark    int
		x       float64
		of, nth int
	}{{0, 0, 1, 0}, {0, 1, 2, 0}, {1, 1, 2, 1}, {2, 2, 1, 0}} {
		if of, before := q.neighbours(tc.mark); of[tc.x] != tc.of || before[tc.x] != tc.nth {
			t.Errorf("mark %d at %v: %d of %d, want %d of %d", tc.mark, tc.x, before[tc.x], of[tc.x], tc.nth, tc.of)
		}
	}
}
