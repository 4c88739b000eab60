package distance

import (
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// matched makes starts from two frames: vectors of one are paired with vectors of the other, with a sign each, so that the operators agree as well as
// they can in these coordinates. The eigenvalues' order is where the pairing begins, which is exact for conjugate systems with distinct ones; exchanges of
// two pairs and changes of a sign follow while they gain (2-opt, as for any quadratic assignment).
func (d *descent) matched(x, y frame) [][]float64 {
	n := d.n
	m := &matching{n: n, a: x.in, b: slices.Clone(y.in), w: make([]float64, n*n), order: make([]int, n), sign: make([]float64, n)}
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

// matching pairs coordinate i of a with coordinate order[i] of what b was, turned by sign[i]; b is kept as it is so paired. Its worth is the sum over i, j of a_ij b_ij.
type matching struct {
	n    int
	a, b []float64
	// w is A B^T + A^T B: element (i, k) is twice what coordinate i of a would be worth with the partner of k, against all as they are. With it exchanges and signs are judged at once; each that is made costs
	// some n^2.
	w     []float64
	order []int
	sign  []float64
}

// weigh makes w.
func (m *matching) weigh() {
	for k := range m.n {
		m.weighColumn(k)
	}
}

// weighColumn makes column k of w, which is that of the partner of k.
func (m *matching) weighColumn(k int) {
	n := m.n
	to := make([]float64, n)
	for l := range n {
		axpy(m.b[l*n+k], m.a[l*n:l*n+n], to)
	}
	row := m.b[k*n : k*n+n]
	for i := range n {
		m.w[i*n+k] = to[i] + dot(m.a[i*n:i*n+n], row)
	}
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
			w[i*n+j] = m.a[i*n+j]*m.b[i*n+j] + m.a[j*n+i]*m.b[j*n+i]
			row += math.Abs(w[i*n+j])
		}
		shift = max(shift, row)
	}
	m.weigh()
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
		if v[i] < 0 {
			m.turn(i)
		}
	}
	m.weigh()
	m.flips()
}

// flips changes single signs while that gains.
func (m *matching) flips() bool {
	any := false
	for again := true; again; {
		again = false
		for i := range m.n {
			if m.flipGain(i) > 1e-12 {
				m.flip(i)
				again, any = true, true
			}
		}
	}
	return any
}

// flipGain is what the worth gains if sign i changes.
func (m *matching) flipGain(i int) float64 {
	at := i*m.n + i
	return -2 * (m.w[at] - 2*m.a[at]*m.b[at])
}

// turn changes sign i of b alone.
func (m *matching) turn(i int) {
	n := m.n
	m.sign[i] = -m.sign[i]
	for k := range n {
		if k != i {
			m.b[i*n+k], m.b[k*n+i] = -m.b[i*n+k], -m.b[k*n+i]
		}
	}
}

// flip changes sign i.
func (m *matching) flip(i int) {
	m.renew(func() { m.turn(i) }, i)
}

// renew keeps w up to date while change changes the rows and columns of b of some coordinates.
func (m *matching) renew(change func(), of ...int) {
	n := m.n
	column := make([]float64, n)
	add := func(sign float64) {
		for _, i := range of {
			row := m.b[i*n : i*n+n]
			for l := range n {
				column[l] = m.b[l*n+i]
			}
			// The part of coordinate i in all partners: column i of b, by a_ki, and row i, by a_ik.
			for k := range n {
				axpy(sign*m.a[i*n+k], row, m.w[k*n:k*n+n])
				axpy(sign*m.a[k*n+i], column, m.w[k*n:k*n+n])
			}
		}
	}
	add(-1)
	change()
	add(1)
	for _, i := range of {
		m.weighColumn(i)
	}
}

// swap exchanges the partners of two coordinates, and changes their signs where s or t is negative.
func (m *matching) swap(i, j int, s, t float64) {
	n := m.n
	m.renew(func() {
		m.order[i], m.order[j] = m.order[j], m.order[i]
		m.sign[i], m.sign[j] = m.sign[j], m.sign[i]
		for k := range n {
			m.b[i*n+k], m.b[j*n+k] = m.b[j*n+k], m.b[i*n+k]
		}
		for k := range n {
			m.b[k*n+i], m.b[k*n+j] = m.b[k*n+j], m.b[k*n+i]
		}
		if s < 0 {
			m.turn(i)
		}
		if t < 0 {
			m.turn(j)
		}
	}, i, j)
}

// exchange swaps partners of two coordinates, with the signs that suit them, while that gains.
func (m *matching) exchange() {
	n := m.n
	signs := [4][2]float64{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}}
	for range 8 {
		gained := false
		for i := range n {
			for j := range i {
				ii, ij, ji, jj := i*n+i, i*n+j, j*n+i, j*n+j
				a, b, w := m.a, m.b, m.w
				each := a[ij]*b[ij] + a[ji]*b[ji]
				now := w[ii] - a[ii]*b[ii] + w[jj] - a[jj]*b[jj] - each
				// Against all others but these two, each with the other's partner.
				wi := w[ij] - a[ii]*(b[ij]+b[ji]) - (a[ij]+a[ji])*b[jj]
				wj := w[ji] - a[jj]*(b[ij]+b[ji]) - (a[ij]+a[ji])*b[ii]
				turned, diagonal := a[ij]*b[ji]+a[ji]*b[ij], a[ii]*b[jj]+a[jj]*b[ii]
				best, at := math.Inf(-1), 0
				for k, s := range signs {
					if v := s[0]*wi + s[1]*wj + s[0]*s[1]*turned; v > best {
						best, at = v, k
					}
				}
				if best+diagonal > now+1e-12 {
					m.swap(i, j, signs[at][0], signs[at][1])
					gained = true
				}
			}
		}
		if !m.flips() && !gained {
			return
		}
	}
}
