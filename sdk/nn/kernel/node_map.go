package kernel

import "math"

// field is the vector field of a NODE at one point, with the memory to go back over the stages of a step.
type field struct {
	c    SequenceConfig
	maps []LinearWeights[float64]
	dt   float64
	// stages of a step: where each begins along the one before, and how much it counts
	at, weight []float64
	states     [][]float64   // (stage, H)
	units      [][][]float64 // (stage, map, width): what the hidden units give
	k          [][]float64   // (stage, H)
}

func (m *StepMap) newField() *field {
	f := &field{c: m.c, maps: m.w.Maps, dt: m.c.DT / float64(max(1, m.c.Substeps)), at: []float64{0}, weight: []float64{1}}
	if m.c.RK4 {
		f.at, f.weight = []float64{0, .5, .5, 1}, []float64{1. / 6, 1. / 3, 1. / 3, 1. / 6}
	}
	for range len(f.at) * max(1, m.c.Substeps) {
		f.states, f.k = append(f.states, make([]float64, m.c.H)), append(f.k, make([]float64, m.c.H))
		var units [][]float64
		for l := range m.c.Layers - 1 {
			out, _ := m.c.Map(l)
			units = append(units, make([]float64, out))
		}
		f.units = append(f.units, units)
	}
	return f
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

// step takes one bin; next may be h.
func (f *field) step(x, h, next []float64) {
	copy(next, h)
	for sub := 0; sub < len(f.states); sub += len(f.at) {
		for i, c := range f.at {
			s := f.states[sub+i]
			copy(s, next)
			if i > 0 {
				for j, k := range f.k[sub+i-1] {
					s[j] += c * f.dt * k
				}
			}
			f.evaluate(sub+i, x)
		}
		for i, w := range f.weight {
			for j, k := range f.k[sub+i] {
				next[j] += w * f.dt * k
			}
		}
	}
}

// tangent is the derivative of the step along (dx, dh); nil is zero.
func (f *field) tangent(x, h, dx, dh, out []float64) {
	next := make([]float64, len(h))
	f.step(x, h, next)
	if dx == nil {
		dx = make([]float64, len(x))
	}
	clear(out)
	copy(out, dh)
	dk := make([][]float64, len(f.at))
	for sub := 0; sub < len(f.states); sub += len(f.at) {
		for i, c := range f.at {
			d := append([]float64(nil), out...)
			if i > 0 {
				for j, k := range dk[i-1] {
					d[j] += c * f.dt * k
				}
			}
			for l := range f.c.Layers {
				o, _ := f.c.Map(l)
				to := make([]float64, o)
				if l == 0 {
					f.apply(l, to, d, dx, false)
				} else {
					f.apply(l, to, d, nil, false)
				}
				if l < f.c.Layers-1 {
					for j, y := range f.units[sub+i][l] {
						to[j] *= f.slope(y)
					}
				}
				d = to
			}
			dk[i] = d
		}
		for i, w := range f.weight {
			for j, k := range dk[i] {
				out[j] += w * f.dt * k
			}
		}
	}
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
func (f *field) cotangent(x, h, cot, gx, gh []float64) {
	f.step(x, h, make([]float64, len(h)))
	f.pull(cot, gx, gh)
}

// pull goes back over the step that was taken last.
func (f *field) pull(cot, gx, gh []float64) {
	clear(gx)
	d := append([]float64(nil), cot...)
	for sub := len(f.states) - len(f.at); sub >= 0; sub -= len(f.at) {
		dk := make([][]float64, len(f.at))
		for i, w := range f.weight {
			dk[i] = make([]float64, len(d))
			for j, v := range d {
				dk[i][j] = w * f.dt * v
			}
		}
		for i := len(f.at) - 1; i >= 0; i-- {
			g := f.back(sub+i, dk[i], gx)
			for j, v := range g {
				if i > 0 {
					dk[i-1][j] += f.at[i] * f.dt * v
				}
				d[j] += v
			}
		}
	}
	copy(gh, d)
}

func (f *field) jacobians(x, h, jx, jh []float64) {
	f.step(x, h, make([]float64, len(h)))
	cot := make([]float64, len(h))
	for j := range h {
		cot[j] = 1
		f.pull(cot, at(jx, j, f.c.I), at(jh, j, f.c.H))
		cot[j] = 0
	}
}
