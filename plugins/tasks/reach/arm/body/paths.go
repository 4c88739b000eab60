package body

import "math"

// MaxMuscles is the most that a body has.
const MaxMuscles = 6

// Path is the state of one muscle's way from bone to bone.
type Path[T Number] struct {
	Length, Velocity T    // of muscle and tendon, m and m/s
	Arm              [2]T // derivative of the length by each coordinate: its moment arm, m
}

// Paths is where the muscles run.
type Paths[T Number] interface {
	// Path is that of muscle m.
	Path(m int, q, qd [2]T) Path[T]
}

// Polynomial paths have lengths that are quadratic in the joint angles: A0 + sum_j (A1j + A2j pj) pj, with p = q - Origin.
type Polynomial[T Number] struct {
	Origin [2]float64
	A0     [MaxMuscles]float64
	A1, A2 [2][MaxMuscles]float64
}

// LumpedArm is the geometry of Nijhof & Kouwenhoven 2000, in which six muscles stand for all of the arm: pectoralis, deltoid, brachioradialis, triceps
// lateral head, biceps, triceps long head. The last two cross both joints.
func LumpedArm[T Number]() Polynomial[T] {
	return Polynomial[T]{
		Origin: [2]float64{math.Pi / 2, 0},
		A0:     [MaxMuscles]float64{.151, .2322, .2859, .2355, .3329, .2989},
		A1:     [2][MaxMuscles]float64{{-.03, .03, 0, 0, -.03, .03}, {0, 0, -.014, .025, -.016, .03}},
		A2:     [2][MaxMuscles]float64{{}, {0, 0, -4e-3, -2.2e-3, -5.7e-3, -3.2e-3}},
	}
}

// Path evaluates muscle m's polynomial.
func (g Polynomial[T]) Path(m int, q, qd [2]T) Path[T] {
	p := Path[T]{Length: Of[T](g.A0[m])}
	for j := range q {
		x, a1, a2 := q[j]-Of[T](g.Origin[j]), Of[T](g.A1[j][m]), Of[T](g.A2[j][m])
		p.Length += (a1 + a2*x) * x
		p.Arm[j] = a1 + 2*a2*x
		p.Velocity += p.Arm[j] * qd[j]
	}
	return p
}
