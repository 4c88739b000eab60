package fixedpoints

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/cmplx"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/moments"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/transport"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// paired is what a comparison of two subjects gives.
type paired struct {
	results  []component.Result
	matrices tensor.Set
	figures  []component.Figure
}

// affine is y = W x + b, fitted by least squares.
type affine struct {
	from, to int
	// w is (to, from), b (to).
	w, b []float64
	// r2 is the variance explained on the trials that it was fitted to, radius the root mean square distance of y from its mean.
	r2, radius float64
	rows       int
	// target are the latents y of the valid bins.
	target visited
}

func (m *affine) apply(x []float64) []float64 {
	y := make([]float64, m.to)
	for i := range y {
		y[i] = m.b[i]
		for k, v := range x {
			y[i] += m.w[i*m.from+k] * v
		}
	}
	return y
}

// fit maps latents x (B, T, D) to y (B, T, E) over the valid bins of both.
func fit(ctx context.Context, threads int, x, y *tensor.Tensor, lengths []int) (*affine, error) {
	d, e := x.Shape[2], y.Shape[2]
	m := &affine{from: d, to: e, b: make([]float64, e)}
	from, to := trials.Series{Data: x, Lengths: lengths}, trials.Series{Data: y, Lengths: lengths}
	if m.rows = from.Total(); m.rows < 2 {
		return nil, trials.Omit("%d bins of latents: at least 2 are needed for an alignment", m.rows)
	}
	sums, err := moments.New(ctx, threads, from, to, nil, moments.All(), nil)
	if err != nil {
		return nil, err
	}
	n, yy := sums.N, 0.0
	for k := range e {
		yy += sums.YY[k*e+k]
	}
	if !(yy > 0) || math.IsInf(yy, 0) || !finite(sums.XX) || !finite(sums.XY) {
		return nil, trials.Omit("the latents are constant or not finite: there is nothing to align")
	}
	xx, xy, meanX, meanY := mat.NewSymDense(d, sums.XX), mat.NewDense(d, e, sums.XY), sums.MeanX, sums.MeanY
	// Directions without variance, relative to the largest, are left out: the points' coordinates along them say nothing.
	values, q, err := moments.Eigen(xx)
	if err != nil {
		return nil, err
	}
	var coefficients, scores mat.Dense
	scores.Mul(q.T(), xy)
	explained := 0.0
	for i, v := range values {
		row := scores.RawRowView(i)
		for k, s := range row {
			if v <= 1e-10*values[d-1] {
				row[k] = 0
				continue
			}
			explained += s * s / v
			row[k] = s / v
		}
	}
	coefficients.Mul(q, &scores)
	m.w = make([]float64, e*d)
	for i := range e {
		m.b[i] = meanY[i]
		for k := range d {
			m.w[i*d+k] = coefficients.At(k, i)
			m.b[i] -= m.w[i*d+k] * meanX[k]
		}
	}
	m.r2, m.radius = explained/yy, math.Sqrt(yy/n)
	return m, nil
}

// latentsOf are points as the model's latents, and as the state where it shows no latents.
func (e *examined) latentsOf(ctx context.Context, points []Point) ([][]float64, error) {
	out := make([][]float64, len(points))
	width := e.layout.Observable[model.Latents]
	if width == 0 {
		for i, p := range points {
			out[i] = p.X
		}
		return out, nil
	}
	var x []float64
	for _, p := range points {
		x = append(x, p.X...)
	}
	d := e.size()
	err := each(ctx, e.threads, len(points), stepRows, func(ctx context.Context, from, to int) error {
		t, err := e.dynamics.Observe(ctx, tensor.From64(model.State, x[from*d:to*d], to-from, d), model.Latents)
		if err != nil {
			return fmt.Errorf("observe: %w", err)
		}
		all, err := elements("observe", t, to-from, width)
		for i := from; i < to && err == nil; i++ {
			out[i] = all[(i-from)*width : (i-from+1)*width]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// align fits the map from the latents of one subject's training trials to those of another's, over the valid bins of each trial.
func align(ctx context.Context, req *comparator.Request, a, b *examined) (*affine, error) {
	x, y := a.Train.Get(comparator.Latents), b.Train.Get(comparator.Latents)
	for _, s := range []struct {
		e *examined
		t *tensor.Tensor
	}{{a, x}, {b, y}} {
		want := s.e.layout.Observable[model.Latents]
		switch {
		case s.t == nil:
			return nil, trials.Omit("%s has no latents of training trials to align by", s.e.Label)
		case len(s.t.Shape) != 3:
			return nil, trials.Omit("the latents of %s have shape %v: (trials, bins, latents) is needed", s.e.Label, s.t.Shape)
		case want != 0 && s.t.Shape[2] != want, want == 0 && s.t.Shape[2] != s.e.size():
			return nil, trials.Omit("%s has %d latents on record and %d in its dynamics", s.e.Label, s.t.Shape[2], cmp.Or(want, s.e.size()))
		}
	}
	if x.Shape[0] != y.Shape[0] || x.Shape[1] != y.Shape[1] {
		return nil, trials.Omit("latents of %d trials of %d bins and of %d of %d: they must be of the same trials", x.Shape[0], x.Shape[1], y.Shape[0], y.Shape[1])
	}
	lengths, err := lengthsOf(req, b.Subject, y, false)
	if err != nil {
		return nil, err
	}
	m, err := fit(ctx, a.threads, x, y, lengths)
	if err != nil {
		return nil, err
	}
	m.target.add(y, lengths)
	return m, nil
}

// The metrics of a comparison.
const (
	alignment     = "alignment_r2"
	matchDistance = "fixed_point_distance"
	matchedShare  = "fixed_points_matched"
	hausdorff     = "fixed_point_hausdorff"
	countGap      = "fixed_point_count_difference"
	sameStability = "fixed_point_stability_agreement"
	spectralGap   = "fixed_point_eigenvalue_distance"
)

// pair compares the points of two subjects under inputs of the same name.
func (c *fixedPoints) pair(ctx context.Context, req *comparator.Request, a, b *examined) (paired, error) {
	var out paired
	m, err := align(ctx, req, a, b)
	if why, ok := err.(trials.Omission); ok { //nolint:errorlint // it is never wrapped
		for _, metric := range []string{alignment, matchDistance, matchedShare, hausdorff, countGap, sameStability, spectralGap} {
			out.results = append(out.results, without(metric, b.Label, a.Label, string(why)))
		}
		return out, nil
	} else if err != nil {
		return out, err
	}
	r := value(alignment, b.Label, m.r2, "", m.rows)
	r.Reference, r.Better = a.Label, component.Higher
	out.results = append(out.results, r)
	several := len(a.found) > 1
	for i := range a.found {
		u := &a.found[i]
		k := slices.IndexFunc(b.found, func(v under) bool { return v.name == u.name })
		if k >= 0 {
			if err := c.pairUnder(ctx, a, b, u, &b.found[k], m, several, &out); err != nil {
				return out, err
			}
			continue
		}
		suffix := ""
		if several {
			suffix = "/" + u.name
		}
		out.results = append(out.results, without(matchDistance+suffix, b.Label, a.Label, fmt.Sprintf("points of %s are under the input %q, which those of %s are not (%s): name one for both by the parameter inputs",
			a.Label, u.name, b.Label, strings.Join(b.inputNames(), ", "))))
	}
	return out, nil
}

// inputNames are those of the inputs that points were looked for under.
func (e *examined) inputNames() []string {
	names := make([]string, len(e.found))
	for i, f := range e.found {
		names[i] = f.name
	}
	return names
}

// pairUnder compares the points under one input.
func (c *fixedPoints) pairUnder(ctx context.Context, a, b *examined, u, v *under, m *affine, several bool, out *paired) error {
	suffix := ""
	if several {
		suffix = "/" + u.name
	}
	add := func(metric string, x float64, unit string, n int, better component.Better) *component.Result {
		r := value(metric+suffix, b.Label, x, unit, n)
		r.Reference, r.Better = a.Label, better
		out.results = append(out.results, r)
		return &out.results[len(out.results)-1]
	}
	omit := func(why string, metrics ...string) {
		for _, metric := range metrics {
			out.results = append(out.results, without(metric+suffix, b.Label, a.Label, why))
		}
	}
	n, l := len(u.Fixed), len(v.Fixed)
	add(countGap, float64(l-n), "points", n+l, component.Neither)
	switch {
	case n == 0 && l == 0:
		omit(fmt.Sprintf("neither %s nor %s has a fixed point", a.Label, b.Label), matchDistance, matchedShare, hausdorff, sameStability, spectralGap)
		return nil
	case n > mostPaired || l > mostPaired:
		omit(fmt.Sprintf("%d and %d fixed points: more than %d are no isolated points, and are not paired", n, l, mostPaired), matchDistance, matchedShare, hausdorff, sameStability, spectralGap)
		return nil
	}
	x, err := a.latentsOf(ctx, u.Fixed)
	if err != nil {
		return err
	}
	y, err := b.latentsOf(ctx, v.Fixed)
	if err != nil {
		return err
	}
	for i := range x {
		x[i] = m.apply(x[i])
	}
	p := match(x, y, m.radius)
	nulls, err := c.nulls(ctx, x, l, m)
	if err != nil {
		return err
	}
	add(matchDistance, p.distance, "", n+l, component.Lower).Null = nulls.distance
	add(matchedShare, p.share(n, l), "", n+l, component.Higher).Null = nulls.share(n, l)
	if n == 0 || l == 0 {
		omit(fmt.Sprintf("%d fixed points in %s and %d in %s: at least 1 in each is needed", n, a.Label, l, b.Label), hausdorff, sameStability, spectralGap)
		return nil
	}
	add(hausdorff, p.far, "sd", n+l, component.Lower).Null = nulls.far
	if len(p.pairs) == 0 {
		omit(fmt.Sprintf("no fixed point of %s lies within %v sd of one of %s", a.Label, cutoff, b.Label), sameStability, spectralGap)
	} else {
		if err := c.compareMatched(ctx, u, v, p.pairs, add); err != nil {
			return err
		}
	}
	out.figures = append(out.figures, alignedFigure(a, b, u, v, x, y, suffix, m))
	matrix := tensor.NewInt(fmt.Sprintf("%s.%s.%s.pairs", b.Label, a.Label, u.name), len(p.pairs), 2)
	for i, pair := range p.pairs {
		matrix.I64[2*i], matrix.I64[2*i+1] = int64(pair[0]), int64(pair[1])
	}
	out.matrices = append(out.matrices, matrix)
	return nil
}

// mostPaired bounds the points of a set that is paired with another: the assignment takes the cube of their number.
const mostPaired = 1000

// cutoff is the distance, in root mean square distances of the latents from their mean, from which on two points have nothing to do with each other.
const cutoff = 1

// matching is what two sets of points have in common.
type matching struct {
	// distance is the optimal subpattern assignment metric of order 1 (Schuhmacher, Vo & Vo 2008): the mean over the points of the larger set of the distance to the partner, at most
	// cutoff, and cutoff for those without one. far is the Hausdorff distance, infinite where one set is empty.
	distance, far float64
	// pairs are those closer than cutoff; matched is their number, a mean over draws in a null.
	pairs   [][2]int
	matched float64
}

// share of the points of the larger of two sets, of n and l, that have a partner.
func (m matching) share(n, l int) float64 { return m.matched / float64(max(n, l)) }

// match pairs two sets, not both empty, with distances in units of radius.
func match(x, y [][]float64, radius float64) matching {
	if len(x) == 0 || len(y) == 0 {
		return matching{distance: cutoff, far: math.Inf(1)}
	}
	d := mat.NewDense(len(x), len(y), nil)
	for i := range x {
		for j := range y {
			d.Set(i, j, distance(x[i], y[j])/radius)
		}
	}
	var m matching
	sum := float64(max(len(x), len(y))) * cutoff
	for _, g := range within(d, cutoff) {
		for _, p := range transport.Pairs(len(g.rows), len(g.cols), func(i, j int) float64 { return min(d.At(g.rows[i], g.cols[j]), cutoff) }) {
			if i, j := g.rows[p[0]], g.cols[p[1]]; d.At(i, j) < cutoff {
				m.pairs = append(m.pairs, [2]int{i, j})
				sum += d.At(i, j) - cutoff
			}
		}
	}
	slices.SortFunc(m.pairs, func(p, q [2]int) int { return cmp.Compare(p[0], q[0]) })
	m.distance, m.matched = max(0, sum)/float64(max(len(x), len(y))), float64(len(m.pairs))
	for i := range x {
		m.far = max(m.far, mat.Min(d.RowView(i)))
	}
	for j := range y {
		m.far = max(m.far, mat.Min(d.ColView(j)))
	}
	return m
}

// group are points of two sets that may be each other's partners.
type group struct{ rows, cols []int }

// within finds the connected groups of points less than limit apart: none of one is the partner of one of another, so that each is a problem of assignment of its own, and a small one where points are
// far apart. Points that are near none are in none.
func within(d *mat.Dense, limit float64) []group {
	n, m := d.Dims()
	rows, cols := make([]bool, n), make([]bool, m)
	var out []group
	for first := range n {
		if rows[first] {
			continue
		}
		g := group{rows: []int{first}}
		rows[first] = true
		// Points are followed in the order in which they were found.
		for i, j := 0, 0; i < len(g.rows) || j < len(g.cols); {
			if i < len(g.rows) {
				for k, v := range d.RawRowView(g.rows[i]) {
					if v < limit && !cols[k] {
						cols[k] = true
						g.cols = append(g.cols, k)
					}
				}
				i++
				continue
			}
			for k := range n {
				if !rows[k] && d.At(k, g.cols[j]) < limit {
					rows[k] = true
					g.rows = append(g.rows, k)
				}
			}
			j++
		}
		if len(g.cols) > 0 {
			slices.Sort(g.rows)
			slices.Sort(g.cols)
			out = append(out, g)
		}
	}
	return out
}

// nulls are the means over draws in which n visited states take the place of the second subject's points; not numbers without draws. The error is ctx's.
func (c *fixedPoints) nulls(ctx context.Context, x [][]float64, n int, m *affine) (matching, error) {
	if c.NullDraws == 0 {
		return matching{distance: math.NaN(), far: math.NaN(), matched: math.NaN()}, nil
	}
	var mean matching
	for draw := range c.NullDraws {
		if err := ctx.Err(); err != nil {
			return mean, err
		}
		r := random.New(c.seed, "fixedpoints/null", uint64(draw))
		y := make([][]float64, n)
		for i := range y {
			y[i] = make([]float64, m.to)
			m.target.read(y[i], r.IntN(m.target.total()))
		}
		one := match(x, y, m.radius)
		mean.distance += one.distance / float64(c.NullDraws)
		mean.far += one.far / float64(c.NullDraws)
		mean.matched += one.matched / float64(c.NullDraws)
	}
	return mean, nil
}

// compareMatched compares what the dynamics do around points that have a partner. In the nulls any point is any other's partner: the mean over all for the stability, over draws for the eigenvalues.
func (c *fixedPoints) compareMatched(ctx context.Context, u, v *under, pairs [][2]int, add func(metric string, x float64, unit string, n int, better component.Better) *component.Result) error {
	same := func(i, j int) float64 {
		if u.fixed[i].Unstable == v.fixed[j].Unstable {
			return 1
		}
		return 0
	}
	gap := func(i, j int) float64 {
		x, y := u.fixed[i].Eigenvalues, v.fixed[j].Eigenvalues
		n := min(len(x), len(y))
		return spectrumDistance(x[:n], y[:n])
	}
	var agree, apart, anyApart float64
	gaps := make([]float64, len(pairs))
	err := each(ctx, c.threads, len(pairs), 1, func(_ context.Context, i, _ int) error {
		gaps[i] = gap(pairs[i][0], pairs[i][1])
		return nil
	})
	if err != nil {
		return err
	}
	for i, p := range pairs {
		agree += same(p[0], p[1]) / float64(len(pairs))
		apart += gaps[i] / float64(len(pairs))
	}
	anyAgree := 0.0
	for i := range u.fixed {
		for j := range v.fixed {
			anyAgree += same(i, j) / float64(len(u.fixed)*len(v.fixed))
		}
	}
	for draw := range c.NullDraws {
		r := random.New(c.seed, "fixedpoints/partners", uint64(draw))
		anyApart += gap(r.IntN(len(u.fixed)), r.IntN(len(v.fixed)))
	}
	anyApart /= float64(c.NullDraws)
	if len(u.fixed) == 1 && len(v.fixed) == 1 { // there is no other partner
		anyAgree, anyApart = math.NaN(), math.NaN()
	}
	add(sameStability, agree, "", len(pairs), component.Higher).Null = anyAgree
	add(spectralGap, apart, "", len(pairs), component.Lower).Null = anyApart
	return nil
}

// spectrumDistance is the mean distance of eigenvalues paired by the optimal assignment, the Wasserstein distance of order 1 of two spectra of one size.
func spectrumDistance(x, y []complex128) float64 {
	costs := make([]float64, len(x)*len(y))
	for i, v := range x {
		for j, w := range y {
			costs[i*len(y)+j] = cmplx.Abs(v - w)
		}
	}
	cost := func(i, j int) float64 { return costs[i*len(y)+j] }
	sum := 0.0
	for i, j := range transport.Assign(len(x), len(y), cost) {
		sum += cost(i, j)
	}
	return sum / float64(len(x))
}
