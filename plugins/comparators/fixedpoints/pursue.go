package fixedpoints

import (
	"cmp"
	"context"
	"math"
	"math/cmplx"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// ahead is the number of steps of F that a start is taken whose descent of q led to no point, before what is then slow is followed in leaps.
const ahead = 40

// cycling is the number of leaps in which q must fall by half at least once, where leaps are not longer than that many steps.
const cycling = 12

// failed are starts whose descent led nowhere: row-major states, and of each whether it is a given start that counts.
type failed struct {
	x      []float64
	counts []bool
}

func (l *failed) add(x []float64, counts bool) {
	l.x, l.counts = append(l.x, x...), append(l.counts, counts)
}

// pursue follows F from the starts whose descent of q ended in a minimum that is not 0. Where an input drives the dynamics most descents end so, but F itself leads from nearly all states to a stable
// point; and on the way, where it is slowest, it may pass near a saddle: from there q is descended once more.
func (h *hunt) pursue(ctx context.Context) error {
	l := h.failed
	h.failed = failed{}
	d, n := h.size(), len(l.counts)
	if n == 0 {
		return nil
	}
	h.total += n
	f, slowest, least := make([]float64, n*d), make([]float64, n*d), make([]float64, n)
	err := each(ctx, h.threads, n, stepRows, func(ctx context.Context, from, to int) error {
		return h.forward(ctx, l.x[from*d:to*d], f[from*d:to*d], slowest[from*d:to*d], least[from:to])
	})
	if err != nil {
		return err
	}
	for from, wave := 0, firstWave; from < n; from, wave = from+wave, wave*2 {
		to := min(n, from+wave)
		if err := h.chase(ctx, l.x[from*d:to*d], f[from*d:to*d], l.counts[from:to]); err != nil {
			return err
		}
	}
	return h.revisit(ctx, slowest, least)
}

// revisit descends q from the states that were passed on the way, the slowest first, as long as that finds anything: of many that are alike the first tell.
func (h *hunt) revisit(ctx context.Context, slowest, least []float64) error {
	d := h.size()
	f := make([]float64, len(slowest))
	if err := h.residuals(ctx, slowest, f); err != nil {
		return err
	}
	var order []int
	buffer := make([]float64, d)
	for i, q := range least {
		x := slowest[i*d : (i+1)*d]
		if !math.IsInf(q, 1) && distance(x, h.centroid) <= h.reach && h.known.captures(x, f[i*d:(i+1)*d], buffer) == nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(least[a], least[b]) })
	h.total += len(order)
	for from, wave := 0, firstWave; from < len(order); from, wave = from+wave, wave*2 {
		var x []float64
		for _, i := range order[from:min(len(order), from+wave)] {
			x = append(x, slowest[i*d:(i+1)*d]...)
		}
		known := len(h.known.points)
		if err := h.wave(ctx, x, passed); err != nil {
			return err
		}
		if len(h.known.points) == known {
			h.total -= max(0, len(order)-from-wave)
			break
		}
	}
	return nil
}

// forward iterates F from states x, writes F(x) - x at the end to f, and the state on the way where q has its least minimum to slowest, with q to least, infinite where q has none between beginning and end.
func (h *hunt) forward(ctx context.Context, x, f, slowest, least []float64) error {
	d := h.size()
	last := make([]float64, len(x))
	was, before := make([]float64, len(least)), make([]float64, len(least))
	for i := range least {
		least[i] = math.Inf(1)
	}
	for step := 0; ; step++ {
		if err := h.step(ctx, x, f); err != nil {
			return err
		}
		floats.Sub(f, x)
		for i := range least {
			q := half2(f[i*d : (i+1)*d])
			if step > 1 && was[i] < before[i] && was[i] <= q && was[i] < least[i] {
				least[i] = was[i]
				copy(slowest[i*d:(i+1)*d], last[i*d:(i+1)*d])
			}
			before[i], was[i] = was[i], q
		}
		if step == ahead {
			return nil
		}
		copy(last, x)
		floats.Add(x, f)
	}
}

// quarry is a state that is being pursued.
type quarry struct {
	*iterate
	*settler
	counts bool
	// least is the least q so far, before that of some leaps ago.
	least, before float64
}

func (c *quarry) origin() origin {
	if c.counts {
		return given
	}
	return between
}

// chase follows the slow dynamics from states x, where F(x) - x is f, until it is known where they go.
func (h *hunt) chase(ctx context.Context, x, f []float64, counts []bool) error {
	d := h.size()
	all := make([]*quarry, len(counts))
	for i, own := range counts {
		all[i] = &quarry{&iterate{damping: firstDamping, goal: h.TolQ}, &settler{i, x[i*d : (i+1)*d], f[i*d : (i+1)*d], 2}, own, math.Inf(1), math.Inf(1)}
	}
	buffer := make([]float64, d)
	for leap := 0; ; leap++ {
		var on []*settler
		for _, c := range all {
			if c.fate != active {
				continue
			}
			it, s := c.iterate, c.settler
			it.x, it.f, it.q = s.x, s.f, half2(s.f)
			switch {
			case math.IsInf(it.q, 1) || distance(it.x, h.centroid) > h.reach:
				it.fate = lost
			case it.q <= it.goal:
				if err := h.arrive(ctx, []*iterate{it}, c.origin()); err != nil {
					return err
				}
				s.x, s.f = it.x, it.f
			default:
				// A saddle is passed by.
				if p := h.known.captures(it.x, it.f, buffer); p != nil && p.isStable() {
					it.fate = captured
					h.hit(p, c.origin())
				}
			}
			// On a cycle no leap is long, and q does not fall.
			c.least = min(c.least, it.q)
			if leap%cycling == cycling-1 {
				if it.fate == active && s.h < cycling && c.least > c.before/2 {
					it.fate = lost
				}
				c.before = c.least
			}
			if it.fate == active {
				on = append(on, s)
			}
		}
		h.report(len(all) - len(on))
		if len(on) == 0 || leap == leaps {
			break
		}
		err := each(ctx, h.threads, len(on), jacobianRows, func(ctx context.Context, from, to int) error {
			return h.leap(ctx, on[from:to])
		})
		if err != nil {
			return err
		}
	}
	h.done += len(all)
	for _, c := range all {
		if c.counts && c.fate != captured && c.fate != converged {
			h.set.Unfinished++
		}
	}
	return nil
}

// isStable is whether all eigenvalues of J have moduli below 1, as far as the inverse of J - 1 says.
func (p *found) isStable() bool {
	if p.stability == 0 {
		d := len(p.x)
		p.stability = 1
		var e mat.Eigen
		if p.inverse == nil || !e.Factorize(mat.NewDense(d, d, slices.Clone(p.inverse)), mat.EigenNone) {
			p.stability = -1
			return false
		}
		for _, v := range e.Values(nil) {
			if !(cmplx.Abs(1+1/v) < 1) {
				p.stability = -1
			}
		}
	}
	return p.stability > 0
}
