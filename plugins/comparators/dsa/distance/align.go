package distance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

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
	// Starts is how many descents were made.
	Starts int
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
	d := newDescent(a, b)
	bound := angle(bound(a, b))
	best := end{angular: math.Inf(1)}
	made := 0
	// Descents are first made to a rough end; those that are best there go on.
	var rough []end
	done := func() bool { return best.angular-bound <= proven }
	consider := func(c []float64, iterations int, tolerance float64) (end, error) {
		e, err := d.run(ctx, c, iterations, tolerance)
		if err == nil && e.angular < best.angular {
			best = e
		}
		return e, err
	}
	for k := 0; made < opt.Starts && !done(); k++ {
		for _, c := range d.start(opt.Seed, k) {
			e, err := consider(c, min(opt.Iterations, roughIterations), roughTolerance)
			if err != nil {
				return Alignment{}, err
			}
			rough = append(rough, e)
			made++
			if done() || made >= opt.Starts {
				break
			}
		}
	}
	slices.SortStableFunc(rough, func(x, y end) int {
		switch {
		case x.angular < y.angular:
			return -1
		case x.angular > y.angular:
			return 1
		}
		return 0
	})
	for i := 0; i < min(len(rough), finalists) && !done(); i++ {
		if _, err := consider(rough[i].c, opt.Iterations, fineTolerance); err != nil {
			return Alignment{}, err
		}
	}
	r := Alignment{
		C: mat.NewDense(a.n, a.n, slices.Clone(best.c)), Angular: best.angular, Euclidean: 2 * math.Sin(best.angular/2), Bound: min(bound, best.angular), Starts: made,
		Determinant: determinant(best.c, a.n),
	}
	return r, nil
}

// The two passes: how far the first goes, and how many of its ends the second takes up.
const (
	roughIterations = 60
	roughTolerance  = 1e-4
	fineTolerance   = 1e-10
	finalists       = 3
)

func defaultStarts(n int) int {
	switch {
	case n <= 12:
		return 64
	case n <= 32:
		return 32
	}
	return 12
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

// start number k: orthogonal matrices to descend from, one of each determinant where both matter.
func (d *descent) start(seed uint64, k int) [][]float64 {
	n := d.n
	if k < len(d.x.frames) {
		return d.matched(d.x.frames[k], d.y.frames[k])
	}
	k -= len(d.x.frames)
	c := make([]float64, n*n)
	if k == 0 {
		for i := range n {
			c[i*n+i] = 1
		}
	} else {
		rng := random.New(seed, "dsa/start", uint64(n), uint64(k))
		for i := range c {
			c[i] = rng.NormFloat64()
		}
		var qr mat.QR
		qr.Factorize(mat.NewDense(n, n, c))
		var q, r mat.Dense
		qr.QTo(&q)
		qr.RTo(&r)
		for i := range n {
			for j := range n {
				c[i*n+j] = q.At(i, j)
				if r.At(j, j) < 0 {
					c[i*n+j] = -c[i*n+j]
				}
			}
		}
	}
	if n%2 == 1 {
		return [][]float64{c}
	}
	mirrored := slices.Clone(c)
	for i := range n {
		mirrored[i*n] = -mirrored[i*n]
	}
	return [][]float64{c, mirrored}
}

func determinant(c []float64, n int) int {
	if mat.Det(mat.NewDense(n, n, slices.Clone(c))) < 0 {
		return -1
	}
	return 1
}
