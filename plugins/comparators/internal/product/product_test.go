package product

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestMul compares with sums in the plain order, for every transposition and for sizes that are no multiple of a block.
func TestMul(t *testing.T) {
	rng := random.New(1, "product")
	var w Workspace
	for _, s := range [][3]int{{1, 1, 1}, {4, 8, 3}, {5, 9, 7}, {13, 17, 11}, {50, 50, 50}, {3, 2, 0}} {
		m, n, k := s[0], s[1], s[2]
		draw := func(n int) []float64 {
			x := make([]float64, n)
			for i := range x {
				x[i] = rng.NormFloat64()
			}
			return x
		}
		for _, ta := range []bool{false, true} {
			for _, tb := range []bool{false, true} {
				a, b := Operand{draw(m * k), k, ta}, Operand{draw(k * n), n, tb}
				if ta {
					a.Stride = m
				}
				if tb {
					b.Stride = k
				}
				dst := make([]float64, m*n)
				w.Mul(dst, m, n, k, a, b)
				for i := range m {
					for j := range n {
						sum := 0.0
						for q := range k {
							sum = math.FMA(a.at(i, q), b.at(q, j), sum)
						}
						if dst[i*n+j] != sum {
							t.Fatalf("%v %v %v: element %d, %d is %v, want %v to the bit", s, ta, tb, i, j, dst[i*n+j], sum)
						}
					}
				}
			}
		}
	}
}

// TestKernels: the processor's kernel and the one in Go agree to the bit.
func TestKernels(t *testing.T) {
	rng := random.New(2, "product")
	a, b := make([]float64, rows*37), make([]float64, cols*37)
	for i := range a {
		a[i] = rng.NormFloat64()
	}
	for i := range b {
		b[i] = rng.NormFloat64()
	}
	var x, y [rows * cols]float64
	kernel(&x, a, b, 37)
	kernelGo(&y, a, b, 37)
	if x != y {
		t.Errorf("%v and %v", x, y)
	}
}

func BenchmarkMul50(b *testing.B) {
	const n = 50
	var w Workspace
	x, y, z := make([]float64, n*n), make([]float64, n*n), make([]float64, n*n)
	for b.Loop() {
		w.Mul(z, n, n, n, Operand{x, n, false}, Operand{y, n, false})
	}
	b.ReportMetric(2*n*n*n*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}
