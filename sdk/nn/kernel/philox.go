package kernel

import (
	"errors"
	"fmt"
	"math"
)

// philox is Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011): four random words for a counter and a key. Counter words 0 and 1 are the
// low and high half of block, words 2 and 3 those of index; key words 0 and 1 those of key.
func philox(key, block, index uint64) [4]uint32 {
	c0, c1, c2, c3 := uint32(block), uint32(block>>32), uint32(index), uint32(index>>32)
	k0, k1 := uint32(key), uint32(key>>32)
	for range 10 {
		p0, p1 := uint64(c0)*0xD2511F53, uint64(c2)*0xCD9E8D57
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += 0x9E3779B9
		k1 += 0xBB67AE85
	}
	return [4]uint32{c0, c1, c2, c3}
}

// group is how many channels share 16 consecutive blocks of the generator: in the group g = c/64, channel 64g + 16w + q is word w of block
// bin<<32 | 16g + q. The words of a channel therefore depend on (key, trial, bin, channel) alone, and 16 blocks fill vectors.
const group = 64

// normalOf is the standard normal number of a channel by the method of Box & Muller (1958): words 0 and 1 make one pair of a block, words 2 and
// 3 the other, the first giving the radius sqrt(-2 ln u), u = ((word>>1) + 1/2) / 2^31, the second the angle pi * s, s =
// int32(word) / 2^31; channels of the even word take the cosine, those of the odd one the sine.
func normalOf(key, trial uint64, bin, channel int) float64 {
	g, w, q := channel/group, channel%group/16, channel%16
	r := philox(key, uint64(bin)<<32|uint64(16*g+q), trial)
	radius := math.Sqrt(-2 * math.Log((float64(r[w&2]>>1)+0.5)/(1<<31)))
	sin, cos := math.Sincos(math.Pi * float64(int32(r[w|1])) / (1 << 31))
	if w&1 == 0 {
		return radius * cos
	}
	return radius * sin
}

// checkTrials checks the indices of a batch; nil means 0, 1, ...
func checkTrials(op string, trials []uint64, b int) error { return optLen(op, "trials", trials, b) }

func trialIndex(trials []uint64, b int) uint64 {
	if trials == nil {
		return uint64(b)
	}
	return trials[b]
}

// Normals fills dst, (B, T, C), with the standard normal numbers that GRU adds, times SD, to the states of trials (B; nil for 0, 1, ...)
// under key: with C the units, the number at (trial, bin, unit). The initial state's noise is that of bin 0 under its own key. float32
// numbers are those of float64, computed in float32.
func Normals[F Float](s Shape, key uint64, trials []uint64, dst []F) error {
	if err := errors.Join(s.check("normals"), checkTrials("normals", trials, s.B), wantLen("normals", "dst", dst, s.B*s.T*s.C)); err != nil {
		return err
	}
	return Shards(s.B, s.Threads, func(_, _, lo, hi int) error {
		for b := lo; b < hi; b++ {
			for t := range s.T {
				for c := range s.C {
					dst[(b*s.T+t)*s.C+c] = F(normalOf(key, trialIndex(trials, b), t, c))
				}
			}
		}
		return nil
	})
}

// Dropout writes y = x * mask / (1-p) of (B, T, C) arrays, where the mask is 0 with probability p and 1 otherwise, a function of (key, trial
// index, bin, channel) only: a channel is kept if its word of the generator, as a fraction of 2^32, is at least p. The gradient is the
// same call on the cotangent. y may be x.
func Dropout[F Float](s Shape, key uint64, trials []uint64, p float64, x, y []F) error {
	n := s.B * s.T * s.C
	if err := errors.Join(s.check("dropout"), checkTrials("dropout", trials, s.B), wantLen("dropout", "x", x, n), wantLen("dropout", "y", y, n)); err != nil {
		return err
	}
	if !(p >= 0 && p < 1) {
		return fmt.Errorf("kernel: dropout: p %v: must be at least 0 and below 1", p)
	}
	scale, limit := F(1/(1-p)), p*(1<<32)
	return Shards(s.B, s.Threads, func(_, _, lo, hi int) error {
		for b := lo; b < hi; b++ {
			trial := trialIndex(trials, b)
			for t := range s.T {
				for c := range s.C {
					i := (b*s.T+t)*s.C + c
					r := philox(key, uint64(t)<<32|uint64(16*(c/group)+c%16), trial)
					if float64(r[c%group/16]) >= limit {
						y[i] = scale * x[i]
					} else {
						y[i] = 0
					}
				}
			}
		}
		return nil
	})
}
