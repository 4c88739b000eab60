package fixedpoints

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// examined is a subject and what was found in it.
type examined struct {
	*comparator.Subject
	*system
	visited visited
	found   []under
	// limits says what limits all results of the subject; empty where nothing does.
	limits string
	// dropped is the number of inputs beyond max_inputs, basinSteps the bound of the forward iteration.
	dropped, basinSteps int
}

// under is what was found under one input.
type under struct {
	name      string
	input     []float64
	condition int64
	*Set
	fixed, slow []Linear
	starts      []float64
	scale       float64
	// basin is the stable point that each start arrives at; nil where that was not asked for.
	basin []int
	// paths are the ways of the points to the next input; nil where they are not followed, or the next is a phase of another condition.
	paths *continuation
}

// visited are the states that a subject passed through: arrays (B, T, state) and the valid bins of each trial.
type visited struct {
	arrays  []*tensor.Tensor
	lengths [][]int
	// ends are the running totals of valid bins over all trials of all arrays.
	ends []int
}

func (v *visited) add(a *tensor.Tensor, lengths []int) {
	v.arrays, v.lengths = append(v.arrays, a), append(v.lengths, lengths)
	total := v.total()
	for _, n := range lengths {
		total += n
		v.ends = append(v.ends, total)
	}
}

func (v *visited) total() int {
	if len(v.ends) == 0 {
		return 0
	}
	return v.ends[len(v.ends)-1]
}

// read writes bin number i of all to to.
func (v *visited) read(to []float64, i int) {
	// Trials without bins end where the one before them does.
	row, bin := sort.SearchInts(v.ends, i+1), i
	if row > 0 {
		bin -= v.ends[row-1]
	}
	for k, a := range v.arrays {
		if row < len(v.lengths[k]) {
			copyRow(to, a, row*a.Shape[1]+bin)
			return
		}
		row -= len(v.lengths[k])
	}
}

// copyRow writes row i of the last axis.
func copyRow(to []float64, a *tensor.Tensor, i int) {
	d := len(to)
	switch {
	case a.F64 != nil:
		copy(to, a.F64[i*d:])
	case a.F32 != nil:
		for k, x := range a.F32[i*d : (i+1)*d] {
			to[k] = float64(x)
		}
	default:
		for k, x := range a.I64[i*d : (i+1)*d] {
			to[k] = float64(x)
		}
	}
}

// lengthsOf are the valid bins of each trial of an array, by the lengths of the subject or of the first one.
func lengthsOf(req *comparator.Request, s *comparator.Subject, a *tensor.Tensor, valid bool) ([]int, error) {
	split := func(s *comparator.Subject) tensor.Set {
		if valid {
			return s.Valid
		}
		return s.Train
	}
	l := split(s).Get(comparator.Lengths)
	if l == nil {
		l = split(&req.Subjects[0]).Get(comparator.Lengths)
	}
	out := make([]int, a.Shape[0])
	if l != nil && (l.I64 == nil || len(l.I64) != len(out)) {
		return nil, trials.Omit("%s: %d lengths of type %s for %d trials", s.Label, l.Len(), l.DType(), len(out))
	}
	for i := range out {
		out[i] = a.Shape[1]
		if l != nil {
			out[i] = int(min(max(0, l.I64[i]), int64(a.Shape[1])))
		}
	}
	return out, nil
}

// visit finds the visited states: State, or Latents where these are the state, else states made by running the model through inputs.
func (e *examined) visit(ctx context.Context, req *comparator.Request) error {
	for _, valid := range []bool{false, true} {
		set := e.Train
		if valid {
			set = e.Valid
		}
		a := set.Get(comparator.State)
		if a == nil && e.layout.Observable[model.Latents] == e.size() {
			a = set.Get(comparator.Latents)
		}
		if a == nil {
			continue
		}
		if len(a.Shape) != 3 || a.Shape[2] != e.size() {
			return trials.Omit("%s has %s of shape %v: (trials, bins, %d) is the state of its dynamics", e.Label, a.Name, a.Shape, e.size())
		}
		lengths, err := lengthsOf(req, e.Subject, a, valid)
		if err != nil {
			return err
		}
		e.visited.add(a, lengths)
	}
	if e.visited.total() == 0 {
		return e.run(ctx, req)
	}
	return nil
}

const (
	// runTrials and runBins bound a run that takes the place of visited states.
	runTrials, runBins = 64, 500
)

// run makes visited states: from the model's initial state through the inputs that are known, or through none.
func (e *examined) run(ctx context.Context, req *comparator.Request) error {
	initial, err := e.dynamics.InitialState(ctx, tensor.Block{})
	if err != nil || initial == nil || len(initial.Shape) != 2 || initial.Shape[0] < 1 || initial.Shape[1] != e.size() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return trials.Omit("%s has no recorded states, and no initial state to make some from", e.Label)
	}
	inputs, lengths, err := e.driving(req)
	if err != nil {
		return err
	}
	trials, bins := 1, runBins
	e.limits = "no states are recorded: starts are around those that the model runs through without input"
	if inputs != nil && e.layout.Inputs > 0 {
		trials, bins = min(runTrials, inputs.Shape[0]), min(runBins, inputs.Shape[1])
		e.limits = fmt.Sprintf("no whole states are recorded: starts are around those that the model runs through under the inputs of %d trials", trials)
	}
	d := e.size()
	states := tensor.New64(comparator.State, trials, bins, d)
	x := make([]float64, trials*d)
	for i := range trials {
		copy(x[i*d:(i+1)*d], initial.Float64s()[:d])
	}
	for bin := range bins {
		u := tensor.New64(model.Inputs, trials, e.layout.Inputs)
		if inputs != nil && e.layout.Inputs > 0 {
			for i := range trials {
				copyRow(u.F64[i*e.layout.Inputs:(i+1)*e.layout.Inputs], inputs, i*inputs.Shape[1]+bin)
			}
		}
		next, err := e.dynamics.Step(ctx, tensor.From64(model.State, x, trials, d), u)
		if err != nil {
			return fmt.Errorf("step: %w", err)
		}
		if x, err = elements("step", next, trials, d); err != nil {
			return err
		}
		for i := range trials {
			copy(states.F64[(i*bins+bin)*d:(i*bins+bin+1)*d], x[i*d:(i+1)*d])
		}
	}
	used := slices.Repeat([]int{bins}, trials)
	for i := range min(trials, len(lengths)) { // beyond a trial's end inputs are padding
		used[i] = min(bins, lengths[i])
	}
	e.visited.add(states, used)
	return nil
}

// driving are the inputs that a run takes, the subject's own or else those of the first, and the bins of each of their trials; nil where none are known.
func (e *examined) driving(req *comparator.Request) (inputs *tensor.Tensor, lengths []int, err error) {
	for _, s := range []*comparator.Subject{e.Subject, &req.Subjects[0]} {
		if inputs = e.recorded(s.Valid); inputs != nil {
			lengths, err = lengthsOf(req, s, inputs, true)
			return inputs, lengths, err
		}
		if inputs = e.recorded(s.Train); inputs != nil {
			lengths, err = lengthsOf(req, s, inputs, false)
			return inputs, lengths, err
		}
	}
	return nil, nil, nil
}

// recorded are the inputs of a split without noise, if there are any of the width of the dynamics' inputs.
func (e *examined) recorded(set tensor.Set) *tensor.Tensor {
	for _, name := range []string{comparator.TrueInputs, comparator.Inputs} {
		if a := set.Get(name); a != nil && len(a.Shape) == 3 && a.Shape[2] == e.layout.Inputs && a.Shape[0] > 0 && a.Shape[1] > 0 {
			return a
		}
	}
	return nil
}

// examine finds and describes the points of a subject.
func (c *fixedPoints) examine(ctx context.Context, req *comparator.Request, s *comparator.Subject, report component.Reporter) (*examined, error) {
	if s.Dynamics == nil {
		why := s.Why
		if why == "" {
			why = "it offers no dynamics"
		}
		return nil, trials.Omission(why)
	}
	sys, err := Search{Dynamics: s.Dynamics, Threads: c.threads}.system(ctx)
	if err != nil {
		return nil, err
	}
	e := &examined{Subject: s, system: sys, basinSteps: c.BasinSteps}
	if err := e.visit(ctx, req); err != nil {
		return nil, err
	}
	inputs, err := c.inputsOf(req, e)
	if err != nil {
		return nil, err
	}
	for k, in := range inputs {
		phase := "searching in " + s.Label
		if len(inputs) > 1 {
			phase += fmt.Sprintf(", input %d of %d", k+1, len(inputs))
		}
		u := under{name: in.name, input: in.value, condition: in.condition}
		if u.starts, u.scale, err = c.startsOf(e, k); err != nil {
			return nil, err
		}
		at := sys.under(in.value)
		search := Search{Dynamics: s.Dynamics, Input: in.value, TolQ: c.TolQ, SlowQ: orNone(c.SlowQ), TolUnique: c.TolUnique, Outlier: c.Outlier, Iterations: c.Iterations, Threads: c.threads, Inexact: !c.Exact,
			Rounds: int(orNone(float64(c.Rounds))), Progress: func(done, total int) {
				report.Progress(component.Progress{Phase: phase, Done: int64(done), Total: int64(total), Loss: math.NaN()})
			}}
		if u.Set, err = search.Find(ctx, u.starts); err != nil {
			return nil, err
		}
		if u.fixed, err = at.linearise(ctx, u.Fixed, c.Vectors, c.BasinSteps > 0); err != nil {
			return nil, err
		}
		if u.slow, err = at.linearise(ctx, u.Slow, 0, false); err != nil {
			return nil, err
		}
		if c.BasinSteps > 0 {
			report.Progress(component.Progress{Phase: "basins of " + s.Label, Done: int64(k), Total: int64(len(inputs)), Loss: math.NaN()})
			if u.basin, err = at.basins(ctx, u.starts, u.Fixed, u.fixed, c.BasinSteps); err != nil {
				return nil, err
			}
			for i := range u.fixed {
				u.fixed[i].Jacobian = nil // of a large network those of many points are gigabytes
			}
		}
		e.found = append(e.found, u)
	}
	if c.Continue > 0 {
		for k := range len(e.found) - 1 {
			if e.found[k].condition != e.found[k+1].condition {
				continue
			}
			report.Progress(component.Progress{Phase: "following the points of " + s.Label, Done: int64(k), Total: int64(len(e.found) - 1), Loss: math.NaN()})
			if e.found[k].paths, err = c.follow(ctx, sys, &e.found[k], &e.found[k+1]); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// orNone is what Search takes for none of something.
func orNone(v float64) float64 {
	if v == 0 {
		return -1
	}
	return v
}

// startsOf draws starts: visited states, or points between two of them, with noise. The states' root mean square deviation comes along.
func (c *fixedPoints) startsOf(e *examined, input int) ([]float64, float64, error) {
	d, total := e.size(), e.visited.total()
	x, y := make([]float64, d), make([]float64, d)
	starts := make([]float64, c.Starts*d)
	mean, square, seen := make([]float64, d), 0.0, 0.0
	noise := make([]float64, c.Starts*d)
	for i := range c.Starts {
		r := random.New(c.seed, "fixedpoints/starts", uint64(input), uint64(i))
		e.visited.read(x, r.IntN(total))
		e.visited.read(y, r.IntN(total))
		if !finite(x) || !finite(y) {
			return nil, 0, trials.Omit("the recorded states of %s are not finite", e.Label)
		}
		seen++
		for k, v := range x {
			before := mean[k]
			mean[k] += (v - before) / seen
			square += (v - before) * (v - mean[k])
		}
		weight := 0.0
		if r.Float64() < c.Between {
			weight = r.Float64()
		}
		for k, v := range x {
			starts[i*d+k] = v + weight*(y[k]-v)
			noise[i*d+k] = r.NormFloat64()
		}
	}
	// The deviation of one element; where all states are the same, there is no unit but 1.
	deviation := math.Sqrt(square / seen / float64(d))
	if !(deviation > 0) {
		deviation = 1
	}
	for i, v := range noise {
		starts[i] += c.Noise * deviation * v
	}
	return starts, deviation * math.Sqrt(float64(d)), nil
}
