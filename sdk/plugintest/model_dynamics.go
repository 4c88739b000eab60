package plugintest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// examined is a trained model's dynamics, with states and inputs to look at them with.
type examined struct {
	model.Dynamics
	m            model.Model
	l            lesson
	layout       model.Layout
	state, input *tensor.Tensor
}

// examine trains the model and asks for its dynamics; nil where it has none.
func (s *subject) examine(ctx context.Context, v *Verdict) (*examined, error) {
	if !s.info.Can(component.HasDynamics) {
		v.Skipf("it offers no dynamics (no capability %q)", component.HasDynamics)
		return nil, nil
	}
	m, l, err := s.trained(ctx, seed, 1, 0)
	if err != nil {
		return nil, err
	}
	e := &examined{m: m, l: l}
	if e.Dynamics, err = m.Dynamics(ctx); err != nil {
		return nil, fmt.Errorf("calling Dynamics: %w", err)
	}
	if e.layout, err = e.Layout(ctx); err != nil {
		return nil, fmt.Errorf("calling Layout: %w", err)
	}
	if e.layout.Size < 1 || e.layout.Inputs < 0 {
		return nil, fmt.Errorf("the layout has states of size %d and %d inputs: at least 1 and 0 are needed", e.layout.Size, e.layout.Inputs)
	}
	const rows = 4
	r := random.New(8, "states")
	draw := func(name string, width int) *tensor.Tensor {
		t := tensor.New64(name, rows, width)
		for i := range t.F64 {
			t.F64[i] = 0.5 * r.NormFloat64()
		}
		return as(e.layout.Float64, t)
	}
	e.state, e.input = draw(model.State, e.layout.Size), draw(task.Inputs, e.layout.Inputs)
	return e, nil
}

func (e *examined) rows() int { return e.state.Shape[0] }

// double reports whether an array is as precise as the layout says.
func (e *examined) precise(v *Verdict, what string, t *tensor.Tensor) {
	if e.layout.Float64 && t.F64 == nil {
		v.Failf("%s is %s: float64 is needed, since the layout says that the model computes in double precision", what, t.DType())
	}
}

func modelDynamics(ctx context.Context, s *subject, v *Verdict) error {
	e, err := s.examine(ctx, v)
	if e == nil || err != nil {
		return err
	}
	sum := 0
	for _, g := range e.layout.Segments {
		sum += g.Size
	}
	if sum != e.layout.Size {
		v.Failf("the layout's segments %v add up to %d: they must partition the state of size %d", e.layout.Segments, sum, e.layout.Size)
	}
	if _, ok := e.layout.Observable[model.Latents]; !ok {
		v.Failf("the layout's observable roles are %v: latents are needed among them, to draw states beside trajectories", e.layout.Observable)
	}
	next, err := e.Step(ctx, e.state, e.input)
	if err != nil {
		return fmt.Errorf("calling Step: %w", err)
	}
	if next.Expect(e.rows(), e.layout.Size) != nil {
		v.Failf("Step gives shape %v: (%d, %d) is needed", next.Shape, e.rows(), e.layout.Size)
		return nil
	}
	e.precise(v, "what Step gives", next)
	if err := next.CheckFinite(); err != nil {
		v.Failf("Step: %v", err)
	}
	for i := range e.rows() {
		one, err := e.Step(ctx, e.state.Slice(i, i+1), e.input.Slice(i, i+1))
		if err != nil {
			return fmt.Errorf("calling Step of one state: %w", err)
		}
		if d := apart(one, next.Slice(i, i+1), tolerance(next)); d != "" {
			v.Failf("Step of state %d alone and among %d: %s", i, e.rows(), d)
		}
	}
	for role, width := range e.layout.Observable {
		seen, err := e.Observe(ctx, e.state, role)
		switch {
		case err != nil:
			v.Failf("Observe of %q, which the layout offers: %v", role, err)
		case seen.Expect(e.rows(), width) != nil:
			v.Failf("Observe of %q gives shape %v: (%d, %d) is needed", role, seen.Shape, e.rows(), width)
		}
	}
	x0, err := e.InitialState(ctx, e.l.trials)
	switch {
	case err != nil:
		v.Failf("InitialState for trials as a rollout takes them: %v", err)
	case x0.Expect(-1, e.layout.Size) != nil || x0.Rows() != 1 && x0.Rows() != len(e.l.trials.Trials):
		v.Failf("InitialState gives shape %v: (1, %d), or a row for each of %d trials, is needed", x0.Shape, e.layout.Size, len(e.l.trials.Trials))
	}
	wrong := func(what string, err error) {
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("%s: %s: an invalid argument is needed", what, why)
		}
	}
	_, err = e.Step(ctx, tensor.New64(model.State, 2, e.layout.Size+1), tensor.New64(task.Inputs, 2, e.layout.Inputs))
	wrong("Step of states of another size", err)
	if e.layout.Inputs > 0 {
		_, err = e.Step(ctx, tensor.New64(model.State, 2, e.layout.Size), tensor.New64(task.Inputs, 2, e.layout.Inputs+1))
		wrong("Step with inputs of another width", err)
	}
	_, err = e.Observe(ctx, e.state, "no-such-role")
	wrong("observing a role that the layout does not offer", err)
	v.Notef("states of size %d, %d inputs", e.layout.Size, e.layout.Inputs)
	return nil
}

// differences are central differences of Step by one column of states or of inputs, for each step length: (B, state).
func (e *examined) differences(ctx context.Context, of *tensor.Tensor, column int) ([][]float64, error) {
	var out [][]float64
	width := of.Shape[1]
	for _, h := range steps(e.layout.Float64) {
		var at [2]*tensor.Tensor
		var moved float64
		for side, sign := range []float64{1, -1} {
			x := of.Clone()
			for i := range e.rows() {
				k := i*width + column
				if x.F64 != nil {
					x.F64[k] += sign * h
				} else {
					x.F32[k] += float32(sign * h)
				}
			}
			state, input := e.state, e.input
			if of == e.state {
				state = x
			} else {
				input = x
			}
			var err error
			if at[side], err = e.Step(ctx, state, input); err != nil {
				return nil, err
			}
		}
		moved = 2 * h
		above, below := at[0].Float64s(), at[1].Float64s()
		d := make([]float64, len(above))
		for i := range d {
			d[i] = (above[i] - below[i]) / moved
		}
		out = append(out, d)
	}
	return out, nil
}

// maxColumns bounds the columns of a Jacobian that are compared: a state may be large.
const maxColumns = 24

// columns are some of n, evenly spread.
func columns(n int) []int {
	var out []int
	for i := range min(n, maxColumns) {
		out = append(out, i*n/min(n, maxColumns))
	}
	return out
}

func modelDerivatives(ctx context.Context, s *subject, v *Verdict) error {
	e, err := s.examine(ctx, v)
	if e == nil || err != nil {
		return err
	}
	js, ju, err := e.Jacobians(ctx, e.state, e.input)
	if err != nil {
		return fmt.Errorf("calling Jacobians: %w", err)
	}
	if js.Expect(e.rows(), e.layout.Size, e.layout.Size) != nil {
		v.Failf("the Jacobian by the state has shape %v: (%d, %d, %d) is needed", js.Shape, e.rows(), e.layout.Size, e.layout.Size)
		return nil
	}
	if e.layout.Inputs > 0 && (ju == nil || ju.Expect(e.rows(), e.layout.Size, e.layout.Inputs) != nil) {
		v.Failf("the Jacobian by the inputs is %v: (%d, %d, %d) is needed", shapeOf(ju), e.rows(), e.layout.Size, e.layout.Inputs)
		return nil
	}
	e.precise(v, "the Jacobian", js)
	limit, precision := rough, "float32"
	if e.layout.Float64 {
		limit, precision = exact, "float64"
	}
	note := ""
	for _, one := range []struct {
		name     string
		of, jac  *tensor.Tensor
		variable string
	}{{"state", e.state, js, "x"}, {"inputs", e.input, ju, "u"}} {
		width := one.of.Shape[1]
		if width == 0 {
			continue
		}
		jac := one.jac.Float64s()
		var got [][]float64
		var want [][][]float64
		some := columns(width)
		for _, j := range some {
			d, err := e.differences(ctx, one.of, j)
			if err != nil {
				return fmt.Errorf("calling Step: %w", err)
			}
			column := make([]float64, e.rows()*e.layout.Size)
			for i := range column {
				column[i] = jac[i*width+j]
			}
			got, want = append(got, column), append(want, d)
		}
		worst, k, at, d := worstOf(got, want)
		if !(worst <= limit) {
			v.Failf("dF_%d/d%s_%d of state %d is %.8g, central differences of Step give %.8g: off by %.2g of the largest entry, in %s at most %.0e is allowed",
				at%e.layout.Size, one.variable, some[k], at/e.layout.Size, got[k][at], d, worst, precision, limit)
		}
		note += fmt.Sprintf("%s %.1g, ", one.name, worst)
	}
	if !v.failed() {
		v.Notef("%s: %soff at most", precision, note)
		return e.products(ctx, js, ju, v)
	}
	return nil
}

// products compares Jvp and Vjp with products of the Jacobians.
func (e *examined) products(ctx context.Context, js, ju *tensor.Tensor, v *Verdict) error {
	r := random.New(9, "vectors")
	draw := func(like *tensor.Tensor, name string) *tensor.Tensor {
		t := like.Clone().Named(name)
		for i := range t.F64 {
			t.F64[i] = r.NormFloat64()
		}
		for i := range t.F32 {
			t.F32[i] = float32(r.NormFloat64())
		}
		return t
	}
	dx, du, c := draw(e.state, "d_state"), draw(e.input, "d_input"), draw(e.state, "cotangent")
	n, m, rows := e.layout.Size, e.layout.Inputs, e.rows()
	forward, both := make([]float64, rows*n), make([]float64, rows*n)
	backX, backU := make([]float64, rows*n), make([]float64, rows*m)
	x, u, w := dx.Float64s(), du.Float64s(), c.Float64s()
	jx := js.Float64s()
	for k := range forward {
		b := k / n
		for j := range n {
			forward[k] += jx[k*n+j] * x[b*n+j]
			backX[b*n+j] += jx[k*n+j] * w[k]
		}
		both[k] = forward[k]
		if m > 0 {
			for j, g := range ju.Float64s()[k*m : (k+1)*m] {
				both[k] += g * u[b*m+j]
				backU[b*m+j] += g * w[k]
			}
		}
	}
	limit := 1e-4
	if e.layout.Float64 {
		limit = 1e-8
	}
	same := func(what string, got *tensor.Tensor, want []float64, width int) {
		if width == 0 {
			return
		}
		if got == nil || got.Expect(rows, width) != nil {
			v.Failf("%s is %v: (%d, %d) is needed", what, shapeOf(got), rows, width)
			return
		}
		if worst, i := disagreement(got.Float64s(), want); !(worst <= limit) {
			v.Failf("%s: element %v is %.8g, the Jacobian's product %.8g", what, index(got.Shape, i), got.Float64s()[i], want[i])
		}
	}
	y, err := e.JVP(ctx, e.state, e.input, dx, du)
	if err != nil {
		return fmt.Errorf("calling Jvp: %w", err)
	}
	same("Jvp", y, both, n)
	if y, err = e.JVP(ctx, e.state, e.input, dx, nil); err != nil {
		return fmt.Errorf("calling Jvp without a change of inputs: %w", err)
	}
	same("Jvp without a change of inputs", y, forward, n)
	cx, cu, err := e.VJP(ctx, e.state, e.input, c)
	if err != nil {
		return fmt.Errorf("calling Vjp: %w", err)
	}
	same("Vjp by the state", cx, backX, n)
	same("Vjp by the inputs", cu, backU, m)
	return nil
}

func modelSteps(ctx context.Context, s *subject, v *Verdict) error {
	e, err := s.examine(ctx, v)
	if e == nil || err != nil {
		return err
	}
	x := e.l.trials.Arrays.Get(task.Inputs)
	if e.layout.Inputs > 0 && (x == nil || x.Shape[2] != e.layout.Inputs || s.info.Can(component.InfersInputs)) {
		v.Skipf("its dynamics have %d inputs, which are not those of the trials", e.layout.Inputs)
		return nil
	}
	// A model may give its whole state; where it does not, that is its latents where there is no more to it.
	want := []string{model.Latents}
	out, err := rolled(ctx, e.m, model.RolloutRequest{Want: []string{model.State, model.Latents}}, e.l.trials, 0)
	if err != nil {
		if out, err = rolled(ctx, e.m, model.RolloutRequest{Want: want}, e.l.trials, 0); err != nil {
			return err
		}
	}
	state, err := e.InitialState(ctx, e.l.trials)
	if err != nil {
		return fmt.Errorf("calling InitialState: %w", err)
	}
	rows := len(e.l.trials.Trials)
	if state.Rows() == 1 {
		state = repeated(state, rows)
	}
	for bin := range out.Arrays.Get(model.Latents).Shape[1] {
		u := as(e.layout.Float64, tensor.New64(task.Inputs, rows, 0))
		if e.layout.Inputs > 0 {
			u = as(e.layout.Float64, x.Bin(bin))
		}
		if state, err = e.Step(ctx, state, u); err != nil {
			return fmt.Errorf("calling Step in bin %d: %w", bin, err)
		}
		if whole := out.Arrays.Get(model.State); whole != nil {
			if d := near(state, whole.Bin(bin)); d != "" {
				v.Failf("bin %d: the state by Step and in the rollout: %s", bin, d)
				return nil
			}
		}
		seen, err := e.Observe(ctx, state, model.Latents)
		if err != nil {
			return fmt.Errorf("calling Observe: %w", err)
		}
		if d := near(seen, out.Arrays.Get(model.Latents).Bin(bin)); d != "" {
			v.Failf("bin %d: the latents by Step and Observe, and in the rollout: %s: InitialState is before the first bin, and latents are those after the bin's step", bin, d)
			return nil
		}
	}
	return nil
}

// repeated is a row, as often as wanted.
func repeated(t *tensor.Tensor, rows int) *tensor.Tensor {
	out := tensor.New64(t.Name, rows, t.Shape[1])
	for i := range rows {
		copy(out.F64[i*t.Shape[1]:], t.Float64s())
	}
	return as(t.F64 != nil, out)
}

// near compares what was computed in double precision step by step with a rollout in single precision.
func near(a, b *tensor.Tensor) string {
	x, y := a.Float64s(), b.Float64s()
	if !slices.Equal(a.Shape, b.Shape) {
		return fmt.Sprintf("one has shape %v, the other %v", a.Shape, b.Shape)
	}
	scale := 1.0
	for _, v := range y {
		scale = max(scale, math.Abs(v))
	}
	for i, v := range x {
		if !(math.Abs(v-y[i]) <= 1e-3*scale) {
			return fmt.Sprintf("element %v is %v in one, %v in the other", index(a.Shape, i), v, y[i])
		}
	}
	return ""
}
