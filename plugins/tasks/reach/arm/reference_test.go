package arm

import (
	"errors"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// stepper is a body of either kind.
type stepper[T body.Number] interface {
	Advance(s body.State[T], excitation [body.MaxMuscles]T, force [2]T) body.State[T]
	Senses(s body.State[T]) (l, v [body.MaxMuscles]T)
	Reset(q [2]T) body.State[T]
	Hand(q [2]T) [2]T
	Optimal(m int) float64
}

// reference is a batch of bodies stepped by package body, one after the other.
type reference struct {
	b       stepper[float64]
	z       stepper[complex128]
	muscles int
	// Of the compliant body the lengths of the fibres take the place of the forces in gradients.
	compliant bool
	now       []body.State[float64]
	tape      []record
	cot       []body.Cotangent
	force     []float64
}

// record is what the way back needs of a step of the batch.
type record struct {
	before     []body.State[float64]
	excitation [][body.MaxMuscles]float64
	force      [][2]float64
}

// newReference is the reference of an effector.
func newReference(t testing.TB, c Config) *reference {
	t.Helper()
	c, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{
		muscles: c.muscles(), compliant: c.Effector == Compliant, now: make([]body.State[float64], c.Trials), cot: make([]body.Cotangent, c.Trials),
		force: make([]float64, 2*c.Trials),
	}
	switch c.Effector {
	case Arm26:
		r.b, r.z = body.Arm26[float64](c.Compat, c.DT), body.Arm26[complex128](c.Compat, c.DT)
	case PointMass:
		r.b, r.z = body.FourPulls[float64](c.DT), body.FourPulls[complex128](c.DT)
	case Thelen:
		r.b, r.z = body.ThelenArm[float64](c.DT), body.ThelenArm[complex128](c.DT)
	case Compliant:
		r.b, r.z = body.CompliantArm[float64](c.DT, c.Substeps), body.CompliantArm[complex128](c.DT, c.Substeps)
	}
	return r
}

func (r *reference) Reset(joints []float64) error {
	for i := range r.now {
		r.now[i] = r.b.Reset([2]float64{joints[2*i], joints[2*i+1]})
	}
	r.tape = nil
	return nil
}

func (r *reference) Step(t int, actions, force []float64) error {
	if t != len(r.tape) {
		return errors.New("reference: steps out of order")
	}
	n := len(r.now)
	k := record{append([]body.State[float64](nil), r.now...), make([][body.MaxMuscles]float64, n), make([][2]float64, n)}
	for i := range r.now {
		copy(k.excitation[i][:], actions[i*r.muscles:(i+1)*r.muscles])
		if force != nil {
			copy(k.force[i][:], force[2*i:])
		}
		r.now[i] = r.b.Advance(r.now[i], k.excitation[i], k.force[i])
	}
	r.tape = append(r.tape, k)
	return nil
}

func (r *reference) Fingertip(dst []float64) {
	for i, s := range r.now {
		h := r.b.Hand(s.Q)
		copy(dst[2*i:], h[:])
	}
}

func (r *reference) Senses(dst []float64) {
	n := r.muscles
	for i, s := range r.now {
		l, v := r.b.Senses(s)
		copy(dst[2*n*i:], l[:n])
		copy(dst[2*n*i+n:], v[:n])
	}
}

func (r *reference) State(dst *State[float64]) {
	n := r.muscles
	for i, s := range r.now {
		copy(dst.Joints[2*i:], s.Q[:])
		copy(dst.Velocities[2*i:], s.QD[:])
		copy(dst.Activations[n*i:], s.Activation[:n])
		copy(dst.Forces[n*i:], s.Force[:n])
	}
}

func (r *reference) set(s State[float64]) {
	n := r.muscles
	for i := range r.now {
		b := &r.now[i]
		copy(b.Q[:], s.Joints[2*i:])
		copy(b.QD[:], s.Velocities[2*i:])
		copy(b.Activation[:n], s.Activations[n*i:])
		copy(b.Force[:n], s.Forces[n*i:])
	}
	r.tape = nil
}

func (r *reference) insides() map[string][]float64 {
	out := map[string][]float64{}
	add := func(name string, x ...float64) { out[name] = append(out[name], x...) }
	k := r.tape[len(r.tape)-1]
	for i, s := range k.before {
		b := r.b.(body.Rigid[float64])
		next, t := b.Step(s, k.excitation[i], k.force[i])
		add("joint_torque", t.Torque[:]...)
		add("qdd", t.QDD[:]...)
		add("activation_derivative", t.Rate[:]...)
		add("normalised_length", t.L[:]...)
		add("normalised_velocity", t.V[:]...)
		add("next_muscle_length", next.Length[:]...)
		add("next_muscle_velocity", next.Speed[:]...)
		for m := range r.muscles {
			add("musculotendon_length", t.Path[m].Length)
			add("musculotendon_velocity", t.Path[m].Velocity)
			add("next_force_length_passive", t.Contraction[m].Passive)
			add("next_force_length_active", t.Contraction[m].Active)
			add("next_force_velocity", t.Contraction[m].Velocity)
		}
		for j := range 2 {
			for m := range r.muscles {
				add("moment_arm", t.Path[m].Arm[j])
			}
		}
		hand, speed := r.b.Hand(next.Q), b.Skeleton.Velocity(next.Q, next.QD)
		add("next_cartesian", hand[0], hand[1], speed[0], speed[1])
	}
	return out
}

func (r *reference) BeginBackward() { clear(r.cot) }

func (r *reference) seed(s State[float64]) {
	n := r.muscles
	for i := range r.cot {
		c := &r.cot[i]
		copy(c.Q[:], s.Joints[2*i:])
		copy(c.QD[:], s.Velocities[2*i:])
		if s.Activations != nil {
			copy(c.Activation[:n], s.Activations[n*i:])
			copy(c.Force[:n], s.Forces[n*i:])
		}
	}
}

func (r *reference) carried() State[float64] {
	n, s := r.muscles, blank(len(r.cot))
	s.Activations, s.Forces = s.Activations[:n*len(r.cot)], s.Forces[:n*len(r.cot)]
	for i, c := range r.cot {
		copy(s.Joints[2*i:], c.Q[:])
		copy(s.Velocities[2*i:], c.QD[:])
		copy(s.Activations[n*i:], c.Activation[:n])
		if r.compliant {
			c.Force = c.Length
		}
		copy(s.Forces[n*i:], c.Force[:n])
	}
	return s
}

func (r *reference) StepBackward(t int, tip, senses, actions []float64) error {
	n, k := r.muscles, r.tape[t]
	for i := range r.cot {
		c := r.cot[i]
		if senses != nil {
			for m := range n {
				c.Length[m] += senses[2*n*i+m]
				c.Speed[m] = senses[2*n*i+n+m]
			}
		}
		if tip != nil {
			after := r.b.Advance(k.before[i], k.excitation[i], k.force[i])
			g := r.pull(after.Q, func(q [2]complex128) complex128 {
				h := r.z.Hand(q)
				return complex(tip[2*i], 0)*h[0] + complex(tip[2*i+1], 0)*h[1]
			})
			c.Q[0], c.Q[1] = c.Q[0]+g[0], c.Q[1]+g[1]
		}
		var u [body.MaxMuscles]float64
		var f [2]float64
		r.cot[i], u, f = body.Pullback(r.z, k.before[i], k.excitation[i], k.force[i], c)
		copy(actions[n*i:n*(i+1)], u[:])
		copy(r.force[2*i:], f[:])
	}
	return nil
}

func (r *reference) byForce() []float64 { return r.force }

// pull is the gradient of a function of two coordinates.
func (r *reference) pull(q [2]float64, f func(q [2]complex128) complex128) (g [2]float64) {
	for j := range q {
		z := [2]complex128{complex(q[0], 0), complex(q[1], 0)}
		z[j] += complex(0, body.Tangent)
		g[j] = imag(f(z)) / body.Tangent
	}
	return g
}

func (r *reference) byPosture() (out []float64) {
	for i, c := range r.cot {
		g := r.pull(r.tape[0].before[i].Q, func(q [2]complex128) (sum complex128) {
			s := r.z.Reset(q)
			for j := range q {
				sum += complex(c.Q[j], 0) * s.Q[j]
			}
			for m := range body.MaxMuscles {
				sum += complex(c.Force[m], 0) * s.Force[m]
				if r.compliant {
					sum += complex(c.Length[m]/r.b.Optimal(m), 0) * s.Length[m]
				}
			}
			return sum
		})
		out = append(out, g[:]...)
	}
	return out
}
