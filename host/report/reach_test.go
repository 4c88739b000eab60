package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/report/figure"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const reachUpper, reachFore = 0.309, 0.333

// reaching are trials of an arm of two links that goes from one posture to another as minimum jerk has it, from the go cue on in half a second (Flash & Hogan 1985). Every
// third is pushed, every fourth has no go cue.
func reaching(trials int) (tensor.Block, artifact.Labels) {
	const bins, dt, goBin, targetOn, duration = 150, 0.01, 66, 26, 50
	b := tensor.Block{Trials: numbered(trials)}
	array := func(name string, channels int) *tensor.Tensor {
		a := tensor.New32(name, trials, bins, channels)
		b.Arrays = append(b.Arrays, a)
		return a
	}
	hand, goal, joints, muscles, force := array(reachHand, 2), array(reachGoal, 2), array(reachJoints, 2), array(reachMuscles, 6), array(task.EnvInputs, 2)
	outputs := array(model.Outputs, 6)
	targets := goal.Clone().Named(task.Targets)
	inputs := array(task.Inputs, 3)
	extra, conditions := tensor.New32(task.Extra, trials, 4), tensor.NewInt(task.Conditions, trials)
	tip := func(q1, q2 float64) (x, y float64) {
		return reachUpper*math.Cos(q1) + reachFore*math.Cos(q1+q2), reachUpper*math.Sin(q1) + reachFore*math.Sin(q1+q2)
	}
	for i := range trials {
		q := [2]float64{0.7 + 0.07*float64(i%9), 1.2 + 0.1*float64(i%5)}
		to := [2]float64{q[0] + 0.5 - 0.1*float64(i%7), q[1] + 0.4 - 0.25*float64(i%4)}
		caught, pushed := i%4 == 3, i%3 == 2
		copy(extra.F32[i*4:], []float32{targetOn, goBin, -1, -1})
		if caught {
			extra.F32[i*4+1], conditions.I64[i] = -1, 1
		}
		if pushed {
			extra.F32[i*4+2], extra.F32[i*4+3] = goBin+20, goBin+40
		}
		for t := range bins {
			s := min(max(float64(t-goBin)/duration, 0), 1)
			if caught {
				s = 0
			}
			s = s * s * s * (10 - 15*s + 6*s*s)
			at := i*bins + t
			now := [2]float64{q[0] + s*(to[0]-q[0]), q[1] + s*(to[1]-q[1])}
			x, y := tip(now[0], now[1])
			hand.F32[2*at], hand.F32[2*at+1] = float32(x), float32(y)
			joints.F32[2*at], joints.F32[2*at+1] = float32(now[0]), float32(now[1])
			gx, gy := tip(q[0], q[1])
			if t >= goBin && !caught {
				gx, gy = tip(to[0], to[1])
			}
			goal.F32[2*at], goal.F32[2*at+1] = float32(gx), float32(gy)
			if pushed && t >= goBin+20 && t < goBin+40 {
				force.F32[2*at], force.F32[2*at+1] = 6, -4
			}
			for m := range 6 {
				muscles.F32[6*at+m] = float32(0.1 + 0.5*s*(1-s)*float64(m))
				outputs.F32[6*at+m] = muscles.F32[6*at+m]
			}
			inputs.F32[3*at] = hand.F32[2*at]
		}
	}
	b.Arrays = append(b.Arrays, targets, extra, conditions)
	return b, artifact.Labels{BinWidth: dt, Outputs: []string{"pectoralis", "deltoid", "brachioradialis", "triceps lateral", "biceps", "triceps long"},
		Extra: []string{reachTarget, reachGo, reachBump, reachBumpEnd}, Conditions: []string{"reach", "catch"}}
}

// TestReachFigures looks at which trials are in which panel, at speeds and distances against the movement that was made up, and at the pushes.
func TestReachFigures(t *testing.T) {
	b, labels := reaching(24)
	r, err := newReaches(b, labels, "made-up trials")
	must(t, err)
	if r == nil || len(r.choose(99, r.quiet)) != 12 || len(r.choose(99, r.pushed)) != 6 || len(r.choose(99, r.caught)) != 6 {
		t.Fatalf("reaches are %+v", r)
	}
	f, err := r.paths()
	must(t, err)
	if err := f.Check(); err != nil || len(f.Panels) != 3 {
		t.Fatalf("paths: %+v, %v", f, err)
	}
	for i, lines := range []int{12, 6, 6} {
		n := 0
		for _, m := range f.Panels[i].Marks {
			if m.Label == "hand" {
				n++
			}
			if m.Label == "push" && i == 1 && len(m.X) != 21 {
				t.Errorf("a push of 20 bins is drawn over %d", len(m.X))
			}
		}
		if n != lines {
			t.Errorf("panel %d has %d paths, want %d", i, n, lines)
		}
	}
	f, err = r.profiles()
	must(t, err)
	if err := f.Check(); err != nil || len(f.Panels) != 2 {
		t.Fatalf("profiles: %+v, %v", f, err)
	}
	speeds, distances := f.Panels[0].Marks, f.Panels[1].Marks
	mean, away := speeds[len(speeds)-1], distances[len(distances)-1]
	peak, when := 0.0, 0.0
	for k, v := range mean.Y {
		if v > peak {
			peak, when = v, mean.X[k]
		}
	}
	// Half-way through the movement, which is not straight in space, it is fastest: 1.875 of the mean speed in joint space.
	if math.Abs(when-0.25) > 0.03 || mean.Y[0] != 0 || math.Abs(mean.X[0]+beforeGo) > 1e-9 {
		t.Errorf("speed is largest at %v s, first %v at %v s", when, mean.Y[0], mean.X[0])
	}
	if last := away.Y[len(away.Y)-1]; last > 1e-6 || away.Y[0] < 0.05 {
		t.Errorf("distance is %v at first and %v at last", away.Y[0], last)
	}
	f, err = r.activations()
	must(t, err)
	if err := f.Check(); err != nil || len(f.Panels) != 3 || f.Panels[0].Title != "reach, trial 0" || f.Panels[1].Title != "reach with a push, trial 2" || f.Panels[2].Title != "no go cue, trial 3" {
		t.Fatalf("activations: %+v, %v", f, err)
	}
	if shaded := f.Panels[1].Marks[:3]; shaded[0].Label != "target shown" || shaded[0].X[1] != 0.66 || shaded[1].Label != "after the go cue" || shaded[2].Label != "push" {
		t.Errorf("shaded are %v", shaded)
	}
}

// TestReachesThatHadTheirTime: a reach of 0.8 s is one, as it is for the score's reach_distance, and one of a bin less is not.
func TestReachesThatHadTheirTime(t *testing.T) {
	b, labels := reaching(4)
	r, err := newReaches(b, labels, "")
	must(t, err)
	for goCue, want := range map[int]bool{70: true, 71: false} {
		r.goCue[0] = goCue
		if r.quiet(0) != want {
			t.Errorf("of a reach of %d bins of 10 ms it is %t that it had its time", 150-goCue, !want)
		}
	}
}

// TestLimbs finds the lengths of the links from angles and hand, and finds none where the hand is not theirs.
func TestLimbs(t *testing.T) {
	b, labels := reaching(8)
	r, err := newReaches(b, labels, "")
	must(t, err)
	if upper, fore, ok := r.limbs(); !ok || math.Abs(upper-reachUpper) > 1e-5 || math.Abs(fore-reachFore) > 1e-5 {
		t.Errorf("limbs %v and %v, %t", upper, fore, ok)
	}
	r.hand.data[0] += 0.01
	if _, _, ok := r.limbs(); ok {
		t.Error("a hand that is off its arm has limbs")
	}
	r.joints = nil
	if _, _, ok := r.limbs(); ok {
		t.Error("limbs without joints")
	}
	if inline, _, err := r.animation(figure.Palette{}); err != nil || strings.Contains(inline, "animateTransform") || !strings.Contains(inline, "<animate ") {
		t.Error("without joints the hand alone moves")
	}
}

// TestAnimation reads the animation as XML: every attribute that moves has a value for each frame, and a file of its own stands alone.
func TestAnimation(t *testing.T) {
	b, labels := reaching(24)
	r, err := newReaches(b, labels, "")
	must(t, err)
	inline, file, err := r.animation(figure.NewPalette("goal", "push"))
	must(t, err)
	if !strings.Contains(inline, "var(--fig-") || strings.Contains(file, "var(") || !strings.Contains(file, `xmlns="http://www.w3.org/2000/svg"`) {
		t.Fatalf("inline %.300s, file %.300s", inline, file)
	}
	for _, svg := range []string{inline, file} {
		d, frames, moving := xml.NewDecoder(strings.NewReader(svg)), -1, 0
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			e, ok := token.(xml.StartElement)
			if !ok || !strings.HasPrefix(e.Name.Local, "animate") {
				continue
			}
			moving++
			for _, a := range e.Attr {
				if a.Name.Local != "values" {
					continue
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("values %.100s", a.Value)
				}
				if n := strings.Count(a.Value, ";") + 1; frames >= 0 && n != frames {
					t.Errorf("%d frames, others have %d", n, frames)
				} else {
					frames = n
				}
			}
		}
		// Six trials of 150 bins, three bins a frame, and 15 frames after each.
		if moving != 12 || frames != 6*(50+15+1) {
			t.Errorf("%d attributes move over %d frames", moving, frames)
		}
	}
}

// TestReportOfReaches renders a run of a reaching task from its examples, and one whose arrays are of other shapes, which is a report all the same.
func TestReportOfReaches(t *testing.T) {
	all := []string{"Hand paths", "Speed and distance", "Muscle activations", "figure-reach-animation", "<animateTransform"}
	for name, c := range map[string]struct {
		spoil func(*tensor.Block)
		want  []string
	}{
		"all":          {func(*tensor.Block) {}, all},
		"hand alone":   {func(b *tensor.Block) { b.Arrays = append(b.Arrays[:2:2], b.Arrays[5:]...) }, []string{"Hand paths", "Speed and distance", "figure-reach-animation"}},
		"no timing":    {func(b *tensor.Block) { b.Arrays = b.Arrays[:7] }, []string{"Hand paths", "Muscle activations"}},
		"another goal": {func(b *tensor.Block) { b.Arrays[1] = tensor.New32(reachGoal, len(b.Trials), 3, 2) }, nil},
		"other shapes": {func(b *tensor.Block) {
			n := len(b.Trials)
			b.Arrays[2], b.Arrays[3] = tensor.New32(reachJoints, n, 3, 2), tensor.New32(reachMuscles, n, 3, 6)
		}, []string{"Hand paths", "Speed and distance", "figure-reach-animation"}},
		"other channels": {func(b *tensor.Block) {
			n, bins := len(b.Trials), b.Arrays[0].Shape[1]
			b.Arrays[2], b.Arrays[4] = tensor.New32(reachJoints, n, bins, 1), tensor.New32(task.EnvInputs, n, bins, 1)
		}, []string{"Hand paths", "Speed and distance", "Muscle activations", "figure-reach-animation"}},
	} {
		s := newSynthetic(t)
		dir := s.stage(t, "train", "model/noisy-gru")
		b, labels := reaching(24)
		c.spoil(&b)
		w, err := artifact.CreateArrays(filepath.Join(dir, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: 24}, Attributes: labels.Attributes()})
		must(t, err)
		must(t, w.Write(task.Valid, b))
		must(t, w.Close())
		s.experiment(t, "version: 1\nname: reach\nseed: 0\ntask: {use: task/random-target}\ntrain: {use: model/noisy-gru}\n")
		_, err = artifact.WriteSums(dir)
		must(t, err)
		run, err := artifact.OpenRun(s.dir)
		must(t, err)
		must(t, Write(t.Context(), run))
		var page bytes.Buffer
		must(t, Render(t.Context(), &page, run))
		for _, part := range all {
			if has := strings.Contains(page.String(), part); has != slices.Contains(c.want, part) {
				t.Errorf("%s: the report has %q: %t", name, part, has)
			}
		}
	}
}

// TestOddReaches composes all of trials whose bins are said to be of no, of no sensible or of hardly any width.
func TestOddReaches(t *testing.T) {
	for _, width := range []float64{0, -1, math.NaN(), math.Inf(1), 1e-300, 1e300} {
		b, labels := reaching(8)
		labels.BinWidth = width
		r, err := newReaches(b, labels, "")
		must(t, err)
		r.paths()
		r.profiles()
		r.activations()
		if inline, _, err := r.animation(figure.Palette{}); err == nil && strings.Contains(inline, "NaN") {
			t.Errorf("bins of %v s: the animation has %.300s", width, inline)
		}
	}
}

// TestFiguresThatPanic leaves out what cannot be composed, and says so where it would stand.
func TestFiguresThatPanic(t *testing.T) {
	c := &composer{source: &source{notes: map[string][]string{}}}
	c.begin("train", "Task-trained network", "")
	c.attempt("Hand paths", func() { at(&cube{data: []float64{1}, channels: 1, bins: 1}, 0, 0) })
	c.begin("fit", "Data-trained models", "")
	c.attemptIn(0, "Latents", func() { panic("odd") })
	c.attempt("Rates", func() {})
	if n := c.sections[0].Notes; len(n) != 2 || !strings.HasPrefix(n[0], "Hand paths are not shown: they cannot be composed: runtime error: index out of range") || len(c.sections[1].Notes) > 0 {
		t.Errorf("the notes are %q and %q", n, c.sections[1].Notes)
	}
}

// TestReachedAsTheScoreSays: a reach has had its time 0.8 s after the go cue, whether or not that is a whole number of bins.
func TestReachedAsTheScoreSays(t *testing.T) {
	for _, c := range []struct {
		width float64
		bins  int
	}{{0.01, 80}, {0.02, 40}, {0.015, 54}, {0.003, 267}, {0.0001, 8000}} {
		for after := c.bins - 1; after <= c.bins; after++ {
			r := reaches{hand: &cube{bins: after + 7, lengths: []int{after + 7}}, goCue: []int{7}, tick: clock{c.width}}
			if r.reached(0) != (after == c.bins) {
				t.Errorf("bins of %v s, %d after the go cue: %v", c.width, after, r.reached(0))
			}
		}
	}
}
