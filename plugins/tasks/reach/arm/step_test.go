package arm

import (
	"math"
	"testing"
)

// topSpeed is the greatest speed of a joint, rad/s, of bodies from a grid of postures whose muscles are all excited alike for 1.5 s.
func topSpeed(t *testing.T, effector string, dt, excitation float64) float64 {
	t.Helper()
	shape, err := Shape(effector)
	if err != nil {
		t.Fatal(err)
	}
	_, unit := shape.Scale()
	var joints []float64
	for _, first := range []float64{35, 70, 100} {
		for _, second := range []float64{35, 80, 120} {
			joints = append(joints, first*unit, second*unit)
		}
	}
	n := len(joints) / 2
	p, err := New[float64](Config{Effector: effector, Trials: n, DT: dt})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.Reset(joints); err != nil {
		t.Fatal(err)
	}
	actions, force := make([]float64, n*p.Actions()), make([]float64, 2*n)
	for i := range actions {
		actions[i] = excitation
	}
	s := State[float64]{Velocities: make([]float64, 2*n)}
	top := 0.0
	for k := range int(math.Round(1.5 / dt)) {
		if err := p.Step(k, actions, force); err != nil {
			t.Fatal(err)
		}
		p.State(&s)
		for _, v := range s.Velocities {
			top = max(top, math.Abs(v))
		}
	}
	return top
}

// TestStepIsFair holds what MaxDT says of steps: up to which common excitation of all muscles the arm is as fast as under a step of a millisecond, to 10%, and that far beyond it, it is not.
func TestStepIsFair(t *testing.T) {
	for _, c := range []struct {
		effector       string
		dt, excitation float64
		fair           bool
	}{
		{Arm26, 0.01, 0.1, true}, {Arm26, 0.005, 0.35, true}, {Arm26, 0.0025, 1, true}, {Arm26, 0.01, 0.5, false}, {Arm26, 0.005, 1, false},
		{Thelen, 0.01, 0.25, true}, {Thelen, 0.005, 1, true}, {Thelen, 0.0025, 1, true}, {Thelen, 0.01, 0.5, false},
		{PointMass, 0.01, 0.5, true}, {Compliant, 0.02, 1, true},
	} {
		fine := 0.001
		if c.effector == Compliant {
			// Its own substeps are of half a millisecond whatever the bin.
			fine = 0.005
		}
		got, want := topSpeed(t, c.effector, c.dt, c.excitation), topSpeed(t, c.effector, fine, c.excitation)
		t.Logf("%s, excitation %v: %.2f rad/s with steps of %v s, %.2f with %v s", c.effector, c.excitation, got, c.dt, want, fine)
		if off := math.Abs(got/want - 1); c.fair && off > 0.1 || !c.fair && off < 0.3 {
			t.Errorf("%s, excitation %v: %.2f with steps of %v s, %.2f with %v s", c.effector, c.excitation, got, c.dt, want, fine)
		}
	}
}
