package fixedpoints

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// found is a point while the search goes on.
type found struct {
	x []float64
	q float64
	// hits is how many starts of the first round ended here.
	hits int
	// inverse of J - 1, nil where that is singular or too much is kept already.
	inverse []float64
	// stability is 1 where all directions are stable, -1 where not, 0 where that was not asked yet.
	stability int8
}

// inverseBytes bounds what inverses take together: points beyond it are only known by their place.
const inverseBytes = 128 << 20

// catalogue holds the points found under one input.
type catalogue struct {
	points []*found
	// unique is the distance below which two points are one.
	unique float64
}

// nearest returns the nearest point and its distance, nil where there are none.
func (c *catalogue) nearest(x []float64) (*found, float64) {
	var best *found
	least := math.Inf(1)
	for _, p := range c.points {
		sum := 0.0
		for i, v := range p.x {
			sum += (v - x[i]) * (v - x[i])
			if sum >= least {
				break
			}
		}
		if sum < least {
			best, least = p, sum
		}
	}
	return best, math.Sqrt(least)
}

// closer is by how much a chord step must take a start closer to a point for the start to be counted as the point's.
const closer = 0.25

// captures returns the point that x, where F(x) - x is f, goes to: the nearest, if a chord step takes x closer to it by far. buffer has the length of x.
func (c *catalogue) captures(x, f, buffer []float64) *found {
	p, distance := c.nearest(x)
	if p == nil || p.inverse == nil {
		return nil
	}
	d := len(x)
	copy(buffer, x)
	blas64.Gemv(blas.NoTrans, -1, blas64.General{Rows: d, Cols: d, Stride: d, Data: p.inverse}, vector(f), 1, vector(buffer))
	if floats.Distance(buffer, p.x, 2) <= closer*distance {
		return p
	}
	return nil
}

// add returns the point that x is, a new one if there is none as near as that.
func (c *catalogue) add(x []float64, q float64, inverse []float64) (p *found, isNew bool) {
	if p, distance := c.nearest(x); p != nil && distance <= c.unique {
		if q < p.q {
			p.x, p.q = x, q
			if inverse != nil {
				p.inverse, p.stability = inverse, 0
			}
		}
		return p, false
	}
	if len(c.points)*len(x)*len(x)*8 > inverseBytes {
		inverse = nil
	}
	p = &found{x: x, q: q, inverse: inverse}
	c.points = append(c.points, p)
	return p, true
}

// sortPoints puts points in an order that does not depend on how they were found: by coordinates, where rounding does not decide.
func sortPoints[P any](points []P, rank func(P) int, at func(P) []float64, tolerance float64) {
	slices.SortStableFunc(points, func(a, b P) int {
		if c := cmp.Compare(rank(a), rank(b)); c != 0 {
			return c
		}
		x, y := at(a), at(b)
		for i := range x {
			if math.Abs(x[i]-y[i]) > tolerance {
				return cmp.Compare(x[i], y[i])
			}
		}
		return 0
	})
}

// polished is a state after Newton steps.
type polished struct {
	x, f []float64
	// away is how far Newton's next step would go: about the distance from the fixed point. Where F comes ever closer to the identity, q is as small as one likes and
	// there is none: then it stays large.
	away float64
	// inverse of J - 1, nil where that is singular.
	inverse []float64
}

// polish takes Newton steps while they lower q. residual and jacobian are of one state.
func polish(x, f []float64, residual func(x, f []float64) error, jacobian func(x []float64) ([]float64, error)) (polished, error) {
	const newtonSteps = 8
	d := len(x)
	p := polished{x: slices.Clone(x), f: slices.Clone(f)}
	for left := newtonSteps; ; left-- {
		js, err := jacobian(p.x)
		if err != nil {
			return p, err
		}
		a := mat.NewDense(d, d, slices.Clone(js))
		for k := range d {
			a.Set(k, k, a.At(k, k)-1)
		}
		var lu mat.LU
		lu.Factorize(a)
		step := make([]float64, d)
		regular := lu.Cond() < 1e13
		if regular {
			regular = lu.SolveVecTo(mat.NewVecDense(d, step), false, mat.NewVecDense(d, p.f)) == nil
		}
		if !regular && !leastNorm(step, a, p.f) {
			p.away = math.Inf(1)
			return p, nil
		}
		p.away = floats.Norm(step, 2)
		next, nextF := make([]float64, d), make([]float64, d)
		floats.SubTo(next, p.x, step)
		if err := residual(next, nextF); err != nil {
			return p, err
		}
		better := half2(nextF) < half2(p.f)
		if better {
			p.x, p.f = next, nextF
		}
		if better && left > 0 && half2(nextF) > 1e-28 {
			continue
		}
		if regular {
			var inverse mat.Dense
			if err := lu.SolveTo(&inverse, false, eye(d)); err == nil {
				p.inverse = inverse.RawMatrix().Data
			}
		}
		return p, nil
	}
}

// leastNorm writes the shortest solution of a x = f to x, with singular values below 1e-12 of the largest left out.
func leastNorm(x []float64, a *mat.Dense, f []float64) bool {
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDFull) {
		return false
	}
	rank := svd.Rank(1e-12)
	if rank == 0 {
		return false
	}
	svd.SolveVecTo(mat.NewVecDense(len(x), x), mat.NewVecDense(len(f), f), rank)
	return true
}

func eye(d int) *mat.Dense {
	m := mat.NewDense(d, d, nil)
	for k := range d {
		m.Set(k, k, 1)
	}
	return m
}
