package fixedpoints

import (
	"cmp"
	"context"
	"slices"
)

// middles searches from the middles between two points of which one at least is new, which are those from number first on, until nothing new is found.
func (h *hunt) middles(ctx context.Context, first int) error {
	for range h.Rounds {
		starts := h.between(first, h.set.Starts)
		if len(starts) == 0 {
			break
		}
		first = len(h.known.points)
		if err := h.round(ctx, starts, between); err != nil {
			return err
		}
		if err := h.pursue(ctx); err != nil {
			return err
		}
	}
	return nil
}

// between returns the middles between two points of which one at least is new, the nearest pairs first, at most so many.
func (h *hunt) between(first, most int) []float64 {
	type pair struct {
		a, b *found
		r    float64
	}
	var pairs []pair
	nearest := func() {
		slices.SortStableFunc(pairs, func(p, q pair) int { return cmp.Compare(p.r, q.r) })
		pairs = pairs[:min(len(pairs), most)]
	}
	near := h.known.points
	for i := first; i < len(near); i++ {
		for k := range i {
			pairs = append(pairs, pair{near[i], near[k], distance(near[i].x, near[k].x)})
		}
		if len(pairs) > 4*most {
			nearest() // a line of points has too many pairs to hold
		}
	}
	nearest()
	var out []float64
	for _, p := range pairs {
		for i, v := range p.a.x {
			out = append(out, (v+p.b.x[i])/2)
		}
	}
	return out
}
