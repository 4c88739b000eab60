package product

import (
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestSquare: the bits of Mul, of every kernel that there is, for sizes that are and are not whole vectors, and zeros beyond.
func TestSquare(t *testing.T) {
	rng := random.New(4, "product")
	var w Workspace
	for _, n := range []int{1, 7, 8, 9, 16, 23, 50, 56} {
		p := Padded(n)
		a, b, dst, want := make([]float64, p*p), make([]float64, p*p), make([]float64, p*p), make([]float64, n*n)
		for i := range n {
			for j := range n {
				a[i*p+j], b[i*p+j] = rng.NormFloat64(), rng.NormFloat64()
			}
		}
		w.Mul(want, n, n, n, Operand{Data: a, Stride: p}, Operand{Data: b, Stride: p})
		check := func(what string) {
			for i := range p {
				for j := range p {
					v := 0.0
					if i < n && j < n {
						v = want[i*n+j]
					}
					if dst[i*p+j] != v {
						t.Fatalf("%s, %d rows: element %d, %d is %v, want %v", what, n, i, j, dst[i*p+j], v)
					}
				}
			}
		}
		Square(dst, a, b, n)
		check("square")
		clear(dst)
		for i := 0; i < p; i += rows {
			for j := 0; j < p; j += cols {
				stripGo(dst[i*p+j:], a[i*p:], b[j:], n, p)
			}
		}
		check("in Go")
	}
}

// TestRotate: the same bits by vectors and in Go.
func TestRotate(t *testing.T) {
	rng := random.New(6, "product")
	for _, n := range []int{1, 7, 8, 11, 64} {
		x, y := make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i] = rng.NormFloat64(), rng.NormFloat64()
		}
		p, q := slices.Clone(x), slices.Clone(y)
		Rotate(x, y, 0.6, -0.8)
		rotateGo(p, q, 0.6, -0.8)
		if !slices.Equal(x, p) || !slices.Equal(y, q) {
			t.Errorf("%d: %v, %v and %v, %v", n, x, y, p, q)
		}
	}
}

func BenchmarkSquare50(b *testing.B) {
	const n = 50
	p := Padded(n)
	x, y, z := make([]float64, p*p), make([]float64, p*p), make([]float64, p*p)
	for b.Loop() {
		Square(z, x, y, n)
	}
	b.ReportMetric(2*n*n*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
