package shape

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/panels"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// figures show the metrics on validation trials with their intervals and nulls, and, of three subjects or more, each two.
func (c *comparison) figures(results []component.Result, of map[string][]float64) []component.Figure {
	held, onTraining := map[string]metric{}, map[string]string{}
	for _, m := range c.metrics {
		if m.inSample {
			onTraining[m.name] = m.of
		}
		// The Euclidean forms say the same in other units.
		if !m.inSample && m.name != "cka_debiased" && (m.better == component.Higher || m.unit != "") {
			held[m.name] = m
		}
	}
	var out []component.Figure
	var bars []component.Result
	flattered := map[string][]float64{}
	for _, r := range results {
		if _, ok := held[r.Metric]; ok {
			bars = append(bars, r)
		}
		if name := onTraining[r.Metric]; name != "" && !math.IsNaN(r.Value) {
			flattered[name] = append(flattered[name], r.Value)
		}
	}
	caption := "Bars: value on validation trials"
	if c.draws != nil {
		caption += fmt.Sprintf(", with the 95%% interval of %d bootstrap resamples of trials (%s)", c.Resamples, c.Interval)
	}
	caption += "; points: on the training trials that the fit was made on, which flatters"
	if c.nulls > 0 {
		caption += fmt.Sprintf(", and with trials shuffled, mean of %d shuffles", c.nulls)
	}
	if p := panels.Bars(bars, math.Inf(-1)); len(p) > 0 {
		for i := range p {
			if in := flattered[p[i].Title]; len(in) == len(p[i].X.Ticks) {
				m := component.Mark{Kind: component.Scatter, Label: "training trials", Group: "training trials", Y: in}
				for k := range in {
					m.X = append(m.X, float64(k))
				}
				p[i].Marks = append(p[i].Marks, m)
			}
		}
		out = append(out, component.Figure{Name: "shape-metrics", Title: "Shapes of latents compared", Columns: 3, Panels: p,
			Caption: caption + ". Distances (rad) are 0 for the same shape; correlations and similarities are 1."})
	}
	n := len(c.Subjects)
	if n < 3 {
		return out
	}
	f := component.Figure{Name: "shape", Title: "Shapes of each two", Columns: 3, Caption: "Each two subjects on validation trials, after a fit on training trials where there is one."}
	var labels []string
	for _, s := range c.Subjects {
		labels = append(labels, s.Label)
	}
	for _, m := range c.metrics {
		if _, ok := held[m.name]; !ok {
			continue
		}
		what := "similarity"
		if m.better == component.Lower {
			what = "distance"
		}
		if p, ok := panels.Matrix(m.name, labels, of[m.name], what, m.unit); ok {
			f.Panels = append(f.Panels, p)
		}
	}
	if len(f.Panels) > 0 {
		out = append(out, f)
	}
	return out
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
