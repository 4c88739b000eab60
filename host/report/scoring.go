package report

import (
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// The curves of a training that a task scored on the way, see package train: success, success of a condition, anything else that the task measures.
const (
	scoreCurves    = "score/"
	scoreSuccess   = "score/success"
	scoreSuccessOf = "score/success/"
)

// scores shows over the epochs how a task scored a network in training: success, with a line for each condition, and a panel for each of the task's own metrics; ok is false where no
// two epochs were scored.
func scores(name string, st artifact.Stage) (f component.Figure, ok bool, err error) {
	metrics, err := st.Metrics()
	if err != nil {
		return f, false, err
	}
	units := map[string]string{}
	if score, err := st.Score(); err == nil {
		for _, p := range score.Measured() {
			units[p.Name] = p.Unit
		}
	}
	var conditions, measured []string
	for _, m := range metrics {
		switch {
		case strings.HasPrefix(m.Name, scoreSuccessOf):
			conditions = append(conditions, m.Name)
		case strings.HasPrefix(m.Name, scoreCurves) && m.Name != scoreSuccess:
			measured = append(measured, m.Name)
		}
	}
	panel := func(title string) component.Panel {
		return component.Panel{Title: title, X: component.Axis{Label: "epoch"}, Y: component.Axis{Label: title}}
	}
	all := curve(metrics, scoreSuccess)
	if len(all.X) < 2 {
		return f, false, nil
	}
	p := panel("success")
	p.Y.Min, p.Y.Max = 0, 1
	for _, c := range once(conditions) {
		m := curve(metrics, c)
		m.Label = strings.TrimPrefix(c, scoreSuccessOf)
		m.Group = m.Label
		p.Marks = append(p.Marks, m)
	}
	all.Group, all.Label = figure.Truth, "all trials"
	p.Marks = append(p.Marks, all)
	f.Panels = append(f.Panels, p)
	for _, name := range once(measured) {
		of := strings.TrimPrefix(name, scoreCurves)
		p := panel(strings.ReplaceAll(of, "_", " "))
		p.Y.Unit = units[of]
		m := curve(metrics, name)
		m.Group = figure.Truth
		p.Marks = []component.Mark{m}
		f.Panels = append(f.Panels, p)
	}
	f.Name, f.Title, f.Columns = name, "Score over the training", min(len(f.Panels), 3)
	f.Caption = "What the task says of the network on its validation trials, every few epochs: means over trials."
	return f, true, nil
}

// once are the names without repetitions, in the order in which they first come.
func once(names []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(names, func(n string) bool {
		again := seen[n]
		seen[n] = true
		return again
	})
}
