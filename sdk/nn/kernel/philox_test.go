package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Known answers of Philox4x32-10 from the authors' Random123 library (kat_vectors), in our order of words.
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, k := range []struct {
		key, block, index uint64
		want              [4]uint32
	}{
		{0, 0, 0, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x299f31d0_a4093822, 0x85a308d3_243f6a88, 0x03707344_13198a2e, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(k.key, k.block, k.index); got != k.want {
			t.Errorf("key %#x, block %#x, index %#x: %#x, want %#x", k.key, k.block, k.index, got, k.want)
		}
	}
}

// The kernels' numbers are those of the definition, whatever the instruction set, the shape and the threads.
func TestNormalsAreTheDefinition(t *testing.T) {
	for _, s := range []Shape{{B: 1, T: 1, C: 1}, {B: 35, T: 3, C: 20, Threads: 2}, {B: 2, T: 4, C: 200}} {
		trials := make([]uint64, s.B)
		for i := range trials {
			trials[i] = uint64(i) << 33
		}
		const key = 0xfedcba9876543210
		d, f := make([]float64, s.B*s.T*s.C), make([]float32, s.B*s.T*s.C)
		must(t, Normals(s, key, trials, d))
		must(t, Normals(s, key, trials, f))
		i := 0
		for b := range s.B {
			for bin := range s.T {
				for c := range s.C {
					want := normalOf(key, trials[b], bin, c)
					if math.Abs(d[i]-want) > 1e-14*(1+math.Abs(want)) || math.Abs(float64(f[i])-want) > 2e-6*(1+math.Abs(want)) {
						t.Fatalf("trial %d, bin %d, channel %d: %v and %v, want %v", b, bin, c, d[i], f[i], want)
					}
					i++
				}
			}
		}
	}
}

func TestNormalsMoments(t *testing.T) {
	s := Shape{B: 100, T: 50, C: 130, Threads: 2}
	x := make([]float32, s.B*s.T*s.C)
	must(t, Normals(s, 12345, nil, x))
	n := float64(len(x))
	var m [5]float64
	beyond, lag := 0.0, 0.0
	for i, v := range x {
		p := 1.0
		for k := range m {
			m[k] += p / n
			p *= float64(v)
		}
		if math.Abs(float64(v)) > 3 {
			beyond += 1 / n
		}
		if i > 0 {
			lag += float64(v) * float64(x[i-1]) / n
		}
	}
	// Five standard errors: those of the k-th moment of a standard normal are sqrt((m_2k - m_k^2)/n).
	for _, k := range []struct {
		name                string
		got, want, variance float64
	}{{"mean", m[1], 0, 1}, {"variance", m[2], 1, 2}, {"third moment", m[3], 0, 15}, {"fourth moment", m[4], 3, 96}, {"beyond 3", beyond, 0.0026998, 0.0027}, {"neighbours", lag, 0, 1}} {
		if d := math.Abs(k.got - k.want); !(d < 5*math.Sqrt(k.variance/n)) {
			t.Errorf("%s %v, want %v within %v", k.name, k.got, k.want, 5*math.Sqrt(k.variance/n))
		}
	}
}

func TestDropout(t *testing.T) {
	s := Shape{B: 40, T: 30, C: 70, Threads: 2}
	n := s.B * s.T * s.C
	x, y := fill[float64](rand.New(rand.NewPCG(1, 1)), n, 1), make([]float64, n)
	const key, p = 77, 0.2
	must(t, Dropout(s, key, nil, p, x, y))
	kept := 0
	for i := range x {
		b, bin, c := i/(s.T*s.C), i/s.C%s.T, i%s.C
		word := philox(key, uint64(bin)<<32|uint64(16*(c/64)+c%16), uint64(b))[c%64/16]
		want := 0.0
		if float64(word)/(1<<32) >= p {
			want = x[i] / (1 - p)
			kept++
		}
		if math.Abs(y[i]-want) > 1e-15*math.Abs(want) {
			t.Fatalf("element %d: %v, want %v", i, y[i], want)
		}
	}
	if d := math.Abs(float64(kept)/float64(n) - (1 - p)); d > 5*math.Sqrt(p*(1-p)/float64(n)) {
		t.Errorf("kept %d of %d", kept, n)
	}
	must(t, Dropout(s, key, nil, 0, x, x))
	for _, p := range []float64{-0.1, 1, math.NaN()} {
		if err := Dropout(s, key, nil, p, x, y); err == nil {
			t.Errorf("p %v", p)
		}
	}
}

// BenchmarkNormals is a step's noise of 64 units; bytes are those of the numbers.
func BenchmarkNormals(b *testing.B) {
	s := Shape{B: ShardRows, T: 500, C: 64, Threads: 1}
	x := make([]float32, s.B*s.T*s.C)
	b.SetBytes(int64(4 * len(x)))
	for b.Loop() {
		must(b, Normals(s, 1, nil, x))
	}
}
