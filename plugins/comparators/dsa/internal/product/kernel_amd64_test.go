package product

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestNarrowKernel: the kernel of processors without AVX-512 agrees to the bit.
func TestNarrowKernel(t *testing.T) {
	if !vectors {
		t.Skip("no AVX2 here")
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
