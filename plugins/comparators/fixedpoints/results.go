package fixedpoints

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// nearOne is how near to 1 an eigenvalue is taken to stand for a direction in which points are not isolated.
const nearOne = 1e-4

// results are the numbers of a subject, under each input.
func (e *examined) results() []component.Result {
	var out []component.Result
	for i := range e.found {
		u := &e.found[i]
		suffix := ""
		if len(e.found) > 1 {
			suffix = "/" + u.name
		}
		reason := e.limits
		limit := func(format string, args ...any) {
			if reason != "" {
				reason += "; "
			}
			reason += fmt.Sprintf(format, args...)
		}
		if e.dropped > 0 && i == 0 {
			limit("%d more inputs are left out", e.dropped)
		}
		complete := u.Exact != nil && u.Exact.Complete
		if 2*u.Unfinished > u.Starts && !complete {
			if stable := slices.ContainsFunc(u.fixed, func(l Linear) bool { return l.Unstable == 0 }); !stable && u.index() == 1 {
				limit("%d of %d starts came to no point: none is stable, so that they go on for ever, on a cycle or chaotically", u.Unfinished, u.Starts)
			} else {
				limit("%d of %d starts came to no point, so that points may be missing", u.Unfinished, u.Starts)
			}
		}
		if n := u.open(); n > 0 {
			limit("%d of the points have an eigenvalue within %v of 1: they may be some of a continuum", n, nearOne)
		}
		if sum := u.index(); len(u.Fixed) > 0 && sum != 1 && u.Outliers == 0 && u.open() == 0 && !complete {
			limit("the points' indices sum to %d: where all states stay in a bounded region they sum to 1, unless points are missing", sum)
		}
		add := func(metric string, v float64, unit string, n int) {
			out = append(out, value(metric+suffix, e.Label, v, unit, n))
		}
		add("fixed_points", float64(len(u.Fixed)), "points", u.Starts)
		out[len(out)-1].Reason = reason
		by := map[int]int{}
		most := 0
		for _, l := range u.fixed {
			by[l.Unstable]++
			most = max(most, l.Unstable)
		}
		add("stable_fixed_points", float64(by[0]), "points", len(u.Fixed))
		for k := 1; k <= most; k++ {
			if by[k] > 0 {
				add(fmt.Sprintf("fixed_points_%d_unstable", k), float64(by[k]), "points", len(u.Fixed))
			}
		}
		add("slow_points", float64(len(u.Slow)), "points", u.Starts)
		if x := u.Exact; x != nil {
			all := 0.0
			if x.Complete {
				all = 1
			}
			add("fixed_points_complete", all, "", x.Looked)
			out[len(out)-1].Reason = x.String()
		}
		add("outlying_points", float64(u.Outliers), "points", u.Starts)
		add("starts_without_point", float64(u.Unfinished)/float64(u.Starts), "", u.Starts)
		if len(u.Fixed) == 0 {
			why := "no fixed point was found"
			for _, metric := range []string{"fixed_point_largest_q", "slowest_time_constant"} {
				out = append(out, without(metric+suffix, e.Label, "", why))
			}
		} else {
			largest := slices.MaxFunc(u.Fixed, func(a, b Point) int { return cmp.Compare(a.Q, b.Q) })
			add("fixed_point_largest_q", largest.Q, "", len(u.Fixed))
		}
		if by[0] > 0 {
			dt, unit := e.binWidth()
			slowest := 0.0
			for _, l := range u.fixed {
				if l.Unstable == 0 && len(l.Eigenvalues) > 0 {
					slowest = max(slowest, TimeConstant(l.Eigenvalues[0], dt))
				}
			}
			add("slowest_time_constant", slowest, unit, by[0])
		} else if len(u.Fixed) > 0 {
			out = append(out, without("slowest_time_constant"+suffix, e.Label, "", "no fixed point is stable"))
		}
		if u.basin != nil {
			in := 0
			for _, b := range u.basin {
				if b != nowhere {
					in++
				}
			}
			add("starts_in_basins", float64(in)/float64(len(u.basin)), "", len(u.basin))
			if in < len(u.basin) {
				out[len(out)-1].Reason = fmt.Sprintf("%d starts were not seen to go to a stable point, in %d bins and the leaps after them", len(u.basin)-in, e.basinSteps)
			}
		}
		if u.paths != nil {
			to := e.found[i+1].name
			n := len(u.Fixed)
			if n == 0 {
				out = append(out, without("continued_points"+suffix+" to "+to, e.Label, "", "there are no points to follow"))
				continue
			}
			suffix += " to " + to
			add("continued_points", float64(u.paths.persisted())/float64(n), "", n)
			add("continued_points_changed_stability", float64(u.paths.changed)/float64(n), "", n)
		}
	}
	return out
}

// open is the number of points that may not be isolated.
func (u *under) open() int {
	n := 0
	for _, l := range u.fixed {
		if slices.ContainsFunc(l.Eigenvalues, func(v complex128) bool { return math.Hypot(real(v)-1, imag(v)) < nearOne }) {
			n++
		}
	}
	return n
}

// index is the sum of the signs of det(1 - J): of -1 for each point with an odd number of real eigenvalues above 1, else of 1.
func (u *under) index() int {
	sum := 0
	for _, l := range u.fixed {
		sign := 1
		for _, v := range l.Eigenvalues {
			if imag(v) == 0 && real(v) > 1 {
				sign = -sign
			}
		}
		sum += sign
	}
	return sum
}

// binWidth is dt in seconds, or 1 bin.
func (e *examined) binWidth() (float64, string) {
	if e.layout.BinWidth > 0 {
		return e.layout.BinWidth, "s"
	}
	return 1, "bin"
}

// matrices are what was found in full.
func (e *examined) matrices() tensor.Set {
	var out tensor.Set
	d, inputs := e.size(), e.layout.Inputs
	dt, unit := e.binWidth()
	for i := range e.found {
		u := &e.found[i]
		name := func(what string) string { return e.Label + "." + u.name + "." + what }
		out = append(out, tensor.From64(name("input"), slices.Clone(u.input), inputs))
		for _, s := range []struct {
			of     string
			points []Point
			linear []Linear
			basin  []int
		}{{"fixed", u.Fixed, u.fixed, u.basin}, {"slow", u.Slow, u.slow, nil}} {
			n := len(s.points)
			if n == 0 {
				continue
			}
			name := func(what string) string { return name(s.of + "_" + what) }
			points, q, hits, unstable := tensor.New64(name("points"), n, d), tensor.New64(name("q"), n), tensor.NewInt(name("hits"), n), tensor.NewInt(name("unstable"), n)
			values, times := tensor.New64(name("eigenvalues"), n, d, 2), tensor.New64(name("time_constants"), n, d)
			bu := tensor.New64(name("input_jacobians"), n, d, inputs)
			for k, p := range s.points {
				copy(points.F64[k*d:], p.X)
				q.F64[k], hits.I64[k], unstable.I64[k] = p.Q, int64(p.Hits), int64(s.linear[k].Unstable)
				copy(bu.F64[k*d*inputs:], s.linear[k].InputJacobian)
				for j, v := range s.linear[k].Eigenvalues {
					values.F64[(k*d+j)*2], values.F64[(k*d+j)*2+1] = real(v), imag(v)
					times.F64[k*d+j] = TimeConstant(v, dt)
				}
			}
			out = append(out, points.With("", "point", tensor.State), q.With("", "point"), hits.With("starts", "point"), unstable.With("directions", "point"),
				values.With("", "point", "eigenvalue", "part"), times.With(unit, "point", "eigenvalue"))
			if inputs > 0 {
				out = append(out, bu.With("", "point", tensor.State, "input"))
			}
			if s.of == "slow" {
				continue
			}
			if vectors := len(s.linear[0].Right); vectors > 0 {
				right, left := tensor.New64(name("right_eigenvectors"), n, vectors, d, 2), tensor.New64(name("left_eigenvectors"), n, vectors, d, 2)
				for k, l := range s.linear {
					for j := range vectors {
						for r := range d {
							to := ((k*vectors+j)*d + r) * 2
							right.F64[to], right.F64[to+1] = real(l.Right[j][r]), imag(l.Right[j][r])
							left.F64[to], left.F64[to+1] = real(l.Left[j][r]), imag(l.Left[j][r])
						}
					}
				}
				out = append(out, right.With("", "point", "eigenvalue", tensor.State, "part"), left.With("", "point", "eigenvalue", tensor.State, "part"))
			}
			if s.basin != nil {
				basins := tensor.NewInt(name("basins"), n)
				for _, b := range s.basin {
					if b != nowhere {
						basins.I64[b]++
					}
				}
				out = append(out, basins.With("starts", "point"))
			}
		}
		if u.paths != nil && len(u.Fixed) > 0 {
			n, steps := len(u.Fixed), u.paths.steps+1
			// A path that ends early stays where it ended: reached says how far that is.
			paths, reached, arrives := tensor.New64(name("paths"), n, steps, d), tensor.New64(name("path_reached"), n), tensor.NewInt(name("path_arrives"), n)
			for k, path := range u.paths.paths {
				for s := range steps {
					from := min(s, len(path)/d-1) * d
					copy(paths.F64[(k*steps+s)*d:], path[from:from+d])
				}
				reached.F64[k], arrives.I64[k] = u.paths.reached[k], int64(u.paths.arrives[k])
			}
			out = append(out, paths.With("", "point", "step", tensor.State), reached.With("", "point"), arrives.With("", "point"))
		}
	}
	return out
}
