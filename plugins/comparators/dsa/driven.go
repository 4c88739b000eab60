package dsa

import (
	"context"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// driven is a subject as a system with inputs.
type driven struct {
	system *dmd.Driven
	// null is that of shuffled bins, nil where there is none.
	null *dmd.Driven
	// resampled are those of draws of the trials; nil where there are none, of which unsampled is the reason.
	resampled []*dmd.Driven
	unsampled string
	err       error
}

// drivenPair compares two subjects as driven systems: joint, state, input.
type drivenPair struct {
	values, low, high, null [3]float64
	reason                  string
}

// drive fits a subject's latents together with the known inputs of the truth or recording. Latents of a bin have already felt the inputs of that bin, so inputs
// go with the latents of the bin before.
func (c *comparison) drive(ctx context.Context, s *comparator.Subject) (driven, error) {
	first := &c.subjects[0]
	if first.Role == comparator.Fitted {
		return driven{err: trials.Omit("there is no truth or recording, and so no known inputs")}, nil
	}
	x, err := c.trials(s, false, comparator.Latents)
	if err != nil {
		return driven{err: err}, nil
	}
	u, err := c.trials(first, false, comparator.Inputs)
	if err != nil {
		return driven{err: err}, nil
	}
	if len(u) != len(x) {
		return driven{err: trials.Omit("%s has %d training trials, the inputs of %s are for %d", s.Label, len(x), first.Label, len(u))}, nil
	}
	for k, t := range u {
		copy(t.Data, t.Data[min(t.Width, len(t.Data)):])
		u[k] = t
	}
	o := c.options(s)
	o.ReducedRank, o.Rank = false, dmd.Rank{Number: c.rank, Floor: o.Rank.Floor}
	identify := func(x []dmd.Trial) (*dmd.Driven, error) {
		if c.Identify == "subspace" {
			y, u := leading(x, subspaceOutputs), slices.Clone(u)
			// Of the last bin it is not known what inputs follow.
			for k := range y {
				n := max(0, y[k].Bins()-1)
				y[k].Data, u[k].Data = y[k].Data[:n*y[k].Width], u[k].Data[:n*u[k].Width]
			}
			return dmd.Subspace(ctx, y, u, dmd.SubspaceOptions{Horizon: c.Horizon, Rank: dmd.Rank{Number: c.States, Floor: rounding}})
		}
		return dmd.FitDriven(ctx, x, u, o)
	}
	var out driven
	out.system, err = identify(x)
	if err != nil {
		out.err = why(s, err)
		return out, ctx.Err()
	}
	if c.nulled(s) {
		// Where shuffled bins give no system there is no null.
		out.null, _ = identify(c.shuffled(x))
	}
	switch {
	case !c.thorough() || c.Resamples == 0:
	case c.Identify == "subspace":
		out.unsampled = "no interval: identify subspace is not resampled, dmd is"
	case len(x) < 2:
		out.unsampled = oneTrial(s)
	default:
		o.Spare = spare(c.rank)
		if out.resampled, err = dmd.ResampleDriven(ctx, x, u, o, c.weights(len(x))); err != nil {
			out.resampled, out.unsampled = nil, "no interval: "+why(s, err).Error()
		}
	}
	return out, ctx.Err()
}

// subspaceOutputs is how many principal components of latents are outputs, at most; their share of the variance is outputShare.
const (
	subspaceOutputs = 20
	outputShare     = 0.999
)

// leading are the leading principal components of a recording, about its mean: the fewest that hold outputShare of its variance, but not more than most.
func leading(x []dmd.Trial, most int) []dmd.Trial {
	n := x[0].Width
	mean, count := make([]float64, n), 0
	for _, t := range x {
		for i, v := range t.Data {
			mean[i%n] += v
		}
		count += t.Bins()
	}
	for j := range mean {
		mean[j] /= float64(max(1, count))
	}
	centred := make([]dmd.Trial, len(x))
	covariance := make([]float64, n*n)
	var w product.Workspace
	for k, t := range x {
		c := make([]float64, len(t.Data))
		for i, v := range t.Data {
			c[i] = v - mean[i%n]
		}
		centred[k] = dmd.Trial{Data: c, Width: n}
		w.Add(covariance, n, n, t.Bins(), product.Operand{Data: c, Stride: n, T: true}, product.Operand{Data: c, Stride: n})
	}
	values, vectors, ok := symmetric.Decompose(covariance, n)
	if !ok {
		return centred
	}
	total, sum, keep := 0.0, 0.0, 0
	for _, v := range values {
		total += v
	}
	for keep < min(most, n) && (keep == 0 || sum < outputShare*total) {
		sum += values[n-1-keep]
		keep++
	}
	// Rows of vectors are in ascending order.
	basis := vectors[(n-keep)*n:]
	for k, t := range centred {
		y := make([]float64, t.Bins()*keep)
		w.Mul(y, t.Bins(), keep, n, product.Operand{Data: t.Data, Stride: n}, product.Operand{Data: basis, Stride: n, T: true})
		centred[k] = dmd.Trial{Data: y, Width: keep}
	}
	return centred
}

// drivePair compares two subjects as driven systems.
func (c *comparison) drivePair(ctx context.Context, i, j int) (drivenPair, error) {
	nan := math.NaN()
	none := [3]float64{nan, nan, nan}
	out := drivenPair{values: none, low: none, high: none, null: none}
	a, b := &c.driven[i], &c.driven[j]
	between := func(x, y *dmd.Driven) ([3]float64, error) {
		s, err := distance.Controllability(distance.Driven{A: x.A, B: x.B}, distance.Driven{A: y.A, B: y.B})
		if err != nil {
			return none, err
		}
		return [3]float64{s.Joint.Angular, s.State.Angular, s.Input.Angular}, nil
	}
	for _, d := range []*driven{a, b} {
		if d.err != nil {
			out.reason = d.err.Error()
			return out, nil
		}
	}
	var err error
	if out.values, err = between(a.system, b.system); err != nil {
		out.reason = why(&c.subjects[j], err).Error()
		return out, nil
	}
	if b.null != nil {
		if null, err := between(a.system, b.null); err == nil {
			out.null = null
		}
	}
	if a.resampled == nil || b.resampled == nil {
		if out.reason = a.unsampled; out.reason == "" {
			out.reason = b.unsampled
		}
		return out, nil
	}
	var draws [3][]float64
	for k := range a.resampled {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		// A draw that cannot be compared is left out.
		v, _ := between(a.resampled[k], b.resampled[k])
		for q := range draws {
			draws[q] = append(draws[q], v[q])
		}
	}
	for q := range draws {
		out.low[q], out.high[q] = bootstrap.DistanceBounds(out.values[q], draws[q], 0) // driven systems have no halves
		out.high[q] = min(out.high[q], math.Pi)
	}
	return out, nil
}

// drivenResults are those of a pair.
func (c *comparison) drivenResults(i, j int) []component.Result {
	p := &c.drivenPairs[i*len(c.subjects)+j]
	var out []component.Result
	for k, metric := range []string{"input_dsa_joint", "input_dsa_state", "input_dsa_input"} {
		r := c.result(metric, j, i, p.values[k], p.null[k], "rad", p.reason)
		r.Low, r.High = p.low[k], p.high[k]
		out = append(out, r)
	}
	return out
}
