package body

import (
	"math"
	"math/cmplx"
)

// Number is what the equations are written over: values, or values with a derivative in the imaginary part.
type Number interface{ float64 | complex128 }

// Of is a parameter as a Number.
func Of[T Number](x float64) T {
	var t T
	switch p := any(&t).(type) {
	case *float64:
		*p = x
	case *complex128:
		*p = complex(x, 0)
	}
	return t
}

// Re is the value, without the derivative.
func Re[T Number](x T) float64 {
	if z, ok := any(x).(complex128); ok {
		return real(z)
	}
	return any(x).(float64)
}

// clip is x in [lo, hi].
func clip[T Number](x T, lo, hi float64) T {
	switch {
	case Re(x) < lo:
		return Of[T](lo)
	case Re(x) > hi:
		return Of[T](hi)
	}
	return x
}

// elementary is f of a value, or fc of one with a derivative.
func elementary[T Number](x T, f func(float64) float64, fc func(complex128) complex128) T {
	var t T
	switch p := any(&t).(type) {
	case *float64:
		*p = f(any(x).(float64))
	case *complex128:
		*p = fc(any(x).(complex128))
	}
	return t
}

func sin[T Number](x T) T  { return elementary(x, math.Sin, cmplx.Sin) }
func cos[T Number](x T) T  { return elementary(x, math.Cos, cmplx.Cos) }
func exp[T Number](x T) T  { return elementary(x, math.Exp, cmplx.Exp) }
func sqrt[T Number](x T) T { return elementary(x, math.Sqrt, cmplx.Sqrt) }
