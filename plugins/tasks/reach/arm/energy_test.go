package arm

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// energy of the links and of muscles that are stretched, J: the passive force is that of a spring, which depends on the length alone.
func energy(q, qd [2]float64) float64 {
	arm := body.Arm26[float64](false, 0)
	muscles := body.MuJoCoMuscles[float64](false)
	m11, m12, m22 := body.HumanArm[float64]().MassMatrix(q)
	e := 0.5 * (m11*qd[0]*qd[0] + 2*m12*qd[0]*qd[1] + m22*qd[1]*qd[1])
	width := (muscles.LMax - 1) / 2
	for m, f := range muscles.Fibres {
		length, _, _ := arm.Fibre(m, q, qd)
		x := max(0, (length/f.Length-1)/width)
		// The integral of x^3 up to 1, and of 1 + 3 (x-1) from there.
		stretched := math.Pow(min(x, 1), 4) / 4
		if x > 1 {
			stretched += (x - 1) + 1.5*(x-1)*(x-1)
		}
		e += f.Force * f.Length * width * 0.25 * muscles.FP * stretched
	}
	return e
}

// A pushed arm whose muscles are not excited keeps its energy, that of its links and of its stretched muscles, once it is let go: there is neither gravity nor
// damping. Euler's method errs in it by a part that is proportional to the step, so a tenth of the step has a tenth of the error.
func TestEnergyIsConserved(t *testing.T) {
	drift := func(dt float64) float64 {
		const push, total = 0.05, 0.25 // s
		p, err := New[float64](Config{Trials: 1, DT: dt})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := p.Reset([]float64{0.9, 1.3}); err != nil {
			t.Fatal(err)
		}
		s := State[float64]{Joints: make([]float64, 2), Velocities: make([]float64, 2), Activations: make([]float64, 6), Forces: make([]float64, 6)}
		released, largest := math.NaN(), 0.0
		off, none := make([]float64, 6), []float64{0, 0}
		for k := range int(math.Round(total / dt)) {
			force := none
			if float64(k)*dt < push {
				force = []float64{4, -6}
			}
			if err := p.Step(k, off, force); err != nil {
				t.Fatal(err)
			}
			p.State(&s)
			e := energy([2]float64(s.Joints), [2]float64(s.Velocities))
			switch {
			case float64(k+1)*dt < push:
			case math.IsNaN(released):
				released = e
			default:
				largest = max(largest, math.Abs(e/released-1))
			}
		}
		if released < 1e-3 {
			t.Fatalf("the push gave the arm %v J", released)
		}
		return largest
	}
	coarse, fine := drift(1e-4), drift(1e-5)
	t.Logf("energy drifts by %.2g of itself in steps of 0.1 ms, by %.2g in steps of 0.01 ms", coarse, fine)
	if fine > 1e-4 {
		t.Errorf("energy drifts by %v of itself", fine)
	}
	if ratio := coarse / fine; ratio < 9 || ratio > 11 {
		t.Errorf("a tenth of the step has 1/%v of the drift", ratio)
	}
}
