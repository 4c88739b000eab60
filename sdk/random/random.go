// Package random gives the reproducible random streams of the project: a stream is named by a seed, a purpose and indices,
// and what it yields depends on those alone, never on the order or the number of other draws.
//
// So trial 17 of a data set is the same whether 20 or 20,000 trials are generated, by one worker or by eight, in this run or
// in a resumed one. The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw, 2011, "Parallel random numbers: as easy as
// 1, 2, 3"), a bijection of a 128-bit counter under a 64-bit key:
//
//   - key: the first 8 bytes, little-endian, of SHA-256 over "ctdb random v1", the seed, the purpose and all indices but the
//     last (integers as 8 little-endian bytes, the purpose preceded by its length);
//   - counter words 2 and 3: the last index (0 where none is given); words 0 and 1: the number of the block of four words.
//
// The C kernels use the same generator and layout, with the same keys ([Key]).
package random

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Key returns the 64-bit Philox key for a seed, a purpose and indices.
func Key(seed uint64, purpose string, index ...uint64) uint64 {
	h := sha256.New()
	h.Write([]byte("ctdb random v1"))
	var b [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	put(seed)
	put(uint64(len(purpose)))
	h.Write([]byte(purpose))
	for _, i := range index {
		put(i)
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// New returns the stream of that name as a [rand.Rand]. The last index goes into the counter, so streams that differ in it
// alone (one for each trial, say) are cheap to make.
func New(seed uint64, purpose string, index ...uint64) *rand.Rand {
	return rand.New(NewSource(seed, purpose, index...))
}

// NewSource returns the stream of that name as a source of 64-bit words.
func NewSource(seed uint64, purpose string, index ...uint64) *Source {
	s := &Source{}
	if n := len(index); n > 0 {
		s.index = index[n-1]
		index = index[:n-1]
	}
	s.key = Key(seed, purpose, index...)
	return s
}

// Source is a Philox4x32-10 stream. It implements [rand.Source].
type Source struct {
	key, index, block uint64
	buffered          bool
	next              uint64
}

var _ rand.Source = (*Source)(nil)

// Uint64 returns the next 64 bits: two words of the current block, the lower word first.
func (s *Source) Uint64() uint64 {
	if s.buffered {
		s.buffered = false
		return s.next
	}
	w := Block(s.key, s.block, s.index)
	s.block++
	s.next, s.buffered = uint64(w[3])<<32|uint64(w[2]), true
	return uint64(w[1])<<32 | uint64(w[0])
}

// Block returns the four words of one Philox4x32-10 block.
func Block(key, block, index uint64) [4]uint32 {
	const m0, m1, w0, w1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
	k0, k1 := uint32(key), uint32(key>>32)
	c0, c1, c2, c3 := uint32(block), uint32(block>>32), uint32(index), uint32(index>>32)
	for range 10 {
		p0, p1 := uint64(m0)*uint64(c0), uint64(m1)*uint64(c2)
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0, k1 = k0+w0, k1+w1
	}
	return [4]uint32{c0, c1, c2, c3}
}
