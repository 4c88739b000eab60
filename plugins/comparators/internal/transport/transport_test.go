package transport

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestAssign compares the assignment with all permutations.
func TestAssign(t *testing.T) {
	r := random.New(1, "test")
	for range 200 {
		rows, cols := 1+r.IntN(5), 1+r.IntN(6)
		cost := make([]float64, rows*cols)
		for i := range cost {
			cost[i] = float64(r.IntN(6))
		}
		at := func(i, j int) float64 { return cost[i*cols+j] }
		got := 0.0
		pairs := Pairs(rows, cols, at)
		for _, p := range pairs {
			got += at(p[0], p[1])
		}
		if want := cheapest(rows, cols, at, 0, make([]bool, cols), max(0, rows-cols)); got != want || len(pairs) != min(rows, cols) {
			t.Fatalf("%d x %d %v: %v costs %v, want %v", rows, cols, cost, pairs, got, want)
		}
	}
}

// cheapest tries everything; skips is the number of rows that may be left out.
func cheapest(rows, cols int, at func(i, j int) float64, i int, used []bool, skips int) float64 {
	if i == rows {
		return 0
	}
	best := math.Inf(1)
	if skips > 0 {
		best = cheapest(rows, cols, at, i+1, used, skips-1)
	}
	for j := range cols {
		if !used[j] {
			used[j] = true
			best = min(best, at(i, j)+cheapest(rows, cols, at, i+1, used, skips))
			used[j] = false
		}
	}
	return best
}

// TestUniform compares with all permutations of points repeated to a common number.
func TestUniform(t *testing.T) {
	r := random.New(2, "test")
	for _, s := range [][2]int{{1, 1}, {4, 4}, {2, 3}, {3, 2}, {6, 2}, {1, 5}, {6, 6}} {
		n, m := s[0], s[1]
		cost := make([]float64, n*m)
		for i := range cost {
			cost[i] = r.Float64()
		}
		common := n * m / gcd(n, m)
		at := func(i, j int) float64 { return cost[i*n/common*m+j*m/common] }
		if got, want := Uniform(cost, n, m), cheapest(common, common, at, 0, make([]bool, common), 0)/float64(common); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d onto %d: %v, want %v", n, m, got, want)
		}
	}
}
