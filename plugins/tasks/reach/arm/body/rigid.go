package body

// State is one trial's. Only the first entries of the muscles' arrays are used where there are fewer than MaxMuscles.
type State[T Number] struct {
	Q, QD      [2]T          // coordinates and their velocities
	Activation [MaxMuscles]T // in [0, 1]
	Force      [MaxMuscles]T // N
	// Length and Speed are of the muscles' fibres as they are sensed, m and m/s; see [Rigid].
	Length, Speed [MaxMuscles]T
}

// Trace is what a step computes on its way.
type Trace[T Number] struct {
	Path        [MaxMuscles]Path[T]
	L, V        [MaxMuscles]T // normalised length and velocity
	Contraction [MaxMuscles]Contraction[T]
	Rate        [MaxMuscles]T // of activation, 1/s
	Torque, QDD [2]T
}

// Rigid is a body whose tendons do not stretch, stepped by Euler's method. Its forces are part of its state: a step takes the torques from the forces
// held and the moment arms at its start; then activations are updated; and the forces held next are those of the new activations at the lengths and
// velocities of the step's start. So forces, and the lengths and velocities that are sensed, trail the joints by a step.
type Rigid[T Number] struct {
	Skeleton   Skeleton[T]
	Paths      Paths[T]
	Muscle     Muscle[T]
	Activation Activation[T]
	DT         float64 // s
}

// ShortestFibre is the least length of fibres, m.
const ShortestFibre = 0.001

// Arm26 is the two-joint arm with six of MuJoCo's muscles.
func Arm26[T Number](compat bool, dt float64) Rigid[T] {
	return Rigid[T]{HumanArm[T](), LumpedArm[T](), MuJoCoMuscles[T](compat), Activation[T]{Rise: .01, Fall: .04}, dt}
}

// Fibre is the length and velocity of muscle m's fibres, and of those with the tendon.
func (b Rigid[T]) Fibre(m int, q, qd [2]T) (length, speed T, p Path[T]) {
	p = b.Paths.Path(m, q, qd)
	return FibreLength(p.Length, b.Muscle.Fibre(m)), p.Velocity, p
}

// FibreLength is what a stiff tendon leaves of the whole muscle's length, at least ShortestFibre.
func FibreLength[T Number](whole T, f Fibre) T {
	if l := whole - Of[T](f.Tendon); Re(l) >= ShortestFibre {
		return l
	}
	return Of[T](ShortestFibre)
}

// Hand is where the hand is.
func (b Rigid[T]) Hand(q [2]T) [2]T { return b.Skeleton.Hand(q) }

// contract is the force of muscle m with fibres of a length and speed.
func (b Rigid[T]) contract(m int, a, length, speed T) (l, v T, c Contraction[T]) {
	f := b.Muscle.Fibre(m)
	l, v = length/Of[T](f.Length), speed/Of[T](f.Vmax)
	return l, v, b.Muscle.Contract(m, a, l, v)
}

// Reset is the body at rest in a posture, its muscles inactive.
func (b Rigid[T]) Reset(q [2]T) State[T] {
	s := State[T]{Q: q}
	for m := range b.Muscle.Count() {
		s.Length[m], s.Speed[m], _ = b.Fibre(m, s.Q, s.QD)
		_, _, c := b.contract(m, 0, s.Length[m], s.Speed[m])
		s.Force[m] = c.Force
	}
	return s
}

// Step is the state after one step under excitations, clipped to [0, 1], and a force at the hand, N.
func (b Rigid[T]) Step(s State[T], excitation [MaxMuscles]T, force [2]T) (State[T], Trace[T]) {
	var t Trace[T]
	n, count := s, b.Muscle.Count()
	for m := range count {
		n.Length[m], n.Speed[m], t.Path[m] = b.Fibre(m, s.Q, s.QD)
		for j := range t.Torque {
			t.Torque[j] -= s.Force[m] * t.Path[m].Arm[j]
		}
	}
	t.QDD = b.Skeleton.Accelerate(s.Q, s.QD, t.Torque, force)
	n.Q, n.QD = move(b.Skeleton, s, t.QDD, b.DT)
	for m := range count {
		t.Rate[m] = b.Activation.Rate(s.Activation[m], excitation[m])
		n.Activation[m] = b.Activation.Step(s.Activation[m], excitation[m], b.DT)
		t.L[m], t.V[m], t.Contraction[m] = b.contract(m, n.Activation[m], n.Length[m], n.Speed[m])
		n.Force[m] = t.Contraction[m].Force
	}
	return n, t
}

// move is Euler's step of the coordinates; see stop.
func move[T Number](k Skeleton[T], s State[T], qdd [2]T, dt float64) (q, qd [2]T) {
	for j := range q {
		q[j], qd[j] = s.Q[j]+s.QD[j]*Of[T](dt), s.QD[j]+qdd[j]*Of[T](dt)
	}
	return stop(k, q, qd)
}

// stop keeps coordinates within their limits: one that is at or past a limit and moves outward stops there.
func stop[T Number](k Skeleton[T], q, qd [2]T) ([2]T, [2]T) {
	lo, hi := k.Limits()
	for j := range q {
		if Re(q[j]) <= lo[j] && Re(qd[j]) < 0 || Re(q[j]) >= hi[j] && Re(qd[j]) > 0 {
			qd[j] = 0
		}
		q[j] = clip(q[j], lo[j], hi[j])
	}
	return q, qd
}

// Senses is what of a state the muscles' spindles report: lengths as multiples of the optimal ones, velocities of the greatest.
func (b Rigid[T]) Senses(s State[T]) (l, v [MaxMuscles]T) { return senses(b.Muscle, s) }

func senses[T Number](p Muscle[T], s State[T]) (l, v [MaxMuscles]T) {
	for m := range p.Count() {
		f := p.Fibre(m)
		l[m], v[m] = s.Length[m]/Of[T](f.Length), s.Speed[m]/Of[T](f.Vmax)
	}
	return l, v
}

// Optimal is the optimal length of muscle m's fibres, m.
func (b Rigid[T]) Optimal(m int) float64 { return b.Muscle.Fibre(m).Length }
