package fixedpoints

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// continuation is the way of the points under one input to another.
type continuation struct {
	// steps are the grid points after the first; paths hold a point's states on the grid, (steps+1) x state or as far as it went, by point.
	steps int
	paths [][]float64
	// reached is how far each point went, 1 where it arrived; arrives is its place among the points under the other input, nowhere where there is none.
	reached []float64
	arrives []int
	// changed is the number of points whose number of unstable directions is not the same at the end.
	changed int
}

// persisted is the number of points that arrived.
func (c *continuation) persisted() int {
	n := 0
	for _, r := range c.reached {
		if r == 1 {
			n++
		}
	}
	return n
}

// halvings is how often a step of the continuation may be halved before the point is taken to have ended in a fold.
const halvings = 10

// follow moves the input from one to the next in equal steps, which are halved where they fail, and each point with it: by the tangent dx/du = (1 - J)^-1 B, then
// by Newton steps (Keller 1977). A point that meets another in a fold ends there.
func (c *fixedPoints) follow(ctx context.Context, s *system, from, to *under) (*continuation, error) {
	n := len(from.Fixed)
	out := &continuation{steps: c.Continue, paths: make([][]float64, n), reached: make([]float64, n), arrives: make([]int, n)}
	change := make([]float64, len(from.input))
	for i, u := range to.input {
		change[i] = u - from.input[i]
	}
	final := catalogue{}
	for _, p := range to.Fixed {
		final.points = append(final.points, &found{x: p.X})
	}
	unstable := make([]int, n)
	err := each(ctx, s.threads, n, 1, func(ctx context.Context, i, _ int) error {
		x := from.Fixed[i].X
		path := append([]float64(nil), x...)
		at, step := 0.0, 1/float64(c.Continue)
		least := step / (1 << halvings)
		out.arrives[i] = nowhere
		for grid := 1; grid <= c.Continue; {
			goal := float64(grid) / float64(c.Continue)
			if grid == c.Continue {
				goal = 1
			}
			next := min(at+step, goal)
			y, ok, err := c.moved(ctx, s, from.input, change, x, at, next, from.scale)
			if err != nil {
				return err
			}
			if !ok {
				if step /= 2; step < least {
					break
				}
				continue
			}
			x, at = y, next
			if at == goal {
				path = append(path, x...)
				grid++
			}
			step = min(2*step, 1/float64(c.Continue))
		}
		out.paths[i], out.reached[i] = path, at
		if at < 1 {
			return nil
		}
		if p, r := final.nearest(x); p != nil && r <= c.TolUnique {
			out.arrives[i] = slices.Index(final.points, p)
		}
		l, err := s.under(to.input).linearise(ctx, []Point{{X: x}}, 0, false)
		if err == nil {
			unstable[i] = l[0].Unstable
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, r := range out.reached {
		if r == 1 && unstable[i] != from.fixed[i].Unstable {
			out.changed++
		}
	}
	return out, nil
}

// moved takes a point at input + at*change to input + next*change. It is not ok where Newton's steps do not converge, or go farther than the tangent's own length.
func (c *fixedPoints) moved(ctx context.Context, s *system, input, change, x []float64, at, next, scale float64) ([]float64, bool, error) {
	d := s.size()
	mix := func(t float64) *system {
		u := make([]float64, len(input))
		for i, v := range input {
			u[i] = v + t*change[i]
		}
		return s.under(u)
	}
	js, ju, err := mix(at).jacobians(ctx, x)
	if err != nil {
		return nil, false, err
	}
	a, b := mat.NewDense(d, d, nil), mat.NewVecDense(d, nil)
	for i := range d {
		for k := range d {
			a.Set(i, k, -js[i*d+k])
		}
		a.Set(i, i, 1+a.At(i, i))
		for k, v := range change {
			b.SetVec(i, b.AtVec(i)+ju[i*len(change)+k]*v*(next-at))
		}
	}
	var tangent mat.VecDense
	if err := tangent.SolveVec(a, b); err != nil {
		return nil, false, nil //nolint:nilerr // a singular Jacobian is a fold
	}
	length := mat.Norm(&tangent, 2)
	if !(length <= scale) {
		return nil, false, nil
	}
	y := make([]float64, d)
	for i, v := range x {
		y[i] = v + tangent.AtVec(i)
	}
	there := mix(next)
	h := hunt{system: there}
	f := make([]float64, d)
	if err := there.residuals(ctx, y, f); err != nil {
		return nil, false, err
	}
	p, err := h.polish(ctx, y, f)
	if err != nil {
		return nil, false, err
	}
	ok := half2(p.f) <= c.TolQ && p.away <= c.TolUnique && distance(p.x, y) <= math.Max(length/2, c.TolUnique)
	return p.x, ok, nil
}
