package body

import "math"

// Skeleton is what the muscles move: two coordinates (joint angles, or a position) and a hand in the plane.
type Skeleton[T Number] interface {
	// Accelerate is the second derivative of q under generalised forces (torques) and a force at the hand.
	Accelerate(q, qd, torque, force [2]T) [2]T
	// Hand is where the hand is, and Velocity how fast it moves.
	Hand(q [2]T) [2]T
	Velocity(q, qd [2]T) [2]T
	// Limits are the least and the greatest coordinates.
	Limits() (lo, hi [2]float64)
}

// TwoLink is an arm of two links in the horizontal plane, without gravity or damping: q1 the shoulder's angle from the x axis, q2 the elbow's
// from the upper arm. Its dynamics are those of any textbook's two-link arm,
//
//	M(q) qdd + c(q, qd) = torque + J(q)^T force.
type TwoLink[T Number] struct {
	Mass, Length, Centre, Inertia [2]float64 // of upper arm and forearm: kg; m; m from the nearer joint to the centre of mass; kg m^2 about it
	Lo, Hi                        [2]float64 // joint limits, rad
}

// HumanArm is the arm of Codol et al. 2023 (MotorNet), after Nijhof & Kouwenhoven 2000.
func HumanArm[T Number]() TwoLink[T] {
	return TwoLink[T]{
		Mass: [2]float64{1.82, 1.43}, Length: [2]float64{0.309, 0.333}, Centre: [2]float64{0.135, 0.165}, Inertia: [2]float64{0.051, 0.057},
		Hi: [2]float64{135 * math.Pi / 180, 155 * math.Pi / 180},
	}
}

// Coupling is k in the mass matrix and the Coriolis terms, kg m^2.
func (s TwoLink[T]) Coupling() float64 { return s.Mass[1] * s.Length[0] * s.Centre[1] }

// ConstantMass is the mass matrix with the elbow at a right angle: its entries 11, and 12, 21 and 22.
func (s TwoLink[T]) ConstantMass() (m11, m12 float64) {
	m12 = s.Mass[1]*s.Centre[1]*s.Centre[1] + s.Inertia[1]
	return s.Mass[0]*s.Centre[0]*s.Centre[0] + s.Inertia[0] + s.Mass[1]*s.Length[0]*s.Length[0] + m12, m12
}

// MassMatrix is M(q), symmetric: its entries 11, 12 and 22.
func (s TwoLink[T]) MassMatrix(q [2]T) (m11, m12, m22 T) {
	c11, c12 := s.ConstantMass()
	k := Of[T](s.Coupling()) * cos(q[1])
	return Of[T](c11) + 2*k, Of[T](c12) + k, Of[T](c12)
}

// Coriolis is c(q, qd), the torques that centrifugal and Coriolis forces take.
func (s TwoLink[T]) Coriolis(q, qd [2]T) [2]T {
	k := Of[T](s.Coupling()) * sin(q[1])
	return [2]T{-k * (2*qd[0] + qd[1]) * qd[1], k * qd[0] * qd[0]}
}

// Jacobian is that of the hand's position, row by row.
func (s TwoLink[T]) Jacobian(q [2]T) [2][2]T {
	l1, l2 := Of[T](s.Length[0]), Of[T](s.Length[1])
	fx, fy := -l2*sin(q[0]+q[1]), l2*cos(q[0]+q[1])
	return [2][2]T{{fx - l1*sin(q[0]), fx}, {fy + l1*cos(q[0]), fy}}
}

// Accelerate solves the equations of motion for qdd.
func (s TwoLink[T]) Accelerate(q, qd, torque, force [2]T) [2]T {
	m11, m12, m22 := s.MassMatrix(q)
	c, j := s.Coriolis(q, qd), s.Jacobian(q)
	r1 := torque[0] + j[0][0]*force[0] + j[1][0]*force[1] - c[0]
	r2 := torque[1] + j[0][1]*force[0] + j[1][1]*force[1] - c[1]
	det := m11*m22 - m12*m12
	return [2]T{(m22*r1 - m12*r2) / det, (m11*r2 - m12*r1) / det}
}

// Hand is the fingertip, m from the shoulder.
func (s TwoLink[T]) Hand(q [2]T) [2]T {
	l1, l2 := Of[T](s.Length[0]), Of[T](s.Length[1])
	return [2]T{l1*cos(q[0]) + l2*cos(q[0]+q[1]), l1*sin(q[0]) + l2*sin(q[0]+q[1])}
}

// Velocity is the fingertip's, m/s.
func (s TwoLink[T]) Velocity(q, qd [2]T) [2]T {
	j := s.Jacobian(q)
	return [2]T{j[0][0]*qd[0] + j[0][1]*qd[1], j[1][0]*qd[0] + j[1][1]*qd[1]}
}

// Limits are the joints'.
func (s TwoLink[T]) Limits() (lo, hi [2]float64) { return s.Lo, s.Hi }
