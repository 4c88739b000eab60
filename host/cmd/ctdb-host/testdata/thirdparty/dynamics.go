package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type dynamics struct{ *network }

func (n *network) dynamics() model.Dynamics { return dynamics{n} }

func (d dynamics) Layout(context.Context) (model.Layout, error) {
	return model.Layout{
		Size: d.Units, Inputs: d.in, Segments: []model.Segment{{Name: "reservoir", Size: d.Units}},
		Observable: map[string]int{model.Latents: d.Units, model.Outputs: d.out}, Float64: true,
	}, nil
}

func (d dynamics) InitialState(context.Context, tensor.Block) (*tensor.Tensor, error) {
	return tensor.New64(model.State, 1, d.Units), nil
}

func (d dynamics) Step(_ context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	if err := errors.Join(state.Expect(-1, d.Units), input.Expect(state.Rows(), d.in)); err != nil {
		return nil, err
	}
	out := tensor.New64(model.State, state.Rows(), d.Units)
	for b := range state.Rows() {
		d.step(row(state, b), row(input, b), row(out, b))
	}
	return out, nil
}

func row(t *tensor.Tensor, b int) []float64 { return t.Slice(b, b+1).Float64s() }

func (d dynamics) Observe(_ context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	switch role {
	case model.Latents:
		return state.Named(role), nil
	case model.Outputs:
		out := tensor.New64(role, state.Rows(), d.out)
		for b := range state.Rows() {
			for i := range d.out {
				for j, v := range row(state, b) {
					out.F64[b*d.out+i] += d.r.At(i, j) * v
				}
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: observing %q", component.ErrUnsupported, role)
}

func (d dynamics) Jacobians(ctx context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	next, err := d.Step(ctx, state, input)
	if err != nil {
		return nil, nil, err
	}
	dState, dInput = tensor.New64("d_state", state.Rows(), d.Units, d.Units), tensor.New64("d_input", state.Rows(), d.Units, d.in)
	for b := range state.Rows() {
		for i, v := range row(next, b) {
			slope := 1 - v*v
			for j := range d.Units {
				dState.F64[(b*d.Units+i)*d.Units+j] = slope * d.w.At(i, j)
			}
			for j := range d.in {
				dInput.F64[(b*d.Units+i)*d.in+j] = slope * d.u.At(i, j)
			}
		}
	}
	return dState, dInput, nil
}

func (d dynamics) JVP(ctx context.Context, state, input, vState, vInput *tensor.Tensor) (*tensor.Tensor, error) {
	js, ji, err := d.Jacobians(ctx, state, input)
	if err != nil {
		return nil, err
	}
	out := tensor.New64(model.State, state.Rows(), d.Units)
	for b := range state.Rows() {
		for i := range d.Units {
			for j, v := range row(vState, b) {
				out.F64[b*d.Units+i] += js.F64[(b*d.Units+i)*d.Units+j] * v
			}
			if vInput == nil {
				continue
			}
			for j, v := range row(vInput, b) {
				out.F64[b*d.Units+i] += ji.F64[(b*d.Units+i)*d.in+j] * v
			}
		}
	}
	return out, nil
}

func (d dynamics) VJP(ctx context.Context, state, input, cotangent *tensor.Tensor) (cState, cInput *tensor.Tensor, err error) {
	js, ji, err := d.Jacobians(ctx, state, input)
	if err != nil {
		return nil, nil, err
	}
	cState, cInput = tensor.New64("d_state", state.Rows(), d.Units), tensor.New64("d_input", state.Rows(), d.in)
	for b := range state.Rows() {
		for i, c := range row(cotangent, b) {
			for j := range d.Units {
				cState.F64[b*d.Units+j] += js.F64[(b*d.Units+i)*d.Units+j] * c
			}
			for j := range d.in {
				cInput.F64[b*d.in+j] += ji.F64[(b*d.Units+i)*d.in+j] * c
			}
		}
	}
	return cState, cInput, nil
}
