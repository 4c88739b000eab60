package builtin

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestDynamics examines the dynamics of every model in every setting: they are the rollout's steps, the derivatives are those of the steps, what is observed is what the rollout gives, and saved
// weights have the same dynamics in another instance.
func TestDynamics(t *testing.T) {
	const trials, bins = 5, 8
	tk, spec := flipflop(t, 125, bins)
	data := record(125, bins)
	for _, s := range settings(t, func(s setting) model.Target { return s.target(spec, data.spec) }) {
		if !s.factory.Info.Can(component.HasDynamics) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			r := random.New(5, s.name)
			m, other := s.open(t, 1, spec, data), s.open(t, 2, spec, data)
			weights, err := m.Save(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range weights {
				for i := range w.F32 {
					w.F32[i] += float32(0.2 * r.NormFloat64())
				}
			}
			if err := errors.Join(m.Load(t.Context(), weights), other.Load(t.Context(), weights)); err != nil {
				t.Fatal(err)
			}
			block := data.valid
			if !s.onData() {
				if block, err = tensor.Collect(tk.Trials(t.Context(), task.TrialRequest{Split: task.Valid})); err != nil {
					t.Fatal(err)
				}
			}
			if block, err = first(cut(block, trials)); err != nil {
				t.Fatal(err)
			}
			e := examined{T: t, setting: s, d: dynamics(t, m)}
			if e.layout, err = e.d.Layout(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.steps(m, block)
			state, input := e.random(r, model.State, trials, e.layout.Size), e.random(r, task.Inputs, trials, e.layout.Inputs)
			e.derivatives(r, state, input)
			e.same(dynamics(t, other), state, input)
		})
	}
}

func first(blocks tensor.Blocks) (tensor.Block, error) {
	for b, err := range blocks {
		return b, err
	}
	return tensor.Block{}, errors.New("no block")
}

func (s setting) open(t *testing.T, seed uint64, spec task.Spec, data recording) model.Model {
	t.Helper()
	m, err := s.factory.Open(t.Context(), s.values, component.Env{Seed: seed, Threads: 2}, s.target(spec, data.spec))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func dynamics(t *testing.T, m model.Model) model.Dynamics {
	t.Helper()
	d, err := m.Dynamics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// examined is the dynamics of a model in a setting.
type examined struct {
	*testing.T
	setting
	d      model.Dynamics
	layout model.Layout
}

func (e examined) random(r *rand.Rand, name string, rows, width int) *tensor.Tensor {
	x := tensor.New64(name, rows, width)
	for i := range x.F64 {
		x.F64[i] = r.NormFloat64()
	}
	return x
}

func (e examined) step(state, input *tensor.Tensor) *tensor.Tensor {
	e.Helper()
	next, err := e.d.Step(e.Context(), state, input)
	if err != nil {
		e.Fatal(err)
	}
	return next
}

func (e examined) observe(state *tensor.Tensor, role string) *tensor.Tensor {
	e.Helper()
	seen, err := e.d.Observe(e.Context(), state, role)
	if err != nil {
		e.Fatal(err)
	}
	if want := []int{state.Shape[0], e.layout.Observable[role]}; seen.Name != role || !slices.Equal(seen.Shape, want) {
		e.Fatalf("%s is %q of shape %v, want %v", role, seen.Name, seen.Shape, want)
	}
	return seen
}

// near reports elements that differ by more than tolerance, relative to the larger of 1 and the largest element.
func (e examined) near(what string, got, want []float64, tolerance float64) {
	e.Helper()
	if len(got) != len(want) {
		e.Fatalf("%s: %d elements, want %d", what, len(got), len(want))
	}
	scale := 1.0
	for _, w := range want {
		scale = max(scale, math.Abs(w))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance*scale) {
			e.Errorf("%s: element %d is %v, want %v", what, i, got[i], w)
			return
		}
	}
}

// steps goes from the initial states through the bins of a block as a rollout without noise does. The outputs of leaky-rnn are read before each step.
func (e examined) steps(m model.Model, block tensor.Block) {
	e.Helper()
	size := 0
	for _, s := range e.layout.Segments {
		size += s.Size
	}
	if size != e.layout.Size || !e.layout.Float64 || e.layout.Observable[model.State] != size {
		e.Fatalf("layout %+v", e.layout)
	}
	var roles []string
	for role := range e.layout.Observable {
		// The state is among what a rollout gives where it is no more than the latents.
		if role != model.State || e.layout.Size == e.layout.Observable[model.Latents] {
			roles = append(roles, role)
		}
	}
	rolled, err := tensor.Collect(m.Rollout(e.Context(), model.RolloutRequest{Want: roles}, tensor.Of(block)))
	if err != nil {
		e.Fatal(err)
	}
	state, err := e.d.InitialState(e.Context(), block)
	if err != nil {
		e.Fatal(err)
	}
	x := block.Arrays.Get(task.Inputs)
	for bin := range x.Shape[1] {
		before := state
		state = e.step(state, x.Bin(bin))
		for _, role := range roles {
			from := state
			if role == model.Outputs && strings.HasPrefix(e.name, "leaky-rnn") {
				from = before
			}
			e.near(role, e.observe(from, role).F64, rolled.Arrays.Get(role).Bin(bin).F64, 2e-5)
		}
	}
	e.near("the state", e.observe(state, model.State).F64, state.F64, 0)
	if rates := e.layout.Observable[model.Rates]; rates > 0 {
		logs := e.observe(state, model.Outputs).F64
		for i := range logs {
			logs[i] = math.Exp(logs[i])
		}
		e.near("rates", e.observe(state, model.Rates).F64, logs, 1e-12)
	}
	var invalid *component.InvalidArgumentError
	if _, err := e.d.Observe(e.Context(), state, "nothing"); !errors.As(err, &invalid) {
		e.Errorf("observing nothing: %v", err)
	}
}

// derivatives compares Jacobians with central differences of steps, and both products with the Jacobians. Rectified units have kinks: where the differences to either side are not the same,
// there is none to compare with. The steps of dopri5 are constants in its derivatives, in differences they are not: these agree to what its tolerance does to them.
func (e examined) derivatives(r *rand.Rand, state, input *tensor.Tensor) {
	e.Helper()
	js, ju, err := e.d.Jacobians(e.Context(), state, input)
	if err != nil {
		e.Fatal(err)
	}
	const h = 1e-5
	tolerance, rectified := 1e-8, strings.Contains(e.name, "node")
	if e.values["integrator"] == "dopri5" {
		tolerance = 1e-4
	}
	rows, size := state.Shape[0], e.layout.Size
	at := e.step(state, input)
	compared, kinks := 0, 0
	for _, c := range []struct {
		name     string
		x        *tensor.Tensor
		jacobian *tensor.Tensor
	}{{"state", state, js}, {"input", input, ju}} {
		width := c.x.Shape[1]
		if want := []int{rows, size, width}; !slices.Equal(c.jacobian.Shape, want) {
			e.Fatalf("the Jacobian of the %s has shape %v, want %v", c.name, c.jacobian.Shape, want)
		}
		shifted := func(i int, by float64) []float64 {
			moved := *c.x
			moved.F64 = slices.Clone(c.x.F64)
			for k := range rows {
				moved.F64[k*width+i] += by
			}
			if c.name == "state" {
				return e.step(&moved, input).F64
			}
			return e.step(state, &moved).F64
		}
		for i := range width {
			up, down := shifted(i, h), shifted(i, -h)
			for k := range rows {
				for j := range size {
					to := k*size + j
					right, left := (up[to]-at.F64[to])/h, (at.F64[to]-down[to])/h
					// The second derivative is of the order of 1.
					if rectified && math.Abs(right-left) > 100*h {
						kinks++
						continue
					}
					compared++
					if got, want := c.jacobian.F64[(k*size+j)*width+i], (right+left)/2; !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
						e.Fatalf("state %d of trial %d by %s %d: %v, by differences %v", j, k, c.name, i, got, want)
					}
				}
			}
		}
	}
	if kinks*20 > compared {
		e.Errorf("%d elements are at kinks, of %d", kinks, compared+kinks)
	}
	dState, dInput, cotangent := e.random(r, "d_state", rows, size), e.random(r, "d_input", rows, input.Shape[1]), e.random(r, "cotangent", rows, size)
	forward, err := e.d.JVP(e.Context(), state, input, dState, dInput)
	if err != nil {
		e.Fatal(err)
	}
	alone, err := e.d.JVP(e.Context(), state, input, dState, nil)
	if err != nil {
		e.Fatal(err)
	}
	backState, backInput, err := e.d.VJP(e.Context(), state, input, cotangent)
	if err != nil {
		e.Fatal(err)
	}
	ofState, ofInput := times(js, dState), times(ju, dInput)
	e.near("the product with the state's direction", alone.F64, ofState, 1e-12)
	for i := range ofState {
		ofState[i] += ofInput[i]
	}
	e.near("the product with directions", forward.F64, ofState, 1e-12)
	e.near("the cotangents of the state", backState.F64, times(transposed(js), cotangent), 1e-12)
	e.near("the cotangents of the input", backInput.F64, times(transposed(ju), cotangent), 1e-12)
}

// times is a matrix (B, m, n) times a vector (B, n) for each trial.
func times(matrix, vector *tensor.Tensor) []float64 {
	rows, m, n := matrix.Shape[0], matrix.Shape[1], matrix.Shape[2]
	out := make([]float64, rows*m)
	for i := range out {
		for j := range n {
			out[i] += matrix.F64[i*n+j] * vector.F64[i/m*n+j]
		}
	}
	return out
}

func transposed(matrix *tensor.Tensor) *tensor.Tensor {
	rows, m, n := matrix.Shape[0], matrix.Shape[1], matrix.Shape[2]
	out := tensor.New64(matrix.Name, rows, n, m)
	for k := range rows {
		for i := range m {
			for j := range n {
				out.F64[(k*n+j)*m+i] = matrix.F64[(k*m+i)*n+j]
			}
		}
	}
	return out
}

// same compares with the dynamics of another instance that has the same weights, to the bit.
func (e examined) same(d model.Dynamics, state, input *tensor.Tensor) {
	e.Helper()
	next, err := d.Step(e.Context(), state, input)
	if err != nil {
		e.Fatal(err)
	}
	e.near("a step of the same weights", next.F64, e.step(state, input).F64, 0)
	js, ju, err := d.Jacobians(e.Context(), state, input)
	if err != nil {
		e.Fatal(err)
	}
	ownState, ownInput, err := e.d.Jacobians(e.Context(), state, input)
	if err != nil {
		e.Fatal(err)
	}
	e.near("the Jacobian of the same weights", js.F64, ownState.F64, 0)
	e.near("the input's Jacobian of the same weights", ju.F64, ownInput.F64, 0)
}
