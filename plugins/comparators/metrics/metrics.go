// Package metrics measures how well data-trained models recover the rates, latents and inputs of the network that their data was simulated
// from, and, with or without such a truth, how well they predict spikes and how much of their latents shows in their rates.
//
// The definitions are those of the computation-through-dynamics benchmark (Versteeg et al. 2025); bits per spike are those of Pei et al. 2021,
// "Neural latents benchmark '21"; few-shot co-smoothing that of Dabholkar & Barak 2025, "When predict can also explain". Fits are made on training trials and scored on validation trials; trials of unequal length are cut
// at their end. Each value carries a bootstrap interval over validation trials and the value that the same computation gives when trials
// are paired with other trials. The null model of bits per spike has the mean rates over all validation trials, in every resample too.
package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the comparator's parameters.
type Params struct {
	CycleV    float64 `param:"cycle_con_v" default:"0.01" above:"0" below:"1" doc:"cycle consistency: fraction of the squared singular values of the map from latents to log-rates that may be left out"`
	Shots     []int   `param:"few_shots" default:"4,16" min:"1" max:"100000" unit:"trial" doc:"few-shot co-bps: numbers of training trials that a readout of held-out neurons is fitted to; empty leaves it out"`
	ShotDraws int     `param:"few_shot_draws" default:"10" min:"1" max:"10000" doc:"few-shot co-bps: draws of these trials, of which the mean is reported"`
	ShotRidge float64 `param:"few_shot_ridge" default:"1" above:"0" doc:"few-shot co-bps: half of this times the squared weights is added to the negative log-likelihood; latents count in units of the root of their total variance"`
	Resamples int     `param:"bootstrap" default:"1000" min:"0" max:"1000000" doc:"resamples of validation trials behind each 95% interval; 0 gives none"`
	Interval  string  `param:"interval" default:"percentile" choices:"percentile,bca" doc:"bootstrap interval: percentile, or bias-corrected and accelerated"`
	Shuffles  int     `param:"null_shuffles" default:"2" min:"0" max:"10000" doc:"shuffles of trials whose mean value is the null; 0 gives none"`
	Compat    bool    `param:"compat" default:"false" doc:"also report co_bps_ctdb, the published benchmark's co-bps, which scores neurons from the index of the number of input channels on"`
}

// Factory returns the component comparator/metrics.
func Factory() comparator.Factory {
	return comparator.Sized(comparator.New(component.Info{
		Name:         component.Name{Kind: component.Comparator, Short: "metrics"},
		Version:      "0.1.1",
		Doc:          "R2 of rates, latents and inputs, cycle consistency, bits per spike, also few-shot, and task performance, with intervals and nulls.",
		Source:       "Versteeg et al. 2025; Pei et al. 2021; Dabholkar & Barak 2025",
		Capabilities: []component.Capability{component.Deterministic},
		Readings:     readings(),
	}, check, Open), memory)
}

func check(p Params) []param.Problem {
	for i, n := range p.Shots {
		if slices.Contains(p.Shots[:i], n) {
			return []param.Problem{{Path: "few_shots", Message: fmt.Sprintf("%v names %d twice: each number of trials once", p.Shots, n)}}
		}
	}
	return nil
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (comparator.Comparator, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	return &metrics{p, env.Seed, max(1, env.Threads)}, nil
}

// metrics implements [comparator.Comparator].
type metrics struct {
	Params
	seed    uint64
	threads int
}

var _ comparator.Comparator = (*metrics)(nil)

// Compare measures each subject on its own, data-trained models against the truth or recording where there is one. Arrays whose shapes contradict each
// other are an InvalidArgumentError; what cannot be computed is a result with a reason.
func (m *metrics) Compare(ctx context.Context, req comparator.Request, report component.Reporter) (comparator.Outcome, error) {
	if report == nil {
		report = component.Discard{}
	}
	c, err := newComparison(m, req)
	if err != nil {
		return comparator.Outcome{}, err
	}
	var done, total int64
	step := func() {
		done++
		report.Progress(component.Progress{Phase: "metric", Done: done, Total: total, Loss: math.NaN()})
	}
	var out comparator.Outcome
	measures := make([][]measure, len(req.Subjects))
	for i := range req.Subjects {
		measures[i] = c.measures(i)
		total += int64(len(measures[i])) * int64(1+c.nulls)
	}
	for _, ms := range measures {
		outcomes := make([]outcome, len(ms))
		for i, q := range ms {
			if outcomes[i], err = c.result(ctx, q); err != nil {
				return comparator.Outcome{}, err
			}
			step()
		}
		// Shuffle by shuffle, so that what several metrics need of one is held once and not for long.
		for shuffle := range c.nulls {
			for i := range outcomes {
				if err := c.null(ctx, &outcomes[i], shuffle); err != nil {
					return comparator.Outcome{}, err
				}
				step()
			}
		}
		for _, o := range outcomes {
			out.Results = append(out.Results, o.Result)
		}
		// What one subject's metrics share is not needed by the next.
		c.forget()
	}
	out.Figures = c.figures(out.Results)
	return out, nil
}
