package distance

import (
	"math"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// matched makes starts from two frames: vectors of one are paired with vectors of the other, with a sign each, so that the operators agree as well as
// they can in these coordinates. The eigenvalues' order is where the pairing begins, which is exact for conjugate systems with distinct ones; exchanges of
// two pairs and changes of a sign follow while they gain (2-opt, as for any quadratic assignment).
func (d *descent) matched(x, y frame) [][]float64 {
	n := d.n
	m := &matching{n: n, a: x.in, b: y.in, order: make([]int, n), sign: make([]float64, n)}
	for i := range n {
		m.order[i], m.sign[i] = i, 1
	}
	m.signs()
	m.exchange()
	starts := [][]float64{d.compose(x, y, m)}
	if n%2 == 1 {
		return starts
	}
	// The other determinant: the change of one sign that costs least.
	best, at := math.Inf(-1), 0
	for i := range n {
		if g := m.flipGain(i); g > best {
			best, at = g, i
		}
	}
	m.sign[at] = -m.sign[at]
	return append(starts, d.compose(x, y, m))
}

// compose is C = sum of x_i s_i y_p(i)^T.
func (d *descent) compose(x, y frame, m *matching) []float64 {
	n := d.n
	p := make([]float64, n*n)
	for i := range n {
		for k := range n {
			p[k*n+i] = m.sign[i] * y.u[k*n+m.order[i]]
		}
	}
	c := make([]float64, n*n)
	d.work.Mul(c, n, n, n, product.Operand{Data: x.u, Stride: n}, product.Operand{Data: p, Stride: n, T: true})
	return c
}

// matching pairs coordinate i of a with coordinate order[i] of b, turned by sign[i]. Its worth is the sum over i, j of a_ij s_i s_j b_p(i)p(j).
type matching struct {
	n     int
	a, b  []float64
	order []int
	sign  []float64
}

// signs finds those of the leading eigenvector of the matrix of the pairs' agreement (synchronisation over Z2, Singer 2011), then changes single ones while
// that gains.
func (m *matching) signs() {
	n := m.n
	w := make([]float64, n*n)
	shift := 0.0
	for i := range n {
		row := 0.0
		for j := range n {
			if i == j {
				continue
			}
			p, q := m.order[i], m.order[j]
			w[i*n+j] = m.a[i*n+j]*m.b[p*n+q] + m.a[j*n+i]*m.b[q*n+p]
			row += math.Abs(w[i*n+j])
		}
		shift = max(shift, row)
	}
	if shift == 0 {
		return
	}
	// By power iteration, shifted so that the largest eigenvalue leads; it need not converge far, since single changes follow.
	v, next := make([]float64, n), make([]float64, n)
	for i := range v {
		v[i] = 1 + float64(i%7)/16
	}
	for range 100 {
		norm := 0.0
		for i := range n {
			s := shift / 4 * v[i]
			for j, x := range w[i*n : i*n+n] {
				s += x * v[j]
			}
			next[i] = s
			norm = max(norm, math.Abs(s))
		}
		for i := range n {
			v[i] = next[i] / norm
		}
	}
	for i := range n {
		m.sign[i] = 1
		if v[i] < 0 {
			m.sign[i] = -1
		}
	}
	m.flips()
}

// flips changes single signs while that gains.
func (m *matching) flips() bool {
	any := false
	for again := true; again; {
		again = false
		for i := range m.n {
			if m.flipGain(i) > 1e-12 {
				m.sign[i] = -m.sign[i]
				again, any = true, true
			}
		}
	}
	return any
}

// flipGain is what the worth gains if sign i changes.
func (m *matching) flipGain(i int) float64 {
	n, p, sum := m.n, m.order[i], 0.0
	for j := range n {
		if j != i {
			q := m.order[j]
			sum += m.sign[j] * (m.a[i*n+j]*m.b[p*n+q] + m.a[j*n+i]*m.b[q*n+p])
		}
	}
	return -2 * m.sign[i] * sum
}

// worth of coordinate i of a taken to coordinate p of b, with sign s, against all others but the two named.
func (m *matching) worth(i, p int, s float64, without, other int) float64 {
	n, sum := m.n, 0.0
	for j := range n {
		if j != without && j != other {
			q := m.order[j]
			sum += m.sign[j] * (m.a[i*n+j]*m.b[p*n+q] + m.a[j*n+i]*m.b[q*n+p])
		}
	}
	return s*sum + m.a[i*n+i]*m.b[p*n+p]
}

// pair is the worth of two coordinates' terms with each other.
func (m *matching) pair(i, j, p, q int, s, t float64) float64 {
	n := m.n
	return s * t * (m.a[i*n+j]*m.b[p*n+q] + m.a[j*n+i]*m.b[q*n+p])
}

// exchange swaps partners of two coordinates, with the signs that suit them, while that gains.
func (m *matching) exchange() {
	signs := [4][2]float64{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}}
	for range 8 {
		gained := false
		for i := range m.n {
			for j := range i {
				p, q := m.order[i], m.order[j]
				now := m.worth(i, p, m.sign[i], i, j) + m.worth(j, q, m.sign[j], i, j) + m.pair(i, j, p, q, m.sign[i], m.sign[j])
				// Without the diagonal, a change of sign changes that of a coordinate's worth.
				wi, wj := m.worth(i, q, 1, i, j), m.worth(j, p, 1, i, j)
				di, dj := m.a[i*m.n+i]*m.b[q*m.n+q], m.a[j*m.n+j]*m.b[p*m.n+p]
				wi, wj = wi-di, wj-dj
				best, at := math.Inf(-1), 0
				for k, s := range signs {
					if v := s[0]*wi + s[1]*wj + m.pair(i, j, q, p, s[0], s[1]); v > best {
						best, at = v, k
					}
				}
				if best+di+dj > now+1e-12 {
					m.order[i], m.order[j] = q, p
					m.sign[i], m.sign[j] = signs[at][0], signs[at][1]
					gained = true
				}
			}
		}
		if !m.flips() && !gained {
			return
		}
	}
}
