package distance

import (
	"errors"
	"fmt"
	"math"
	"math/cmplx"
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
	// Weights 1/n and 1/m in units of 1/lcm(n, m).
	n, m := len(x), len(y)
	g := gcd(n, m)
	cost := make([]float64, n*m)
	for i, a := range x {
		for j, b := range y {
			re, im := real(a)-real(b), imag(a)-imag(b)
			cost[i*m+j] = re*re + im*im
		}
	}
	total := transport(cost, n, m, m/g, n/g)
	return math.Sqrt(total / (float64(n) * float64(m/g))), nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// transport is the least cost of moving supply units from each of n sources to m sinks that take demand units each, n supply = m demand, by shortest
// augmenting paths over reduced costs; with one unit each it is the Hungarian method.
func transport(cost []float64, n, m, supply, demand int) float64 {
	flow := make([]int, n*m)
	free := make([]int, m)
	for j := range free {
		free[j] = demand
	}
	u, v := make([]float64, n), make([]float64, m)
	distS, distT := make([]float64, n), make([]float64, m)
	fromS, fromT := make([]int, n), make([]int, m) // The sink that a source was reached from, and the reverse.
	doneS, doneT := make([]bool, n), make([]bool, m)
	for source := range n {
		for left := supply; left > 0; {
			for i := range distS {
				distS[i], doneS[i], fromS[i] = math.Inf(1), false, -1
			}
			for j := range distT {
				distT[j], doneT[j] = math.Inf(1), false
			}
			distS[source] = 0
			sink := -1
			relax := func(i int) {
				doneS[i] = true
				for j := range m {
					if !doneT[j] {
						if d := distS[i] + max(0, cost[i*m+j]-u[i]-v[j]); d < distT[j] {
							distT[j], fromT[j] = d, i
						}
					}
				}
			}
			relax(source)
			for sink < 0 {
				// The nearest vertex that is not settled; arcs back from a sink along flow have reduced cost 0.
				j := -1
				for k := range m {
					if !doneT[k] && (j < 0 || distT[k] < distT[j]) {
						j = k
					}
				}
				doneT[j] = true
				if free[j] > 0 {
					sink = j
					break
				}
				for i := range n {
					if !doneS[i] && flow[i*m+j] > 0 {
						distS[i], fromS[i] = distT[j], j
						relax(i)
					}
				}
			}
			reach := distT[sink]
			for i := range n {
				if doneS[i] {
					u[i] += reach - distS[i]
				}
			}
			for j := range m {
				if doneT[j] {
					v[j] -= reach - distT[j]
				}
			}
			amount := min(left, free[sink])
			for j := sink; ; {
				i := fromT[j]
				if fromS[i] < 0 {
					break
				}
				j = fromS[i]
				amount = min(amount, flow[i*m+j])
			}
			for j := sink; ; {
				i := fromT[j]
				flow[i*m+j] += amount
				if fromS[i] < 0 {
					break
				}
				j = fromS[i]
				flow[i*m+j] -= amount
			}
			free[sink] -= amount
			left -= amount
		}
	}
	total := 0.0
	for k, f := range flow {
		total += float64(f) * cost[k]
	}
	return total
}
