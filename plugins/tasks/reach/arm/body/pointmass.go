package body

import "math"

// PointMass is a mass that slides without friction in the plane; its coordinates are its position, m, and so is the hand.
type PointMass[T Number] struct {
	Mass   float64    // kg
	Lo, Hi [2]float64 // walls, m
}

// Accelerate is Newton's second law.
func (s PointMass[T]) Accelerate(_, _, torque, force [2]T) [2]T {
	m := Of[T](s.Mass)
	return [2]T{(torque[0] + force[0]) / m, (torque[1] + force[1]) / m}
}

// Hand is the position.
func (PointMass[T]) Hand(q [2]T) [2]T { return q }

// Velocity is that of the coordinates.
func (PointMass[T]) Velocity(_, qd [2]T) [2]T { return qd }

// Limits are the walls.
func (s PointMass[T]) Limits() (lo, hi [2]float64) { return s.Lo, s.Hi }

// Straight paths run from fixed anchors to the point mass.
type Straight[T Number] struct{ Anchor [2][MaxMuscles]float64 }

// Path is the straight line's: its moment arms are its direction.
func (g Straight[T]) Path(m int, q, qd [2]T) Path[T] {
	d := [2]T{q[0] - Of[T](g.Anchor[0][m]), q[1] - Of[T](g.Anchor[1][m])}
	p := Path[T]{Length: sqrt(d[0]*d[0] + d[1]*d[1])}
	for j := range d {
		p.Arm[j] = d[j] / p.Length
		p.Velocity += p.Arm[j] * qd[j]
	}
	return p
}

// ReLU is a muscle whose force is its activation, rectified, times the greatest force, at any length and velocity.
type ReLU[T Number] struct {
	Muscles int
	Fibres  [MaxMuscles]Fibre
}

// Count is Muscles.
func (p ReLU[T]) Count() int { return p.Muscles }

// Fibre is muscle m's.
func (p ReLU[T]) Fibre(m int) Fibre { return p.Fibres[m] }

// Contract is a times the greatest force, nothing below 0.
func (p ReLU[T]) Contract(m int, a, _, _ T) Contraction[T] {
	c := Contraction[T]{Active: 1, Velocity: 1}
	if Re(a) >= 0 {
		c.Force = a * Of[T](p.Fibres[m].Force)
	}
	return c
}

// FourPulls is a point mass of 1 kg in a square of 1.5 m, one corner the origin, with four [ReLU] muscles of 20 N from the corners of a square twice as wide. Lengths and
// velocities are sensed as multiples of a muscle's length with the mass in the middle and 1.5 of that a second; the activation is [Arm26]'s. The numbers are ours.
func FourPulls[T Number](dt float64) Rigid[T] {
	var g Straight[T]
	const middle, diagonal = .75, 1.5 * math.Sqrt2
	r := ReLU[T]{Muscles: 4}
	for m := range r.Muscles {
		g.Anchor[0][m], g.Anchor[1][m] = middle+1.5*float64(1-2*(m%2)), middle+1.5*float64(1-2*(m/2))
		r.Fibres[m] = Fibre{Force: 20, Length: diagonal, Vmax: 1.5 * diagonal}
	}
	s := PointMass[T]{Mass: 1, Hi: [2]float64{2 * middle, 2 * middle}}
	return Rigid[T]{s, g, r, Activation[T]{Rise: .01, Fall: .04}, dt}
}
