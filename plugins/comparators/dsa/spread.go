package dsa

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// anchored tells whether models are measured against a truth: the first subject is one, or a recording, and has an operator. Of a recording whose latents are not known, or of a truth that stands still, the models are
// compared with each other.
func (c *comparison) anchored() bool {
	return c.subjects[0].Role != comparator.Fitted && c.systems[0].err == nil
}

// reported tells which pairs are results of their own, beside the matrix.
func (c *comparison) reported() trials.Pairs {
	p := trials.Pairs{Subjects: len(c.subjects), Anchored: c.anchored()}
	for p.First < len(c.systems)-1 && c.systems[p.First].err != nil {
		p.First++
	}
	return p
}

// thorough tells whether results have intervals, nulls and floors.
func (c *comparison) thorough() bool { return len(c.subjects) > 1 }

// half is the distance of a subject to itself.
type half struct {
	angular, wasserstein float64
	reason               string
}

// splitHalf is the distance between the operators of one half of a subject's trials and of the other, drawn at random, the same for all subjects: what sampling alone
// makes of a distance of 0.
func (c *comparison) splitHalf(ctx context.Context, i int) (half, error) {
	out := half{angular: math.NaN(), wasserstein: math.NaN()}
	s, sys := &c.subjects[i], &c.systems[i]
	if sys.err != nil {
		return out, nil
	}
	x, err := c.trials(s, false, comparator.Latents)
	if err != nil {
		return half{}, err
	}
	if len(x) < 2 {
		out.reason = fmt.Sprintf("%s has 1 training trial: two halves need 2", s.Label)
		return out, nil
	}
	var sides [2]*distance.Operator
	order := random.New(c.seed, "dsa/split", 0).Perm(len(x))
	for k := range sides {
		var part []dmd.Trial
		for _, q := range order[k*len(x)/2 : (k+1)*len(x)/2] {
			part = append(part, x[q])
		}
		o := c.options(s)
		o.Rank = dmd.Rank{Number: sys.operator.Size(), Floor: o.Rank.Floor}
		m, err := dmd.Fit(ctx, part, o)
		if ctx.Err() != nil {
			return half{}, ctx.Err()
		}
		if err == nil {
			sides[k], err = distance.NewOperator(m.A)
		}
		if err != nil {
			out.reason = "of half of the trials, " + why(s, err).Error()
			return out, nil
		}
	}
	a, err := distance.Align(ctx, sides[0], sides[1], distance.Options{Starts: c.Starts})
	if err != nil {
		return half{}, err
	}
	out.angular = a.Angular
	if w, err := distance.Wasserstein(sides[0].Eigenvalues(), sides[1].Eigenvalues()); err == nil {
		out.wasserstein = w
	}
	return out, nil
}

// spare is how many coordinates beyond the rank resamples choose among: with half as many again, intervals hold the true distance as often as they should; with none, at worst two times in five.
func (c *comparison) spare() int {
	if !c.thorough() || c.Resamples == 0 || c.ReducedRank {
		return 0
	}
	return spare(c.Rank)
}

func spare(rank int) int { return max(4, rank/2) }

// weights are how often each of so many trials is in each draw.
func (c *comparison) weights(n int) [][]float64 {
	var out [][]float64
	for w := range bootstrap.NewResamples(c.seed, "dsa/bootstrap", c.Resamples, n).All {
		out = append(out, slices.Clone(w))
	}
	return out
}

func oneTrial(s *comparator.Subject) string {
	return fmt.Sprintf("no interval, which needs 2 training trials that are long enough: %s has 1", s.Label)
}

// resample keeps a subject's operators on each draw of trials, or why there are none.
func (c *comparison) resample(ctx context.Context, i int) error {
	s, sys := &c.subjects[i], &c.systems[i]
	switch {
	case sys.err != nil:
		return nil
	case c.ReducedRank:
		sys.unsampled = "no interval: operators of reduced_rank_regression are not resampled"
		return nil
	case sys.trials < 2:
		sys.unsampled = oneTrial(s)
		return nil
	}
	x, err := c.trials(s, false, comparator.Latents)
	if err != nil {
		return err
	}
	sys.resampled, err = sys.model.Resample(ctx, x, c.weights(len(x)))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		// Draws that do not hold the rank leave the value without an interval.
		sys.resampled, sys.unsampled = nil, "no interval: "+why(s, err).Error()
	}
	sys.spectra = spectrumOf(sys.resampled)
	return nil
}

// spectrumOf are the eigenvalues of each resample.
func spectrumOf(a []*mat.Dense) [][]complex128 {
	out := make([][]complex128, len(a))
	for b, m := range a {
		// What has no spectrum is left out of the interval.
		out[b], _ = distance.Spectrum(m)
	}
	return out
}

// unsampled is why a pair has no interval.
func (c *comparison) unsampled(i, j int) string {
	if a := c.systems[i].unsampled; a != "" {
		return a
	}
	return c.systems[j].unsampled
}

// interval finds that of a pair's angle from the resamples of both: of the distance without what sampling alone adds to it.
func (c *comparison) interval(ctx context.Context, i, j int, p *pair) error {
	a, b := &c.systems[i], &c.systems[j]
	if a.resampled == nil || b.resampled == nil {
		return nil
	}
	angles := make([]float64, len(a.resampled))
	for k := range a.resampled {
		v, err := distance.Follow(ctx, a.resampled[k], b.resampled[k], p.C)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			v = math.NaN()
		}
		angles[k] = v
	}
	p.low, p.high = bootstrap.DistanceBounds(p.Angular, angles, c.sampled(i, j, func(h half) float64 { return h.angular }))
	p.high = min(p.high, math.Pi)
	return nil
}

// spectraInterval finds that of a pair's spectra.
func (c *comparison) spectraInterval(i, j int, p *pair) {
	a, b := &c.systems[i], &c.systems[j]
	if a.resampled == nil || b.resampled == nil {
		return
	}
	values := make([]float64, len(a.spectra))
	for k := range values {
		v, err := distance.Wasserstein(a.spectra[k], b.spectra[k])
		if err != nil {
			v = math.NaN()
		}
		values[k] = v
	}
	p.wassersteinLow, p.wassersteinHigh = bootstrap.DistanceBounds(p.wasserstein, values, c.sampled(i, j, func(h half) float64 { return h.wasserstein }))
}

// sampled is the most that sampling adds to a pair's distance, by the halves of both, 0 where these are not known. Of a rank far into the noise it is more than resamples tell: they choose the directions of the
// operator among a few more than there are, other trials among all. Operators of n trials that are each sigma from the true one are sqrt(2) sigma from each other, and those of two halves 2 sigma.
func (c *comparison) sampled(i, j int, of func(half) float64) float64 {
	if c.halves == nil {
		return 0
	}
	v := math.Hypot(of(c.halves[i]), of(c.halves[j])) / 2
	if v-v != 0 {
		return 0
	}
	return v
}

// spread makes floors and resamples of all subjects.
func (c *comparison) spread(ctx context.Context) error {
	n := len(c.subjects)
	if !c.thorough() {
		return nil
	}
	if c.Split {
		c.halves = make([]half, n)
		if err := c.each(ctx, "split half", n, func(ctx context.Context, i int) (err error) {
			c.halves[i], err = c.splitHalf(ctx, i)
			return err
		}); err != nil {
			return err
		}
	}
	if c.Resamples == 0 {
		return nil
	}
	return c.each(ctx, "resample", n, c.resample)
}

// floors are the results of the subjects' halves.
func (c *comparison) floors() []component.Result {
	var out []component.Result
	for i, h := range c.halves {
		if c.systems[i].err != nil {
			continue
		}
		angular := c.result("dsa_split_half", i, i, h.angular, math.NaN(), "rad", h.reason)
		spectra := c.result("dsa_split_half_wasserstein", i, i, h.wasserstein, math.NaN(), "", h.reason)
		angular.Better, spectra.Better = component.Neither, component.Neither
		out = append(out, angular, spectra)
	}
	return out
}
