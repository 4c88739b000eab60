package arm

import (
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/internal/golden"
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// subject is an implementation under test: a batch of bodies in float64 whose insides can be set and seen.
type subject interface {
	Reset(joints []float64) error
	Step(t int, actions, force []float64) error
	Fingertip(dst []float64)
	Senses(dst []float64)
	State(dst *State[float64])
	BeginBackward()
	StepBackward(t int, tip, senses, actions []float64) error

	set(s State[float64])          // puts the bodies in these states; the next step is step 0
	insides() map[string][]float64 // what the last step computed on its way, by the golden tensors' names
	seed(cot State[float64])       // gradient by the state after the last step, after BeginBackward
	carried() (cot State[float64]) // gradient by the state before the step that was gone back over last
	byForce() []float64            // gradient by that step's force
	byPosture() []float64          // gradient by Reset's joints, after the way back of step 0
}

// tolerances of a subject, relative to the larger of the value and its scale.
type tolerances struct{ step, vjp, rollout float64 }

// golds are the published tolerances.
var golds = tolerances{1e-10, 1e-8, 1e-7}

// near reports the first element that is off by more than tolerance, relative to the larger of want and scale.
func near(t *testing.T, what string, got, want []float64, tolerance, scale float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d numbers, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if d := math.Abs(got[i] - want[i]); !(d <= tolerance*max(math.Abs(want[i]), scale)) {
			t.Errorf("%s[%d] = %.17g, want %.17g", what, i, got[i], want[i])
			return
		}
	}
}

// largest is the largest absolute value.
func largest(a []float64) (m float64) {
	for _, x := range a {
		m = max(m, math.Abs(x))
	}
	return m
}

// cases calls f with every golden case whose name begins so, once under each behaviour.
func cases(t *testing.T, prefix string, f func(t *testing.T, c golden.Case, compat bool)) {
	t.Helper()
	found := false
	for _, c := range golden.Read(t, "arm.json") {
		switch behaviour, ok := strings.CutPrefix(c.Name, prefix+"_"); {
		case ok && (behaviour == "compat" || behaviour == "default"):
			found = true
			t.Run(c.Name, func(t *testing.T) { f(t, c, behaviour == "compat") })
		}
	}
	if !found {
		t.Fatalf("no case %s", prefix)
	}
}

// subjects calls f with each implementation, made for n trials.
func subjects(t *testing.T, compat bool, n, bins int, f func(t *testing.T, s subject, tol tolerances)) {
	t.Helper()
	for _, s := range implementations(t, Config{Compat: compat, Trials: n, Bins: bins, Tape: true}) {
		t.Run(s.name, func(t *testing.T) { f(t, s.subject, s.tolerances) })
	}
}

// columns are the columns from lo to hi of rows of width n.
func columns(a []float64, n, lo, hi int) (out []float64) {
	for i := 0; i < len(a); i += n {
		out = append(out, a[i+lo:i+hi]...)
	}
	return out
}

// slab is [:, t] of an array (B, T, n).
func slab(a []float64, b, t, n int) (out []float64) {
	bins := len(a) / b / n
	for i := range b {
		out = append(out, a[(i*bins+t)*n:(i*bins+t+1)*n]...)
	}
	return out
}

// blank is a state to be filled.
func blank(n int) State[float64] {
	return State[float64]{make([]float64, 2*n), make([]float64, 2*n), make([]float64, body.MaxMuscles*n), make([]float64, body.MaxMuscles*n)}
}

// given is the state that a case's tensors describe; prefix is that of their names.
func given(t *testing.T, c golden.Case, prefix string) State[float64] {
	j := c.Floats(t, prefix+"joint")
	return State[float64]{columns(j, 4, 0, 2), columns(j, 4, 2, 4), c.Floats(t, prefix+"activation"), c.Floats(t, prefix+"force")}
}

func TestGoldenCurves(t *testing.T) {
	p := body.MuJoCoMuscles[float64](false)
	a := body.Activation[float64]{Rise: .01, Fall: .04}
	for _, c := range golden.Read(t, "arm.json") {
		apply := func(from, to string, f func(i int, x float64) float64) {
			var got []float64
			for i, x := range c.Floats(t, from) {
				got = append(got, f(i, x))
			}
			near(t, c.Name+" "+to, got, c.Floats(t, to), 1e-10, 1)
		}
		switch c.Name {
		case "force_length_curves":
			apply("length", "active", func(_ int, l float64) float64 { return p.Active(l) })
			apply("length", "passive", func(_ int, l float64) float64 { return p.Passive(l) })
		case "force_velocity_curve":
			apply("velocity", "factor", func(_ int, v float64) float64 { return p.Velocity(v) })
		case "activation_ode":
			u := c.Floats(t, "excitation")
			apply("activation", "derivative", func(i int, x float64) float64 { return a.Rate(x, u[i]) })
		case "short_musculotendon":
			fibre := func(i int, length float64) float64 { return body.FibreLength(length, p.Fibre(i%body.MaxMuscles)) }
			contract := func(i int, length float64) body.Contraction[float64] {
				m := i % body.MaxMuscles
				return p.Contract(m, .5, fibre(i, length)/p.Fibre(m).Length, 0)
			}
			apply("musculotendon_length", "muscle_length", fibre)
			apply("musculotendon_length", "active", func(i int, x float64) float64 { return contract(i, x).Active })
			apply("musculotendon_length", "passive", func(i int, x float64) float64 { return contract(i, x).Passive })
			apply("musculotendon_length", "force", func(i int, x float64) float64 { return contract(i, x).Force })
		}
	}
}

func TestGoldenStep(t *testing.T) {
	cases(t, "step", func(t *testing.T, c golden.Case, compat bool) {
		n := len(c.Floats(t, "joint")) / 4
		subjects(t, compat, n, 1, func(t *testing.T, s subject, tol tolerances) {
			s.set(given(t, c, ""))
			if err := s.Step(0, c.Floats(t, "action"), c.Floats(t, "endpoint_load")); err != nil {
				t.Fatal(err)
			}
			for name, got := range s.insides() {
				want := c.Floats(t, name)
				near(t, name, got, want, tol.step, largest(want))
			}
			got, want := blank(n), given(t, c, "next_")
			s.State(&got)
			near(t, "next angles", got.Joints, want.Joints, tol.step, 1)
			near(t, "next velocities", got.Velocities, want.Velocities, tol.step, 1)
			near(t, "next activations", got.Activations, want.Activations, tol.step, 1)
			near(t, "next forces", got.Forces, want.Forces, tol.step, largest(want.Forces))
			tip := make([]float64, 2*n)
			s.Fingertip(tip)
			near(t, "next fingertip", tip, c.Floats(t, "next_fingertip"), tol.step, 1)
		})
	})
}

func TestGoldenStepVJP(t *testing.T) {
	cases(t, "vjp_step", func(t *testing.T, c golden.Case, compat bool) {
		n := len(c.Floats(t, "joint")) / 4
		subjects(t, compat, n, 1, func(t *testing.T, s subject, tol tolerances) {
			s.set(given(t, c, ""))
			if err := s.Step(0, c.Floats(t, "action"), c.Floats(t, "endpoint_load")); err != nil {
				t.Fatal(err)
			}
			next, want := blank(n), given(t, c, "next_")
			s.State(&next)
			near(t, "next angles", next.Joints, want.Joints, tol.step, 1)
			near(t, "next forces", next.Forces, want.Forces, tol.step, largest(want.Forces))
			tip, senses, actions := make([]float64, 2*n), make([]float64, 12*n), make([]float64, 6*n)
			s.Fingertip(tip)
			s.Senses(senses)
			near(t, "next fingertip", tip, columns(c.Floats(t, "next_observation"), 14, 0, 2), tol.step, 1)
			near(t, "next senses", senses, columns(c.Floats(t, "next_observation"), 14, 2, 14), tol.step, 1)

			s.BeginBackward()
			s.seed(given(t, c, "cot_"))
			cot := c.Floats(t, "cot_observation")
			if err := s.StepBackward(0, columns(cot, 14, 0, 2), columns(cot, 14, 2, 14), actions); err != nil {
				t.Fatal(err)
			}
			got, by := s.carried(), given(t, c, "grad_")
			near(t, "gradient by angles", got.Joints, by.Joints, tol.vjp, largest(by.Joints))
			near(t, "gradient by velocities", got.Velocities, by.Velocities, tol.vjp, largest(by.Velocities))
			near(t, "gradient by activations", got.Activations, by.Activations, tol.vjp, largest(by.Activations))
			near(t, "gradient by forces", got.Forces, by.Forces, tol.vjp, largest(by.Forces))
			near(t, "gradient by actions", actions, c.Floats(t, "grad_action"), tol.vjp, largest(c.Floats(t, "grad_action")))
			near(t, "gradient by load", s.byForce(), c.Floats(t, "grad_endpoint_load"), tol.vjp, largest(c.Floats(t, "grad_endpoint_load")))
		})
	})
}

func TestGoldenRollout(t *testing.T) {
	cases(t, "rollout", func(t *testing.T, c golden.Case, compat bool) {
		q0, action, load := c.Floats(t, "q0"), c.Floats(t, "action"), c.Floats(t, "endpoint_load")
		n := len(q0) / 2
		bins := len(action) / n / 6
		p := body.MuJoCoMuscles[float64](compat)
		subjects(t, compat, n, bins, func(t *testing.T, s subject, tol tolerances) {
			if err := s.Reset(q0); err != nil {
				t.Fatal(err)
			}
			got, tip, senses := blank(n), make([]float64, 2*n), make([]float64, 12*n)
			for bin := range bins + 1 {
				s.State(&got)
				s.Fingertip(tip)
				s.Senses(senses)
				length, speed := columns(senses, 12, 0, 6), columns(senses, 12, 6, 12)
				for i := range length {
					length[i] *= p.Fibre(i % 6).Length
					speed[i] *= p.Fibre(i % 6).Vmax
				}
				near(t, "angles", got.Joints, columns(slab(c.Floats(t, "joint"), n, bin, 4), 4, 0, 2), tol.rollout, 1)
				near(t, "velocities", got.Velocities, columns(slab(c.Floats(t, "joint"), n, bin, 4), 4, 2, 4), tol.rollout, 1)
				near(t, "activations", got.Activations, slab(c.Floats(t, "activation"), n, bin, 6), tol.rollout, 1)
				near(t, "forces", got.Forces, slab(c.Floats(t, "force"), n, bin, 6), tol.rollout, 100)
				near(t, "lengths", length, slab(c.Floats(t, "muscle_length"), n, bin, 6), tol.rollout, .1)
				near(t, "speeds", speed, slab(c.Floats(t, "muscle_velocity"), n, bin, 6), tol.rollout, 1)
				near(t, "fingertips", tip, slab(c.Floats(t, "fingertip"), n, bin, 2), tol.rollout, 1)
				if t.Failed() {
					t.Fatalf("after %d steps", bin)
				}
				if bin < bins {
					if err := s.Step(bin, slab(action, n, bin, 6), slab(load, n, bin, 2)); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	})
}

func TestGoldenRolloutVJP(t *testing.T) {
	cases(t, "vjp_rollout", func(t *testing.T, c golden.Case, compat bool) {
		q0, action, load, cot := c.Floats(t, "q0"), c.Floats(t, "action"), c.Floats(t, "endpoint_load"), c.Floats(t, "cot_fingertip")
		n := len(q0) / 2
		bins := len(action) / n / 6
		want, wantLoad := c.Floats(t, "grad_action"), c.Floats(t, "grad_endpoint_load")
		subjects(t, compat, n, bins, func(t *testing.T, s subject, tol tolerances) {
			if err := s.Reset(q0); err != nil {
				t.Fatal(err)
			}
			tip, got, scalar := make([]float64, 2*n), blank(n), 0.0
			add := func(cot, x []float64) {
				for i := range cot {
					scalar += cot[i] * x[i]
				}
			}
			s.Fingertip(tip)
			add(slab(cot, n, 0, 2), tip)
			for bin := range bins {
				if err := s.Step(bin, slab(action, n, bin, 6), slab(load, n, bin, 2)); err != nil {
					t.Fatal(err)
				}
				s.Fingertip(tip)
				add(slab(cot, n, bin+1, 2), tip)
			}
			s.State(&got)
			last := State[float64]{Joints: columns(c.Floats(t, "cot_joint_last"), 4, 0, 2), Velocities: columns(c.Floats(t, "cot_joint_last"), 4, 2, 4)}
			add(last.Joints, got.Joints)
			add(last.Velocities, got.Velocities)
			near(t, "scalar", []float64{scalar}, c.Floats(t, "scalar"), tol.rollout, 1)

			s.BeginBackward()
			s.seed(last)
			actions := make([]float64, 6*n)
			for bin := bins - 1; bin >= 0; bin-- {
				if err := s.StepBackward(bin, slab(cot, n, bin+1, 2), nil, actions); err != nil {
					t.Fatal(err)
				}
				near(t, "gradient by actions", actions, slab(want, n, bin, 6), tol.vjp, largest(want))
				near(t, "gradient by load", s.byForce(), slab(wantLoad, n, bin, 2), tol.vjp, largest(wantLoad))
				if t.Failed() {
					t.Fatalf("at step %d", bin)
				}
			}
			// Of the posture itself the fingertip before any step is a function, besides the state that the steps start from.
			by, arm := s.byPosture(), body.HumanArm[float64]()
			for i := range n {
				j := arm.Jacobian([2]float64{q0[2*i], q0[2*i+1]})
				g := slab(cot, n, 0, 2)[2*i : 2*i+2]
				for k := range 2 {
					by[2*i+k] += j[0][k]*g[0] + j[1][k]*g[1]
				}
			}
			near(t, "gradient by posture", by, c.Floats(t, "grad_q0"), tol.vjp, largest(c.Floats(t, "grad_q0")))
		})
	})
}

// The observation of the task trails: the fingertip by 4 bins, the muscles by 1.
func TestGoldenObservation(t *testing.T) {
	cases(t, "observation", func(t *testing.T, c golden.Case, compat bool) {
		q0, action, want := c.Floats(t, "q0"), c.Floats(t, "action"), c.Floats(t, "observation")
		n := len(q0) / 2
		bins := len(action) / n / 6
		subjects(t, compat, n, bins, func(t *testing.T, s subject, tol tolerances) {
			if err := s.Reset(q0); err != nil {
				t.Fatal(err)
			}
			tips, senses := make([][]float64, bins+1), make([][]float64, bins+1)
			for bin := range bins + 1 {
				tips[bin], senses[bin] = make([]float64, 2*n), make([]float64, 12*n)
				s.Fingertip(tips[bin])
				s.Senses(senses[bin])
				seen := slab(want, n, bin, 14)
				near(t, "fingertip", tips[max(0, bin-4)], columns(seen, 14, 0, 2), tol.rollout, 1)
				near(t, "senses", senses[max(0, bin-1)], columns(seen, 14, 2, 14), tol.rollout, 1)
				if bin < bins {
					if err := s.Step(bin, slab(action, n, bin, 6), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	})
}
