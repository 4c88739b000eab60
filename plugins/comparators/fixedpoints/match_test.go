package fixedpoints

import (
	"fmt"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/transport"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// cloud draws n points about the origin.
func cloud(seed uint64, n, d int, spread float64) [][]float64 {
	rng := random.New(seed, "fixedpoints/match")
	out := make([][]float64, n)
	for i := range out {
		out[i] = make([]float64, d)
		for k := range out[i] {
			out[i][k] = spread * rng.NormFloat64()
		}
	}
	return out
}

// TestMatch: in groups the pairs cost what the best of all assignments with the cutoff does, from sets that all lie within it to sets where hardly two do.
func TestMatch(t *testing.T) {
	for _, spread := range []float64{0.1, 0.5, 1, 3, 30} {
		for _, size := range [][2]int{{1, 1}, {1, 27}, {27, 8}, {40, 40}} {
			x, y := cloud(1, size[0], 3, spread), cloud(2, size[1], 3, spread)
			m := match(x, y, 1)
			n := max(size[0], size[1])
			capped := func(i, j int) float64 { return min(distance(x[i], y[j]), cutoff) }
			want := cutoff * math.Abs(float64(size[0]-size[1])) / float64(n)
			for _, p := range transport.Pairs(size[0], size[1], capped) {
				want += capped(p[0], p[1]) / float64(n)
			}
			if math.Abs(m.distance-want) > 1e-12 {
				t.Errorf("spread %v, %v points: %v, want %v", spread, size, m.distance, want)
			}
			sum, left, right := cutoff*float64(n-len(m.pairs)), map[int]bool{}, map[int]bool{}
			for _, p := range m.pairs {
				if left[p[0]] || right[p[1]] {
					t.Errorf("spread %v, %v points: a point of %v has two partners", spread, size, p)
				}
				left[p[0]], right[p[1]] = true, true
				sum += distance(x[p[0]], y[p[1]])
			}
			if math.Abs(sum/float64(n)-want) > 1e-12 {
				t.Errorf("spread %v, %v points: pairs come to %v, want %v", spread, size, sum/float64(n), want)
			}
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, spread := range []float64{0.3, 1, 3} {
		b.Run(fmt.Sprintf("spread=%v", spread), func(b *testing.B) {
			x, y := cloud(1, mostPaired, 64, spread/8), cloud(2, mostPaired, 64, spread/8)
			for b.Loop() {
				match(x, y, 1)
			}
		})
	}
}
