package metrics

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// measure is one metric of one subject.
type measure struct {
	metric, subject, unit string
	better                component.Better
	// against is true where the subject is measured against the truth or recording.
	against bool
	// hasNull is true where shuffling trials says something, byColumn where the metric of each column is worth showing.
	hasNull, byColumn bool
	// undefined is the reason given where the formula has no finite value.
	undefined string
	// compute gives the statistic with trials as they are, or as a shuffle pairs them. An omission says why it cannot be had.
	compute func(ctx context.Context, shuffle int) (statistic, error)
}

const (
	noVariance = "what is to be explained does not vary over the validation trials"
	noSpikes   = "there is no spike in the validation trials of the scored neurons"
)

// measures lists what is measured of subject i, in the order in which it is reported.
func (c *comparison) measures(i int) []measure {
	s := &c.subjects[i]
	if s.Role != comparator.Fitted {
		return c.ofReference(s)
	}
	r2 := func(metric string, against bool, compute func(context.Context, int) (statistic, error)) measure {
		return measure{metric: metric, subject: s.Label, better: component.Higher, against: against, hasNull: true, undefined: noVariance, compute: compute}
	}
	bps := func(metric string, neurons func(n int) (from, to int, err error)) measure {
		return measure{
			metric: metric, subject: s.Label, unit: "bits/spike", better: component.Higher, against: true, hasNull: true, undefined: noSpikes,
			compute: func(ctx context.Context, shuffle int) (statistic, error) { return c.bits(ctx, s, shuffle, neurons) },
		}
	}
	out := []measure{
		r2("rate_r2", true, func(ctx context.Context, shuffle int) (statistic, error) { return c.rates(ctx, s, shuffle) }),
		r2("state_r2", true, func(ctx context.Context, shuffle int) (statistic, error) { return c.states(ctx, s, shuffle, true) }),
		r2("state_r2_reverse", true, func(ctx context.Context, shuffle int) (statistic, error) { return c.states(ctx, s, shuffle, false) }),
		r2("input_r2", true, func(ctx context.Context, shuffle int) (statistic, error) { return c.inputs(ctx, s, shuffle, false) }),
		r2("effective_input_r2", true, func(ctx context.Context, shuffle int) (statistic, error) { return c.inputs(ctx, s, shuffle, true) }),
		r2("cycle_con", false, func(ctx context.Context, shuffle int) (statistic, error) { return c.cycle(ctx, s, shuffle, false) }),
		r2("cycle_con_whitened", false, func(ctx context.Context, shuffle int) (statistic, error) { return c.cycle(ctx, s, shuffle, true) }),
		bps("co_bps", func(n int) (int, int, error) {
			if c.reference.HeldIn >= n {
				return 0, 0, omit("%s has no held-out neurons: all %d are held in", c.reference.Label, n)
			}
			return c.reference.HeldIn, n, nil
		}),
		bps("heldin_bps", func(n int) (int, int, error) {
			if c.reference.HeldIn == 0 {
				return 0, 0, omit("%s has no held-in neurons", c.reference.Label)
			}
			return 0, min(c.reference.HeldIn, n), nil
		}),
	}
	if c.Compat {
		out = append(out, bps("co_bps_ctdb", func(n int) (int, int, error) {
			if c.reference.InputChannels >= n {
				return 0, 0, omit("%d neurons have none from the index of the number of input channels, %d, on", n, c.reference.InputChannels)
			}
			return c.reference.InputChannels, n, nil
		}))
	}
	out[0].byColumn, out[1].byColumn = true, true
	return out
}

// ofReference measures the network behind a truth by the task's own score, also by condition, and what else the task measured. Of a recording there is none, and its metrics say so.
func (c *comparison) ofReference(s *comparator.Subject) []measure {
	of := func(metric, array string, better component.Better) measure {
		return measure{
			metric: metric, subject: s.Label, better: better, undefined: "the task's score is not finite",
			compute: func(context.Context, int) (statistic, error) {
				a := s.Scored.Get(array)
				switch {
				case s.Role == comparator.Recording:
					return nil, omit("%s is a recording, of which no task is known", s.Label)
				case a == nil || a.Len() == 0:
					return nil, omit("%s was not scored on a task", s.Label)
				}
				if err := a.Check(); err != nil {
					return nil, component.Invalid("subjects[0].scored", "%v", err)
				}
				return average(a.Float64s()), nil
			},
		}
	}
	out := []measure{of("performance", comparator.Success, component.Higher), of("performance_loss", comparator.Loss, component.Lower)}
	for _, a := range s.Scored {
		if condition, ok := strings.CutPrefix(a.Name, comparator.SuccessOf); ok && condition != "" {
			out = append(out, of("performance/"+condition, a.Name, component.Higher))
		}
		if name, ok := strings.CutPrefix(a.Name, comparator.Measured); ok && name != "" && a.Len() > 0 {
			m := of(name, a.Name, component.Neither)
			m.unit = a.Unit
			out = append(out, m)
		}
	}
	return out
}

// truth checks that there is one.
func (c *comparison) truth() (*comparator.Subject, error) {
	switch {
	case c.reference == nil:
		return nil, omit("there is no truth to compare with")
	case c.reference.Role != comparator.Truth:
		return nil, omit("%s is a recording: the truth behind it is not known", c.reference.Label)
	}
	return c.reference, nil
}

// rates scores inferred rates as they are against the true ones.
func (c *comparison) rates(ctx context.Context, s *comparator.Subject, shuffle int) (statistic, error) {
	t, err := c.truth()
	if err != nil {
		return nil, err
	}
	y, err := c.array(t, valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	x, err := c.array(s, valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	if x.width() != y.width() {
		return nil, omit("%s has rates of %d neurons, %s of %d", s.Label, x.width(), t.Label, y.width())
	}
	pairs := c.pairs(valid, shuffle)
	return explain(ctx, c.threads, y, func(k int) int { return pairs.common(y, x, k) }, func() predictor {
		return func(to []float64, k, bins int) { x.read(to, pairs.of(k), bins) }
	})
}

// states regresses inferred latents on true ones, or, not forward, true ones on inferred ones.
func (c *comparison) states(ctx context.Context, s *comparator.Subject, shuffle int, forward bool) (statistic, error) {
	t, err := c.truth()
	if err != nil {
		return nil, err
	}
	xs, err := c.both(t, comparator.Latents)
	if err != nil {
		return nil, err
	}
	ys, err := c.both(s, comparator.Latents)
	if err != nil {
		return nil, err
	}
	m, err := c.moments(ctx, "states", train, xs[0], ys[0], shuffle, parts{true, true, true})
	if err != nil {
		return nil, err
	}
	fit, err := m.forward()
	if !forward {
		fit, err = m.backward()
	}
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		m, err := c.moments(ctx, "states", valid, xs[1], ys[1], shuffle, parts{true, true, true})
		if err != nil {
			return nil, err
		}
		if !forward {
			m = m.turned()
		}
		return fixed(fit.explained(m)), nil
	}
	if !forward {
		xs, ys = ys, xs
	}
	return c.regressed(ctx, fit, xs[1], ys[1])
}

// both finds an array's training and validation trials.
func (c *comparison) both(s *comparator.Subject, name string) ([2]series, error) {
	a, err := c.array(s, train, name)
	if err != nil {
		return [2]series{}, err
	}
	b, err := c.array(s, valid, name)
	if err != nil {
		return [2]series{}, err
	}
	if a.width() != b.width() {
		return [2]series{}, component.Invalid("subjects", "%s of %s have %d channels in training and %d in validation trials", title(name), s.Label, a.width(), b.width())
	}
	return [2]series{a, b}, nil
}

// regressed scores y against its prediction from x.
func (c *comparison) regressed(ctx context.Context, fit linear, x, y series) (statistic, error) {
	return explain(ctx, c.threads, y, func(k int) int { return pairing(nil).common(y, x, k) }, func() predictor {
		buf := make([]float64, x.longest()*x.width())
		return func(to []float64, k, bins int) {
			rows := x.read(buf, k, bins)
			centre(rows, fit.meanX)
			multiply(to, rows, fit.b, x.width(), y.width())
			for from := 0; from < len(to); from += y.width() {
				add(to[from:from+y.width()], fit.meanY)
			}
		}
	})
}

// inputs regresses inferred inputs on the true ones without noise, or on those of their pulses that change the state.
func (c *comparison) inputs(ctx context.Context, s *comparator.Subject, shuffle int, effective bool) (statistic, error) {
	if c.reference == nil {
		return nil, omit("there is no truth to compare with")
	}
	if s.Valid.Get(comparator.Inputs) == nil {
		return nil, omit("%s infers no inputs", s.Label)
	}
	ys, err := c.both(s, comparator.Inputs)
	if err != nil {
		return nil, err
	}
	name := comparator.TrueInputs
	if c.reference.Valid.Get(name) == nil {
		name = comparator.Inputs
	}
	xs, err := c.both(c.reference, name)
	if err != nil {
		return nil, err
	}
	key := "inputs"
	if effective {
		key = "effective inputs"
		if xs, err = c.pulses(xs); err != nil {
			return nil, err
		}
	}
	m, err := c.moments(ctx, key, train, xs[0], ys[0], shuffle, parts{true, true, true})
	if err != nil {
		return nil, err
	}
	fit, err := m.forward()
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		m, err := c.moments(ctx, key, valid, xs[1], ys[1], shuffle, parts{true, true, true})
		if err != nil {
			return nil, err
		}
		return fixed(fit.explained(m)), nil
	}
	return c.regressed(ctx, fit, xs[1], ys[1])
}

// pulses keeps the inputs of the bins in which the target of the same channel changes and sets all others to 0: of a flip-flop, the
// pulses that flip a bit. It is an omission where targets are not the channels' memories: where their numbers differ, they never change, or
// change without an input.
func (c *comparison) pulses(inputs [2]series) ([2]series, error) {
	var out [2]series
	for i, which := range []split{train, valid} {
		key := c.reference.Label + "\x00" + string(which) + "\x00effective"
		if f, ok := c.known[key]; ok {
			if f.err != nil {
				return out, f.err
			}
			out[i] = f.series
			continue
		}
		f := found{series: inputs[i]}
		f.series.data, f.err = c.effective(inputs[i], which)
		c.known[key] = f
		if f.err != nil {
			return out, f.err
		}
		out[i] = f.series
	}
	return out, nil
}

func (c *comparison) effective(x series, which split) (*tensor.Tensor, error) {
	targets, err := c.array(c.reference, which, comparator.Targets)
	if err != nil {
		return nil, err
	}
	d := x.width()
	if targets.width() != d {
		return nil, omit("which inputs change the state is known only where each has a target of its own: %s has %d inputs and %d targets", c.reference.Label, d, targets.width())
	}
	out := tensor.New32("effective_inputs", x.data.Shape...)
	in, state := make([]float64, x.longest()*d), make([]float64, x.longest()*d)
	changes := 0
	for k, n := range x.lengths {
		x.read(in, k, n)
		targets.read(state, k, n)
		for i := d; i < n*d; i++ {
			if state[i] == state[i-d] {
				continue
			}
			if in[i] == 0 {
				return nil, omit("which inputs change the state is not known: a target of %s changes without an input in its channel", c.reference.Label)
			}
			out.F32[k*x.data.Shape[1]*d+i] = float32(in[i])
			changes++
		}
	}
	if changes == 0 {
		return nil, omit("no input changes the state of %s in its %s trials", c.reference.Label, which)
	}
	return out, nil
}

// cycle scores cycle consistency, a model's own affair: it needs no truth.
func (c *comparison) cycle(ctx context.Context, s *comparator.Subject, shuffle int, whitened bool) (statistic, error) {
	latents, err := c.both(s, comparator.Latents)
	if err != nil {
		return nil, err
	}
	logs, err := c.logRates(s)
	if err != nil {
		return nil, err
	}
	m, err := c.moments(ctx, "cycle", train, latents[0], logs, shuffle, parts{xx: true, xy: true})
	if err != nil {
		return nil, err
	}
	p, err := newProjection(m, c.CycleV, whitened)
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		// A shuffle changes the projection alone: latents are scored by themselves.
		m, err := c.moments(ctx, "latents", valid, latents[1], latents[1], asTheyAre, parts{xx: true})
		if err != nil {
			return nil, err
		}
		return fixed(p.explained(m)), nil
	}
	return p.explain(ctx, c.threads, latents[1])
}

// logRates gives the logarithm of the inferred rates of the training trials.
func (c *comparison) logRates(s *comparator.Subject) (series, error) {
	key := fmt.Sprint(s.Label, "\x00", "log rates")
	if f, ok := c.known[key]; ok {
		return f.series, f.err
	}
	rates, err := c.array(s, train, comparator.Rates)
	if err == nil {
		rates, err = logarithm(rates, s.Label)
	}
	c.known[key] = found{rates, err}
	return rates, err
}

// logarithm of rates in their own precision; an omission where one is not positive.
func logarithm(rates series, label string) (series, error) {
	out := rates
	out.data = &tensor.Tensor{Name: "log_rates", Shape: rates.data.Shape}
	row := rates.data.Shape[1] * rates.width()
	if rates.data.F32 != nil {
		out.data.F32 = make([]float32, rates.data.Len())
		return out, logs(out.data.F32, rates.data.F32, row, rates, label)
	}
	out.data.F64 = make([]float64, rates.data.Len())
	return out, logs(out.data.F64, rates.data.Float64s(), row, rates, label)
}

func logs[F float32 | float64](to, from []F, row int, rates series, label string) error {
	for k, n := range rates.lengths {
		for i := k * row; i < k*row+n*rates.width(); i++ {
			if from[i] <= 0 {
				return omit("some inferred rates of %s are 0 or negative and have no logarithm", label)
			}
			to[i] = F(math.Log(float64(from[i])))
		}
	}
	return nil
}

// bits scores the inferred rates of some neurons by the likelihood of their spikes.
func (c *comparison) bits(ctx context.Context, s *comparator.Subject, shuffle int, neurons func(n int) (from, to int, err error)) (statistic, error) {
	if c.reference == nil {
		return nil, omit("there are no spikes to compare with")
	}
	counts, err := c.array(c.reference, valid, comparator.Spikes)
	if err != nil {
		return nil, err
	}
	rates, err := c.array(s, valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	if rates.width() != counts.width() {
		return nil, omit("%s has rates of %d neurons, %s has spikes of %d", s.Label, rates.width(), c.reference.Label, counts.width())
	}
	from, to, err := neurons(counts.width())
	if err != nil {
		return nil, err
	}
	pairs := c.pairs(valid, shuffle)
	b, ok := c.likelihoods[shuffle]
	if !ok {
		if b, err = likelihood(ctx, c.threads, counts, rates, pairs); err != nil {
			return nil, err
		}
		c.likelihoods[shuffle] = b
	}
	return b.only(from, to), nil
}
