package product

import (
	"math"
	"slices"
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

// TestRight: what is put together of blocks is what is packed in one, wherever the blocks begin.
func TestRight(t *testing.T) {
	rng := random.New(4, "product")
	for _, size := range [][2]int{{16, 24}, {13, 19}, {5, 3}} {
		k, n := size[0], size[1]
		data := make([]float64, k*n)
		for i := range data {
			data[i] = rng.NormFloat64()
		}
		for _, step := range []int{3, 8, 12} {
			r := NewRight(k, n)
			for i := 0; i < k; i += step {
				for j := 0; j < n; j += step {
					h, w := min(step, k-i), min(step, n-j)
					block := Operand{Data: data[i*n+j:], Stride: n}
					if (i+j)/step%2 == 1 {
						turned := make([]float64, h*w)
						for y := range h {
							for x := range w {
								turned[x*h+y] = block.at(y, x)
							}
						}
						block = Operand{Data: turned, Stride: h, T: true}
					}
					r.Put(i, j, block, h, w)
				}
			}
			if want := Pack(Operand{Data: data, Stride: n}, k, n); !slices.Equal(r.panels, want.panels) {
				t.Errorf("%d x %d in blocks of %d: %v, want %v", k, n, step, r.panels, want.panels)
			}
			row := make([]float64, n)
			for i := range k {
				r.Row(row, i)
				if !slices.Equal(row, data[i*n:i*n+n]) || r.At(i, n-1) != row[n-1] {
					t.Errorf("%d x %d: row %d is %v", k, n, i, row)
				}
			}
		}
	}
}

// TestAddLagged compares with products of rows that are packed for each lag, over more rows than are summed at a time.
func TestAddLagged(t *testing.T) {
	rng := random.New(6, "product")
	const n, width = chunk + 100, 11
	data := make([]float64, n*width)
	for i := range data {
		data[i] = rng.NormFloat64()
	}
	s := PackSeries(nil, data, n, width)
	var w Workspace
	for _, c := range [][3]int{{0, 0, n}, {2, 7, n - 7}, {9, 1, 4}, {3, 3, 0}} {
		got, want := make([]float64, width*width), make([]float64, width*width)
		got[5], want[5] = 3, 3
		s.AddLagged(got, c[0], c[1], c[2])
		w.Add(want, width, width, c[2], Operand{Data: data[c[0]*width:], Stride: width, T: true}, Operand{Data: data[c[1]*width:], Stride: width})
		for i, v := range want {
			if math.Abs(got[i]-v) > 1e-11 {
				t.Errorf("%v: element %d is %v, want %v", c, i, got[i], v)
			}
		}
	}
}
