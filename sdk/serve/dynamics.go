package serve

import (
	"context"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type dynamicsServer struct {
	modelv1.UnimplementedDynamicsServiceServer
	s *Server
}

func calledDynamics(ctx context.Context) (model.Dynamics, error) {
	_, c, err := called[model.Model](ctx, notModel)
	if err != nil {
		return nil, err
	}
	return c.instance.live(ctx)
}

// Layout says what a state is made of.
func (*dynamicsServer) Layout(ctx context.Context, _ *modelv1.LayoutRequest) (*modelv1.LayoutResponse, error) {
	d, err := calledDynamics(ctx)
	if err != nil {
		return nil, err
	}
	l, err := d.Layout(ctx)
	return wire.ToLayout(l), err
}

// InitialState returns initial states.
func (*dynamicsServer) InitialState(stream modelv1.DynamicsService_InitialStateServer) error {
	ctx := stream.Context()
	d, err := calledDynamics(ctx)
	if err != nil {
		return err
	}
	trials, err := tensor.Collect(wire.Receive(frames(ctx, stream.Recv)))
	if err != nil {
		return err
	}
	state, err := d.InitialState(ctx, trials)
	if err == nil {
		err = need("initial_state", state)
	}
	if err != nil {
		return err
	}
	return wire.SendSet(tensor.Set{state}, sender(stream, func(f *tensorv1.Frame) *modelv1.InitialStateResponse {
		return &modelv1.InitialStateResponse{Frame: f}
	}))
}

// arrays reads the arrays of a request; the first must be there.
func arrays(name string, messages ...*tensorv1.Tensor) ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, len(messages))
	for i, m := range messages {
		var err error
		if out[i], err = wire.FromTensor(m); err != nil {
			return nil, err
		}
	}
	return out, need(name, out[0])
}

// Step returns the next states.
func (*dynamicsServer) Step(ctx context.Context, req *modelv1.StepRequest) (*modelv1.StepResponse, error) {
	d, err := calledDynamics(ctx)
	if err != nil {
		return nil, err
	}
	in, err := arrays("state", req.GetState(), req.GetInput())
	if err != nil {
		return nil, err
	}
	next, err := d.Step(ctx, in[0], in[1])
	if err != nil {
		return nil, err
	}
	m, err := wire.ToTensor(next)
	return &modelv1.StepResponse{State: m}, err
}

// Observe maps states to what the model shows.
func (*dynamicsServer) Observe(ctx context.Context, req *modelv1.ObserveRequest) (*modelv1.ObserveResponse, error) {
	d, err := calledDynamics(ctx)
	if err != nil {
		return nil, err
	}
	in, err := arrays("state", req.GetState())
	if err != nil {
		return nil, err
	}
	values, err := d.Observe(ctx, in[0], req.GetRole())
	if err != nil {
		return nil, err
	}
	m, err := wire.ToTensor(values)
	return &modelv1.ObserveResponse{Values: m}, err
}

// Jvp returns a tangent of the next states.
func (*dynamicsServer) Jvp(ctx context.Context, req *modelv1.JvpRequest) (*modelv1.JvpResponse, error) {
	d, err := calledDynamics(ctx)
	if err != nil {
		return nil, err
	}
	in, err := arrays("state", req.GetState(), req.GetInput(), req.GetDState(), req.GetDInput())
	if err == nil {
		err = need("d_state", in[2])
	}
	if err != nil {
		return nil, err
	}
	next, err := d.JVP(ctx, in[0], in[1], in[2], in[3])
	if err != nil {
		return nil, err
	}
	m, err := wire.ToTensor(next)
	return &modelv1.JvpResponse{DNext: m}, err
}

// Vjp returns cotangents of states and inputs.
func (*dynamicsServer) Vjp(ctx context.Context, req *modelv1.VjpRequest) (*modelv1.VjpResponse, error) {
	d, err := calledDynamics(ctx)
	if err != nil {
		return nil, err
	}
	in, err := arrays("state", req.GetState(), req.GetInput(), req.GetCotangent())
	if err == nil {
		err = need("cotangent", in[2])
	}
	if err != nil {
		return nil, err
	}
	dState, dInput, err := d.VJP(ctx, in[0], in[1], in[2])
	if err != nil {
		return nil, err
	}
	s, err := wire.ToTensor(dState)
	if err != nil {
		return nil, err
	}
	u, err := wire.ToTensor(dInput)
	return &modelv1.VjpResponse{DState: s, DInput: u}, err
}

// Jacobians returns the matrices of derivatives.
func (*dynamicsServer) Jacobians(req *modelv1.JacobiansRequest, stream modelv1.DynamicsService_JacobiansServer) error {
	ctx := stream.Context()
	d, err := calledDynamics(ctx)
	if err != nil {
		return err
	}
	in, err := arrays("state", req.GetState(), req.GetInput())
	if err != nil {
		return err
	}
	dState, dInput, err := d.Jacobians(ctx, in[0], in[1])
	if err == nil {
		err = need(wire.JacobianState, dState)
	}
	if err != nil {
		return err
	}
	set := tensor.Set{dState.Named(wire.JacobianState)}
	if dInput != nil {
		set = append(set, dInput.Named(wire.JacobianInput))
	}
	if len(in[0].Shape) == 0 || len(dState.Shape) != 3 || dState.Shape[0] != in[0].Shape[0] {
		return component.Invalid(wire.JacobianState, "shape %v for states of shape %v", dState.Shape, in[0].Shape)
	}
	return wire.SendSet(set, sender(stream, func(f *tensorv1.Frame) *modelv1.JacobiansResponse { return &modelv1.JacobiansResponse{Frame: f} }))
}
