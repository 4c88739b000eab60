package component

import "math"

// Memory is an estimate of what an instance takes at its peak, in whatever it may be asked to do: opening, training, rolling out, comparing.
type Memory struct {
	// Bytes that the process holds for it, beyond what it holds without any instance; good to a factor of two from tens of megabytes on. Buffers that
	// are one a thread are counted for the number of threads that the question names. 0: not known; math.MaxInt64: more than can be counted.
	Bytes int64
	// Params names the parameters that it grows with, the strongest first; empty where the sizes of the data alone decide.
	Params []string
}

// Elements is the product of lengths, math.MaxInt64 where that overflows: sizes for a [Memory] come from parameters that nobody has bounded. A negative
// length counts as 0.
func Elements(lengths ...int) int64 {
	n := int64(1)
	overflow := false
	for _, l := range lengths {
		switch {
		case l <= 0:
			return 0
		case n > math.MaxInt64/int64(l):
			overflow = true
		default:
			n *= int64(l)
		}
	}
	if overflow {
		return math.MaxInt64
	}
	return n
}

// Total is the sum of sizes that are not negative, math.MaxInt64 where that overflows.
func Total(sizes ...int64) int64 {
	n := int64(0)
	for _, s := range sizes {
		s = max(s, 0)
		if n > math.MaxInt64-s {
			return math.MaxInt64
		}
		n += s
	}
	return n
}
