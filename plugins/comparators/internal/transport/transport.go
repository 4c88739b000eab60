// Package transport moves one set of points onto another at the least cost: exact optimal transport between points of equal weight, and assignment. It is ours for want of a kept Go library.
package transport

import "math"

// Uniform is the least mean cost of moving n points onto m, those of each set sharing a weight of 1 equally; cost (n, m) must be finite and at least 0.
func Uniform(cost []float64, n, m int) float64 {
	// Weights 1/n and 1/m in units of 1/lcm(n, m).
	g := gcd(n, m)
	return move(cost, n, m, m/g, n/g) / (float64(n) * float64(m/g))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// move is the least cost of moving supply units from each of n sources to m sinks that take demand units each, n supply = m demand, by shortest
// augmenting paths over reduced costs; with one unit each it is the Hungarian method.
func move(cost []float64, n, m, supply, demand int) float64 {
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
