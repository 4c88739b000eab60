package body

import "math"

// Thelen is the Hill-type muscle of Thelen 2003, "Adjustment of muscle mechanics model parameters to simulate dynamic contractions in older adults", with
// the parameters of young adults: a Gaussian of force against length, an exponential passive force, and a hyperbola of force against velocity in which
// the greatest velocity grows with activation.
type Thelen[T Number] struct {
	Fibres      [MaxMuscles]Fibre
	Width       float64 // gamma of the Gaussian
	Strain, Kpe float64 // of the fibres under the greatest isometric force, and shape of the passive force
	Hill        float64 // Af, shape of the hyperbola
	Lengthening float64 // greatest force while lengthening, as a multiple of the isometric one
	Base, Span  float64 // the greatest velocity is (Base + Span a) Vmax
}

// ThelenMuscles have [LumpedArm]'s fibres and a greatest velocity of 10 optimal lengths a second.
func ThelenMuscles[T Number]() Thelen[T] {
	return Thelen[T]{LumpedFibres(10), .45, .6, 5, .25, 1.4, .25, .75}
}

// Count is six.
func (Thelen[T]) Count() int { return MaxMuscles }

// Fibre is muscle m's.
func (p Thelen[T]) Fibre(m int) Fibre { return p.Fibres[m] }

// Active is the Gaussian, Thelen's equation 4.
func (p Thelen[T]) Active(l T) T { return exp(-(l - 1) * (l - 1) / Of[T](p.Width)) }

// Passive is the exponential beyond the optimal length, equation 3.
func (p Thelen[T]) Passive(l T) T {
	if Re(l) <= 1 {
		return 0
	}
	return (exp((l-1)*Of[T](p.Kpe/p.Strain)) - 1) / Of[T](math.Exp(p.Kpe)-1)
}

// Steep is the 2 + 2/Af of the lengthening branch.
func (p Thelen[T]) Steep() float64 { return 2 + 2/p.Hill }

// Velocity is the factor of force at velocity v and activation a: equations 6 and 7 solved for the force. Nothing is left beyond the greatest velocity.
func (p Thelen[T]) Velocity(a, v T) T {
	w := v / (Of[T](p.Base) + Of[T](p.Span)*a)
	switch {
	case Re(w) < -1:
		return 0
	case Re(w) <= 0:
		return (1 + w) / (1 - w/Of[T](p.Hill))
	}
	k, f := Of[T](p.Steep())*w, p.Lengthening-1
	return (Of[T](f) + k*Of[T](p.Lengthening)) / (Of[T](f) + k)
}

// Contract is (a fl fv + fp) times the greatest force.
func (p Thelen[T]) Contract(m int, a, l, v T) Contraction[T] {
	c := Contraction[T]{Active: p.Active(l), Passive: p.Passive(l), Velocity: p.Velocity(a, v)}
	c.Force = (a*c.Active*c.Velocity + c.Passive) * Of[T](p.Fibres[m].Force)
	return c
}

// ThelenArm is the two-joint arm with Thelen's muscles on stiff tendons and his time constants of activation.
func ThelenArm[T Number](dt float64) Rigid[T] {
	return Rigid[T]{HumanArm[T](), LumpedArm[T](), ThelenMuscles[T](), Activation[T]{Rise: .015, Fall: .05}, dt}
}
