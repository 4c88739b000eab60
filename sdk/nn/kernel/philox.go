package kernel

/*
#cgo noescape call_normals
#cgo nocallback call_normals
#cgo noescape call_dropout
#cgo nocallback call_dropout
#include "calls.h"
*/
import "C"

import (
	"errors"
	"fmt"
)

// trialIndex is the index of row b of a batch; nil means 0, 1, ...
func trialIndex(trials []uint64, b int) uint64 {
	if trials == nil {
		return uint64(b)
	}
	return trials[b]
}

// Normals fills dst, (B, T, C), with the standard normal numbers that a Sequence adds, times SD, to the states of trials (B; nil for 0, 1, ...)
// under key: with C the units, the number at (trial, bin, unit). The initial state's noise is that of bin 0 under its own key. float32
// numbers are those of float64, computed in float32.
//
// The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011): counter words 0 and 1 are the low and high half of a block
// number, words 2 and 3 those of the trial's index; key words 0 and 1 are the low and high half of key. Channel 64g + 16w + q, with w
// below 4 and q below 16, takes word w of block bin<<32 + 16g + q, so it depends on (key, trial, bin, channel) alone and 16 blocks fill vectors.
// Words 0 and 1 make one pair of numbers and words 2 and 3 the other by the method of Box & Muller (1958): the even word gives
// the radius sqrt(-2 ln u), u = ((word>>1) + 1/2) / 2^31, the odd one the angle pi * int32(word) / 2^31; the channel of the even word
// takes the cosine, that of the odd one the sine. No number exceeds 6.7.
func Normals[F Float](s Shape, key uint64, trials []uint64, dst []F) error {
	if err := errors.Join(s.check("normals"), optLen("normals", "trials", trials, s.B), wantLen("normals", "dst", dst, s.B*s.T*s.C)); err != nil {
		return err
	}
	ops := fallback[F]()
	return Shards(s.B, ShardRows, s.Threads, func(_, _, lo, hi int) error {
		for b := lo; b < hi; b++ {
			C.call_normals(ops, C.uint64_t(key), C.uint64_t(trialIndex(trials, b)), C.long(s.T), C.long(s.C), ptr(dst), C.long(b*s.T*s.C))
		}
		return nil
	})
}

// Dropout writes y = x * mask / (1-p) of (B, T, C) arrays, where the mask is 0 with probability p and 1 otherwise, a function of (key, trial
// index, bin, channel) only: a channel is kept if its word of the generator, as a fraction of 2^32, is at least p. The gradient is the
// same call on the cotangent. y may be x.
func Dropout[F Float](s Shape, key uint64, trials []uint64, p float64, x, y []F) error {
	n := s.B * s.T * s.C
	if err := errors.Join(s.check("dropout"), optLen("dropout", "trials", trials, s.B), wantLen("dropout", "x", x, n), wantLen("dropout", "y", y, n)); err != nil {
		return err
	}
	if !(p >= 0 && p < 1) {
		return fmt.Errorf("kernel: dropout: p %v: must be at least 0 and below 1", p)
	}
	ops := fallback[F]()
	return Shards(s.B, ShardRows, s.Threads, func(_, _, lo, hi int) error {
		for b := lo; b < hi; b++ {
			C.call_dropout(ops, C.uint64_t(key), C.uint64_t(trialIndex(trials, b)), C.long(s.T), C.long(s.C), C.double(p), ptr(x), ptr(y), C.long(b*s.T*s.C))
		}
		return nil
	})
}
