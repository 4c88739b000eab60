package dsa

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// sweep holds a subject's errors of prediction on validation trials, (delays, ranks), NaN where the latents hold no such rank.
type sweep struct {
	mase, aic []float64
	// trials are the validation trials that are long enough, of each setting.
	trials []int
	// compared is the error of the setting that is compared on the same bins, NaN where it has none; from is the first of them.
	compared float64
	from     int
	err      error
}

// sweep fits subject i with each number of delays once and reduces it to each rank.
func (c *comparison) sweep(ctx context.Context, subject int) (sweep, error) {
	s := &c.subjects[subject]
	n, m := len(c.SweepDelays), len(c.SweepRanks)
	out := sweep{mase: make([]float64, n*m), aic: make([]float64, n*m), trials: make([]int, n*m), compared: math.NaN()}
	for i := range out.mase {
		out.mase[i], out.aic[i] = math.NaN(), math.NaN()
	}
	x, err := c.trials(s, false, comparator.Latents)
	if err != nil {
		return sweep{err: err}, nil
	}
	held, err := c.trials(s, true, comparator.Latents)
	if err != nil {
		return sweep{err: err}, nil
	}
	from := c.scoredFrom(s, held)
	out.from = from
	if sys := &c.systems[subject]; sys.err == nil && c.reach(s, held, c.Delays) == nil {
		p, err := sys.model.Predict(ctx, held, from)
		if ctx.Err() != nil {
			return sweep{}, ctx.Err()
		}
		if err == nil {
			out.compared = p.MASE
		}
	}
	for i, delays := range c.SweepDelays {
		for _, part := range [][]dmd.Trial{x, held} {
			if err := c.reach(s, part, delays); err != nil {
				out.err = err
			}
		}
		o := c.options(s)
		o.Delays, o.Rank = delays, dmd.Rank{Number: slices.Max(c.SweepRanks), AtMost: true, Floor: o.Rank.Floor}
		model, err := dmd.Fit(ctx, x, o)
		if ctx.Err() != nil {
			return sweep{}, ctx.Err()
		}
		if err != nil {
			if out.err == nil {
				out.err = why(s, err)
			}
			continue
		}
		for k, rank := range c.SweepRanks {
			if rank > model.Rank() {
				continue
			}
			reduced, err := model.Reduce(rank)
			if err == nil {
				var p dmd.Prediction
				if p, err = reduced.Predict(ctx, held, from); err == nil {
					out.mase[i*m+k], out.aic[i*m+k], out.trials[i*m+k] = p.MASE, p.AIC, len(p.Errors)
				}
			}
			if ctx.Err() != nil {
				return sweep{}, ctx.Err()
			}
			if err != nil && out.err == nil {
				out.err = why(s, err)
			}
		}
	}
	return out, nil
}

// scoredFrom is the bin of held-out trials from which on a sweep scores predictions, the same for all of its settings and for the one that is compared: the first that the longest past allows that a trial has room for.
func (c *comparison) scoredFrom(s *comparator.Subject, held []dmd.Trial) int {
	from := 0
	for _, delays := range append(slices.Clone(c.SweepDelays), c.Delays) {
		if c.reach(s, held, delays) == nil {
			from = max(from, (delays-1)*c.Interval)
		}
	}
	return from
}

// swept reports each subject's best setting, whatever the setting that is compared, all errors as arrays (subjects, delays, ranks), and a figure.
func (c *comparison) swept(out *comparator.Outcome) {
	if !c.Sweep {
		return
	}
	n, m := len(c.SweepDelays), len(c.SweepRanks)
	mase, aic := tensor.New64("dsa_sweep_mase", len(c.subjects), n, m), tensor.New64("dsa_sweep_aic", len(c.subjects), n, m)
	figure := component.Figure{Name: "dsa-sweep", Title: "How many delays and ranks the latents need", Columns: 3,
		Caption: "Mean absolute error of predicting the next bin of validation trials, of all settings from the first bin on that the longest past allows, over that of taking the present bin for it; an operator that knows nothing has 1 or more. The best setting is the smallest from which the curves no longer fall."}
	for i, s := range c.sweeps {
		if s.mase == nil {
			for k := range n * m {
				mase.F64[i*n*m+k], aic.F64[i*n*m+k] = math.NaN(), math.NaN()
			}
		} else {
			copy(mase.F64[i*n*m:], s.mase)
			copy(aic.F64[i*n*m:], s.aic)
		}
		best := -1
		for k, v := range s.mase {
			if !math.IsNaN(v) && (best < 0 || v < s.mase[best]) {
				best = k
			}
		}
		if best < 0 {
			reason := "the latents hold none of the ranks of the sweep"
			if s.err != nil {
				reason = s.err.Error()
			}
			out.Results = append(out.Results, c.result("dsa_sweep_mase", i, i, math.NaN(), math.NaN(), "", reason))
			continue
		}
		note := fmt.Sprintf("the lowest of the sweep, with delays %d and rank %d, and so without an interval", c.SweepDelays[best/m], c.SweepRanks[best%m])
		if !math.IsNaN(s.compared) {
			note += fmt.Sprintf("; the setting that is compared has %.3g on the same bins, those from %d on", s.compared, s.from)
		}
		r := c.result("dsa_sweep_mase", i, i, s.mase[best], math.NaN(), "", note)
		r.N = int64(s.trials[best])
		out.Results = append(out.Results, r)
		p := component.Panel{Title: c.subjects[i].Label, X: component.Axis{Label: "delays", Unit: "bin"}, Y: component.Axis{Label: "error of prediction, MASE"}}
		for k, rank := range c.SweepRanks {
			mark := component.Mark{Kind: component.Line, Label: fmt.Sprintf("rank %d", rank), Group: fmt.Sprintf("rank %d", rank)}
			for d, delays := range c.SweepDelays {
				if v := s.mase[d*m+k]; !math.IsNaN(v) {
					mark.X, mark.Y = append(mark.X, float64(delays)), append(mark.Y, v)
				}
			}
			if len(mark.X) > 0 {
				p.Marks = append(p.Marks, mark)
			}
		}
		figure.Panels = append(figure.Panels, p)
	}
	out.Matrices = append(out.Matrices, mase, aic)
	if len(figure.Panels) > 0 {
		out.Figures = append(out.Figures, figure)
	}
}
