package component

import (
	"fmt"
	"math"
)

// Figure is a declarative picture: what to show, not how. The host draws every figure alike, whoever it comes from.
type Figure struct {
	// Name is a short file name, e.g. "example-trials": lower-case letters, digits and hyphens.
	Name string
	// Title stands above the figure, Caption below: what is shown, n, and how to read it.
	Title, Caption string
	// Panels are laid out row by row in Columns columns (0: one column).
	Panels  []Panel
	Columns int
}

// Panel is one pair of axes.
type Panel struct {
	Title string
	X, Y  Axis
	// Equal asks for the same scale on both axes.
	Equal bool
	Marks []Mark
}

// Axis describes one axis.
type Axis struct {
	Label, Unit string
	// Log asks for a logarithmic scale.
	Log bool
	// Min and Max fix the range where Min < Max; both 0 means chosen from the data.
	Min, Max float64
	// Ticks names the positions 0, 1, ... of a categorical axis.
	Ticks []string
}

// MarkKind says how a mark is drawn.
type MarkKind string

// The kinds of mark and what they use.
const (
	// Line joins (X, Y) in order; NaN breaks it. Low and High, if given, are a band around Y.
	Line MarkKind = "line"
	// Scatter draws a point at each (X, Y).
	Scatter MarkKind = "scatter"
	// Bars draws a bar of height Y at each X; Low and High, if given, are its error bar.
	Bars MarkKind = "bars"
	// Raster draws a tick at time X in row Y.
	Raster MarkKind = "raster"
	// HeatMap colours a Rows x Cols grid by Z, row-major, the first row at the bottom; X and Y, if given, are the cells' centres.
	HeatMap MarkKind = "heatmap"
	// Image shows a Rows x Cols picture of grey values Z in [0, 1], row-major, the first row at the top.
	Image MarkKind = "image"
)

// Mark is one series.
type Mark struct {
	Kind MarkKind
	// Label is the entry in the legend; empty for none.
	Label string
	// Group chooses the colour: marks of one group share it. Empty: by Label.
	Group string
	// Dashed distinguishes e.g. a model from the truth; Faint draws thin and pale, e.g. for single trials.
	Dashed, Faint bool
	X, Y          []float64
	Low, High     []float64
	Rows, Cols    int
	Z             []float64
	// ZLabel and ZUnit name the colour bar.
	ZLabel, ZUnit string
}

// Check reports what makes a figure undrawable: no panels, lengths that differ, a grid of the wrong size.
func (f Figure) Check() error {
	if f.Name == "" || !shortForm.MatchString(f.Name) {
		return Invalid("figure.name", "%q: lower-case letters, digits and hyphens are needed", f.Name)
	}
	if len(f.Panels) == 0 {
		return Invalid("figure.panels", "figure %q has none", f.Name)
	}
	for i, p := range f.Panels {
		for k, m := range p.Marks {
			path := fmt.Sprintf("figure.panels[%d].marks[%d]", i, k)
			if err := m.check(path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m Mark) check(path string) error {
	switch m.Kind {
	case Line, Scatter, Bars, Raster:
		if len(m.X) != len(m.Y) {
			return Invalid(path, "%d values of x for %d of y", len(m.X), len(m.Y))
		}
		for _, band := range [][]float64{m.Low, m.High} {
			if len(band) != 0 && len(band) != len(m.Y) {
				return Invalid(path, "a band of %d values for %d of y", len(band), len(m.Y))
			}
		}
	case HeatMap, Image:
		if m.Rows < 1 || m.Cols < 1 || m.Rows > math.MaxInt/m.Cols || len(m.Z) != m.Rows*m.Cols {
			return Invalid(path, "%d values for a grid of %d x %d", len(m.Z), m.Rows, m.Cols)
		}
		if m.Kind == HeatMap && ((len(m.X) != 0 && len(m.X) != m.Cols) || (len(m.Y) != 0 && len(m.Y) != m.Rows)) {
			return Invalid(path, "%d x %d centres for a grid of %d x %d", len(m.Y), len(m.X), m.Rows, m.Cols)
		}
	default:
		return Invalid(path, "kind %q: line, scatter, bars, raster, heatmap or image is needed", m.Kind)
	}
	return nil
}
