package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// Options of a fit.
type Options struct {
	// Delays is the number of bins that are joined, Interval the distance between them; 0: 1.
	Delays, Interval int
	// Steps ahead that the operator goes; 0: 1.
	Steps int
	Rank  Rank
	// Ridge is added to the diagonal of the whitened rows' second moments, which are about the identity; 0: none. The published implementation has 1e-8.
	Ridge float64
	// ReducedRank regresses on all whitened coordinates with an operator of the given rank (Izenman 1975), and returns it in the coordinates of its own
	// range, so that what matters for the next bin is kept rather than what varies most. Its size is that of a default fit.
	ReducedRank bool
	// Spare coordinates beyond the rank are kept for [Model.Resample], where other draws of trials may turn the leading ones towards them.
	Spare int
	// Threads to keep busy; 0: 1. The result does not depend on it.
	Threads int
}

func (o Options) withDefaults() Options {
	for _, p := range []*int{&o.Delays, &o.Interval, &o.Steps, &o.Threads} {
		if *p == 0 {
			*p = 1
		}
	}
	return o
}

func (o Options) check() error {
	if err := checkDelays(o.Delays, o.Interval); err != nil {
		return err
	}
	if o.Steps < 1 {
		return fmt.Errorf("%w: steps %d: at least 1", ErrOption, o.Steps)
	}
	if o.Spare < 0 {
		return fmt.Errorf("%w: spare %d: at least 0", ErrOption, o.Spare)
	}
	if !(o.Ridge >= 0) || math.IsInf(o.Ridge, 0) {
		return fmt.Errorf("%w: ridge %v: at least 0", ErrOption, o.Ridge)
	}
	return o.Rank.check()
}

// Model is a fitted operator.
type Model struct {
	// A (r, r) advances whitened coordinates: z(t+steps) = A z(t). It is unique up to the signs of the coordinates.
	A *mat.Dense
	// Singular values of the embedding, descending: all of them, or as many as were needed to choose the rank.
	Singular []float64
	// Rows that were embedded, and Columns.
	Rows, Columns int
	// encode (columns, r) takes an embedded row to coordinates; decode (r, columns) takes them back.
	encode, decode *mat.Dense
	opt            Options
	width          int
	basis          *basis
	// past and cross are the second moments of all whitened rows that were kept, and those with the rows steps later.
	past, cross *mat.Dense
}

// Rank is the number of coordinates.
func (m *Model) Rank() int {
	r, _ := m.A.Dims()
	return r
}

// Operator is the operator in embedded coordinates (columns, columns): of a column vector h, h(t+steps) = Operator h(t).
func (m *Model) Operator() *mat.Dense {
	var o mat.Dense
	o.Product(m.decode.T(), m.A, m.encode.T())
	return &o
}

// Fit estimates the operator of a recording. Errors wrap [ErrData] or [ErrOption].
func Fit(ctx context.Context, trials []Trial, opt Options) (*Model, error) {
	opt = opt.withDefaults()
	if err := opt.check(); err != nil {
		return nil, err
	}
	e, err := newEmbedding("x", trials, opt)
	if err != nil {
		return nil, err
	}
	b, err := e.basis(ctx, opt)
	if err != nil {
		return nil, err
	}
	z, err := e.project(ctx, b.encode)
	if err != nil {
		return nil, err
	}
	m := &Model{Singular: b.singular, Rows: e.rows, Columns: e.columns, opt: opt, width: e.width, basis: b}
	m.past, m.cross = moments(z, len(b.kept), opt.Steps)
	return m, m.regress(b.rank)
}

// Reduce returns the operator of the same recording on fewer coordinates, which costs next to nothing: for operators that are compared, and so must have
// one size, and for sweeps over ranks.
func (m *Model) Reduce(rank int) (*Model, error) {
	if rank < 1 || rank > m.Rank() {
		return nil, fmt.Errorf("%w: rank %d: 1..%d for an operator of rank %d", ErrOption, rank, m.Rank(), m.Rank())
	}
	r := *m
	return &r, r.regress(rank)
}

// regress finds the operator of the given rank from the moments of whitened rows.
func (m *Model) regress(r int) error {
	p := r
	if m.opt.ReducedRank {
		p = len(m.basis.kept)
	}
	past, cross := m.past.Slice(0, p, 0, p), m.cross.Slice(0, p, 0, p)
	whole, err := ridge(past, cross, m.opt.Ridge)
	if err != nil {
		return err
	}
	m.encode, m.decode = mat.DenseCopyOf(m.basis.encode.Slice(0, m.Columns, 0, p)), mat.DenseCopyOf(m.basis.decode.Slice(0, p, 0, m.Columns))
	if !m.opt.ReducedRank {
		m.A = mat.DenseCopyOf(whole.T())
		return nil
	}
	// The right singular vectors P of the fitted rows V W: the best regression of rank r is W P P^T, and P^T W^T P is it in the coordinates P^T v.
	var second mat.Dense
	second.Product(whole.T(), past, whole)
	symmetric := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			symmetric.SetSym(i, j, (second.At(i, j)+second.At(j, i))/2)
		}
	}
	var es mat.EigenSym
	if !es.Factorize(symmetric, true) {
		return fmt.Errorf("%w: the directions of the reduced-rank regression were not found", ErrData)
	}
	var v mat.Dense
	es.VectorsTo(&v)
	lead := mat.NewDense(p, r, nil)
	for i := range p {
		for j := range r {
			lead.Set(i, j, v.At(i, p-1-j))
		}
	}
	var a, encode, decode mat.Dense
	a.Product(lead.T(), whole.T(), lead)
	encode.Mul(m.encode, lead)
	decode.Mul(lead.T(), m.decode)
	m.A, m.encode, m.decode = &a, &encode, &decode
	return nil
}

// embedding is a recording with what its embedded rows are; the rows themselves are made as they are needed.
type embedding struct {
	trials               []Trial
	delays, interval     int
	width, rows, columns int
	first                []int // first embedded row of each trial
}

func newEmbedding(what string, trials []Trial, opt Options) (*embedding, error) {
	width, err := check(what, trials)
	if err != nil {
		return nil, err
	}
	e := &embedding{trials: trials, delays: opt.Delays, interval: opt.Interval, width: width, columns: width * opt.Delays}
	lost := (opt.Delays - 1) * opt.Interval
	longest, pairs := 0, 0
	for _, t := range trials {
		e.first = append(e.first, e.rows)
		e.rows += max(0, t.Bins()-lost)
		pairs += max(0, t.Bins()-lost-opt.Steps)
		longest = max(longest, t.Bins())
	}
	if pairs == 0 {
		return nil, fmt.Errorf("%w: %s: the longest trial has %d bins: more than %d are needed for %d delays %d bins apart and %d steps ahead",
			ErrData, what, longest, lost+opt.Steps, opt.Delays, opt.Interval, opt.Steps)
	}
	if e.columns > maxColumns {
		return nil, fmt.Errorf("%w: %s: %d delays of %d dimensions are %d columns: at most %d", ErrOption, what, opt.Delays, width, e.columns, maxColumns)
	}
	return e, nil
}

// maxColumns bounds the embedding's width: its second moments take the square of it.
const maxColumns = 8192

// constant reports a recording whose every dimension holds one value throughout.
func (e *embedding) constant() bool {
	var first []float64
	for _, t := range e.trials {
		for i := range t.Bins() {
			if first == nil {
				first = t.row(0)
			}
			for j, v := range t.row(i) {
				if v != first[j] {
					return false
				}
			}
		}
	}
	return true
}

// block writes embedded rows [from, to) of all trials, gathered in order, to dst.
func (e *embedding) block(dst []float64, from, to int) {
	k := 0
	for r := from; r < to; r++ {
		for k+1 < len(e.first) && r >= e.first[k+1] {
			k++
		}
		embedRow(dst[(r-from)*e.columns:][:e.columns], e.trials[k], r-e.first[k], e.delays, e.interval)
	}
}

// blockRows is the number of embedded rows that are at hand at a time.
const blockRows = 256

// project writes coordinates of every row: per trial (rows, p).
func (e *embedding) project(ctx context.Context, encode *mat.Dense) ([]Trial, error) {
	_, p := encode.Dims()
	raw := encode.RawMatrix()
	z := make([]float64, e.rows*p)
	if e.width >= wideRows {
		return e.split(z, p), e.projectDelays(ctx, z, encode)
	}
	block := make([]float64, min(blockRows, e.rows)*e.columns)
	var w product.Workspace
	for from := 0; from < e.rows; from += blockRows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		to := min(from+blockRows, e.rows)
		e.block(block, from, to)
		w.Mul(z[from*p:to*p], to-from, p, e.columns, product.Operand{Data: block, Stride: e.columns}, product.Operand{Data: raw.Data, Stride: raw.Stride})
	}
	return e.split(z, p), nil
}

// wideRows is the width from which the products of single delays are worth their own.
const wideRows = 16

// projectDelays adds what each delay gives, so that embedded rows are never made.
func (e *embedding) projectDelays(ctx context.Context, z []float64, encode *mat.Dense) error {
	_, p := encode.Dims()
	raw := encode.RawMatrix()
	lost := (e.delays - 1) * e.interval
	var w product.Workspace
	for k, t := range e.trials {
		rows := t.Bins() - lost
		if rows <= 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range e.delays {
			w.Add(z[e.first[k]*p:][:rows*p], rows, p, e.width, product.Operand{Data: t.Data[(lost-i*e.interval)*e.width:], Stride: e.width},
				product.Operand{Data: raw.Data[i*e.width*raw.Stride:], Stride: raw.Stride})
		}
	}
	return nil
}

// split gives each trial its rows.
func (e *embedding) split(z []float64, p int) []Trial {
	out := make([]Trial, len(e.trials))
	for k := range out {
		to := e.rows
		if k+1 < len(e.first) {
			to = e.first[k+1]
		}
		out[k] = Trial{z[e.first[k]*p : to*p], p}
	}
	return out
}

// moments sums v^T v and v^T w over rows v and the rows w so many steps later in the same trial.
func moments(z []Trial, p, steps int) (past, cross *mat.Dense) {
	past, cross = mat.NewDense(p, p, nil), mat.NewDense(p, p, nil)
	var w product.Workspace
	for _, t := range z {
		n := t.Bins() - steps
		if n <= 0 {
			continue
		}
		now, next := t.Data[:n*p], t.Data[steps*p:]
		w.Add(past.RawMatrix().Data, p, p, n, product.Operand{Data: now, Stride: p, T: true}, product.Operand{Data: now, Stride: p})
		w.Add(cross.RawMatrix().Data, p, p, n, product.Operand{Data: now, Stride: p, T: true}, product.Operand{Data: next, Stride: p})
	}
	return past, cross
}

// ridge solves (past + lambda I) W = cross.
func ridge(past, cross mat.Matrix, lambda float64) (*mat.Dense, error) {
	p, _ := past.Dims()
	s := mat.NewSymDense(p, nil)
	for i := range p {
		for j := i; j < p; j++ {
			s.SetSym(i, j, (past.At(i, j)+past.At(j, i))/2)
		}
		s.SetSym(i, i, s.At(i, i)+lambda)
	}
	var c mat.Cholesky
	if !c.Factorize(s) || c.Cond() > 1e14 {
		return nil, fmt.Errorf("%w: the regression of %d coordinates on themselves is singular: fewer ranks, or a ridge above 0, are needed", ErrData, p)
	}
	var w mat.Dense
	if err := c.SolveTo(&w, cross); err != nil {
		return nil, fmt.Errorf("%w: the regression of %d coordinates on themselves: %w", ErrData, p, err)
	}
	return &w, nil
}
