package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// comparison is one request at work. It is used by one goroutine, and starts others for sums alone.
type comparison struct {
	*metrics
	*trials.Request
	// draws holds the resamples by number of trials.
	draws map[int]*bootstrap.Resamples
	// nulls is the number of shuffled pairings: none where there are fewer than two validation trials. One pairing is held at a time.
	nulls   int
	shuffle int
	held    pairings
	// shared caches what metrics of one subject have in common, columns the R2 of each column by metric and subject.
	shared  map[string]*moments.Moments
	columns map[string][]labelled
	// likelihoods of all neurons' spikes, by shuffle.
	likelihoods map[int]bitsPerSpike
	// units of subjects' latents for readouts, by label.
	units map[string]unit
}

type pairings struct{ train, valid trials.Pairing }

// asTheyAre pairs each trial with itself.
const asTheyAre = -1

type labelled struct {
	subject string
	values  []float64
}

func newComparison(m *metrics, req comparator.Request) (*comparison, error) {
	r, err := trials.Open(req)
	if err != nil {
		return nil, err
	}
	c := &comparison{metrics: m, Request: r, draws: map[int]*bootstrap.Resamples{}, shuffle: asTheyAre, columns: map[string][]labelled{}, units: map[string]unit{}}
	c.forget()
	if r.Sizes[trials.Valid] > 1 && r.Sizes[trials.Train] != 1 {
		c.nulls = m.Shuffles
	}
	return c, nil
}

// forget drops what belongs to one subject alone; what was found of the reference is kept.
func (c *comparison) forget() {
	c.shared, c.likelihoods = map[string]*moments.Moments{}, map[int]bitsPerSpike{}
	c.Forget()
}

// pairs gives the pairing of a shuffle, or of asTheyAre.
func (c *comparison) pairs(which trials.Split, shuffle int) trials.Pairing {
	if shuffle == asTheyAre {
		return nil
	}
	c.turn(shuffle)
	if which == trials.Train {
		return c.held.train
	}
	return c.held.valid
}

// turn makes the pairings of a shuffle and drops those of the one before, with what was computed for it: there may be thousands.
func (c *comparison) turn(to int) {
	if to == c.shuffle {
		return
	}
	if c.shuffle != asTheyAre {
		for key := range c.shared {
			if strings.HasSuffix(key, ofShuffle(c.shuffle)) {
				delete(c.shared, key)
			}
		}
		delete(c.likelihoods, c.shuffle)
	}
	c.shuffle = to
	c.held = pairings{
		bootstrap.Shuffle(c.seed, "metrics/null/train", to, c.Sizes[trials.Train]), bootstrap.Shuffle(c.seed, "metrics/null/valid", to, c.Sizes[trials.Valid]),
	}
}

// ofShuffle ends the keys of what belongs to one shuffle.
func ofShuffle(shuffle int) string { return fmt.Sprint("\x00", shuffle) }

// moments of two arrays of a trials.Split, shared by the metrics of a subject under a key.
func (c *comparison) moments(ctx context.Context, key string, which trials.Split, x, y trials.Series, shuffle int, want moments.Parts) (*moments.Moments, error) {
	key += " " + string(which)
	at := key + ofShuffle(shuffle)
	if m, ok := c.shared[at]; ok {
		return m, nil
	}
	m, err := moments.New(ctx, c.threads, x, y, c.pairs(which, shuffle), want, c.shared[key])
	if err != nil {
		return nil, err
	}
	// Any trials.Pairing serves as the base of the next.
	c.shared[at], c.shared[key] = m, m
	return m, nil
}

// outcome is a measure's result while its null is being summed up.
type outcome struct {
	measure
	component.Result
	// sum is that of the null's values; nulled is false where the measure has none.
	sum    float64
	nulled bool
}

// result computes a measure with its interval.
func (c *comparison) result(ctx context.Context, q measure) (outcome, error) {
	r := component.Result{Metric: q.metric, Subject: q.subject, Unit: q.unit, Better: q.better, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN()}
	if q.against && c.Reference != nil {
		r.Reference = c.Reference.Label
	}
	var why trials.Omission
	s, err := q.compute(ctx, asTheyAre)
	if errors.As(err, &why) {
		r.Reason = string(why)
		return outcome{measure: q, Result: r}, nil
	} else if err != nil {
		return outcome{}, err
	}
	r.N = int64(s.Trials())
	value := s.Value(bootstrap.Ones(s.Trials()))
	if math.IsNaN(value) || math.IsInf(value, 0) {
		r.Reason = q.undefined
		return outcome{measure: q, Result: r}, nil
	}
	r.Value = value
	if e, ok := s.(*explained); ok && q.byColumn {
		c.columns[q.metric] = append(c.columns[q.metric], labelled{q.subject, e.columns()})
	}
	if s.Trials() < 2 {
		r.Reason = "one trial: an interval and a null need at least 2"
		return outcome{measure: q, Result: r}, nil
	}
	if c.Resamples > 0 {
		draws, ok := c.draws[s.Trials()]
		if !ok {
			draws = bootstrap.NewResamples(c.seed, "metrics/bootstrap", c.Resamples, s.Trials())
			c.draws[s.Trials()] = draws
		}
		if r.Low, r.High, err = bootstrap.Interval(ctx, s, draws, c.Interval == "bca"); err != nil {
			return outcome{}, err
		}
	}
	return outcome{measure: q, Result: r, nulled: q.hasNull && c.nulls > 0}, nil
}

// null adds a shuffle to a measure's null, which is given up where a shuffle has no value.
func (c *comparison) null(ctx context.Context, o *outcome, shuffle int) error {
	if !o.nulled {
		return nil
	}
	var why trials.Omission
	s, err := o.compute(ctx, shuffle)
	if errors.As(err, &why) {
		o.nulled = false
		return nil
	} else if err != nil {
		return err
	}
	o.sum += s.Value(bootstrap.Ones(s.Trials()))
	if null := o.sum / float64(c.nulls); shuffle == c.nulls-1 && !math.IsNaN(null) && !math.IsInf(null, 0) {
		o.Null = null
	}
	return nil
}
