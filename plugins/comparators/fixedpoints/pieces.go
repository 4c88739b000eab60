package fixedpoints

import (
	"context"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// pieces is a step that is linear but for one layer of kinks, F(x) = A x + c + B relu(H x + h): that of a network of rectified units, leaky or not.
type pieces struct {
	size  int
	a     *mat.Dense
	c     []float64
	kinks []kink
}

// kink is a hyperplane w x + offset = 0, on whose positive side gain times the distance from it, in units of 1/|w|, is added to F.
type kink struct {
	w, gain []float64
	offset  float64
}

func (k *kink) at(x []float64) float64 { return floats.Dot(k.w, x) + k.offset }

// step writes what F would be.
func (p *pieces) step(x, next []float64) {
	v := mat.NewVecDense(p.size, next)
	v.MulVec(p.a, mat.NewVecDense(p.size, x))
	floats.Add(next, p.c)
	for i := range p.kinks {
		if y := p.kinks[i].at(x); y > 0 {
			floats.AddScaled(next, y, p.kinks[i].gain)
		}
	}
}

// flip describes the same step from the other side of kink k: relu(y) = y + relu(-y).
func (p *pieces) flip(k int) {
	t := &p.kinks[k]
	p.a.RankOne(p.a, 1, mat.NewVecDense(p.size, t.gain), mat.NewVecDense(p.size, t.w))
	floats.AddScaled(p.c, t.offset, t.gain)
	floats.Scale(-1, t.w)
	t.offset = -t.offset
}

// around describes the step from where x is: no kink is active there.
func (p *pieces) around(x []float64) {
	for k := range p.kinks {
		if p.kinks[k].at(x) > 0 {
			p.flip(k)
		}
	}
}

const (
	// sameJacobian is the relative difference up to which two Jacobians are one.
	sameJacobian = 1e-11
	// looks is the number of states at which it is looked at whether the Jacobian stays the same nearby, near how near, in units of the starts' scale, and mostly in how many of them that must be.
	looks, near, mostly = 12, 1e-3, 9
	// lines is the number of lines along which kinks are looked for, until what was found explains the step; far is how far they go to either side, in units of the reach: a line crosses each hyperplane that
	// is not parallel to it, but some far out.
	lines, far = 4, 1e4
	// mostKinks bounds the kinks, splits how often a piece of a line is halved.
	mostKinks, splits = 2048, 60
	// explained is the relative difference up to which the step is what was found.
	explained = 1e-8
)

// sameMatrix compares Jacobians.
func sameMatrix(a, b []float64) bool {
	largest := 1.0
	for _, v := range a {
		largest = max(largest, math.Abs(v))
	}
	for i, v := range a {
		if !(math.Abs(v-b[i]) <= sameJacobian*largest) {
			return false
		}
	}
	return true
}

// isPiecewise looks at whether the Jacobian is the same around most of some states, as that of a smooth step never is.
func (h *hunt) isPiecewise(ctx context.Context, starts []float64) (bool, error) {
	if !h.layout.Float64 {
		return false, nil
	}
	d := h.size()
	n := min(looks, len(starts)/d)
	r := random.New(0, "fixedpoints/pieces")
	x := make([]float64, 0, 2*n*d)
	for i := range n {
		x = append(x, starts[i*d:(i+1)*d]...)
		for _, v := range starts[i*d : (i+1)*d] {
			x = append(x, v+near*h.scale/math.Sqrt(float64(d))*r.NormFloat64())
		}
	}
	js, _, err := h.jacobians(ctx, x)
	if err != nil {
		return false, err
	}
	same := 0
	for i := range n {
		if sameMatrix(js[2*i*d*d:(2*i+1)*d*d], js[(2*i+1)*d*d:(2*i+2)*d*d]) {
			same++
		}
	}
	return same*looks >= mostly*n, nil
}

// dissect finds the kinks of the step from the Jacobians along lines (as in Rolnick & Kording 2020, "Reverse-engineering deep ReLU networks"): across a kink the Jacobian changes by a matrix of rank one, gain times w.
// It returns nil where these kinks do not explain the step, as where there are several layers of them.
func (h *hunt) dissect(ctx context.Context) (*pieces, error) {
	for line := range uint64(lines) {
		p, err := h.along(ctx, line)
		if err != nil {
			return nil, err
		}
		if p == nil {
			continue
		}
		if err := h.refine(ctx, p); err != nil {
			return nil, err
		}
		if ok, err := h.explains(ctx, p); ok || err != nil {
			return p, err
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// place is a point of a line: how far along, F's Jacobian there, and F there without it, F(x) - J x.
type place struct {
	t float64
	j []float64
	c []float64
}

// span is a piece of a line.
type span struct {
	from, to place
	depth    int
}

// bounded is the reach, or a number where there is none.
func (h *hunt) bounded() float64 {
	if math.IsInf(h.reach, 1) {
		return 1e3 * h.scale
	}
	return h.reach
}

// along looks for the kinks on one line, whose direction is drawn.
func (h *hunt) along(ctx context.Context, line uint64) (*pieces, error) {
	d := h.size()
	r := random.New(0, "fixedpoints/line", line)
	way := make([]float64, d)
	for i := range way {
		way[i] = r.NormFloat64()
	}
	floats.Scale(1/floats.Norm(way, 2), way)
	look := func(ts []float64) ([]place, error) {
		x := make([]float64, len(ts)*d)
		for i, t := range ts {
			floats.AddScaledTo(x[i*d:(i+1)*d], h.centroid, t, way)
		}
		out := make([]place, len(ts))
		err := each(ctx, h.threads, len(ts), jacobianRows, func(ctx context.Context, from, to int) error {
			js, _, err := h.jacobians(ctx, x[from*d:to*d])
			if err != nil {
				return err
			}
			f := make([]float64, (to-from)*d)
			if err := h.step(ctx, x[from*d:to*d], f); err != nil {
				return err
			}
			for i := from; i < to; i++ {
				j, c := js[(i-from)*d*d:(i-from+1)*d*d], f[(i-from)*d:(i-from+1)*d]
				for k := range d {
					c[k] -= floats.Dot(j[k*d:(k+1)*d], x[i*d:(i+1)*d])
				}
				out[i] = place{ts[i], j, c}
			}
			return nil
		})
		return out, err
	}
	end := far * h.bounded() * math.Sqrt(float64(d))
	ends, err := look([]float64{-end, 0, end})
	if err != nil {
		return nil, err
	}
	p := &pieces{size: d, a: mat.NewDense(d, d, ends[0].j), c: ends[0].c}
	for waiting := []span{{ends[0], ends[1], 0}, {ends[1], ends[2], 0}}; len(waiting) > 0; {
		// Where one kink may be all there is between, it is looked at right before and after it, else in the middle.
		var ts []float64
		kinks := make([]*kink, len(waiting))
		for i := range waiting {
			s := &waiting[i]
			k, t, state := s.single(h.centroid, way)
			switch state {
			case straight:
			case bentOnce:
				kinks[i] = k
				// As near as rounding allows, and no nearer than a small part of the span.
				by := max(1e-9*(s.to.t-s.from.t), 1e-12*math.Abs(t))
				ts = append(ts, max(s.from.t, t-by), min(s.to.t, t+by))
			default:
				ts = append(ts, (s.from.t+s.to.t)/2)
			}
		}
		seen, err := look(ts)
		if err != nil {
			return nil, err
		}
		var next []span
		for i, s := range waiting {
			switch _, _, state := s.single(h.centroid, way); state {
			case straight:
			case bentOnce:
				before, after := seen[0], seen[1]
				seen = seen[2:]
				if sameMatrix(before.j, s.from.j) && sameMatrix(after.j, s.to.j) {
					p.kinks = append(p.kinks, *kinks[i])
					continue
				}
				next = append(next, span{s.from, before, s.depth + 1}, span{before, after, s.depth + 1}, span{after, s.to, s.depth + 1})
			default:
				next = append(next, span{s.from, seen[0], s.depth + 1}, span{seen[0], s.to, s.depth + 1})
				seen = seen[1:]
			}
		}
		waiting = next
		if len(p.kinks)+len(waiting) > mostKinks || len(waiting) > 0 && waiting[0].depth > splits {
			return nil, nil //nolint:nilnil // there is none
		}
	}
	return p, nil
}

// what a span of a line may hold.
type course uint8

const (
	unknown course = iota
	straight
	bentOnce
)

// single says whether a span may hold no kink, or one, and which and where.
func (s *span) single(origin, way []float64) (*kink, float64, course) {
	d := len(way)
	difference, largest := make([]float64, d*d), 0
	for i, v := range s.to.j {
		difference[i] = v - s.from.j[i]
		if math.Abs(difference[i]) > math.Abs(difference[largest]) {
			largest = i
		}
	}
	change := make([]float64, d)
	floats.SubTo(change, s.to.c, s.from.c)
	// What rounding leaves of offsets so far out.
	slack := 1e-13 * (1 + max(math.Abs(s.from.t), math.Abs(s.to.t))) * (1 + floats.Norm(s.from.j, math.Inf(1)))
	if sameMatrix(s.from.j, s.to.j) {
		if floats.Norm(change, 2) <= slack*math.Sqrt(float64(d))*10 {
			return nil, 0, straight
		}
		return nil, 0, unknown
	}
	row := largest / d
	w := append([]float64(nil), difference[row*d:(row+1)*d]...)
	norm := floats.Norm(w, 2)
	floats.Scale(1/norm, w)
	if floats.Dot(w, way) < 0 {
		floats.Scale(-1, w)
	}
	k := &kink{w: w, gain: make([]float64, d)}
	off := 0.0
	for i := range d {
		of := difference[i*d : (i+1)*d]
		k.gain[i] = floats.Dot(of, w)
		for j, v := range of {
			off = max(off, math.Abs(v-k.gain[i]*w[j]))
		}
	}
	if off > 1e-10*(1+norm) {
		return nil, 0, unknown
	}
	k.offset = floats.Dot(k.gain, change) / floats.Dot(k.gain, k.gain)
	floats.AddScaled(change, -k.offset, k.gain)
	t := -k.at(origin) / floats.Dot(w, way)
	if !(t > s.from.t && t < s.to.t) || floats.Norm(change, 2) > 10*slack*math.Sqrt(float64(d)) {
		return nil, 0, unknown
	}
	return k, t, bentOnce
}

// beside is how far to the sides of a kink its place is measured, in units of the starts' scale.
const beside = 1e-4

// refine measures the places of kinks again where they are nearest to the starts: far out on a line rounding is large.
func (h *hunt) refine(ctx context.Context, p *pieces) error {
	d := h.size()
	var of []int
	var x []float64
	for k := range p.kinks {
		t := &p.kinks[k]
		at := t.at(h.centroid)
		if math.Abs(at) > h.bounded() {
			continue
		}
		of = append(of, k)
		for _, side := range []float64{-1, 1} {
			for i, v := range h.centroid {
				x = append(x, v+(side*beside*h.scale-at)*t.w[i])
			}
		}
	}
	x = append(x, h.centroid...)
	n := len(x) / d
	f, js := make([]float64, len(x)), make([]float64, n*d*d)
	err := each(ctx, h.threads, n, jacobianRows, func(ctx context.Context, from, to int) error {
		own, _, err := h.jacobians(ctx, x[from*d:to*d])
		if err != nil {
			return err
		}
		copy(js[from*d*d:], own)
		return h.step(ctx, x[from*d:to*d], f[from*d:to*d])
	})
	if err != nil {
		return err
	}
	rest := func(i int) []float64 {
		c := f[i*d : (i+1)*d]
		for k := range d {
			c[k] -= floats.Dot(js[(i*d+k)*d:(i*d+k+1)*d], x[i*d:(i+1)*d])
		}
		return c
	}
	for i, k := range of {
		t := &p.kinks[k]
		s := span{place{0, js[2*i*d*d : (2*i+1)*d*d], rest(2 * i)}, place{3 * beside * h.scale, js[(2*i+1)*d*d : (2*i+2)*d*d], rest(2*i + 1)}, 0}
		// Another kink as near spoils it.
		if found, _, state := s.single(x[2*i*d:(2*i+1)*d], t.w); state != unknown && found != nil && floats.Distance(found.w, t.w, 2) < 1e-9 && distance(found.gain, t.gain) < 1e-9*(1+floats.Norm(t.gain, 2)) {
			t.offset = found.offset
		}
	}
	own := make([]float64, d)
	floats.Add(f[(n-1)*d:], p.c)
	p.step(h.centroid, own)
	floats.SubTo(p.c, f[(n-1)*d:], own)
	return nil
}

// explains compares pieces with the step, at states within reach.
func (h *hunt) explains(ctx context.Context, p *pieces) (bool, error) {
	d := h.size()
	const n = 256
	x, f, own := make([]float64, n*d), make([]float64, n*d), make([]float64, d)
	r := random.New(0, "fixedpoints/explained")
	for i := range n {
		row := x[i*d : (i+1)*d]
		for k := range row {
			row[k] = r.NormFloat64()
		}
		// As many near the starts as far from them.
		length := h.bounded() * math.Pow(r.Float64(), 4)
		floats.Scale(length/floats.Norm(row, 2), row)
		floats.Add(row, h.centroid)
	}
	if err := each(ctx, h.threads, n, stepRows, func(ctx context.Context, from, to int) error {
		return h.step(ctx, x[from*d:to*d], f[from*d:to*d])
	}); err != nil {
		return false, err
	}
	for i := range n {
		p.step(x[i*d:(i+1)*d], own)
		if !(distance(own, f[i*d:(i+1)*d]) <= explained*(h.scale+floats.Norm(f[i*d:(i+1)*d], 2))) {
			return false, nil
		}
	}
	return true, nil
}
