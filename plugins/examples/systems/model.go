package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

type knownParams struct {
	System      string  `param:"system" default:"lorenz" choices:"led-ring,lorenz,ring,roessler" doc:"the system: Lorenz's, Roessler's, a ring that turns by itself, or the same ring led by another that is not seen"`
	Coordinates string  `param:"coordinates" default:"rotated" choices:"own,rotated,sheared" doc:"what the latents are: the system's own coordinates, these after a rotation that the seed draws, or after a linear map that also stretches, by up to 3"`
	Noise       float64 `param:"noise" default:"0" min:"0" doc:"standard deviation, after a second, of noise on each latent, in the system's own coordinates; 0 for none"`
	BinWidth    float64 `param:"bin_width" default:"0.01" above:"0" max:"10" unit:"s" doc:"width of a bin, of a task that does not say"`
	Substeps    int     `param:"substeps" default:"4" min:"1" max:"1000" doc:"Runge-Kutta steps in a bin"`
}

// system is a known system as a model. Its weights are the coordinates that it is seen in: its own, until training changes them to those that were asked for.
//
// The first inputs of any task are the pulse that puts it somewhere; its outputs are the first latents.
type system struct {
	stepper
	noise           float64
	inputs, outputs int
	// asked are the coordinates that training changes to.
	asked *mat.Dense

	mu sync.RWMutex
	// to (latents, latents) maps the system's own latents to those that are seen, back the other way.
	to, back *mat.Dense
}

func known() model.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Model, Short: "known-system"}, Version: "1.0.0", Doc: "A dynamical system that is known exactly, in coordinates of your choice.",
		Source:       "Lorenz 1963; Roessler 1976; Galgali, Sahani & Mante 2023",
		Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics, component.Deterministic},
	}
	return model.New(info, func(_ knownParams, t model.Target) []param.Problem {
		switch {
		case t.Data != nil:
			return []param.Problem{{Message: "a known system is not fitted to spikes", Hint: "use it in train"}}
		case t.Task != nil && t.Task.Inputs < 1:
			return []param.Problem{{Message: "a task with inputs is needed, such as task/free-run: its first ones put the system somewhere"}}
		case t.Task != nil && t.Task.Loop != nil:
			return []param.Problem{{Message: "a known system acts on nothing: a task in an open loop is needed, such as task/free-run"}}
		}
		return nil
	}, open)
}

func open(_ context.Context, p knownParams, env component.Env, target model.Target) (model.Model, error) {
	if target.Task == nil {
		return nil, component.Invalid("target", "a task is needed: a known system runs on one")
	}
	f, ok := fields()[p.System]
	if !ok {
		return nil, component.Invalid("system", "%q is not allowed: one of %v", p.System, systems())
	}
	s := &system{stepper: stepper{f, p.BinWidth, p.Substeps}, noise: p.Noise, inputs: target.Task.Inputs, outputs: target.Task.Outputs}
	if w := target.Task.BinWidth; w > 0 {
		s.dt = w
	}
	own := mat.NewDense(f.latents, f.latents, nil)
	for i := range f.latents {
		own.Set(i, i, 1)
	}
	s.asked = mat.DenseCopyOf(own)
	if p.Coordinates != "own" {
		s.asked = orthogonal(env.Seed, 0, f.latents)
	}
	if p.Coordinates == "sheared" {
		stretched := orthogonal(env.Seed, 1, f.latents)
		for i := range f.latents {
			// Factors from 1/sqrt(3) to sqrt(3).
			by := math.Pow(3, float64(i)/float64(f.latents-1)-0.5)
			for j := range f.latents {
				stretched.Set(i, j, by*stretched.At(i, j))
			}
		}
		s.asked.Mul(s.asked, stretched)
	}
	return s, s.see(own)
}

// orthogonal draws a matrix of orthonormal columns.
func orthogonal(seed, which uint64, n int) *mat.Dense {
	rng := random.New(seed, "known-system/coordinates", which)
	a := mat.NewDense(n, n, nil)
	for i := range n {
		for j := range n {
			a.Set(i, j, rng.NormFloat64())
		}
	}
	var qr mat.QR
	qr.Factorize(a)
	var q mat.Dense
	qr.QTo(&q)
	return &q
}

// see sets the coordinates.
func (s *system) see(to *mat.Dense) error {
	var back mat.Dense
	if err := back.Inverse(to); err != nil {
		return component.Invalid("coordinates.weight", "it cannot be inverted: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to, s.back = to, &back
	return nil
}

// coordinates returns both maps on the whole state, of which what is not latent stays as it is.
func (s *system) coordinates() (to, back *mat.Dense) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	whole := func(m *mat.Dense) *mat.Dense {
		out := mat.NewDense(s.size, s.size, nil)
		for i := range s.size {
			out.Set(i, i, 1)
		}
		out.Slice(0, s.latents, 0, s.latents).(*mat.Dense).Copy(m)
		return out
	}
	return whole(s.to), whole(s.back)
}

// Train changes the coordinates to those that were asked for. Nothing is learned.
func (s *system) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if req.Task == nil {
		return model.TrainResult{}, component.Invalid("task", "is missing: a known system runs on one")
	}
	if err := ctx.Err(); err != nil {
		return model.TrainResult{}, err
	}
	if err := s.see(s.asked); err != nil {
		return model.TrainResult{}, err
	}
	report.Progress(component.Progress{Phase: "train", Done: 1, Total: 1, Loss: math.NaN()})
	return model.TrainResult{Steps: 1, Epochs: 1, BestLoss: math.NaN(), LastLoss: math.NaN(), Stopped: "epochs"}, nil
}

func (s *system) Save(context.Context) (tensor.Set, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	values := make([]float64, 0, s.latents*s.latents)
	for i := range s.latents {
		values = append(values, s.to.RawRowView(i)...)
	}
	return tensor.Set{tensor.From64("coordinates.weight", values, s.latents, s.latents)}, nil
}

func (s *system) Load(_ context.Context, weights tensor.Set) error {
	w := weights.Get("coordinates.weight")
	if w == nil || len(weights) != 1 {
		return component.Invalid("weights", "%v are not allowed: coordinates.weight alone is needed", weights.Names())
	}
	if err := errors.Join(w.Expect(s.latents, s.latents), w.CheckFinite()); err != nil {
		return component.Invalid("coordinates.weight", "%v", err)
	}
	return s.see(mat.NewDense(s.latents, s.latents, append([]float64(nil), w.Float64s()...)))
}

// Rollout runs the system from where the first bin's pulse puts it. Noise is drawn for each trial by its number, so a trial is the same whatever others there are.
func (s *system) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	if req.Task != nil {
		return tensor.Fail(fmt.Errorf("%w: a rollout in a closed loop", component.ErrUnsupported))
	}
	if req.Samples != 0 {
		return tensor.Fail(component.Invalid("samples", "%d is not allowed: a known system has no posterior to sample", req.Samples))
	}
	want := req.Want
	if len(want) == 0 {
		want = []string{model.Latents, model.Outputs}
	}
	to, _ := s.coordinates()
	return tensor.Map(ctx, trials, 1, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		u := b.Arrays.Get(model.Inputs)
		if u == nil {
			return b, component.Invalid(model.Inputs, "are missing")
		}
		if err := u.Expect(len(b.Trials), -1, s.inputs); err != nil {
			return b, component.Invalid(model.Inputs, "%v", err)
		}
		bins := u.Shape[1]
		out := map[string]*tensor.Tensor{
			model.Latents: tensor.New32(model.Latents, len(b.Trials), bins, s.latents), model.State: tensor.New32(model.State, len(b.Trials), bins, s.size),
			model.Outputs: tensor.New32(model.Outputs, len(b.Trials), bins, s.outputs),
		}
		inputs := u.Float64s()
		x, seen := make([]float64, s.size), mat.NewVecDense(s.size, nil)
		for i, k := range b.Trials {
			rng := random.New(req.Seed, "known-system/noise", uint64(k))
			copy(x, s.start)
			for t := range bins {
				row := i*bins + t
				s.push(x, inputs[row*s.inputs:(row+1)*s.inputs])
				s.advance(x, nil)
				if req.Noise && s.noise > 0 {
					for l := range s.latents {
						x[l] += s.noise * math.Sqrt(s.dt) * rng.NormFloat64()
					}
				}
				seen.MulVec(to, mat.NewVecDense(s.size, x))
				for l := range s.size {
					v := float32(seen.AtVec(l))
					out[model.State].F32[row*s.size+l] = v
					if l < s.latents {
						out[model.Latents].F32[row*s.latents+l] = v
					}
					if l < min(s.latents, s.outputs) {
						out[model.Outputs].F32[row*s.outputs+l] = v
					}
				}
			}
		}
		block := tensor.Block{Trials: b.Trials}
		for _, name := range want {
			t, ok := out[name]
			if !ok {
				return b, component.Invalid("want", "%q is not allowed: latents, state or outputs", name)
			}
			block.Arrays = append(block.Arrays, t)
		}
		return block, nil
	})
}

// push moves a state, in the system's own coordinates, by an input.
func (s *system) push(x, input []float64) {
	for i := range x {
		for c, v := range input[:min(len(input), places)] {
			x[i] += s.spread[i*places+c] * v
		}
	}
}

// pushes is the derivative of push by the input: (size, inputs).
func (s *system) pushes() *mat.Dense {
	out := mat.NewDense(s.size, s.inputs, nil)
	for i := range s.size {
		for c := range min(s.inputs, places) {
			out.Set(i, c, s.spread[i*places+c])
		}
	}
	return out
}

func (s *system) Dynamics(context.Context) (model.Dynamics, error) {
	to, back := s.coordinates()
	return dynamics{s, to, back}, nil
}

// dynamics is the step in the coordinates that are seen.
type dynamics struct {
	*system
	to, back *mat.Dense
}

func (d dynamics) Layout(context.Context) (model.Layout, error) {
	l := model.Layout{
		Size: d.size, Inputs: d.inputs, Segments: []model.Segment{{Name: "latents", Size: d.latents}},
		Observable: map[string]int{model.Latents: d.latents, model.Outputs: d.outputs}, BinWidth: d.dt, Float64: true,
	}
	if d.size > d.latents {
		l.Segments = append(l.Segments, model.Segment{Name: "unseen", Size: d.size - d.latents})
	}
	return l, nil
}

func (d dynamics) InitialState(context.Context, tensor.Block) (*tensor.Tensor, error) {
	x := mat.NewVecDense(d.size, nil)
	x.MulVec(d.to, mat.NewVecDense(d.size, append([]float64(nil), d.start...)))
	return tensor.From64(model.State, x.RawVector().Data, 1, d.size), nil
}

func (d dynamics) Observe(_ context.Context, state *tensor.Tensor, role string) (*tensor.Tensor, error) {
	if err := state.Expect(-1, d.size); err != nil {
		return nil, component.Invalid("state", "%v", err)
	}
	rows := state.Rows()
	switch role {
	case model.Outputs, model.Latents:
		width := d.latents
		if role == model.Outputs {
			width = d.outputs
		}
		out := tensor.New64(role, rows, width)
		for b := range rows {
			copy(out.F64[b*width:(b+1)*width], state.Float64s()[b*d.size:][:d.latents])
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: observing %q", component.ErrUnsupported, role)
}

// each steps every state, with the derivative by the state and by the input where derivatives are wanted.
func (d dynamics) each(state, input *tensor.Tensor, derivatives bool, with func(b int, x []float64, dState, dInput *mat.Dense)) error {
	if err := state.Expect(-1, d.size); err != nil {
		return component.Invalid("state", "%v", err)
	}
	if err := input.Expect(state.Rows(), d.inputs); err != nil {
		return component.Invalid("input", "%v", err)
	}
	states, inputs := state.Float64s(), input.Float64s()
	x, next := mat.NewVecDense(d.size, nil), mat.NewVecDense(d.size, nil)
	for b := range state.Rows() {
		x.MulVec(d.back, mat.NewVecDense(d.size, append([]float64(nil), states[b*d.size:(b+1)*d.size]...)))
		d.push(x.RawVector().Data, inputs[b*d.inputs:(b+1)*d.inputs])
		var m []float64
		if derivatives {
			m = make([]float64, d.size*d.size)
			for i := range d.size {
				m[i*d.size+i] = 1
			}
		}
		d.advance(x.RawVector().Data, m)
		next.MulVec(d.to, x)
		var dState, dInput mat.Dense
		if derivatives {
			var own mat.Dense
			own.Mul(d.to, mat.NewDense(d.size, d.size, m))
			dState.Mul(&own, d.back)
			dInput.Mul(&own, d.pushes())
		}
		with(b, next.RawVector().Data, &dState, &dInput)
	}
	return nil
}

func (d dynamics) Step(_ context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	out := tensor.New64(model.State, state.Rows(), d.size)
	return out, d.each(state, input, false, func(b int, x []float64, _, _ *mat.Dense) { copy(out.F64[b*d.size:], x) })
}

func (d dynamics) Jacobians(_ context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	dState, dInput = tensor.New64("d_state", state.Rows(), d.size, d.size), tensor.New64("d_input", state.Rows(), d.size, d.inputs)
	return dState, dInput, d.each(state, input, true, func(b int, _ []float64, js, ji *mat.Dense) {
		copy(dState.F64[b*d.size*d.size:], js.RawMatrix().Data)
		copy(dInput.F64[b*d.size*d.inputs:], ji.RawMatrix().Data)
	})
}

func (d dynamics) JVP(_ context.Context, state, input, vState, vInput *tensor.Tensor) (*tensor.Tensor, error) {
	out := tensor.New64(model.State, state.Rows(), d.size)
	if err := vState.Expect(state.Rows(), d.size); err != nil {
		return nil, component.Invalid("d_state", "%v", err)
	}
	if vInput != nil {
		if err := vInput.Expect(state.Rows(), d.inputs); err != nil {
			return nil, component.Invalid("d_input", "%v", err)
		}
	}
	return out, d.each(state, input, true, func(b int, _ []float64, js, ji *mat.Dense) {
		to := mat.NewVecDense(d.size, out.F64[b*d.size:(b+1)*d.size])
		to.MulVec(js, row(vState, b))
		if vInput != nil {
			var more mat.VecDense
			more.MulVec(ji, row(vInput, b))
			to.AddVec(to, &more)
		}
	})
}

func (d dynamics) VJP(_ context.Context, state, input, cotangent *tensor.Tensor) (cState, cInput *tensor.Tensor, err error) {
	cState, cInput = tensor.New64("d_state", state.Rows(), d.size), tensor.New64("d_input", state.Rows(), d.inputs)
	if err := cotangent.Expect(state.Rows(), d.size); err != nil {
		return nil, nil, component.Invalid("cotangent", "%v", err)
	}
	return cState, cInput, d.each(state, input, true, func(b int, _ []float64, js, ji *mat.Dense) {
		mat.NewVecDense(d.size, cState.F64[b*d.size:(b+1)*d.size]).MulVec(js.T(), row(cotangent, b))
		mat.NewVecDense(d.inputs, cInput.F64[b*d.inputs:(b+1)*d.inputs]).MulVec(ji.T(), row(cotangent, b))
	})
}

// row is a copy of a row.
func row(t *tensor.Tensor, b int) *mat.VecDense {
	values := append([]float64(nil), t.Slice(b, b+1).Float64s()...)
	return mat.NewVecDense(len(values), values)
}

func angle(i, of int) string { return strconv.Itoa(360*i/of) + " degrees" }
