package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays and the columns of extra by which a reaching task is known: where the hand is and where it should be, and, where there are, joint angles, activations of
// muscles and the force on the hand; when the target is shown, the go cue comes and a push begins and ends.
const (
	reachHand, reachGoal, reachJoints, reachMuscles = "fingertip", "goal", "joint_angle", "muscle_activation"
	reachTarget, reachGo, reachBump, reachBumpEnd   = "target_on", "go", "bump_on", "bump_end"
)

// settled is how long after the go cue a reach has had its time, in s: the same as in the score of task/random-target, so that the figures are of the reaches that its
// reach_distance is of.
const settled = 0.8

// reachMost is the number of trials that are read.
const reachMost = 48

// reaches are trials of a reaching task.
type reaches struct {
	labels                              artifact.Labels
	trials                              []int64
	hand, goal, joints, muscles, forces *cube
	// targetOn, go, bumpOn and bumpEnd are bins, -1 where there is none.
	targetOn, goCue, bumpOn, bumpEnd []int
	tick                             clock
	// source says which trials they are.
	source string
}

// openReaches reads the trials of a reaching task: those simulated, which are aligned, or, where there are none, the examples kept with the network. It returns nil
// where the task is another one.
func (s *source) openReaches(ctx context.Context, train artifact.Stage) (*reaches, error) {
	names := []string{reachHand, reachGoal, reachJoints, reachMuscles, model.Outputs, task.EnvInputs, task.Extra}
	if st, ok := s.run.Stage(artifact.SimulateStage); ok && st.Check(artifact.DatasetFile) == nil {
		d, err := artifact.OpenDataset(st.Path(artifact.DatasetFile))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		if d.Has(reachHand) && d.Has(reachGoal) {
			b, err := take(d.Blocks(ctx, task.Valid, slices.DeleteFunc(names, func(n string) bool { return !d.Has(n) }), reachMost), reachMost)
			if err != nil {
				return nil, err
			}
			return newReaches(b, d.Attributes().Labels(), "simulated trials")
		}
	}
	if err := train.Check(artifact.RolloutFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a, err := train.Arrays(artifact.RolloutFile)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if !a.Has(task.Valid, reachHand) || !a.Has(task.Valid, reachGoal) {
		return nil, nil
	}
	b, err := take(a.Blocks(ctx, task.Valid, slices.DeleteFunc(names, func(n string) bool { return !a.Has(task.Valid, n) }), reachMost), reachMost)
	if err != nil {
		return nil, err
	}
	return newReaches(b, a.Attributes().Labels(), "validation trials")
}

func newReaches(b tensor.Block, labels artifact.Labels, source string) (*reaches, error) {
	r := &reaches{labels: labels, trials: b.Trials, tick: clock{labels.BinWidth}, source: source}
	for name, to := range map[string]**cube{reachHand: &r.hand, reachGoal: &r.goal, reachJoints: &r.joints, reachMuscles: &r.muscles, task.EnvInputs: &r.forces} {
		c, err := newCube(b, name)
		if err != nil {
			return nil, err
		}
		*to = c
	}
	if r.hand == nil || r.goal == nil || r.hand.channels != 2 || r.goal.channels != 2 || !r.goal.like(r.hand) || r.hand.trials != len(b.Trials) {
		return nil, nil
	}
	if !(r.tick.width > 0) || math.IsInf(r.tick.width, 0) {
		r.tick.width = 0
	}
	// What a task of another author names like this may be something else.
	for _, c := range []struct {
		of    **cube
		means func(channels int) bool
	}{
		{&r.joints, func(n int) bool { return n == 2 }},
		{&r.muscles, func(n int) bool { return n > 0 }},
		{&r.forces, func(n int) bool { return n == 2 }},
	} {
		if *c.of != nil && !((*c.of).like(r.hand) && c.means((*c.of).channels)) {
			*c.of = nil
		}
	}
	extra := b.Arrays.Get(task.Extra)
	for name, to := range map[string]*[]int{reachTarget: &r.targetOn, reachGo: &r.goCue, reachBump: &r.bumpOn, reachBumpEnd: &r.bumpEnd} {
		column := slices.Index(labels.Extra, name)
		for i := range b.Trials {
			at := -1
			if extra != nil && column >= 0 && extra.Expect(len(b.Trials), len(labels.Extra)) == nil {
				at = binOf(extra.Float64s()[i*len(labels.Extra)+column], r.hand.bins, name == reachBumpEnd)
			}
			*to = append(*to, at)
		}
	}
	return r, nil
}

// at is where a point is in a bin.
func at(c *cube, trial, bin int) (x, y float64) {
	i := (trial*c.bins + bin) * c.channels
	return c.data[i], c.data[i+1]
}

// choose picks up to n trials of those that fit.
func (r *reaches) choose(n int, fits func(trial int) bool) []int {
	var out []int
	for i := range r.trials {
		if len(out) < n && r.hand.lengths[i] > 1 && fits(i) {
			out = append(out, i)
		}
	}
	return out
}

// bins is a time in bins; no more than a trial has, however short they say they are.
func (r *reaches) bins(seconds float64) int {
	if r.tick.width == 0 {
		return r.hand.bins
	}
	return int(min(math.Round(seconds/r.tick.width), float64(r.hand.bins)))
}

// reached says whether a trial has a go cue and a reach its time.
func (r *reaches) reached(i int) bool {
	switch after := r.hand.lengths[i] - r.goCue[i]; {
	case r.goCue[i] < 0:
		return false
	case r.tick.width == 0:
		return after >= r.hand.bins
	default:
		return float64(after)*r.tick.width >= settled-1e-9 // what is a whole number of bins is enough, however its product is rounded
	}
}

func (r *reaches) quiet(i int) bool  { return r.bumpOn[i] < 0 && r.reached(i) }
func (r *reaches) pushed(i int) bool { return r.bumpOn[i] >= 0 && r.reached(i) }

func (r *reaches) caught(i int) bool { return r.goCue[i] < 0 }

// path is where a point is in the bins [from, to).
func path(c *cube, trial, from, to int) (x, y []float64) {
	for t := from; t < to; t++ {
		a, b := at(c, trial, t)
		x, y = append(x, a), append(y, b)
	}
	return x, y
}

const handPaths = 12

// paths shows where the hand went, in trials without a push and in those with one.
func (r *reaches) paths() (component.Figure, bool) {
	f := component.Figure{
		Name: "hand-paths", Title: "Hand paths", Columns: 2,
		Caption: fmt.Sprintf("Up to %d %s each, the first of those that last long enough after the go cue. A path goes from the open circle to where the hand is at the end; the dot is the target. Arrows are pushes, as long as they are strong, from where the hand is when they begin; the part of the path during which they last is drawn over it.", handPaths, r.source),
	}
	low, high := math.Inf(1), math.Inf(-1)
	largest := 0.0
	for i := range r.trials {
		for t := range r.hand.lengths[i] {
			x, y := at(r.hand, i, t)
			low, high = min(low, x, y), max(high, x, y)
			if r.forces != nil {
				fx, fy := at(r.forces, i, t)
				largest = max(largest, math.Hypot(fx, fy))
			}
		}
	}
	for _, group := range []struct {
		title string
		fits  func(int) bool
	}{{"reaches without a push", r.quiet}, {"reaches with a push", r.pushed}, {"trials without a go cue", r.caught}} {
		chosen := r.choose(handPaths, group.fits)
		if len(chosen) == 0 {
			continue
		}
		p := component.Panel{Title: group.title, Equal: true, X: component.Axis{Label: "x", Unit: "m"}, Y: component.Axis{Label: "y", Unit: "m"}}
		starts, goals := component.Mark{Kind: component.Scatter, Label: "start", Group: figure.Truth, Dashed: true}, component.Mark{Kind: component.Scatter, Label: "target", Group: goalGroup}
		var pushes []component.Mark
		for _, i := range chosen {
			n := r.hand.lengths[i]
			x, y := path(r.hand, i, 0, n)
			p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: "hand", Group: figure.Truth, X: x, Y: y})
			starts.X, starts.Y = append(starts.X, x[0]), append(starts.Y, y[0])
			gx, gy := at(r.goal, i, n-1)
			goals.X, goals.Y = append(goals.X, gx), append(goals.Y, gy)
			if from := r.bumpOn[i]; from >= 0 && from < n {
				to := min(max(r.bumpEnd[i], from+1)+1, n)
				x, y := path(r.hand, i, from, to)
				pushes = append(pushes, component.Mark{Kind: component.Line, Label: "push", Group: pushGroup, X: x, Y: y})
				if r.forces != nil && largest > 0 {
					fx, fy := at(r.forces, i, from)
					pushes = append(pushes, arrow(x[0], y[0], fx/largest*0.08*(high-low), fy/largest*0.08*(high-low)))
				}
			}
		}
		p.Marks = append(append(p.Marks, pushes...), starts, goals)
		f.Panels = append(f.Panels, p)
	}
	f.Columns = min(len(f.Panels), 2)
	return f, len(f.Panels) > 0
}

// arrow is drawn from a place.
func arrow(x, y, dx, dy float64) component.Mark {
	const head = 0.25
	tx, ty := x+dx, y+dy
	return component.Mark{Kind: component.Line, Group: pushGroup,
		X: []float64{x, tx, tx - head*(dx+dy/2), math.NaN(), tx, tx - head*(dx-dy/2)},
		Y: []float64{y, ty, ty - head*(dy-dx/2), math.NaN(), ty, ty - head*(dy+dx/2)}}
}

// The time around the go cue that is shown, in s.
const beforeGo, afterGo = 0.2, 0.8

// profiles shows speed and distance from the goal around the go cue.
func (r *reaches) profiles() (component.Figure, bool) {
	chosen := r.choose(reachMost, r.quiet)
	if len(chosen) == 0 || r.tick.width == 0 {
		return component.Figure{}, false
	}
	before, after := r.bins(beforeGo), r.bins(afterGo)
	f := component.Figure{
		Name: "speed-profiles", Title: "Speed and distance around the go cue", Columns: 2,
		Caption: fmt.Sprintf("%d %s without a push, each a faint line, and their mean.", len(chosen), r.source),
	}
	for _, what := range []struct {
		title, label, unit string
		of                 func(trial, bin int) float64
	}{
		{"speed of the hand", "speed", "m/s", func(i, t int) float64 {
			x0, y0 := at(r.hand, i, t-1)
			x1, y1 := at(r.hand, i, t)
			return math.Hypot(x1-x0, y1-y0) / r.tick.width
		}},
		{"distance from the target", "distance", "m", func(i, t int) float64 {
			x, y := at(r.hand, i, t)
			gx, gy := at(r.goal, i, r.hand.lengths[i]-1)
			return math.Hypot(x-gx, y-gy)
		}},
	} {
		p := component.Panel{Title: what.title, X: component.Axis{Label: "time from the go cue", Unit: "s", Min: -beforeGo, Max: afterGo}, Y: component.Axis{Label: what.label, Unit: what.unit}}
		sums, counts := make([]float64, before+after+1), make([]float64, before+after+1)
		for _, i := range chosen {
			line := component.Mark{Kind: component.Line, Group: figure.Truth, Faint: true}
			for k := range sums {
				t := r.goCue[i] + k - before
				if t < 1 || t >= r.hand.lengths[i] {
					continue
				}
				v := what.of(i, t)
				line.X, line.Y = append(line.X, float64(k-before)*r.tick.width), append(line.Y, v)
				sums[k] += v
				counts[k]++
			}
			p.Marks = append(p.Marks, line)
		}
		mean := component.Mark{Kind: component.Line, Label: "mean", Group: goalGroup}
		for k, n := range counts {
			if n > 0 {
				mean.X, mean.Y = append(mean.X, float64(k-before)*r.tick.width), append(mean.Y, sums[k]/n)
			}
		}
		p.Marks = append(p.Marks, mean)
		f.Panels = append(f.Panels, p)
	}
	return f, true
}

// musclesMost is the number of muscles that are drawn at most.
const musclesMost = 8

// activations shows what the muscles do in a reach without a push, in one with a push and in a trial without a go cue.
func (r *reaches) activations() (component.Figure, bool) {
	if r.muscles == nil {
		return component.Figure{}, false
	}
	var chosen []int
	for _, fits := range []func(int) bool{r.quiet, r.pushed, r.caught} {
		chosen = append(chosen, r.choose(1, fits)...)
	}
	if more := r.choose(3, r.quiet); len(chosen) < 3 && len(more) > 1 {
		chosen = append(chosen, more[1:min(len(more), 4-len(chosen))]...)
	}
	if len(chosen) == 0 {
		return component.Figure{}, false
	}
	f := component.Figure{
		Name: "muscles", Title: "Muscle activations", Columns: len(chosen),
		Caption: fmt.Sprintf("Of the %s the first without a push, with a push, and without a go cue, as far as there are any. Shaded: the target is shown; from the go cue on; a push.", r.source),
	}
	for _, i := range chosen {
		n := r.hand.lengths[i]
		p := component.Panel{Title: fmt.Sprintf("trial %d", r.trials[i]), Y: component.Axis{Label: "activation", Min: 0, Max: 1}}
		p.X.Label, p.X.Unit = r.tick.axis()
		p.X.Min, p.X.Max = 0, r.tick.end(n)
		p.Marks = shade(reachSpans(r.targetOn[i], r.goCue[i], r.bumpOn[i], r.bumpEnd[i], n), 0, 1, r.tick)
		for m := range min(r.muscles.channels, musclesMost) {
			y := r.muscles.series(i, m)
			p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: labelled(r.labels.Outputs, m, "muscle"), X: r.tick.times(len(y)), Y: y})
		}
		f.Panels = append(f.Panels, p)
	}
	return f, true
}
