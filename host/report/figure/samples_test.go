package figure

import (
	"math"
	"math/rand/v2"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// samples has every kind of mark and every option of an axis, with data of the kind that components return.
func samples() []component.Figure {
	r := rand.New(rand.NewPCG(1, 2))
	ramp := func(n int, f func(i int) float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f(i)
		}
		return out
	}
	epochs := ramp(200, func(i int) float64 { return float64(i) })
	loss := func(floor, noise float64) []float64 {
		return ramp(200, func(i int) float64 { return floor + 0.3*math.Exp(-float64(i)/25)*(1+noise*r.NormFloat64()) })
	}
	curves := component.Figure{
		Name: "learning-curves", Title: "Learning curves", Caption: "Loss on training and validation trials after each epoch.",
		Columns: 2,
		Panels: []component.Panel{
			{Title: "noisy-gru", X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: "mean squared error", Log: true}, Marks: []component.Mark{
				{Kind: component.Line, Label: "training", Group: Truth, Faint: true, X: epochs, Y: loss(1e-3, 0.1)},
				{Kind: component.Line, Label: "validation", Group: Truth, X: epochs, Y: loss(2e-3, 0.02)},
			}},
			{Title: "gru-64", X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: "Poisson loss", Unit: "nats/bin"}, Marks: []component.Mark{
				{Kind: component.Line, Label: "training", Group: "gru-64", Faint: true, X: epochs, Y: loss(0.6, 0.1)},
				{Kind: component.Line, Label: "validation", Group: "gru-64", X: epochs, Y: loss(0.62, 0.02)},
			}},
		},
	}
	time := ramp(500, func(i int) float64 { return float64(i) * 0.01 })
	wave := func(phase, noise float64) []float64 {
		return ramp(500, func(i int) float64 { return math.Sin(float64(i)/30+phase) + noise*r.NormFloat64() })
	}
	lines := component.Figure{Name: "rates", Title: "True and inferred rates", Columns: 3}
	for k := range 6 {
		truth, model := wave(float64(k), 0), wave(float64(k)+0.1, 0.05)
		for i := 200; i < 230; i++ {
			model[i] = math.NaN()
		}
		band := func(d float64) []float64 {
			return ramp(500, func(i int) float64 { return model[i] + d })
		}
		lines.Panels = append(lines.Panels, component.Panel{
			Title: "neuron " + string(rune('1'+k)), X: component.Axis{Label: "time", Unit: "s"}, Y: component.Axis{Label: "rate", Unit: "spikes/bin"},
			Marks: []component.Mark{
				{Kind: component.Line, Label: "true", Group: Truth, X: time, Y: truth},
				{Kind: component.Line, Label: "gru-64", X: time, Y: model, Low: band(-0.3), High: band(0.3)},
				{Kind: component.Line, Label: "lds-8", Dashed: true, X: time, Y: wave(float64(k)+0.5, 0)},
			},
		})
	}
	ring := func(n int, radius float64) (x, y []float64) {
		for i := range n {
			a := float64(i) / float64(n) * 2 * math.Pi
			x, y = append(x, radius*math.Cos(a)+0.05*r.NormFloat64()), append(y, radius*math.Sin(a)+0.05*r.NormFloat64())
		}
		return x, y
	}
	ax, ay := ring(80, 1)
	bx, by := ring(3000, 0.7)
	scatter := component.Figure{Name: "eigenvalues", Title: "Eigenvalues at the fixed points", Columns: 1, Panels: []component.Panel{{
		Equal: true, X: component.Axis{Label: "Re λ"}, Y: component.Axis{Label: "Im λ"}, Marks: []component.Mark{
			{Kind: component.Scatter, Label: "true", Group: Truth, X: ax, Y: ay, Dashed: true},
			{Kind: component.Scatter, Label: "gru-64", X: bx, Y: by, Faint: true},
		}}}}
	names := []string{"rate_r2", "state_r2", "cycle_con", "co_bps", "a metric with a rather long name"}
	at := ramp(5, func(i int) float64 { return float64(i) })
	bars := component.Figure{Name: "metrics", Title: "Metrics of each model", Panels: []component.Panel{{
		X: component.Axis{Ticks: names}, Y: component.Axis{Label: "value"}, Marks: []component.Mark{
			{Kind: component.Bars, Label: "gru-64", X: at, Y: []float64{.95, .9, .7, .14, -.2}, Low: []float64{.93, .88, .6, .12, -.3}, High: []float64{.97, .92, .8, .16, -.1}},
			{Kind: component.Bars, Label: "lds-8", X: at, Y: []float64{.3, .5, .7, .04, -.4}, Low: []float64{.2, .4, .6, .02, math.NaN()}, High: []float64{.4, .6, .8, .06, math.NaN()}},
		}}}}
	var sx, sy []float64
	for n := range 60 {
		for t := range 500 {
			if r.Float64() < 0.05*(1+math.Sin(float64(t)/40+float64(n)/5)) {
				sx, sy = append(sx, float64(t)*0.01), append(sy, float64(n))
			}
		}
	}
	rates := ramp(60*500, func(i int) float64 { return 2 * (1 + math.Sin(float64(i%500)/40+float64(i/500)/5)) })
	rates[5000] = math.NaN()
	raster := component.Figure{Name: "spikes", Title: "Spikes of one trial, and the rates they were drawn from", Panels: []component.Panel{
		{Title: "spikes", X: component.Axis{Label: "time", Unit: "s", Min: 0, Max: 5}, Y: component.Axis{Label: "neuron"}, Marks: []component.Mark{{Kind: component.Raster, X: sx, Y: sy}}},
		{Title: "rates", X: component.Axis{Label: "time", Unit: "s", Min: 0, Max: 5}, Y: component.Axis{Label: "neuron"}, Marks: []component.Mark{
			{Kind: component.HeatMap, Rows: 60, Cols: 500, Z: rates, X: time, ZLabel: "rate", ZUnit: "spikes/bin"}}},
	}}
	matrix := component.Figure{Name: "distances", Title: "Distances between models", Panels: []component.Panel{{
		Equal: true, X: component.Axis{Ticks: names}, Y: component.Axis{Ticks: names}, Marks: []component.Mark{
			{Kind: component.HeatMap, Rows: 5, Cols: 5, Z: ramp(25, func(i int) float64 { return math.Abs(float64(i%5) - float64(i/5)) }), ZLabel: "angular distance", ZUnit: "rad"}}}}}
	picture := component.Figure{Name: "picture", Title: "A picture", Panels: []component.Panel{{
		Equal: true, X: component.Axis{Label: "column"}, Y: component.Axis{Label: "row"}, Marks: []component.Mark{
			{Kind: component.Image, Rows: 8, Cols: 12, Z: ramp(96, func(i int) float64 { return float64(i) / 96 })}}}}}
	return []component.Figure{curves, lines, scatter, bars, raster, matrix, picture}
}
