package arm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// trials are random postures well inside the limits, actions of which some are beyond [0, 1], and forces at the hand.
type trials struct {
	joints        []float64   // (n, 2)
	action, force [][]float64 // of each bin, (n, muscles) and (n, 2)
}

func randomTrials(t testing.TB, seed uint64, effector string, n, bins int, strength float64) trials {
	t.Helper()
	g, err := Shape(effector)
	if err != nil {
		t.Fatal(err)
	}
	lo, hi := g.Limits()
	r, m := rand.New(rand.NewPCG(seed, 1)), Config{Effector: effector}.muscles()
	var out trials
	for range n {
		for j := range 2 {
			out.joints = append(out.joints, lo[j]+(.3+.4*r.Float64())*(hi[j]-lo[j]))
		}
	}
	for range bins {
		a, f := make([]float64, n*m), make([]float64, 2*n)
		for i := range a {
			a[i] = strength * (1.4*r.Float64() - .2)
		}
		for i := range f {
			f[i] = 2 * r.NormFloat64()
		}
		out.action, out.force = append(out.action, a), append(out.force, f)
	}
	return out
}

// part are n trials, from the one numbered first on.
func (x trials) part(first, n int) (out trials) {
	all := len(x.joints) / 2
	cut := func(a []float64) []float64 { w := len(a) / all; return a[first*w : (first+n)*w] }
	out.joints = cut(x.joints)
	for bin := range x.action {
		out.action, out.force = append(out.action, cut(x.action[bin])), append(out.force, cut(x.force[bin]))
	}
	return out
}

// flow is all that a rollout and its way back give.
type flow struct {
	tip, senses [][]float64 // after Reset and after each bin
	last        State[float64]
	action      [][]float64 // gradients by the actions of each bin
	force       [][]float64
	joints      []float64 // gradient by the posture
}

// cotangent is a fixed gradient by number i of what is read after a bin.
func cotangent(bin, i int) float64 { return math.Sin(float64(13*bin+7*i) + 1) }

// forth takes a subject through trials.
func forth(t testing.TB, s subject, x trials) (f flow) {
	t.Helper()
	n := len(x.joints) / 2
	m := len(x.action[0]) / n
	read := func() {
		tip, senses := make([]float64, 2*n), make([]float64, 2*m*n)
		s.Fingertip(tip)
		s.Senses(senses)
		f.tip, f.senses = append(f.tip, tip), append(f.senses, senses)
	}
	if err := s.Reset(x.joints); err != nil {
		t.Fatal(err)
	}
	read()
	for bin := range x.action {
		if err := s.Step(bin, x.action[bin], x.force[bin]); err != nil {
			t.Fatal(err)
		}
		read()
	}
	return f
}

// roll takes a subject through trials and back.
func roll(t testing.TB, s subject, x trials, cot func(bin, i int) float64) flow {
	t.Helper()
	n := len(x.joints) / 2
	m := len(x.action[0]) / n
	f := forth(t, s, x)
	f.last = State[float64]{make([]float64, 2*n), make([]float64, 2*n), make([]float64, m*n), make([]float64, m*n)}
	s.State(&f.last)

	f.action, f.force = make([][]float64, len(x.action)), make([][]float64, len(x.action))
	s.BeginBackward()
	for bin := len(x.action) - 1; bin >= 0; bin-- {
		tip, senses := make([]float64, 2*n), make([]float64, 2*m*n)
		for i := range tip {
			tip[i] = cot(bin, i%2)
		}
		for i := range senses {
			senses[i] = .1 * cot(bin, 2+i%(2*m))
		}
		f.action[bin] = make([]float64, n*m)
		if err := s.StepBackward(bin, tip, senses, f.action[bin]); err != nil {
			t.Fatal(err)
		}
		f.force[bin] = append([]float64(nil), s.byForce()...)
	}
	f.joints = s.byPosture()
	return f
}

// compare reports what of two flows differs.
func compare(t *testing.T, got, want flow, tol tolerances) {
	t.Helper()
	for bin := range want.tip {
		near(t, fmt.Sprint("fingertip after step ", bin), got.tip[bin], want.tip[bin], tol.rollout, 1)
		near(t, fmt.Sprint("senses after step ", bin), got.senses[bin], want.senses[bin], tol.rollout, 1)
	}
	near(t, "velocities", got.last.Velocities, want.last.Velocities, tol.rollout, 1)
	near(t, "activations", got.last.Activations, want.last.Activations, tol.rollout, 1)
	near(t, "forces", got.last.Forces, want.last.Forces, tol.rollout, largest(want.last.Forces))
	for bin := range want.action {
		near(t, fmt.Sprint("gradient by actions of step ", bin), got.action[bin], want.action[bin], tol.vjp, largest(want.action[bin]))
		near(t, fmt.Sprint("gradient by forces of step ", bin), got.force[bin], want.force[bin], tol.vjp, largest(want.force[bin]))
	}
	near(t, "gradient by posture", got.joints, want.joints, tol.vjp, largest(want.joints))
}

// The kernels do what the equations say, for every effector, with the derivatives that complex steps give.
func TestEffectors(t *testing.T) {
	for _, effector := range Effectors() {
		t.Run(effector, func(t *testing.T) {
			const n, bins = 5, 12
			c := Config{Effector: effector, Trials: n, Bins: bins, Tape: true, Substeps: 20}
			x := randomTrials(t, 3, effector, n, bins, 1)
			want := roll(t, newReference(t, c), x, cotangent)
			for _, s := range implementations(t, c)[1:] {
				t.Run(s.name, func(t *testing.T) { compare(t, roll(t, s.subject, x, cotangent), want, s.tolerances) })
			}
		})
	}
}

// Gradients are those that differences of whole rollouts give, where no trial meets a limit or an activation its end: each to 1e-6 of itself, and the roundoff of
// the differences. These are central ones with the error of h^2 taken out by those of 2h (Richardson), so that h need not be so small that little is left of a gradient.
func TestFiniteDifferences(t *testing.T) {
	for _, effector := range Effectors() {
		t.Run(effector, func(t *testing.T) {
			const n, bins = 16, 5
			c := Config{Effector: effector, Trials: n, Bins: bins, Tape: true}
			x := randomTrials(t, 5, effector, n, bins, .5)
			for bin := range x.action {
				for i, a := range x.action[bin] {
					x.action[bin][i] = .1 + .8*math.Abs(a)
				}
			}
			s := newKernels[float64](t, c, kernel.Variant())
			got := roll(t, s, x, cotangent)
			m := s.Muscles()
			// Of each trial the sum, and that of its terms' sizes.
			scalar := func() (out, size [n]float64) {
				f := forth(t, s, x)
				add := func(trial int, y float64) {
					out[trial] += y
					size[trial] += math.Abs(y)
				}
				for bin := range bins {
					for i, y := range f.tip[bin+1] {
						add(i/2, cotangent(bin, i%2)*y)
					}
					for i, y := range f.senses[bin+1] {
						add(i/(2*m), .1*cotangent(bin, 2+i%(2*m))*y)
					}
				}
				return out, size
			}
			_, size := scalar()
			check := func(what string, a, gradient []float64, k int, h float64) {
				t.Helper()
				w := len(a) / n
				at := func(by float64) [n]float64 {
					kept := slices.Clone(a)
					for i := range n {
						a[i*w+k] += by
					}
					out, _ := scalar()
					copy(a, kept)
					return out
				}
				var right [n]bool
				var said [n]string
				for range 3 {
					down2, down, up, up2 := at(-2*h), at(-h), at(h), at(2*h)
					for i := range n {
						g, want := gradient[i*w+k], (8*(up[i]-down[i])-(up2[i]-down2[i]))/(12*h)
						// Sums err by a few units in the last place of their terms.
						roundoff := 16 * 0x1p-52 * size[i] / h
						right[i] = right[i] || math.Abs(g-want) <= 1e-6*math.Abs(want)+roundoff
						said[i] += fmt.Sprintf("; by differences of %.0e %g, roundoff %.1g", h, want, roundoff)
					}
					if !slices.Contains(right[:], false) {
						return
					}
					// A bend of a curve that lies within one difference lies beyond a smaller one.
					h /= 10
				}
				for i := range n {
					if !right[i] {
						t.Errorf("%s %d of trial %d: %g%s", what, k, i, gradient[i*w+k], said[i])
					}
				}
			}
			for bin := range bins {
				for k := range m {
					check(fmt.Sprintf("step %d: action", bin), x.action[bin], got.action[bin], k, 1e-4)
				}
				for k := range 2 {
					check(fmt.Sprintf("step %d: force", bin), x.force[bin], got.force[bin], k, 1e-2) // of as little effect
				}
			}
			for k := range 2 {
				check("joint", x.joints, got.joints, k, 1e-4)
			}
		})
	}
}

// What a trial gets does not depend on the trials beside it.
func TestSplitsAreInvisible(t *testing.T) {
	for _, effector := range Effectors() {
		for _, variant := range kernel.Variants() {
			t.Run(effector+" "+variant, func(t *testing.T) {
				split[float32](t, effector, variant)
				split[float64](t, effector, variant)
			})
		}
	}
}

func split[F Float](t *testing.T, effector, variant string) {
	const n, bins = 37, 6
	x := randomTrials(t, 7, effector, n, bins, 1)
	run := func(x trials) flow {
		c := Config{Effector: effector, Trials: len(x.joints) / 2, Bins: bins, Tape: true}
		return roll(t, newKernels[F](t, c, variant), x, cotangent)
	}
	whole := run(x)
	for _, cut := range [][2]int{{0, 1}, {3, 5}, {8, 16}, {5, 32}, {36, 1}} {
		first, m := cut[0], cut[1]
		part := run(x.part(first, m))
		same := func(what string, got, want []float64) {
			t.Helper()
			w := len(want) / n
			near(t, what, got, want[first*w:(first+m)*w], 0, 0)
		}
		for bin := range whole.tip {
			same("fingertip", part.tip[bin], whole.tip[bin])
			same("senses", part.senses[bin], whole.senses[bin])
		}
		same("forces", part.last.Forces, whole.last.Forces)
		for bin := range bins {
			same("gradient by actions", part.action[bin], whole.action[bin])
		}
		same("gradient by posture", part.joints, whole.joints)
	}
}

// A tape of few bins, drawn along, gives what a long one gives; and one plant serves trial after trial.
func TestTapeIsReused(t *testing.T) {
	const n, bins, room = 4, 20, 5
	x := randomTrials(t, 11, Arm26, n, bins, 1)
	c := Config{Trials: n, Bins: bins, Tape: true}
	long := newKernels[float64](t, c, kernel.Variant())
	want := roll(t, long, x, cotangent)
	compare(t, roll(t, long, x, cotangent), want, tolerances{})

	c.Bins = room
	short := newKernels[float64](t, c, kernel.Variant())
	if err := short.Reset(x.joints); err != nil {
		t.Fatal(err)
	}
	got, tip := make([]float64, 6*n), make([]float64, 2*n)
	for bin := range bins {
		short.DropTape(bin - room + 1)
		if err := short.Step(bin, x.action[bin], x.force[bin]); err != nil {
			t.Fatal(err)
		}
		short.Fingertip(tip)
		near(t, "fingertip", tip, want.tip[bin+1], 0, 0)
	}
	short.BeginBackward()
	for bin := bins - 1; bin >= bins-room; bin-- {
		senses := make([]float64, 12*n)
		for i := range tip {
			tip[i] = cotangent(bin, i%2)
		}
		for i := range senses {
			senses[i] = .1 * cotangent(bin, 2+i%12)
		}
		if err := short.StepBackward(bin, tip, senses, got); err != nil {
			t.Fatal(err)
		}
		near(t, "gradient", got, want.action[bin], 0, 0)
	}
}
