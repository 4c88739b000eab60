package report

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	exampleCount   = 3  // trials side by side
	outputPanels   = 3  // outputs with axes of their own; more are stacked in one panel
	stackedMost    = 16 // channels in a stacked panel
	stackedBetween = 0.46
)

// exampleTrials shows a few validation trials of the task-trained network: what it saw, what it should have given and what it gave. Of a task of several conditions it
// shows one of each; of a task in closed loop, in a figure of its own, what the outputs control.
func exampleTrials(ctx context.Context, st artifact.Stage, tick clock) ([]component.Figure, error) {
	if err := st.Check(artifact.RolloutFile); err != nil {
		return nil, err
	}
	a, err := st.Arrays(artifact.RolloutFile)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	var names []string
	for _, name := range []string{task.Inputs, task.TrueInputs, task.Targets, model.Outputs, task.Controlled, task.Lengths, task.Extra, task.Conditions} {
		if a.Has(task.Valid, name) {
			names = append(names, name)
		}
	}
	b, err := take(a.Blocks(ctx, task.Valid, names, exampleCount), a.Trials(task.Valid))
	if err != nil {
		return nil, err
	}
	labels := a.Attributes().Labels()
	if tick.width == 0 {
		tick.width = labels.BinWidth
	}
	outputs, err := newCube(b, model.Outputs)
	if err != nil {
		return nil, err
	}
	if outputs == nil {
		return nil, fmt.Errorf("%s holds no outputs", artifact.RolloutFile)
	}
	rows := oneOfEach(b)
	ofEach := rows != nil
	if !ofEach {
		for i := range min(exampleCount, len(b.Trials)) {
			rows = append(rows, i)
		}
	}
	phased := len(phasesOf(b, labels, outputs.lengths).names) > 0
	if b, err = pick(b, rows); err != nil {
		return nil, err
	}
	if closed := b.Arrays.Get(task.Controlled) != nil; !ofEach && !closed && !phased {
		f, err := firstOnes(b, tick)
		return []component.Figure{f}, err
	}
	f, err := eachTrial(b, labels, tick, ofEach)
	if err != nil {
		return nil, err
	}
	figures := []component.Figure{f}
	if f, ok, err := controlled(b, labels, tick); err != nil {
		return nil, err
	} else if ok {
		figures = append(figures, f)
	}
	return figures, nil
}

const exampleTitle = "Example trials of the task-trained network"

// firstOnes shows trials of an open loop that are all alike.
func firstOnes(b tensor.Block, tick clock) (component.Figure, error) {
	cubes := map[string]*cube{}
	for _, name := range []string{task.Inputs, task.Targets, model.Outputs} {
		var err error
		if cubes[name], err = newCube(b, name); err != nil {
			return component.Figure{}, err
		}
	}
	inputs, targets, outputs := cubes[task.Inputs], cubes[task.Targets], cubes[model.Outputs]
	if targets != nil && !targets.of(outputs) {
		targets = nil
	}
	f := component.Figure{
		Name: "example-trials", Title: exampleTitle, Columns: outputs.trials,
		Caption: fmt.Sprintf("The first %d validation trials: ", outputs.trials),
	}
	if inputs != nil && inputs.channels > 0 {
		f.Caption += "the inputs, each channel scaled to its largest value; "
		f.Panels = append(f.Panels, trialRow(b.Trials, true, tick, inputs.bins, func(trial int) component.Panel {
			return stacked(trial, "input", tick, layer{inputs, figure.Input, "input", false})
		})...)
	}
	f.Caption += "the outputs"
	if targets != nil {
		f.Caption += " and, dashed over them, the targets"
	}
	f.Caption += "."
	if most := max(outputs.channels, channelsOf(inputs)); most > stackedMost {
		f.Caption += firstChannels()
	}
	titled := len(f.Panels) == 0
	if outputs.channels > outputPanels {
		f.Panels = append(f.Panels, trialRow(b.Trials, titled, tick, outputs.bins, func(trial int) component.Panel {
			return stacked(trial, "output", tick, layer{outputs, figure.Truth, "output", false}, layer{targets, figure.Target, "target", true})
		})...)
		return f, nil
	}
	for ch := range outputs.channels {
		low, high := bounds(ch, targets, outputs)
		f.Panels = append(f.Panels, trialRow(b.Trials, titled && ch == 0, tick, outputs.bins, func(trial int) component.Panel {
			return component.Panel{
				Y:     component.Axis{Label: fmt.Sprintf("output %d", ch+1), Min: low, Max: high},
				Marks: channel(trial, ch, tick, layer{outputs, figure.Truth, "output", false}, layer{targets, figure.Target, "target", true}),
			}
		})...)
	}
	return f, nil
}

func channelsOf(c *cube) int {
	if c == nil {
		return 0
	}
	return c.channels
}

// trialRow is one panel for each trial, with time along x.
func trialRow(trials []int64, titled bool, tick clock, bins int, panel func(trial int) component.Panel) []component.Panel {
	var out []component.Panel
	for i, number := range trials {
		p := panel(i)
		if titled {
			p.Title = fmt.Sprintf("trial %d", number)
		}
		p.X.Label, p.X.Unit = tick.axis()
		p.X.Min, p.X.Max = 0, tick.end(bins)
		out = append(out, p)
	}
	return out
}

type layer struct {
	data         *cube
	group, label string
	dashed       bool
}

// firstChannels says that a stacked panel has not all channels.
func firstChannels() string {
	return fmt.Sprintf(" Of more than %d channels the first %d are drawn.", stackedMost, stackedMost)
}

// channel draws one channel of a trial.
func channel(trial, ch int, tick clock, layers ...layer) (marks []component.Mark) {
	for _, l := range layers {
		if l.data != nil && ch < l.data.channels {
			y := l.data.series(trial, ch)
			marks = append(marks, component.Mark{Kind: component.Line, Label: l.label, Group: l.group, Dashed: l.dashed, Y: y, X: tick.times(len(y))})
		}
	}
	return marks
}

// bounds is the range of a channel over all trials, with a margin, so that panels side by side share an axis; zero where nothing is finite.
func bounds(channel int, cubes ...*cube) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range cubes {
		if c == nil || channel >= c.channels {
			continue
		}
		for trial := range c.trials {
			for _, v := range c.series(trial, channel) {
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					low, high = min(low, v), max(high, v)
				}
			}
		}
	}
	if low >= high {
		return 0, 0
	}
	pad := 0.06 * (high - low)
	return low - pad, high + pad
}

// stacked draws the channels of a trial above one another, scaled to their largest value.
func stacked(trial int, what string, tick clock, layers ...layer) component.Panel {
	var p component.Panel
	channels := 0
	for _, l := range layers {
		if l.data != nil {
			channels = max(channels, min(l.data.channels, stackedMost))
		}
	}
	if channels > 0 {
		p.Y.Min, p.Y.Max = -0.6, float64(channels)-0.4
	}
	for ch := range channels {
		p.Y.Ticks = append(p.Y.Ticks, fmt.Sprintf("%s %d", what, ch+1))
		largest := 0.0
		for _, l := range layers {
			if l.data != nil && ch < l.data.channels {
				for _, v := range l.data.series(trial, ch) {
					if v = math.Abs(v); v > largest && !math.IsInf(v, 0) {
						largest = v
					}
				}
			}
		}
		for _, l := range layers {
			if l.data == nil || ch >= l.data.channels {
				continue
			}
			y := l.data.series(trial, ch)
			for i := range y {
				if largest > 0 {
					y[i] *= stackedBetween / largest
				}
				y[i] += float64(ch)
			}
			p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: l.label, Group: l.group, Dashed: l.dashed, Y: y, X: tick.times(len(y))})
		}
	}
	return p
}
