package spikes

import (
	"slices"
	"testing"
)

// TestNumpyPermutations compares with numpy 2.4.6: default_rng(seed).permutation(7) twice, then sum((i+1)*p[i]) of permutation(1000), then
// three integers(0, 2**64-1, endpoint=True).
func TestNumpyPermutations(t *testing.T) {
	for _, c := range []struct {
		seed        uint64
		first, then []int64
		sum         int64
		words       []uint64
	}{
		{0, []int64{2, 4, 3, 6, 5, 0, 1}, []int64{5, 2, 4, 6, 1, 0, 3}, 251579888, []uint64{7350629852943587836, 9205096994887390314, 3667688654594301453}},
		{1, []int64{5, 0, 1, 4, 2, 6, 3}, []int64{1, 6, 2, 3, 4, 5, 0}, 246361925, []uint64{651633662148215616, 662674459594726073, 828079754146271169}},
		{12345, []int64{4, 3, 0, 2, 1, 6, 5}, []int64{6, 2, 1, 4, 3, 0, 5}, 252193183, []uint64{14239786688467372463, 17239659119779728680, 13612732882414647600}},
		{1<<32 - 1, []int64{0, 6, 4, 5, 3, 2, 1}, []int64{5, 1, 3, 6, 4, 2, 0}, 251830399, []uint64{13376127953074725698, 943092685711206035, 8462193356137885099}},
		{1 << 32, []int64{1, 3, 6, 0, 4, 2, 5}, []int64{0, 1, 5, 3, 2, 4, 6}, 249394561, []uint64{9469763066829786804, 12701906894971947684, 10600302099563682503}},
		{9223372049200454709, []int64{0, 1, 5, 6, 4, 3, 2}, []int64{2, 5, 4, 1, 0, 3, 6}, 248011930, []uint64{6697656621859459228, 601501324013640344, 17839340143965177293}},
		{1<<64 - 1, []int64{0, 4, 3, 5, 6, 1, 2}, []int64{1, 6, 3, 2, 5, 0, 4}, 248193157, []uint64{8319050844225302339, 15890451196921854053, 13536220906980222512}},
	} {
		g := newPCG64(c.seed)
		if p := g.permutation(7); !slices.Equal(p, c.first) {
			t.Errorf("seed %d: first permutation %v, want %v", c.seed, p, c.first)
		}
		if p := g.permutation(7); !slices.Equal(p, c.then) {
			t.Errorf("seed %d: second permutation %v, want %v", c.seed, p, c.then)
		}
		var sum int64
		for i, p := range g.permutation(1000) {
			sum += int64(i+1) * p
		}
		if sum != c.sum {
			t.Errorf("seed %d: sum %d, want %d", c.seed, sum, c.sum)
		}
		if w := []uint64{g.uint64(), g.uint64(), g.uint64()}; !slices.Equal(w, c.words) {
			t.Errorf("seed %d: words %v, want %v", c.seed, w, c.words)
		}
	}
}
