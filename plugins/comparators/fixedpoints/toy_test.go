package fixedpoints

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// toy is a step written by hand, with its Jacobians, for one state at a time.
type toy struct {
	model.Dynamics
	size, inputs int
	dt           float64
	step         func(x, u, next []float64)
	jacobian     func(x, u, js, ju []float64)
	// steps and jacobians count rows.
	rows func(steps, jacobians int)
}

func (d toy) Layout(context.Context) (model.Layout, error) {
	return model.Layout{Size: d.size, Inputs: d.inputs, Observable: map[string]int{model.State: d.size, model.Latents: d.size}, Float64: true, BinWidth: d.dt}, nil
}

func (d toy) InitialState(context.Context, tensor.Block) (*tensor.Tensor, error) {
	return tensor.New64(model.State, 1, d.size), nil
}

func (d toy) Step(_ context.Context, x, u *tensor.Tensor) (*tensor.Tensor, error) {
	n := x.Shape[0]
	out := tensor.New64(model.State, n, d.size)
	for i := range n {
		d.step(x.F64[i*d.size:(i+1)*d.size], u.F64[i*d.inputs:(i+1)*d.inputs], out.F64[i*d.size:(i+1)*d.size])
	}
	if d.rows != nil {
		d.rows(n, 0)
	}
	return out, nil
}

func (d toy) Observe(_ context.Context, x *tensor.Tensor, role string) (*tensor.Tensor, error) {
	return x.Named(role), nil
}

func (d toy) Jacobians(_ context.Context, x, u *tensor.Tensor) (*tensor.Tensor, *tensor.Tensor, error) {
	n := x.Shape[0]
	js, ju := tensor.New64("js", n, d.size, d.size), tensor.New64("ju", n, d.size, d.inputs)
	for i := range n {
		d.jacobian(x.F64[i*d.size:(i+1)*d.size], u.F64[i*d.inputs:(i+1)*d.inputs], js.F64[i*d.size*d.size:(i+1)*d.size*d.size], ju.F64[i*d.size*d.inputs:(i+1)*d.size*d.inputs])
	}
	if d.rows != nil {
		d.rows(0, n)
	}
	return js, ju, nil
}

// tanhNet is x' = tanh(W x + b + u), where u has as many elements as x.
func tanhNet(w, b []float64) toy {
	d := len(b)
	at := func(x, u []float64, i int) float64 {
		s := b[i] + u[i]
		for k, v := range x {
			s += w[i*d+k] * v
		}
		return math.Tanh(s)
	}
	return toy{size: d, inputs: d, step: func(x, u, next []float64) {
		for i := range next {
			next[i] = at(x, u, i)
		}
	}, jacobian: func(x, u, js, ju []float64) {
		for i := range d {
			h := at(x, u, i)
			for k := range d {
				js[i*d+k] = (1 - h*h) * w[i*d+k]
			}
			ju[i*d+i] = 1 - h*h
		}
	}}
}

// linearNet is x' = A x + u.
func linearNet(a []float64, d int) toy {
	return toy{size: d, inputs: d, step: func(x, u, next []float64) {
		for i := range next {
			next[i] = u[i]
			for k, v := range x {
				next[i] += a[i*d+k] * v
			}
		}
	}, jacobian: func(_, _, js, ju []float64) {
		copy(js, a)
		for i := range d {
			ju[i*d+i] = 1
		}
	}}
}
