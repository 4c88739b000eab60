package report

import (
	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// controlled shows, of trials in closed loop, what the outputs control and, dashed over it, where it should be: up to three channels of up to three trials on axes of their own, more of
// them one above the other. ok is false where the trials have nothing of the kind.
func controlled(b tensor.Block, labels artifact.Labels, tick clock) (f component.Figure, ok bool, err error) {
	state, err := newCube(b, task.Controlled)
	if err != nil || state == nil || state.channels == 0 || state.trials == 0 {
		return f, false, err
	}
	targets, err := newCube(b, task.Targets)
	if err != nil {
		return f, false, err
	}
	f = component.Figure{Name: "example-control", Title: "What the outputs control in these trials", Columns: min(state.trials, exampleCount), Caption: "In each bin, after its step, what the outputs act on"}
	if targets != nil && targets.of(state) {
		f.Caption += " and, dashed, the targets, where it should be"
	} else {
		targets = nil
	}
	unit := b.Arrays.Get(task.Controlled).Unit
	if t := b.Arrays.Get(task.Targets); unit == "" && targets != nil {
		unit = t.Unit
	}
	phases := phasesOf(b, labels, state.lengths)
	layers := []layer{{state, figure.Truth, "controlled", false}, {targets, figure.Target, "target", true}}
	shaded := func(p *component.Panel, trial int) {
		p.Marks = append(phases.shaded(trial, p.Y.Min, p.Y.Max, tick), p.Marks...)
	}
	if state.trials > exampleCount || state.channels > outputPanels {
		f.Caption += ", each scaled to its largest value in the trial"
		f.Panels = trialRow(b.Trials, true, tick, state.bins, func(trial int) component.Panel {
			p := stacked(trial, "state", tick, layers...)
			for ch := range p.Y.Ticks {
				p.Y.Ticks[ch] = labelled(labels.State, ch, "state")
			}
			shaded(&p, trial)
			return p
		})
	} else {
		for ch := range state.channels {
			low, high := bounds(ch, state, targets)
			if low == high {
				low, high = state.data[ch]-1, state.data[ch]+1
			}
			f.Panels = append(f.Panels, trialRow(b.Trials, ch == 0, tick, state.bins, func(trial int) component.Panel {
				p := component.Panel{Y: component.Axis{Label: labelled(labels.State, ch, "state"), Unit: unit, Min: low, Max: high}, Marks: channel(trial, ch, tick, layers...)}
				shaded(&p, trial)
				return p
			})...)
		}
	}
	for trial := range b.Trials {
		f.Panels[trial].Title = trialTitle(b, labels, trial)
	}
	f.Caption += "." + phases.caption()
	if state.channels > stackedMost {
		f.Caption += firstChannels()
	}
	return f, true, nil
}
