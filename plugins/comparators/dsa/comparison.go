package dsa

import (
	"context"
	"errors"
	"math"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/distance"
	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/dmd"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// comparison is one request at work.
type comparison struct {
	*dsa
	subjects []comparator.Subject
	report   component.Reporter
	systems  []system
	// rank is common to all operators; wanted is what was asked for, 0 where a criterion chose.
	rank, wanted int
	// pairs holds row i, column j, i < j, of all subjects, at i*n+j.
	pairs []pair
	// driven holds what the known inputs add, nil where they are not asked for.
	driven      []driven
	drivenPairs []drivenPair
	sweeps      []sweep
	// foresights are how well operators foresee validation trials.
	foresights []foresight
	// halves are the subjects' distances to themselves, nil where they are not wanted.
	halves []half
}

// system is what a subject came to.
type system struct {
	model    *dmd.Model
	operator *distance.Operator
	trials   int
	// null is the operator of shuffled bins, nil where there is none.
	null *distance.Operator
	// resampled are the operators of draws of the trials, spectra their eigenvalues; nil where there are none, of which unsampled is the reason.
	resampled []*mat.Dense
	unsampled string
	spectra   [][]complex128
	err       error
}

// pair compares two subjects; null is against the second's shuffled bins.
type pair struct {
	distance.Alignment
	wasserstein float64
	null        nulls
	// The 95% intervals of the angle and of wasserstein; NaN where there are none.
	low, high, wassersteinLow, wassersteinHigh float64
	// err says why there is no alignment; the spectra may still be compared.
	err, spectraErr error
}

type nulls struct{ angular, euclidean, wasserstein float64 }

func newComparison(d *dsa, req comparator.Request, report component.Reporter) (*comparison, error) {
	if err := checkSubjects(req); err != nil {
		return nil, err
	}
	return &comparison{dsa: d, subjects: req.Subjects, report: report}, nil
}

// each calls f for 0..n-1 on all threads and reports progress. A panic there is an error here.
func (c *comparison) each(ctx context.Context, phase string, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.threads)
	var done atomic.Int64
	for i := range n {
		g.Go(func() (err error) {
			defer component.Recover(&err)
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(ctx, i); err != nil {
				return err
			}
			c.report.Progress(component.Progress{Phase: phase, Done: done.Add(1), Total: int64(n), Loss: math.NaN()})
			return nil
		})
	}
	return g.Wait()
}

func (c *comparison) run(ctx context.Context) error {
	n := len(c.subjects)
	c.systems = make([]system, n)
	models, null := make([]*dmd.Model, n), make([]*dmd.Model, n)
	if err := c.each(ctx, "operator", n, func(ctx context.Context, i int) (err error) {
		s := &c.subjects[i]
		sys := &c.systems[i]
		models[i], null[i], sys.trials, err = c.fit(ctx, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			sys.err = why(s, err)
		}
		return nil
	}); err != nil {
		return err
	}
	c.rank = 0
	if c.RankBy == "number" {
		c.wanted = c.Rank
	}
	for _, m := range models {
		if m != nil && (c.rank == 0 || m.Rank() < c.rank) {
			c.rank = m.Rank()
		}
	}
	if err := c.each(ctx, "spectrum", n, func(_ context.Context, i int) error {
		c.prepare(i, models[i], null[i])
		return nil
	}); err != nil {
		return err
	}
	c.foresights = make([]foresight, n)
	if err := c.each(ctx, "prediction", n, func(ctx context.Context, i int) (err error) {
		c.foresights[i], err = c.foresee(ctx, i)
		return err
	}); err != nil {
		return err
	}
	if c.Sweep {
		c.sweeps = make([]sweep, n)
		if err := c.each(ctx, "sweep", n, func(ctx context.Context, i int) (err error) {
			c.sweeps[i], err = c.sweep(ctx, i)
			return err
		}); err != nil {
			return err
		}
	}
	if err := c.spread(ctx); err != nil {
		return err
	}
	// Of hundreds of subjects, what the pairs do not need would be most of what is held.
	models, null = nil, nil
	for i := range c.systems {
		c.systems[i].model = nil
	}
	c.pairs = make([]pair, n*n)
	var list [][2]int
	for i := range n {
		for j := i + 1; j < n; j++ {
			list = append(list, [2]int{i, j})
		}
	}
	if err := c.each(ctx, "pair", len(list), func(ctx context.Context, k int) (err error) {
		i, j := list[k][0], list[k][1]
		c.pairs[i*n+j], err = c.compare(ctx, i, j)
		c.pairs[i*n+j].C = nil
		return err
	}); err != nil {
		return err
	}
	if c.Inputs {
		c.driven = make([]driven, n)
		if err := c.each(ctx, "driven operator", n, func(ctx context.Context, i int) (err error) {
			if c.rank == 0 {
				c.driven[i].err = c.systems[i].err
				return nil
			}
			c.driven[i], err = c.drive(ctx, &c.subjects[i])
			return err
		}); err != nil {
			return err
		}
		c.drivenPairs = make([]drivenPair, n*n)
		pairs := c.reported()
		if err := c.each(ctx, "driven pair", len(list), func(ctx context.Context, k int) (err error) {
			if i, j := list[k][0], list[k][1]; pairs.Reported(i) {
				c.drivenPairs[i*n+j], err = c.drivePair(ctx, i, j)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// fit estimates a subject's operator, and that of its shuffled bins where it is wanted; of trials it counts those that are long enough to be used.
func (c *comparison) fit(ctx context.Context, s *comparator.Subject) (m, null *dmd.Model, trials int, err error) {
	x, err := c.trials(s, false, comparator.Latents)
	if err != nil {
		return nil, nil, 0, err
	}
	if err := c.reach(s, x, c.Delays); err != nil {
		return nil, nil, 0, err
	}
	o := c.options(s)
	o.Spare = c.spare()
	if m, err = dmd.Fit(ctx, x, o); err != nil {
		return nil, nil, 0, err
	}
	if c.nulled(s) {
		// Shuffled bins of the same values hold as many ranks or more; where they do not, there is no null.
		o := c.options(s)
		o.Rank = dmd.Rank{Number: m.Rank(), Floor: o.Rank.Floor}
		null, err = dmd.Fit(ctx, c.shuffled(x), o)
		if err != nil && ctx.Err() == nil {
			null, err = nil, nil
		}
	}
	for _, t := range x {
		if t.Bins() > (c.Delays-1)*c.Interval+1 {
			trials++
		}
	}
	return m, null, trials, err
}

// nulled reports whether a subject has a null: those that are the second of a pair of which the distance is a result.
func (c *comparison) nulled(s *comparator.Subject) bool {
	return c.Nulls && c.thorough() && s != &c.subjects[0]
}

// prepare makes what pairs need of a subject.
func (c *comparison) prepare(i int, m, null *dmd.Model) {
	sys := &c.systems[i]
	if m == nil {
		return
	}
	rank := m.Rank()
	if c.Common {
		rank = c.rank
	}
	operator := func(m *dmd.Model) (*distance.Operator, *dmd.Model, error) {
		if m.Rank() > rank {
			r, err := m.Reduce(rank)
			if err != nil {
				return nil, nil, err
			}
			m = r
		}
		o, err := distance.NewOperator(m.A)
		return o, m, err
	}
	var err error
	if sys.operator, sys.model, err = operator(m); err != nil {
		sys.err = why(&c.subjects[i], err)
		return
	}
	if null != nil {
		if o, _, err := operator(null); err == nil {
			sys.null = o
		}
	}
}

// perPair is the number of threads for one alignment: all where there are fewer pairs than threads.
func (c *comparison) perPair() int {
	n := len(c.subjects)
	return max(1, c.threads/max(1, n*(n-1)/2))
}

// compare compares two subjects. What cannot be had is in the pair; an error ends the comparison.
func (c *comparison) compare(ctx context.Context, i, j int) (pair, error) {
	a, b := &c.systems[i], &c.systems[j]
	nan := math.NaN()
	p := pair{wasserstein: nan, null: nulls{nan, nan, nan}, low: nan, high: nan, wassersteinLow: nan, wassersteinHigh: nan}
	if err := errors.Join(a.err, b.err); err != nil {
		if a.err != nil {
			err = a.err
		}
		p.err, p.spectraErr = err, err
		return p, nil
	}
	p.wasserstein, p.spectraErr = distance.Wasserstein(a.operator.Eigenvalues(), b.operator.Eigenvalues())
	if a.operator.Size() != b.operator.Size() {
		p.err = trials.Omit("%s has an operator of rank %d, %s of %d: only equal ranks can be rotated onto each other (common_rank lowers them)", c.subjects[i].Label, a.operator.Size(), c.subjects[j].Label, b.operator.Size())
		if c.reported().Reported(i) {
			c.spectraInterval(i, j, &p)
		}
		return p, nil
	}
	var err error
	options := distance.Options{Starts: c.Starts, Threads: c.perPair()}
	if p.Alignment, err = distance.Align(ctx, a.operator, b.operator, options); err != nil {
		return p, err
	}
	if !c.reported().Reported(i) {
		return p, nil
	}
	c.spectraInterval(i, j, &p)
	if err := c.interval(ctx, i, j, &p); err != nil {
		return p, err
	}
	if b.null != nil && b.null.Size() == a.operator.Size() {
		n, err := distance.Align(ctx, a.operator, b.null, options)
		if err != nil {
			return p, err
		}
		p.null.angular, p.null.euclidean = n.Angular, n.Euclidean
		if w, err := distance.Wasserstein(a.operator.Eigenvalues(), b.null.Eigenvalues()); err == nil {
			p.null.wasserstein = w
		}
	}
	return p, nil
}
