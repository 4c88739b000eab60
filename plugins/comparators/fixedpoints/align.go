package fixedpoints

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/cmplx"

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
		for _, metric := range []string{alignment, matchDistance, hausdorff, countGap, sameStability, spectralGap} {
			out.results = append(out.results, without(metric, b.Label, a.Label, string(why)))
		}
		return out, nil
	} else if err != nil {
		return out, err
	}
	r := value(alignment, b.Label, m.r2, "", m.rows)
	r.Reference, r.Better = a.Label, component.Higher
	out.results = append(out.results, r)
	for _, u := range a.found {
		for k := range b.found {
			if v := &b.found[k]; v.name == u.name {
				if err := c.pairUnder(ctx, a, b, &u, v, m, len(a.found) > 1, &out); err != nil {
					return out, err
				}
			}
		}
	}
	return out, nil
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
	add(countGap, float64(len(v.Fixed)-len(u.Fixed)), "points", len(u.Fixed)+len(v.Fixed), component.Neither)
	if len(u.Fixed) == 0 || len(v.Fixed) == 0 {
		for _, metric := range []string{matchDistance, hausdorff, sameStability, spectralGap} {
			out.results = append(out.results, without(metric+suffix, b.Label, a.Label, fmt.Sprintf("%d fixed points in %s and %d in %s: at least 1 in each is needed", len(u.Fixed), a.Label, len(v.Fixed), b.Label)))
		}
		return nil
	}
	if len(u.Fixed) > mostPaired || len(v.Fixed) > mostPaired {
		for _, metric := range []string{matchDistance, hausdorff, sameStability, spectralGap} {
			out.results = append(out.results, without(metric+suffix, b.Label, a.Label, fmt.Sprintf("%d and %d fixed points: more than %d are no isolated points, and are not paired", len(u.Fixed), len(v.Fixed), mostPaired)))
		}
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
	mean, far, pairs := apart(x, y, m.radius)
	r := add(matchDistance, mean, "sd", len(pairs), component.Lower)
	r.Null = c.null(x, len(y), m)
	add(hausdorff, far, "sd", len(x)+len(y), component.Lower)
	same, gap, counted := 0, 0.0, 0
	for _, p := range pairs {
		l, r := u.fixed[p[0]], v.fixed[p[1]]
		if l.Unstable == r.Unstable {
			same++
		}
		n := min(len(l.Eigenvalues), len(r.Eigenvalues))
		gap += spectrumDistance(l.Eigenvalues[:n], r.Eigenvalues[:n])
		counted++
	}
	add(sameStability, float64(same)/float64(len(pairs)), "", len(pairs), component.Higher)
	add(spectralGap, gap/float64(counted), "", counted, component.Lower)
	out.figures = append(out.figures, alignedFigure(a, b, u, v, x, y, suffix, m))
	matrix := tensor.NewInt(fmt.Sprintf("%s.%s.%s.pairs", b.Label, a.Label, u.name), len(pairs), 2)
	for i, p := range pairs {
		matrix.I64[2*i], matrix.I64[2*i+1] = int64(p[0]), int64(p[1])
	}
	out.matrices = append(out.matrices, matrix)
	return nil
}

// mostPaired bounds the points of a set that is paired with another: the assignment takes the cube of their number.
const mostPaired = 1000

// apart pairs two sets and returns the mean distance of pairs, the Hausdorff distance, both in units of radius, and the pairs.
func apart(x, y [][]float64, radius float64) (mean, far float64, pairs [][2]int) {
	d := mat.NewDense(len(x), len(y), nil)
	for i := range x {
		for j := range y {
			d.Set(i, j, distance(x[i], y[j])/radius)
		}
	}
	pairs = transport.Pairs(len(x), len(y), d.At)
	for _, p := range pairs {
		mean += d.At(p[0], p[1]) / float64(len(pairs))
	}
	for i := range x {
		far = max(far, mat.Min(d.RowView(i)))
	}
	for j := range y {
		far = max(far, mat.Min(d.ColView(j)))
	}
	return mean, far, pairs
}

// null is the mean distance of pairs where as many visited states take the place of the second subject's points.
func (c *fixedPoints) null(x [][]float64, n int, m *affine) float64 {
	if c.NullDraws == 0 {
		return math.NaN()
	}
	sum := 0.0
	for draw := range c.NullDraws {
		r := random.New(c.seed, "fixedpoints/null", uint64(draw))
		y := make([][]float64, n)
		for i := range y {
			y[i] = make([]float64, m.to)
			m.target.read(y[i], r.IntN(m.target.total()))
		}
		mean, _, _ := apart(x, y, m.radius)
		sum += mean
	}
	return sum / float64(c.NullDraws)
}

// spectrumDistance is the mean distance of eigenvalues paired by the optimal assignment, the Wasserstein distance of order 1 of two spectra of one size.
func spectrumDistance(x, y []complex128) float64 {
	cost := func(i, j int) float64 { return cmplx.Abs(x[i] - y[j]) }
	sum := 0.0
	for i, j := range transport.Assign(len(x), len(y), cost) {
		sum += cost(i, j)
	}
	return sum / float64(len(x))
}
