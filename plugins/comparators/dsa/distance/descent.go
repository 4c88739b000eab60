package distance

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// descent minimises F(C) = |A - C B C^T|^2 / 2 over the connected component of O(n) that it begins in, by limited-memory BFGS. It works in a frame
// that moves along: with M = C B C^T, a step is C -> R C, M -> R M R^T with R a rotation whose logarithm is about the skew W. The gradient there is twice the skew part of
// M^T A - A M^T, and gradients of successive frames are compared as they stand (left-trivialised transport; Absil, Mahony & Sepulchre 2008).
//
// Operators are in coordinates in which their symmetric parts are diagonal. So one product is enough for a gradient, and the curvature in single planes, which
// costs no product, is near enough to that of the whole to begin the approximate inverse Hessian with. All matrices are padded, see [product.Square].
type descent struct {
	x, y *Operator
	n, p int
	work product.Workspace
	// a and b are the operators, k the skew part of a.
	a, b, k []float64

	c, m, r, mNew, cNew, t1, t2 []float64
	// Skew matrices are kept as their strict lower triangle. h is the curvature in each of its planes.
	g, gNew, step, h []float64
	rows, columns    []float64
	s, dg            [][]float64
	rho, alpha       []float64
	// steps is how many were made in all.
	steps int
}

// end is where a descent came to.
type end struct {
	c       []float64
	angular float64
}

// memory is the number of steps that the approximate Hessian is made of.
const memory = 8

func newDescent(x, y *Operator) *descent {
	n := x.n
	d := &descent{x: x, y: y, n: n, p: product.Padded(n), rows: make([]float64, n), columns: make([]float64, n)}
	for _, p := range []*[]float64{&d.a, &d.b, &d.k, &d.c, &d.m, &d.r, &d.mNew, &d.cNew, &d.t1, &d.t2} {
		*p = make([]float64, d.p*d.p)
	}
	d.pad(d.a, x.own)
	d.pad(d.b, y.own)
	for i := range n {
		for j := range n {
			d.k[i*d.p+j] = (x.own[i*n+j] - x.own[j*n+i]) / 2
		}
	}
	half := n * (n - 1) / 2
	for _, p := range []*[]float64{&d.g, &d.gNew, &d.step, &d.h} {
		*p = make([]float64, half)
	}
	for range memory {
		d.s, d.dg = append(d.s, make([]float64, half)), append(d.dg, make([]float64, half))
	}
	d.rho, d.alpha = make([]float64, memory), make([]float64, memory)
	return d
}

// pad copies a matrix without gaps to one with them, bare the other way.
func (d *descent) pad(to, from []float64) {
	for i := range d.n {
		copy(to[i*d.p:][:d.n], from[i*d.n:])
	}
}

func (d *descent) bare(from []float64) []float64 {
	out := make([]float64, d.n*d.n)
	for i := range d.n {
		copy(out[i*d.n:][:d.n], from[i*d.p:])
	}
	return out
}

// transpose writes the transpose of a padded matrix, a block at a time.
func (d *descent) transpose(to, from []float64) {
	const block = 8
	p := d.p
	for i := 0; i < p; i += block {
		for j := 0; j < p; j += block {
			for r := range block {
				row := from[(i+r)*p+j:][:block]
				at := j*p + i + r
				for q, v := range row {
					to[at+q*p] = v
				}
			}
		}
	}
}

func vec(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }

func dot(x, y []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return blas64.Dot(vec(x), vec(y))
}

func axpy(alpha float64, x, y []float64) {
	if len(x) > 0 {
		blas64.Axpy(alpha, vec(x), vec(y))
	}
}

// begin writes C, without gaps, and what it stands for, and returns half the squared distance.
func (d *descent) begin(from []float64) float64 {
	d.pad(d.c, from)
	return d.refresh()
}

// run descends from c until the gradient's norm is below tolerance, nothing is gained any more, or the iterations are used up.
func (d *descent) run(ctx context.Context, from []float64, iterations int, tolerance float64) (end, error) {
	// Half the squared distance keeps its digits near 0, where 1 - <A, M> has none.
	f := d.begin(from)
	d.gradient(d.g, d.m)
	kept, stalled := 0, 0
	for it := range iterations {
		if err := ctx.Err(); err != nil {
			return end{}, err
		}
		norm := math.Sqrt(dot(d.g, d.g))
		if norm <= tolerance || norm <= tolerance*math.Sqrt(f) || f < 1e-26 {
			break
		}
		if it%curvatureEvery == 0 {
			d.curvature()
		}
		d.direction(kept, it)
		slope := dot(d.g, d.step)
		if !(slope < 0) {
			kept = 0
			d.direction(0, it)
			slope = dot(d.g, d.step)
		}
		// No step turns by more than about 40 degrees in any plane.
		t := 1.0
		if size := math.Sqrt(2 * dot(d.step, d.step)); size > 1 {
			t = 1 / size
		}
		moved := false
		var fNew float64
		for range 20 {
			d.rotation(t)
			product.Square(d.t1, d.r, d.m, d.n)
			d.transpose(d.t2, d.r)
			product.Square(d.mNew, d.t1, d.t2, d.n)
			fNew = d.half(d.mNew)
			if fNew <= f+1e-4*t*slope {
				moved = true
				break
			}
			// The minimum of the parabola through what is known, within reason.
			t *= max(0.1, min(0.5, -t*slope/(2*(fNew-f-t*slope))))
		}
		if !moved {
			if kept == 0 {
				break
			}
			kept = 0
			continue
		}
		d.steps++
		product.Square(d.cNew, d.r, d.c, d.n)
		d.c, d.cNew = d.cNew, d.c
		d.m, d.mNew = d.mNew, d.m
		d.gradient(d.gNew, d.m)
		slot := it % memory
		s, y := d.s[slot], d.dg[slot]
		curvature, yy := 0.0, 0.0
		for i := range s {
			s[i] = t * d.step[i]
			y[i] = d.gNew[i] - d.g[i]
			curvature += s[i] * y[i]
			yy += y[i] * y[i]
		}
		if curvature > 1e-10*math.Sqrt(yy*dot(s, s)) {
			d.rho[slot] = 1 / curvature
			kept = min(kept+1, memory)
		} else {
			// A pair without positive curvature cannot stay between good ones.
			kept = 0
		}
		d.g, d.gNew = d.gNew, d.g
		if f-fNew <= 1e-15*f || f-fNew < 1e-30 {
			if stalled++; stalled >= 3 {
				f = fNew
				break
			}
		} else {
			stalled = 0
		}
		f = fNew
		if it%20 == 19 {
			f = d.refresh()
		}
	}
	f = d.refresh()
	return end{d.bare(d.c), chordAngle(f)}, nil
}

// refresh makes C orthogonal to rounding and M what it stands for.
func (d *descent) refresh() float64 {
	d.orthogonalise(d.c, 2)
	product.Square(d.t1, d.c, d.b, d.n)
	d.transpose(d.t2, d.c)
	product.Square(d.m, d.t1, d.t2, d.n)
	return d.half(d.m)
}

// half is |A - M|^2 / 2.
func (d *descent) half(m []float64) float64 {
	// Four sums, so that none waits for the last addition.
	var s0, s1, s2, s3 float64
	a, m := d.a, m[:len(d.a)]
	for i := 0; i+4 <= len(a); i += 4 {
		e0, e1, e2, e3 := a[i]-m[i], a[i+1]-m[i+1], a[i+2]-m[i+2], a[i+3]-m[i+3]
		s0, s1, s2, s3 = s0+e0*e0, s1+e1*e1, s2+e2*e2, s3+e3*e3
	}
	return (s0 + s1 + s2 + s3) / 2
}

// gradient of half with respect to W, of R = exp(W), at W = 0, in the coordinates of the strict lower triangle. With A = D + K and M = P + Q, D diagonal, P symmetric, K and Q skew,
// the skew part of A M^T - M^T A is DP - PD - (KQ - QK), and QK is the transpose of KQ.
func (d *descent) gradient(g, m []float64) {
	n, p := d.n, d.p
	q, kq := d.t1, d.t2
	for i := range n {
		q[i*p+i] = 0
		for j, v := range m[i*p:][:i] {
			w := (v - m[j*p+i]) / 2
			q[i*p+j], q[j*p+i] = w, -w
		}
	}
	product.Square(kq, d.k, q, n)
	k := 0
	for i := range n {
		di := d.a[i*p+i]
		for j, v := range m[i*p:][:i] {
			g[k] = 2*(kq[i*p+j]-kq[j*p+i]) - (di-d.a[j*p+j])*(v+m[j*p+i])
			k++
		}
	}
}

// curvatureEvery is the number of steps between two looks at the curvature.
const curvatureEvery = 4

// curvature is the second derivative of half in each plane: with r and c the inner products of rows and of columns of A with those of M, of the plane of i and j it is
// r_i + r_j + c_i + c_j - 2 (A_jj M_ii + A_ii M_jj - A_ji M_ij - A_ij M_ji). The inverse Hessian begins with its modulus, kept away from 0.
func (d *descent) curvature() {
	n, p := d.n, d.p
	clear(d.columns)
	for i := range n {
		row, sum := d.a[i*p:][:n], 0.0
		for j, v := range d.m[i*p:][:n] {
			x := v * row[j]
			sum += x
			d.columns[j] += x
		}
		d.rows[i] = sum
	}
	k, mean := 0, 0.0
	for i := range n {
		own := d.rows[i] + d.columns[i]
		aii, mii := d.a[i*p+i], d.m[i*p+i]
		for j := range i {
			v := own + d.rows[j] + d.columns[j] - 2*(d.a[j*p+j]*mii+aii*d.m[j*p+j]-d.a[j*p+i]*d.m[i*p+j]-d.a[i*p+j]*d.m[j*p+i])
			d.h[k] = math.Abs(v)
			mean += d.h[k]
			k++
		}
	}
	if k == 0 {
		return
	}
	least := flattest * mean / float64(k)
	for i, v := range d.h {
		d.h[i] = 1 / max(v, least, math.SmallestNonzeroFloat64)
	}
}

// flattest is the share of the mean curvature below which none is trusted.
const flattest = 0.05

// direction writes -H g to step, H from the last pairs before iteration it (Nocedal & Wright 2006, algorithm 7.4).
func (d *descent) direction(kept, it int) {
	for i, v := range d.g {
		d.step[i] = -v
	}
	for b := 1; b <= kept; b++ {
		k := (it - b + memory*4) % memory
		d.alpha[k] = d.rho[k] * dot(d.s[k], d.step)
		axpy(-d.alpha[k], d.dg[k], d.step)
	}
	for i, v := range d.h {
		d.step[i] *= v
	}
	for b := kept; b >= 1; b-- {
		k := (it - b + memory*4) % memory
		axpy(d.alpha[k]-d.rho[k]*dot(d.dg[k], d.step), d.s[k], d.step)
	}
}

// R = I + W + X/2 + b W X + b^2 X^2, X = W W, is a rotation but for a term of the eighth order in the angle, at the cost of two products; orthogonalEnough is the size of W up to which that is
// 2e-9, beyond it R is made orthogonal.
const orthogonalEnough = 0.3

// rotation writes to r the orthogonal matrix next to exp(W), W = t step: products alone, where Cayley's map or the exponential would solve or iterate.
func (d *descent) rotation(t float64) {
	n, p := d.n, d.p
	b := (2 - math.Sqrt2) / 4
	w, x, k, size := d.mNew, d.t1, 0, 0.0
	for i := range n {
		w[i*p+i] = 0
		for j := range i {
			v := t * d.step[k]
			w[i*p+j], w[j*p+i] = v, -v
			size += 2 * v * v
			k++
		}
	}
	product.Square(x, w, w, n)
	for i, v := range w {
		d.t2[i] = b * (v + b*x[i])
	}
	for i := range n {
		d.t2[i*p+i] += 0.5
	}
	product.Square(d.r, x, d.t2, n)
	for i, v := range w {
		d.r[i] += v
	}
	for i := range n {
		d.r[i*p+i]++
	}
	if size > orthogonalEnough*orthogonalEnough {
		d.orthogonalise(d.r, 1)
	}
}

// orthogonalise replaces x, which is nearly orthogonal, by x (3 I - x^T x) / 2, which is more nearly so, a few times (Newton and Schulz).
func (d *descent) orthogonalise(x []float64, times int) {
	for range times {
		d.transpose(d.t2, x)
		product.Square(d.t1, d.t2, x, d.n)
		for i, v := range d.t1 {
			d.t1[i] = -v / 2
		}
		for i := range d.n {
			d.t1[i*d.p+i] += 1.5
		}
		product.Square(d.t2, x, d.t1, d.n)
		copy(x, d.t2)
	}
}

// chordAngle is the angle between two matrices of norm 1 from half their squared distance.
func chordAngle(half float64) float64 { return 2 * math.Asin(min(1, math.Sqrt(half/2))) }
