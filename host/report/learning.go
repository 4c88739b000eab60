package report

import (
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// learningCurves shows the losses of some trainings over epochs, one panel each; ok is false where none has any.
func learningCurves(name string, stages []artifact.Stage) (f component.Figure, ok bool, err error) {
	f = component.Figure{
		Name: name, Title: "Learning curves", Columns: min(len(stages), 3),
		Caption: "Loss after each epoch: on training trials pale, on validation trials strong; the dot is the epoch whose weights were kept. " +
			"A validation loss that rises while the training loss falls is overfitting.",
	}
	for _, st := range stages {
		metrics, e := st.Metrics()
		if e != nil {
			err = e
			continue
		}
		p, found := learningPanel(st, metrics)
		if found {
			if len(f.Panels) > 0 {
				// The legend says once what is pale and what is strong; the panels' titles say whose.
				for i := range p.Marks {
					p.Marks[i].Label = ""
				}
			}
			f.Panels = append(f.Panels, p)
		}
	}
	if len(f.Panels) == 1 {
		f.Columns = 1
	}
	return f, len(f.Panels) > 0, err
}

func learningPanel(st artifact.Stage, metrics []component.Metric) (component.Panel, bool) {
	label, colour := st.Label, st.Label
	if st.Kind == artifact.TrainStage {
		label, colour = strings.TrimPrefix(st.Record.Component, "model/"), figure.Truth
	}
	p := component.Panel{Title: label, X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: "loss"}}
	for _, curve := range []struct {
		metric, label string
		faint         bool
	}{{"train/loss", "training", true}, {"valid/loss", "validation", false}} {
		m := component.Mark{Kind: component.Line, Label: curve.label, Group: colour, Faint: curve.faint}
		for _, v := range metrics {
			if v.Name == curve.metric {
				m.X, m.Y = append(m.X, float64(v.Epoch)), append(m.Y, v.Value)
			}
		}
		if len(m.X) > 0 {
			p.Marks = append(p.Marks, m)
		}
	}
	if len(p.Marks) == 0 {
		return p, false
	}
	p.Y.Log = positive(p.Marks)
	if t := st.Record.Train; t != nil && t.KeptBest {
		for _, m := range p.Marks {
			i := slices.Index(m.X, float64(t.BestEpoch))
			if !m.Faint && i >= 0 {
				p.Marks = append(p.Marks, component.Mark{Kind: component.Scatter, Label: "kept", Group: colour, X: []float64{m.X[i]}, Y: []float64{m.Y[i]}})
				break
			}
		}
	}
	return p, true
}

// positive reports whether a logarithmic scale shows the curves well: all above zero, and the largest at least half as large again as the smallest.
func positive(marks []component.Mark) bool {
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range marks {
		for _, y := range m.Y {
			if !math.IsNaN(y) {
				low, high = min(low, y), max(high, y)
			}
		}
	}
	return low > 0 && high > 1.5*low
}
