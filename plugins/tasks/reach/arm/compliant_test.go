package arm

import (
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm/body"
)

// pulled is an excitation of the muscles under which the arm moves by all of them.
func pulled() [body.MaxMuscles]float64 { return [body.MaxMuscles]float64{.6, .4, .5, .45, .55, .4} }

// active is the arm at rest with all of its muscles active, their fibres as long as Reset has them.
func active(s body.State[float64]) body.State[float64] {
	for m := range s.Activation {
		s.Activation[m] = .3
	}
	return s
}

// The stiffer tendons are, the nearer the arm whose tendons stretch comes to the one whose tendons do not: half of the stretch, half of the difference. The latter goes by
// Euler's method, in steps so fine that they do not matter.
func TestStiffTendons(t *testing.T) {
	const seconds = .05
	q := [2]float64{.8, 1.4}
	rigid := body.ThelenArm[float64](1e-5)
	want := active(rigid.Reset(q))
	from := rigid.Hand(q)
	for range int(math.Round(seconds / rigid.DT)) {
		want = rigid.Advance(want, pulled(), [2]float64{})
	}
	hand := rigid.Hand(want.Q)
	moved := math.Hypot(hand[0]-from[0], hand[1]-from[1])
	before, last := math.NaN(), [2]float64{}
	for _, toe := range []float64{.008, .004, .002, .001} {
		b := body.CompliantArm[float64](seconds, 5000)
		b.Toe = toe
		got := b.Advance(active(b.Reset(q)), pulled(), [2]float64{})
		h := b.Hand(got.Q)
		off := math.Hypot(h[0]-hand[0], h[1]-hand[1])
		if ratio := before / off; ratio < 1.8 || ratio > 2.2 {
			t.Errorf("tendons that stretch by %v: the hand is off by %g m, with twice the stretch %.3g times that", toe, off, ratio)
		}
		before = off
		// What is left where the tendons do not stretch at all, by this line through the last two.
		limit := [2]float64{2*h[0] - last[0], 2*h[1] - last[1]}
		if last = h; toe > .001 {
			continue
		}
		if off := math.Hypot(limit[0]-hand[0], limit[1]-hand[1]); !(off < 1e-3*moved) {
			t.Errorf("in the limit the hand is off by %g m after a way of %g m", off, moved)
		}
		for m := range body.MaxMuscles {
			f := b.Muscle.Fibre(m)
			near(t, "length", []float64{got.Length[m] / f.Length}, []float64{want.Length[m] / f.Length}, 2e-3, 1)
			near(t, "speed", []float64{got.Speed[m] / f.Vmax}, []float64{want.Speed[m] / f.Vmax}, 2e-2, 1)
			near(t, "force", []float64{got.Force[m] / f.Force}, []float64{want.Force[m] / f.Force}, 2e-2, 1)
		}
	}
}

// Where no curve bends on the way, half of the substep has a sixteenth of the error: the method is of fourth order.
func TestSubstepsConverge(t *testing.T) {
	const seconds = .01
	settle := body.CompliantArm[float64](.1, 400)
	// A moment after the excitation has begun fibres have left the length at which they were at rest.
	from := settle.Advance(active(settle.Reset([2]float64{.8, 1.4})), [body.MaxMuscles]float64{.35, .35, .35, .35, .35, .35}, [2]float64{})
	after := func(substeps int) []float64 {
		s := body.CompliantArm[float64](seconds, substeps).Advance(from, pulled(), [2]float64{1, -1})
		out := append(s.Q[:], s.QD[:]...)
		out = append(out, s.Activation[:]...)
		for m := range s.Length {
			out = append(out, s.Length[m]/settle.Optimal(m))
		}
		return out
	}
	exact := after(2560)
	before := math.NaN()
	for _, substeps := range []int{20, 40, 80, 160} {
		off := 0.0
		for i, x := range after(substeps) {
			off = max(off, math.Abs(x-exact[i]))
		}
		if order := math.Log2(before / off); order < 3.8 || order > 4.3 {
			t.Errorf("%d substeps: off by %g, with half as many %g: order %.3g", substeps, off, before, order)
		}
		before = off
	}
}
