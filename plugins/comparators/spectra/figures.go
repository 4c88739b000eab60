package spectra

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/panels"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// fewExponents is up to how many exponents each has its tick.
const fewExponents = 8

// drawn is the number of leading exponents whose convergence is drawn.
const drawn = 3

func (c *comparison) figures(ctx context.Context, out *comparator.Outcome) []component.Figure {
	var figures []component.Figure
	if f, ok := c.exponentFigure(ctx); ok {
		figures = append(figures, f)
	}
	if f, ok := c.powerFigure(); ok {
		figures = append(figures, f)
	}
	return append(figures, c.distanceFigures(out)...)
}

// exponentFigure shows the exponents of each subject, and how the first of them settle.
func (c *comparison) exponentFigure(ctx context.Context) (component.Figure, bool) {
	f := component.Figure{
		Name: "lyapunov", Title: "Lyapunov exponents", Columns: 2,
		Caption: "Left: exponents of each subject's dynamics along validation trials, in falling order; above 0 nearby states part, below they meet, at 0 differences last. " +
			"Bands: 95% intervals over trials, widened by what has not settled. Then, of each subject, the running mean of its first exponents since the transient: what still moves at the end has not settled.",
	}
	spectrum := component.Panel{Title: "exponents", X: component.Axis{Label: "exponent"}, Y: component.Axis{Label: "rate", Unit: c.rate}}
	for _, e := range c.found {
		if e.sums == nil || len(e.exponents) == 0 {
			continue
		}
		m := component.Mark{Kind: component.Line, Label: e.Label, Group: e.Label, Dashed: e.Role == comparator.Fitted}
		for j, l := range e.exponents {
			m.X, m.Y = append(m.X, float64(j+1)), append(m.Y, l/c.dt)
			low, high, err := c.interval(ctx, e.sums.statistic(j))
			if left := e.left(j, j+1); err == nil && low-low == 0 && left-left == 0 {
				m.Low, m.High = append(m.Low, (low-left)/c.dt), append(m.High, (high+left)/c.dt)
			}
		}
		if len(m.Low) != len(m.Y) {
			m.Low, m.High = nil, nil
		}
		spectrum.Marks = append(spectrum.Marks, m)
		p := component.Panel{Title: e.Label + ", convergence", X: component.Axis{Label: "time", Unit: "bin"}, Y: component.Axis{Label: "running mean", Unit: c.rate}}
		for j, direction := range e.sums.order()[:min(drawn, len(e.exponents))] {
			label := fmt.Sprintf("exponent %d", j+1)
			line := component.Mark{Kind: component.Line, Label: label, Group: label}
			for mark, at := range e.sums.at {
				if n := e.sums.counted(e.drive.steps, mark); n > 0 {
					line.X, line.Y = append(line.X, float64(at)), append(line.Y, e.sums.summed(mark, direction)/n/c.dt)
				}
			}
			p.Marks = append(p.Marks, line)
		}
		f.Panels = append(f.Panels, p)
	}
	if len(spectrum.Marks) == 0 {
		return f, false
	}
	// Of few exponents an axis of numbers would have halves between them.
	most := 0
	for _, m := range spectrum.Marks {
		most = max(most, len(m.X))
	}
	if most <= fewExponents {
		for k := range most {
			spectrum.X.Ticks = append(spectrum.X.Ticks, fmt.Sprint(k+1))
		}
		for i := range spectrum.Marks {
			for k := range spectrum.Marks[i].X {
				spectrum.Marks[i].X[k]--
			}
		}
	}
	f.Panels = append([]component.Panel{spectrum}, f.Panels...)
	return f, true
}

// powerFigure shows the power spectra of latents and the mean of those of rates.
func (c *comparison) powerFigure() (component.Figure, bool) {
	f := component.Figure{
		Name: "power", Title: "Power spectra", Columns: 2,
		Caption: "Share of the power at each frequency, of all latents together and of rates (mean over neurons), by Welch's method on validation trials. Faint: with the bins of each trial shuffled, where no dynamics are left.",
	}
	for _, of := range []struct {
		title string
		get   func(e *examined) [2]*power
	}{{"latents", func(e *examined) [2]*power { return e.latents }}, {"rates", func(e *examined) [2]*power { return e.rates }}} {
		p := component.Panel{Title: of.title, X: component.Axis{Label: "frequency", Unit: c.frequency, Log: true}, Y: component.Axis{Label: "share of power", Log: true}}
		for _, e := range c.found {
			for i, w := range of.get(e) {
				if w == nil {
					continue
				}
				mean, n := make([]float64, w.lines), 0.0
				for channel := range w.channels {
					if d, ok := w.distribution(channel, bootstrap.Ones(len(w.of))); ok {
						n++
						for k, v := range d {
							mean[k] += v
						}
					}
				}
				m := component.Mark{Kind: component.Line, Group: e.Label, Dashed: e.Role == comparator.Fitted, Faint: i == 1}
				if i == 0 {
					m.Label = e.Label
				}
				for k, v := range mean {
					if v > 0 {
						m.X, m.Y = append(m.X, float64(k+1)/(float64(w.segment)*c.dt)), append(m.Y, v/n)
					}
				}
				if len(m.X) > 0 {
					p.Marks = append(p.Marks, m)
				}
			}
		}
		if len(p.Marks) > 0 {
			f.Panels = append(f.Panels, p)
		}
	}
	return f, len(f.Panels) > 0
}

// distanceFigures show distances with intervals and nulls, and, of three subjects or more, the distances of each two.
func (c *comparison) distanceFigures(out *comparator.Outcome) []component.Figure {
	var figures []component.Figure
	var distances []component.Result
	for _, r := range out.Results {
		if r.Better == component.Lower {
			distances = append(distances, r)
		}
	}
	caption := "Bars: distance between spectra, 0 for the same"
	if c.Resamples > 0 {
		caption += fmt.Sprintf(", with the 95%% interval of %d bootstrap resamples of trials", c.Resamples)
	}
	if c.Null {
		caption += "; points: the same with the bins of each trial shuffled"
	}
	if p := panels.Bars(distances, math.Inf(-1)); len(p) > 0 {
		for _, panel := range p {
			for i := range panel.Marks {
				if m := &panel.Marks[i]; m.Kind == component.Scatter {
					m.Label, m.Group = "shuffled bins", "shuffled bins"
				}
			}
		}
		figures = append(figures, component.Figure{Name: "distances", Title: "Distances between spectra", Columns: 3, Caption: caption + ".", Panels: p})
	}
	n := len(c.found)
	if n < 3 {
		return figures
	}
	f := component.Figure{Name: "spectra", Title: "Distances between spectra of each two", Columns: 3, Caption: "0 for the same spectrum. The Hellinger distance is 1 where no frequency is shared. Of sgot, which takes one subject to the other, rows are those in whose axes both are compared, columns those that are taken there."}
	var labels []string
	for _, e := range c.found {
		labels = append(labels, e.Label)
	}
	for _, m := range out.Matrices {
		if len(m.Axes) != 2 || m.Axes[0] != "subject" {
			continue
		}
		if p, ok := panels.Matrix(m.Name, labels, m.F64, "distance", m.Unit); ok {
			f.Panels = append(f.Panels, p)
		}
	}
	if len(f.Panels) > 0 {
		figures = append(figures, f)
	}
	return figures
}
