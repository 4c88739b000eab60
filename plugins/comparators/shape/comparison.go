package shape

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/bootstrap"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// metric is one of those that each pair has.
type metric struct {
	name, unit string
	better     component.Better
	// itself is the value of a subject with itself.
	itself float64
	// inSample is true of values on the training trials; of says then which metric it is on these.
	inSample bool
	of       string
}

// comparison is one request at work. It is used by one goroutine, and starts others for sums alone.
type comparison struct {
	*shape
	*trials.Request
	report  component.Reporter
	metrics []metric
	// latents by subject, training and validation, or why there are none.
	latents []subject
	nulls   int
	draws   *bootstrap.Resamples
	// norms caches |Cx|^2 of each subject over all trials, the resamples, and, for BCa, all trials but one.
	norms map[string][]float64
	// bases caches those of the two subjects at work, by the products that they are made of.
	bases map[*float64]*basis
}

type subject struct {
	*comparator.Subject
	train, valid trials.Series
	err          error
}

func newComparison(s *shape, req comparator.Request, report component.Reporter) (*comparison, error) {
	r, err := trials.Open(req)
	if err != nil {
		return nil, err
	}
	c := &comparison{shape: s, Request: r, report: report, norms: map[string][]float64{}, bases: map[*float64]*basis{}}
	for i := range r.Subjects {
		of := subject{Subject: &r.Subjects[i]}
		both, err := r.Both(of.Subject, comparator.Latents)
		var why trials.Omission
		switch {
		case errors.As(err, &why) && of.Role == comparator.Recording:
			err = trials.Omit("%s is a recording: the latents behind it are not known", of.Label)
		case err != nil && !errors.As(err, &why):
			return nil, err
		}
		if err == nil && both[0].Constant() {
			err = trials.Omit("the latents of %s do not vary over the training trials", of.Label)
		}
		of.train, of.valid, of.err = both[0], both[1], err
		c.latents = append(c.latents, of)
	}
	n := r.Sizes[trials.Valid]
	if n > 1 && r.Sizes[trials.Train] != 1 {
		c.nulls = s.Shuffles
	}
	if n > 1 && s.Resamples > 0 {
		c.draws = bootstrap.NewResamples(s.seed, "shape/bootstrap", s.Resamples, n)
	}
	add := func(name, unit string, better component.Better, itself float64, fit bool) {
		c.metrics = append(c.metrics, metric{name: name, unit: unit, better: better, itself: itself})
		if fit {
			c.metrics = append(c.metrics, metric{inSample(name), unit, better, itself, true, name})
		}
	}
	for _, a := range s.Alpha {
		angular, euclidean := shapeNames(a)
		add(angular, "rad", component.Lower, 0, true)
		add(euclidean, "", component.Lower, 0, true)
	}
	add("cca", "", component.Higher, 1, true)
	add("svcca", "", component.Higher, 1, true)
	add("cka", "", component.Higher, 1, false)
	add("cka_debiased", "", component.Higher, 1, false)
	add("rsa", "", component.Higher, 1, false)
	return c, nil
}

// inSample is the name of a metric's value on the training trials.
func inSample(name string) string {
	stem, value, valued := strings.Cut(name, "/")
	if stem += "_insample"; valued {
		stem += "/" + value
	}
	return stem
}

// shapeNames are those of a shape metric's two forms.
func shapeNames(alpha float64) (angular, euclidean string) {
	if alpha == 1 {
		return "procrustes_angular", "procrustes_euclidean"
	}
	return fmt.Sprintf("shape_angular/alpha=%v", alpha), fmt.Sprintf("shape_euclidean/alpha=%v", alpha)
}

// anchored is true where subjects are measured against a truth.
func (c *comparison) anchored() bool {
	return c.Reference != nil && c.Reference.Role == comparator.Truth && c.latents[0].err == nil
}

func (c *comparison) run(ctx context.Context) (comparator.Outcome, error) {
	var out comparator.Outcome
	n := len(c.Subjects)
	of := map[string][]float64{}
	for _, m := range c.metrics {
		of[m.name] = make([]float64, n*n)
		for i, s := range c.latents {
			of[m.name][i*n+i] = m.itself
			if s.err != nil {
				of[m.name][i*n+i] = math.NaN()
			}
		}
	}
	if n == 1 {
		why := c.latents[0].err
		if why == nil {
			why = trials.Omit("one subject: a comparison needs 2")
		}
		out.Results = []component.Result{c.unknown(0, why)}
		return out, nil
	}
	reported := trials.Pairs{Subjects: n, Anchored: c.anchored()}
	// Of a subject whose latents are not known one word is enough, whatever the number of metrics and of others that it could have been compared with.
	for i := range c.latents {
		if why := c.latents[i].err; why != nil {
			out.Results = append(out.Results, c.unknown(i, why))
		}
	}
	for reported.First < n-1 && c.latents[reported.First].err != nil {
		reported.First++
	}
	done, total := 0, n*(n-1)/2
	for i := range n {
		for j := i + 1; j < n; j++ {
			p, err := c.pair(ctx, &c.latents[i], &c.latents[j], reported.Reported(i))
			var why trials.Omission
			switch {
			case errors.As(err, &why):
				if reported.Reported(i) && c.latents[i].err == nil && c.latents[j].err == nil {
					out.Results = append(out.Results, c.omitted(j, i, why)...)
				}
				for _, m := range c.metrics {
					of[m.name][i*n+j], of[m.name][j*n+i] = math.NaN(), math.NaN()
				}
			case err != nil:
				return comparator.Outcome{}, err
			default:
				for k := range p.results {
					p.results[k].Reason = trials.Join(p.results[k].Reason, reported.Note(i, j, c.latents[i].Label))
				}
				out.Results = append(out.Results, p.results...)
				for k, m := range c.metrics {
					of[m.name][i*n+j], of[m.name][j*n+i] = p.values[k], p.values[k]
				}
			}
			done++
			c.report.Progress(component.Progress{Phase: "pair", Done: int64(done), Total: int64(total), Loss: math.NaN()})
		}
	}
	for _, m := range c.metrics {
		// An array's name in a file has no slash.
		out.Matrices = append(out.Matrices, tensor.From64(strings.ReplaceAll(m.name, "/", "."), of[m.name], n, n).With(m.unit, "subject", "subject"))
	}
	out.Figures = c.figures(out.Results, of)
	aligned, err := c.aligned(ctx)
	out.Figures = append(out.Figures, aligned...)
	return out, err
}

// unknown is the one result of a subject that cannot be compared with any other.
func (c *comparison) unknown(subject int, why error) component.Result {
	r := c.result(c.metrics[0], &c.latents[subject], -1)
	r.Reason = fmt.Sprintf("%v; so it is with all %d metrics", why, len(c.metrics))
	return r
}

// omitted are the results of a pair that has none.
func (c *comparison) omitted(subject, reference int, why error) []component.Result {
	var out []component.Result
	for _, m := range c.metrics {
		r := c.result(m, &c.latents[subject], reference)
		r.Reason = why.Error()
		out = append(out, r)
	}
	return out
}

func (c *comparison) result(m metric, s *subject, reference int) component.Result {
	r := component.Result{Metric: m.name, Subject: s.Label, Unit: m.unit, Better: m.better, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN()}
	if reference >= 0 {
		r.Reference = c.latents[reference].Label
	}
	return r
}

// compared is what two subjects came to, by metric.
type compared struct {
	values  []float64
	results []component.Result
}

// measured are the values of one pairing of trials, by metric, and the statistics of those that have one.
type measured struct {
	values     []float64
	statistics []bootstrap.Statistic
}

// fewTrials is the number of validation trials from which on resamples tell what chance adds to a norm.
const fewTrials = 4

// enlarged is a distance of latents of unit size, at most 2 on the trials that they were whitened by, from which on they have another size on others.
const enlarged = 4

// pair compares two subjects. It is an omission where that cannot be done.
func (c *comparison) pair(ctx context.Context, x, y *subject, reported bool) (compared, error) {
	for _, s := range []*subject{x, y} {
		if s.err != nil {
			return compared{}, s.err
		}
	}
	base, err := moments.New(ctx, c.threads, x.train, y.train, nil, moments.All(), nil)
	if err != nil {
		return compared{}, err
	}
	c.keepBases(base)
	m, err := c.measure(ctx, x, y, base, nil, nil)
	if err != nil {
		return compared{}, err
	}
	out := compared{values: m.values}
	if !reported {
		return out, nil
	}
	nulls := make([]float64, len(c.metrics))
	for shuffle := range c.nulls {
		train := bootstrap.Shuffle(c.seed, "shape/null/train", shuffle, c.Sizes[trials.Train])
		valid := bootstrap.Shuffle(c.seed, "shape/null/valid", shuffle, c.Sizes[trials.Valid])
		n, err := c.measure(ctx, x, y, base, train, valid)
		c.keepBases(base)
		var why trials.Omission
		if errors.As(err, &why) {
			nulls = nil
			break
		} else if err != nil {
			return compared{}, err
		}
		for k, v := range n.values {
			nulls[k] += v / float64(c.nulls)
		}
	}
	plain, debiased, err := c.similarityBounds(ctx, x, y)
	if err != nil {
		return compared{}, err
	}
	reference := 0
	for i := range c.latents {
		if &c.latents[i] == x {
			reference = i
		}
	}
	for k, q := range c.metrics {
		r := c.result(q, y, reference)
		r.N = int64(c.Sizes[trials.Valid])
		if q.inSample {
			r.N = int64(c.Sizes[trials.Train])
		}
		if v := m.values[k]; v-v != 0 {
			r.Reason = "what is to be compared does not vary over the validation trials"
			out.results = append(out.results, r)
			continue
		}
		r.Value = m.values[k]
		if c.nulls > 0 && nulls != nil && nulls[k]-nulls[k] == 0 {
			r.Null = nulls[k]
		}
		switch {
		case q.inSample:
		case c.Sizes[trials.Valid] < 2:
			r.Reason = "one validation trial: an interval and a null need at least 2"
		case c.draws == nil:
		case m.statistics[k] != nil:
			if r.Low, r.High, err = bootstrap.Interval(ctx, m.statistics[k], c.draws, c.Interval == "bca"); err != nil {
				return compared{}, err
			}
		case q.name == "cka":
			r.Low, r.High = plain[0], plain[1]
		case q.name == "cka_debiased":
			if r.Low, r.High = debiased[0], debiased[1]; c.Sizes[trials.Valid] < fewTrials {
				r.Low, r.High = math.NaN(), math.NaN()
				r.Reason = trials.Join(r.Reason, fmt.Sprintf("%d validation trials: the interval of an unbiased estimate needs %d", c.Sizes[trials.Valid], fewTrials))
			}
		}
		if strings.HasPrefix(q.name, "shape_euclidean") && !q.inSample && r.Value > enlarged {
			r.Reason = trials.Join(r.Reason, fmt.Sprintf("whitened as the %d training trials say, the latents of the validation trials have several times their size: too few trials, or other ones, for this alpha",
				c.Sizes[trials.Train]))
		}
		out.results = append(out.results, r)
	}
	return out, nil
}

// measure fits on training trials and measures on validation trials, with trials as they are where the pairings are nil.
func (c *comparison) measure(ctx context.Context, x, y *subject, base *moments.Moments, train, valid trials.Pairing) (measured, error) {
	fit := base
	var err error
	if train != nil {
		if fit, err = moments.New(ctx, c.threads, x.train, y.train, train, moments.All(), base); err != nil {
			return measured{}, err
		}
	}
	bx, err := c.basis(fit, x.Label)
	if err != nil {
		return measured{}, err
	}
	by, err := c.basis(fit.Turned(), y.Label)
	if err != nil {
		return measured{}, err
	}
	var out measured
	add := func(v float64, s bootstrap.Statistic) {
		out.values, out.statistics = append(out.values, v), append(out.statistics, s)
	}
	var projectors []projector
	for _, a := range c.Alpha {
		p, err := align(fit, bx, by, a, c.Scale)
		if err != nil {
			return measured{}, err
		}
		projectors = append(projectors, p)
	}
	for _, share := range []float64{1, c.SVCCAVariance} {
		p, err := correlate(fit, bx, by, bx.explaining(share), by.explaining(share))
		if err != nil {
			return measured{}, err
		}
		projectors = append(projectors, p)
	}
	scored, err := moments.New(ctx, c.threads, x.valid, y.valid, valid, moments.All(), nil)
	if err != nil {
		return measured{}, err
	}
	of := make([][][]float64, len(projectors))
	if valid == nil {
		if of, err = c.sums(ctx, x.valid, y.valid, bx.mean, by.mean, projectors); err != nil {
			return measured{}, err
		}
	}
	all := around(scored, bx.mean, by.mean)
	held := func(k int, f func([]float64) float64) {
		v := f(projectors[k].sums(all))
		if valid != nil {
			add(v, nil)
			return
		}
		add(v, bootstrap.Sums{Of: of[k], Function: f})
	}
	for k, p := range projectors {
		switch p := p.(type) {
		case *alignment:
			held(k, angle)
			add(p.angular, nil)
			held(k, distance)
			add(p.euclidean, nil)
		case *correlation:
			held(k, meanCorrelation)
			add(p.value, nil)
		}
	}
	plain, debiased, err := c.similarity(ctx, x.valid, y.valid, valid, scored)
	if err != nil {
		return measured{}, err
	}
	add(plain, nil)
	add(debiased, nil)
	s, err := c.represent(ctx, x, y, valid)
	if err != nil {
		return measured{}, err
	}
	add(s.Value(bootstrap.Ones(s.Trials())), s)
	return out, nil
}

// basis of the first side of moments; pairings that leave its products as they are share one.
func (c *comparison) basis(m *moments.Moments, label string) (*basis, error) {
	if b, ok := c.bases[&m.XX[0]]; ok {
		return b, nil
	}
	b, err := newBasis(m, label)
	if err == nil {
		c.bases[&m.XX[0]] = b
	}
	return b, err
}

// keepBases drops all but those of a pair as it is: of hundreds of pairs, and of shuffles of trials of unequal length, they would be most of what is held.
func (c *comparison) keepBases(of *moments.Moments) {
	maps.DeleteFunc(c.bases, func(key *float64, _ *basis) bool { return key != &of.XX[0] && key != &of.YY[0] })
}

// sums are those of each projector over each validation trial.
func (c *comparison) sums(ctx context.Context, x, y trials.Series, meanX, meanY []float64, projectors []projector) ([][][]float64, error) {
	dx, dy := x.Width(), y.Width()
	out := make([][][]float64, len(projectors))
	for i := range out {
		out[i] = make([][]float64, x.Trials())
	}
	err := trials.InShards(ctx, c.threads, x.Trials(), func(_, from, to int) {
		bufX, bufY := make([]float64, x.Longest()*dx), make([]float64, y.Longest()*dy)
		r := rows{0, make([]float64, dx), make([]float64, dy), make([]float64, dx*dx), make([]float64, dy*dy), make([]float64, dx*dy), dx, dy}
		for k := from; k < to && ctx.Err() == nil; k++ {
			n := trials.Pairing(nil).Common(x, y, k)
			for _, s := range [][]float64{r.sumX, r.sumY, r.xx, r.yy, r.xy} {
				clear(s)
			}
			r.n = float64(n)
			if n > 0 {
				rowsX, rowsY := x.Read(bufX, k, n), y.Read(bufY, k, n)
				moments.Centre(rowsX, meanX)
				moments.Centre(rowsY, meanY)
				moments.SumRows(r.sumX, rowsX)
				moments.SumRows(r.sumY, rowsY)
				moments.AddSquare(r.xx, rowsX, dx)
				moments.AddSquare(r.yy, rowsY, dy)
				moments.AddProduct(r.xy, rowsX, rowsY, dx, dy)
				mirror(r.xx, dx)
				mirror(r.yy, dy)
			}
			for i, p := range projectors {
				out[i][k] = p.sums(r)
			}
		}
	})
	return out, err
}

// mirror fills the lower triangle.
func mirror(a []float64, d int) {
	for i := range d {
		for j := range i {
			a[i*d+j] = a[j*d+i]
		}
	}
}
