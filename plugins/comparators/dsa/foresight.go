package dsa

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// foresight is how well the operator that is compared foresees validation trials.
type foresight struct {
	mase, low, high float64
	// trials is the number of validation trials that are long enough.
	trials int
	reason string
}

// foresee scores a subject's operator on validation trials.
func (c *comparison) foresee(ctx context.Context, i int) (foresight, error) {
	s, sys := &c.subjects[i], &c.systems[i]
	nan := math.NaN()
	out := foresight{mase: nan, low: nan, high: nan}
	if sys.err != nil {
		return out, nil
	}
	held, err := c.trials(s, true, comparator.Latents)
	if err == nil {
		err = c.reach(s, held, c.Delays)
	}
	if err != nil {
		out.reason = why(s, err).Error()
		return out, nil
	}
	p, err := sys.model.Predict(ctx, held, 0)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	if err != nil {
		out.reason = why(s, err).Error()
		return out, nil
	}
	out.mase, out.trials = p.MASE, len(p.Errors)
	switch {
	case c.Resamples == 0:
	case out.trials < 2:
		out.reason = "no interval, which needs 2 validation trials"
	default:
		ratio := bootstrap.Sums{Function: func(sums []float64) float64 { return sums[0] / sums[1] }}
		for k := range p.Errors {
			ratio.Of = append(ratio.Of, p.Errors[k][:])
		}
		out.low, out.high, err = bootstrap.Interval(ctx, ratio, bootstrap.NewResamples(c.seed, "dsa/foresight", c.Resamples, out.trials), false)
	}
	return out, err
}

// blind says which of two subjects' operators foresees nothing, so that their distance says nothing either; it is empty where both do, or where that is not known.
func (c *comparison) blind(i, j int) string {
	reason := ""
	for _, k := range []int{i, j} {
		if v := c.foresights[k].mase; v >= 1 {
			reason = trials.Join(reason, fmt.Sprintf("the operator of %s foresees held-out trials no better than no change does (dsa_prediction_mase %.3g): with delays %d and rank %d it holds noise, or leaves out more of the latents than they change in a bin", c.subjects[k].Label, v, c.Delays, c.systems[k].operator.Size()))
		}
	}
	return reason
}

// foreseen are the errors of prediction of all subjects that have an operator.
func (c *comparison) foreseen() []component.Result {
	var out []component.Result
	for i, f := range c.foresights {
		if c.systems[i].err != nil {
			continue
		}
		r := c.result("dsa_prediction_mase", i, i, f.mase, math.NaN(), "", f.reason)
		r.Low, r.High, r.N = f.low, f.high, int64(f.trials)
		out = append(out, r)
	}
	return out
}
