package dsa

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// driven is a subject as a system with inputs.
type driven struct {
	system *dmd.Driven
	err    error
}

// drive fits a subject's latents together with the known inputs of the truth or recording. Latents of a bin have already felt the inputs of that bin, so inputs
// go with the latents of the bin before.
func (c *comparison) drive(ctx context.Context, s *comparator.Subject) (driven, error) {
	first := &c.subjects[0]
	if first.Role == comparator.Fitted {
		return driven{err: omit("there is no truth or recording, and so no known inputs")}, nil
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
		return driven{err: omit("%s has %d training trials, the inputs of %s are for %d", s.Label, len(x), first.Label, len(u))}, nil
	}
	for k, t := range u {
		copy(t.Data, t.Data[min(t.Width, len(t.Data)):])
		u[k] = t
	}
	o := c.options(s)
	o.ReducedRank, o.Rank = false, dmd.Rank{Number: c.rank, Floor: o.Rank.Floor}
	system, err := dmd.FitDriven(ctx, x, u, o)
	if ctx.Err() != nil {
		return driven{}, ctx.Err()
	}
	if err != nil {
		err = why(s, err)
	}
	return driven{system, err}, nil
}

// drivenResults compare two subjects as driven systems.
func (c *comparison) drivenResults(i, j int) []component.Result {
	values, reason := [3]float64{math.NaN(), math.NaN(), math.NaN()}, ""
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
		}
	}
	var out []component.Result
	for k, metric := range []string{"input_dsa_joint", "input_dsa_state", "input_dsa_input"} {
		out = append(out, c.result(metric, j, i, values[k], math.NaN(), "rad", reason))
	}
	return out
}
