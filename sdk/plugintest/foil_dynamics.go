package plugintest

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Layout implements [model.Dynamics].
func (n *network) Layout(context.Context) (model.Layout, error) {
	return model.Layout{
		Size: foilLatents, Inputs: foilInputs, Segments: []model.Segment{{Name: "h", Size: foilLatents}},
		Observable: map[string]int{model.Latents: foilLatents, model.State: foilLatents}, BinWidth: 0.02, Float64: true,
	}, nil
}

// InitialState implements [model.Dynamics].
func (n *network) InitialState(context.Context, tensor.Block) (*tensor.Tensor, error) {
	return tensor.New64(model.State, 1, foilLatents), nil
}

// rows calls f for each row of states and inputs, which may be nil.
func (n *network) rows(state, input *tensor.Tensor, f func(i int, x, u []float64)) error {
	if err := state.Expect(-1, foilLatents); err != nil {
		return err
	}
	var u []float64
	if input != nil {
		if err := input.Expect(state.Shape[0], foilInputs); err != nil {
			return err
		}
		u = input.Float64s()
	}
	x := state.Float64s()
	for i := range state.Shape[0] {
		var ui []float64
		if u != nil {
			ui = u[i*foilInputs : (i+1)*foilInputs]
		}
		f(i, x[i*foilLatents:(i+1)*foilLatents], ui)
	}
	return nil
}

// Step implements [model.Dynamics].
func (n *network) Step(_ context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	out := tensor.New64(model.State, state.Rows(), foilLatents)
	return out, n.rows(state, input, func(i int, x, u []float64) { copy(out.F64[i*foilLatents:], n.step(x, u)) })
}

// Observe implements [model.Dynamics].
func (n *network) Observe(_ context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	if role != model.Latents && role != model.State {
		return nil, component.Invalid("role", "%q is not allowed: latents or state", role)
	}
	return state.Named(role), nil
}

// Jacobians implements [model.Dynamics].
func (n *network) Jacobians(_ context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	b := state.Rows()
	dState, dInput = tensor.New64("d_state", b, foilLatents, foilLatents), tensor.New64("d_input", b, foilLatents, foilInputs)
	err = n.rows(state, input, func(i int, x, u []float64) {
		for k, y := range n.step(x, u) {
			for j := range foilLatents {
				dState.F64[(i*foilLatents+k)*foilLatents+j] = (1 - y*y) * n.w[k*foilLatents+j]
			}
			for j := range foilInputs {
				dInput.F64[(i*foilLatents+k)*foilInputs+j] = (1 - y*y) * n.u[k*foilInputs+j]
			}
		}
	})
	return dState, dInput, err
}

// JVP implements [model.Dynamics].
func (n *network) JVP(ctx context.Context, state, input, dState, dInput *tensor.Tensor) (*tensor.Tensor, error) {
	js, ju, err := n.Jacobians(ctx, state, input)
	if err != nil {
		return nil, err
	}
	out := tensor.New64(model.State, state.Rows(), foilLatents)
	for k := range out.F64 {
		i := k / foilLatents
		for j, v := range dState.Slice(i, i+1).Float64s() {
			out.F64[k] += js.F64[k*foilLatents+j] * v
		}
		if dInput != nil {
			for j, v := range dInput.Slice(i, i+1).Float64s() {
				out.F64[k] += ju.F64[k*foilInputs+j] * v
			}
		}
	}
	return out, nil
}

// VJP implements [model.Dynamics].
func (n *network) VJP(ctx context.Context, state, input, cotangent *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	js, ju, err := n.Jacobians(ctx, state, input)
	if err != nil {
		return nil, nil, err
	}
	dState, dInput = tensor.New64("d_state", state.Rows(), foilLatents), tensor.New64("d_input", state.Rows(), foilInputs)
	for i := range state.Rows() {
		for k, c := range cotangent.Slice(i, i+1).Float64s() {
			for j := range foilLatents {
				dState.F64[i*foilLatents+j] += c * js.F64[(i*foilLatents+k)*foilLatents+j]
			}
			for j := range foilInputs {
				dInput.F64[i*foilInputs+j] += c * ju.F64[(i*foilLatents+k)*foilInputs+j]
			}
		}
	}
	return dState, dInput, nil
}
