package report

import (
	"fmt"
	"math"
	"slices"

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

// phasesOf reads the phases of each trial from the columns of extra; nil where there is no column end.
func phasesOf(b tensor.Block, names []string) [][]phaseSpan {
	end := slices.Index(names, endColumn)
	extra := b.Arrays.Get(task.Extra)
	if end < 0 || extra == nil || extra.Expect(len(b.Trials), len(names)) != nil {
		return nil
	}
	values := extra.Float64s()
	var out [][]phaseSpan
	for i := range b.Trials {
		row := values[i*len(names):][:end+1]
		var spans []phaseSpan
		until := row[end]
		for k := end - 1; k >= 0; k-- {
			if from := row[k]; from >= 0 && from < until && until < 1e9 {
				spans = append(spans, phaseSpan{name: names[k], from: int(from), to: int(until)})
				until = from
			}
		}
		slices.Reverse(spans)
		out = append(out, spans)
	}
	return out
}

// shade marks the phases of a trial over the height of a panel.
func shade(spans []phaseSpan, low, high float64, tick clock) []component.Mark {
	var out []component.Mark
	nan := math.NaN()
	for _, s := range spans {
		out = append(out, component.Mark{Kind: component.Line, Label: s.name, Group: s.group, X: []float64{tick.end(s.from), tick.end(s.to)}, Y: []float64{nan, nan}, Low: []float64{low, low}, High: []float64{high, high}})
	}
	return out
}

// legendOf are marks without a place, which bring the phases into the legend in their order.
func legendOf(names []string) []component.Mark {
	nan := []float64{math.NaN()}
	var out []component.Mark
	for _, name := range names[:slices.Index(names, endColumn)] {
		out = append(out, component.Mark{Kind: component.Line, Label: name, X: nan, Y: nan, Low: nan, High: nan})
	}
	return out
}

// trace is a channel as it is drawn: values of the model or the task, and the target, if any, dashed over them.
type trace struct {
	name           string
	data, dashed   *cube
	channel        int
	group, as, not string
}

// byCondition shows one validation trial of each condition: inputs that vary within trials, outputs and targets, one above the other, phases shaded.
func byCondition(b tensor.Block, labels artifact.Labels, tick clock) (component.Figure, error) {
	cubes := map[string]*cube{}
	for _, name := range []string{task.Inputs, task.TrueInputs, task.Targets, model.Outputs} {
		var err error
		if cubes[name], err = newCube(b, name); err != nil {
			return component.Figure{}, err
		}
	}
	inputs, outputs, targets := cubes[task.Inputs], cubes[model.Outputs], cubes[task.Targets]
	if targets != nil && !targets.of(outputs) {
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
	left := 0
	if inputs != nil {
		for ch := inputs.channels - 1; ch >= 0; ch-- {
			if !varies(quiet, ch) {
				left++
				continue
			}
			if len(traces) < 2*stackedMost {
				traces = append(traces, trace{labelled(labels.Inputs, ch, "input"), inputs, nil, ch, figure.Input, "input", ""})
			}
		}
	}
	f := component.Figure{
		Name: "example-trials", Title: "An example trial of each condition", Columns: 3,
		Caption: "The first validation trial of each condition: inputs as the network saw them, outputs and, dashed over them, targets, each scaled to its largest value in the trials shown. The phases are shaded.",
	}
	if left > 0 {
		f.Caption += fmt.Sprintf(" %d inputs that do not change within a trial are left out.", left)
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
	phases := phasesOf(b, labels.Extra)
	conditions := b.Arrays.Get(task.Conditions)
	for trial, number := range b.Trials {
		p := component.Panel{Title: fmt.Sprintf("trial %d", number)}
		if conditions != nil && conditions.I64 != nil {
			p.Title = conditionName(labels.Conditions, conditions.I64[trial]) + ", " + p.Title
		}
		p.X.Label, p.X.Unit = tick.axis()
		p.X.Min, p.X.Max = 0, tick.end(slices.Max(outputs.lengths))
		p.Y.Min, p.Y.Max = -0.6, float64(len(traces))-0.4
		if phases != nil && trial == 0 {
			p.Marks = legendOf(labels.Extra)
		}
		if phases != nil {
			p.Marks = append(p.Marks, shade(phases[trial], p.Y.Min, p.Y.Max, tick)...)
		}
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
