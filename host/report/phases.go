package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// endColumn is the column of the array extra that holds a trial's end; those before it hold the first bins of its phases, negative where it has none.
const endColumn = "end"

// phaseSpan is a phase of a trial, the bins [from, to).
type phaseSpan struct {
	name     string
	from, to int
	// group chooses the colour, that of the name where it is empty.
	group string
}

// phases are those of some trials.
type phases struct {
	of [][]phaseSpan
	// names are those that occur, as they are to stand in the legend.
	names []phaseSpan
}

// phasesOf reads the phases of each trial from the columns of extra that are bins of the trial, either the first bins of all of them and the end, or what happens when in a reach; none where extra has
// neither. The trials are so many bins long.
func phasesOf(b tensor.Block, labels artifact.Labels, lengths []int) (p phases) {
	names := slices.Clone(labels.Extra)
	if units := (&task.Spec{ExtraUnits: labels.ExtraUnits}); len(labels.ExtraUnits) > 0 {
		for i := range names {
			if !units.ExtraInBins(i) {
				names[i] = "" // no phase
			}
		}
	}
	extra := b.Arrays.Get(task.Extra)
	if extra == nil || extra.Expect(len(b.Trials), len(names)) != nil || len(lengths) != len(b.Trials) {
		return p
	}
	values := extra.Float64s()
	order := names
	switch end := slices.Index(names, endColumn); {
	case end >= 0:
		for i := range b.Trials {
			p.of = append(p.of, spansUntil(values[i*len(names):][:end+1], names))
		}
	case slices.Contains(names, reachTarget) && slices.Contains(names, reachGo):
		columns := [4]int{slices.Index(names, reachTarget), slices.Index(names, reachGo), slices.Index(names, reachBump), slices.Index(names, reachBumpEnd)}
		for i, n := range lengths {
			var at [4]int
			for k, column := range columns {
				at[k] = -1
				if column >= 0 {
					at[k] = binOf(values[i*len(names)+column], n, k == 3)
				}
			}
			p.of = append(p.of, reachSpans(at[0], at[1], at[2], at[3], n))
		}
		order = []string{targetShown, afterTheCue, pushed}
	}
	for _, name := range order {
		for _, spans := range p.of {
			if i := slices.IndexFunc(spans, func(s phaseSpan) bool { return s.name == name }); i >= 0 {
				p.names = append(p.names, phaseSpan{name: name, group: spans[i].group})
				break
			}
		}
	}
	return p
}

// spansUntil are the phases of a trial whose first bins, and the end of the last, stand in a row.
func spansUntil(row []float64, names []string) []phaseSpan {
	var spans []phaseSpan
	end := len(row) - 1
	until := row[end]
	for k := end - 1; k >= 0; k-- {
		if from := row[k]; names[k] != "" && from >= 0 && from < until && until < 1e9 {
			spans = append(spans, phaseSpan{name: names[k], from: int(from), to: int(until)})
			until = from
		}
	}
	slices.Reverse(spans)
	return spans
}

// binOf is a number that should be a bin of a trial, or the end of one; -1 where it is none.
func binOf(v float64, bins int, end bool) int {
	switch {
	case v >= 0 && v < float64(bins):
		return int(v)
	case end && v >= float64(bins):
		return bins
	}
	return -1
}

// What happens in a reach: its phases, and the groups of their colours.
const (
	targetShown, afterTheCue, pushed = "target shown", "after the go cue", "push"
	goalGroup, pushGroup             = "goal", "push"
)

// reachSpans are the phases of a reach of so many bins; of the bins in which they begin those are -1 that there are not.
func reachSpans(targetOn, goCue, bumpOn, bumpEnd, bins int) []phaseSpan {
	var spans []phaseSpan
	if targetOn >= 0 {
		until := bins
		if goCue >= 0 {
			until = goCue
		}
		spans = append(spans, phaseSpan{targetShown, targetOn, until, goalGroup})
	}
	if goCue >= 0 {
		spans = append(spans, phaseSpan{afterTheCue, goCue, bins, figure.Target})
	}
	if bumpOn >= 0 {
		spans = append(spans, phaseSpan{pushed, bumpOn, min(max(bumpEnd, bumpOn+1), bins), pushGroup})
	}
	return spans
}

// pushStrip is the part of a panel's height, at the top, that a push takes, so that it hides no phase that it falls into.
const pushStrip = 0.08

// shade marks the phases of a trial over the height of a panel, which they leave to a push at the top for as long as it lasts.
func shade(spans []phaseSpan, low, high float64, tick clock) []component.Mark {
	top := high - pushStrip*(high-low)
	push := slices.IndexFunc(spans, func(s phaseSpan) bool { return s.group == pushGroup })
	var out []component.Mark
	for k, s := range spans {
		m := component.Mark{Kind: component.Line, Label: s.name, Group: s.group}
		edge := func(bin int, upper float64) {
			m.X, m.Y = append(m.X, tick.end(bin)), append(m.Y, math.NaN())
			floor := low
			if k == push {
				floor = top
			}
			m.Low, m.High = append(m.Low, floor), append(m.High, upper)
		}
		edge(s.from, high)
		if push >= 0 && k != push {
			if from, to := max(s.from, spans[push].from), min(s.to, spans[push].to); from < to {
				edge(from, high)
				edge(from, top)
				edge(to, top)
				edge(to, high)
			}
		}
		edge(s.to, high)
		out = append(out, m)
	}
	return out
}

// legend are marks without a place, which bring the phases into the legend in their order.
func (p phases) legend() []component.Mark {
	nan := []float64{math.NaN()}
	var out []component.Mark
	for _, s := range p.names {
		out = append(out, component.Mark{Kind: component.Line, Label: s.name, Group: s.group, X: nan, Y: nan, Low: nan, High: nan})
	}
	return out
}

// shaded are the phases of a trial over the height of its panel; in the first panel of a figure, with all that are in the legend.
func (p phases) shaded(trial int, low, high float64, tick clock) []component.Mark {
	if p.of == nil {
		return nil
	}
	marks := shade(p.of[trial], low, high, tick)
	if trial == 0 {
		marks = append(p.legend(), marks...)
	}
	return marks
}

// caption says that phases are shaded, where any are.
func (p phases) caption() string {
	if len(p.names) == 0 {
		return ""
	}
	if slices.ContainsFunc(p.names, func(s phaseSpan) bool { return s.group == pushGroup }) {
		return " The phases are shaded, pushes at the top."
	}
	return " The phases are shaded."
}

// trace is a channel as it is drawn: values of the model or the task, and the target, if any, dashed over them.
type trace struct {
	name           string
	data, dashed   *cube
	channel        int
	group, as, not string
}

// eachTrial shows validation trials, one of each condition or the first: inputs that vary within trials, outputs and targets, one above the other, phases shaded.
func eachTrial(b tensor.Block, labels artifact.Labels, tick clock, ofEach bool) (component.Figure, error) {
	cubes := map[string]*cube{}
	for _, name := range []string{task.Inputs, task.TrueInputs, task.Targets, model.Outputs} {
		var err error
		if cubes[name], err = newCube(b, name); err != nil {
			return component.Figure{}, err
		}
	}
	inputs, outputs, targets := cubes[task.Inputs], cubes[model.Outputs], cubes[task.Targets]
	closed := b.Arrays.Get(task.Controlled) != nil
	if targets != nil && (closed || !targets.of(outputs)) {
		targets = nil
	}
	quiet := inputs
	if truth := cubes[task.TrueInputs]; truth != nil && inputs != nil && truth.like(inputs) && truth.channels == inputs.channels {
		quiet = truth
	}
	// From the bottom up: the last output first.
	var traces []trace
	for ch := min(outputs.channels, stackedMost) - 1; ch >= 0; ch-- {
		traces = append(traces, trace{labelled(labels.Outputs, ch, "output"), outputs, targets, ch, figure.Truth, "output", "target"})
	}
	left, more := 0, outputs.channels-len(traces)
	if inputs != nil {
		for ch := inputs.channels - 1; ch >= 0; ch-- {
			if !varies(quiet, ch) {
				left++
				continue
			}
			if len(traces) >= 2*stackedMost {
				more++
			} else {
				traces = append(traces, trace{labelled(labels.Inputs, ch, "input"), inputs, nil, ch, figure.Input, "input", ""})
			}
		}
	}
	phases := phasesOf(b, labels, outputs.lengths)
	f := component.Figure{Name: "example-trials", Title: "An example trial of each condition", Columns: 3, Caption: "The first validation trial of each condition: "}
	if !ofEach {
		f.Title, f.Caption = exampleTitle, fmt.Sprintf("The first %d validation trials: ", outputs.trials)
	}
	var parts []string
	switch {
	case len(traces) == min(outputs.channels, stackedMost):
	case closed:
		parts = append(parts, "inputs as the network saw them or, where the task records such, as it recorded them after each bin")
	default:
		parts = append(parts, "inputs as the network saw them")
	}
	if targets != nil {
		parts = append(parts, "outputs and, dashed over them, targets")
	} else {
		parts = append(parts, "outputs")
	}
	f.Caption += strings.Join(parts, "; ") + "; each scaled to its largest value in the trials shown." + phases.caption()
	if left > 0 {
		f.Caption += fmt.Sprintf(" %d inputs that do not change within a trial are left out.", left)
	}
	if more > 0 {
		f.Caption += fmt.Sprintf(" %d more channels are not drawn.", more)
	}
	scales := make([]float64, len(traces))
	for i, tr := range traces {
		low, high := bounds(tr.channel, tr.data, tr.dashed)
		scales[i] = max(math.Abs(low), math.Abs(high))
	}
	for i := range traces {
		for k := range traces[:i] {
			if traces[i].name == traces[k].name && traces[i].as != traces[k].as {
				traces[i].name, traces[k].name = traces[i].as+" "+traces[i].name, traces[k].as+" "+traces[k].name
			}
		}
	}
	for trial := range b.Trials {
		p := component.Panel{Title: trialTitle(b, labels, trial)}
		p.X.Label, p.X.Unit = tick.axis()
		p.X.Min, p.X.Max = 0, tick.end(slices.Max(outputs.lengths))
		p.Y.Min, p.Y.Max = -0.6, float64(len(traces))-0.4
		p.Marks = phases.shaded(trial, p.Y.Min, p.Y.Max, tick)
		for i, tr := range traces {
			p.Y.Ticks = append(p.Y.Ticks, tr.name)
			line := func(c *cube, group, label string, dashed bool) {
				y := c.series(trial, tr.channel)
				for k := range y {
					if scales[i] > 0 {
						y[k] *= stackedBetween / scales[i]
					}
					y[k] += float64(i)
				}
				p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: label, Group: group, Dashed: dashed, X: tick.times(len(y)), Y: y})
			}
			line(tr.data, tr.group, tr.as, false)
			if tr.dashed != nil {
				line(tr.dashed, figure.Target, tr.not, true)
			}
		}
		f.Panels = append(f.Panels, p)
	}
	return f, nil
}

// trialTitle has the number of a trial, and its condition where that has a name.
func trialTitle(b tensor.Block, labels artifact.Labels, trial int) string {
	title := fmt.Sprintf("trial %d", b.Trials[trial])
	if c := b.Arrays.Get(task.Conditions); c != nil && len(c.I64) == len(b.Trials) && len(labels.Conditions) > 0 {
		title = conditionName(labels.Conditions, c.I64[trial]) + ", " + title
	}
	return title
}

func labelled(names []string, i int, what string) string {
	if i < len(names) && names[i] != "" {
		return names[i]
	}
	return fmt.Sprintf("%s %d", what, i+1)
}

// varies says whether a channel changes within a trial.
func varies(c *cube, channel int) bool {
	for trial := range c.trials {
		y := c.series(trial, channel)
		for _, v := range y {
			if v != y[0] {
				return true
			}
		}
	}
	return false
}

// oneOfEach picks the first trial of each condition, ordered by condition; nil where there is only one condition.
func oneOfEach(b tensor.Block) []int {
	c := b.Arrays.Get(task.Conditions)
	if c == nil || len(c.I64) != len(b.Trials) {
		return nil
	}
	var rows []int
	seen := map[int64]bool{}
	for i, v := range c.I64 {
		if !seen[v] {
			seen[v] = true
			rows = append(rows, i)
		}
	}
	if len(rows) < 2 {
		return nil
	}
	slices.SortFunc(rows, func(i, k int) int { return int(c.I64[i] - c.I64[k]) })
	return rows
}

// pick gathers rows of a block.
func pick(b tensor.Block, rows []int) (tensor.Block, error) {
	var parts []tensor.Block
	for _, i := range rows {
		part := tensor.Block{Trials: b.Trials[i : i+1]}
		for _, t := range b.Arrays {
			part.Arrays = append(part.Arrays, t.Slice(i, i+1))
		}
		parts = append(parts, part)
	}
	return tensor.Collect(tensor.Of(parts...))
}
