package kernel

/*
#cgo noescape call_sigmoids
#cgo nocallback call_sigmoids
#cgo noescape call_tanhs
#cgo nocallback call_tanhs
#include "calls.h"
*/
import "C"

import "fmt"

// Sigmoid writes 1/(1+exp(-x)) of each element of x to y, which may be x, as the cells compute their gates.
func Sigmoid[F Float](x, y []F) error {
	if len(y) != len(x) {
		return &ShapeError{"sigmoid", "y", len(y), fmt.Sprintf("%d elements", len(x))}
	}
	C.call_sigmoids(fallback[F](), C.long(len(x)), ptr(x), ptr(y))
	return nil
}

// Tanh writes the hyperbolic tangent of each element of x to y, which may be x, as the cells compute it.
func Tanh[F Float](x, y []F) error {
	if len(y) != len(x) {
		return &ShapeError{"tanh", "y", len(y), fmt.Sprintf("%d elements", len(x))}
	}
	C.call_tanhs(fallback[F](), C.long(len(x)), ptr(x), ptr(y))
	return nil
}
