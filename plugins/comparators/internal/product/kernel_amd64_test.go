package product

import (
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestNarrowKernel: the kernel of processors without AVX-512 agrees to the bit.
func TestNarrowKernel(t *testing.T) {
	if !vectors {
		t.Skip("a processor with AVX2 is needed: every one that CI runs on has it")
	}
	rng := random.New(3, "product")
	a, b := make([]float64, rows*37), make([]float64, cols*37)
	for i := range a {
		a[i], b[i] = rng.NormFloat64(), rng.NormFloat64()
	}
	var x, y [rows * cols]float64
	kernelAVX2(&x[0], &a[0], &b[0], 37)
	kernelAVX2(&x[rows*cols/2], &a[rows/2], &b[0], 37)
	kernelGo(&y, a, b, 37)
	if x != y {
		t.Errorf("%v and %v", x, y)
	}
}

// TestNarrowSquare: so does that of products in place.
func TestNarrowSquare(t *testing.T) {
	if !vectors {
		t.Skip("a processor with AVX2 is needed: every one that CI runs on has it")
	}
	rng := random.New(5, "product")
	const p = 8
	a, b := make([]float64, p*p), make([]float64, p*p)
	for i := range a {
		a[i], b[i] = rng.NormFloat64(), rng.NormFloat64()
	}
	x, y := make([]float64, p*p), make([]float64, p*p)
	squareAVX2(&x[0], &a[0], &b[0], p, 8*p)
	squareAVX2(&x[p/2*p], &a[p/2*p], &b[0], p, 8*p)
	stripGo(y, a, b, p, p)
	if !slices.Equal(x, y) {
		t.Errorf("%v and %v", x, y)
	}
}
