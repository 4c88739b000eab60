package client

import (
	"context"
	"fmt"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// dynamics is a model's dynamics in another process. A batch that does not fit a message is split into several calls.
type dynamics struct {
	*instance
	rpc    modelv1.DynamicsServiceClient
	layout model.Layout
}

var _ model.Dynamics = (*dynamics)(nil)

func dynamicsMethods() []string {
	return []string{
		modelv1.DynamicsService_Layout_FullMethodName, modelv1.DynamicsService_InitialState_FullMethodName, modelv1.DynamicsService_Step_FullMethodName,
		modelv1.DynamicsService_Observe_FullMethodName, modelv1.DynamicsService_Jvp_FullMethodName, modelv1.DynamicsService_Vjp_FullMethodName,
		modelv1.DynamicsService_Jacobians_FullMethodName,
	}
}

// Dynamics returns the model's dynamics.
func (m *remoteModel) Dynamics(ctx context.Context) (model.Dynamics, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dynamics == nil {
		d, err := newDynamics(ctx, m.instance)
		if err != nil {
			return nil, err
		}
		m.dynamics = d
	}
	return m.dynamics, nil
}

func newDynamics(ctx context.Context, i *instance) (*dynamics, error) {
	d := &dynamics{instance: i, rpc: modelv1.NewDynamicsServiceClient(i.plugin.conn)}
	l, err := d.rpc.Layout(d.outgoing(ctx), &modelv1.LayoutRequest{})
	if err != nil {
		return nil, typed(ctx, err)
	}
	d.layout, err = wire.FromLayout(l)
	return d, err
}

// Layout says what a state is made of.
func (d *dynamics) Layout(context.Context) (model.Layout, error) { return d.layout, nil }

// InitialState returns the learned initial state, or the states inferred for trials.
func (d *dynamics) InitialState(ctx context.Context, trials tensor.Block) (*tensor.Tensor, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.rpc.InitialState(d.outgoing(inner))
	if err != nil {
		return nil, typed(ctx, err)
	}
	blocks := tensor.Of()
	if len(trials.Trials) > 0 {
		blocks = tensor.Of(trials)
	}
	p := produce(cancel, stream.Recv, func() error {
		return sendAll(blocks, func(f *tensorv1.Frame) error { return stream.Send(&modelv1.InitialStateRequest{Frame: f}) }, stream.CloseSend)
	})
	set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
	if err = p.finish(err); err != nil {
		return nil, err
	}
	if len(set) != 1 {
		return nil, component.Invalid("initial_state", "%s sent %d arrays: one is needed", d.name, len(set))
	}
	return set[0], nil
}

// rowsOf checks arrays that go out and returns the number of their rows, 0 where there are none.
func (d *dynamics) rowsOf(in []*tensor.Tensor) (int, error) {
	rows, given := 0, false
	for _, t := range in {
		if t == nil {
			continue
		}
		if err := t.Check(); err != nil {
			return 0, err
		}
		if len(t.Shape) == 0 || (given && t.Shape[0] != rows) {
			return 0, fmt.Errorf("%w: %s: %q of shape %v in a batch", tensor.ErrShape, d.name, t.Name, t.Shape)
		}
		rows, given = t.Shape[0], true
	}
	return rows, nil
}

// batch calls once for each run of rows that fits a message, and joins what comes back: as many rows as went out. The first array of an answer must be there. The
// widest row that goes or comes has the given number of elements.
func (d *dynamics) batch(ctx context.Context, width int, in []*tensor.Tensor, call func(in []*tensorv1.Tensor) ([]*tensorv1.Tensor, error)) ([]*tensor.Tensor, error) {
	rows, err := d.rowsOf(in)
	if err != nil {
		return nil, err
	}
	sized := in
	if rows > 0 && width > 0 && width <= wire.MessageBytes/8 {
		// Stands for the answer in the reckoning of sizes; a view of nothing.
		sized = append(append([]*tensor.Tensor{}, in...), &tensor.Tensor{Shape: []int{rows, width}, F64: []float64{}})
	}
	var out []*tensor.Tensor
	err = wire.ByRows(func(from, to int, _ bool) error {
		messages := make([]*tensorv1.Tensor, len(in))
		for i, t := range in {
			var err error
			if messages[i], err = wire.ToTensor(wire.Rows(t, from, to)); err != nil {
				return err
			}
		}
		answer, err := call(messages)
		if err != nil {
			return typed(ctx, err)
		}
		if out == nil {
			out = make([]*tensor.Tensor, len(answer))
		}
		for i, m := range answer {
			t, err := wire.FromTensor(m)
			if err != nil {
				return err
			}
			if out[i], err = wire.AppendUpTo(rows, out[i], t); err != nil {
				return err
			}
		}
		return nil
	}, sized...)
	switch {
	case err != nil:
		return nil, err
	case out[0] == nil:
		return nil, component.Invalid("dynamics", "%s sent no array", d.name)
	}
	return out, wire.CheckRows(rows, out...)
}

// Step returns F(state, input).
func (d *dynamics) Step(ctx context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	out, err := d.batch(ctx, 0, []*tensor.Tensor{state, input}, func(in []*tensorv1.Tensor) ([]*tensorv1.Tensor, error) {
		m, err := d.rpc.Step(d.outgoing(ctx), &modelv1.StepRequest{State: in[0], Input: in[1]})
		return []*tensorv1.Tensor{m.GetState()}, err
	})
	return first(out, err)
}

// Observe maps states to what the model shows.
func (d *dynamics) Observe(ctx context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	out, err := d.batch(ctx, d.layout.Observable[role], []*tensor.Tensor{state}, func(in []*tensorv1.Tensor) ([]*tensorv1.Tensor, error) {
		m, err := d.rpc.Observe(d.outgoing(ctx), &modelv1.ObserveRequest{State: in[0], Role: role})
		return []*tensorv1.Tensor{m.GetValues()}, err
	})
	return first(out, err)
}

// JVP returns J_state dState + J_input dInput.
func (d *dynamics) JVP(ctx context.Context, state, input, dState, dInput *tensor.Tensor) (*tensor.Tensor, error) {
	out, err := d.batch(ctx, 0, []*tensor.Tensor{state, input, dState, dInput}, func(in []*tensorv1.Tensor) ([]*tensorv1.Tensor, error) {
		m, err := d.rpc.Jvp(d.outgoing(ctx), &modelv1.JvpRequest{State: in[0], Input: in[1], DState: in[2], DInput: in[3]})
		return []*tensorv1.Tensor{m.GetDNext()}, err
	})
	return first(out, err)
}

// VJP returns J_state^T c and J_input^T c.
func (d *dynamics) VJP(ctx context.Context, state, input, cotangent *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	out, err := d.batch(ctx, d.layout.Size+d.layout.Inputs, []*tensor.Tensor{state, input, cotangent}, func(in []*tensorv1.Tensor) ([]*tensorv1.Tensor, error) {
		m, err := d.rpc.Vjp(d.outgoing(ctx), &modelv1.VjpRequest{State: in[0], Input: in[1], Cotangent: in[2]})
		return []*tensorv1.Tensor{m.GetDState(), m.GetDInput()}, err
	})
	if err != nil {
		return nil, nil, err
	}
	return out[0], out[1], nil
}

// Jacobians returns dF/dstate and dF/dinput.
func (d *dynamics) Jacobians(ctx context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	rows, err := d.rowsOf([]*tensor.Tensor{state, input})
	if err != nil {
		return nil, nil, err
	}
	err = wire.ByRows(func(from, to int, _ bool) error {
		s, err := wire.ToTensor(wire.Rows(state, from, to))
		if err != nil {
			return err
		}
		u, err := wire.ToTensor(wire.Rows(input, from, to))
		if err != nil {
			return err
		}
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := d.rpc.Jacobians(d.outgoing(inner), &modelv1.JacobiansRequest{State: s, Input: u})
		if err != nil {
			return typed(ctx, err)
		}
		set, err := wire.ReceiveSet(frames(ctx, stream.Recv))
		if err != nil {
			return err
		}
		js, ju := set.Get(wire.JacobianState), set.Get(wire.JacobianInput)
		if js == nil {
			return component.Invalid("jacobians", "%s sent no array %q", d.name, wire.JacobianState)
		}
		if dState, err = wire.AppendUpTo(rows, dState, js); err != nil {
			return err
		}
		dInput, err = wire.AppendUpTo(rows, dInput, ju)
		return err
	}, state, input)
	if err == nil {
		err = wire.CheckRows(rows, dState, dInput)
	}
	if err == nil && len(dState.Shape) != 3 {
		err = fmt.Errorf("%w: %s: %q has shape %v: (B, state, state) is needed", tensor.ErrShape, d.name, dState.Name, dState.Shape)
	}
	if err == nil && dInput != nil && len(dInput.Shape) != 3 {
		err = fmt.Errorf("%w: %s: %q has shape %v: (B, state, inputs) is needed", tensor.ErrShape, d.name, dInput.Name, dInput.Shape)
	}
	if err != nil {
		return nil, nil, err
	}
	return dState, dInput, nil
}

func first(out []*tensor.Tensor, err error) (*tensor.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return out[0], nil
}
