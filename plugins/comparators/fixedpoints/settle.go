package fixedpoints

import (
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

const (
	// leaps bounds the steps of a settling; each may be longer than the one before.
	leaps = 80
	// bent is by how many |f| the dynamics along a leap may differ from linear ones. Where they are slow and all directions are stable the way hardly matters; 0.3, 1 and 3 give the same basins.
	bent = 3
	// longer and shorter are by what a leap is multiplied and divided after one that was taken, and one that was not.
	longer, shorter = 4, 4
)

// settler is a state that follows the slow dynamics.
type settler struct {
	row  int
	x, f []float64
	// h is the length of the next leap in bins.
	h float64
}

// settle follows slow dynamics, where a map is as good as the flow dx/dt = f(x) = F(x) - x, by linearly implicit Euler steps of growing length h, dx = h (1 - h (J - 1))^-1 f: what dies away within h
// is damped, what is slower is followed, and where the dynamics are linear a leap may be as long as one likes (pseudo-transient continuation, Kelley & Keyes 1998). A leap is shorter where F bends
// along it, and where h is so long that 1 - h (J - 1) has a negative determinant: an unstable direction would be taken the wrong way. It writes the stable points that states go to.
func (s *system) settle(ctx context.Context, states []settler, stable *catalogue, index map[*found]int, to []int) error {
	d := s.size()
	on := make([]*settler, len(states))
	for i := range states {
		on[i] = &states[i]
	}
	buffer := make([]float64, d)
	for range leaps {
		on = slices.DeleteFunc(on, func(t *settler) bool {
			if p := stable.captures(t.x, t.f, buffer); p != nil {
				to[t.row] = index[p]
				return true
			}
			return !finite(t.f)
		})
		if len(on) == 0 {
			return nil
		}
		if err := s.leap(ctx, on); err != nil {
			return err
		}
	}
	return nil
}

// leap takes each state a leap further, if F does not bend too much along it; else its next leap is shorter.
func (s *system) leap(ctx context.Context, on []*settler) error {
	d := s.size()
	x, long := make([]float64, 0, len(on)*d), make([]float64, 0, len(on)*d)
	for _, t := range on {
		x = append(x, t.x...)
		if t.h > 1 {
			long = append(long, t.x...)
		}
	}
	var js []float64
	if len(long) > 0 {
		var err error
		if js, _, err = s.jacobians(ctx, long); err != nil {
			return err
		}
	}
	linear := make([]float64, len(x))
	for i, t := range on {
		var own []float64
		if t.h > 1 {
			own, js = js[:d*d], js[d*d:]
		}
		t.leap(own, x[i*d:(i+1)*d], linear[i*d:(i+1)*d])
	}
	f := make([]float64, len(x))
	if err := s.step(ctx, x, f); err != nil {
		return err
	}
	floats.Sub(f, x)
	for i, t := range on {
		y, g := x[i*d:(i+1)*d], f[i*d:(i+1)*d]
		if t.h > 1 && !(distance(g, linear[i*d:(i+1)*d]) <= bent*floats.Norm(t.f, 2)) {
			t.h = max(1, t.h/shorter)
			continue
		}
		t.x, t.f, t.h = y, g, longer*t.h
	}
	return nil
}

// leap adds a leap to x, and writes what f would be there if F were linear. A leap of one bin or less is a step of F itself, of which nothing is foreseen.
func (t *settler) leap(js, x, foreseen []float64) {
	d := len(x)
	for ; t.h > 1; t.h = max(1, t.h/shorter) {
		a := mat.NewDense(d, d, nil)
		for i := range d {
			row := a.RawRowView(i)
			for k, v := range js[i*d : (i+1)*d] {
				row[k] = -t.h * v
			}
			row[i] += 1 + t.h
		}
		var lu mat.LU
		lu.Factorize(a)
		if _, sign := lu.LogDet(); !(sign > 0) {
			continue
		}
		step := mat.NewVecDense(d, nil)
		if err := lu.SolveVecTo(step, false, mat.NewVecDense(d, t.f)); err != nil || math.IsNaN(step.AtVec(0)) {
			continue
		}
		// s = (1 - h (J - 1))^-1 f is dx/h, and dx = h (f + (J - 1) dx): s is what f would be.
		copy(foreseen, step.RawVector().Data)
		floats.AddScaled(x, t.h, foreseen)
		return
	}
	floats.Add(x, t.f)
}
