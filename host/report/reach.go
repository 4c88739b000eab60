package report

import (
	"errors"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// path is where a point is in the bins [from, to).
func path(c *cube, trial, from, to int) (x, y []float64) {
	for t := from; t < to; t++ {
		a, b := at(c, trial, t)
		x, y = append(x, a), append(y, b)
	}
	return x, y
}

const handPaths = 12

// paths shows where the hand went, in trials without a push, in those with one, and in those without a go cue.
func (r *reaches) paths() (component.Figure, error) {
	f := component.Figure{Name: "hand-paths", Title: "Hand paths"}
	size, largest := r.scale()
	if r.catch != nil {
		s, l := r.catch.scale()
		size, largest = max(size, s), max(largest, l)
	}
	cued, caught := 0, 0
	panel := func(of *reaches, title string, fits func(int) bool) int {
		chosen := of.choose(handPaths, fits)
		if len(chosen) > 0 {
			f.Panels = append(f.Panels, of.pathPanel(title, chosen, size, largest))
		}
		return len(chosen)
	}
	if r.timed {
		cued = panel(r, "reaches without a push", r.quiet) + panel(r, "reaches with a push", r.pushed)
	} else {
		panel(r, "trials", r.caught)
	}
	if r.catch != nil {
		caught = panel(r.catch, "trials without a go cue", r.catch.caught)
	}
	if len(f.Panels) == 0 {
		return f, r.unreached(r.reached, "no trial is longer than a bin")
	}
	f.Columns = min(len(f.Panels), 3)
	switch {
	case !r.timed:
		f.Caption = fmt.Sprintf("The first %s, which do not say when the go cue comes.", r.source)
	case cued == 0:
		f.Caption = fmt.Sprintf("The first %s.", r.catch.source)
	default:
		f.Caption = fmt.Sprintf("The first %s, up to %d of each kind, %s.", r.source, handPaths, r.which())
	}
	if cued > 0 && caught > 0 && r.catch != r {
		f.Caption += fmt.Sprintf(" Those without a go cue, in which the hand is to stay where it starts, are %s: of the %s none is without.", r.catch.source, r.source)
	} else if caught > 0 {
		f.Caption += " Without a go cue the hand is to stay: the target is where it starts."
	}
	f.Caption += " A path goes from the open circle to where the hand is at the end; the dot is the target. Arrows are pushes, as long as they are strong, from where the hand is when they begin; the part of the path during which they last is drawn over it."
	return f, nil
}

// scale is the extent of the space in which hands move, in m, and the strongest push.
func (r *reaches) scale() (size, largest float64) {
	low, high := math.Inf(1), math.Inf(-1)
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
	return high - low, largest
}

// pathPanel shows the paths of some trials; the arrow of the largest push is a small part of the size.
func (r *reaches) pathPanel(title string, chosen []int, size, largest float64) component.Panel {
	p := component.Panel{Title: title, Equal: true, X: component.Axis{Label: "x", Unit: "m"}, Y: component.Axis{Label: "y", Unit: "m"}}
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
				pushes = append(pushes, arrow(x[0], y[0], fx/largest*0.08*size, fy/largest*0.08*size))
			}
		}
	}
	p.Marks = append(append(p.Marks, pushes...), starts, goals)
	return p
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

// profiles shows speed and distance from the goal around the go cue, as far as trials go.
func (r *reaches) profiles() (component.Figure, error) {
	if err := r.unreached(r.quiet, "every trial that has a go cue is pushed"); err != nil {
		return component.Figure{}, err
	}
	if r.tick.width == 0 {
		return component.Figure{}, errors.New("it is not known how long a bin is")
	}
	chosen := r.choose(reachMost, r.quiet)
	before, after := 0, 0
	for _, i := range chosen {
		before, after = max(before, r.goCue[i]), max(after, r.after(i)-1)
	}
	before, after = min(before, r.bins(beforeGo)), min(after, r.bins(afterGo))
	f := component.Figure{
		Name: "speed-profiles", Title: "Speed and distance around the go cue", Columns: 2,
		Caption: fmt.Sprintf("%d %s without a push %s, each a faint line, and their mean.", len(chosen), r.source, r.which()),
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
		p := component.Panel{Title: what.title, X: component.Axis{Label: "time from the go cue", Unit: "s", Min: -float64(before) * r.tick.width, Max: float64(after) * r.tick.width}, Y: component.Axis{Label: what.label, Unit: what.unit}}
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
	return f, nil
}

// musclesMost is the number of muscles that are drawn at most.
const musclesMost = 8

// activations shows what the muscles do in a reach without a push, in one with a push and in a trial without a go cue; there is nothing to show where no muscles are known.
func (r *reaches) activations() (f component.Figure, err error) {
	if r.muscles == nil && (r.catch == nil || r.catch.muscles == nil) {
		return f, nil
	}
	f = component.Figure{Name: "muscles", Title: "Muscle activations"}
	panel := func(of *reaches, kind string, trials []int) {
		for _, i := range trials {
			if of.muscles != nil && len(f.Panels) < 3 {
				f.Panels = append(f.Panels, of.activationPanel(kind, i))
			}
		}
	}
	f.Caption = fmt.Sprintf("The first %s of each kind", r.source)
	if !r.timed {
		f.Caption = fmt.Sprintf("The first %s", r.source)
		panel(r, "", r.choose(3, r.caught))
	} else {
		quiet, pushed := r.choose(3, r.quiet), r.choose(3, r.pushed)
		var caught []int
		if r.catch != nil {
			caught = r.catch.choose(3, r.catch.caught)
		}
		// Each kind has one panel, and the first of them what is left.
		room := 3
		for _, of := range [][]int{quiet, pushed, caught} {
			room -= min(len(of), 1)
		}
		for _, of := range []*[]int{&quiet, &pushed, &caught} {
			if n := min(len(*of), 1+room); n > 0 {
				room -= n - 1
				*of = (*of)[:n]
			}
		}
		panel(r, "reach", quiet)
		panel(r, "reach with a push", pushed)
		panel(r.catch, "no go cue", caught)
		if r.catch != nil && r.catch != r {
			f.Caption += fmt.Sprintf("; those without a go cue are %s", r.catch.source)
		}
	}
	if len(f.Panels) == 0 {
		return f, r.unreached(r.reached, "no trial is longer than a bin")
	}
	f.Caption += "."
	if r.timed {
		f.Caption += " Shaded: the target is shown; from the go cue on; at the top a push."
	}
	f.Columns = len(f.Panels)
	return f, nil
}

// activationPanel shows the muscles in a trial of a kind.
func (r *reaches) activationPanel(kind string, i int) component.Panel {
	n := r.hand.lengths[i]
	p := component.Panel{Title: fmt.Sprintf("trial %d", r.trials[i]), Y: component.Axis{Label: "activation", Min: 0, Max: 1}}
	if kind != "" {
		p.Title = kind + ", " + p.Title
	}
	p.X.Label, p.X.Unit = r.tick.axis()
	p.X.Min, p.X.Max = 0, r.tick.end(n)
	p.Marks = shade(reachSpans(r.targetOn[i], r.goCue[i], r.bumpOn[i], r.bumpEnd[i], n), 0, 1, r.tick)
	for m := range min(r.muscles.channels, musclesMost) {
		y := r.muscles.series(i, m)
		p.Marks = append(p.Marks, component.Mark{Kind: component.Line, Label: labelled(r.labels.Outputs, m, "muscle"), X: r.tick.times(len(y)), Y: y})
	}
	return p
}
