package fixedpoints

import (
	"math"
	"math/cmplx"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/internal/opened"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestGoldenTanh finds the points of pairs of tanh units that are known in closed form, all of them for any seed, with their Jacobians and unstable directions.
func TestGoldenTanh(t *testing.T) {
	for _, c := range golden.Select(t, "fixed_points.json", func(c golden.Case) bool { return c.Tensors["W"] != nil }) {
		d := tanhNet(c.Floats(t, "W"), c.Floats(t, "b"))
		want, jacobians, unstable := c.Tensors["points"], c.Floats(t, "jacobians"), c.Ints(t, "unstable_directions")
		for seed := range uint64(3) {
			set, err := Search{Dynamics: d, Threads: 2}.Find(t.Context(), box(seed, 200, 2, 1))
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Fixed) != want.Shape[0] {
				t.Fatalf("%s: %d points, want %d", c.Name, len(set.Fixed), want.Shape[0])
			}
			sys, err := Search{Dynamics: d}.system(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			linear, err := sys.linearise(t.Context(), set.Fixed, 2, true)
			if err != nil {
				t.Fatal(err)
			}
			// Their states stay in a square: the indices of all points sum to 1.
			if sum := (&under{Set: set, fixed: linear}).index(); sum != 1 {
				t.Errorf("%s: indices sum to %d", c.Name, sum)
			}
			for i := range want.Shape[0] {
				x := want.F64[i*2 : i*2+2]
				k := slices.IndexFunc(set.Fixed, func(p Point) bool { return distance(p.X, x) < 1e-9 })
				if k < 0 {
					t.Errorf("%s: %v was not found", c.Name, x)
					continue
				}
				if linear[k].Unstable != int(unstable[i]) {
					t.Errorf("%s: %v has %d unstable directions, want %d", c.Name, x, linear[k].Unstable, unstable[i])
				}
				for j, v := range linear[k].Jacobian {
					if math.Abs(v-jacobians[i*4+j]) > 1e-9 {
						t.Errorf("%s: Jacobian at %v: element %d is %v, want %v", c.Name, x, j, v, jacobians[i*4+j])
					}
				}
			}
		}
	}
}

// TestLinear: x' = A x + u has the one point (1 - A)^-1 u, with the eigenvalues of A, and its eigenvectors are those of A.
func TestLinear(t *testing.T) {
	// A rotation by 0.3 that shrinks to 0.9, beside a direction that grows.
	c, s := 0.9*math.Cos(0.3), 0.9*math.Sin(0.3)
	a := []float64{c, -s, 0, s, c, 0.2, 0, 0, 1.2}
	d := linearNet(a, 3)
	input := []float64{0.3, -0.1, 0.4}
	set, err := Search{Dynamics: d, Input: input}.Find(t.Context(), box(1, 50, 3, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Fixed) != 1 || len(set.Slow) != 0 || set.Fixed[0].Hits != 50 || set.Unfinished != 0 {
		t.Fatalf("%+v", set)
	}
	p := set.Fixed[0].X
	next := make([]float64, 3)
	if d.step(p, input, next); distance(next, p) > 1e-13 {
		t.Errorf("%v goes to %v", p, next)
	}
	if want := -0.4 / 0.2; math.Abs(p[2]-want) > 1e-12 {
		t.Errorf("element 2 is %v, want %v", p[2], want)
	}
	sys, err := Search{Dynamics: d, Input: input}.system(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	linear, err := sys.linearise(t.Context(), set.Fixed, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	l := linear[0]
	for i, want := range []complex128{1.2, cmplx.Rect(0.9, 0.3), cmplx.Rect(0.9, -0.3)} {
		if cmplx.Abs(l.Eigenvalues[i]-want) > 1e-12 {
			t.Errorf("eigenvalue %d is %v, want %v", i, l.Eigenvalues[i], want)
		}
		for row := range 3 {
			right, left := -l.Eigenvalues[i]*l.Right[i][row], -l.Eigenvalues[i]*cmplx.Conj(l.Left[i][row])
			for k := range 3 {
				right += complex(a[row*3+k], 0) * l.Right[i][k]
				left += cmplx.Conj(l.Left[i][k]) * complex(a[k*3+row], 0)
			}
			if cmplx.Abs(right) > 1e-12 || cmplx.Abs(left) > 1e-12 {
				t.Errorf("eigenvectors %d are off by %v and %v", i, right, left)
			}
		}
	}
	if l.Unstable != 1 || math.Abs(TimeConstant(l.Eigenvalues[1], 0.01)+0.01/math.Log(0.9)) > 1e-12 || TimeConstant(1.2, 1) >= 0 || TimeConstant(1, 1) != longest || TimeConstant(0, 1) != 0 {
		t.Errorf("%d unstable, time constants %v %v", l.Unstable, TimeConstant(l.Eigenvalues[1], 0.01), TimeConstant(1.2, 1))
	}
}

// TestSlow: x' = x + 0.1 (x^2 + c) has two points for c < 0 and none for c > 0, where a ghost stays at x = 0 with q = (0.1 c)^2 / 2.
func TestSlow(t *testing.T) {
	fold := func(c float64) toy {
		return toy{size: 1, inputs: 0, step: func(x, _, next []float64) { next[0] = x[0] + 0.1*(x[0]*x[0]+c) },
			jacobian: func(x, _, js, _ []float64) { js[0] = 1 + 0.2*x[0] }}
	}
	set, err := Search{Dynamics: fold(0.01)}.Find(t.Context(), box(1, 100, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Fixed) != 0 || len(set.Slow) != 1 || math.Abs(set.Slow[0].Q-5e-7) > 1e-9 || math.Abs(set.Slow[0].X[0]) > 1e-2 {
		t.Errorf("a ghost: %+v", set)
	}
	if set, err = (Search{Dynamics: fold(-0.01)}).Find(t.Context(), box(1, 100, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if len(set.Fixed) != 2 || math.Abs(set.Fixed[0].X[0]+0.1) > 1e-9 || math.Abs(set.Fixed[1].X[0]-0.1) > 1e-9 {
		t.Errorf("a pair: %+v", set)
	}
	if set, err = (Search{Dynamics: fold(0.01), SlowQ: -1}).Find(t.Context(), box(1, 100, 1, 1)); err != nil || len(set.Slow) != 0 || set.Unfinished != 100 {
		t.Errorf("no slow points asked for: %+v, %v", set, err)
	}
}

// TestBasins: starts go where they must in systems whose basins are known, also where an attractor is slower than the iteration is long, or has a basin that is far narrower than
// it is far from others.
func TestBasins(t *testing.T) {
	for _, c := range []struct {
		name   string
		d      toy
		points int
		// point is the stable point that x goes to.
		point func(x []float64) []float64
	}{
		// Two units that do not see each other, each of which keeps its sign: x = tanh(2 x) at 0.95750, x = tanh(1.5 x) at 0.85856.
		{"quadrants", tanhNet([]float64{2, 0, 0, 1.5}, []float64{0, 0}), 9, func(x []float64) []float64 {
			return []float64{math.Copysign(0.9575040241, x[0]), math.Copysign(0.8585604, x[1])}
		}},
		// x' = x + 0.5 x (1 - x^2) goes to the sign of x; y takes 100000 steps to fall to 1/e.
		{"slow", toy{size: 2, step: func(x, _, next []float64) { next[0], next[1] = x[0]+0.5*x[0]*(1-x[0]*x[0]), (1-1e-5)*x[1] },
			jacobian: func(x, _, js, _ []float64) { js[0], js[1], js[2], js[3] = 1.5-1.5*x[0]*x[0], 0, 0, 1-1e-5 }}, 3, func(x []float64) []float64 {
			return []float64{math.Copysign(1, x[0]), 0}
		}},
		// x' = x - 0.5 (x + 1) (x - 0.85) (x - 1): the basin of 1 begins at 0.85, within 0.15 of it.
		{"narrow", toy{size: 1, step: func(x, _, next []float64) { next[0] = x[0] - 0.5*(x[0]+1)*(x[0]-0.85)*(x[0]-1) },
			jacobian: func(x, _, js, _ []float64) {
				js[0] = 1 - 0.5*((x[0]-0.85)*(x[0]-1)+(x[0]+1)*(x[0]-1)+(x[0]+1)*(x[0]-0.85))
			}}, 3, func(x []float64) []float64 {
			if x[0] > 0.85 {
				return []float64{1}
			}
			return []float64{-1}
		}},
	} {
		starts := box(1, 500, c.d.size, 1.2)
		search := Search{Dynamics: c.d, Threads: 2}
		set, err := search.Find(t.Context(), starts)
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Fixed) != c.points {
			t.Fatalf("%s: %d points, want %d", c.name, len(set.Fixed), c.points)
		}
		sys, err := search.system(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		linear, err := sys.linearise(t.Context(), set.Fixed, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		basins, err := sys.basins(t.Context(), starts, set.Fixed, linear, 200)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range basins {
			x := starts[i*c.d.size : (i+1)*c.d.size]
			if want := c.point(x); b == nowhere || distance(set.Fixed[b].X, want) > 1e-6 {
				t.Fatalf("%s: %v goes to point %d, want %v", c.name, x, b, want)
			}
		}
	}
	// Where nothing is stable, nothing has a basin; nor is anything in one that is on no sure way to it yet.
	for name, d := range map[string]toy{"unstable": linearNet([]float64{1.5}, 1), "a turn that grows": linearNet([]float64{0, -1.1, 1.1, 0}, 2)} {
		sys, err := Search{Dynamics: d}.system(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		points := []Point{{X: make([]float64, d.size)}}
		linear, err := sys.linearise(t.Context(), points, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		basins, err := sys.basins(t.Context(), box(1, 20, d.size, 1), points, linear, 50)
		if err != nil || slices.ContainsFunc(basins, func(b int) bool { return b != nowhere }) {
			t.Errorf("%s: %v, %v", name, basins, err)
		}
	}
}

// subject records trials of a toy that run freely from places in a box.
func subject(t testing.TB, label string, d toy, trials, bins int) comparator.Subject {
	t.Helper()
	s := comparator.Subject{Label: label, Role: comparator.Fitted, Dynamics: d}
	zero := make([]float64, d.inputs)
	for split := range 2 {
		z := tensor.New64(comparator.Latents, trials, bins, d.size)
		r := random.New(uint64(split), "test")
		for k := range trials {
			x := make([]float64, d.size)
			for i := range x {
				x[i] = 2*r.Float64() - 1
			}
			for bin := range bins {
				next := make([]float64, d.size)
				d.step(x, zero, next)
				x = next
				copy(z.F64[(k*bins+bin)*d.size:], x)
			}
		}
		if split == 0 {
			s.Train = tensor.Set{z}
		} else {
			s.Valid = tensor.Set{z}
		}
	}
	return s
}

// conjugated is a subject seen in other coordinates, y = R x + t with R a turn and a stretch: the same dynamics.
func conjugated(s comparator.Subject, d toy, label string) comparator.Subject {
	r, inverse, shift := []float64{1.2, -1.6, 1.6, 1.2}, []float64{0.3, 0.4, -0.4, 0.3}, []float64{0.7, -2}
	times := func(m, v []float64) []float64 { return []float64{m[0]*v[0] + m[1]*v[1], m[2]*v[0] + m[3]*v[1]} }
	there := func(x []float64) []float64 { y := times(r, x); return []float64{y[0] + shift[0], y[1] + shift[1]} }
	back := func(y []float64) []float64 { return times(inverse, []float64{y[0] - shift[0], y[1] - shift[1]}) }
	other := toy{size: 2, inputs: 2, step: func(y, u, next []float64) {
		x := make([]float64, 2)
		d.step(back(y), u, x)
		copy(next, there(x))
	}, jacobian: func(y, u, js, ju []float64) {
		j, b := make([]float64, 4), make([]float64, 4)
		d.jacobian(back(y), u, j, b)
		mul := func(a, c []float64) []float64 {
			return []float64{a[0]*c[0] + a[1]*c[2], a[0]*c[1] + a[1]*c[3], a[2]*c[0] + a[3]*c[2], a[2]*c[1] + a[3]*c[3]}
		}
		copy(js, mul(mul(r, j), inverse))
		copy(ju, mul(r, b))
	}}
	out := comparator.Subject{Label: label, Role: comparator.Fitted, Dynamics: other}
	for i, set := range []tensor.Set{s.Train, s.Valid} {
		z := set.Get(comparator.Latents).Clone()
		for row := 0; row < len(z.F64); row += 2 {
			copy(z.F64[row:], there(z.F64[row:row+2]))
		}
		if i == 0 {
			out.Train = tensor.Set{z}
		} else {
			out.Valid = tensor.Set{z}
		}
	}
	return out
}

// TestCompareConjugates: two units that each hold a sign have 9 points, and the same dynamics in other coordinates have the same, at no distance and of the same spectra. The null is far away.
func TestCompareConjugates(t *testing.T) {
	d := tanhNet([]float64{2, 0, 0, 1.5}, []float64{0, 0})
	truth := subject(t, "truth", d, 40, 20)
	other := tanhNet([]float64{0.5, 0, 0, 0.4}, []float64{0, 0})
	req := comparator.Request{Subjects: []comparator.Subject{truth, conjugated(truth, d, "same"), subject(t, "other", other, 40, 20), {Label: "none", Why: "it is a table"}}}
	given := param.Values{"starts": 300, "noise": 0.3}
	o, err := open(t, 2, 1, given).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, o)
	for metric, want := range map[string]float64{"fixed_points": 9, "stable_fixed_points": 4, "fixed_points_1_unstable": 4, "fixed_points_2_unstable": 1} {
		for _, label := range []string{"truth", "same"} {
			if r := opened.Find(t, o, metric, label); r.Value != want {
				t.Errorf("%+v, want %v", r, want)
			}
		}
	}
	for metric, want := range map[string]float64{alignment: 1, matchDistance: 0, hausdorff: 0, matchedShare: 1, countGap: 0, sameStability: 1, spectralGap: 0} {
		if r := opened.Find(t, o, metric, "same"); !(math.Abs(r.Value-want) < 1e-8) || r.Reference != "truth" || r.N == 0 {
			t.Errorf("%+v, want %v", r, want)
		}
	}
	if r := opened.Find(t, o, matchDistance, "same"); !(r.Null > 0.05) {
		t.Errorf("null: %+v", r)
	}
	for metric, null := range map[string][2]float64{hausdorff: {0.1, 9}, matchedShare: {0.2, 1}, sameStability: {0.2, 0.6}, spectralGap: {0.05, 3}} {
		if r := opened.Find(t, o, metric, "same"); !(r.Null > null[0] && r.Null <= null[1]) {
			t.Errorf("null: %+v", r)
		}
	}
	// One point for nine: eight have no partner, however near the one is to the ninth.
	if r := opened.Find(t, o, matchDistance, "other"); !(r.Value >= 8./9) || r.N != 10 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, matchedShare, "other"); r.Value != 1./9 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, countGap, "other"); r.Value != -8 {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "fixed_points", "none"); r.Reason != "it is a table" || !math.IsNaN(r.Value) {
		t.Errorf("%+v", r)
	}
	if r := opened.Find(t, o, "starts_in_basins", "truth"); !(r.Value > 0.95) {
		t.Errorf("%+v", r)
	}
	// Bits do not depend on threads.
	again, err := open(t, 1, 1, given).Compare(t.Context(), req, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(o.Matrices, again.Matrices) || !reflect.DeepEqual(o.Figures, again.Figures) {
		t.Error("one thread gives other bits than two")
	}
}

// TestNothingFound: of dynamics that move everywhere alike no start comes to a point, and the number of points says so.
func TestNothingFound(t *testing.T) {
	d := toy{size: 2, inputs: 2, step: func(x, _, next []float64) { next[0], next[1] = x[0]+0.1, x[1] }, jacobian: func(_, _, js, ju []float64) {
		copy(js, []float64{1, 0, 0, 1})
		clear(ju)
	}}
	o, err := open(t, 1, 1, param.Values{"starts": 50}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{subject(t, "drift", d, 10, 20)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, o)
	if r := opened.Find(t, o, "fixed_points", "drift"); r.Value != 0 || !strings.Contains(r.Reason, "50 of 50 starts came to no point") {
		t.Errorf("%+v", r)
	}
}

// TestPadding: behind the end of a trial, which a recording alone may know, latents hold anything, and nothing of it is in what two models are compared by.
func TestPadding(t *testing.T) {
	d := tanhNet([]float64{2, 0, 0, 1.5}, []float64{0, 0})
	const trials, bins, valid = 40, 20, 13
	lengths := tensor.NewInt(comparator.Lengths, trials)
	for k := range lengths.I64 {
		lengths.I64[k] = valid
	}
	one := subject(t, "one", d, trials, bins)
	two := conjugated(one, d, "two")
	for i, s := range []comparator.Subject{one, two} {
		for _, set := range []tensor.Set{s.Train, s.Valid} {
			z := set.Get(comparator.Latents)
			for k := range trials {
				for j := (k*bins + valid) * d.size; j < (k+1)*bins*d.size; j++ {
					z.F64[j] = []float64{1e3 * float64(k), math.NaN()}[i]
				}
			}
		}
	}
	recording := comparator.Subject{Label: "data", Role: comparator.Recording, Why: "it is a recording", Train: tensor.Set{lengths}, Valid: tensor.Set{lengths}}
	o, err := open(t, 2, 1, param.Values{"starts": 100}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{recording, one, two}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, o)
	if r := opened.Find(t, o, alignment, "two"); !(math.Abs(r.Value-1) < 1e-8) || r.N != trials*valid {
		t.Errorf("%+v, want 1 on %d bins", r, trials*valid)
	}
	if r := opened.Find(t, o, matchDistance, "two"); !(r.Value < 1e-8) || !(r.Null > 0.05 && r.Null < 3) {
		t.Errorf("%+v", r)
	}
}

// TestContinuation: x' = tanh(2 x + u) has three points at u = 0, and one at u = 1: a stable point and the saddle meet in a fold.
func TestContinuation(t *testing.T) {
	s := subject(t, "truth", tanhNet([]float64{2}, []float64{0}), 20, 10)
	o, err := open(t, 2, 1, param.Values{"starts": 100, "inputs": "given", "input_values": []float64{0, 0.2, 1}, "continuation": 10}).Compare(t.Context(), comparator.Request{Subjects: []comparator.Subject{s}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sound(t, o)
	for metric, want := range map[string]float64{"fixed_points/given 1": 3, "fixed_points/given 2": 3, "fixed_points/given 3": 1, "continued_points/given 1 to given 2": 1, "continued_points/given 2 to given 3": 1. / 3} {
		if r := opened.Find(t, o, metric, "truth"); math.Abs(r.Value-want) > 1e-12 {
			t.Errorf("%+v, want %v", r, want)
		}
	}
	if a := o.Matrices.Get("truth.given 1.path_arrives"); a == nil || !slices.Equal(a.I64, []int64{0, 1, 2}) {
		t.Errorf("arrivals %+v", a)
	}
	// The fold is where 2 (1 - x^2) = 1 and u = atanh x - 2 x: u = 0.53284 at x = -0.70711; from 0.2 to 1 that is 0.41605 of the way.
	if r := o.Matrices.Get("truth.given 2.path_reached"); r == nil || math.Abs(r.F64[0]-0.41605) > 2e-3 || r.F64[2] != 1 {
		t.Errorf("reached %+v", r)
	}
}
