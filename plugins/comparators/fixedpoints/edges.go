package fixedpoints

import (
	"cmp"
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

const (
	// edgePairs bounds the pairs of stable points between which an edge is looked for, edgeSteps the steps in which it is seen where a state goes, before leaps; edgeHalvings is how often a pair's distance
	// is halved.
	edgePairs, edgeSteps, edgeHalvings = 64, 30, 26
)

// index is the sum over the points of the sign of det(1 - J). Where all states stay in a bounded region it is 1 once no point is missing (Lefschetz & Hopf): a stable point counts 1, a saddle with one
// unstable direction that keeps its sense -1. It is not known where a point has no inverse.
func (h *hunt) index() (sum int, known bool) {
	d := h.size()
	for _, p := range h.known.points {
		if p.inverse == nil {
			return 0, false
		}
		var lu mat.LU
		lu.Factorize(mat.NewDense(d, d, slices.Clone(p.inverse)))
		_, sign := lu.LogDet()
		if d%2 == 1 {
			sign = -sign
		}
		sum += int(sign)
	}
	return sum, true
}

// doubtful is whether saddles may be missing: the index tells, but not of points that are missing in pairs, or descents of q failed so often that those from middles may have failed too.
func (h *hunt) doubtful() bool {
	if h.misses*4 > h.set.Starts {
		return true
	}
	sum, known := h.index()
	return known && sum != 1
}

// edges looks for the saddles that the middles between points did not lead to: between two stable points it finds by halving where the one's basin ends, and follows F from there. On that edge all goes to
// a saddle, if not to a cycle, so that F is slow when it passes near (Skufca, Yorke & Eckhardt 2006).
func (h *hunt) edges(ctx context.Context) error {
	d := h.size()
	stable, index := catalogue{}, map[*found]int{}
	for _, p := range h.known.points {
		if p.isStable() && distance(p.x, h.centroid) <= h.reach {
			index[p] = len(stable.points)
			stable.points = append(stable.points, p)
		}
	}
	type pair struct {
		a, b int
		r    float64
	}
	var pairs []pair
	for b, p := range stable.points {
		for a, q := range stable.points[:b] {
			pairs = append(pairs, pair{a, b, distance(p.x, q.x)})
		}
	}
	slices.SortStableFunc(pairs, func(p, q pair) int { return cmp.Compare(p.r, q.r) })
	pairs = pairs[:min(len(pairs), edgePairs)]
	n := len(pairs)
	if n == 0 {
		return nil
	}
	near, far, middle := make([]float64, n*d), make([]float64, n*d), make([]float64, n*d)
	for i, p := range pairs {
		copy(near[i*d:], stable.points[p.a].x)
		copy(far[i*d:], stable.points[p.b].x)
	}
	for range edgeHalvings {
		for k := range middle {
			middle[k] = (near[k] + far[k]) / 2
		}
		to, err := h.destinations(ctx, middle, &stable, index, edgeSteps)
		if err != nil {
			return err
		}
		for i, p := range pairs {
			end := far
			if to[i] == p.a {
				end = near
			}
			copy(end[i*d:(i+1)*d], middle[i*d:(i+1)*d])
		}
	}
	f, slowest, least := make([]float64, n*d), make([]float64, n*d), make([]float64, n)
	err := each(ctx, h.threads, n, stepRows, func(ctx context.Context, from, to int) error {
		return h.forward(ctx, near[from*d:to*d], f[from*d:to*d], slowest[from*d:to*d], least[from:to])
	})
	if err != nil {
		return err
	}
	var starts []float64
	for i, q := range least {
		x := slowest[i*d : (i+1)*d]
		if math.IsInf(q, 1) {
			// It is still on its way to the saddle.
			x = near[i*d : (i+1)*d]
		}
		if finite(x) {
			starts = append(starts, x...)
		}
	}
	return h.round(ctx, starts, edge)
}
