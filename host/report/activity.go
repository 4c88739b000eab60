package report

import (
	"fmt"

	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	shownModels = 4 // models overlaid in one panel, or with a heat map each
	rateUnit    = "spikes/bin"
)

// clock is that of the data set.
func (r *recording) clock() clock { return clock{r.spec.BinWidth} }

// spikes shows one validation trial: the counts of all neurons, and the rates behind them as far as they are known.
func spikes(r *recording, models []*inference) (component.Figure, bool) {
	counts := r.valid.counts
	if counts == nil || counts.trials == 0 {
		return component.Figure{}, false
	}
	const trial = 0
	tick := r.clock()
	label, unit := tick.axis()
	x := component.Axis{Label: label, Unit: unit, Min: 0, Max: tick.end(counts.lengths[trial])}
	y := component.Axis{Label: "neuron", Min: -0.5, Max: float64(counts.channels) - 0.5}
	raster := component.Mark{Kind: component.Raster}
	times := tick.times(counts.bins)
	for t := range counts.lengths[trial] {
		for n := range counts.channels {
			if counts.data[(trial*counts.bins+t)*counts.channels+n] > 0 {
				raster.X, raster.Y = append(raster.X, times[t]), append(raster.Y, float64(n))
			}
		}
	}
	f := component.Figure{
		Name: "spikes", Title: "Spikes and rates of one trial",
		Caption: fmt.Sprintf("Validation trial %d. A tick is a bin with at least one spike. Neurons from %d on are held out: the models never see their spikes in the trials that they infer.",
			r.valid.trials[trial], r.spec.HeldIn),
		Panels: []component.Panel{{Title: "spikes", X: x, Y: y, Marks: []component.Mark{raster}}},
	}
	if r.spec.HeldIn >= r.spec.Neurons {
		f.Caption = fmt.Sprintf("Validation trial %d. A tick is a bin with at least one spike.", r.valid.trials[trial])
	}
	heat := func(title string, rates *cube) {
		n := rates.lengths[trial]
		m := component.Mark{Kind: component.HeatMap, Rows: rates.channels, Cols: n, X: times[:n], ZLabel: "rate", ZUnit: rateUnit}
		if n == 0 {
			return
		}
		for c := range rates.channels {
			m.Z = append(m.Z, rates.series(trial, c)...)
		}
		f.Panels = append(f.Panels, component.Panel{Title: title, X: x, Y: y, Marks: []component.Mark{m}})
	}
	if r.valid.rates != nil {
		heat("true rates", r.valid.rates)
	}
	for _, m := range models[:min(len(models), shownModels)] {
		if m.valid.rates != nil {
			heat("rates inferred by "+m.label, m.valid.rates)
		}
	}
	return f, true
}

// rates lays inferred rates over the true ones, for a few neurons in two trials.
func rates(r *recording, models []*inference) (component.Figure, bool) {
	counts := r.valid.counts
	any := false
	for _, m := range models {
		any = any || m.valid.rates != nil
	}
	if counts == nil || !any {
		return component.Figure{}, false
	}
	heldOut := r.spec.Neurons - r.spec.HeldIn
	var neurons []int
	neurons = append(neurons, spread(r.spec.HeldIn, 6-min(heldOut, 2))...)
	for _, n := range spread(heldOut, 2) {
		neurons = append(neurons, r.spec.HeldIn+n)
	}
	tick := r.clock()
	label, unit := tick.axis()
	const trial = 0
	f := component.Figure{
		Name: "rates", Title: "True and inferred rates", Columns: 3,
		Caption: fmt.Sprintf("Validation trial %d, neurons chosen evenly, not by how well they are fitted. Held-out neurons' spikes are not seen when the rates are inferred.", r.valid.trials[trial]),
	}
	if r.valid.rates == nil {
		f.Title = "Observed counts and inferred rates"
	}
	if len(models) > shownModels {
		f.Caption += fmt.Sprintf(" The first %d of %d models.", shownModels, len(models))
	}
	for _, n := range neurons {
		side := "held in"
		if n >= r.spec.HeldIn {
			side = "held out"
		}
		p := component.Panel{
			Title: fmt.Sprintf("neuron %d, %s", n, side),
			X:     component.Axis{Label: label, Unit: unit, Min: 0, Max: tick.end(counts.lengths[trial])}, Y: component.Axis{Label: "rate", Unit: rateUnit},
		}
		line := func(c *cube, label, group string, faint bool) {
			y := c.series(trial, n)
			p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: label, Group: group, Faint: faint, X: tick.times(len(y)), Y: y})
		}
		if r.valid.rates != nil {
			line(r.valid.rates, "true", figure.Truth, false)
		} else {
			line(counts, "observed counts", figure.Target, true)
		}
		for _, m := range models[:min(len(models), shownModels)] {
			if m.valid.rates != nil {
				line(m.valid.rates, m.label, m.label, false)
			}
		}
		f.Panels = append(f.Panels, p)
	}
	return f, true
}
