package distance

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas/blas64"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/product"
)

// descent maximises f(C) = <A, C B C^T> over the connected component of O(n) that it begins in, by limited-memory BFGS. It works in a frame
// that moves along: with M = C B C^T, a step is C -> R C, M -> R M R^T with R a rotation whose logarithm is about the skew W. The gradient there is the skew part of
// A M^T - M^T A, and gradients of successive frames are compared as they stand (left-trivialised transport; Absil, Mahony & Sepulchre 2008).
type descent struct {
	x, y *Operator
	n    int
	work product.Workspace

	c, m, r, mNew, cNew, t1, t2 []float64
	// Skew matrices are kept as their strict lower triangle.
	g, gNew, step []float64
	s, dg         [][]float64
	rho, alpha    []float64
}

// end is where a descent came to.
type end struct {
	c       []float64
	angular float64
}

// memory is the number of steps that the approximate Hessian is made of.
const memory = 12

func newDescent(x, y *Operator) *descent {
	n := x.n
	d := &descent{x: x, y: y, n: n}
	for _, p := range []*[]float64{&d.c, &d.m, &d.r, &d.mNew, &d.cNew, &d.t1, &d.t2} {
		*p = make([]float64, n*n)
	}
	half := n * (n - 1) / 2
	for _, p := range []*[]float64{&d.g, &d.gNew, &d.step} {
		*p = make([]float64, half)
	}
	for range memory {
		d.s, d.dg = append(d.s, make([]float64, half)), append(d.dg, make([]float64, half))
	}
	d.rho, d.alpha = make([]float64, memory), make([]float64, memory)
	return d
}

func (d *descent) mul(dst, a []float64, ta bool, b []float64, tb bool) {
	n := d.n
	d.work.Mul(dst, n, n, n, product.Operand{Data: a, Stride: n, T: ta}, product.Operand{Data: b, Stride: n, T: tb})
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

// run descends from c until the gradient's norm is below tolerance, nothing is gained any more, or the iterations are used up.
func (d *descent) run(ctx context.Context, from []float64, iterations int, tolerance float64) (end, error) {
	copy(d.c, from)
	d.orthogonalise(d.c, 2)
	d.mul(d.t1, d.c, false, d.y.a, false)
	d.mul(d.m, d.t1, false, d.c, true)
	// Half the squared distance keeps its digits near 0, where 1 - f has none.
	f := d.half(d.m)
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
		d.direction(kept, it)
		slope := dot(d.g, d.step)
		if !(slope < 0) {
			kept = 0
			d.direction(0, it)
			slope = dot(d.g, d.step)
		}
		// No step turns by more than about a quarter of a right angle in any plane.
		t := 1.0
		if size := math.Sqrt(2 * dot(d.step, d.step)); kept == 0 {
			t = min(1, 0.2/size)
		} else if size > 1 {
			t = 1 / size
		}
		moved := false
		var fNew float64
		for range 20 {
			d.rotation(t)
			d.mul(d.t1, d.r, false, d.m, false)
			d.mul(d.mNew, d.t1, false, d.r, true)
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
		d.mul(d.cNew, d.r, false, d.c, false)
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
	return end{append([]float64(nil), d.c...), chordAngle(f)}, nil
}

// refresh makes C orthogonal to rounding and M what it stands for.
func (d *descent) refresh() float64 {
	d.orthogonalise(d.c, 2)
	d.mul(d.t1, d.c, false, d.y.a, false)
	d.mul(d.m, d.t1, false, d.c, true)
	return d.half(d.m)
}

// half is |A - M|^2 / 2.
func (d *descent) half(m []float64) float64 {
	sum := 0.0
	for i, v := range d.x.a {
		e := v - m[i]
		sum += e * e
	}
	return sum / 2
}

// gradient of half with respect to W, of R = exp(W), at W = 0, in the coordinates of the strict lower triangle.
func (d *descent) gradient(g, m []float64) {
	n := d.n
	d.mul(d.t1, d.x.a, false, m, true)
	d.mul(d.t2, m, true, d.x.a, false)
	k := 0
	for i := range n {
		for j := range i {
			g[k] = -(d.t1[i*n+j] - d.t2[i*n+j] - d.t1[j*n+i] + d.t2[j*n+i])
			k++
		}
	}
}

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
	if kept > 0 {
		k := (it - 1 + memory*4) % memory
		gamma := 1 / (d.rho[k] * dot(d.dg[k], d.dg[k]))
		blas64.Scal(gamma, vec(d.step))
	}
	for b := kept; b >= 1; b-- {
		k := (it - b + memory*4) % memory
		axpy(d.alpha[k]-d.rho[k]*dot(d.dg[k], d.step), d.s[k], d.step)
	}
}

// rotation writes to r the orthogonal matrix next to I + W + W^2/2 + W^3/6 + W^4/24, W = t step: products alone, where Cayley's map or the
// exponential would solve or iterate.
func (d *descent) rotation(t float64) {
	n := d.n
	w, w2, k := d.mNew, d.t1, 0
	for i := range n {
		w[i*n+i] = 0
		for j := range i {
			w[i*n+j], w[j*n+i] = t*d.step[k], -t*d.step[k]
			k++
		}
	}
	// W^T W = -W^2: transposed left operands are packed at the cost of a copy. W^2 is symmetric.
	d.mul(w2, w, true, w, false)
	for i, v := range w {
		w2[i] = -w2[i]
		d.t2[i] = v/6 + w2[i]/24
	}
	for i := range n {
		d.t2[i*n+i] += 0.5
	}
	d.mul(d.r, w2, true, d.t2, false)
	for i, v := range w {
		d.r[i] += v
	}
	for i := range n {
		d.r[i*n+i]++
	}
	d.orthogonalise(d.r, 1)
}

// orthogonalise replaces x, which is nearly orthogonal, by x (3 I - x^T x) / 2, which is more nearly so, a few times (Newton and Schulz).
func (d *descent) orthogonalise(x []float64, times int) {
	n := d.n
	for range times {
		d.mul(d.t1, x, true, x, false)
		for i, v := range d.t1 {
			d.t1[i] = -v / 2
		}
		for i := range n {
			d.t1[i*n+i] += 1.5
		}
		d.mul(d.t2, x, false, d.t1, false)
		copy(x, d.t2)
	}
}

// chordAngle is the angle between two matrices of norm 1 from half their squared distance.
func chordAngle(half float64) float64 { return 2 * math.Asin(min(1, math.Sqrt(half/2))) }
