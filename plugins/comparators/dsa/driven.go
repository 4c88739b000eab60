package dsa

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
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
	err  error
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
	identify := func(x []dmd.Trial) (*dmd.Driven, error) {
		if c.Identify == "subspace" {
			y := leading(x, subspaceOutputs)
			return dmd.Subspace(ctx, y, u, dmd.SubspaceOptions{Horizon: c.Horizon, Rank: dmd.Rank{Number: c.States, Floor: rounding}})
		}
		o := c.options(s)
		o.ReducedRank, o.Rank = false, dmd.Rank{Number: c.rank, Floor: o.Rank.Floor}
		return dmd.FitDriven(ctx, x, u, o)
	}
	var out driven
	out.system, err = identify(x)
	if err != nil {
		out.err = why(s, err)
	} else if c.nulled(s) {
		// Where shuffled bins give no system there is no null.
		out.null, _ = identify(c.shuffled(x))
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

// drivenResults compare two subjects as driven systems.
func (c *comparison) drivenResults(i, j int) []component.Result {
	values, reason := [3]float64{math.NaN(), math.NaN(), math.NaN()}, ""
	null := values
	a, b := c.driven[i], c.driven[j]
	switch {
	case a.err != nil:
		reason = a.err.Error()
	case b.err != nil:
		reason = b.err.Error()
	default:
		s, err := distance.Controllability(distance.Driven{A: a.system.A, B: a.system.B}, distance.Driven{A: b.system.A, B: b.system.B})
		if err != nil {
			reason = err.Error()
		} else {
			values = [3]float64{s.Joint.Angular, s.State.Angular, s.Input.Angular}
			if b.null != nil {
				if s, err := distance.Controllability(distance.Driven{A: a.system.A, B: a.system.B}, distance.Driven{A: b.null.A, B: b.null.B}); err == nil {
					null = [3]float64{s.Joint.Angular, s.State.Angular, s.Input.Angular}
				}
			}
		}
	}
	var out []component.Result
	for k, metric := range []string{"input_dsa_joint", "input_dsa_state", "input_dsa_input"} {
		out = append(out, c.result(metric, j, i, values[k], null[k], "rad", reason))
	}
	return out
}
