package tensor

import "math"

// Elements is the product of lengths, math.MaxInt64 where that overflows: sizes in estimates of memory come from numbers that nobody has bounded. A negative
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
