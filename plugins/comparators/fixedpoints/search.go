package fixedpoints

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
)

// Search says how fixed points are looked for. The zero value of each field but Dynamics stands for the default of the comparator's parameter of that name.
type Search struct {
	Dynamics model.Dynamics
	// Input is the constant input, zero where it is nil.
	Input []float64
	// TolQ is the q below which a state is a fixed point, SlowQ that below which a minimum of q is a slow point; a negative SlowQ reports none.
	TolQ, SlowQ float64
	// TolUnique is the distance below which two points are one.
	TolUnique float64
	// Outlier is how many times farther from the starts' centroid than the starts a point may be.
	Outlier float64
	// Iterations bounds those of a start, Rounds the further searches between the points found; negative Rounds are none.
	Iterations, Rounds int
	Threads            int
	// Inexact leaves out the search for all points of a step that is piecewise linear.
	Inexact bool
	// Progress, where it is not nil, is called with the number of starts that are through and of all.
	Progress func(done, total int)
}

// Point is a fixed or a slow point.
type Point struct {
	X []float64
	// Q is 1/2 |F(X, u) - X|^2.
	Q float64
	// Hits is the number of the given starts that ended here, by descending q or, where that failed, by following F.
	Hits int
}

// Set is what a search found under one input.
type Set struct {
	// Fixed have q below TolQ, Slow are minima of q that are not; the slowest first. The order of Fixed does not depend on that of the starts.
	Fixed, Slow []Point
	// Starts were given; Outliers is the number of points that were dropped for their distance, Unfinished that of starts that came to no point.
	Starts, Outliers, Unfinished int
	// Exact says what is known of a piecewise-linear step; nil of others.
	Exact *Exact
}

func (s Search) defaults() Search {
	or := func(v *float64, otherwise float64) {
		if *v == 0 {
			*v = otherwise
		}
	}
	or(&s.TolQ, 1e-12)
	or(&s.SlowQ, 1e-4)
	or(&s.TolUnique, 1e-3)
	or(&s.Outlier, 10)
	if s.Iterations == 0 {
		s.Iterations = 60
	}
	if s.Rounds == 0 {
		s.Rounds = 3
	}
	s.Threads = max(1, s.Threads)
	return s
}

// system checks what the dynamics say of themselves.
func (s Search) system(ctx context.Context) (*system, error) {
	if s.Dynamics == nil {
		return nil, component.Invalid("dynamics", "is missing")
	}
	layout, err := s.Dynamics.Layout(ctx)
	if err != nil {
		return nil, err
	}
	if layout.Size < 1 || layout.Inputs < 0 {
		return nil, component.Invalid("layout", "a state of %d and an input of %d elements: at least 1 and 0 are needed", layout.Size, layout.Inputs)
	}
	input := s.Input
	if input == nil {
		input = make([]float64, layout.Inputs)
	}
	if len(input) != layout.Inputs || !finite(input) {
		return nil, component.Invalid("input", "%v: %d finite values are needed", input, layout.Inputs)
	}
	return &system{s.Dynamics, layout, input, s.Threads, new(sync.Pool)}, nil
}

func finite(x []float64) bool {
	return !slices.ContainsFunc(x, func(v float64) bool { return v-v != 0 })
}

// hunt is a search at work.
type hunt struct {
	Search
	*system
	known catalogue
	slow  []Point
	set   Set
	// scale is the root mean square distance of the starts from their centroid, reach the largest distance of a point from it.
	centroid []float64
	// No slow point is farther than visited.
	scale, reach, visited float64
	// failed are the starts that are yet to be pursued.
	failed failed
	// misses is the number of given starts from which descending q led to no fixed point.
	misses      int
	done, total int
}

// Find searches from starts, row-major (n, state).
func (s Search) Find(ctx context.Context, starts []float64) (*Set, error) {
	s = s.defaults()
	sys, err := s.system(ctx)
	if err != nil {
		return nil, err
	}
	d := sys.size()
	if len(starts) == 0 || len(starts)%d != 0 || !finite(starts) {
		return nil, component.Invalid("starts", "%d values: finite states of %d values are needed, at least 1", len(starts), d)
	}
	h := &hunt{Search: s, system: sys, known: catalogue{unique: s.TolUnique}}
	h.set.Starts = len(starts) / d
	h.measure(starts)
	if err := h.round(ctx, starts, given); err != nil {
		return nil, err
	}
	if err := h.pursue(ctx); err != nil {
		return nil, err
	}
	if err := h.middles(ctx, 0); err != nil {
		return nil, err
	}
	if s.Rounds > 0 && h.doubtful() {
		first := len(h.known.points)
		if err := h.edges(ctx); err != nil {
			return nil, err
		}
		if err := h.middles(ctx, first); err != nil {
			return nil, err
		}
	}
	if !s.Inexact {
		if err := h.exactly(ctx, starts); err != nil {
			return nil, err
		}
	}
	return h.finish(), nil
}

func (h *hunt) measure(starts []float64) {
	d, n := h.size(), h.set.Starts
	h.centroid = make([]float64, d)
	for i, v := range starts {
		h.centroid[i%d] += v / float64(n)
	}
	mean := 0.0
	for i := range n {
		r := distance(starts[i*d:(i+1)*d], h.centroid)
		h.scale += r * r / float64(n)
		mean += r / float64(n)
		h.visited = max(h.visited, r)
	}
	h.scale, h.reach = math.Sqrt(h.scale), h.Outlier*mean
	if !(h.scale > 0) {
		h.scale, h.reach, h.visited = 1, math.Inf(1), math.Inf(1)
	}
}

func distance(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += (v - y[i]) * (v - y[i])
	}
	return math.Sqrt(sum)
}

// firstWave is the number of starts that are taken first. Each wave doubles: what the small ones found captures most of the large ones.
const firstWave = 32

// relaxations are the steps that a start is iterated forward before the search.
const relaxations = 2

// origin says where a search begins: at a given start, which counts, at a middle between points, at a state that a start passed, or on an edge between basins.
type origin uint8

const (
	given origin = iota
	between
	passed
	edge
)

// round sends out starts in waves.
func (h *hunt) round(ctx context.Context, starts []float64, from origin) error {
	d := h.size()
	n := len(starts) / d
	h.total += n
	for first, wave := 0, firstWave; first < n; first, wave = first+wave, wave*2 {
		last := min(n, first+wave)
		if err := h.wave(ctx, starts[first*d:last*d], from); err != nil {
			return err
		}
	}
	return nil
}

func (h *hunt) report(through int) {
	if h.Progress != nil {
		h.Progress(h.done+through, h.total)
	}
}

// wave takes starts to where they end.
func (h *hunt) wave(ctx context.Context, starts []float64, from origin) error {
	d := h.size()
	begun := starts
	starts = slices.Clone(starts)
	its := make([]*iterate, len(starts)/d)
	f := make([]float64, len(starts))
	if err := h.residuals(ctx, starts, f); err != nil {
		return err
	}
	if err := h.relax(ctx, starts, f); err != nil {
		return err
	}
	for i := range its {
		it := &iterate{x: starts[i*d : (i+1)*d], f: f[i*d : (i+1)*d], damping: firstDamping, grow: 4, goal: h.TolQ}
		if from == edge {
			it.damping = careful
		}
		if it.q = half2(it.f); math.IsInf(it.q, 1) {
			it.fate = lost
		}
		it.before, it.then = it.q, it.q
		its[i] = it
	}
	buffer := make([]float64, d)
	for iteration := 0; ; iteration++ {
		var on, there []*iterate
		for _, it := range its {
			switch {
			case it.fate != active:
			case it.q <= it.goal:
				there = append(there, it)
			default:
				if p := h.known.captures(it.x, it.f, buffer); p != nil {
					it.fate = captured
					h.hit(p, from)
				} else {
					on = append(on, it)
				}
			}
		}
		if err := h.arrive(ctx, there, from); err != nil {
			return err
		}
		for _, it := range there {
			if it.fate == active {
				on = append(on, it)
			}
		}
		h.report(len(its) - len(on))
		if len(on) == 0 || iteration == h.Iterations {
			break
		}
		if err := h.descend(ctx, on, h.scale); err != nil {
			return err
		}
		for _, it := range on {
			if it.fate == active && distance(it.x, h.centroid) > h.reach {
				it.fate = lost
			}
			it.rounds++
			// Where F comes ever closer to the identity far out, as a gate closes, q falls for ever: a start that is farther out than all were and goes on outward is given up, unless q
			// falls as it does on the way to a point.
			if it.fate == active && it.rounds%astray == 0 {
				r := distance(it.x, h.centroid)
				if (r > h.visited && it.out > 0 && r > it.out || r > 2*h.visited) && it.q > nearing*it.then {
					it.fate = lost
				}
				it.out, it.then = r, it.q
			}
			if it.rounds%patience == 0 {
				if it.fate == active && it.q > it.before/2 && it.q > it.goal {
					it.fate = stalled
				}
				it.before = it.q
			}
		}
	}
	h.done += len(its)
	for i, it := range its {
		rests := false
		switch {
		case it.fate == captured, it.fate == converged:
			continue
		case (it.fate == stalled || it.fate == active && it.q <= h.TolQ) && it.q <= h.SlowQ:
			// What was only passed is one of many on the way.
			rests = from <= between && h.rest(it, from)
		}
		if from <= between {
			if from == given {
				h.misses++
			}
			h.failed.add(begun[i*d:(i+1)*d], from == given && !rests)
		}
	}
	return nil
}

// relax iterates each start forward while q falls, for a few steps. It is far cheaper than a step of the search, and rids the start of what dies away fast.
func (h *hunt) relax(ctx context.Context, x, f []float64) error {
	d := h.size()
	return each(ctx, h.threads, len(x)/d, stepRows, func(ctx context.Context, from, to int) error {
		next, g := slices.Clone(x[from*d:to*d]), make([]float64, (to-from)*d)
		copy(g, f[from*d:to*d])
		for range relaxations {
			floats.Add(next, g)
			if err := h.step(ctx, next, g); err != nil {
				return err
			}
			floats.Sub(g, next)
			for i := range to - from {
				row := (from + i) * d
				if half2(g[i*d:(i+1)*d]) < half2(f[row:row+d]) {
					copy(x[row:row+d], next[i*d:(i+1)*d])
					copy(f[row:row+d], g[i*d:(i+1)*d])
				}
			}
		}
		return nil
	})
}

func (h *hunt) hit(p *found, from origin) {
	if from == given {
		p.hits++
	}
}

// arrive polishes what has converged and takes it into the catalogue, in order. What is near a known point needs no polish.
func (h *hunt) arrive(ctx context.Context, there []*iterate, from origin) error {
	var fresh, again []*iterate
	for _, it := range there {
		it.fate = converged
		// Among those of one wave many are the same: the first is polished.
		p, dist := h.known.nearest(it.x)
		if p != nil && dist <= h.TolUnique/2 {
			h.hit(p, from)
			continue
		}
		if slices.ContainsFunc(fresh, func(o *iterate) bool { return distance(o.x, it.x) <= h.TolUnique/2 }) {
			again = append(again, it)
			continue
		}
		fresh = append(fresh, it)
	}
	results := make([]polished, len(fresh))
	err := each(ctx, h.threads, len(fresh), 1, func(ctx context.Context, i, _ int) (err error) {
		results[i], err = h.polish(ctx, fresh[i].x, fresh[i].f)
		return err
	})
	if err != nil {
		return err
	}
	for i, it := range fresh {
		r := results[i]
		// A nearly singular Jacobian may throw a state far along the direction in which it is: then it stays where it was.
		if q := half2(r.f); q <= it.q && distance(r.x, it.x) <= h.scale {
			it.x, it.f, it.q = r.x, r.f, q
		}
		if r.away > h.TolUnique {
			// Small as q is, the point is not here: it may be further along a slow direction.
			it.fate, it.goal = active, it.q*1e-4
			if it.damping < firstDamping {
				it.damping = firstDamping
			}
			continue
		}
		p, _ := h.known.add(it.x, it.q, r.inverse)
		h.hit(p, from)
	}
	if len(again) > 0 {
		return h.arrive(ctx, again, from)
	}
	return nil
}

// polish is that of one state.
func (h *hunt) polish(ctx context.Context, x, f []float64) (polished, error) {
	return polish(x, f, func(x, f []float64) error {
		if err := h.step(ctx, x, f); err != nil {
			return err
		}
		for k, v := range x {
			f[k] -= v
		}
		return nil
	}, func(x []float64) ([]float64, error) {
		js, _, err := h.jacobians(ctx, x)
		return js, err
	})
}

// rest notes a slow point, if it is where the starts are.
func (h *hunt) rest(it *iterate, from origin) bool {
	if distance(it.x, h.centroid) > 1.5*h.visited {
		return false
	}
	hits := 0
	if from == given {
		hits = 1
	}
	for i, p := range h.slow {
		if distance(p.X, it.x) <= h.TolUnique {
			h.slow[i].Hits += hits
			if it.q < p.Q {
				h.slow[i].X, h.slow[i].Q = it.x, it.q
			}
			return true
		}
	}
	h.slow = append(h.slow, Point{it.x, it.q, hits})
	return true
}

func (h *hunt) finish() *Set {
	for _, p := range h.known.points {
		if distance(p.x, h.centroid) > h.reach {
			h.set.Outliers++
			continue
		}
		h.set.Fixed = append(h.set.Fixed, Point{p.x, p.q, p.hits})
	}
	sortPoints(h.set.Fixed, func(Point) int { return 0 }, func(p Point) []float64 { return p.X }, h.TolUnique/10)
	for _, p := range h.slow {
		if near, r := h.known.nearest(p.X); near != nil && r <= h.TolUnique {
			continue
		}
		h.set.Slow = append(h.set.Slow, p)
	}
	slices.SortStableFunc(h.set.Slow, func(a, b Point) int { return cmp.Compare(a.Q, b.Q) })
	return &h.set
}
