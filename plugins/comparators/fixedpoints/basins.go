package fixedpoints

import (
	"context"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// nowhere is the basin of a start that was not seen to go to a stable point.
const nowhere = -1

// look is the number of steps between two looks at where the states are.
const look = 5

// attractors is a catalogue of the stable points, with their inverses; at holds the index of each.
func attractors(points []Point, linear []Linear, d int) (c catalogue, at map[*found]int) {
	at = map[*found]int{}
	for i, l := range linear {
		if l.Unstable > 0 {
			continue
		}
		p := &found{x: points[i].X}
		if len(c.points)*d*d*8 < inverseBytes {
			a := mat.NewDense(d, d, slices.Clone(l.Jacobian))
			for k := range d {
				a.Set(k, k, a.At(k, k)-1)
			}
			var inverse mat.Dense
			if inverse.Inverse(a) == nil {
				p.inverse = inverse.RawMatrix().Data
			}
		}
		c.points = append(c.points, p)
		at[p] = i
	}
	return c, at
}

// basins iterates F from each start, for at most so many steps, then follows what is slow in leaps, and returns the stable point that it goes to, by index in points, or nowhere. It is known to go there once F is as good as linear
// between it and the point, which is when a chord step takes it four times closer: where the linear dynamics are stable, what is left dies away, in however many steps. How near a state is would say
// less: along a slow direction it may be far for thousands of steps, and near a point whose basin is narrow it may be outside.
func (s *system) basins(ctx context.Context, starts []float64, points []Point, linear []Linear, steps int) ([]int, error) {
	stable, index := attractors(points, linear, s.size())
	return s.destinations(ctx, starts, &stable, index, steps)
}

// destinations are the basins of the stable points of a catalogue, by their numbers in index.
func (s *system) destinations(ctx context.Context, starts []float64, stable *catalogue, index map[*found]int, steps int) ([]int, error) {
	d := s.size()
	n := len(starts) / d
	to := slices.Repeat([]int{nowhere}, n)
	if len(stable.points) == 0 {
		return to, nil
	}
	err := each(ctx, s.threads, n, stepRows, func(ctx context.Context, from, until int) error {
		x, next := slices.Clone(starts[from*d:until*d]), make([]float64, (until-from)*d)
		f, buffer := make([]float64, d), make([]float64, d)
		rows := make([]int, 0, until-from)
		for i := from; i < until; i++ {
			rows = append(rows, i)
		}
		for step := 0; step < steps && len(rows) > 0; step++ {
			next = next[:len(x)]
			if err := s.step(ctx, x, next); err != nil {
				return err
			}
			if step%look != 0 && step != steps-1 {
				x, next = next, x
				continue
			}
			on := 0
			for k, row := range rows {
				at, then := x[k*d:(k+1)*d], next[k*d:(k+1)*d]
				for i, v := range then {
					f[i] = v - at[i]
				}
				if !finite(f) {
					continue
				}
				if p := stable.captures(at, f, buffer); p != nil {
					to[row] = index[p]
					continue
				}
				copy(next[on*d:(on+1)*d], then)
				rows[on] = row
				on++
			}
			rows = rows[:on]
			x, next = next[:on*d], x
		}
		// What has not arrived is where the dynamics are slow.
		states := make([]settler, len(rows))
		if len(rows) == 0 {
			return nil
		}
		f = make([]float64, len(x))
		if err := s.step(ctx, x, f); err != nil {
			return err
		}
		floats.Sub(f, x)
		for k, row := range rows {
			states[k] = settler{row, x[k*d : (k+1)*d], f[k*d : (k+1)*d], 2}
		}
		for at := 0; at < len(states); at += jacobianRows {
			if err := s.settle(ctx, states[at:min(len(states), at+jacobianRows)], stable, index, to); err != nil {
				return err
			}
		}
		return nil
	})
	return to, err
}
