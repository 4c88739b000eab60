package body

// Tangent is the size of the imaginary parts that carry derivatives.
const Tangent = 1e-100

// Cotangent is the gradient of a scalar by the parts of a state. The parts by Length and Speed are by the normalised ones, as [Rigid.Senses] gives them.
type Cotangent struct {
	Q, QD                            [2]float64
	Activation, Force, Length, Speed [MaxMuscles]float64
}

// Stepper is a body that steps, with derivatives.
type Stepper interface {
	Advance(s State[complex128], excitation [MaxMuscles]complex128, force [2]complex128) State[complex128]
	Senses(s State[complex128]) (l, v [MaxMuscles]complex128)
	Optimal(m int) float64
}

// Advance is Step without its trace.
func (b Rigid[T]) Advance(s State[T], excitation [MaxMuscles]T, force [2]T) State[T] {
	n, _ := b.Step(s, excitation, force)
	return n
}

// derivative is that of the scalar whose cotangent is c, from the imaginary parts of s.
func (c Cotangent) derivative(b Stepper, s State[complex128]) (d float64) {
	l, v := b.Senses(s)
	for j := range c.Q {
		d += c.Q[j]*imag(s.Q[j]) + c.QD[j]*imag(s.QD[j])
	}
	for m := range MaxMuscles {
		d += c.Activation[m]*imag(s.Activation[m]) + c.Force[m]*imag(s.Force[m]) + c.Length[m]*imag(l[m]) + c.Speed[m]*imag(v[m])
	}
	return d / Tangent
}

// Lift is a state without a derivative.
func Lift(s State[float64]) (z State[complex128]) {
	for j := range s.Q {
		z.Q[j], z.QD[j] = complex(s.Q[j], 0), complex(s.QD[j], 0)
	}
	z.Activation, z.Force, z.Length, z.Speed = lift(s.Activation), lift(s.Force), lift(s.Length), lift(s.Speed)
	return z
}

func lift(a [MaxMuscles]float64) (z [MaxMuscles]complex128) {
	for m := range a {
		z[m] = complex(a[m], 0)
	}
	return z
}

// Pullback is the product of the cotangent of the state after a step and the step's Jacobian: the gradient by the state before it, the excitations and
// the force. No step depends on a Speed before it, one of [Rigid] on no Length, one of [Compliant] on no Force.
func Pullback(b Stepper, s State[float64], excitation [MaxMuscles]float64, force [2]float64, after Cotangent) (before Cotangent, u [MaxMuscles]float64, f [2]float64) {
	z, zu, zf := Lift(s), lift(excitation), [2]complex128{complex(force[0], 0), complex(force[1], 0)}
	by := func(in *complex128) float64 {
		*in += complex(0, Tangent)
		d := after.derivative(b, b.Advance(z, zu, zf))
		*in = complex(real(*in), 0)
		return d
	}
	for j := range z.Q {
		before.Q[j], before.QD[j], f[j] = by(&z.Q[j]), by(&z.QD[j]), by(&zf[j])
	}
	for m := range MaxMuscles {
		before.Activation[m], before.Force[m], u[m] = by(&z.Activation[m]), by(&z.Force[m]), by(&zu[m])
		before.Length[m] = by(&z.Length[m]) * b.Optimal(m)
	}
	return before, u, f
}
