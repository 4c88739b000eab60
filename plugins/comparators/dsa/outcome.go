package dsa

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// outcome collects what was found.
func (c *comparison) outcome() comparator.Outcome {
	n := len(c.subjects)
	var out comparator.Outcome
	angular, euclidean, gap, wasserstein := tensor.New64("dsa_angular", n, n), tensor.New64("dsa_euclidean", n, n), tensor.New64("dsa_gap", n, n), tensor.New64("dsa_wasserstein", n, n)
	angular.Unit, gap.Unit = "rad", "rad"
	for i := range n {
		for j := i; j < n; j++ {
			p := c.pairs[i*n+j]
			values := [4]float64{p.Angular, p.Euclidean, p.Gap(), p.wasserstein}
			switch {
			case i == j && c.systems[i].err != nil:
				values = [4]float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
			case i == j:
				values = [4]float64{}
			case p.err != nil:
				values = [4]float64{math.NaN(), math.NaN(), math.NaN(), p.wasserstein}
			}
			for k, m := range []*tensor.Tensor{angular, euclidean, gap, wasserstein} {
				m.F64[i*n+j], m.F64[j*n+i] = values[k], values[k]
			}
		}
	}
	out.Matrices = tensor.Set{angular, euclidean, gap, wasserstein}
	out.Results = c.results()
	out.Figures = c.figures(angular)
	c.swept(&out)
	return out
}

// results are those against the truth, or, without one, of each pair.
func (c *comparison) results() []component.Result {
	n := len(c.subjects)
	var out []component.Result
	if n == 1 {
		return append(c.foreseen(), c.result("dsa", 0, 0, math.NaN(), math.NaN(), "rad", "one subject: a distance needs 2"))
	}
	pairs := c.reported()
	for i := range n - 1 {
		for j := i + 1; j < n; j++ {
			if !pairs.Reported(i) {
				continue
			}
			p := c.pairs[i*n+j]
			reason, spectra, blind := "", "", c.blind(i, j)
			if p.err != nil {
				reason = p.err.Error()
				p.Angular, p.Euclidean, p.Bound = math.NaN(), math.NaN(), math.NaN()
			} else {
				reason = trials.Join(trials.Join(c.limit(), pairs.Note(i, j, c.subjects[i].Label)), blind)
			}
			if p.spectraErr != nil {
				spectra = p.spectraErr.Error()
			} else {
				spectra = trials.Join(blind, c.unsampled(i, j))
			}
			sampled := reason
			if p.err == nil {
				sampled = trials.Join(reason, c.unsampled(i, j))
			}
			add := func(metric string, value, low, high, null float64, unit, reason string) {
				r := c.result(metric, j, i, value, null, unit, reason)
				r.Low, r.High = low, high
				out = append(out, r)
			}
			nan := math.NaN()
			add("dsa", p.Angular, p.low, p.high, p.null.angular, "rad", sampled)
			add("dsa_lower_bound", p.Bound, nan, nan, nan, "rad", reason)
			add("dsa_gap", p.Angular-p.Bound, nan, nan, nan, "rad", reason)
			add("dsa_euclidean", p.Euclidean, chord(p.low), chord(p.high), p.null.euclidean, "", sampled)
			add("dsa_wasserstein", p.wasserstein, p.wassersteinLow, p.wassersteinHigh, p.null.wasserstein, "", spectra)
			if c.Compat {
				square := func(v float64) float64 { return v * v }
				add("dsa_wasserstein_squared", square(p.wasserstein), square(p.wassersteinLow), square(p.wassersteinHigh), square(p.null.wasserstein), "", spectra)
			}
			if c.driven != nil {
				out = append(out, c.drivenResults(i, j)...)
			}
		}
	}
	return append(append(out, c.floors()...), c.foreseen()...)
}

// chord is the Euclidean distance of two matrices of norm 1 at an angle.
func chord(angle float64) float64 { return 2 * math.Sin(angle/2) }

// limit says what was done to compare at all.
func (c *comparison) limit() string {
	if c.Common && c.wanted > c.rank {
		return fmt.Sprintf("rank %d in place of %d: the embedding of a subject holds no more", c.rank, c.wanted)
	}
	return ""
}

func (c *comparison) result(metric string, subject, reference int, value, null float64, unit, reason string) component.Result {
	r := component.Result{Metric: metric, Subject: c.subjects[subject].Label, Unit: unit, Better: component.Lower, Value: value, Low: math.NaN(), High: math.NaN(), Null: null,
		N: int64(c.systems[subject].trials), Reason: reason}
	if reference != subject {
		r.Reference = c.subjects[reference].Label
	}
	if metric == "dsa_lower_bound" || metric == "dsa_gap" {
		r.Better = component.Neither
	}
	return r
}
