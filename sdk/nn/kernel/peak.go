package kernel

/*
#cgo noescape call_product
#cgo nocallback call_product
#cgo noescape call_fma
#cgo nocallback call_fma
#include "calls.h"
*/
import "C"

import "unsafe"

// CacheProduct is a product C += A B of matrices that stay in a first-level cache of 32 KiB together. It is done by the code that does the products of all cells, so
// its rate is the peak that they can be held against. CacheProducts makes them.
type CacheProduct[F Float] struct{ m, k int }

// CacheProducts has A of 32 by 64, 16 by 96 and 8 by 128 numbers, in double precision half as many rows but at least 8, and B of as many columns as three vectors of 64
// bytes hold. Which of them is the fastest depends on the processor.
func CacheProducts[F Float]() []CacheProduct[F] {
	if isDouble[F]() == 1 {
		return []CacheProduct[F]{{16, 64}, {8, 96}, {8, 128}}
	}
	return []CacheProduct[F]{{32, 64}, {16, 96}, {8, 128}}
}

// FLOPs is the number of floating-point operations of one product: two for each multiplication and addition.
func (p CacheProduct[F]) FLOPs() float64 {
	var f F
	return 2 * float64(p.m) * float64(p.k) * float64(192/unsafe.Sizeof(f))
}

// Repeat does the product times times on the calling thread, with the instructions of Variant(), and returns the sum of C's elements, which is 0 at first.
func (p CacheProduct[F]) Repeat(times int) float64 {
	if p.m == 0 {
		return 0
	}
	return float64(C.call_product(fallback[F](), C.long(p.m), C.long(p.k), C.long(times)))
}

// MultiplyAdds are multiplications, each with an addition, on numbers that stay in registers, of which none waits for another: the most that a core's arithmetic units can
// do, which no product of matrices exceeds.
type MultiplyAdds[F Float] struct{}

// FLOPs is the number of floating-point operations of one repetition: those of 12 vectors.
func (MultiplyAdds[F]) FLOPs() float64 { return 2 * 12 * float64(fallback[F]().lanes) }

// Repeat does them times times on the calling thread, with the instructions of Variant(). Every lane of vector i goes from i towards 2, half of the way each time; the
// result is the sum of all.
func (MultiplyAdds[F]) Repeat(times int) float64 {
	return float64(C.call_fma(fallback[F](), C.long(times)))
}
