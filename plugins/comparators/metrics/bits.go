package metrics

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
)

// bitsPerSpike is (NLL_null - NLL_model) / (number of spikes * ln 2) of Poisson counts, where the null model has each neuron's mean over all
// trials as its rate (Pei et al. 2021, "Neural latents benchmark '21").
//
// Resamples of trials are scored against the same null, not one of their own: that would fit the few distinct trials of a resample better than its rates fit all, so that resamples of few
// trials lay below the value. These rates are of greatest likelihood, hence what they vary by changes the value in second order alone.
type bitsPerSpike struct {
	bins []float64
	// nll and spikes are (trials, neurons): the model's negative log-likelihood without the counts' factorials, and the counts' sums.
	nll, spikes [][]float64
	// null is each neuron's rate in the null model, in spikes/bin; see hold.
	null []float64
	// The neurons [from, to) are scored.
	from, to int
}

// nullOffset is added to the null model's rate inside its logarithm, so that a silent neuron is not infinitely unlikely.
const nullOffset = 1e-8

// hold sets the null model to the mean rates over all trials.
func (b *bitsPerSpike) hold() {
	b.null = make([]float64, b.to)
	n := 0.0
	for k, bins := range b.bins {
		n += bins
		trials.Add(b.null, b.spikes[k])
	}
	for i := range b.null {
		b.null[i] /= n
	}
}

func (b bitsPerSpike) Trials() int { return len(b.bins) }

func (b bitsPerSpike) Value(weights []float64) float64 {
	var n, model float64
	sums := make([]float64, b.to-b.from)
	for k, w := range weights {
		if w == 0 {
			continue
		}
		n += w * b.bins[k]
		for i := range sums {
			model += w * b.nll[k][b.from+i]
			sums[i] += w * b.spikes[k][b.from+i]
		}
	}
	var null, spikes float64
	for i, s := range sums {
		rate := b.null[b.from+i]
		null += n*rate - s*math.Log(rate+nullOffset)
		spikes += s
	}
	if spikes == 0 {
		return math.NaN()
	}
	return (null - model) / (spikes * math.Ln2)
}

// only returns the same for the neurons [from, to).
func (b bitsPerSpike) only(from, to int) bitsPerSpike {
	b.from, b.to = from, to
	return b
}

var errCounts = trials.Omit("what was observed are not counts, for which bits per spike are defined")

// likelihood sums up the likelihood of counts under rates, both (B, T, neurons), for all neurons.
func likelihood(ctx context.Context, threads int, counts, rates trials.Series, pairs trials.Pairing) (bitsPerSpike, error) {
	d := counts.Width()
	b := bitsPerSpike{bins: make([]float64, counts.Trials()), nll: make([][]float64, counts.Trials()), spikes: make([][]float64, counts.Trials()), to: d}
	// The first by trials is told, whichever thread comes to one first.
	var wrong [trials.Shards]error
	err := trials.InShards(ctx, threads, counts.Trials(), func(shard, from, to int) {
		bufCounts, bufRates := make([]float64, counts.Longest()*d), make([]float64, rates.Longest()*d)
		for k := from; k < to; k++ {
			n := pairs.Common(counts, rates, k)
			spikes, rate := counts.Read(bufCounts, k, n), rates.Read(bufRates, pairs.Of(k), n)
			b.bins[k], b.nll[k], b.spikes[k] = float64(n), make([]float64, d), make([]float64, d)
			for i, s := range spikes {
				r := rate[i]
				switch {
				case s < 0 || s != math.Floor(s):
					wrong[shard] = errCounts
					return
				case r < 0 || (r == 0 && s > 0):
					wrong[shard] = trials.Omit("some inferred rates are negative, or 0 where there are spikes")
					return
				}
				b.spikes[k][i%d] += s
				b.nll[k][i%d] += r
				if s > 0 {
					b.nll[k][i%d] -= s * math.Log(r)
				}
			}
		}
	})
	for _, of := range wrong {
		if err == nil {
			err = of
		}
	}
	if err == nil {
		b.hold()
	}
	return b, err
}
