package spectra

import (
	"context"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// group is the number of trials that are stepped together. It is fixed, so that nothing depends on the number of threads.
	group = 8
	// marks is the number of times at which running estimates are kept.
	marks = 60
	// wholeJacobians bounds the states whose Jacobians are asked for in full; of wider ones only products with directions are, where these are few.
	wholeJacobians = 256
)

// drive is what a model is run along: one start for each trial and the inputs that follow.
type drive struct {
	// starts (n, state); steps of each.
	starts []float64
	steps  []int
	// input writes the input of step t of trial k.
	input func(to []float64, k, t int)
}

// exponents are the sums of ln R_ii of each trial.
type exponents struct {
	// count is the number of exponents, bins of each trial those that count, logs (n, count) their sums.
	count int
	bins  []float64
	logs  []float64
	// at are the steps of the marks, running (marks, n, count) the sums from the transient on until there.
	at      []int
	running []float64
	// finite is the number of leading exponents that are: directions may be mapped to 0.
	finite int
}

// lyapunov carries count directions along.
func lyapunov(ctx context.Context, dynamics model.Dynamics, layout model.Layout, d drive, count int, transient float64, seed uint64, threads int, progress func(done int)) (*exponents, error) {
	n, size := len(d.steps), layout.Size
	longest := slices.Max(d.steps)
	e := &exponents{count: count, bins: make([]float64, n), logs: make([]float64, n*count), finite: count}
	for i := range marks {
		if at := (i + 1) * longest / marks; at > 0 && (len(e.at) == 0 || at > e.at[len(e.at)-1]) {
			e.at = append(e.at, at)
		}
	}
	e.running = make([]float64, len(e.at)*n*count)
	first := directions(count, size, seed)
	groups := (n + group - 1) / group
	finite := make([]int, groups)
	errs := make([]error, groups)
	err := trials.InShards(ctx, threads, groups, func(_, from, to int) {
		for g := from; g < to; g++ {
			c := carrier{dynamics: dynamics, layout: layout, count: count, finite: count}
			errs[g] = c.run(ctx, d, e, g*group, min(n, (g+1)*group), first, transient, progress)
			finite[g] = c.finite
		}
	})
	if err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	e.finite = slices.Min(finite)
	return e, nil
}

// directions are orthonormal, in rows (count, size).
func directions(count, size int, seed uint64) []float64 {
	v := make([]float64, count*size)
	for i := range count {
		rng := random.New(seed, "spectra/directions", uint64(i))
		for k := range size {
			v[i*size+k] = rng.NormFloat64()
		}
	}
	orthonormalise(v, count, size, make([]float64, count))
	return v
}

// orthonormalise makes rows of v orthonormal and writes the length that each had beyond those before it: R_ii. A row that has none becomes some other direction.
func orthonormalise(v []float64, count, size int, lengths []float64) {
	for i := range count {
		row := v[i*size : (i+1)*size]
		lengths[i] = project(v, i, size)
		for axis := 0; lengths[i] == 0 && axis < size; axis++ {
			for k := range row {
				row[k] = 0
			}
			row[axis] = 1
			if project(v, i, size) > 0.1 {
				break
			}
		}
	}
}

// project takes from row i what lies along the rows before it, and makes it a unit vector. It returns its length, 0 where rounding is all that is left.
func project(v []float64, i, size int) float64 {
	row := v[i*size : (i+1)*size]
	whole := floats.Norm(row, 2)
	if !(whole > 0) {
		return 0
	}
	floats.Scale(1/whole, row)
	// Twice is enough (Parlett 1980).
	for range 2 {
		for j := range i {
			before := v[j*size : (j+1)*size]
			floats.AddScaled(row, -floats.Dot(row, before), before)
		}
	}
	left := floats.Norm(row, 2)
	if !(left > 1e-14) {
		return 0
	}
	floats.Scale(1/left, row)
	return whole * left
}

// carrier takes directions of one group of trials along.
type carrier struct {
	dynamics      model.Dynamics
	layout        model.Layout
	count, finite int
}

func (c *carrier) run(ctx context.Context, d drive, e *exponents, from, to int, first []float64, transient float64, progress func(int)) error {
	rows, size, inputs := to-from, c.layout.Size, c.layout.Inputs
	x := slices.Clone(d.starts[from*size : to*size])
	v := slices.Repeat(first, rows)
	lengths := make([]float64, c.count)
	most, begin := 0, make([]int, rows)
	for i := range rows {
		most = max(most, d.steps[from+i])
		begin[i] = int(transient * float64(d.steps[from+i]))
	}
	mark := 0
	for t := range most {
		if err := ctx.Err(); err != nil {
			return err
		}
		u := tensor.New64(model.Inputs, rows, inputs)
		for i := range rows {
			if t < d.steps[from+i] && inputs > 0 {
				d.input(u.F64[i*inputs:(i+1)*inputs], from+i, t)
			}
		}
		state := tensor.From64(model.State, x, rows, size)
		if err := c.carry(ctx, state, u, v); err != nil {
			return err
		}
		next, err := c.dynamics.Step(ctx, state, u)
		if err != nil {
			return fmt.Errorf("step: %w", err)
		}
		stepped, err := elements("step", next, rows, size)
		if err != nil {
			return err
		}
		x = slices.Clone(stepped)
		for i := range rows {
			k := from + i
			if t >= d.steps[k] {
				continue
			}
			for _, value := range x[i*size : (i+1)*size] {
				if value-value != 0 {
					return trials.Omit("the model runs out of bounds after %d bins of trial %d", t+1, k)
				}
			}
			own := v[i*c.count*size : (i+1)*c.count*size]
			if !(floats.Norm(own, 1) <= math.MaxFloat64) {
				return trials.Omit("the model's derivatives are not finite after %d bins of trial %d", t+1, k)
			}
			orthonormalise(own, c.count, size, lengths)
			if t < begin[i] {
				continue
			}
			e.bins[k]++
			for j, l := range lengths {
				if l == 0 {
					c.finite = min(c.finite, j)
					continue
				}
				e.logs[k*c.count+j] += math.Log(l)
			}
		}
		for mark < len(e.at) && e.at[mark] == t+1 {
			copy(e.running[(mark*len(d.steps)+from)*c.count:(mark*len(d.steps)+to)*c.count], e.logs[from*c.count:to*c.count])
			mark++
		}
		progress(rows)
	}
	for ; mark < len(e.at); mark++ {
		copy(e.running[(mark*len(d.steps)+from)*c.count:(mark*len(d.steps)+to)*c.count], e.logs[from*c.count:to*c.count])
	}
	return nil
}

// carry puts J v in place of each direction v.
func (c *carrier) carry(ctx context.Context, x, u *tensor.Tensor, v []float64) error {
	rows, size, inputs := x.Shape[0], c.layout.Size, c.layout.Inputs
	if size > wholeJacobians && 8*c.count <= size {
		many, driven := tensor.New64(model.State, rows*c.count, size), tensor.New64(model.Inputs, rows*c.count, inputs)
		for i := range rows * c.count {
			copy(many.F64[i*size:(i+1)*size], x.F64[i/c.count*size:])
			copy(driven.F64[i*inputs:(i+1)*inputs], u.F64[i/c.count*inputs:])
		}
		out, err := c.dynamics.JVP(ctx, many, driven, tensor.From64("d_state", slices.Clone(v), rows*c.count, size), nil)
		if err != nil {
			return fmt.Errorf("jvp: %w", err)
		}
		values, err := elements("jvp", out, rows*c.count, size)
		copy(v, values)
		return err
	}
	j, _, err := c.dynamics.Jacobians(ctx, x, u)
	if err != nil {
		return fmt.Errorf("jacobians: %w", err)
	}
	jacobians, err := elements("jacobians.state", j, rows, size, size)
	if err != nil {
		return err
	}
	next := make([]float64, c.count*size)
	for i := range rows {
		own := v[i*c.count*size : (i+1)*c.count*size]
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, blas64.General{Rows: c.count, Cols: size, Stride: size, Data: own},
			blas64.General{Rows: size, Cols: size, Stride: size, Data: jacobians[i*size*size:]}, 0, blas64.General{Rows: c.count, Cols: size, Stride: size, Data: next})
		copy(own, next)
	}
	return nil
}

// elements checks what a model returned.
func elements(path string, t *tensor.Tensor, shape ...int) ([]float64, error) {
	switch {
	case t == nil:
		return nil, component.Invalid(path, "the model returned nothing: shape %v is needed", shape)
	case t.Check() != nil:
		return nil, component.Invalid(path, "%v", t.Check())
	case !slices.Equal(t.Shape, shape):
		return nil, component.Invalid(path, "the model returned shape %v: %v is needed", t.Shape, shape)
	}
	return t.Float64s(), nil
}

// kaplanYorke is the dimension of falling exponents, NaN where their sum is not negative and there are more.
func kaplanYorke(exponents []float64, all bool) float64 {
	sum := 0.0
	for j, l := range exponents {
		if sum+l < 0 {
			return float64(j) + sum/-l
		}
		sum += l
	}
	if all {
		return float64(len(exponents))
	}
	return math.NaN()
}
