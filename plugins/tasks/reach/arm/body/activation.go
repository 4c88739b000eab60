package body

// Activation is the first-order dynamics of calcium: da/dt = (u - a)/tau, with a time constant that depends on a and is longer when u falls. Thelen 2003,
// "Adjustment of muscle mechanics model parameters to simulate dynamic contractions in older adults", equations 1 and 2.
type Activation[T Number] struct {
	Rise, Fall float64 // time constants, s
}

// Rate is da/dt, 1/s; excitation and activation are clipped to [0, 1].
func (p Activation[T]) Rate(a, u T) T {
	a, u = clip(a, 0, 1), clip(u, 0, 1)
	s := 0.5 + 1.5*a
	if Re(u) > Re(a) {
		return (u - a) / (Of[T](p.Rise) * s)
	}
	return (u - a) * s / Of[T](p.Fall)
}

// Step is the activation after dt, by Euler's method, in [0, 1].
func (p Activation[T]) Step(a, u T, dt float64) T {
	return clip(clip(a, 0, 1)+p.Rate(a, u)*Of[T](dt), 0, 1)
}
