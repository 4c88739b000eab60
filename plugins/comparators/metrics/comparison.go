package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// split says which trials.
type split string

const (
	train split = "train"
	valid split = "valid"
)

// comparison is one request at work. It is used by one goroutine, and starts others for sums alone.
type comparison struct {
	*metrics
	subjects []comparator.Subject
	// reference is the truth or recording, nil where there is none.
	reference *comparator.Subject
	// draws holds the resamples by number of trials.
	draws map[int]*resamples
	// sizes are the numbers of trials, nulls that of shuffled pairings: none where there are fewer than two validation trials. One pairing is held at a time.
	sizes   map[split]int
	nulls   int
	shuffle int
	held    pairings
	// known caches arrays that were looked at, shared what metrics of one subject have in common, columns the R2 of each column by metric and subject.
	known   map[string]found
	shared  map[string]*moments
	columns map[string][]labelled
	// likelihoods of all neurons' spikes, by shuffle.
	likelihoods map[int]bitsPerSpike
}

type pairings struct{ train, valid pairing }

// asTheyAre pairs each trial with itself.
const asTheyAre = -1

type found struct {
	series series
	err    error
}

type labelled struct {
	subject string
	values  []float64
}

func newComparison(m *metrics, req comparator.Request) (*comparison, error) {
	if len(req.Subjects) == 0 {
		return nil, component.Invalid("subjects", "none are given: at least 1 is needed")
	}
	c := &comparison{metrics: m, subjects: req.Subjects, draws: map[int]*resamples{}, sizes: map[split]int{}, shuffle: asTheyAre, known: map[string]found{}, columns: map[string][]labelled{}}
	c.forget()
	labels := map[string]bool{}
	for i, s := range req.Subjects {
		path := fmt.Sprintf("subjects[%d]", i)
		switch {
		case s.Label == "" || labels[s.Label]:
			return nil, component.Invalid(path+".label", "%q is empty or given twice", s.Label)
		case s.Role != comparator.Fitted && s.Role != comparator.Truth && s.Role != comparator.Recording:
			return nil, component.Invalid(path+".role", "%q is not allowed: truth, recording or fitted", s.Role)
		case s.Role != comparator.Fitted && i > 0:
			return nil, component.Invalid(path+".role", "%s %q is not the first subject: there is one truth or recording at most, and it comes first", s.Role, s.Label)
		case s.HeldIn < 0 || s.InputChannels < 0:
			return nil, component.Invalid(path, "held-in neurons %d and input channels %d must not be negative", s.HeldIn, s.InputChannels)
		}
		labels[s.Label] = true
		if s.Role != comparator.Fitted {
			c.reference = &c.subjects[0]
		}
	}
	for _, which := range []split{train, valid} {
		n, err := c.checkShapes(which)
		if err != nil {
			return nil, err
		}
		c.sizes[which] = n
	}
	if c.sizes[valid] > 1 && c.sizes[train] != 1 {
		c.nulls = m.Shuffles
	}
	return c, nil
}

// checkShapes compares the numbers of trials and bins of all arrays of a split and returns the number of trials.
func (c *comparison) checkShapes(which split) (int, error) {
	trials, bins, first := -1, -1, ""
	for i, s := range c.subjects {
		path := fmt.Sprintf("subjects[%d].%s", i, which)
		set := arrays(s, which)
		if err := set.Check(); err != nil {
			return 0, component.Invalid(path, "%v", err)
		}
		for _, name := range []string{comparator.Latents, comparator.Rates, comparator.Spikes, comparator.Inputs, comparator.TrueInputs, comparator.Targets} {
			a := set.Get(name)
			if a == nil {
				continue
			}
			if len(a.Shape) != 3 {
				return 0, component.Invalid(path+"."+name, "shape %v is not allowed: (trials, bins, channels)", a.Shape)
			}
			if trials < 0 {
				trials, bins, first = a.Shape[0], a.Shape[1], path+"."+name
			}
			if a.Shape[0] != trials || a.Shape[1] != bins {
				return 0, component.Invalid(path+"."+name, "shape %v does not go with %d trials of %d bins, as in %s", a.Shape, trials, bins, first)
			}
		}
	}
	// The lengths of one subject may be those of all, so they are looked at once the arrays of all are known.
	for i, s := range c.subjects {
		path := fmt.Sprintf("subjects[%d].%s", i, which)
		l := arrays(s, which).Get(comparator.Lengths)
		if l == nil {
			continue
		}
		if len(l.Shape) != 1 || l.I64 == nil {
			return 0, component.Invalid(path+"."+comparator.Lengths, "shape %v of %s is not allowed: (trials), int64", l.Shape, l.DType())
		}
		if trials >= 0 && l.Shape[0] != trials {
			return 0, component.Invalid(path+"."+comparator.Lengths, "%d lengths for %d trials", l.Shape[0], trials)
		}
		for k, n := range l.I64 {
			if n < 0 || (bins >= 0 && n > int64(bins)) {
				return 0, component.Invalid(path+"."+comparator.Lengths, "trial %d has length %d: 0..%d are allowed", k, n, bins)
			}
		}
	}
	return max(trials, 0), nil
}

func arrays(s comparator.Subject, which split) tensor.Set {
	if which == train {
		return s.Train
	}
	return s.Valid
}

// lengths are those of the reference, or of the subject itself.
func (c *comparison) lengths(s *comparator.Subject, which split) *tensor.Tensor {
	if c.reference != nil {
		if l := arrays(*c.reference, which).Get(comparator.Lengths); l != nil {
			return l
		}
	}
	return arrays(*s, which).Get(comparator.Lengths)
}

// array finds an array of a subject and checks that it has trials, bins, channels and finite values.
func (c *comparison) array(s *comparator.Subject, which split, name string) (series, error) {
	key := s.Label + "\x00" + string(which) + "\x00" + name
	if f, ok := c.known[key]; ok {
		return f.series, f.err
	}
	var f found
	if a := arrays(*s, which).Get(name); a == nil {
		f.err = omit("%s has no %s of %s trials", s.Label, title(name), which)
	} else {
		f.series, f.err = c.cut(s, which, a)
	}
	c.known[key] = f
	return f.series, f.err
}

// cut makes a series of an array of a subject.
func (c *comparison) cut(s *comparator.Subject, which split, a *tensor.Tensor) (series, error) {
	x := series{data: a, lengths: make([]int, a.Shape[0])}
	l := c.lengths(s, which)
	for k := range x.lengths {
		x.lengths[k] = a.Shape[1]
		if l != nil {
			x.lengths[k] = min(int(l.I64[k]), a.Shape[1])
		}
		x.ragged = x.ragged || x.lengths[k] != x.lengths[0]
	}
	what := fmt.Sprintf("%s of %s (%s trials)", title(a.Name), s.Label, which)
	if a.Shape[2] == 0 || x.total() == 0 {
		return series{}, omit("%s: shape %v holds nothing", what, a.Shape)
	}
	return x, x.checkFinite(what)
}

// title is how an array is called in a reason.
func title(name string) string {
	if name == comparator.TrueInputs {
		return "inputs"
	}
	return name
}

// forget drops what belongs to one subject alone; what was found of the reference is kept.
func (c *comparison) forget() {
	c.shared, c.likelihoods = map[string]*moments{}, map[int]bitsPerSpike{}
	for key := range c.known {
		if c.reference == nil || !strings.HasPrefix(key, c.reference.Label+"\x00") {
			delete(c.known, key)
		}
	}
}

// pairs gives the pairing of a shuffle, or of asTheyAre.
func (c *comparison) pairs(which split, shuffle int) pairing {
	if shuffle == asTheyAre {
		return nil
	}
	c.turn(shuffle)
	if which == train {
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
	c.held = pairings{shuffle(c.seed, "metrics/null/train", to, c.sizes[train]), shuffle(c.seed, "metrics/null/valid", to, c.sizes[valid])}
}

// ofShuffle ends the keys of what belongs to one shuffle.
func ofShuffle(shuffle int) string { return fmt.Sprint("\x00", shuffle) }

// moments of two arrays of a split, shared by the metrics of a subject under a key.
func (c *comparison) moments(ctx context.Context, key string, which split, x, y series, shuffle int, want parts) (*moments, error) {
	key += " " + string(which)
	at := key + ofShuffle(shuffle)
	if m, ok := c.shared[at]; ok {
		return m, nil
	}
	m, err := newMoments(ctx, c.threads, x, y, c.pairs(which, shuffle), want, c.shared[key])
	if err != nil {
		return nil, err
	}
	// Any pairing serves as the base of the next.
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
	if q.against && c.reference != nil {
		r.Reference = c.reference.Label
	}
	var why omission
	s, err := q.compute(ctx, asTheyAre)
	if errors.As(err, &why) {
		r.Reason = string(why)
		return outcome{measure: q, Result: r}, nil
	} else if err != nil {
		return outcome{}, err
	}
	r.N = int64(s.trials())
	value := s.value(ones(s.trials()))
	if math.IsNaN(value) || math.IsInf(value, 0) {
		r.Reason = q.undefined
		return outcome{measure: q, Result: r}, nil
	}
	r.Value = value
	if e, ok := s.(*explained); ok && q.byColumn {
		c.columns[q.metric] = append(c.columns[q.metric], labelled{q.subject, e.columns()})
	}
	if s.trials() < 2 {
		r.Reason = "one trial: an interval and a null need at least 2"
		return outcome{measure: q, Result: r}, nil
	}
	if c.Resamples > 0 {
		draws, ok := c.draws[s.trials()]
		if !ok {
			draws = newResamples(c.seed, c.Resamples, s.trials())
			c.draws[s.trials()] = draws
		}
		if r.Low, r.High, err = interval(ctx, s, draws, c.Interval == "bca"); err != nil {
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
	var why omission
	s, err := o.compute(ctx, shuffle)
	if errors.As(err, &why) {
		o.nulled = false
		return nil
	} else if err != nil {
		return err
	}
	o.sum += s.value(ones(s.trials()))
	if null := o.sum / float64(c.nulls); shuffle == c.nulls-1 && !math.IsNaN(null) && !math.IsInf(null, 0) {
		o.Null = null
	}
	return nil
}
