package body

import "math"

// Compliant is an arm whose tendons stretch. The lengths of its fibres are states of their own: the tendon's stretch gives the force, and the fibres move at the
// velocity at which they give the same. Everything is integrated together by the classical Runge-Kutta method of fourth order, Substeps steps a bin, with all
// four stages evaluated at their own states. Force, Length and Speed of a state are those of the same moment; none trails.
//
// The tendon is that of Kistemaker, Wong & Gribble 2010, "The central nervous system does not minimize energy cost in arm movements": its force is quadratic
// in its stretch, and the greatest isometric force stretches it by 4%.
type Compliant[T Number] struct {
	Skeleton   Skeleton[T]
	Paths      Paths[T]
	Muscle     Thelen[T]
	Activation Activation[T]
	Toe        float64 // strain of the tendon under the greatest isometric force
	Least      float64 // activation that fibres keep at rest, without which their velocity is not defined
	Cap        float64 // force, as a multiple of Lengthening, beyond which velocity grows in proportion, as it must to stay finite
	DT         float64 // s
	Substeps   int
}

// CompliantArm is the two-joint arm with Thelen's muscles on tendons that stretch.
func CompliantArm[T Number](dt float64, substeps int) Compliant[T] {
	return Compliant[T]{HumanArm[T](), LumpedArm[T](), ThelenMuscles[T](), Activation[T]{Rise: .015, Fall: .05}, .04, .05, .9, dt, substeps}
}

// Hand is where the hand is.
func (b Compliant[T]) Hand(q [2]T) [2]T { return b.Skeleton.Hand(q) }

// Optimal is the optimal length of muscle m's fibres, m.
func (b Compliant[T]) Optimal(m int) float64 { return b.Muscle.Fibre(m).Length }

// Tendon is the force of a tendon at a length of the whole muscle and a normalised length of its fibres, as a multiple of the greatest isometric force.
func (b Compliant[T]) Tendon(m int, whole, l T) T {
	f := b.Muscle.Fibre(m)
	x := (whole - l*Of[T](f.Length) - Of[T](f.Tendon)) / Of[T](f.Tendon*b.Toe)
	if Re(x) < 0 {
		return 0
	}
	return x * x
}

// Velocity is the fibres' at a force of the tendon, as a multiple of the greatest: Thelen's equations 6 and 7. Below no force and beyond the cap it goes on in a
// straight line.
func (b Compliant[T]) Velocity(a, l, tendon T) T {
	p := b.Muscle
	if Re(a) < b.Least {
		a = Of[T](b.Least)
	}
	return (Of[T](p.Base) + Of[T](p.Span)*a) * b.shape((tendon-p.Passive(l))/(a*p.Active(l)))
}

// shape is the velocity at r times the isometric force, as a multiple of the greatest at that activation.
func (b Compliant[T]) shape(r T) T {
	p := b.Muscle
	limit := b.Cap * p.Lengthening
	switch {
	case Re(r) < 0:
		return -1 + r*Of[T](1+1/p.Hill)
	case Re(r) <= 1:
		return (r - 1) / (1 + r/Of[T](p.Hill))
	case Re(r) <= limit:
		return (r - 1) * Of[T](p.Lengthening-1) / (Of[T](p.Steep()) * (Of[T](p.Lengthening) - r))
	}
	value, slope := b.CapLine()
	return Of[T](value) + (r-Of[T](limit))*Of[T](slope)
}

// CapLine is the velocity at the cap, and its derivative by the force there.
func (b Compliant[T]) CapLine() (value, slope float64) {
	p := b.Muscle
	f, k, gap := p.Lengthening-1, p.Steep(), p.Lengthening*(1-b.Cap)
	return (b.Cap*p.Lengthening - 1) * f / (k * gap), f * f / (k * gap * gap)
}

// finish gives a state the forces and speeds that go with it.
func (b Compliant[T]) finish(s State[T]) State[T] {
	for m := range b.Muscle.Count() {
		f := b.Muscle.Fibre(m)
		l := s.Length[m] / Of[T](f.Length)
		tendon := b.Tendon(m, b.Paths.Path(m, s.Q, s.QD).Length, l)
		s.Force[m] = tendon * Of[T](f.Force)
		s.Speed[m] = b.Velocity(s.Activation[m], l, tendon) * Of[T](f.Vmax)
	}
	return s
}

// Reset is the body at rest in a posture with its fibres as long as keeps them there, by bisection and one step of Newton's, which also gives the derivative.
func (b Compliant[T]) Reset(q [2]T) State[T] {
	s, p := State[T]{Q: q}, b.Muscle
	for m := range p.Count() {
		f, whole := p.Fibre(m), b.Paths.Path(m, s.Q, s.QD).Length
		excess := func(l T) T { return b.Tendon(m, whole, l) - p.Passive(l) - Of[T](b.Least)*p.Active(l) }
		lo, hi := 0.0, (Re(whole)-f.Tendon)/f.Length
		for range Bisections {
			if mid := (lo + hi) / 2; Re(excess(Of[T](mid))) > 0 {
				lo = mid
			} else {
				hi = mid
			}
		}
		l := Of[T]((lo + hi) / 2)
		s.Length[m] = (l - excess(l)/b.excessSlope(m, whole, l)) * Of[T](f.Length)
	}
	return b.finish(s)
}

// Bisections is how often Reset halves its bracket.
const Bisections = 50

// excessSlope is the derivative of the tendon's force less the fibres' at rest, by the fibres' length.
func (b Compliant[T]) excessSlope(m int, whole, l T) T {
	f, p := b.Muscle.Fibre(m), b.Muscle
	x := (whole - l*Of[T](f.Length) - Of[T](f.Tendon)) / Of[T](f.Tendon*b.Toe)
	d := -2 * x * Of[T](f.Length/(f.Tendon*b.Toe))
	d += Of[T](2*b.Least/p.Width) * (l - 1) * p.Active(l)
	if Re(l) > 1 {
		d -= (p.Passive(l)*Of[T](math.Expm1(p.Kpe)) + 1) * Of[T](p.Kpe/p.Strain/math.Expm1(p.Kpe))
	}
	return d
}

// rates are the derivatives by time of a state's coordinates, velocities, activations and lengths, in the places of these.
func (b Compliant[T]) rates(s State[T], excitation [MaxMuscles]T, force [2]T) State[T] {
	var d State[T]
	var torque [2]T
	for m := range b.Muscle.Count() {
		f, p := b.Muscle.Fibre(m), b.Paths.Path(m, s.Q, s.QD)
		l := s.Length[m] / Of[T](f.Length)
		tendon := b.Tendon(m, p.Length, l)
		for j := range torque {
			torque[j] -= tendon * Of[T](f.Force) * p.Arm[j]
		}
		d.Activation[m] = b.Activation.Rate(s.Activation[m], excitation[m])
		d.Length[m] = b.Velocity(s.Activation[m], l, tendon) * Of[T](f.Vmax)
	}
	d.Q, d.QD = s.QD, b.Skeleton.Accelerate(s.Q, s.QD, torque, force)
	return d
}

// plus is s + h d.
func plus[T Number](s, d State[T], h float64) State[T] {
	for j := range s.Q {
		s.Q[j] += d.Q[j] * Of[T](h)
		s.QD[j] += d.QD[j] * Of[T](h)
	}
	for m := range s.Activation {
		s.Activation[m] += d.Activation[m] * Of[T](h)
		s.Length[m] += d.Length[m] * Of[T](h)
	}
	return s
}

// Advance is the state after one bin under excitations, clipped to [0, 1], and a force at the hand, N. Limits of joints hold at the end of each substep.
func (b Compliant[T]) Advance(s State[T], excitation [MaxMuscles]T, force [2]T) State[T] {
	h := b.DT / float64(b.Substeps)
	for range b.Substeps {
		k1 := b.rates(s, excitation, force)
		k2 := b.rates(plus(s, k1, h/2), excitation, force)
		k3 := b.rates(plus(s, k2, h/2), excitation, force)
		k4 := b.rates(plus(s, k3, h), excitation, force)
		s = plus(plus(plus(plus(s, k1, h/6), k2, h/3), k3, h/3), k4, h/6)
		s.Q, s.QD = stop(b.Skeleton, s.Q, s.QD)
		for m := range s.Activation {
			s.Activation[m] = clip(s.Activation[m], 0, 1)
		}
	}
	return b.finish(s)
}

// Senses are the fibres' lengths as multiples of the optimal ones and velocities of the greatest.
func (b Compliant[T]) Senses(s State[T]) (l, v [MaxMuscles]T) { return senses[T](b.Muscle, s) }
