// Package sae has the data-trained sequential autoencoders: a bidirectional GRU reads the spikes of the held-in neurons, its final states give the initial state
// of a recurrent cell, the decoder, which runs over the known inputs, and a linear readout gives log-rates of all neurons. Model is over any cell; sae-gru, sae-rnn, sae-lds
// and sae-node are those with a GRU, tanh units, a linear system and a neural ordinary differential equation.
//
// The weights are encoder.* (those of a bidirectional nn.GRU of one layer), ic_linear.*, decoder.cell.* as the cell declares them, and readout.*.
package sae

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// Config is what an autoencoder is made of.
type Config[F kernel.Float] struct {
	// Cell is the decoder's.
	Cell nn.Cell[F]
	// Spec of the data that it must fit.
	Spec model.DataSpec
	Env  component.Env
	// EncoderSize is the number of units of each direction. EncoderWindow is how many bins the encoder reads: 0 all, n > 0 the first n, n < 0 all but the
	// last -n.
	EncoderSize, EncoderWindow int
	// Dropout is the probability of dropping an element of the encoder's final states, and of the initial state.
	Dropout float64
	// NoStateDropout leaves the initial state without dropout.
	NoStateDropout bool
	// ShortTrialsTwice divides the loss of a trial with fewer valid bins by their number without regard to the mean over bins, which divides once more:
	// the published behaviour.
	ShortTrialsTwice bool
	// Recompute is as in nn.Unroll, of the encoder and the decoder.
	Recompute int
	// Training and Identity are as for a task-trained model.
	Training train.Config
	Identity any
}

// Model is a sequential autoencoder. Train it in float32.
type Model[F kernel.Float] struct {
	config Config[F]
	*train.Weights[F]
}

var _ model.Model = (*Model[float32])(nil)

// check reports why an autoencoder cannot fit a target, given the encoder's window.
func check(window int, target model.Target) []param.Problem {
	d := target.Data
	switch {
	case target.Task != nil:
		return []param.Problem{{Message: "a data-trained model cannot be trained on a task", Hint: "use it in fit, and a model such as noisy-gru in train"}}
	case d == nil:
		return nil
	}
	var out []param.Problem
	need := func(ok bool, path, format string, args ...any) {
		if !ok {
			out = append(out, param.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
		}
	}
	need(d.Neurons >= 1, "data.neurons", "%d is not allowed: at least 1", d.Neurons)
	need(d.HeldIn >= 1 && d.HeldIn <= d.Neurons, "data.held_in", "%d is not allowed: 1 to the %d neurons", d.HeldIn, d.Neurons)
	need(d.Inputs >= 0, "data.inputs", "%d is not allowed: at least 0", d.Inputs)
	need(d.Bins >= 1, "data.bins", "%d is not allowed: at least 1", d.Bins)
	if d.Bins >= 1 {
		n := encoded(window, d.Bins)
		need(n >= 1 && n <= d.Bins, "encoder_window", "%d is not allowed for trials of %d bins: %d to %d", window, d.Bins, 1-d.Bins, d.Bins)
	}
	return out
}

// encoded is the number of bins that the encoder reads.
func encoded(window, bins int) int {
	if window > 0 {
		return window
	}
	return bins + window
}

// New returns a model with fresh weights.
func New[F kernel.Float](c Config[F]) (*Model[F], error) {
	if problems := check(c.EncoderWindow, model.Target{Data: &c.Spec}); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	p := nn.NewParams[F](c.Env.Seed)
	if c.declare(p); p.Err() != nil {
		return nil, p.Err()
	}
	return &Model[F]{config: c, Weights: train.NewWeights(p)}, nil
}

// declare adds the model's parameters.
func (c *Config[F]) declare(p *nn.Params[F]) {
	p.Cell(kernel.CellGRU, "encoder", "_l0", c.Spec.HeldIn, c.EncoderSize)
	p.Cell(kernel.CellGRU, "encoder", "_l0_reverse", c.Spec.HeldIn, c.EncoderSize)
	p.Linear("readout", c.Cell.Units(), c.Spec.Neurons)
	p.Linear("ic_linear", 2*c.EncoderSize, c.Cell.StateSize())
	c.Cell.Declare(p, "decoder.cell", c.Spec.Inputs)
}

// encode writes the encoder down, up to the initial state.
func (c *Config[F]) encode(g *nn.Graph[F], bins int) (spikes, initial *nn.Node) {
	spikes = g.Data(model.Encoded, encoded(c.EncoderWindow, bins), c.Spec.HeldIn)
	e := g.Bidirectional(kernel.SequenceConfig{Recompute: c.Recompute}, spikes, g.CellWeights("encoder", "_l0", ""), g.CellWeights("encoder", "_l0_reverse", ""), nn.SequenceOptions{})
	initial = g.LinearOf("ic_linear", g.Dropout(e.Final(), c.Dropout, "encoder dropout"))
	if c.NoStateDropout {
		return spikes, initial
	}
	return spikes, g.Dropout(initial, c.Dropout, "initial state dropout")
}

// decode writes the rest down but for the loss.
func (c *Config[F]) decode(g *nn.Graph[F], bins int, initial *nn.Node) (inputs *nn.Node, s *nn.Sequence) {
	if c.Spec.Inputs > 0 {
		inputs = g.Data(model.Inputs, bins, c.Spec.Inputs)
	}
	return inputs, c.Cell.Unroll(g, "decoder.cell", inputs, bins, nn.Unroll{Readout: "readout", Initial: initial, Recompute: c.Recompute})
}

// network is a model in training.
type network[F kernel.Float] struct {
	config *Config[F]
	params *nn.Params[F]
}

func (n *network[F]) Params() *nn.Params[F] { return n.params }

// columns are the arrays that a block must have; training also needs the spikes of all neurons.
func (c *Config[F]) columns(bins int, training bool) []train.Column {
	out := []train.Column{{Name: model.Encoded, Shape: []int{bins, c.Spec.HeldIn}}}
	if training {
		out = append(out, train.Column{Name: model.Reconstructed, Shape: []int{bins, c.Spec.Neurons}}, train.Column{Name: model.Lengths, Integer: true, Optional: true})
	}
	if c.Spec.Inputs > 0 {
		out = append(out, train.Column{Name: model.Inputs, Shape: []int{bins, c.Spec.Inputs}})
	}
	return out
}

// Build writes the autoencoder and the mean Poisson negative log-likelihood down.
func (n *network[F]) Build(g *nn.Graph[F], d *train.Data[F]) (train.Program[F], error) {
	bins := n.config.Spec.Bins
	spikes, initial := n.config.encode(g, bins)
	inputs, s := n.config.decode(g, bins, initial)
	counts := g.Data(model.Reconstructed, bins, n.config.Spec.Neurons)
	var o nn.PoissonOptions
	if d.Has(model.Lengths) {
		o.BinMask, o.TrialWeights = g.Data("bin mask", bins), g.Data("trial weights")
	}
	loss := g.PoissonNLL(s.Outputs(), counts, o, nn.Scale{Factor: 1})
	return train.Program[F]{Losses: []*nn.Loss{loss}, Fill: func(d *train.Data[F], rows []int, _ nn.Pass) error {
		d.Gather(g.Array(spikes), model.Encoded, rows)
		d.Gather(g.Array(counts), model.Reconstructed, rows)
		if inputs != nil {
			d.Gather(g.Array(inputs), model.Inputs, rows)
		}
		if o.BinMask == nil {
			return nil
		}
		mask, weights := g.Array(o.BinMask), g.Array(o.TrialWeights)
		for i, row := range rows {
			length := d.Int(model.Lengths, row)
			if length < 1 || length > int64(bins) {
				return component.Invalid(model.Lengths, "trial %d has %d bins: 1 to %d are allowed", d.Trials[row], length, bins)
			}
			weights[i] = F(float64(bins) / float64(length))
			if n.config.ShortTrialsTwice {
				weights[i] = F(1 / float64(length))
			}
			for t := range bins {
				mask[i*bins+t] = 0
				if t < int(length) {
					mask[i*bins+t] = 1
				}
			}
		}
		return nil
	}}, nil
}

// Train is as the interface says.
func (m *Model[F]) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if req.Data == nil {
		return model.TrainResult{}, component.Invalid("data", "is missing: this model is fitted to spikes")
	}
	params, release := m.Hold()
	defer release()
	spec := m.config.Spec
	c := m.config.Training
	c.Env, c.CheckpointEvery, c.MaxTime = m.config.Env, req.CheckpointEvery, req.MaxTime
	var err error
	if c.Identity, err = train.Identity[F](m.config.Identity, spec, c.Env.Seed); err != nil {
		return model.TrainResult{}, err
	}
	load := func(ctx context.Context, split task.Split, trials int) (*train.Data[F], error) {
		return train.Load[F](ctx, req.Data.Data(ctx, split), trials, m.config.columns(spec.Bins, true)...)
	}
	source := train.Source[F]{Train: func(ctx context.Context, _ uint64) (*train.Data[F], error) {
		return load(ctx, task.Train, spec.TrainTrials)
	}}
	if spec.ValidTrials > 0 {
		source.Valid = func(ctx context.Context) (*train.Data[F], error) { return load(ctx, task.Valid, spec.ValidTrials) }
	}
	return train.Fit(ctx, &network[F]{&m.config, params}, source, c, report)
}

// initialState is the role of the initial state among the results of a rollout, for InitialState alone.
const initialState = "initial_state"

type rollout[F kernel.Float] struct {
	config *Config[F]
	params *nn.Params[F]
	want   []string
}

func (r *rollout[F]) Params() *nn.Params[F]   { return r.params }
func (r *rollout[F]) Columns() []train.Column { return r.config.columns(-1, false) }

func (r *rollout[F]) BuildRollout(g *nn.Graph[F], d *train.Data[F]) (train.RolloutProgram[F], error) {
	bins := d.Shape(model.Encoded)[0]
	if n := encoded(r.config.EncoderWindow, bins); n < 1 || n > bins {
		return train.RolloutProgram[F]{}, component.Invalid(model.Encoded, "has %d bins: too few for encoder_window %d", bins, r.config.EncoderWindow)
	}
	spikes, initial := r.config.encode(g, bins)
	var inputs *nn.Node
	var results []train.Result
	if r.want[0] == initialState {
		results = []train.Result{{Name: model.State, Node: initial}}
	} else {
		if r.config.Spec.Inputs > 0 && d.Shape(model.Inputs)[0] != bins {
			return train.RolloutProgram[F]{}, component.Invalid(model.Inputs, "has %d bins, %s has %d", d.Shape(model.Inputs)[0], model.Encoded, bins)
		}
		var s *nn.Sequence
		inputs, s = r.config.decode(g, bins, initial)
		for _, role := range r.want {
			res := train.Result{Name: role, Node: s.States(), Axes: []string{tensor.Trial, tensor.Bin, tensor.Latent}}
			switch role {
			case model.Rates:
				res = train.Result{Name: role, Node: s.Outputs(), Exp: true, Unit: "spikes/bin", Axes: []string{tensor.Trial, tensor.Bin, tensor.Neuron}}
			case model.Outputs:
				res = train.Result{Name: role, Node: s.Outputs(), Axes: []string{tensor.Trial, tensor.Bin, tensor.Neuron}}
			}
			results = append(results, res)
		}
	}
	return train.RolloutProgram[F]{Results: results, Fill: func(d *train.Data[F], rows []int, _ nn.Pass) error {
		d.Gather(g.Array(spikes), model.Encoded, rows)
		if inputs != nil {
			d.Gather(g.Array(inputs), model.Inputs, rows)
		}
		return nil
	}}, nil
}

// Rollout gives latents and rates. The state is the latent, and outputs are the log-rates: both are given where they are asked for.
func (m *Model[F]) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	if req.Task != nil {
		return tensor.Fail(fmt.Errorf("%w: a rollout in a closed loop", component.ErrUnsupported))
	}
	if req.Samples != 0 {
		return tensor.Fail(component.Invalid("samples", "%d is not allowed: this model has no posterior to sample", req.Samples))
	}
	want, err := train.Wanted(req.Want, []string{model.Latents, model.Rates, model.Outputs, model.State}, []string{model.Latents, model.Rates})
	if err != nil {
		return tensor.Fail(err)
	}
	r := &rollout[F]{config: &m.config, params: m.Snapshot(), want: want}
	return train.Rollout(ctx, r, m.config.Env.Threads, nn.Pass{Seed: req.Seed, Quiet: !req.Noise}, trials)
}

// Dynamics is the decoder's step in double precision. Its initial states are inferred: they need a block of trials.
func (m *Model[F]) Dynamics(context.Context) (model.Dynamics, error) {
	p := m.Snapshot()
	w := p.Float64()
	cell, err := m.config.Cell.Map(w, "decoder.cell", m.config.Spec.Inputs)
	if err != nil {
		return nil, err
	}
	readout := train.Readout{Weight: w["readout.weight"], Bias: w["readout.bias"], Width: m.config.Spec.Neurons, Of: nn.ReadOf(m.config.Cell)}
	rates := readout
	rates.Map = math.Exp
	return &train.CellDynamics{Cell: cell, Size: m.config.Cell.StateSize(), Units: m.config.Cell.Units(), Inputs: m.config.Spec.Inputs, BinWidth: m.config.Spec.BinWidth,
		Observed: map[string]train.Readout{model.Outputs: readout, model.Rates: rates},
		Initial: func(ctx context.Context, trials tensor.Block) (*tensor.Tensor, error) {
			if len(trials.Trials) == 0 {
				return nil, component.Invalid("trials", "are missing: this model infers initial states from trials")
			}
			r := &rollout[F]{config: &m.config, params: p, want: []string{initialState}}
			b, err := tensor.Collect(train.Rollout(ctx, r, m.config.Env.Threads, nn.Pass{Quiet: true}, tensor.Of(trials)))
			if err != nil {
				return nil, err
			}
			return tensor.From64(model.State, b.Arrays[0].Float64s(), b.Arrays[0].Shape...), nil
		}}, nil
}
