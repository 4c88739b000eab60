package arm

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// kernels is a Plant as a subject.
type kernels[F Float] struct {
	*Plant[F]
	t     testing.TB
	force []F
}

func convert[A, B Float](from []A) (to []B) {
	if from == nil {
		return nil
	}
	to = make([]B, len(from))
	for i, x := range from {
		to[i] = B(x)
	}
	return to
}

// through calls f with an array of F for one of float64 that it fills.
func through[F Float](dst []float64, f func([]F)) {
	if dst == nil {
		return
	}
	a := make([]F, len(dst))
	f(a)
	copy(dst, convert[F, float64](a))
}

func narrow[A, B Float](s State[A]) State[B] {
	return State[B]{convert[A, B](s.Joints), convert[A, B](s.Velocities), convert[A, B](s.Activations), convert[A, B](s.Forces)}
}

func (k *kernels[F]) Reset(joints []float64) error { return k.Plant.Reset(convert[float64, F](joints)) }

func (k *kernels[F]) Step(t int, actions, force []float64) error {
	return k.Plant.Step(t, convert[float64, F](actions), convert[float64, F](force))
}

func (k *kernels[F]) Fingertip(dst []float64) { through(dst, k.Plant.Fingertip) }
func (k *kernels[F]) Senses(dst []float64)    { through(dst, k.Plant.Senses) }

func (k *kernels[F]) State(dst *State[float64]) {
	s := narrow[float64, F](*dst)
	k.Plant.State(&s)
	copy(dst.Joints, convert[F, float64](s.Joints))
	copy(dst.Velocities, convert[F, float64](s.Velocities))
	copy(dst.Activations, convert[F, float64](s.Activations))
	copy(dst.Forces, convert[F, float64](s.Forces))
}

func (k *kernels[F]) StepBackward(t int, tip, senses, actions []float64) error {
	a := make([]F, len(actions))
	k.force = make([]F, 2*k.cfg.Trials)
	err := k.stepBackward(t, convert[float64, F](tip), convert[float64, F](senses), a, k.force)
	copy(actions, convert[F, float64](a))
	return err
}

func (k *kernels[F]) set(s State[float64])  { k.put(narrow[float64, F](s)) }
func (k *kernels[F]) seed(s State[float64]) { k.Plant.seed(narrow[float64, F](s)) }
func (k *kernels[F]) byForce() []float64    { return convert[F, float64](k.force) }

func (k *kernels[F]) carried() State[float64] {
	n, m := k.cfg.Trials, k.Muscles()
	s := State[F]{make([]F, 2*n), make([]F, 2*n), make([]F, m*n), make([]F, m*n)}
	k.Plant.carried(s)
	return narrow[F, float64](s)
}

func (k *kernels[F]) byPosture() []float64 {
	q := make([]float64, 2*k.cfg.Trials)
	through(q, func(a []F) {
		if err := k.postureGradient(a); err != nil {
			k.t.Fatal(err)
		}
	})
	return q
}

func (k *kernels[F]) insides() map[string][]float64 {
	names, n := insides()
	all := make([]float64, n*k.cfg.Trials)
	through(all, k.probe)
	out := map[string][]float64{}
	for _, x := range names {
		out[x.name] = columns(all, n, x.at, x.to)
	}
	return out
}

// implementation is a subject, and how near it must come.
type implementation struct {
	name string
	subject
	tolerances
}

// single is what float32 comes to: 24 bits, of which curves with steep slopes and a mass matrix to solve with leave these.
var single = tolerances{step: 2e-5, vjp: 2e-3, rollout: 2e-2}

// implementations are the reference and all variants of the kernels in both precisions.
func implementations(t testing.TB, c Config) []implementation {
	t.Helper()
	out := []implementation{{"reference", newReference(t, c), golds}}
	for _, variant := range kernel.Variants() {
		out = append(out,
			implementation{variant + " float64", newKernels[float64](t, c, variant), golds},
			implementation{variant + " float32", newKernels[float32](t, c, variant), single})
	}
	return out
}

func newKernels[F Float](t testing.TB, c Config, variant string) *kernels[F] {
	t.Helper()
	p, err := newPlant[F](c, variant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &kernels[F]{Plant: p, t: t}
}
