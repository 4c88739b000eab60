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

// optimisation shows the gradient's norm and the learning rate of some trainings over epochs, all of them in one panel each; ok is false where no training reports
// either. What cannot be read is told with the learning curves.
func optimisation(name string, stages []artifact.Stage) (f component.Figure, ok bool) {
	f = component.Figure{
		Name: name, Title: "Gradients and learning rate", Columns: 2,
		Caption: "The mean norm of the gradient in each epoch, before it is clipped, and the learning rate.",
	}
	for _, q := range []struct{ metric, label string }{{"train/gradient_norm", "gradient norm"}, {"train/learning_rate", "learning rate"}} {
		p := component.Panel{Title: q.label, X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: q.label}}
		for _, st := range stages {
			metrics, err := st.Metrics()
			if err != nil {
				continue
			}
			label, colour := whose(st)
			if m := curve(metrics, q.metric); len(m.X) > 0 {
				m.Label, m.Group = label, colour
				p.Marks = append(p.Marks, m)
			}
		}
		if len(p.Marks) > 0 {
			p.Y.Log = positive(p.Marks)
			f.Panels = append(f.Panels, p)
		}
	}
	f.Columns = max(len(f.Panels), 1)
	return f, len(f.Panels) > 0
}

// whose is what a training is called in a figure, and the group that gives its colour.
func whose(st artifact.Stage) (label, colour string) {
	if st.Kind == artifact.TrainStage {
		return strings.TrimPrefix(st.Record.Component, "model/"), figure.Truth
	}
	return st.Label, st.Label
}

// curve is a metric over epochs.
func curve(metrics []component.Metric, name string) component.Mark {
	m := component.Mark{Kind: component.Line}
	for _, v := range metrics {
		if v.Name == name {
			m.X, m.Y = append(m.X, float64(v.Epoch)), append(m.Y, v.Value)
		}
	}
	return m
}

func learningPanel(st artifact.Stage, metrics []component.Metric) (component.Panel, bool) {
	label, colour := whose(st)
	p := component.Panel{Title: label, X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: "loss"}}
	for _, shown := range []struct {
		metric, label string
		faint         bool
	}{{"train/loss", "training", true}, {"valid/loss", "validation", false}} {
		m := curve(metrics, shown.metric)
		m.Label, m.Group, m.Faint = shown.label, colour, shown.faint
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
