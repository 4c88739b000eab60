package kernel

import "math"

// lowRankMap is the low-rank cell's step at one point.
type lowRankMap struct {
	c                SequenceConfig
	w                SequenceWeights[float64]
	f, slope         []float64 // tanh of the state, and its derivative
	z                []float64 // (Rank)
	pre, full, units []float64 // (H)
}

func newLowRankMap(c SequenceConfig, w SequenceWeights[float64]) *lowRankMap {
	m := &lowRankMap{c: c, w: w, z: make([]float64, c.Rank)}
	for _, a := range []*[]float64{&m.f, &m.slope, &m.pre, &m.full, &m.units} {
		*a = make([]float64, c.H)
	}
	return m
}

// connect is pre = m (n a) / H + U a.
func (m *lowRankMap) connect(a []float64) {
	product(m.z, m.w.Maps[0].Weight, nil, a, 0)
	product(m.pre, m.w.Maps[1].Weight, nil, m.z, 0)
	for j := range m.pre {
		m.pre[j] /= float64(m.c.H)
	}
	if m.c.Full {
		product(m.full, m.w.Whh, nil, a, 0)
		for j, v := range m.full {
			m.pre[j] += v
		}
	}
}

func (m *lowRankMap) evaluate(h []float64) {
	for j, v := range h {
		m.f[j] = math.Tanh(v)
		m.slope[j] = 1 - m.f[j]*m.f[j]
	}
}

func (m *lowRankMap) step(x, h, next []float64) error {
	m.evaluate(h)
	m.connect(m.f)
	product(m.units, m.w.Wih, m.w.Bih, x, 0)
	g := m.c.Gamma
	for j, v := range m.pre {
		next[j] = (1-g)*h[j] + g*(v+m.units[j])
	}
	return nil
}

func (m *lowRankMap) tangent(_, h, dx, dh, out []float64) error {
	m.evaluate(h)
	clear(m.units)
	if dx != nil {
		product(m.units, m.w.Wih, nil, dx, 0)
	}
	g := m.c.Gamma
	clear(m.pre)
	if dh != nil {
		a := make([]float64, len(dh))
		for j, d := range dh {
			a[j] = m.slope[j] * d
		}
		m.connect(a)
	}
	for j := range out {
		out[j] = g * (m.pre[j] + m.units[j])
		if dh != nil {
			out[j] += (1 - g) * dh[j]
		}
	}
	return nil
}

// pull goes back over the step at the state that was evaluated last.
func (m *lowRankMap) pull(cot, gx, gh []float64) {
	g, units, ranks := m.c.Gamma, m.c.H, m.c.Rank
	clear(gx)
	for j, c := range cot {
		for i := range gx {
			gx[i] += g * c * m.w.Wih[j*m.c.I+i]
		}
	}
	if gh == nil {
		return
	}
	clear(m.z)
	clear(m.full)
	for j, c := range cot {
		for r := range ranks {
			m.z[r] += g * c * m.w.Maps[1].Weight[j*ranks+r] / float64(units)
		}
		for i := 0; m.c.Full && i < units; i++ {
			m.full[i] += g * c * m.w.Whh[j*units+i]
		}
	}
	for i := range gh {
		d := m.full[i]
		for r, z := range m.z {
			d += z * m.w.Maps[0].Weight[r*units+i]
		}
		gh[i] = (1-g)*cot[i] + m.slope[i]*d
	}
}

func (m *lowRankMap) cotangent(_, h, cot, gx, gh []float64) error {
	m.evaluate(h)
	m.pull(cot, gx, gh)
	return nil
}

func (m *lowRankMap) jacobians(_, h, jx, jh []float64) error {
	m.evaluate(h)
	cot := make([]float64, m.c.H)
	for j := range cot {
		cot[j] = 1
		m.pull(cot, at(jx, j, m.c.I), at(jh, j, m.c.H))
		cot[j] = 0
	}
	return nil
}
