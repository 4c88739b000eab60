package arm

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   Config
		field string
	}{
		{"effector", Config{Effector: "arm27", Trials: 1}, "effector"},
		{"trials", Config{}, "trials"},
		{"bins", Config{Trials: 1, Tape: true}, "bins"},
		{"dt", Config{Trials: 1, DT: -1}, "dt"},
		{"dt beyond", Config{Trials: 1, DT: .5}, "dt"},
		{"dt beyond damping", Config{Trials: 1, DT: .0101}, "dt"},
		{"dt beyond damping", Config{Trials: 1, DT: .02, Effector: Thelen}, "dt"},
		{"dt NaN", Config{Trials: 1, DT: math.NaN()}, "dt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New[float32](c.cfg)
			var e *component.InvalidArgumentError
			if !errors.As(err, &e) || len(e.Problems) != 1 || e.Problems[0].Path != c.field {
				t.Errorf("error %v, want one about %s", err, c.field)
			}
		})
	}
	if _, err := New[float32](Config{Effector: "x", DT: 1}); strings.Count(err.Error(), "\n")+1 != 3 {
		t.Errorf("not all three problems: %v", err)
	}
}

func TestMisuse(t *testing.T) {
	p, err := New[float64](Config{Trials: 2, Tape: true, Bins: 2})
	if err != nil {
		t.Fatal(err)
	}
	q, u, f := []float64{1, 1, 1, 1}, make([]float64, 12), make([]float64, 4)
	fails := func(what, text string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v, want one that says %q", what, err, text)
		}
	}
	succeeds := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fails("no reset", "before reset", p.Step(0, u, f))
	fails("short joints", "3 numbers: must be 4", p.Reset(q[:3]))
	fails("posture", "trial 1, joint 0 is at 3", p.Reset([]float64{1, 1, 3, 1}))
	fails("NaN posture", "trial 0, joint 1 is at NaN", p.Reset([]float64{1, math.NaN(), 1, 1}))
	succeeds(p.Reset(q))
	fails("short actions", "actions", p.Step(0, u[:6], nil))
	fails("short force", "force", p.Step(0, u, f[:2]))
	fails("out of order", "step 0 comes next", p.Step(1, u, f))
	bad := make([]float64, 12)
	bad[7] = math.NaN()
	fails("NaN", "trial 1, number 1 of 6 at step 0 is NaN", p.Step(0, bad, f))
	fails("infinite", "trial 0, number 1 of 2 at step 0 is +Inf", p.Step(0, u, []float64{0, math.Inf(1), 0, 0}))
	succeeds(p.Step(0, u, f))
	succeeds(p.Step(1, u, nil))
	fails("full", "steps 0 to 1", p.Step(2, u, nil))
	p.DropTape(1)
	succeeds(p.Step(2, u, nil))
	fails("no begin", "BeginBackward", p.StepBackward(2, nil, nil, u))
	p.BeginBackward()
	fails("backward out of order", "step 2 comes next", p.StepBackward(1, nil, nil, u))
	fails("short tip", "tip", p.StepBackward(2, f[:1], nil, u))
	fails("short senses", "senses", p.StepBackward(2, nil, f, u))
	succeeds(p.StepBackward(2, f, nil, u))
	succeeds(p.StepBackward(1, nil, nil, u))
	fails("dropped", "begins at step 1", p.StepBackward(0, nil, nil, u))
	succeeds(p.Close())
	succeeds(p.Close())
	if err := errors.Join(p.Step(3, u, f), p.Reset(q)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// The shape of a body is that of the plant: where hands are, how many muscles there are, and which postures there may be.
func TestGeometry(t *testing.T) {
	for _, effector := range Effectors() {
		g, err := Shape(effector)
		if err != nil {
			t.Fatal(err)
		}
		p, err := New[float64](Config{Effector: effector, Trials: 1})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(g.Muscles()); n != p.Muscles() {
			t.Errorf("%s: %d names of %d muscles", effector, n, p.Muscles())
		}
		lo, hi := g.Limits()
		for _, x := range []float64{0, .3, .77, 1} {
			for _, y := range []float64{0, .4, 1} {
				q, tip := [2]float64{lo[0] + x*(hi[0]-lo[0]), lo[1] + y*(hi[1]-lo[1])}, make([]float64, 2)
				if err := p.Reset(q[:]); err != nil {
					t.Fatal(err)
				}
				p.Fingertip(tip)
				want := g.Hand(q)
				near(t, effector, tip, want[:], 1e-14, 1)
			}
		}
		if err := p.Reset([]float64{hi[0] + .01, lo[1]}); !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%s: beyond its limits: error %v", effector, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Bytes counts all that a plant has: its parameters, the state's gradient, slots, and of tendons that stretch where each substep begins.
func TestBytes(t *testing.T) {
	for _, c := range []Config{
		{Trials: 1},
		{Trials: 100, Tape: true, Bins: 300},
		{Effector: PointMass, Trials: 17, Tape: true, Bins: 3},
		{Effector: Compliant, Trials: 33, Tape: true, Bins: 10},
		{Effector: Compliant, Trials: 1, DT: .02, Substeps: 500},
	} {
		got, err := Bytes[float32](c)
		if err != nil {
			t.Fatal(err)
		}
		p, err := New[float32](c)
		if err != nil {
			t.Fatal(err)
		}
		vector, slots := int64(p.c.ops.lanes)*4, int64(p.c.slots)
		if want := map[bool]int64{true: int64(c.Bins) + 1, false: 2}[c.Tape]; slots != want {
			t.Errorf("%+v: %d slots, want %d", c, slots, want)
		}
		want := int64(p.c.ops.parameters) + vector*int64(p.c.blocks)*(16+24*slots)
		if c.Effector == Compliant {
			want += vector * 16 * int64(p.c.substeps)
		}
		if got < want || got > want+128 {
			t.Errorf("%+v: %d bytes, and it has %d", c, got, want)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Bytes[float32](Config{}); !errors.Is(err, component.ErrInvalidArgument) {
		t.Errorf("of no trials: error %v", err)
	}
}
