package spectra

import (
	"context"
	"fmt"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// floors are the distances of each subject's power spectra to themselves, from one half of its validation trials to the other: what sampling alone makes of 0.
func (c *comparison) floors(ctx context.Context) []component.Result {
	if !c.Split || len(c.found) < 2 {
		return nil
	}
	var out []component.Result
	for _, d := range c.distances(ctx) {
		if d.halves == nil {
			continue
		}
		for _, e := range c.found {
			if d.has(e) != nil {
				continue
			}
			p, distance := d.halves(e)
			r := result(d.name+"_split_half", e.Label, d.unit, component.Neither)
			r.N = int64(p[0].used)
			if r.N < 2 {
				r.Reason = fmt.Sprintf("%s: two halves need 2 validation trials that are long enough, there are %d", e.Label, r.N)
			} else if r.Value = p[0].halved(distance, c.seed); r.Value-r.Value != 0 {
				r.Reason = trials.Join(r.Reason, "what is to be compared does not vary over half of the validation trials")
			}
			out = append(out, r)
		}
	}
	return out
}

// halved is the distance between the spectra of two halves of the trials that are long enough, drawn at random, the same for all subjects, in the mean over channels; NaN where no channel has power in both.
func (p *power) halved(distance func(p, q []float64) float64, seed uint64) float64 {
	sides, taken := [2][]float64{make([]float64, len(p.of)), make([]float64, len(p.of))}, 0
	for _, k := range random.New(seed, "spectra/split").Perm(len(p.of)) {
		if p.long[k] {
			sides[taken*2/p.used][k] = 1
			taken++
		}
	}
	sum, n := 0.0, 0.0
	for channel := range p.channels {
		a, ok := p.distribution(channel, sides[0])
		b, both := p.distribution(channel, sides[1])
		if ok && both {
			sum, n = sum+distance(a, b), n+1
		}
	}
	return sum / n
}
