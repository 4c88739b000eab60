package fixedpoints

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// Exact says what was done to find all points of a step that is piecewise linear.
type Exact struct {
	// Kinks is the number of hyperplanes at which the step bends, 0 where they were not found: where there are several layers of them.
	Kinks int
	// Complete is true where it is proven, up to rounding, that no fixed point within reach is missing; Looked is the number of sets of linear regions that were looked at for that.
	Complete bool
	Looked   int
	// Continua is the number of linear regions in which points are not isolated.
	Continua int
}

// String says it in words, for the report.
func (x *Exact) String() string {
	var s string
	switch {
	case x.Kinks == 0 && !x.Complete:
		s = "the step is piecewise linear, but not with one layer of kinks: regions were solved one after the other, from each that a start led to"
	case x.Complete:
		s = fmt.Sprintf("the step is linear but for %d kinks, and no region within reach holds another point", x.Kinks)
	default:
		s = fmt.Sprintf("the step is linear but for %d kinks, whose regions are too many to go through: regions were solved one after the other, from each that a start led to", x.Kinks)
	}
	if x.Continua > 0 {
		s += fmt.Sprintf("; in %d of them points are not isolated", x.Continua)
	}
	return s
}

// exactly finds all points of a piecewise-linear step: where it has one layer of kinks, and not too many regions, by going through all regions that may hold a point; else by Newton's
// whole steps from region to region, each of which solves for the point of a region exactly.
func (h *hunt) exactly(ctx context.Context, starts []float64) error {
	piecewise, err := h.isPiecewise(ctx, starts)
	if err != nil || !piecewise {
		return err
	}
	h.set.Exact = &Exact{}
	p, err := h.dissect(ctx)
	if err != nil {
		return err
	}
	if p != nil {
		h.set.Exact.Kinks = len(p.kinks)
		if err := h.enumerate(ctx, p, starts); err != nil || h.set.Exact.Complete {
			return err
		}
	}
	return h.wander(ctx, starts)
}

// wanderers is the number of starts that go from region to region, hops the number of regions that each may see.
const wanderers, hops = 256, 40

// wander solves for the fixed point of the linear region that each start is in; where that point is not in the region itself, the search goes on from the region where it is (Eisenmann et al. 2023,
// "Bifurcations and loss jumps in RNN training").
func (h *hunt) wander(ctx context.Context, starts []float64) error {
	d := h.size()
	n := min(wanderers, len(starts)/d)
	return each(ctx, 1, n, jacobianRows, func(ctx context.Context, from, to int) error {
		x := append([]float64(nil), starts[from*d:to*d]...)
		f := make([]float64, len(x))
		for range hops {
			if len(x) == 0 {
				return nil
			}
			f = f[:len(x)]
			if err := h.residuals(ctx, x, f); err != nil {
				return err
			}
			js, _, err := h.jacobians(ctx, x)
			if err != nil {
				return err
			}
			var on, there []float64
			for i := range len(x) / d {
				row := x[i*d : (i+1)*d]
				if half2(f[i*d:(i+1)*d]) <= h.TolQ {
					there = append(there, row...)
					continue
				}
				a := mat.NewDense(d, d, js[i*d*d:(i+1)*d*d])
				for k := range d {
					a.Set(k, k, a.At(k, k)-1)
				}
				var step mat.VecDense
				if step.SolveVec(a, mat.NewVecDense(d, f[i*d:(i+1)*d])) != nil {
					continue
				}
				floats.Sub(row, step.RawVector().Data)
				if finite(row) && distance(row, h.centroid) <= 100*h.bounded() {
					on = append(on, row...)
				}
			}
			if err := h.admit(ctx, there); err != nil {
				return err
			}
			x = on
		}
		return nil
	})
}

// admit polishes states where a point should be, and takes those where one is into the catalogue.
func (h *hunt) admit(ctx context.Context, x []float64) error {
	d := h.size()
	f := make([]float64, len(x))
	if err := h.residuals(ctx, x, f); err != nil {
		return err
	}
	for i := range len(x) / d {
		p, err := h.polish(ctx, x[i*d:(i+1)*d], f[i*d:(i+1)*d])
		if err != nil {
			return err
		}
		if q := half2(p.f); q <= h.TolQ && p.away <= h.TolUnique && distance(p.x, h.centroid) <= h.reach {
			h.known.add(p.x, q, p.inverse)
		}
	}
	return nil
}

// work bounds the multiplications of the search over regions, about one or two seconds; enough is by how much a bound must be passed to count, in units of the largest value.
const (
	work   = 1e8
	enough = 1e-9
)

// enumerate goes through the regions. Seen from a region in which no kink is active, points are x = (1 - A)^-1 (c + B r), r = relu(y), y = M r + q. Kinks are taken for active or not one after the other, and
// with each that is decided one unknown r is eliminated; what the rest may be is bounded by intervals, beginning with what is within reach, so that most sets of regions are out at once.
func (h *hunt) enumerate(ctx context.Context, p *pieces, starts []float64) error {
	d, m := h.size(), len(p.kinks)
	var inverse *mat.Dense
	// A region from which all is seen, where 1 - A is far from singular.
	r := random.New(0, "fixedpoints/around")
	for i := range 3 * looks {
		x := make([]float64, d)
		if i < looks {
			copy(x, starts[i%(len(starts)/d)*d:])
		} else {
			for k := range x {
				x[k] = h.centroid[k] + h.bounded()*r.NormFloat64()
			}
		}
		p.around(x)
		a := mat.NewDense(d, d, nil)
		a.Scale(-1, p.a)
		for k := range d {
			a.Set(k, k, a.At(k, k)+1)
		}
		var lu mat.LU
		lu.Factorize(a)
		if lu.Cond() < 1e10 {
			inverse = mat.NewDense(d, d, nil)
			if err := lu.SolveTo(inverse, false, eye(d)); err != nil {
				inverse = nil
				continue
			}
			break
		}
	}
	if inverse == nil {
		return nil
	}
	e := &enumeration{kinks: m, stop: ctx, unit: h.scale}
	// gains are (1 - A)^-1 B, base (1 - A)^-1 c.
	gains, base := mat.NewDense(d, max(1, m), nil), mat.NewVecDense(d, nil)
	base.MulVec(inverse, mat.NewVecDense(d, p.c))
	for k := range m {
		var column mat.VecDense
		column.MulVec(inverse, mat.NewVecDense(d, p.kinks[k].gain))
		gains.SetCol(k, column.RawVector().Data)
	}
	root := &node{state: make([]choice, m), low: make([]float64, m), high: make([]float64, m), rows: make([][]float64, m), rest: make([]float64, m)}
	for k := range m {
		w := p.kinks[k].w
		var row mat.VecDense
		row.MulVec(gains.T(), mat.NewVecDense(d, w))
		root.rows[k] = row.RawVector().Data
		root.rest[k] = floats.Dot(w, base.RawVector().Data) + p.kinks[k].offset
		at := p.kinks[k].at(h.centroid)
		// |w| is 1.
		root.low[k], root.high[k] = at-h.bounded(), at+h.bounded()
		e.unit = max(e.unit, math.Abs(at)+h.scale)
	}
	e.found = func(r []float64) error {
		x := append([]float64(nil), base.RawVector().Data...)
		for k, v := range r {
			if v != 0 {
				for i := range d {
					x[i] += v * gains.At(i, k)
				}
			}
		}
		return h.admit(ctx, x)
	}
	known := len(h.known.points)
	complete, err := e.search(root)
	if err != nil {
		return err
	}
	s := h.set.Exact
	s.Looked, s.Continua = e.looked, e.continua
	// What was found before must have been found again, else something was missed.
	s.Complete = complete
	for _, q := range h.known.points[:known] {
		if distance(q.x, h.centroid) <= h.bounded() && e.continua == 0 && !e.has(p, q.x) {
			s.Complete = false
		}
	}
	return nil
}
