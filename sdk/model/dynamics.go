package model

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Dynamics is a model's autonomous or driven step x_{t+1} = F(x_t, u_t), without noise, with its derivatives. B states are handled at once; arrays are
// (B, state) and (B, inputs), float64 where the model can (Layout.Float64), else float32. Methods may be called from several goroutines.
type Dynamics interface {
	// Layout says what a state is made of.
	Layout(ctx context.Context) (Layout, error)
	// InitialState returns the learned initial state (1, state), or where it is inferred from data the states for given trials (B, state): trials is then
	// a block as for Rollout, else empty.
	InitialState(ctx context.Context, trials tensor.Block) (*tensor.Tensor, error)
	// Step returns F(state, input): (B, state).
	Step(ctx context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error)
	// Observe maps states to what a model shows: Latents, Rates or Outputs: (B, width).
	Observe(ctx context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error)
	// JVP returns J_state dState + J_input dInput: (B, state). dInput may be nil.
	JVP(ctx context.Context, state, input, dState, dInput *tensor.Tensor) (*tensor.Tensor, error)
	// VJP returns the cotangents J_state^T c (B, state) and J_input^T c (B, inputs).
	VJP(ctx context.Context, state, input, cotangent *tensor.Tensor) (dState, dInput *tensor.Tensor, err error)
	// Jacobians returns dF/dstate (B, state, state), element [b, i, j] = dF_i/dx_j, and dF/dinput (B, state, inputs).
	Jacobians(ctx context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error)
}

// Layout says what a state is made of: it need not be what is called latent (an LSTM's also has its cell, a delayed model its buffers).
type Layout struct {
	// Size is the width of a state, Inputs of an input.
	Size, Inputs int
	// Segments partition the state in order.
	Segments []Segment
	// Observable lists the roles that Observe offers, with their widths.
	Observable map[string]int
	// BinWidth is dt in seconds, 0 where time has no unit.
	BinWidth float64
	// Float64 is true where the model computes in double precision.
	Float64 bool
}

// Segment is a named part of a state.
type Segment struct {
	Name string
	Size int
}
