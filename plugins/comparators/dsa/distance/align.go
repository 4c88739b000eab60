package distance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
)

// ErrSizes is returned, wrapped, where two operators are not of the same size.
var ErrSizes = errors.New("distance: operators of different sizes")

// Options of an alignment. The zero value is what the package's promises are made for.
type Options struct {
	// Starts is the number of descents whose ends compete, those of matched eigenvectors first, then random ones, on both determinants. 0: more the smaller
	// the operators are.
	Starts int
	// Iterations bounds each descent; 0: 1500.
	Iterations int
	// Seed of the random starts.
	Seed uint64
	// Threads to keep busy; 0: 1. The result does not depend on it.
	Threads int
}

// Alignment is the best C that was found, and how good it is.
type Alignment struct {
	// C is orthogonal and takes the second operator's coordinates to the first's: A is about C B C^T.
	C *mat.Dense
	// Angular is the angle between A and C B C^T in radians, in [0, pi]; Euclidean is |A - C B C^T|, in [0, 2].
	Angular, Euclidean float64
	// Bound is a lower bound on Angular for any orthogonal C. Angular - Bound bounds what a better C could gain; where it is 0, C is proven best.
	Bound float64
	// Determinant of C, +1 or -1. For operators of odd size C and -C give the same distance, and either may stand here.
	Determinant int
	// Starts is how many descents were made, Steps how many steps they took in all.
	Starts, Steps int
}

// Gap is Angular - Bound, at least 0.
func (a Alignment) Gap() float64 { return max(0, a.Angular-a.Bound) }

// proven is the angle by which a result may lie above its lower bound and be taken for the optimum: what rounding leaves.
const proven = 1e-9

// Align finds the orthogonal C that brings b closest to a. It is symmetric, Align(b, a) gives the same distances to the bit and the transpose of C, and
// gives the same each time.
func Align(ctx context.Context, a, b *Operator, opt Options) (Alignment, error) {
	if a.n != b.n {
		return Alignment{}, fmt.Errorf("%w: %d and %d rows: align operators of one rank, or compare spectra", ErrSizes, a.n, b.n)
	}
	// One order for both ways of asking.
	if slices.Compare(a.a, b.a) > 0 {
		r, err := Align(ctx, b, a, opt)
		if err == nil {
			r.C = mat.DenseCopyOf(r.C.T())
		}
		return r, err
	}
	if opt.Iterations <= 0 {
		opt.Iterations = 1500
	}
	if opt.Starts <= 0 {
		opt.Starts = defaultStarts(a.n)
	}
	opt.Threads = max(1, opt.Threads)
	r := search{a: a, b: b, opt: opt, best: end{angular: math.Inf(1)}, bound: angle(bound(a, b)), idle: make(chan *descent, opt.Threads)}
	if err := r.run(ctx); err != nil {
		return Alignment{}, err
	}
	// From the operators' own coordinates to those that they were given in, and the distance there.
	n := a.n
	var c, m mat.Dense
	c.Product(mat.NewDense(n, n, a.u), mat.NewDense(n, n, r.best.c), mat.NewDense(n, n, b.u).T())
	m.Product(&c, mat.NewDense(n, n, b.a), c.T())
	m.Sub(mat.NewDense(n, n, a.a), &m)
	euclidean := mat.Norm(&m, 2)
	angular := chordAngle(euclidean * euclidean / 2)
	return Alignment{
		C: &c, Angular: angular, Euclidean: euclidean, Bound: min(r.bound, angular), Starts: r.made, Steps: r.steps, Determinant: determinant(c.RawMatrix().Data, n),
	}, nil
}

// search is one alignment at work. Descents are made in waves, whose size does not depend on the number of threads, so that what is found does not either.
type search struct {
	a, b  *Operator
	opt   Options
	best  end
	bound float64
	made  int
	steps int
	// idle descents, to be used again.
	idle chan *descent
}

// The tolerances of the descents that compete, on the gradient's norm, and of the one that goes on from the best; and the size of waves.
const (
	roughTolerance = 1e-5
	fineTolerance  = 1e-8
	wave           = 4
)

// Operators of more than large rows have descents too dear for each to be followed to its end: those that are behind after the steps of a round are given up.
const large = 40

// round is how many of the starts take part, at most, and for how many steps.
type round struct {
	starts, steps int
	tolerance     float64
}

// rounds of large operators. The last is the fine one.
func (s *search) rounds() []round {
	n := s.opt.Starts
	return []round{{n, 20, roughTolerance}, {(n + 1) / 2, 30, roughTolerance}, {(n + 3) / 4, 150, roughTolerance}, {1, s.opt.Iterations, largeFine}}
}

const largeFine = 1e-6

// run descends from matched eigenvectors, the best matches first, then from random points, then, where operators are not large, for a third of the budget from where the best is
// when turned in a few planes.
func (s *search) run(ctx context.Context) error {
	d := s.take()
	matched := d.candidates()
	s.put(d)
	// Matches are exact for conjugate systems, and then there is nothing to search.
	if matched[0].angular-s.bound <= nearlyProven {
		if _, err := s.wave(ctx, []int{0}, s.opt.Iterations, roughTolerance, func(*descent, int) []float64 { return matched[0].c }); err != nil || s.proven() {
			return err
		}
	}
	fresh := s.opt.Starts - s.opt.Starts/3
	start := func(d *descent, k int) []float64 {
		switch {
		case k < len(matched):
			return matched[k].c
		case s.a.n <= large && k >= fresh && s.best.c != nil:
			return d.turned(s.best.c, random.New(s.opt.Seed, "dsa/hop", uint64(d.n), uint64(k)))
		}
		return d.start(s.opt.Seed, k-len(matched))
	}
	if s.a.n > large {
		return s.compete(ctx, start)
	}
	for from := 0; s.made < s.opt.Starts && !s.proven(); {
		var units []int
		for k := range min(wave, s.opt.Starts-s.made) {
			units = append(units, from+k)
		}
		from += len(units)
		ends, err := s.wave(ctx, units, s.opt.Iterations, roughTolerance, start)
		if err != nil {
			return err
		}
		s.made += len(ends)
	}
	if s.proven() {
		return nil
	}
	_, err := s.wave(ctx, []int{0}, s.opt.Iterations, fineTolerance, func(*descent, int) []float64 { return s.best.c })
	return err
}

// compete goes through the rounds.
func (s *search) compete(ctx context.Context, start func(d *descent, k int) []float64) error {
	for i, r := range s.rounds() {
		units := make([]int, r.starts)
		for k := range units {
			units[k] = k
		}
		ends, err := s.wave(ctx, units, min(r.steps, s.opt.Iterations), r.tolerance, start)
		if err != nil || s.proven() {
			return err
		}
		if i == 0 {
			s.made += len(ends)
		}
		slices.SortStableFunc(ends, func(x, y end) int { return cmp.Compare(x.angular, y.angular) })
		start = func(_ *descent, k int) []float64 { return ends[k].c }
	}
	return nil
}

// nearlyProven is how far above the bound a match may lie and be taken for exact but for rounding and the pairing of equal eigenvalues.
const nearlyProven = 1e-3

// proven reports that the best meets its bound.
func (s *search) proven() bool { return s.best.angular-s.bound <= proven }

func (s *search) take() *descent {
	select {
	case d := <-s.idle:
		return d
	default:
		return newDescent(s.a, s.b)
	}
}

func (s *search) put(d *descent) {
	select {
	case s.idle <- d:
	default:
	}
}

// wave descends from the starts of the given numbers and keeps the best, the first of equals.
func (s *search) wave(ctx context.Context, units []int, iterations int, tolerance float64, start func(d *descent, k int) []float64) ([]end, error) {
	ends, steps := make([]end, len(units)), make([]int, len(units))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(s.opt.Threads)
	for i, k := range units {
		g.Go(func() (err error) {
			defer component.Recover(&err)
			d := s.take()
			before := d.steps
			ends[i], err = d.run(ctx, start(d, k), iterations, tolerance)
			steps[i] = d.steps - before
			s.put(d)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, e := range ends {
		s.steps += steps[i]
		if e.angular < s.best.angular {
			s.best = e
		}
	}
	return ends, nil
}

// defaultStarts: what many random starts find that few do not shrinks as operators grow, and each costs the cube of their size.
func defaultStarts(n int) int {
	switch {
	case n <= 24:
		return 72
	case n <= large:
		return 24
	}
	return 8
}

// bound is an upper bound on the inner product of a and C b C^T over orthogonal C: symmetric and skew parts are aligned apart, each at best
// (von Neumann 1937; Hoffman & Wielandt 1953), and the whole at best by its singular values.
func bound(a, b *Operator) float64 {
	dot := func(x, y []float64) (sum float64) {
		for i, v := range x {
			sum += v * y[i]
		}
		return sum
	}
	return min(1, dot(a.symmetric, b.symmetric)+dot(a.skew, b.skew), dot(a.singular, b.singular))
}

// angle is arccos, of what may lie outside [-1, 1] by rounding.
func angle(cos float64) float64 { return math.Acos(max(-1, min(1, cos))) }

// candidates are the starts of all frames, the nearest first.
func (d *descent) candidates() []end {
	var out []end
	for k, x := range d.x.frames {
		for _, c := range d.matched(x, d.y.frames[k]) {
			out = append(out, end{c, d.at(c)})
		}
	}
	slices.SortStableFunc(out, func(x, y end) int { return cmp.Compare(x.angular, y.angular) })
	return out
}

// at is the angle at C.
func (d *descent) at(c []float64) float64 {
	d.pad(d.c, c)
	product.Square(d.t1, d.c, d.b, d.n)
	d.transpose(d.t2, d.c)
	product.Square(d.m, d.t1, d.t2, d.n)
	return chordAngle(d.half(d.m))
}

// start number k that is no match: the identity, then orthogonal matrices drawn uniformly, with either determinant in turn.
func (d *descent) start(seed uint64, k int) []float64 {
	n := d.n
	c := make([]float64, n*n)
	if k < 2 {
		for i := range n {
			c[i*n+i] = 1
		}
	} else {
		rng := random.New(seed, "dsa/start", uint64(n), uint64(k))
		for i := range c {
			c[i] = rng.NormFloat64()
		}
		// Q of a Gaussian matrix, with the signs that make R's diagonal positive, is uniform (Mezzadri 2007).
		var qr mat.QR
		qr.Factorize(mat.NewDense(n, n, c))
		var q, r mat.Dense
		qr.QTo(&q)
		qr.RTo(&r)
		for i := range n {
			for j := range n {
				c[i*n+j] = math.Copysign(1, r.At(j, j)) * q.At(i, j)
			}
		}
	}
	if (determinant(c, n) < 0) != (k%2 == 1) {
		for i := range n {
			c[i*n] = -c[i*n]
		}
	}
	return c
}

func determinant(c []float64, n int) int {
	if mat.Det(mat.NewDense(n, n, slices.Clone(c))) < 0 {
		return -1
	}
	return 1
}

// turned is c turned by random angles in a few planes that two vectors of one of the first operator's frames span: far enough to leave where a descent
// ended, near enough to keep most of what it found.
func (d *descent) turned(c []float64, rng *rand.Rand) []float64 {
	n := d.n
	out := slices.Clone(c)
	if n < 2 {
		return out
	}
	u := d.x.frames[rng.IntN(len(d.x.frames))].u
	pi, pj := make([]float64, n), make([]float64, n)
	for range 2 + rng.IntN(3) {
		i, j := rng.IntN(n), rng.IntN(n-1)
		if j >= i {
			j++
		}
		sin, cos := math.Sincos(2 * math.Pi * rng.Float64())
		clear(pi)
		clear(pj)
		for k := range n {
			axpy(u[k*n+i], out[k*n:k*n+n], pi)
			axpy(u[k*n+j], out[k*n:k*n+n], pj)
		}
		for k := range n {
			x, y := u[k*n+i], u[k*n+j]
			axpy(x*(cos-1)+y*sin, pi, out[k*n:k*n+n])
			axpy(y*(cos-1)-x*sin, pj, out[k*n:k*n+n])
		}
	}
	return out
}
