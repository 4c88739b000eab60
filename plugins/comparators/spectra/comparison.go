package spectra

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// comparison is one request at work. It is used by one goroutine, and starts others for what takes time.
type comparison struct {
	*spectra
	*trials.Request
	report component.Reporter
	draws  map[int]*bootstrap.Resamples
	found  []*examined
	// dt is the bin width in seconds, 1 where no subject says it.
	dt              float64
	rate, frequency string
}

// perBin is the unit of rates where the bin width is not known.
const perBin = "1/bin"

func newComparison(s *spectra, r *trials.Request, report component.Reporter) *comparison {
	return &comparison{spectra: s, Request: r, report: report, draws: map[int]*bootstrap.Resamples{}, dt: 1, rate: perBin, frequency: "cycles/bin"}
}

func (c *comparison) run(ctx context.Context) (comparator.Outcome, error) {
	var out comparator.Outcome
	for i := range c.Subjects {
		e, err := c.examine(ctx, &c.Subjects[i], i)
		if err != nil {
			return out, err
		}
		c.found = append(c.found, e)
		if e.layout.BinWidth > 0 && c.rate == perBin {
			c.dt, c.rate, c.frequency = e.layout.BinWidth, "1/s", "Hz"
		}
	}
	for _, e := range c.found {
		if b := e.layout.BinWidth; b > 0 && math.Abs(b-c.dt) > 1e-9*c.dt {
			e.limit("its dynamics are said to have bins of %v s, those of subjects before it of %v s: bins line up between subjects, so that rates are by the latter", b, c.dt)
		}
		results, err := c.ofDynamics(ctx, e)
		if err != nil {
			return comparator.Outcome{}, err
		}
		out.Results = append(out.Results, results...)
	}
	if err := c.pairs(ctx, &out); err != nil {
		return comparator.Outcome{}, err
	}
	out.Results = append(out.Results, c.floors(ctx)...)
	for _, e := range c.found {
		out.Matrices = append(out.Matrices, c.matrices(e)...)
	}
	out.Figures = append(out.Figures, c.figures(ctx, &out)...)
	return out, nil
}

// interval is that of a statistic, NaN where there is none.
func (c *comparison) interval(ctx context.Context, s bootstrap.Statistic) (low, high float64, err error) {
	n := s.Trials()
	if n < 2 || c.Resamples == 0 {
		return math.NaN(), math.NaN(), nil
	}
	return bootstrap.Interval(ctx, s, c.resamples(n), c.Interval == "bca")
}

func (c *comparison) resamples(n int) *bootstrap.Resamples {
	if c.draws[n] == nil {
		c.draws[n] = bootstrap.NewResamples(c.seed, "spectra/bootstrap", c.Resamples, n)
	}
	return c.draws[n]
}

func result(metric, subject, unit string, better component.Better) component.Result {
	return component.Result{Metric: metric, Subject: subject, Unit: unit, Better: better, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN()}
}

// comparisonOf is one of the distances between two subjects.
type comparisonOf struct {
	name, unit string
	// oneWay is true where the distance of y from x is not that of x from y.
	oneWay bool
	// halves is the distance of a subject from itself; nil where it has none.
	halves func(e *examined) ([2]*power, func(p, q []float64) float64)
	// has says what a subject lacks for it.
	has func(e *examined) error
	// of gives the statistic of a pair and that of its null, nil where there is none.
	of func(x, y *examined) (value, null bootstrap.Statistic, err error)
}

func (c *comparison) distances(ctx context.Context) []comparisonOf {
	powers := func(name, unit string, get func(e *examined) ([2]*power, error), distance func(df float64) func(p, q []float64) float64) comparisonOf {
		has := func(e *examined) error {
			_, err := get(e)
			return err
		}
		itself := func(e *examined) ([2]*power, func(p, q []float64) float64) {
			p, _ := get(e)
			return p, distance(1 / (float64(p[0].segment) * c.dt))
		}
		return comparisonOf{name, unit, false, itself, has, func(x, y *examined) (value, null bootstrap.Statistic, err error) {
			a, _ := get(x)
			b, _ := get(y)
			switch {
			case a[0].channels != b[0].channels:
				return nil, nil, trials.Omit("%s has rates of %d neurons, %s of %d", y.Label, b[0].channels, x.Label, a[0].channels)
			case a[0].segment != b[0].segment:
				return nil, nil, trials.Omit("%s and %s have trials of other lengths", x.Label, y.Label)
			}
			d := distance(1 / (float64(a[0].segment) * c.dt))
			if b[1] != nil {
				null = apart{a[0], b[1], d}
			}
			return apart{a[0], b[0], d}, null, nil
		}}
	}
	same := func(float64) func(p, q []float64) float64 { return hellinger }
	moved := func(df float64) func(p, q []float64) float64 {
		return func(p, q []float64) float64 { return wasserstein(p, q, df) }
	}
	latents := func(e *examined) ([2]*power, error) { return e.latents, e.latentsErr }
	rates := func(e *examined) ([2]*power, error) { return e.rates, e.ratesErr }
	out := []comparisonOf{
		powers("power_hellinger", "", latents, same), powers("power_wasserstein", c.frequency, latents, moved),
		powers("power_hellinger_rates", "", rates, same), powers("power_wasserstein_rates", c.frequency, rates, moved),
	}
	if c.Rank > 0 {
		out = append(out, comparisonOf{"sgot", "", true, nil, func(e *examined) error {
			_, err := c.Both(e.Subject, comparator.Latents)
			return err
		}, func(x, y *examined) (value, null bootstrap.Statistic, err error) {
			return c.operatorsOf(ctx, x, y, c.Null)
		}})
	}
	if c.Exponents > 0 {
		out = append(out, comparisonOf{"lyapunov_distance", c.rate, false, nil, func(e *examined) error {
			if e.err != nil {
				return trials.Omit("%s: %v", e.Label, e.err)
			}
			return nil
		}, func(x, y *examined) (value, null bootstrap.Statistic, err error) {
			return exponentsApart{x, y, min(len(x.exponents), len(y.exponents)), c.dt}, nil, nil
		}})
	}
	return out
}

// pairs compares each two subjects: all are in the matrices, results those that trials.Pairs says.
func (c *comparison) pairs(ctx context.Context, out *comparator.Outcome) error {
	n := len(c.found)
	if n < 2 {
		return nil
	}
	for _, d := range c.distances(ctx) {
		reported := c.reported(d)
		m := tensor.New64(d.name, n, n).With(d.unit, "subject", "subject")
		for i := range n {
			// A subject without a spectrum is at no distance from itself either.
			if d.has(c.found[i]) != nil {
				m.F64[i*n+i] = math.NaN()
			}
			for j := i + 1; j < n; j++ {
				r := result(d.name, c.found[j].Label, d.unit, component.Lower)
				r.Reference = c.found[i].Label
				value, null, err := c.between(d, c.found[i], c.found[j])
				var why trials.Omission
				if err != nil && !errors.As(err, &why) {
					return err
				}
				if err != nil {
					r.Reason = string(why)
				} else if err := c.fill(ctx, &r, value, null, reported.Reported(i)); err != nil {
					return err
				}
				m.F64[i*n+j], m.F64[j*n+i] = r.Value, r.Value
				if d.oneWay {
					m.F64[j*n+i] = math.NaN()
					if back, _, err := d.of(c.found[j], c.found[i]); r.Value-r.Value == 0 && err == nil {
						m.F64[j*n+i] = back.Value(bootstrap.Ones(back.Trials()))
					} else if err != nil && !errors.As(err, &why) {
						return err
					}
				}
				if reported.Reported(i) {
					r.Reason = trials.Join(r.Reason, reported.Note(i, j, c.found[i].Label))
					out.Results = append(out.Results, r)
				}
			}
		}
		out.Matrices = append(out.Matrices, m)
	}
	return nil
}

// between is a distance of two subjects, an omission where one lacks what it takes.
func (c *comparison) between(d comparisonOf, x, y *examined) (value, null bootstrap.Statistic, err error) {
	for _, e := range []*examined{x, y} {
		if err := d.has(e); err != nil {
			return nil, nil, err
		}
	}
	return d.of(x, y)
}

// reported says which pairs are results: those with the truth or recording, if it has what the distance takes.
func (c *comparison) reported(d comparisonOf) trials.Pairs {
	p := trials.Pairs{Subjects: len(c.found), Anchored: c.Reference != nil && d.has(c.found[0]) == nil}
	for p.First < len(c.found)-1 && d.has(c.found[p.First]) != nil {
		p.First++
	}
	return p
}

// fill writes the value of a statistic, and, where it is reported, its interval and null.
func (c *comparison) fill(ctx context.Context, r *component.Result, value, null bootstrap.Statistic, reported bool) (err error) {
	n := value.Trials()
	r.N = int64(n)
	if v := value.Value(bootstrap.Ones(n)); v-v == 0 {
		r.Value = v
	} else {
		r.Reason = "what is to be compared does not vary over the validation trials, or these are too short"
		return nil
	}
	if !reported {
		return nil
	}
	if a, ok := value.(apart); ok {
		if r.N = int64(a.x.used); a.x.used < n {
			r.Reason = fmt.Sprintf("%d of %d trials are shorter than the segments of %d bins and are left out", n-a.x.used, n, a.x.segment)
		}
	}
	if null != nil {
		if v := null.Value(bootstrap.Ones(n)); v-v == 0 {
			r.Null = v
		}
	}
	if r.N < 2 && c.Resamples > 0 {
		why := "no interval, which needs 2 validation trials that are long enough: there is 1"
		if _, ok := value.(exponentsApart); ok {
			why = "no interval, which needs as many trials of both subjects, and at least 2"
		}
		r.Reason = trials.Join(r.Reason, why)
	} else if c.Resamples > 0 {
		if r.Low, r.High, err = bootstrap.Distance(ctx, value, c.resamples(n)); err == nil && r.Low-r.Low != 0 {
			r.Reason = trials.Join(r.Reason, "no interval: the distance is defined on fewer than half of the resamples")
		}
	}
	switch v := value.(type) {
	case exponentsApart:
		v.unsettled(r)
	case operators:
		if v.explained < faint {
			r.Reason = trials.Join(r.Reason, fmt.Sprintf("the map from the latents of %s explains %.2g of the variance of those of %s on validation trials: what is compared is little of what they do", r.Subject, max(0, v.explained), r.Reference))
		}
	}
	return err
}

// matrices are what was found of a subject in full.
func (c *comparison) matrices(e *examined) tensor.Set {
	var out tensor.Set
	// An array's name in a file has no slash.
	name := func(what string) string { return strings.ReplaceAll(e.Label, "/", ".") + "." + what }
	if e.sums != nil && len(e.exponents) > 0 {
		n := len(e.exponents)
		t, of := tensor.New64(name("lyapunov"), n), tensor.New64(name("lyapunov_by_trial"), len(e.sums.bins), n)
		for j, direction := range e.sums.order() {
			t.F64[j] = e.exponents[j] / c.dt
			for k, b := range e.sums.bins {
				of.F64[k*n+j] = e.sums.logs[k*e.sums.count+direction] / b / c.dt
			}
		}
		out = append(out, t.With(c.rate, "exponent"), of.With(c.rate, tensor.Trial, "exponent"))
	}
	if p := e.latents[0]; p != nil {
		if d, ok := p.distribution(0, bootstrap.Ones(len(p.of))); ok {
			f := tensor.New64(name("frequencies"), p.lines)
			for i := range f.F64 {
				f.F64[i] = float64(i+1) / (float64(p.segment) * c.dt)
			}
			out = append(out, f.With(c.frequency, "frequency"), tensor.From64(name("power"), d, p.lines).With("", "frequency"))
		}
	}
	return out
}
