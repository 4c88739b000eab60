package kernel

import (
	"errors"
	"fmt"
	"math"
)

// StepMap is one step of a cell as a map state' = f(x, state), without noise and readout, with its derivatives: what dynamical analysis needs.
// It is plain Go in double precision, for any number N of points at once; the weights are read, not copied. It is safe for concurrent use.
type StepMap struct {
	c SequenceConfig
	w SequenceWeights[float64]
}

// NewStepMap returns the map of a cell: of the configuration Cell, I, H and what belongs to the cell are used.
func NewStepMap(c SequenceConfig, w SequenceWeights[float64]) (*StepMap, error) {
	c.B, c.T, c.O, c.Threads = 1, 1, 0, 1
	w.Wout, w.Bout = nil, nil
	if err := errors.Join(c.check(), checkWeights(c, w, true)); err != nil {
		return nil, err
	}
	return &StepMap{c, w}, nil
}

// Config is what the map was made for.
func (m *StepMap) Config() SequenceConfig { return m.c }

// local is a point's step and the derivatives that are a unit's own. A cell with gates is a function of the products in[q] = W_q x + b_iq and
// rec[q] = U_q h + b_hq, and of the states; LSTM has two states s, h and c, the others one.
type local struct {
	next    [2][]float64
	in, rec [4][]float64
	// dIn[s][q] and dRec[s][q] are d next[s] / d in[q] and rec[q], direct[s][r] is d next[s] / d state[r].
	dIn, dRec [2][4][]float64
	direct    [2][2][]float64
}

// pointMap is the step of a cell that is no function of each unit's own products, at one point.
type pointMap interface {
	step(x, h, next []float64) error // next may be h
	tangent(x, h, dx, dh, out []float64) error
	cotangent(x, h, cot, gx, gh []float64) error
	jacobians(x, h, jx, jh []float64) error
}

// points is nil for cells that local describes.
func (m *StepMap) points() pointMap {
	switch m.c.Cell {
	case CellNODE:
		return m.newField()
	case CellLowRank:
		return newLowRankMap(m.c, m.w)
	}
	return nil
}

func (m *StepMap) states() int { return m.c.StateSize() / m.c.H }

func (m *StepMap) newLocal() *local {
	l := &local{}
	for s := range m.states() {
		l.next[s] = make([]float64, m.c.H)
		for r := range m.states() {
			l.direct[s][r] = make([]float64, m.c.H)
		}
		for q := range m.c.Cell.Gates() {
			l.dIn[s][q], l.dRec[s][q] = make([]float64, m.c.H), make([]float64, m.c.H)
		}
	}
	for q := range m.c.Cell.Gates() {
		l.in[q], l.rec[q] = make([]float64, m.c.H), make([]float64, m.c.H)
	}
	return l
}

// product is out = W v for the rows of gate q, plus their biases. Four rows at a time are four sums that do not wait for one another, each in the order of v: three times
// as fast as one, to the same bits.
func product(out, w, bias, v []float64, q int) {
	n := len(out)
	start := func(row int) float64 {
		if bias != nil {
			return bias[row]
		}
		return 0
	}
	row := func(j int) []float64 {
		from := (q*n + j) * len(v)
		return w[from : from+len(v)]
	}
	j := 0
	for ; j+4 <= n; j += 4 {
		a, b, c, d := row(j), row(j+1), row(j+2), row(j+3)
		sa, sb, sc, sd := start(q*n+j), start(q*n+j+1), start(q*n+j+2), start(q*n+j+3)
		for i, x := range v {
			sa += a[i] * x
			sb += b[i] * x
			sc += c[i] * x
			sd += d[i] * x
		}
		out[j], out[j+1], out[j+2], out[j+3] = sa, sb, sc, sd
	}
	for ; j < n; j++ {
		a, sum := row(j), start(q*n+j)
		for i, x := range v {
			sum += a[i] * x
		}
		out[j] = sum
	}
}

func logistic(a float64) float64 { return 1 / (1 + math.Exp(-a)) }

// evaluate fills l for one point.
func (m *StepMap) evaluate(l *local, x, state []float64) {
	h := state[:m.c.H]
	for q := range m.c.Cell.Gates() {
		product(l.in[q], m.w.Wih, m.w.Bih, x, q)
		product(l.rec[q], m.w.Whh, m.w.Bhh, h, q)
	}
	g := m.c.Gamma
	for j := range h {
		in, rec := l.in[0][j], l.rec[0][j]
		switch m.c.Cell {
		case CellGRU:
			r, z := logistic(in+rec), logistic(l.in[1][j]+l.rec[1][j])
			n := math.Tanh(l.in[2][j] + r*l.rec[2][j])
			l.next[0][j] = n + z*(h[j]-n)
			an := (1 - z) * (1 - n*n)
			ar, az := an*l.rec[2][j]*r*(1-r), (h[j]-n)*z*(1-z)
			for q, d := range [3][2]float64{{ar, ar}, {az, az}, {an, an * r}} {
				l.dIn[0][q][j], l.dRec[0][q][j] = d[0], d[1]
			}
			l.direct[0][0][j] = z
		case CellTanh, CellReLU, CellLinear:
			f, d := in+rec, 1.0
			switch {
			case m.c.Cell == CellTanh:
				f = math.Tanh(f)
				d = 1 - f*f
			case m.c.Cell == CellReLU && f <= 0:
				f, d = 0, 0
			}
			l.next[0][j], l.dIn[0][0][j], l.dRec[0][0][j] = f, d, d
		case CellLeaky, CellLeakyCompat:
			f := math.Tanh(in + rec)
			d := g * (1 - f*f)
			l.dIn[0][0][j], l.dRec[0][0][j] = d, d
			if m.c.Cell == CellLeaky {
				l.next[0][j], l.direct[0][0][j] = (1-g)*h[j]+g*f, 1-g
			} else {
				l.next[0][j], l.dRec[0][0][j] = (1-g)*rec+g*f, d+1-g
			}
		case CellLSTM:
			c := state[m.c.H+j]
			i, f, o := logistic(in+rec), logistic(l.in[1][j]+l.rec[1][j]), logistic(l.in[3][j]+l.rec[3][j])
			k := math.Tanh(l.in[2][j] + l.rec[2][j])
			next := f*c + i*k
			t := math.Tanh(next)
			out := o * (1 - t*t)
			l.next[0][j], l.next[1][j] = o*t, next
			for q, d := range [4]float64{k * i * (1 - i), c * f * (1 - f), i * (1 - k*k), 0} {
				l.dIn[1][q][j], l.dRec[1][q][j] = d, d
				l.dIn[0][q][j], l.dRec[0][q][j] = out*d, out*d
			}
			l.dIn[0][3][j], l.dRec[0][3][j] = t*o*(1-o), t*o*(1-o)
			l.direct[1][1][j], l.direct[0][1][j] = f, out*f
		}
	}
}

func atPoint(p int, err error) error { return fmt.Errorf("kernel: step: point %d: %w", p, err) }

// check checks the arguments and returns the number of points.
func (m *StepMap) check(x, state []float64) (int, error) {
	n := len(state) / m.c.StateSize()
	return n, errors.Join(wantLen("step", "state", state, n*m.c.StateSize()), wantLen("step", "x", x, n*m.c.I))
}

func at(a []float64, p, n int) []float64 {
	if a == nil {
		return nil
	}
	return a[p*n : (p+1)*n]
}

// Step writes state' (N, StateSize) for inputs x (N, I) and states (N, StateSize); N follows from state. next may be state.
func (m *StepMap) Step(x, state, next []float64) error {
	points, err := m.check(x, state)
	if err := errors.Join(err, wantLen("step", "next", next, len(state))); err != nil {
		return err
	}
	size, h := m.c.StateSize(), m.c.H
	if f := m.points(); f != nil {
		for p := range points {
			if err := f.step(at(x, p, m.c.I), at(state, p, size), at(next, p, size)); err != nil {
				return atPoint(p, err)
			}
		}
		return nil
	}
	l := m.newLocal()
	for p := range points {
		m.evaluate(l, at(x, p, m.c.I), at(state, p, size))
		for s := range m.states() {
			copy(next[p*size+s*h:], l.next[s])
		}
	}
	return nil
}

// JVP writes J_x dx + J_state dstate (N, StateSize) for directions dx (N, I) and dstate (N, StateSize); a nil direction is zero.
func (m *StepMap) JVP(x, state, dx, dstate, out []float64) error {
	points, err := m.check(x, state)
	if err := errors.Join(err, optLen("step", "dx", dx, len(x)), optLen("step", "dstate", dstate, len(state)), wantLen("step", "out", out, len(state))); err != nil {
		return err
	}
	size, h := m.c.StateSize(), m.c.H
	if f := m.points(); f != nil {
		for p := range points {
			if err := f.tangent(at(x, p, m.c.I), at(state, p, size), at(dx, p, m.c.I), at(dstate, p, size), at(out, p, size)); err != nil {
				return atPoint(p, err)
			}
		}
		return nil
	}
	l := m.newLocal()
	din, drec := make([]float64, h), make([]float64, h)
	for p := range points {
		m.evaluate(l, at(x, p, m.c.I), at(state, p, size))
		o := at(out, p, size)
		d := at(dstate, p, size)
		for s := range m.states() {
			for j := range h {
				o[s*h+j] = 0
				for r := 0; d != nil && r < m.states(); r++ {
					o[s*h+j] += l.direct[s][r][j] * d[r*h+j]
				}
			}
		}
		for q := range m.c.Cell.Gates() {
			product(din, m.w.Wih, nil, at(dx, p, m.c.I), q)
			if dx == nil {
				clear(din)
			}
			clear(drec)
			if d != nil {
				product(drec, m.w.Whh, nil, d[:h], q)
			}
			for s := range m.states() {
				for j := range h {
					o[s*h+j] += l.dIn[s][q][j]*din[j] + l.dRec[s][q][j]*drec[j]
				}
			}
		}
	}
	return nil
}

// VJP writes cot^T J_x (N, I) and cot^T J_state (N, StateSize) for cotangents cot (N, StateSize) of state'; a nil result is not wanted.
func (m *StepMap) VJP(x, state, cot, gx, gstate []float64) error {
	points, err := m.check(x, state)
	if err := errors.Join(err, wantLen("step", "cot", cot, len(state)), optLen("step", "gx", gx, len(x)), optLen("step", "gstate", gstate, len(state))); err != nil {
		return err
	}
	size, h := m.c.StateSize(), m.c.H
	if f := m.points(); f != nil {
		for p := range points {
			if err := f.cotangent(at(x, p, m.c.I), at(state, p, size), at(cot, p, size), at(gx, p, m.c.I), at(gstate, p, size)); err != nil {
				return atPoint(p, err)
			}
		}
		return nil
	}
	l := m.newLocal()
	for p := range points {
		m.evaluate(l, at(x, p, m.c.I), at(state, p, size))
		c, px, ps := at(cot, p, size), at(gx, p, m.c.I), at(gstate, p, size)
		clear(px)
		clear(ps)
		for j := range h {
			for r := 0; ps != nil && r < m.states(); r++ {
				for s := range m.states() {
					ps[r*h+j] += c[s*h+j] * l.direct[s][r][j]
				}
			}
			for q := range m.c.Cell.Gates() {
				var din, drec float64
				for s := range m.states() {
					din += c[s*h+j] * l.dIn[s][q][j]
					drec += c[s*h+j] * l.dRec[s][q][j]
				}
				row := q*h + j
				for i := range px {
					px[i] += din * m.w.Wih[row*m.c.I+i]
				}
				for i := 0; ps != nil && i < h; i++ {
					ps[i] += drec * m.w.Whh[row*h+i]
				}
			}
		}
	}
	return nil
}

// Jacobians writes dstate'/dx (N, StateSize, I) to jx and dstate'/dstate (N, StateSize, StateSize) to js: row j, column i is the derivative of the
// j-th result by the i-th argument. A nil result is not wanted.
func (m *StepMap) Jacobians(x, state, jx, js []float64) error {
	points, err := m.check(x, state)
	size, h, inputs := m.c.StateSize(), m.c.H, m.c.I
	if err := errors.Join(err, optLen("step", "jx", jx, points*size*inputs), optLen("step", "jstate", js, points*size*size)); err != nil {
		return err
	}
	if f := m.points(); f != nil {
		for p := range points {
			if err := f.jacobians(at(x, p, inputs), at(state, p, size), at(jx, p, size*inputs), at(js, p, size*size)); err != nil {
				return atPoint(p, err)
			}
		}
		return nil
	}
	l := m.newLocal()
	for p := range points {
		m.evaluate(l, at(x, p, inputs), at(state, p, size))
		px, ps := at(jx, p, size*inputs), at(js, p, size*size)
		clear(px)
		clear(ps)
		for s := range m.states() {
			for j := range h {
				row := s*h + j
				for q := range m.c.Cell.Gates() {
					din, drec := l.dIn[s][q][j], l.dRec[s][q][j]
					for i := 0; px != nil && i < inputs; i++ {
						px[row*inputs+i] += din * m.w.Wih[(q*h+j)*inputs+i]
					}
					for i := 0; ps != nil && i < h; i++ {
						ps[row*size+i] += drec * m.w.Whh[(q*h+j)*h+i]
					}
				}
				for r := 0; ps != nil && r < m.states(); r++ {
					ps[row*size+r*h+j] += l.direct[s][r][j]
				}
			}
		}
	}
	return nil
}

// String names the map.
func (m *StepMap) String() string { return fmt.Sprintf("step of %s", m.c) }
