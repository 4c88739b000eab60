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
	for todo := []*node{root}; len(todo) > 0; {
		if err := e.stop.Err(); err != nil {
			return false, err
		}
		if e.spent > work {
			return false, nil
		}
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
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
			todo = append(todo, other)
		}
		if e.decide(n, k, on) {
			todo = append(todo, n)
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
