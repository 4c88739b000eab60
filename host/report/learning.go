package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// learningCurves shows the losses of some trainings over epochs, one panel each; ok is false where none has any.
func learningCurves(name string, stages []artifact.Stage) (f component.Figure, ok bool, err error) {
	f = component.Figure{Name: name, Title: "Learning curves", Columns: min(len(stages), 3)}
	validated, epochs := false, 0.0
	var horizon curriculum
	for _, st := range stages {
		metrics, e := st.Metrics()
		if e != nil {
			err = e
			continue
		}
		p, found := learningPanel(st, metrics)
		if found {
			validated = validated || slices.ContainsFunc(metrics, func(m component.Metric) bool { return m.Name == validLoss })
			horizon = max(horizon, curriculumOf(st))
			for _, m := range p.Marks {
				epochs = max(epochs, m.X[len(m.X)-1]+1)
			}
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
	switch {
	case !validated:
		f.Caption = "Loss on the training trials after each epoch: none on validation trials was reported, so that overfitting cannot be seen. The dot is the epoch whose weights were kept."
	case horizon > 0:
		f.Caption = bothLosses + " " + horizon.caption(epochs)
	default:
		f.Caption = bothLosses + " A validation loss that rises while the training loss falls is overfitting."
	}
	return f, len(f.Panels) > 0, err
}

const bothLosses = "Loss after each epoch: on training trials pale, on validation trials strong; the dot is the epoch whose weights were kept."

// curriculum is the number of epochs in which the loss that a network is trained with is over a part of the trial that grows to the whole of it; 0 where it is over the whole from the
// first epoch on.
type curriculum int

// curriculumOf is that of the task that a network was trained on.
func curriculumOf(st artifact.Stage) curriculum {
	if st.Kind != artifact.TrainStage || st.Check(artifact.RolloutFile) != nil {
		return 0
	}
	a, err := st.Arrays(artifact.RolloutFile)
	if err != nil {
		return 0 // the example trials say what is wrong with the file
	}
	defer a.Close()
	return curriculum(a.Attributes().Labels().HorizonEpochs)
}

// caption keeps a reader of so many epochs from comparing losses of different bins.
func (c curriculum) caption(epochs float64) string {
	when, then := fmt.Sprintf("In epochs before %d", c), fmt.Sprintf(" From epoch %d on: a validation loss that rises while the training loss falls is overfitting.", c)
	if epochs <= float64(c) {
		when, then = fmt.Sprintf("In all of these epochs, since they are before epoch %d,", c), ""
	}
	return when + " the training loss is over a part of the trial that grows from epoch to epoch (the task's horizon), the validation loss over the whole trial: " +
		"these are different quantities, and neither a gap between them nor their going apart tells of overfitting." + then
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

// The curves of a loss, see package train. Without validation trials a training has only the first, and the best epoch is by that.
const (
	trainLoss = "train/loss"
	validLoss = "valid/loss"
)

// bestLoss names the loss that decided which epoch of a training was the best; as the curves have it, since nothing else says whether there were validation trials.
func bestLoss(st artifact.Stage) string {
	metrics, err := st.Metrics()
	has := func(name string) bool {
		return slices.ContainsFunc(metrics, func(m component.Metric) bool { return m.Name == name })
	}
	switch {
	case err != nil:
		return "best loss"
	case has(validLoss):
		return "best validation loss"
	case has(trainLoss):
		return "best training loss, without validation trials"
	}
	return "best loss"
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
	}{{trainLoss, "training", true}, {validLoss, "validation", false}} {
		m := curve(metrics, shown.metric)
		m.Label, m.Group, m.Faint = shown.label, colour, shown.faint
		if len(m.X) > 0 {
			p.Marks = append(p.Marks, m)
		}
	}
	if len(p.Marks) == 0 {
		return p, false
	}
	if last := &p.Marks[len(p.Marks)-1]; last.Faint {
		last.Faint = false // there is nothing else that it could be paler than
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
