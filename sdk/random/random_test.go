package random

import (
	"math"
	"testing"
)

// Known answers of Philox4x32-10 from the Random123 distribution (kat_vectors).
func TestBlockKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		key, block, index uint64
		want              [4]uint32
	}{
		{0, 0, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Block(c.key, c.block, c.index); got != c.want {
			t.Errorf("Block(%#x, %#x, %#x) = %#x, want %#x", c.key, c.block, c.index, got, c.want)
		}
	}
}

func TestStreamsAreIndependentOfOrder(t *testing.T) {
	first := New(3, "noise", 1, 7).Uint64()
	other := New(3, "noise", 1, 8)
	for range 100 {
		other.Uint64()
	}
	if again := New(3, "noise", 1, 7).Uint64(); again != first {
		t.Fatalf("the stream changed: %x, then %x", first, again)
	}
	seen := map[uint64]string{first: "seed 3"}
	for name, v := range map[string]uint64{
		"other seed":    New(4, "noise", 1, 7).Uint64(),
		"other purpose": New(3, "noises", 1, 7).Uint64(),
		"other epoch":   New(3, "noise", 2, 7).Uint64(),
		"other trial":   New(3, "noise", 1, 8).Uint64(),
		"no index":      New(3, "noise").Uint64(),
	} {
		if was, ok := seen[v]; ok {
			t.Errorf("%s gives the first word of %s", name, was)
		}
		seen[v] = name
	}
}

func TestMoments(t *testing.T) {
	r := New(0, "moments")
	const n = 200000
	var sum, sq float64
	for range n {
		x := r.NormFloat64()
		sum += x
		sq += x * x
	}
	mean, variance := sum/n, sq/n
	if math.Abs(mean) > 5/math.Sqrt(n) || math.Abs(variance-1) > 5*math.Sqrt(2.0/n) {
		t.Errorf("mean %v, variance %v of %d standard normals", mean, variance, n)
	}
}
