package shape

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// figures are the matrices of the metrics on validation trials.
func (c *comparison) figures(of map[string][]float64) []component.Figure {
	n := len(c.Subjects)
	f := component.Figure{
		Name: "shape", Title: "Shapes of latents compared", Columns: 3,
		Caption: "Each two subjects on validation trials, after a fit on training trials where there is one. Distances (rad) are 0 for the same shape; correlations and similarities are 1.",
	}
	var ticks []string
	for _, s := range c.Subjects {
		ticks = append(ticks, s.Label)
	}
	for _, m := range c.metrics {
		// The Euclidean forms say the same in other units.
		if m.inSample || m.name == "cka_debiased" || (m.better == component.Lower && m.unit == "") {
			continue
		}
		known := false
		for i, v := range of[m.name] {
			known = known || (i%(n+1) != 0 && !math.IsNaN(v))
		}
		if !known {
			continue
		}
		label := "similarity"
		if m.better == component.Lower {
			label = "distance"
		}
		f.Panels = append(f.Panels, component.Panel{Title: m.name, X: component.Axis{Ticks: ticks}, Y: component.Axis{Ticks: ticks}, Equal: true, Marks: []component.Mark{{
			Kind: component.HeatMap, Rows: n, Cols: n, Z: of[m.name], ZLabel: label, ZUnit: m.unit,
		}}})
	}
	if len(f.Panels) == 0 {
		return nil
	}
	return []component.Figure{f}
}

// aligned draws validation trials of each subject, rotated and scaled onto the truth, or the first subject that has latents, in the latter's principal axes.
func (c *comparison) aligned(ctx context.Context) ([]component.Figure, error) {
	first := -1
	for i, s := range c.latents {
		if s.err == nil {
			first = i
			break
		}
	}
	if first < 0 || c.Trials == 0 {
		return nil, nil
	}
	x := &c.latents[first]
	drawn := min(c.Trials, x.valid.Trials())
	f := component.Figure{Name: "aligned-latents", Title: "Latents aligned", Columns: 2}
	for i := first + 1; i < len(c.latents); i++ {
		y := &c.latents[i]
		if y.err != nil {
			continue
		}
		m, err := moments.New(ctx, c.threads, x.train, y.train, nil, moments.All(), nil)
		if err != nil {
			return nil, err
		}
		bx, errX := c.basis(m, x.Label)
		by, errY := c.basis(m.Turned(), y.Label)
		if errX != nil || errY != nil {
			continue
		}
		to, axes, explained, err := rotation(m, bx, by)
		if err != nil {
			continue
		}
		plane := component.Panel{
			Title: y.Label, Equal: true,
			X: component.Axis{Label: fmt.Sprintf("PC 1 of %s (%.0f%% of variance)", x.Label, 100*explained[0])}, Y: component.Axis{Label: fmt.Sprintf("PC 2 of %s (%.0f%%)", x.Label, 100*explained[1])},
		}
		time := component.Panel{Title: y.Label + ", first trial", X: component.Axis{Label: "time", Unit: "bin"}, Y: component.Axis{Label: "PC 1, 2"}}
		for k := range drawn {
			for _, s := range []struct {
				*subject
				mean []float64
				to   *mat.Dense
			}{{x, bx.mean, axes}, {y, by.mean, to}} {
				n := s.valid.Lengths[k]
				rows := s.valid.Read(make([]float64, n*s.valid.Width()), k, n)
				moments.Centre(rows, s.mean)
				var at [2][]float64
				for b := range n {
					for a := range at {
						v := 0.0
						for i, u := range rows[b*s.valid.Width() : (b+1)*s.valid.Width()] {
							v += u * s.to.At(i, a)
						}
						at[a] = append(at[a], v)
					}
				}
				mark := component.Mark{Kind: component.Line, Group: s.Label, Dashed: s.subject == y, X: at[0], Y: at[1]}
				if k == 0 {
					mark.Label = s.Label
					bins := make([]float64, n)
					for b := range bins {
						bins[b] = float64(b)
					}
					for a := range at {
						line := component.Mark{Kind: component.Line, Group: s.Label, Dashed: s.subject == y, X: bins, Y: at[a]}
						if a == 0 {
							line.Label = s.Label
						}
						time.Marks = append(time.Marks, line)
					}
				}
				plane.Marks = append(plane.Marks, mark)
			}
		}
		f.Panels = append(f.Panels, plane, time)
	}
	if len(f.Panels) == 0 {
		return nil, nil
	}
	whose := "the first subject's"
	if x.Role == comparator.Truth {
		whose = "the truth's"
	}
	f.Caption = fmt.Sprintf("%d validation trials of each subject (dashed), rotated and scaled onto %s latents by Procrustes on training trials, in the latter's principal axes. Where lines part, the shapes differ.", drawn, whose)
	return []component.Figure{f}, nil
}

// rotation takes centred rows of y to the first two principal axes of x by the rotation and the scale that fit best; axes does so with rows of x.
func rotation(m *moments.Moments, x, y *basis) (to, axes *mat.Dense, explained [2]float64, err error) {
	total := 0.0
	for _, v := range x.values {
		total += v
	}
	dx, rx := x.axes.Dims()
	dy, _ := y.axes.Dims()
	u, v, s, err := singular(m, x.axes, y.axes)
	if err != nil {
		return nil, nil, explained, err
	}
	nuclear, square := 0.0, 0.0
	for _, v := range s {
		nuclear += v
	}
	for _, v := range y.values {
		square += v
	}
	to, axes = mat.NewDense(dy, 2, nil), mat.NewDense(dx, 2, nil)
	var turned, full mat.Dense
	turned.Mul(v, u.T())
	full.Mul(y.axes, &turned)
	for a := range min(2, rx) {
		explained[a] = x.values[a] / total
		for i := range dy {
			to.Set(i, a, nuclear/square*full.At(i, a))
		}
		for i := range dx {
			axes.Set(i, a, x.axes.At(i, a))
		}
	}
	return to, axes, explained, nil
}
