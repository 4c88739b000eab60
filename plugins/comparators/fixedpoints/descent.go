package fixedpoints

import (
	"context"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// fate is what became of a start.
type fate uint8

const (
	active    fate = iota
	converged      // q is at most tol_q
	captured       // it goes to a point that is known
	stalled        // it rests where q is not 0
	lost           // it left the finite numbers
)

// iterate is a start on its way.
type iterate struct {
	fate fate
	// x is where it is, f = F(x) - x, q = |f|^2/2.
	x, f []float64
	q    float64
	// damping of Levenberg and Marquardt, relative to the residual; grow is what a step that failed multiplies it by.
	damping, grow float64
	// goal is the q at which it is looked at whether it has converged.
	goal float64
	// before is q some iterations ago.
	before float64
	rounds int
	// out is how far from the centroid it was some iterations ago, then q there.
	out, then float64
}

const (
	// firstDamping is small: a start that is far from all points comes near one sooner by nearly whole Newton steps, and where these fail the damping soon grows.
	firstDamping = 1e-6
	// careful is the first damping of a start that is near the saddle that is looked for: long steps would leave it.
	careful = 1e-2
	// attempts at a step with one Jacobian, each with more damping.
	attempts = 8
	// chords are the further steps that one factorisation may serve for; each must divide q by chordGain.
	chords    = 6
	chordGain = 2
	// flat is the cosine between f and what the Jacobian can do about it below which q is at a minimum.
	flat = 1e-7
	// patience is the number of iterations in which q must fall by half.
	patience = 8
	// astray is the number of iterations after which it is looked at whether a start has gone twice as far as the farthest start.
	astray = 6
	// nearing is the share of q that is left after that many iterations of a start that comes to a point.
	nearing = 1e-3
)

func half2(f []float64) float64 {
	q := blas64.Dot(blas64.Vector{N: len(f), Data: f, Inc: 1}, blas64.Vector{N: len(f), Data: f, Inc: 1}) / 2
	if math.IsNaN(q) {
		return math.Inf(1)
	}
	return q
}

// trial is a step that is being tried.
type trial struct {
	it *iterate
	// a is J - 1, normal is A^T A, factor the Cholesky factor of what the last step was solved with.
	a, normal, factor []float64
	g, s              []float64
	mu, foreseen      float64
	solved            bool
	chords            int
}

// descend takes each start a Levenberg-Marquardt iteration further, and as many chord steps as pay. scale is the unit of |f|.
func (s *system) descend(ctx context.Context, its []*iterate, scale float64) error {
	return each(ctx, s.threads, len(its), jacobianRows, func(ctx context.Context, from, to int) error {
		return s.descendRun(ctx, its[from:to], scale)
	})
}

func (s *system) descendRun(ctx context.Context, its []*iterate, scale float64) error {
	d := s.size()
	x := make([]float64, 0, len(its)*d)
	for _, it := range its {
		x = append(x, it.x...)
	}
	js, _, err := s.jacobians(ctx, x)
	if err != nil {
		return err
	}
	buffer, _ := s.buffers.Get().(*[]float64)
	if buffer == nil {
		buffer = &[]float64{}
	}
	defer s.buffers.Put(buffer)
	if each := 2 * (d*d + d); len(*buffer) < len(its)*each {
		*buffer = make([]float64, len(its)*each)
	}
	free := *buffer
	take := func(n int) []float64 {
		out := free[:n:n]
		free = free[n:]
		return out
	}
	var trials []*trial
	for i, it := range its {
		t := &trial{it: it, a: js[i*d*d : (i+1)*d*d], normal: take(d * d), factor: take(d * d), g: take(d), s: take(d)}
		for k := range d {
			t.a[k*d+k]--
		}
		norm := floats.Norm(t.a, 2)
		if math.IsNaN(norm) || math.IsInf(norm, 0) {
			it.fate = lost
			continue
		}
		blas64.Syrk(blas.Trans, 1, t.general(d), 0, symmetric(t.normal, d))
		t.gradient(it.f)
		if floats.Norm(t.g, 2) <= flat*norm*math.Sqrt(2*it.q) {
			it.fate = stalled
			continue
		}
		trials = append(trials, t)
	}
	for attempt := 0; len(trials) > 0 && attempt < attempts+chords; attempt++ {
		for _, t := range trials {
			t.solve(scale)
		}
		if err := s.accelerate(ctx, trials); err != nil {
			return err
		}
		if trials, err = s.try(ctx, trials); err != nil {
			return err
		}
	}
	for _, t := range trials {
		if t.chords == 0 {
			t.it.fate = stalled
		}
	}
	return nil
}

func (t *trial) general(d int) blas64.General {
	return blas64.General{Rows: d, Cols: d, Stride: d, Data: t.a}
}

func symmetric(a []float64, d int) blas64.Symmetric {
	return blas64.Symmetric{N: d, Stride: d, Data: a, Uplo: blas.Upper}
}

func vector(x []float64) blas64.Vector { return blas64.Vector{N: len(x), Data: x, Inc: 1} }

// gradient is A^T f.
func (t *trial) gradient(f []float64) {
	blas64.Gemv(blas.Trans, 1, t.general(len(f)), vector(f), 0, vector(t.g))
}

// solve makes the step s = -(A^T A + mu)^-1 A^T f. mu goes to 0 with |f|, which keeps the convergence quadratic (Yamashita & Fukushima 2001).
func (t *trial) solve(scale float64) {
	d := len(t.g)
	for !t.solved {
		t.mu = t.it.damping * min(1, math.Sqrt(2*t.it.q)/scale)
		copy(t.factor, t.normal)
		for k := range d {
			t.factor[k*d+k] += t.mu
		}
		_, t.solved = lapack64.Potrf(symmetric(t.factor, d))
		if !t.solved {
			t.it.damping = max(t.it.damping, 1e-14) * 10
			if t.it.damping > 1e30 {
				break
			}
		}
	}
	t.back(t.s, t.g)
}

// back writes -(A^T A + mu)^-1 g to s.
func (t *trial) back(s, g []float64) {
	d := len(g)
	for k, v := range g {
		s[k] = -v
	}
	// For one right-hand side two triangular solutions are four times faster than lapack64.Potrs.
	u := blas64.Triangular{N: d, Stride: d, Data: t.factor, Uplo: blas.Upper, Diag: blas.NonUnit}
	blas64.Trsv(blas.Trans, u, vector(s))
	blas64.Trsv(blas.NoTrans, u, vector(s))
}

// probe is the share of a step at which its second derivative is measured, bend the largest correction by it, in lengths of the step.
const (
	probe = 0.1
	bend  = 0.5
)

// accelerate adds the geodesic acceleration to first steps (Transtrum & Sethna 2012): half of a = -(A^T A + mu)^-1 A^T f”, where f” is the second derivative of f along
// the step. In the narrow bent valleys of q that slow directions make, steps can so be many times longer. It costs one evaluation.
func (s *system) accelerate(ctx context.Context, trials []*trial) error {
	d := s.size()
	first := make([]*trial, 0, len(trials))
	var x []float64
	for _, t := range trials {
		if t.chords == 0 {
			first = append(first, t)
			for k, v := range t.it.x {
				x = append(x, v+probe*t.s[k])
			}
		}
	}
	if len(first) == 0 {
		return nil
	}
	f := make([]float64, len(x))
	if err := s.step(ctx, x, f); err != nil {
		return err
	}
	second, g, a := make([]float64, d), make([]float64, d), make([]float64, d)
	for i, t := range first {
		t.foreseen = (t.mu*floats.Dot(t.s, t.s) - floats.Dot(t.s, t.g)) / 2
		blas64.Gemv(blas.NoTrans, 1, t.general(d), vector(t.s), 0, vector(second))
		for k := range d {
			second[k] = 2 / probe * ((f[i*d+k]-x[i*d+k]-t.it.f[k])/probe - second[k])
		}
		blas64.Gemv(blas.Trans, 1, t.general(d), vector(second), 0, vector(g))
		t.back(a, g)
		if floats.Norm(a, 2)/2 <= bend*floats.Norm(t.s, 2) {
			floats.AddScaled(t.s, 0.5, a)
		}
	}
	return nil
}

// try evaluates the steps, takes those that lower q, and returns the trials that are to go on with the Jacobian they have.
func (s *system) try(ctx context.Context, trials []*trial) ([]*trial, error) {
	d := s.size()
	x, f := make([]float64, len(trials)*d), make([]float64, len(trials)*d)
	for i, t := range trials {
		floats.AddTo(x[i*d:(i+1)*d], t.it.x, t.s)
	}
	if err := s.step(ctx, x, f); err != nil {
		return nil, err
	}
	var on []*trial
	for i, t := range trials {
		it := t.it
		fx := f[i*d : (i+1)*d]
		floats.Sub(fx, x[i*d:(i+1)*d])
		q := half2(fx)
		if t.chords > 0 {
			if q*chordGain > it.q {
				continue
			}
			it.x, it.f, it.q = x[i*d:(i+1)*d], fx, q
		} else {
			gain := (it.q - q) / t.foreseen
			if !(q < it.q && gain > 1e-4) {
				it.damping, it.grow, t.solved = it.damping*it.grow, it.grow*2, false
				on = append(on, t)
				continue
			}
			it.x, it.f, it.q = x[i*d:(i+1)*d], fx, q
			it.grow = 4
			switch {
			case gain > 0.75:
				it.damping = max(it.damping/10, 1e-12)
			case gain < 0.25:
				it.damping *= 4
			}
		}
		t.chords++
		if t.chords <= chords && it.q > 1e-28 {
			t.gradient(it.f)
			on = append(on, t)
		}
	}
	return on, nil
}
