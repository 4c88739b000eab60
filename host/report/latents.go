package report

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// plane is the mean and the first two principal components of some latents, with the shares of variance along them.
type plane struct {
	mean   []float64
	axes   *mat.Dense // (D, 2)
	shares [2]float64
}

// newPlane finds the plane in which latents vary most, from the training trials. The sign of an axis is such that its largest entry is positive.
func newPlane(c *cube) (*plane, error) {
	data, n := c.rows(maxRows)
	d := c.channels
	if d < 2 {
		return nil, errors.New("the latents have one dimension, no plane")
	}
	if n < 3 {
		return nil, fmt.Errorf("%d bins are too few for principal components", n)
	}
	x := mat.NewDense(n, d, data)
	p := &plane{mean: make([]float64, d), axes: mat.NewDense(d, 2, nil)}
	for j := range d {
		p.mean[j] = stat.Mean(mat.Col(nil, j, x), nil)
	}
	var pc stat.PC
	if !pc.PrincipalComponents(x, nil) {
		return nil, errors.New("the principal components of the latents were not found")
	}
	var vectors mat.Dense
	pc.VectorsTo(&vectors)
	total := 0.0
	vars := pc.VarsTo(nil)
	for _, v := range vars {
		total += v
	}
	if !(total > 0) || vectors.RawMatrix().Cols < 2 {
		return nil, errors.New("the latents do not vary")
	}
	for k := range 2 {
		col := mat.Col(nil, k, &vectors)
		largest := 0.0
		for _, v := range col {
			if math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		for j, v := range col {
			p.axes.Set(j, k, v*math.Copysign(1, largest))
		}
		p.shares[k] = vars[k] / total
	}
	return p, nil
}

// project returns the latents of all trials in the plane: rows (bins, 2) for each trial.
func (p *plane) project(c *cube) []*mat.Dense {
	out := make([]*mat.Dense, c.trials)
	for b := range out {
		n := c.lengths[b]
		if n == 0 {
			continue
		}
		out[b] = mat.NewDense(n, 2, nil)
		for t := range n {
			row := c.data[(b*c.bins+t)*c.channels:][:c.channels]
			for k := range 2 {
				var s float64
				for j, v := range row {
					s += (v - p.mean[j]) * p.axes.At(j, k)
				}
				out[b].Set(t, k, s)
			}
		}
	}
	return out
}

// mapping is a least-squares map with intercept from inferred latents to the plane.
type mapping struct{ weights *mat.Dense } // (D+1, 2), the intercept last

// fitMapping fits by the singular value decomposition, so that latents that depend on one another do no harm.
func fitMapping(inferred *cube, targets []*mat.Dense) (*mapping, error) {
	data, n := inferred.rows(maxRows)
	d := inferred.channels
	if n == 0 {
		return nil, errors.New("there are no bins to fit to")
	}
	x := mat.NewDense(n, d+1, nil)
	y := mat.NewDense(n, 2, nil)
	for i := range n {
		copy(x.RawRowView(i), data[i*d:(i+1)*d])
		x.Set(i, d, 1)
	}
	i := 0
	for _, part := range targets {
		if part == nil {
			continue
		}
		rows, _ := part.Dims()
		for t := 0; t < rows && i < n; t, i = t+1, i+1 {
			y.SetRow(i, part.RawRowView(t))
		}
	}
	var svd mat.SVD
	if !svd.Factorize(x, mat.SVDThin) {
		return nil, errors.New("the regression onto the true latents was not found")
	}
	rank := svd.Rank(1e-10)
	if rank == 0 {
		return nil, errors.New("the inferred latents are zero")
	}
	m := &mapping{new(mat.Dense)}
	svd.SolveTo(m.weights, y, rank)
	return m, nil
}

func (m *mapping) apply(c *cube) []*mat.Dense {
	out := make([]*mat.Dense, c.trials)
	d := c.channels
	for b := range out {
		n := c.lengths[b]
		if n == 0 {
			continue
		}
		out[b] = mat.NewDense(n, 2, nil)
		for t := range n {
			row := c.data[(b*c.bins+t)*d:][:d]
			for k := range 2 {
				s := m.weights.At(d, k)
				for j, v := range row {
					s += v * m.weights.At(j, k)
				}
				out[b].Set(t, k, s)
			}
		}
	}
	return out
}

// planeR2 is the variance-weighted R2 in the plane.
func planeR2(truth, inferred []*mat.Dense) float64 {
	var res, tot float64
	var mean [2]float64
	n := 0.0
	for _, a := range truth {
		if a != nil {
			rows, _ := a.Dims()
			for t := range rows {
				mean[0], mean[1], n = mean[0]+a.At(t, 0), mean[1]+a.At(t, 1), n+1
			}
		}
	}
	mean[0], mean[1] = mean[0]/n, mean[1]/n
	for b, a := range truth {
		if a == nil {
			continue
		}
		rows, _ := a.Dims()
		for t := range rows {
			for k := range 2 {
				res += math.Pow(a.At(t, k)-inferred[b].At(t, k), 2)
				tot += math.Pow(a.At(t, k)-mean[k], 2)
			}
		}
	}
	return 1 - res/tot
}

// latentTrials is how many trials are drawn in a plane.
const latentTrials = 6

// trajectories joins the first trials into one line with gaps between them.
func trajectories(trials []*mat.Dense) (x, y []float64) {
	for _, a := range trials[:min(len(trials), latentTrials)] {
		if a == nil {
			continue
		}
		rows, _ := a.Dims()
		for t := range rows {
			x, y = append(x, a.At(t, 0)), append(y, a.At(t, 1))
		}
		x, y = append(x, math.NaN()), append(y, math.NaN())
	}
	return x, y
}

// latents shows true latents in the plane of their first two principal components and, where models inferred latents, those mapped onto them. Without
// true latents each model's own are shown in their own plane.
func latents(r *recording, models []*inference) (f component.Figure, ok bool, why error) {
	f = component.Figure{Name: "latents", Title: "Latents in the plane of their first principal components"}
	if r.train.latents == nil || r.valid.latents == nil {
		return ownPlanes(f, models)
	}
	p, err := newPlane(r.train.latents)
	if err != nil {
		return f, false, err
	}
	truth, target := p.project(r.valid.latents), p.project(r.train.latents)
	tx, ty := trajectories(truth)
	drawn := component.Mark{Kind: component.Line, Label: "true", Group: figure.Truth, X: tx, Y: ty}
	for _, m := range models {
		if m.train.latents == nil || m.valid.latents == nil {
			continue
		}
		fit, err := fitMapping(m.train.latents, target)
		if err != nil {
			why = errors.Join(why, fmt.Errorf("%s: %w", m.label, err))
			continue
		}
		inferred := fit.apply(m.valid.latents)
		x, y := trajectories(inferred)
		// The true ones, thin, lie on top: below they would be hidden where a model is good.
		drawn.Faint = true
		f.Panels = append(f.Panels, component.Panel{
			Title: fmt.Sprintf("%s: R² %.3f in this plane", m.label, planeR2(truth, inferred)), Equal: true, X: p.axis(0), Y: p.axis(1),
			Marks: []component.Mark{{Kind: component.Line, Label: m.label, Group: m.label, X: x, Y: y}, drawn},
		})
	}
	f.Caption = fmt.Sprintf("%d validation trials. The plane is that of the true latents' first two principal components over training trials. ", min(len(truth), latentTrials))
	if len(f.Panels) == 0 {
		f.Panels = append(f.Panels, component.Panel{Equal: true, X: p.axis(0), Y: p.axis(1), Marks: []component.Mark{drawn}})
	} else {
		f.Caption += "Inferred latents are brought into it by the linear map that fits best on training trials; " +
			"dimensions that a model invented do not show here but in state_r2."
	}
	f.Columns = min(len(f.Panels), 3)
	square(f.Panels)
	return f, true, why
}

// square gives all panels the same square of axes, so that they can be compared.
func square(panels []component.Panel) {
	low, high := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	for _, p := range panels {
		for _, m := range p.Marks {
			for k, values := range [2][]float64{m.X, m.Y} {
				for _, v := range values {
					if !math.IsNaN(v) && !math.IsInf(v, 0) {
						low[k], high[k] = min(low[k], v), max(high[k], v)
					}
				}
			}
		}
	}
	half := 0.53 * max(high[0]-low[0], high[1]-low[1])
	if !(half > 0) {
		return
	}
	for i := range panels {
		for k, a := range []*component.Axis{&panels[i].X, &panels[i].Y} {
			mid := (low[k] + high[k]) / 2
			a.Min, a.Max = mid-half, mid+half
		}
	}
}

func (p *plane) axis(k int) component.Axis {
	return component.Axis{Label: fmt.Sprintf("PC %d (%.0f%% of variance)", k+1, 100*p.shares[k])}
}

func ownPlanes(f component.Figure, models []*inference) (component.Figure, bool, error) {
	var why error
	for _, m := range models {
		if m.train.latents == nil || m.valid.latents == nil {
			continue
		}
		p, err := newPlane(m.train.latents)
		if err != nil {
			why = errors.Join(why, fmt.Errorf("%s: %w", m.label, err))
			continue
		}
		x, y := trajectories(p.project(m.valid.latents))
		f.Panels = append(f.Panels, component.Panel{
			Title: m.label, Equal: true, X: p.axis(0), Y: p.axis(1),
			Marks: []component.Mark{{Kind: component.Line, Label: m.label, Group: m.label, X: x, Y: y}},
		})
	}
	f.Columns = min(len(f.Panels), 3)
	f.Caption = fmt.Sprintf("Up to %d validation trials, each model's inferred latents in their own plane: there are no true latents to lay them over.", latentTrials)
	return f, len(f.Panels) > 0, why
}
