package dmd

import (
	"context"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa/internal/symmetric"
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// directWork is the number of multiplications, rows x columns x the smaller, up to which an embedding is decomposed itself. Beyond it its second moments
// are: many times faster and in memory that does not grow with the rows, but what is below gramFloor of the largest singular value is lost in rounding.
const (
	directWork = 3e7
	gramFloor  = 1e-7
)

// moments are H^T H (columns, columns) of the embedding H. The block of delays i and j is a sum of x(t-i) x(t-j)^T over a window of t, and that of i+1 and
// j+1 the same sum over the window one delay earlier: only one row of blocks is summed in full, at 1/delays of the cost, the others differ by the
// windows' ends.
func (e *embedding) moments(ctx context.Context, threads int) (*product.Right, error) {
	d := e.width
	g := product.NewRight(e.columns, e.columns)
	lost := (e.delays - 1) * e.interval
	edge := 0 // Rows at each end of the windows, of all trials.
	for _, t := range e.trials {
		edge += min(e.interval, max(0, t.Bins()-lost))
	}
	// One chain of blocks for each lag; chains share nothing. Each worker has the chains that its turn comes to.
	workers := max(1, min(threads, e.delays))
	group, ctx := errgroup.WithContext(ctx)
	for worker := range workers {
		group.Go(func() (err error) {
			defer component.Recover(&err)
			var lags []int
			for lag := worker; lag < e.delays; lag += workers {
				lags = append(lags, lag)
			}
			blocks, err := e.lagged(ctx, lags)
			if err != nil {
				return err
			}
			var w product.Workspace
			left, right := make([]float64, 0, 2*edge*d), make([]float64, 0, 2*edge*d)
			for n, lag := range lags {
				block := blocks[n]
				for j := 0; ; j++ {
					i := j + lag
					g.Put(i*d, j*d, product.Operand{Data: block, Stride: d}, d, d)
					g.Put(j*d, i*d, product.Operand{Data: block, Stride: d, T: true}, d, d)
					if i+1 == e.delays {
						break
					}
					left, right = e.ends(left[:0], right[:0], i, j)
					w.Add(block, d, d, len(left)/d, product.Operand{Data: left, Stride: d, T: true}, product.Operand{Data: right, Stride: d})
				}
			}
			return ctx.Err()
		})
	}
	return g, group.Wait()
}

// lagged sums x(t-lag)^T x(t) over the windows of t of all trials: a block (width, width) for each lag.
func (e *embedding) lagged(ctx context.Context, lags []int) ([][]float64, error) {
	blocks := make([][]float64, len(lags))
	for k := range blocks {
		blocks[k] = make([]float64, e.width*e.width)
	}
	lost := (e.delays - 1) * e.interval
	var s *product.Series
	for _, t := range e.trials {
		n := t.Bins() - lost
		if n <= 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s = product.PackSeries(s, t.Data, t.Bins(), e.width)
		for k, lag := range lags {
			s.AddLagged(blocks[k], lost-lag*e.interval, lost, n)
		}
	}
	return blocks, nil
}

// ends appends what the window of delays i+1 and j+1 has at its beginning and that of i and j does not, and the reverse at its end with its sign turned in right.
func (e *embedding) ends(left, right []float64, i, j int) (l, r []float64) {
	lost := (e.delays - 1) * e.interval
	for _, t := range e.trials {
		n := t.Bins() - lost
		for q := range min(e.interval, max(0, n)) {
			gain, loss := q-e.interval, n-1-q
			left = append(left, t.row(lost-i*e.interval+gain)...)
			right = append(right, t.row(lost-j*e.interval+gain)...)
			left = append(left, t.row(lost-i*e.interval+loss)...)
			for _, v := range t.row(lost - j*e.interval + loss) {
				right = append(right, -v)
			}
		}
	}
	return left, right
}

// fromMoments decomposes by second moments: as many singular values and vectors as the criterion needs.
func (e *embedding) fromMoments(ctx context.Context, opt Options) (s []float64, u *mat.Dense, total float64, err error) {
	g, err := e.moments(ctx, opt.Threads)
	if err != nil {
		return nil, nil, 0, err
	}
	for i := range e.columns {
		total += g.At(i, i)
	}
	most := min(e.rows, e.columns)
	rank := opt.Rank
	if opt.ReducedRank || rank.Optimal || (rank.Number == 0 && rank.Threshold == 0 && rank.Explained == 0) {
		s, u, err = everything(g, e.columns)
		return s[:min(most, len(s))], u, total, err
	}
	for r := min(most, max(rank.Number, 32)); ; r = min(most, 2*r) {
		if rank.Number > 0 {
			r = min(most, rank.Number+opt.Spare)
		}
		s, u, err = leading(ctx, g, e.columns, r)
		if err != nil {
			return nil, nil, 0, err
		}
		sum := 0.0
		for _, v := range s {
			sum += v * v
		}
		last := s[len(s)-1]
		if r == most || rank.Number > 0 || last <= s[0]*max(gramFloor, rank.Floor) || (rank.Threshold > 0 && last <= rank.Threshold) || (rank.Explained > 0 && sum >= rank.Explained*total) {
			return s, u, total, nil
		}
	}
}

// everything is the whole eigendecomposition of g (n, n), as singular values of what g are the moments of.
func everything(g *product.Right, n int) ([]float64, *mat.Dense, error) {
	whole := make([]float64, n*n)
	for i := range n {
		g.Row(whole[i*n:i*n+n], i)
	}
	values, v, ok := symmetric.Decompose(whole, n)
	if !ok {
		return nil, nil, fmt.Errorf("%w: the eigenvalues of %d x %d second moments did not converge", ErrData, n, n)
	}
	u := mat.NewDense(n, n, nil)
	s := make([]float64, n)
	for k := range n {
		s[k] = math.Sqrt(max(0, values[n-1-k]))
		u.SetCol(k, v[(n-1-k)*n:(n-k)*n])
	}
	return s, u, nil
}

// The block Krylov method: the width of a block, and the residual, as a share of the largest and of the last wanted eigenvalue, that counts as converged.
const (
	krylovBlock   = 8
	residualFirst = 1e-14
	residualLast  = 1e-8
)

// leading finds the r largest eigenvalues of g (n, n) by block Lanczos with full reorthogonalisation (Golub & Underwood 1977; Saad 2011, 6.5), as singular values,
// with their vectors. The first block is the same each time. Where the space would come near the whole, the whole is decomposed.
func leading(ctx context.Context, g *product.Right, n, r int) ([]float64, *mat.Dense, error) {
	if n <= 200 || 3*r+4*krylovBlock > n {
		s, u, err := everything(g, n)
		if err != nil {
			return nil, nil, err
		}
		return s[:r], mat.DenseCopyOf(u.Slice(0, n, 0, r)), nil
	}
	const b = krylovBlock
	limit := n / 2 / b * b
	// About where recordings of a few hundred dimensions converge; a look costs as much as several blocks.
	check := max(4*r, 4*b)
	// Basis vectors are rows of q, their images rows of gq.
	q, gq := make([]float64, 0, min(limit, check+2*b)*n), make([]float64, 0, min(limit, check+2*b)*n)
	var w product.Workspace
	next := make([]float64, b*n)
	// Quasi-random, so that no eigenvector is orthogonal to it.
	x := uint64(0x9e3779b97f4a7c15)
	for i := range next {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		next[i] = float64(int64(x)) / (1 << 63)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		k := len(q) / n
		added := orthonormal(&w, q, next, n)
		q = append(q, next[:added*n]...)
		image := make([]float64, added*n)
		w.MulRight(image, added, product.Operand{Data: q[k*n:], Stride: n}, g)
		gq = append(gq, image...)
		k += added
		if k >= check || added < b || k >= limit {
			s, u, converged, err := ritz(&w, q, gq, n, k, r)
			if err != nil {
				return nil, nil, err
			}
			if converged {
				return s, u, nil
			}
			if added < b || k >= limit {
				break
			}
			check = k + k/8
		}
		next = image
	}
	s, u, err := everything(g, n)
	if err != nil {
		return nil, nil, err
	}
	return s[:r], mat.DenseCopyOf(u.Slice(0, n, 0, r)), nil
}

// orthonormal makes rows of next orthonormal and orthogonal to those of q, by classical Gram-Schmidt against q and modified within; rows of which nothing is left are dropped. It returns how
// many there are. Most of what next has in the space of q it has in the last two blocks: when that is gone, one pass over all is enough, but where it takes away much ("twice is enough",
// Parlett 1980).
func orthonormal(w *product.Workspace, q, next []float64, n int) int {
	k, b := len(q)/n, len(next)/n
	norms := func() []float64 {
		out := make([]float64, b)
		for i := range b {
			out[i] = math.Sqrt(dot(next[i*n:i*n+n], next[i*n:i*n+n]))
		}
		return out
	}
	before := norms()
	if k > 0 {
		inner, back := make([]float64, b*k), make([]float64, b*n)
		pass := func(from int) {
			m := k - from
			w.Mul(inner[:b*m], b, m, n, product.Operand{Data: next, Stride: n}, product.Operand{Data: q[from*n:], Stride: n, T: true})
			w.Mul(back, b, n, m, product.Operand{Data: inner, Stride: m}, product.Operand{Data: q[from*n:], Stride: n})
			axpy(-1, back, next)
		}
		pass(max(0, k-2*krylovBlock))
		for range 2 {
			was := norms()
			pass(0)
			enough := true
			for i, v := range norms() {
				enough = enough && v > 0.7*was[i]
			}
			if enough {
				break
			}
		}
	}
	kept := 0
	for i := range b {
		row := next[i*n : i*n+n]
		for range 2 {
			for j := range kept {
				other := next[j*n : j*n+n]
				axpy(-dot(row, other), other, row)
			}
		}
		norm := math.Sqrt(dot(row, row))
		if norm <= 1e-12*before[i] {
			continue
		}
		to := next[kept*n : kept*n+n]
		for j, v := range row {
			to[j] = v / norm
		}
		kept++
	}
	return kept
}

// ritz finds the best approximations within the space of q's k rows, and whether they are good.
func ritz(w *product.Workspace, q, gq []float64, n, k, r int) ([]float64, *mat.Dense, bool, error) {
	if k < r {
		return nil, nil, false, nil
	}
	t := make([]float64, k*k)
	w.Mul(t, k, k, n, product.Operand{Data: q, Stride: n}, product.Operand{Data: gq, Stride: n, T: true})
	values, v, ok := symmetric.Decompose(t, k)
	if !ok {
		return nil, nil, false, fmt.Errorf("%w: the eigenvalues of %d x %d second moments did not converge", ErrData, n, n)
	}
	slices.Reverse(values)
	pick := make([]float64, k*r)
	for j := range r {
		for i, x := range v[(k-1-j)*k : (k-j)*k] {
			pick[i*r+j] = x
		}
	}
	u, gu := make([]float64, n*r), make([]float64, n*r)
	w.Mul(u, n, r, k, product.Operand{Data: q, Stride: n, T: true}, product.Operand{Data: pick, Stride: r})
	w.Mul(gu, n, r, k, product.Operand{Data: gq, Stride: n, T: true}, product.Operand{Data: pick, Stride: r})
	worst := 0.0
	for j := range r {
		sum := 0.0
		for i := range n {
			d := gu[i*r+j] - values[j]*u[i*r+j]
			sum += d * d
		}
		worst = max(worst, sum)
	}
	s := make([]float64, r)
	for j := range s {
		s[j] = math.Sqrt(max(0, values[j]))
	}
	return s, mat.NewDense(n, r, u), math.Sqrt(worst) <= max(residualFirst*values[0], residualLast*values[r-1]), nil
}
