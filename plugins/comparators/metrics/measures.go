package metrics

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
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
	// compute gives the bootstrap.Statistic with trials as they are, or as a shuffle pairs them. An omission says why it cannot be had.
	compute func(ctx context.Context, shuffle int) (bootstrap.Statistic, error)
}

const (
	noVariance = "what is to be explained does not vary over the validation trials"
	noSpikes   = "there is no spike in the validation trials of the scored neurons"
)

// measures lists what is measured of subject i, in the order in which it is reported.
func (c *comparison) measures(i int) []measure {
	s := &c.Subjects[i]
	var out []measure
	if s.Role != comparator.Fitted || len(s.Scored) > 0 {
		out = c.scored(i)
	}
	if s.Role != comparator.Fitted {
		return out
	}
	r2 := func(metric string, against bool, compute func(context.Context, int) (bootstrap.Statistic, error)) measure {
		return measure{metric: metric, subject: s.Label, better: component.Higher, against: against, hasNull: true, undefined: noVariance, compute: compute}
	}
	bps := func(metric string, neurons func(n int) (from, to int, err error)) measure {
		return measure{
			metric: metric, subject: s.Label, unit: "bits/spike", better: component.Higher, against: true, hasNull: true, undefined: noSpikes,
			compute: func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
				return c.bits(ctx, s, shuffle, neurons)
			},
		}
	}
	ofFit := []measure{
		r2("rate_r2", true, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) { return c.rates(ctx, s, shuffle) }),
		r2("state_r2", true, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.states(ctx, s, shuffle, true)
		}),
		r2("state_r2_reverse", true, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.states(ctx, s, shuffle, false)
		}),
		r2("input_r2", true, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.inputs(ctx, s, shuffle, false)
		}),
		r2("effective_input_r2", true, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.inputs(ctx, s, shuffle, true)
		}),
		r2("cycle_con", false, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.cycle(ctx, s, shuffle, false)
		}),
		r2("cycle_con_whitened", false, func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
			return c.cycle(ctx, s, shuffle, true)
		}),
		bps("co_bps", func(n int) (int, int, error) {
			if c.Reference.HeldIn >= n {
				return 0, 0, trials.Omit("%s has no held-out neurons: all %d are held in", c.Reference.Label, n)
			}
			return c.Reference.HeldIn, n, nil
		}),
		bps("heldin_bps", func(n int) (int, int, error) {
			if c.Reference.HeldIn == 0 {
				return 0, 0, trials.Omit("%s has no held-in neurons", c.Reference.Label)
			}
			return 0, min(c.Reference.HeldIn, n), nil
		}),
	}
	ofFit[0].byColumn, ofFit[1].byColumn = true, true
	out = append(out, ofFit...)
	if c.Compat {
		out = append(out, bps("co_bps_ctdb", func(n int) (int, int, error) {
			if c.Reference.InputChannels >= n {
				return 0, 0, trials.Omit("%d neurons have none from the index of the number of input channels, %d, on", n, c.Reference.InputChannels)
			}
			return c.Reference.InputChannels, n, nil
		}))
	}
	for _, shots := range c.Shots {
		out = append(out, measure{
			metric: fmt.Sprintf("few_shot_co_bps/%d", shots), subject: s.Label, unit: "bits/spike", better: component.Higher, against: true, hasNull: true, undefined: noSpikes,
			compute: func(ctx context.Context, shuffle int) (bootstrap.Statistic, error) {
				return c.fewShots(ctx, s, shuffle, shots)
			},
		})
	}
	return out
}

// scored measures a network by the task's own score, also by condition, and what else the task measured: the one behind a truth, and others that were trained on the task. Of a recording there
// is none, and its metrics say so.
func (c *comparison) scored(i int) []measure {
	s := &c.Subjects[i]
	of := func(metric, array string, better component.Better) measure {
		return measure{
			metric: metric, subject: s.Label, better: better, undefined: "the task's score is not finite",
			compute: func(context.Context, int) (bootstrap.Statistic, error) {
				a := s.Scored.Get(array)
				switch {
				case s.Role == comparator.Recording:
					return nil, trials.Omit("%s is a recording, of which no task is known", s.Label)
				case a == nil || a.Len() == 0:
					return nil, trials.Omit("%s was not scored on a task", s.Label)
				}
				if err := a.Check(); err != nil {
					return nil, component.Invalid(fmt.Sprintf("subjects[%d].scored", i), "%v", err)
				}
				return bootstrap.Average(a.Float64s()), nil
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
	case c.Reference == nil:
		return nil, trials.Omit("there is no truth to compare with")
	case c.Reference.Role != comparator.Truth:
		return nil, trials.Omit("%s is a recording: the truth behind it is not known", c.Reference.Label)
	}
	return c.Reference, nil
}

// rates scores inferred rates as they are against the true ones.
func (c *comparison) rates(ctx context.Context, s *comparator.Subject, shuffle int) (bootstrap.Statistic, error) {
	t, err := c.truth()
	if err != nil {
		return nil, err
	}
	y, err := c.Array(t, trials.Valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	x, err := c.Array(s, trials.Valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	if x.Width() != y.Width() {
		return nil, trials.Omit("%s has rates of %d neurons, %s of %d", s.Label, x.Width(), t.Label, y.Width())
	}
	pairs := c.pairs(trials.Valid, shuffle)
	return explain(ctx, c.threads, y, func(k int) int { return pairs.Common(y, x, k) }, func() predictor {
		return func(to []float64, k, bins int) { x.Read(to, pairs.Of(k), bins) }
	})
}

// states regresses inferred latents on true ones, or, not forward, true ones on inferred ones.
func (c *comparison) states(ctx context.Context, s *comparator.Subject, shuffle int, forward bool) (bootstrap.Statistic, error) {
	t, err := c.truth()
	if err != nil {
		return nil, err
	}
	xs, err := c.Both(t, comparator.Latents)
	if err != nil {
		return nil, err
	}
	if xs[0].Constant() {
		return nil, trials.Omit("the true latents do not vary over the training trials")
	}
	ys, err := c.Both(s, comparator.Latents)
	if err != nil {
		return nil, err
	}
	m, err := c.moments(ctx, "states", trials.Train, xs[0], ys[0], shuffle, moments.All())
	if err != nil {
		return nil, err
	}
	fit, err := m.Forward()
	if !forward {
		fit, err = m.Backward()
	}
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		m, err := c.moments(ctx, "states", trials.Valid, xs[1], ys[1], shuffle, moments.All())
		if err != nil {
			return nil, err
		}
		if !forward {
			m = m.Turned()
		}
		return bootstrap.Fixed(fit.Explained(m)), nil
	}
	if !forward {
		xs, ys = ys, xs
	}
	return c.regressed(ctx, fit, xs[1], ys[1])
}

// regressed scores y against its prediction from x.
func (c *comparison) regressed(ctx context.Context, fit moments.Linear, x, y trials.Series) (bootstrap.Statistic, error) {
	return explain(ctx, c.threads, y, func(k int) int { return trials.Pairing(nil).Common(y, x, k) }, func() predictor {
		buf := make([]float64, x.Longest()*x.Width())
		return func(to []float64, k, bins int) {
			rows := x.Read(buf, k, bins)
			moments.Centre(rows, fit.MeanX)
			moments.Multiply(to, rows, fit.B, x.Width(), y.Width())
			for from := 0; from < len(to); from += y.Width() {
				trials.Add(to[from:from+y.Width()], fit.MeanY)
			}
		}
	})
}

// inputs regresses inferred inputs on the true ones without noise, or on those of their pulses that change the state.
func (c *comparison) inputs(ctx context.Context, s *comparator.Subject, shuffle int, effective bool) (bootstrap.Statistic, error) {
	if c.Reference == nil {
		return nil, trials.Omit("there is no truth to compare with")
	}
	if s.Valid.Get(comparator.Inputs) == nil {
		return nil, trials.Omit("%s infers no inputs", s.Label)
	}
	ys, err := c.Both(s, comparator.Inputs)
	if err != nil {
		return nil, err
	}
	name := comparator.TrueInputs
	if c.Reference.Valid.Get(name) == nil {
		name = comparator.Inputs
	}
	xs, err := c.Both(c.Reference, name)
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
	m, err := c.moments(ctx, key, trials.Train, xs[0], ys[0], shuffle, moments.All())
	if err != nil {
		return nil, err
	}
	fit, err := m.Forward()
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		m, err := c.moments(ctx, key, trials.Valid, xs[1], ys[1], shuffle, moments.All())
		if err != nil {
			return nil, err
		}
		return bootstrap.Fixed(fit.Explained(m)), nil
	}
	return c.regressed(ctx, fit, xs[1], ys[1])
}

// pulses keeps the inputs of the bins in which the target of the same channel changes and sets all others to 0: of a flip-flop, the
// pulses that flip a bit. It is an omission where targets are not the channels' memories: where their numbers differ, they never change, or
// change without an input.
func (c *comparison) pulses(inputs [2]trials.Series) ([2]trials.Series, error) {
	var out [2]trials.Series
	for i, which := range []trials.Split{trials.Train, trials.Valid} {
		x, err := c.Cached(c.Reference, string(which)+"\x00effective", func() (trials.Series, error) {
			x := inputs[i]
			var err error
			x.Data, err = c.effective(x, which)
			return x, err
		})
		if err != nil {
			return out, err
		}
		out[i] = x
	}
	return out, nil
}

func (c *comparison) effective(x trials.Series, which trials.Split) (*tensor.Tensor, error) {
	targets, err := c.Array(c.Reference, which, comparator.Targets)
	if err != nil {
		return nil, err
	}
	d := x.Width()
	if targets.Width() != d {
		return nil, trials.Omit("which inputs change the state is known only where each has a target of its own: %s has %d inputs and %d targets", c.Reference.Label, d, targets.Width())
	}
	out := tensor.New32("effective_inputs", x.Data.Shape...)
	in, state := make([]float64, x.Longest()*d), make([]float64, x.Longest()*d)
	changes := 0
	for k, n := range x.Lengths {
		x.Read(in, k, n)
		targets.Read(state, k, n)
		for i := d; i < n*d; i++ {
			if state[i] == state[i-d] {
				continue
			}
			if in[i] == 0 {
				return nil, trials.Omit("which inputs change the state is not known: a target of %s changes without an input in its channel", c.Reference.Label)
			}
			out.F32[k*x.Data.Shape[1]*d+i] = float32(in[i])
			changes++
		}
	}
	if changes == 0 {
		return nil, trials.Omit("no input changes the state of %s in its %s", c.Reference.Label, which.Trials())
	}
	return out, nil
}

// cycle scores cycle consistency, a model's own affair: it needs no truth.
func (c *comparison) cycle(ctx context.Context, s *comparator.Subject, shuffle int, whitened bool) (bootstrap.Statistic, error) {
	latents, err := c.Both(s, comparator.Latents)
	if err != nil {
		return nil, err
	}
	logs, err := c.logRates(s)
	if err != nil {
		return nil, err
	}
	m, err := c.moments(ctx, "cycle", trials.Train, latents[0], logs, shuffle, moments.Parts{XX: true, XY: true})
	if err != nil {
		return nil, err
	}
	p, err := newProjection(m, c.CycleV, whitened)
	if err != nil {
		return nil, err
	}
	if shuffle != asTheyAre {
		// A shuffle changes the projection alone: latents are scored by themselves.
		m, err := c.moments(ctx, "latents", trials.Valid, latents[1], latents[1], asTheyAre, moments.Parts{XX: true})
		if err != nil {
			return nil, err
		}
		return bootstrap.Fixed(p.explained(m)), nil
	}
	return p.explain(ctx, c.threads, latents[1])
}

// logRates gives the logarithm of the inferred rates of the training trials.
func (c *comparison) logRates(s *comparator.Subject) (trials.Series, error) {
	return c.Cached(s, "log rates", func() (trials.Series, error) {
		rates, err := c.Array(s, trials.Train, comparator.Rates)
		if err != nil {
			return rates, err
		}
		return logarithm(rates, s.Label)
	})
}

// logarithm of rates in their own precision; an omission where one is not positive.
func logarithm(rates trials.Series, label string) (trials.Series, error) {
	out := rates
	out.Data = &tensor.Tensor{Name: "log_rates", Shape: rates.Data.Shape}
	row := rates.Data.Shape[1] * rates.Width()
	if rates.Data.F32 != nil {
		out.Data.F32 = make([]float32, rates.Data.Len())
		return out, logs(out.Data.F32, rates.Data.F32, row, rates, label)
	}
	out.Data.F64 = make([]float64, rates.Data.Len())
	return out, logs(out.Data.F64, rates.Data.Float64s(), row, rates, label)
}

func logs[F float32 | float64](to, from []F, row int, rates trials.Series, label string) error {
	for k, n := range rates.Lengths {
		for i := k * row; i < k*row+n*rates.Width(); i++ {
			if from[i] <= 0 {
				return trials.Omit("some inferred rates of %s are 0 or negative and have no logarithm", label)
			}
			to[i] = F(math.Log(float64(from[i])))
		}
	}
	return nil
}

// bits scores the inferred rates of some neurons by the likelihood of their spikes.
func (c *comparison) bits(ctx context.Context, s *comparator.Subject, shuffle int, neurons func(n int) (from, to int, err error)) (bootstrap.Statistic, error) {
	if c.Reference == nil {
		return nil, trials.Omit("there are no spikes to compare with")
	}
	counts, err := c.Array(c.Reference, trials.Valid, comparator.Spikes)
	if err != nil {
		return nil, err
	}
	rates, err := c.Array(s, trials.Valid, comparator.Rates)
	if err != nil {
		return nil, err
	}
	if rates.Width() != counts.Width() {
		return nil, trials.Omit("%s has rates of %d neurons, %s has spikes of %d", s.Label, rates.Width(), c.Reference.Label, counts.Width())
	}
	from, to, err := neurons(counts.Width())
	if err != nil {
		return nil, err
	}
	pairs := c.pairs(trials.Valid, shuffle)
	b, ok := c.likelihoods[shuffle]
	if !ok {
		if b, err = likelihood(ctx, c.threads, counts, rates, pairs); err != nil {
			return nil, err
		}
		c.likelihoods[shuffle] = b
	}
	return b.only(from, to), nil
}
