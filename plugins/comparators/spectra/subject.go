package spectra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// examined is a subject and what was found of it.
type examined struct {
	*comparator.Subject
	layout model.Layout
	// exponents of its dynamics, falling, per bin; nil where err says why there are none.
	exponents []float64
	all       bool
	sums      *exponents
	drive     drive
	limits    string
	err       error
	// latents and rates hold the power spectra of each, and of shuffled bins.
	latents, rates [2]*power
	latentsErr     error
	ratesErr       error
}

// examine runs a subject's dynamics and estimates its power spectra.
func (c *comparison) examine(ctx context.Context, s *comparator.Subject, position int) (*examined, error) {
	e := &examined{Subject: s}
	if s.Dynamics != nil {
		layout, err := s.Dynamics.Layout(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: layout: %w", s.Label, err)
		}
		if layout.Size < 1 || layout.Inputs < 0 {
			return nil, component.Invalid("layout", "%s has a state of %d and %d inputs: at least 1 and 0 are needed", s.Label, layout.Size, layout.Inputs)
		}
		e.layout = layout
	}
	if c.Exponents > 0 {
		if e.err = c.exponents(ctx, e); e.err != nil {
			var why trials.Omission
			if !errors.As(e.err, &why) {
				return nil, fmt.Errorf("%s: %w", s.Label, e.err)
			}
		}
	}
	spectra := func(name string, together bool) (out [2]*power, err error) {
		x, err := c.Array(s, trials.Valid, name)
		if err != nil {
			return out, err
		}
		for i := range out {
			if i == 1 && (!c.Null || position == 0) {
				break
			}
			if out[i], err = welch(ctx, c.threads, x, c.Segment, together, i == 1, c.seed); err != nil {
				return out, err
			}
		}
		return out, nil
	}
	e.latents, e.latentsErr = spectra(comparator.Latents, true)
	e.rates, e.ratesErr = spectra(comparator.Rates, false)
	var why trials.Omission
	for _, err := range []error{e.latentsErr, e.ratesErr} {
		if err != nil && !errors.As(err, &why) {
			return nil, err
		}
	}
	return e, nil
}

// exponents finds those of a subject's dynamics.
func (c *comparison) exponents(ctx context.Context, e *examined) error {
	if e.Dynamics == nil {
		why := e.Why
		if why == "" {
			why = "it offers no dynamics"
		}
		return trials.Omit("%s", why)
	}
	if err := c.driven(ctx, e); err != nil {
		return err
	}
	count := min(c.Exponents, e.layout.Size)
	var done atomic.Int64
	total := int64(0)
	for _, n := range e.drive.steps {
		total += int64(n)
	}
	phase := "Lyapunov exponents of " + e.Label
	progress := func(rows int) {
		at := done.Add(int64(rows))
		if at/1000 > (at-int64(rows))/1000 {
			c.report.Progress(component.Progress{Phase: phase, Done: min(at, total), Total: total, Loss: math.NaN()})
		}
	}
	sums, err := lyapunov(ctx, e.Dynamics, e.layout, e.drive, count, c.Transient, c.seed, c.threads, progress)
	if err != nil {
		return err
	}
	e.sums = sums
	if sums.finite < count {
		e.limit("the model maps all further directions to 0: exponents from number %d on are -inf", sums.finite+1)
	}
	e.all = sums.finite == e.layout.Size
	for j := range sums.finite {
		e.exponents = append(e.exponents, sums.statistic(j).Value(bootstrap.Ones(len(sums.bins))))
	}
	if len(e.exponents) == 0 {
		return trials.Omit("the model maps all directions to 0: there is no finite exponent")
	}
	return nil
}

func (e *examined) limit(format string, args ...any) {
	if e.limits != "" {
		e.limits += "; "
	}
	e.limits += fmt.Sprintf(format, args...)
}

// statistic is exponent j, per bin.
func (e *exponents) statistic(j int) bootstrap.Statistic {
	return e.function(func(l []float64) float64 { return l[j] })
}

// function is one of the finite exponents in their order over all trials, per bin.
func (e *exponents) function(f func(exponents []float64) float64) bootstrap.Statistic {
	order := e.order()
	s := bootstrap.Sums{Of: make([][]float64, len(e.bins)), Function: func(sums []float64) float64 {
		out := make([]float64, e.finite)
		for j, direction := range order {
			out[j] = sums[1+direction] / sums[0]
		}
		return f(out)
	}}
	for k, n := range e.bins {
		s.Of[k] = append([]float64{n}, e.logs[k*e.count:k*e.count+e.finite]...)
	}
	return s
}

// falling sorts exponents.
func falling(l []float64) []float64 {
	out := slices.Clone(l)
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// driven finds what a model is run along: states that its trials begin with and the inputs that follow.
func (c *comparison) driven(ctx context.Context, e *examined) error {
	size, inputs := e.layout.Size, e.layout.Inputs
	starts, err := c.starts(e)
	if err != nil {
		return err
	}
	var driving *trials.Series
	if inputs > 0 && c.Inputs != "zero" {
		u, err := c.recorded(e)
		if err != nil {
			return err
		}
		driving = &u
	}
	// Without recorded states the model begins where it says, before the first bin; recorded ones are those after it.
	first := 1
	var initial []float64
	if starts == nil {
		first = 0
		x, err := e.Dynamics.InitialState(ctx, tensor.Block{})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || x == nil || x.Check() != nil || len(x.Shape) != 2 || x.Shape[0] < 1 || x.Shape[1] != size {
			return trials.Omit("%s has no recorded states to start from, and no initial state", e.Label)
		}
		initial = x.Float64s()[:size]
		e.limit("no whole states are recorded: trials start from the model's initial state")
	}
	lengths := []int{1 + c.Steps}
	switch {
	case starts != nil:
		lengths = starts.Lengths
	case driving != nil:
		lengths = driving.Lengths
	case c.Steps == 0:
		return trials.Omit("%s has neither recorded states nor inputs, which would say how far to run it: set steps", e.Label)
	}
	recorded := driving != nil && c.Inputs == "recorded"
	d := &e.drive
	var of []int
	used := min(c.Trials, len(lengths))
	for i := range used {
		k := i * len(lengths) / used
		steps := lengths[k] - first
		if c.Steps > 0 {
			if recorded {
				steps = min(steps, c.Steps)
			} else {
				steps = c.Steps
			}
		}
		if steps < 1 || lengths[k] < 1 {
			continue
		}
		of = append(of, k)
		d.steps = append(d.steps, steps)
		if starts == nil {
			d.starts = append(d.starts, initial...)
			continue
		}
		row := make([]float64, size)
		starts.Row(row, k, 0)
		d.starts = append(d.starts, row...)
	}
	if len(of) == 0 {
		return trials.Omit("the trials of %s have one bin: at least 2 are needed", e.Label)
	}
	mean := make([]float64, inputs)
	if driving != nil && c.Inputs == "mean" {
		total := 0.0
		for k, n := range driving.Lengths {
			for i, v := range driving.Read(make([]float64, driving.Longest()*inputs), k, n) {
				mean[i%inputs] += v
			}
			total += float64(n)
		}
		for i := range mean {
			mean[i] /= total
		}
	}
	d.input = func(to []float64, _, _ int) { copy(to, mean) }
	if recorded {
		d.input = func(to []float64, k, t int) {
			if t+first < driving.Lengths[of[k]] {
				driving.Row(to, of[k], t+first)
			}
		}
	}
	return nil
}

// starts are the recorded states, nil where there are none.
func (c *comparison) starts(e *examined) (*trials.Series, error) {
	name := comparator.State
	if e.Valid.Get(name) == nil {
		if e.layout.Observable[model.Latents] != e.layout.Size || e.Valid.Get(comparator.Latents) == nil {
			return nil, nil
		}
		name = comparator.Latents
	}
	x, err := c.Array(e.Subject, trials.Valid, name)
	if err != nil {
		return nil, err
	}
	if x.Width() != e.layout.Size {
		return nil, trials.Omit("%s has %s of %d elements: the state of its dynamics has %d", e.Label, name, x.Width(), e.layout.Size)
	}
	return &x, nil
}

// recorded are the inputs without noise of a subject, or those of the reference, that have the width of its dynamics' inputs.
func (c *comparison) recorded(e *examined) (trials.Series, error) {
	from := []*comparator.Subject{e.Subject}
	if c.Reference != nil && c.Reference != e.Subject {
		from = append(from, c.Reference)
	}
	for _, s := range from {
		for _, name := range []string{comparator.TrueInputs, comparator.Inputs} {
			if a := s.Valid.Get(name); a != nil && a.Shape[2] == e.layout.Inputs {
				return c.Array(s, trials.Valid, name)
			}
		}
	}
	return trials.Series{}, trials.Omit("no inputs of %d channels are recorded, which drive %s (inputs: %s)", e.layout.Inputs, e.Label, c.Inputs)
}
