package figure

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// The largest figure that is drawn, and the largest number that is not taken for missing; on a logarithmic axis its inverse is the smallest.
const (
	maxPanels    = 256
	maxMagnitude = 1e300
)

// Check reports what makes a figure undrawable: what [component.Figure.Check] finds, too many panels, axes with a range that is not finite, a
// logarithmic axis fixed at or below zero, a heat map whose centres do not ascend or descend. The error is a [*component.InvalidArgumentError].
func Check(f component.Figure) error {
	if err := f.Check(); err != nil {
		return err
	}
	if len(f.Panels) > maxPanels {
		return component.Invalid("figure.panels", "figure %q has %d: at most %d are drawn", f.Name, len(f.Panels), maxPanels)
	}
	if f.Columns < 0 {
		return component.Invalid("figure.columns", "figure %q: %d: 0 or more", f.Name, f.Columns)
	}
	for i, p := range f.Panels {
		if err := checkAxis(fmt.Sprintf("figure.panels[%d].x", i), p.X); err != nil {
			return err
		}
		if err := checkAxis(fmt.Sprintf("figure.panels[%d].y", i), p.Y); err != nil {
			return err
		}
		for k, m := range p.Marks {
			if m.Kind != component.HeatMap {
				continue
			}
			path := fmt.Sprintf("figure.panels[%d].marks[%d]", i, k)
			if !monotone(m.X) || !monotone(m.Y) {
				return component.Invalid(path, "the centres of a heat map must be finite and ascend or descend strictly")
			}
		}
	}
	return nil
}

func checkAxis(path string, a component.Axis) error {
	if math.IsNaN(a.Min) || math.IsNaN(a.Max) || math.Abs(a.Min) > maxMagnitude || math.Abs(a.Max) > maxMagnitude {
		return component.Invalid(path, "a range from %v to %v: finite numbers are needed", a.Min, a.Max)
	}
	if a.Log && a.Min < a.Max && a.Min < 1/maxMagnitude {
		return component.Invalid(path, "a logarithmic axis from %v: it must start at %v or above", a.Min, 1/maxMagnitude)
	}
	if a.Log && len(a.Ticks) > 0 {
		return component.Invalid(path, "an axis is logarithmic or has named ticks, not both")
	}
	return nil
}

func monotone(v []float64) bool {
	for i, x := range v {
		if !finite(x) {
			return false
		}
		if i > 0 && (x == v[i-1] || (x > v[i-1]) != (v[1] > v[0])) {
			return false
		}
	}
	return true
}

func finite(x float64) bool { return math.Abs(x) <= maxMagnitude }

// clean makes a text fit for XML and for one line: no control characters, no broken UTF-8, at most 400 characters.
func clean(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF
	}), " ")
	if utf8.RuneCountInString(s) > 400 {
		s = string([]rune(s)[:399]) + "…"
	}
	return s
}

// cleaned returns the figure with every text cleaned; the data is shared.
func cleaned(f component.Figure) component.Figure {
	f.Title, f.Caption = clean(f.Title), clean(f.Caption)
	panels := make([]component.Panel, len(f.Panels))
	for i, p := range f.Panels {
		p.Title = clean(p.Title)
		p.X, p.Y = cleanAxis(p.X), cleanAxis(p.Y)
		marks := make([]component.Mark, len(p.Marks))
		for k, m := range p.Marks {
			m.Label, m.ZLabel, m.ZUnit = clean(m.Label), clean(m.ZLabel), clean(m.ZUnit)
			marks[k] = m
		}
		p.Marks = marks
		panels[i] = p
	}
	f.Panels = panels
	return f
}

func cleanAxis(a component.Axis) component.Axis {
	a.Label, a.Unit = clean(a.Label), clean(a.Unit)
	ticks := make([]string, len(a.Ticks))
	for i, t := range a.Ticks {
		ticks[i] = clean(t)
	}
	a.Ticks = ticks
	return a
}
