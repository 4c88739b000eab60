package body

// Muscle is what force a muscle's contractile part gives.
type Muscle[T Number] interface {
	// Contract is the force of muscle m at activation a, length l as a multiple of the optimal one, and velocity v as one of the greatest.
	Contract(m int, a, l, v T) Contraction[T]
	// Fibre is what the tables say of muscle m.
	Fibre(m int) Fibre
	// Count is how many muscles there are.
	Count() int
}

// Contraction is a force and what it is made of.
type Contraction[T Number] struct {
	Active, Passive, Velocity T // force-length and force-velocity factors
	Force                     T // N
}

// Fibre is what sets one muscle apart from the others.
type Fibre struct {
	Force  float64 // greatest isometric force, N
	Tendon float64 // slack length of its tendon, m
	Length float64 // optimal length of its fibres, m
	Vmax   float64 // greatest velocity of shortening, m/s
}

// LumpedFibres are those of [LumpedArm]'s muscles, with a greatest velocity of vmax optimal lengths a second.
func LumpedFibres(vmax float64) [MaxMuscles]Fibre {
	f := [MaxMuscles]Fibre{
		{838, 0.039, 0.134, 0}, {1207, 0.066, 0.140, 0}, {1422, 0.172, 0.092, 0}, {1549, 0.187, 0.093, 0}, {414, 0.204, 0.137, 0}, {603, 0.217, 0.127, 0},
	}
	for m := range f {
		f[m].Vmax = vmax * f[m].Length
	}
	return f
}

// MuJoCo is the muscle of the MuJoCo simulator (its documentation, chapter "Muscle actuators"): quadratic splines for force against length and velocity.
type MuJoCo[T Number] struct {
	Fibres                [MaxMuscles]Fibre
	LMin, LMax, FVMax, FP float64 // ends of the active range, greatest factor of lengthening, factor of the passive force
}

// MuJoCoMuscles are [LumpedArm]'s. Under compat their greatest velocity is 1.5 m/s, as the reference has it, not 1.5 optimal lengths a second.
func MuJoCoMuscles[T Number](compat bool) MuJoCo[T] {
	p := MuJoCo[T]{Fibres: LumpedFibres(1.5), LMin: .5, LMax: 1.6, FVMax: 1.2, FP: 1.3}
	for m := range p.Fibres {
		if compat {
			p.Fibres[m].Vmax = 1.5
		}
	}
	return p
}

// Count is six.
func (MuJoCo[T]) Count() int { return MaxMuscles }

// Fibre is muscle m's.
func (p MuJoCo[T]) Fibre(m int) Fibre { return p.Fibres[m] }

// Contract is (a fl fv + fp) times the greatest force.
func (p MuJoCo[T]) Contract(m int, a, l, v T) Contraction[T] {
	c := Contraction[T]{Active: p.Active(l), Passive: p.Passive(l), Velocity: p.Velocity(v)}
	c.Force = (a*c.Active*c.Velocity + c.Passive) * Of[T](p.Fibres[m].Force)
	return c
}

// Active is the force-length curve of a contracting muscle: 1 at the optimal length, and a small second hump below it.
func (p MuJoCo[T]) Active(l T) T {
	return bump(l, p.LMin, 1, p.LMax) + 0.15*bump(l, p.LMin, (p.LMin+.95)/2, .95)
}

// bump rises from lo to 1 at mid and falls to hi by four pieces of parabolas.
func bump[T Number](l T, lo, mid, hi float64) T {
	left, right := (lo+mid)/2, (mid+hi)/2
	quarter := func(from, to float64) T { return (l - Of[T](from)) / Of[T](to-from) }
	var x T
	switch r := Re(l); {
	case r <= lo || r >= hi:
		return x
	case r < left:
		x = quarter(lo, left)
		return x * x / 2
	case r < mid:
		x = quarter(mid, left)
	case r < right:
		x = quarter(mid, right)
	default:
		x = quarter(hi, right)
		return x * x / 2
	}
	return 1 - x*x/2
}

// Passive is the force-length curve of a muscle at rest: nothing up to the optimal length, then a cubic, then a line.
func (p MuJoCo[T]) Passive(l T) T {
	b, scale := (1+p.LMax)/2, Of[T](.25*p.FP)
	switch r := Re(l); {
	case r <= 1:
		return 0
	case r <= b:
		x := (l - 1) / Of[T](b-1)
		return scale * x * x * x
	}
	return scale * (1 + 3*(l-Of[T](b))/Of[T](b-1))
}

// Velocity is the force-velocity curve, 1 at rest.
func (p MuJoCo[T]) Velocity(v T) T {
	c := p.FVMax - 1
	switch r := Re(v); {
	case r <= -1:
		return 0
	case r <= 0:
		return (v + 1) * (v + 1)
	case r <= c:
		d := Of[T](c) - v
		return Of[T](p.FVMax) - d*d/Of[T](c)
	}
	return Of[T](p.FVMax)
}
