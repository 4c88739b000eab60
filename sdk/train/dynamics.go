package train

import (
	"context"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// CellDynamics is the model.Dynamics of a network whose state is that of one recurrent cell, in double precision. It holds copies of the weights: training that
// comes later does not change it. It is safe for concurrent use.
type CellDynamics struct {
	// Cell is the step.
	Cell nn.StepMap
	// Size is that of the state, whose first Units elements are the latents that readouts are of; 0 means Units. BinWidth is dt in seconds.
	Size, Units, Inputs int
	BinWidth            float64
	// Observed are the readouts of the latents by role, besides model.Latents and model.State.
	Observed map[string]Readout
	// Initial returns the initial states for a block of trials, or the learned one for an empty block.
	Initial func(ctx context.Context, trials tensor.Block) (*tensor.Tensor, error)
}

// Readout is a linear map of the latents.
type Readout struct {
	// Weight (Width, units) and Bias (Width).
	Weight, Bias []float64
	Width        int
	// Of is what the readout is of, a function of each latent; nil is the latent itself.
	Of func(float64) float64
	// Map is applied to each element of the result; nil is the identity.
	Map func(float64) float64
}

var _ model.Dynamics = (*CellDynamics)(nil)

func (d *CellDynamics) size() int { return max(d.Size, d.Units) }

// Layout has the segment "hidden", the latents, and where the state is wider "cell" for the rest.
func (d *CellDynamics) Layout(context.Context) (model.Layout, error) {
	observable := map[string]int{model.State: d.size(), model.Latents: d.Units}
	for role, r := range d.Observed {
		observable[role] = r.Width
	}
	l := model.Layout{Size: d.size(), Inputs: d.Inputs, Segments: []model.Segment{{Name: "hidden", Size: d.Units}}, Observable: observable,
		BinWidth: d.BinWidth, Float64: true}
	if rest := d.size() - d.Units; rest > 0 {
		l.Segments = append(l.Segments, model.Segment{Name: "cell", Size: rest})
	}
	return l, nil
}

// InitialState is as the interface says.
func (d *CellDynamics) InitialState(ctx context.Context, trials tensor.Block) (*tensor.Tensor, error) {
	return d.Initial(ctx, trials)
}

// arg returns the elements of an argument of n rows (n < 0: any) and the given width.
func arg(name string, t *tensor.Tensor, n, width int) ([]float64, error) {
	if t == nil {
		return nil, component.Invalid(name, "is missing: (B, %d) is needed", width)
	}
	if len(t.Shape) != 2 || t.Shape[1] != width || (n >= 0 && t.Shape[0] != n) {
		if n >= 0 {
			return nil, component.Invalid(name, "has shape %v: (%d, %d) is needed", t.Shape, n, width)
		}
		return nil, component.Invalid(name, "has shape %v: (B, %d) is needed", t.Shape, width)
	}
	if err := t.Check(); err != nil {
		return nil, component.Invalid(name, "%v", err)
	}
	return t.Float64s(), nil
}

func (d *CellDynamics) point(state, input *tensor.Tensor) (h, x []float64, n int, err error) {
	if h, err = arg("state", state, -1, d.size()); err != nil {
		return nil, nil, 0, err
	}
	n = state.Shape[0]
	if input == nil && d.Inputs == 0 {
		return h, nil, n, nil
	}
	x, err = arg("input", input, n, d.Inputs)
	return h, x, n, err
}

// Step is F(state, input).
func (d *CellDynamics) Step(_ context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	h, x, n, err := d.point(state, input)
	if err != nil {
		return nil, err
	}
	out := tensor.New64(model.State, n, d.size())
	return out, known(d.Cell.Step(x, h, out.F64))
}

// Observe maps states to what the model shows.
func (d *CellDynamics) Observe(_ context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	h, err := arg("state", state, -1, d.size())
	if err != nil {
		return nil, err
	}
	n := state.Shape[0]
	switch role {
	case model.State:
		return tensor.From64(role, slices.Clone(h), n, d.size()), nil
	case model.Latents:
		out := tensor.New64(role, n, d.Units)
		for b := range n {
			copy(out.F64[b*d.Units:(b+1)*d.Units], h[b*d.size():])
		}
		return out, nil
	}
	r, ok := d.Observed[role]
	if !ok {
		offered := []string{model.Latents, model.State}
		for name := range d.Observed {
			offered = append(offered, name)
		}
		slices.Sort(offered)
		return nil, component.Invalid("role", "%q is not allowed: one of %v", role, offered)
	}
	out := tensor.New64(role, n, r.Width)
	for b := range n {
		for o := range r.Width {
			s := 0.0
			if r.Bias != nil {
				s = r.Bias[o]
			}
			for i, v := range h[b*d.size() : b*d.size()+d.Units] {
				if r.Of != nil {
					v = r.Of(v)
				}
				s += r.Weight[o*d.Units+i] * v
			}
			if r.Map != nil {
				s = r.Map(s)
			}
			out.F64[b*r.Width+o] = s
		}
	}
	return out, nil
}

// JVP is J_state dState + J_input dInput.
func (d *CellDynamics) JVP(_ context.Context, state, input, dState, dInput *tensor.Tensor) (*tensor.Tensor, error) {
	h, x, n, err := d.point(state, input)
	if err != nil {
		return nil, err
	}
	dh, err := arg("d_state", dState, n, d.size())
	if err != nil {
		return nil, err
	}
	var dx []float64
	if dInput != nil {
		if dx, err = arg("d_input", dInput, n, d.Inputs); err != nil {
			return nil, err
		}
	}
	out := tensor.New64(model.State, n, d.size())
	return out, known(d.Cell.JVP(x, h, dx, dh, out.F64))
}

// VJP is the cotangents of state and input.
func (d *CellDynamics) VJP(_ context.Context, state, input, cotangent *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	h, x, n, err := d.point(state, input)
	if err != nil {
		return nil, nil, err
	}
	c, err := arg("cotangent", cotangent, n, d.size())
	if err != nil {
		return nil, nil, err
	}
	dState, dInput = tensor.New64("d_state", n, d.size()), tensor.New64("d_input", n, d.Inputs)
	return dState, dInput, known(d.Cell.VJP(x, h, c, dInput.F64, dState.F64))
}

// Jacobians are exact.
func (d *CellDynamics) Jacobians(_ context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	h, x, n, err := d.point(state, input)
	if err != nil {
		return nil, nil, err
	}
	dState, dInput = tensor.New64("d_state", n, d.size(), d.size()), tensor.New64("d_input", n, d.size(), d.Inputs)
	return dState, dInput, known(d.Cell.Jacobians(x, h, dInput.F64, dState.F64))
}
