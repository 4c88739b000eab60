package kernel

import (
	"fmt"
	"math"
)

// tableau is an explicit Runge-Kutta method: stage i begins at the sum of a[i][j] times the stages before, which count b[i].
type tableau struct {
	a [][]float64
	b []float64
}

var (
	euler     = tableau{[][]float64{nil}, []float64{1}}
	classical = tableau{[][]float64{nil, {.5}, {0, .5}, {0, 0, 1}}, []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6}}
)

// field is the vector field of a NODE at one point, with the memory to go back over the stages of a step.
type field struct {
	c    SequenceConfig
	maps []LinearWeights[float64]
	tableau
	dts []float64 // the steps that make a bin
	// by stage, those of all steps numbered through
	states [][]float64   // (stage, H)
	units  [][][]float64 // (stage, map, width): what the hidden units give
	k      [][]float64   // (stage, H)
}

func (m *StepMap) newField() *field {
	f := &field{c: m.c, maps: m.w.Maps, tableau: euler}
	switch {
	case m.c.Dopri5:
		// The steps depend on the point.
		f.tableau = tableau{dopri5.a[:6], dopri5.b[:6]}
		return f
	case m.c.RK4:
		f.tableau = classical
	}
	for range max(1, m.c.Substeps) {
		f.dts = append(f.dts, m.c.DT/float64(max(1, m.c.Substeps)))
	}
	f.plan()
	return f
}

// plan makes room for the stages of all steps.
func (f *field) plan() {
	for len(f.states) < len(f.b)*len(f.dts) {
		f.states, f.k = append(f.states, make([]float64, f.c.H)), append(f.k, make([]float64, f.c.H))
		var units [][]float64
		for l := range f.c.Layers - 1 {
			out, _ := f.c.Map(l)
			units = append(units, make([]float64, out))
		}
		f.units = append(f.units, units)
	}
}

// apply is out = W [a, b] + bias of a map; bias may be left out.
func (f *field) apply(l int, out, a, b []float64, bias bool) {
	w, n := f.maps[l].Weight, len(a)+len(b)
	_, in := f.c.Map(l)
	for o := range out {
		sum := 0.0
		if bias && f.maps[l].Bias != nil {
			sum = f.maps[l].Bias[o]
		}
		for i, v := range a {
			sum += w[o*in+i] * v
		}
		for i, v := range b {
			sum += w[o*in+n-len(b)+i] * v
		}
		out[o] = sum
	}
}

func (f *field) unit(a float64) float64 {
	if f.c.TanhNet {
		return math.Tanh(a)
	}
	return max(0, a)
}

// slope is the derivative of a unit that gives y.
func (f *field) slope(y float64) float64 {
	switch {
	case f.c.TanhNet:
		return 1 - y*y
	case y > 0:
		return 1
	}
	return 0
}

// evaluate is k[st] = f(states[st], x).
func (f *field) evaluate(st int, x []float64) {
	a, last := f.states[st], f.c.Layers-1
	for l := range f.c.Layers {
		out := f.k[st]
		if l < last {
			out = f.units[st][l]
		}
		if l == 0 {
			f.apply(l, out, a, x, true)
		} else {
			f.apply(l, out, a, nil, true)
		}
		if l < last {
			for i, v := range out {
				out[i] = f.unit(v)
			}
		}
		a = out
	}
}

// along adds the parts w of the stages k times dt to s.
func along(s, w []float64, dt float64, k [][]float64) {
	for i, c := range w {
		if c == 0 {
			continue
		}
		for j, v := range k[i] {
			s[j] += c * dt * v
		}
	}
}

// step takes one bin; next may be h.
func (f *field) step(x, h, next []float64) error {
	if f.c.Dopri5 {
		if err := f.choose(x, h); err != nil {
			return err
		}
	}
	f.advance(x, h, next)
	return nil
}

// advance takes the steps of dts.
func (f *field) advance(x, h, next []float64) {
	copy(next, h)
	for n, dt := range f.dts {
		at := n * len(f.b)
		for i, a := range f.a {
			copy(f.states[at+i], next)
			along(f.states[at+i], a, dt, f.k[at:])
			f.evaluate(at+i, x)
		}
		along(next, f.b, dt, f.k[at:])
	}
}

// tangent is the derivative of the step along (dx, dh); nil is zero.
func (f *field) tangent(x, h, dx, dh, out []float64) error {
	if err := f.step(x, h, make([]float64, len(h))); err != nil {
		return err
	}
	if dx == nil {
		dx = make([]float64, len(x))
	}
	clear(out)
	copy(out, dh)
	dk := make([][]float64, len(f.b))
	for n, dt := range f.dts {
		for i, a := range f.a {
			d := append([]float64(nil), out...)
			along(d, a, dt, dk)
			for l := range f.c.Layers {
				o, _ := f.c.Map(l)
				to := make([]float64, o)
				if l == 0 {
					f.apply(l, to, d, dx, false)
				} else {
					f.apply(l, to, d, nil, false)
				}
				if l < f.c.Layers-1 {
					for j, y := range f.units[n*len(f.b)+i][l] {
						to[j] *= f.slope(y)
					}
				}
				d = to
			}
			dk[i] = d
		}
		along(out, f.b, dt, dk)
	}
	return nil
}

// back adds cot^T df/dx to gx and returns cot^T df/dh at a stage.
func (f *field) back(st int, cot, gx []float64) []float64 {
	d := cot
	for l := f.c.Layers - 1; l >= 0; l-- {
		out, in := f.c.Map(l)
		g := make([]float64, in)
		for o := range out {
			for i := range in {
				g[i] += d[o] * f.maps[l].Weight[o*in+i]
			}
		}
		if l > 0 {
			for i, y := range f.units[st][l-1] {
				g[i] *= f.slope(y)
			}
		}
		d = g
	}
	for i := range gx {
		gx[i] += d[f.c.H+i]
	}
	return d[:f.c.H]
}

// cotangent goes back over the step; a nil result is not wanted.
func (f *field) cotangent(x, h, cot, gx, gh []float64) error {
	if err := f.step(x, h, make([]float64, len(h))); err != nil {
		return err
	}
	f.pull(cot, gx, gh)
	return nil
}

// pull goes back over the step that was taken last.
func (f *field) pull(cot, gx, gh []float64) {
	clear(gx)
	d := append([]float64(nil), cot...)
	dk := make([][]float64, len(f.b))
	for n := len(f.dts) - 1; n >= 0; n-- {
		dt := f.dts[n]
		for i, w := range f.b {
			dk[i] = make([]float64, len(d))
			for j, v := range d {
				dk[i][j] = w * dt * v
			}
		}
		for i := len(f.b) - 1; i >= 0; i-- {
			g := f.back(n*len(f.b)+i, dk[i], gx)
			for j, v := range g {
				for q, c := range f.a[i] {
					if c != 0 {
						dk[q][j] += c * dt * v
					}
				}
				d[j] += v
			}
		}
	}
	copy(gh, d)
}

func (f *field) jacobians(x, h, jx, jh []float64) error {
	if err := f.step(x, h, make([]float64, len(h))); err != nil {
		return err
	}
	cot := make([]float64, len(h))
	for j := range h {
		cot[j] = 1
		f.pull(cot, at(jx, j, f.c.I), at(jh, j, f.c.H))
		cot[j] = 0
	}
	return nil
}

// dopri5 is the method of Dormand & Prince (1980) of order 5, with the stage that is the next step's first, and its error by the embedded method of order 4.
var dopri5 = struct {
	tableau
	e []float64
}{
	tableau{
		[][]float64{nil, {1. / 5}, {3. / 40, 9. / 40}, {44. / 45, -56. / 15, 32. / 9}, {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
			{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656}, {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}},
		[]float64{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84, 0},
	},
	[]float64{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40},
}

// choose finds the steps over a bin as the kernel does, into dts; adaptive_impl.h says how.
func (f *field) choose(x, h []float64) error {
	c := f.c
	g := &field{c: c, maps: f.maps, tableau: dopri5.tableau, dts: []float64{0}}
	g.plan()
	f.dts = f.dts[:0]
	y, e := append([]float64(nil), h...), make([]float64, len(h))
	left, dt, rejected, norm := c.DT, c.DT/float64(max(1, c.Substeps)), false, 0.0
	for range c.maxSteps() {
		last := dt >= left*(1-1e-12)
		if last {
			dt = left
		}
		g.dts[0] = dt
		next := make([]float64, len(h))
		g.advance(x, y, next)
		clear(e)
		along(e, dopri5.e, dt, g.k)
		sum := 0.0
		for j, v := range e {
			v /= c.ATol + c.RTol*max(math.Abs(y[j]), math.Abs(next[j]))
			sum += v * v
		}
		norm = math.Sqrt(sum / float64(len(h)))
		grow := min(10, max(.2, .9*math.Pow(max(norm, 1e-30), -.2)))
		if !(norm <= 1) {
			if math.IsNaN(norm) {
				grow = .2
			}
			dt *= min(1, grow)
			rejected = true
			continue
		}
		f.dts = append(f.dts, dt)
		if last {
			f.plan()
			return nil
		}
		left -= dt
		y = next
		if rejected {
			grow = min(1, grow)
		}
		dt *= grow
		rejected = false
	}
	if norm-norm != 0 { // however short the step
		return fmt.Errorf("dopri5: the state or its rate of change is %w", ErrNotFinite)
	}
	return fmt.Errorf("dopri5 needs more than %d steps: %w", c.maxSteps(), ErrSteps)
}
