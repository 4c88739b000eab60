package plugintest

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// foilLatents is the number of latents, and of states, of what comparators compare; foilNeurons and foilHeldIn that of its neurons.
const (
	foilLatents = 4
	foilNeurons = 8
	foilHeldIn  = 6
)

type foilModelParams struct{}

// network is x' = tanh(W x + U u), with random weights that are its seed's.
type network struct {
	w, u []float64
}

func foilModel() model.Factory {
	return model.New(component.Info{
		Name: component.Name{Kind: component.Model, Short: "foil"}, Version: "1.0.0", Doc: "a network of tanh units with dynamics",
		Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics, component.Deterministic},
	}, nil, func(_ context.Context, _ foilModelParams, env component.Env, _ model.Target) (model.Model, error) {
		return newNetwork(env.Seed), nil
	})
}

func newNetwork(seed uint64) *network {
	r := random.New(seed, "weights")
	n := &network{w: make([]float64, foilLatents*foilLatents), u: make([]float64, foilLatents*foilInputs)}
	for i := range n.w {
		n.w[i] = 1.2 / math.Sqrt(foilLatents) * r.NormFloat64()
	}
	for i := range n.u {
		n.u[i] = 0.5 * r.NormFloat64()
	}
	return n
}

// step returns F(x, u).
func (n *network) step(x, u []float64) []float64 {
	out := make([]float64, foilLatents)
	for i := range out {
		a := 0.0
		for j, v := range x {
			a += n.w[i*foilLatents+j] * v
		}
		for j, v := range u {
			a += n.u[i*foilInputs+j] * v
		}
		out[i] = math.Tanh(a)
	}
	return out
}

// Train implements [model.Model]; the weights stay as they are.
func (n *network) Train(context.Context, model.TrainRequest, component.Reporter) (model.TrainResult, error) {
	return model.TrainResult{Stopped: "epochs", BestLoss: math.NaN(), LastLoss: math.NaN()}, nil
}

// Rollout implements [model.Model].
func (n *network) Rollout(context.Context, model.RolloutRequest, tensor.Blocks) tensor.Blocks {
	return tensor.Fail(fmt.Errorf("%w: rollouts", component.ErrUnsupported))
}

// Dynamics implements [model.Model].
func (n *network) Dynamics(context.Context) (model.Dynamics, error) { return n, nil }

// Save implements [model.Model].
func (n *network) Save(context.Context) (tensor.Set, error) {
	return tensor.Set{tensor.From64("w", n.w, foilLatents, foilLatents), tensor.From64("u", n.u, foilLatents, foilInputs)}, nil
}

// Load implements [model.Model].
func (n *network) Load(context.Context, tensor.Set) error {
	return fmt.Errorf("%w: loading", component.ErrUnsupported)
}

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

// recorded is a made-up recording: latents of a driven network, rates that are exponentials of them, and counts. It is a model's data and what comparators compare.
type recorded struct {
	block int
	// all has inputs, latents, rates and both kinds of spikes; trials are its rows.
	all tensor.Block
}

func record(block int) recorded {
	n := newNetwork(1)
	in, z := tensor.New32(task.Inputs, foilTrials, recordBins, foilInputs), tensor.New32(model.Latents, foilTrials, recordBins, foilLatents)
	rates, seen := tensor.New32(model.Rates, foilTrials, recordBins, foilNeurons), tensor.New32(model.Encoded, foilTrials, recordBins, foilHeldIn)
	spikes := tensor.New32(model.Reconstructed, foilTrials, recordBins, foilNeurons)
	b := tensor.Block{Arrays: tensor.Set{in, z, rates, seen, spikes}}
	for k := range foilTrials {
		b.Trials = append(b.Trials, int64(k))
		r := random.New(5, "recording", uint64(k))
		x := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		for t := range recordBins {
			at := k*recordBins + t
			u := make([]float64, foilInputs)
			for i := range u {
				u[i] = r.NormFloat64()
				in.F32[at*foilInputs+i] = float32(u[i])
			}
			x = n.step(x, u)
			for i, v := range x {
				z.F32[at*foilLatents+i] = float32(v)
			}
			for i := range foilNeurons {
				rate := 0.5 * math.Exp(x[i%foilLatents]-0.5*x[(i+1)%foilLatents])
				// Poisson, by products of uniform numbers (Knuth).
				count, p, end := 0, r.Float64(), math.Exp(-rate)
				for ; p > end; p *= r.Float64() {
					count++
				}
				rates.F32[at*foilNeurons+i], spikes.F32[at*foilNeurons+i] = float32(rate), float32(count)
				if i < foilHeldIn {
					seen.F32[at*foilHeldIn+i] = float32(count)
				}
			}
		}
	}
	return recorded{block, b}
}

func recordSpec() model.DataSpec {
	return model.DataSpec{
		Neurons: foilNeurons, HeldIn: foilHeldIn, Inputs: foilInputs, Bins: recordBins, BinWidth: 0.02, TrainTrials: foilTrials - foilValid, ValidTrials: foilValid,
	}
}

// split is the trials of a split with the named arrays.
func (r recorded) split(s task.Split, names ...string) tensor.Block {
	numbers := foiled{}.numbers(s)
	from, to := int(numbers[0]), int(numbers[len(numbers)-1])+1
	b := tensor.Block{Trials: numbers}
	for _, name := range names {
		b.Arrays = append(b.Arrays, r.all.Arrays.Get(name).Slice(from, to))
	}
	return b
}

// Data implements [model.DataSource].
func (r recorded) Data(_ context.Context, s task.Split) tensor.Blocks {
	return inBlocks(r.split(s, model.Encoded, model.Reconstructed, model.Inputs), r.block)
}
