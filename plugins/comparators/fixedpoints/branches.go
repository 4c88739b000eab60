package fixedpoints

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// choice is what a kink is taken for.
type choice uint8

const (
	undecided choice = iota
	off
	on
	// late kinks are active, but could not be eliminated: 1 minus their diagonal element is 0, as far as the others are decided.
	late
)

// node is a set of regions: y_k = sum over j that are undecided or late of rows[k][j] r_j + rest[k], for kinks that are on of r_k in place of y_k, within bounds.
type node struct {
	state     []choice
	low, high []float64
	rows      [][]float64
	rest      []float64
}

func (n *node) clone() *node {
	c := &node{append([]choice(nil), n.state...), append([]float64(nil), n.low...), append([]float64(nil), n.high...), make([][]float64, len(n.rows)), append([]float64(nil), n.rest...)}
	for k, row := range n.rows {
		c.rows[k] = append([]float64(nil), row...)
	}
	return c
}

// enumeration is a search through regions at work.
type enumeration struct {
	kinks    int
	unit     float64
	looked   int
	continua int
	spent    float64
	columns  []int
	stop     context.Context //nolint:containedctx // it lives as long as one call
	found    func(r []float64) error
	// patterns are those of the points found: which kinks are active, as seen from where the enumeration began.
	patterns []map[int]bool
}

// has reports whether the region of x, up to kinks that x lies on, is one in which a point was found.
func (e *enumeration) has(p *pieces, x []float64) bool {
	for _, pattern := range e.patterns {
		same := true
		for k := range p.kinks {
			y := p.kinks[k].at(x)
			if math.Abs(y) > 1e-6*e.unit && (y > 0) != pattern[k] {
				same = false
				break
			}
		}
		if same {
			return true
		}
	}
	return false
}

// search is false where the work is bounded before all was seen.
func (e *enumeration) search(root *node) (complete bool, err error) {
	for waiting := []*node{root}; len(waiting) > 0; {
		if err := e.stop.Err(); err != nil {
			return false, err
		}
		if e.spent > work {
			return false, nil
		}
		n := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		e.looked++
		if !e.narrow(n) {
			continue
		}
		k := e.branch(n)
		if k < 0 {
			if err := e.leaf(n, make([]float64, e.kinks)); err != nil {
				return false, err
			}
			continue
		}
		if r, ok := e.alone(n); ok {
			if err := e.leaf(n, r); err != nil {
				return false, err
			}
			continue
		}
		other := n.clone()
		e.spent += float64(e.kinks * e.kinks)
		if e.decide(other, k, off) {
			waiting = append(waiting, other)
		}
		if e.decide(n, k, on) {
			waiting = append(waiting, n)
		}
	}
	return true, nil
}

// bounds of r_j.
func (n *node) bounds(j int) (low, high float64) { return max(0, n.low[j]), max(0, n.high[j]) }

// free are the kinks whose r is unknown.
func (n *node) free(to []int) []int {
	to = to[:0]
	for j, s := range n.state {
		if s == undecided || s == late {
			to = append(to, j)
		}
	}
	return to
}

// narrow tightens bounds until little is gained, and decides what they decide. It is false where nothing is left.
func (e *enumeration) narrow(n *node) bool {
	slack := enough * e.unit
	for range sweeps {
		e.columns = n.free(e.columns)
		e.spent += float64(e.kinks * (1 + len(e.columns)))
		gained := false
		for k, row := range n.rows {
			low, high := n.rest[k], n.rest[k]
			for _, j := range e.columns {
				v := row[j]
				from, to := n.bounds(j)
				if v < 0 {
					from, to = to, from
				}
				low, high = low+v*from, high+v*to
			}
			width := n.high[k] - n.low[k]
			n.low[k], n.high[k] = max(n.low[k], low-slack), min(n.high[k], high+slack)
			if n.low[k] > n.high[k] {
				return false
			}
			gained = gained || n.high[k]-n.low[k] < 0.9*width
			if n.low[k] <= low && n.high[k] >= high {
				// The row is within its bounds whatever the unknowns are.
				continue
			}
			// What the row leaves to each unknown.
			for _, j := range e.columns {
				v := row[j]
				if v == 0 {
					continue
				}
				from, to := n.bounds(j)
				a, b := v*from, v*to
				if v < 0 {
					a, b = b, a
				}
				least, most := (n.low[k]-high+b)/v, (n.high[k]-low+a)/v
				if v < 0 {
					least, most = most, least
				}
				if least > to+slack || most < from-slack {
					return false
				}
				cut := false
				if most+slack < to-0.1*(to-from) {
					n.high[j], cut = most+slack, true
				}
				if least-slack > from+0.1*(to-from) {
					n.low[j], cut = max(n.low[j], least-slack), true
				}
				if cut {
					gained = true
					from, to = n.bounds(j)
					if v < 0 {
						from, to = to, from
					}
					low, high = low-a+v*from, high-b+v*to
				}
			}
		}
		for k := range n.state {
			if n.state[k] != undecided {
				continue
			}
			switch {
			case n.high[k] < -slack:
				gained = true
				if !e.decide(n, k, off) {
					return false
				}
			case n.low[k] > slack:
				gained = true
				if !e.decide(n, k, on) {
					return false
				}
			}
		}
		if !gained {
			break
		}
	}
	return true
}

// sweeps bounds those of narrow.
const sweeps = 30

// alone looks at whether the unknowns have one solution at most: where I - T has a positive definite symmetric part it has positive principal minors, and then r = relu(T r + t) has exactly one (Samelson,
// Thrall & Wesler 1958; Cottle, Pang & Stone 1992, 3.3). Then it is solved for, by taking for active what is positive, and where that goes round in circles by changing the first that is wrong alone, which ends (Murty 1974).
func (e *enumeration) alone(n *node) (r []float64, ok bool) {
	e.columns = n.free(e.columns)
	u := len(e.columns)
	e.spent += float64(u * u * (1 + u/6))
	s := mat.NewSymDense(u, nil)
	for i, k := range e.columns {
		if n.state[k] == late {
			return nil, false
		}
		for j, l := range e.columns[:i+1] {
			s.SetSym(i, j, -(n.rows[k][l]+n.rows[l][k])/2)
		}
		s.SetSym(i, i, s.At(i, i)+1-1e-9)
	}
	var c mat.Cholesky
	if !c.Factorize(s) {
		return nil, false
	}
	active, r := make([]bool, u), make([]float64, e.kinks)
	for round := range 50 + 20*u {
		var of []int
		for i := range u {
			if active[i] {
				of = append(of, i)
			}
		}
		e.spent += float64(u*len(of) + len(of)*len(of)*len(of)/3)
		clear(r)
		if len(of) > 0 {
			a, b := mat.NewDense(len(of), len(of), nil), mat.NewVecDense(len(of), nil)
			for x, i := range of {
				row := n.rows[e.columns[i]]
				for y, j := range of {
					a.Set(x, y, -row[e.columns[j]])
				}
				a.Set(x, x, 1+a.At(x, x))
				b.SetVec(x, n.rest[e.columns[i]])
			}
			var solution mat.VecDense
			if solution.SolveVec(a, b) != nil {
				return nil, false
			}
			for x, i := range of {
				r[e.columns[i]] = solution.AtVec(x)
			}
		}
		wrong := false
		for i, k := range e.columns {
			v := r[k]
			if !active[i] {
				v = n.rest[k]
				for _, j := range of {
					v += n.rows[k][e.columns[j]] * r[e.columns[j]]
				}
			}
			if active[i] != (v > 0) && math.Abs(v) > 1e-13*e.unit {
				wrong = true
				active[i] = !active[i]
				if round >= 50 {
					break
				}
			}
		}
		if !wrong {
			return r, true
		}
	}
	return nil, false
}

// branch is the undecided kink that is in doubt most, -1 where none is undecided.
func (e *enumeration) branch(n *node) int {
	best, at := -1.0, -1
	for k, s := range n.state {
		if s != undecided {
			continue
		}
		influence := 0.0
		for i := range n.rows {
			influence += math.Abs(n.rows[i][k])
		}
		if v := min(-n.low[k], n.high[k]) * (1e-3 + influence); v > best || at < 0 {
			best, at = v, k
		}
	}
	return at
}

// decide takes undecided kink k for active or not. It is false where that cannot be.
func (e *enumeration) decide(n *node, k int, as choice) bool {
	slack := enough * e.unit
	if as == off {
		n.state[k] = off
		if n.low[k] > slack {
			return false
		}
		n.high[k] = min(n.high[k], slack)
		return true
	}
	if n.high[k] < -slack {
		return false
	}
	n.low[k] = max(n.low[k], -slack)
	n.state[k] = late
	e.eliminate(n, k)
	for again := true; again; {
		again = false
		for j, s := range n.state {
			if s == late && e.eliminate(n, j) {
				again = true
			}
		}
	}
	return true
}

// eliminate solves row k for r_k, where it can.
func (e *enumeration) eliminate(n *node, k int) bool {
	pivot := 1 - n.rows[k][k]
	if math.Abs(pivot) < 1e-9*(1+floats.Norm(n.rows[k], math.Inf(1))) {
		return false
	}
	e.spent += float64(e.kinks * e.kinks)
	own := n.rows[k]
	own[k] = 0
	floats.Scale(1/pivot, own)
	n.rest[k] /= pivot
	for i, row := range n.rows {
		if v := row[k]; i != k && v != 0 {
			row[k] = 0
			floats.AddScaled(row, v, own)
			n.rest[i] += v * n.rest[k]
		}
	}
	n.state[k] = on
	return true
}

// leaf is a single region: its point, if there is one. r are the unknowns that are not late, which are decided by it.
func (e *enumeration) leaf(n *node, r []float64) error {
	slack := 1e-7 * e.unit
	var left, known []int
	for k, s := range n.state {
		switch {
		case s == late:
			left = append(left, k)
		case s == undecided && r[k] != 0:
			known = append(known, k)
		}
	}
	if len(left) > 0 {
		// What could not be eliminated one by one is solved for together; where it is singular, the shortest solution stands for a continuum.
		a, b := mat.NewDense(len(left), len(left), nil), make([]float64, len(left))
		for i, k := range left {
			for j, l := range left {
				a.Set(i, j, -n.rows[k][l])
			}
			a.Set(i, i, 1+a.At(i, i))
			b[i] = n.rest[k]
		}
		var svd mat.SVD
		if !svd.Factorize(a, mat.SVDFull) {
			return nil
		}
		solution := mat.NewVecDense(len(left), nil)
		rank := 0
		for _, v := range svd.Values(nil) {
			if v > 1e-9*(1+mat.Norm(a, 2)) {
				rank++
			}
		}
		if rank > 0 {
			svd.SolveVecTo(solution, mat.NewVecDense(len(left), b), rank)
		}
		var back mat.VecDense
		back.MulVec(a, solution)
		back.SubVec(&back, mat.NewVecDense(len(left), b))
		if mat.Norm(&back, 2) > slack {
			return nil
		}
		if rank < len(left) {
			e.continua++
		}
		for i, k := range left {
			r[k] = solution.AtVec(i)
		}
	}
	pattern := map[int]bool{}
	for k, s := range n.state {
		v := n.rest[k]
		for _, j := range left {
			v += n.rows[k][j] * r[j]
		}
		for _, j := range known {
			v += n.rows[k][j] * r[j]
		}
		switch s {
		case on:
			if v < -slack {
				return nil
			}
			pattern[k] = true
			r[k] = v
		case late:
			pattern[k] = true
		case undecided:
			pattern[k] = r[k] > 0
		default:
			if v > slack {
				return nil
			}
		}
	}
	e.patterns = append(e.patterns, pattern)
	return e.found(r)
}
