package spikes

import "math/bits"

// numpyPermutations joins ceil(n/d) permutations of 0..d-1 and keeps the first n entries. The permutations are those that numpy's
// default_rng(seed).permutation(d) gives, called again and again, so that neurons read the latents that they read in the published benchmark.
func numpyPermutations(seed uint64, d, n int) []int64 {
	g := newPCG64(seed)
	var out []int64
	for len(out) < n {
		out = append(out, g.permutation(d)...)
	}
	return out[:n]
}

// pcg64 is numpy's default bit generator: PCG XSL-RR 128/64 (O'Neill 2014), a 128-bit linear congruential generator with permuted output.
type pcg64 struct {
	hi, lo       uint64
	incHi, incLo uint64
	// half is the upper half of the last word while only its lower half has been given out.
	half    uint32
	hasHalf bool
}

// newPCG64 seeds the generator as numpy does: SeedSequence(seed).generate_state(4, uint64) gives the initial state and the stream.
func newPCG64(seed uint64) *pcg64 {
	w := seedSequence(seed)
	g := &pcg64{}
	g.incHi, g.incLo = w[2]<<1|w[3]>>63, w[3]<<1|1
	g.step()
	var carry uint64
	g.lo, carry = bits.Add64(g.lo, w[1], 0)
	g.hi, _ = bits.Add64(g.hi, w[0], carry)
	g.step()
	return g
}

func (g *pcg64) step() {
	const mulHi, mulLo = 2549297995355413924, 4865540595714422341
	hi, lo := bits.Mul64(g.lo, mulLo)
	hi += g.hi*mulLo + g.lo*mulHi
	var carry uint64
	g.lo, carry = bits.Add64(lo, g.incLo, 0)
	g.hi, _ = bits.Add64(hi, g.incHi, carry)
}

func (g *pcg64) uint64() uint64 {
	g.step()
	return bits.RotateLeft64(g.hi^g.lo, -int(g.hi>>58))
}

// uint32 gives the lower half of a word, then its upper half.
func (g *pcg64) uint32() uint32 {
	if g.hasHalf {
		g.hasHalf = false
		return g.half
	}
	w := g.uint64()
	g.half, g.hasHalf = uint32(w>>32), true
	return uint32(w)
}

// upTo gives an integer in 0..limit: draws, masked to as many bits as limit has, until one is not above it.
func (g *pcg64) upTo(limit uint32) uint32 {
	mask := uint32(1)<<bits.Len32(limit) - 1
	for {
		if v := g.uint32() & mask; v <= limit {
			return v
		}
	}
}

// permutation shuffles 0..d-1 from the end, d < 2^32.
func (g *pcg64) permutation(d int) []int64 {
	p := make([]int64, d)
	for i := range p {
		p[i] = int64(i)
	}
	for i := d - 1; i > 0; i-- {
		j := g.upTo(uint32(i))
		p[i], p[j] = p[j], p[i]
	}
	return p
}

// seedSequence is numpy's SeedSequence(seed).generate_state(4, uint64): the seed's 32-bit words are hashed into a pool of four,
// the pool is mixed, and eight output words are hashed from it (O'Neill's seed_seq_fe).
func seedSequence(seed uint64) [4]uint64 {
	const (
		initA, multA     = 0x43b0d7e5, 0x931e8875
		initB, multB     = 0x8b51f9dd, 0x58f38ded
		mixMulL, mixMulR = 0xca01f9dd, 0x4973f715
		shift            = 16
	)
	hash := uint32(initA)
	hashmix := func(v uint32) uint32 {
		v ^= hash
		hash *= multA
		v *= hash
		return v ^ v>>shift
	}
	mix := func(x, y uint32) uint32 {
		r := mixMulL*x - mixMulR*y
		return r ^ r>>shift
	}
	// A seed below 2^32 is one word to numpy, but the pool is filled up with zeros all the same.
	pool := [4]uint32{hashmix(uint32(seed)), hashmix(uint32(seed >> 32)), hashmix(0), hashmix(0)}
	for from := range pool {
		for to := range pool {
			if from != to {
				pool[to] = mix(pool[to], hashmix(pool[from]))
			}
		}
	}
	hash = initB
	var words [8]uint32
	for i := range words {
		v := pool[i%4] ^ hash
		hash *= multB
		v *= hash
		words[i] = v ^ v>>shift
	}
	var out [4]uint64
	for i := range out {
		out[i] = uint64(words[2*i+1])<<32 | uint64(words[2*i])
	}
	return out
}
