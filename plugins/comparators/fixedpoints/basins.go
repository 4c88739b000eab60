package fixedpoints

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
)

// nowhere is the basin of a start that arrived at no stable point.
const nowhere = -1

const (
	// ball is the radius around a stable point within which a state that comes closer has arrived, as a share of the distance to the nearest other point.
	ball = 0.25
	// look is the number of steps between two looks at where the states are.
	look = 5
)

// basins iterates F from each start, for at most so many steps, and returns the stable point that it arrives at, by index in points, or nowhere.
func (s *system) basins(ctx context.Context, starts []float64, points []Point, stable []bool, scale float64, steps int) ([]int, error) {
	d := s.size()
	n := len(starts) / d
	radius := make([]float64, len(points))
	for i, p := range points {
		radius[i] = scale
		for k, o := range points {
			if k != i {
				radius[i] = min(radius[i], distance(p.X, o.X))
			}
		}
		radius[i] *= ball
	}
	to := make([]int, n)
	err := each(ctx, s.threads, n, stepRows, func(ctx context.Context, from, until int) error {
		x := append([]float64(nil), starts[from*d:until*d]...)
		rows := make([]int, 0, until-from)
		for i := from; i < until; i++ {
			to[i] = nowhere
			rows = append(rows, i)
		}
		before := make([]float64, until-from)
		for i := range before {
			before[i] = math.Inf(1)
		}
		for step := 0; step < steps && len(rows) > 0; step++ {
			if err := s.step(ctx, x, x); err != nil {
				return err
			}
			if step%look != look-1 {
				continue
			}
			on := 0
			for k, row := range rows {
				at := x[k*d : (k+1)*d]
				best, least := nowhere, math.Inf(1)
				for i, p := range points {
					if stable[i] {
						if r := floats.Distance(at, p.X, 2); r < least {
							best, least = i, r
						}
					}
				}
				if best != nowhere && least <= radius[best] && least <= before[k] {
					to[row] = best
					continue
				}
				if !finite(at) {
					continue
				}
				copy(x[on*d:(on+1)*d], at)
				rows[on], before[on] = row, least
				on++
			}
			rows, x = rows[:on], x[:on*d]
		}
		return nil
	})
	return to, err
}
