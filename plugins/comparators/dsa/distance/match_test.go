package distance

import (
	"math"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/random"
)

// TestMatching holds what is kept up to date while pairs are exchanged to what it stands for: b to the paired coordinates, w to its formula, gains to the change of the worth.
func TestMatching(t *testing.T) {
	const n = 9
	r := random.New(1, "test")
	a, own := make([]float64, n*n), make([]float64, n*n)
	for i := range a {
		a[i], own[i] = r.NormFloat64(), r.NormFloat64()
	}
	m := &matching{n: n, a: a, b: slices.Clone(own), w: make([]float64, n*n), order: make([]int, n), sign: slices.Repeat([]float64{1}, n)}
	for i := range n {
		m.order[i] = i
	}
	m.weigh()
	worth := func() (sum float64) {
		for i := range n {
			for j := range n {
				sum += a[i*n+j] * m.sign[i] * m.sign[j] * own[m.order[i]*n+m.order[j]]
			}
		}
		return sum
	}
	check := func(what string) {
		t.Helper()
		for i := range n {
			for k := range n {
				if want := m.sign[i] * m.sign[k] * own[m.order[i]*n+m.order[k]]; m.b[i*n+k] != want {
					t.Fatalf("%s: b at %d, %d is %v, want %v", what, i, k, m.b[i*n+k], want)
				}
				want := 0.0
				for l := range n {
					want += a[i*n+l]*m.b[k*n+l] + a[l*n+i]*m.b[l*n+k]
				}
				if math.Abs(m.w[i*n+k]-want) > 1e-12 {
					t.Fatalf("%s: w at %d, %d is %v, want %v", what, i, k, m.w[i*n+k], want)
				}
			}
		}
	}
	check("begun")
	for i := range n {
		before, gain := worth(), m.flipGain(i)
		m.flip(i)
		check("flipped")
		if math.Abs(worth()-before-gain) > 1e-12 {
			t.Errorf("flip of %d gains %v, said was %v", i, worth()-before, gain)
		}
		j := (i + 4) % n
		m.swap(i, j, float64(1-i%2*2), float64(1-i/2%2*2))
		check("swapped")
	}
	m.signs()
	m.exchange()
	check("exchanged")
	// No exchange and no sign gains any more.
	last := worth()
	for i := range n {
		if m.flipGain(i) > 1e-12 {
			t.Errorf("the sign of %d would gain %v", i, m.flipGain(i))
		}
		for j := range i {
			for _, s := range [][2]float64{{1, 1}, {1, -1}, {-1, 1}, {-1, -1}} {
				m.swap(i, j, s[0], s[1])
				if worth() > last+1e-9 {
					t.Errorf("the exchange of %d and %d with signs %v would gain %v", i, j, s, worth()-last)
				}
				// Back: the signs go with the partners.
				m.swap(i, j, s[1], s[0])
			}
		}
	}
	if math.Abs(worth()-last) > 1e-12 {
		t.Errorf("exchanged there and back: %v, before %v", worth(), last)
	}
}
