package distance

import (
	"errors"
	"fmt"
	"math"
	"math/cmplx"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/transport"
)

// ErrSpectrum is returned, wrapped, for a spectrum that is empty or not finite.
var ErrSpectrum = errors.New("distance: unusable spectrum")

// Wasserstein is the 2-Wasserstein distance of two spectra, each taken for points of equal weight that sum to 1: the root of the least mean squared
// distance in the complex plane over all ways to move one onto the other. It is exact, and the sizes may differ. The published implementation of DSA
// reports its square.
func Wasserstein(x, y []complex128) (float64, error) {
	for i, s := range [][]complex128{x, y} {
		if len(s) == 0 {
			return 0, fmt.Errorf("%w: spectrum %d has no eigenvalues: at least 1 is needed", ErrSpectrum, i+1)
		}
		for k, z := range s {
			if cmplx.IsNaN(z) || cmplx.IsInf(z) {
				return 0, fmt.Errorf("%w: eigenvalue %d of spectrum %d is %v: it must be finite", ErrSpectrum, k, i+1, z)
			}
		}
	}
	n, m := len(x), len(y)
	cost := make([]float64, n*m)
	for i, a := range x {
		for j, b := range y {
			re, im := real(a)-real(b), imag(a)-imag(b)
			cost[i*m+j] = re*re + im*im
		}
	}
	return math.Sqrt(transport.Uniform(cost, n, m)), nil
}
