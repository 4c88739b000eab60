// Package recurrent is the task-trained model over any recurrent cell: a learned initial state with noise, the cell, a linear readout of the state before each
// step's own noise, and the loss that the task declares, plus an optional penalty of the latents. A model is a package that brings a cell and parameters (see package
// gru).
//
// The weights are latent_ics, the learned initial state where it is learned, those of the cell as it declares them, readout.weight (O, H) and readout.bias (O).
package recurrent

import (
	"context"
	"fmt"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/link"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// Config is what a model is made of.
type Config[F kernel.Float] struct {
	Cell nn.Cell[F]
	// Prefix of the names of the cell's weights.
	Prefix string
	// FromZero starts every trial at zero, rather than at a learned state.
	FromZero bool
	// ReadoutSD is the standard deviation of the readout's normal initial weights, its bias being zero; 0 is PyTorch's nn.Linear.
	ReadoutSD float64
	// Spec of the task that it must fit.
	Spec task.Spec
	Env  component.Env
	// InitialNoise is the standard deviation of the noise on the initial state, Noise that on the state after each step.
	InitialNoise, Noise float64
	// LatentL2 weighs the mean over trials of the 2-norm of the trial's latents.
	LatentL2 float64
	// Truncate cuts the gradient through time at multiples of that many bins; 0 never.
	Truncate int
	// Recompute is as in nn.Unroll.
	Recompute int
	// Training says how to train; what is of the environment and of the request is set here.
	Training train.Config
	// Identity is everything else that a training depends on: the resolved parameters.
	Identity any
}

// Model is a task-trained model. Train it in float32.
type Model[F kernel.Float] struct {
	config Config[F]
	*train.Weights[F]
	// patience bounds a call on a closed-loop task in another process; 0, what all but a test has, is package link's.
	patience time.Duration
}

var _ model.Model = (*Model[float32])(nil)

// Check reports why a model of this kind cannot fit a target.
func Check(target model.Target) []param.Problem {
	switch {
	case target.Data != nil:
		return []param.Problem{{Message: "a task-trained model cannot be fitted to spikes", Hint: "use it in train, and a model such as sae-gru in fit"}}
	case target.Task == nil:
		return nil
	}
	problems := checkSpec(target.Task)
	if n := target.Task.TrainTrials; n < 1 {
		problems = append(problems, param.Problem{Path: "task.train_trials", Message: fmt.Sprintf("%d is not allowed: at least 1", n)})
	}
	return problems
}

// New returns a model with fresh weights.
func New[F kernel.Float](c Config[F]) (*Model[F], error) {
	if problems := append(checkSpec(&c.Spec), checkRecompute(&c.Spec, c.Recompute)...); len(problems) > 0 {
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
	if !c.FromZero {
		p.Zeros("latent_ics", c.Cell.StateSize())
	}
	c.Cell.Declare(p, c.Prefix, c.Spec.Inputs)
	if c.ReadoutSD > 0 {
		p.Normal("readout.weight", c.ReadoutSD, c.Spec.Outputs, c.Cell.Units())
		p.Zeros("readout.bias", c.Spec.Outputs)
	} else {
		p.Linear("readout", c.Cell.Units(), c.Spec.Outputs)
	}
}

// unroll writes down everything but the loss. env closes the loop; nil leaves it open.
func (c *Config[F]) unroll(g *nn.Graph[F], bins int, env nn.Environment[F]) (inputs *nn.Node, s *nn.Sequence) {
	switch {
	case env != nil:
		inputs = g.Environment(env, bins, c.Spec.Inputs, c.Spec.Loop.StateSize)
	case c.Spec.Inputs > 0:
		inputs = g.Data(task.Inputs, bins, c.Spec.Inputs)
	}
	var initial *nn.Node
	if !c.FromZero {
		initial = g.Param("latent_ics")
	}
	return inputs, c.Cell.Unroll(g, c.Prefix, inputs, bins, nn.Unroll{Readout: "readout", Initial: initial,
		Noise: nn.Noise{SD: c.Noise, Purpose: "state noise"}, InitialNoise: nn.Noise{SD: c.InitialNoise, Purpose: "initial state noise"}, Truncate: c.Truncate, Recompute: c.Recompute})
}

// Train is as the interface says.
func (m *Model[F]) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if req.Task == nil {
		return model.TrainResult{}, component.Invalid("task", "is missing: this model trains on a task")
	}
	spec, err := req.Task.Spec(ctx)
	if err != nil {
		return model.TrainResult{}, err
	}
	own := m.config.Spec
	if (spec.Loop == nil) != (own.Loop == nil) {
		return model.TrainResult{}, component.Invalid("task", "is closed-loop or not, unlike what the model was opened for")
	}
	if spec.Inputs != own.Inputs || spec.Outputs != own.Outputs || spec.Bins != own.Bins {
		return model.TrainResult{}, component.Invalid("task", "has %d inputs, %d outputs and %d bins; the model was opened for %d, %d and %d",
			spec.Inputs, spec.Outputs, spec.Bins, own.Inputs, own.Outputs, own.Bins)
	}
	if l := spec.Loop; l != nil && (l.Actions != own.Loop.Actions || l.StateSize != own.Loop.StateSize) {
		return model.TrainResult{}, component.Invalid("task", "has %d actions and a state of %d in its loop; the model was opened for %d and %d",
			l.Actions, l.StateSize, own.Loop.Actions, own.Loop.StateSize)
	}
	if problems := checkSpec(&spec); len(problems) > 0 {
		return model.TrainResult{}, &component.InvalidArgumentError{Problems: problems}
	}
	params, release := m.Hold()
	defer release()
	net := &network[F]{config: &m.config, params: params, spec: spec, ctx: ctx}
	if spec.Loop != nil {
		loop, ok := req.Task.(task.ClosedLoop)
		if !ok {
			return model.TrainResult{}, component.Invalid("task", "declares a closed loop but has no episodes")
		}
		if net.link, err = link.New(ctx, loop, spec, link.Options{Threads: m.config.Env.Threads, Patience: m.patience, Record: m.config.Training.ScoreEvery > 0}); err != nil {
			return model.TrainResult{}, err
		}
		defer net.link.Close()
	}
	if custom(spec.Loss) {
		loss, ok := req.Task.(task.CustomLoss)
		if !ok {
			return model.TrainResult{}, component.Invalid("task", "declares a custom loss but does not compute one")
		}
		net.custom = loss
	}
	c := m.config.Training
	c.Env, c.CheckpointEvery, c.MaxTime = m.config.Env, req.CheckpointEvery, req.MaxTime
	if spec.GroupBatches {
		c.Group = task.Conditions
	}
	c.Score = func(ctx context.Context, outputs tensor.Block) (task.Score, error) {
		return req.Task.Score(ctx, task.ScoreRequest{Split: task.Valid}, tensor.Of(outputs))
	}
	if c.Identity, err = train.Identity[F](m.config.Identity, spec, c.Env.Seed); err != nil {
		return model.TrainResult{}, err
	}
	if c.Env.Log != nil {
		for _, short := range spec.Loss.Short(spec.Bins, int64(c.EpochsWithin(spec.TrainTrials))) {
			c.Env.Log.Warn("the training ends before its curriculum: " + short)
		}
	}
	source := train.Source[F]{Fresh: spec.FreshNoise, Train: func(ctx context.Context, pass uint64) (*train.Data[F], error) {
		return net.load(ctx, req.Task, task.Train, pass, spec.TrainTrials)
	}}
	if spec.ValidTrials > 0 {
		source.Valid = func(ctx context.Context) (*train.Data[F], error) {
			return net.load(ctx, req.Task, task.Valid, 0, spec.ValidTrials)
		}
	}
	return train.Fit(ctx, net, source, c, report)
}

// Rollout gives latents and outputs, in a closed loop also what was seen, the actions within their bounds, what was controlled and, where nothing else is asked for, what the
// task recorded. Without a task a model of a closed-loop one runs over given inputs in an open loop. Where the state is no more than the latents it is given under its own name too where it is asked for.
func (m *Model[F]) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	spec := &m.config.Spec
	if req.Task != nil && spec.Loop == nil {
		return tensor.Fail(component.Invalid("task", "is given, but the model was opened for a task that is not closed-loop"))
	}
	if req.Samples != 0 {
		return tensor.Fail(component.Invalid("samples", "%d is not allowed: this model has no posterior to sample", req.Samples))
	}
	roles := []string{model.Latents, model.Outputs}
	if m.config.Cell.StateSize() == m.config.Cell.Units() {
		roles = append(roles, model.State)
	}
	usual := []string{model.Latents, model.Outputs}
	if req.Task != nil {
		usual = append(usual, model.SeenInputs, model.Actions, task.Controlled)
		roles = append(roles, usual[2:]...)
	}
	want, err := train.Wanted(req.Want, roles, usual)
	if err != nil {
		return tensor.Fail(err)
	}
	r := &rollout[F]{config: &m.config, params: m.Snapshot(), want: want, split: req.Split, pass: req.Pass}
	pass := nn.Pass{Seed: req.Seed, Quiet: !req.Noise}
	if req.Task == nil {
		return train.Rollout(ctx, r, m.config.Env.Threads, pass, trials)
	}
	l, err := link.New(ctx, req.Task, *spec, link.Options{Threads: m.config.Env.Threads, Patience: m.patience, Record: len(req.Want) == 0})
	if err != nil {
		return tensor.Fail(err)
	}
	r.link = l
	return func(yield func(tensor.Block, error) bool) {
		defer l.Close()
		train.Rollout(ctx, r, m.config.Env.Threads, pass, trials)(yield)
	}
}

type rollout[F kernel.Float] struct {
	config *Config[F]
	params *nn.Params[F]
	want   []string
	link   *link.Link // nil in an open loop
	split  task.Split
	pass   uint64
}

// Link is the loop's.
func (r *rollout[F]) Link() *link.Link { return r.link }

func (r *rollout[F]) Params() *nn.Params[F] { return r.params }

func (r *rollout[F]) Columns() []train.Column {
	if r.link != nil {
		return nil // they come from the episodes
	}
	return []train.Column{{Name: task.Inputs, Shape: []int{-1, r.config.Spec.Inputs}}}
}

var axes = map[string]string{model.Outputs: tensor.Channel, model.Actions: tensor.Channel, model.SeenInputs: tensor.Channel, task.Controlled: tensor.Channel}

// result is an array (rows, T, channels) under a role's name.
func result(role string, n *nn.Node) train.Result {
	channel := tensor.Latent
	if a := axes[role]; a != "" {
		channel = a
	}
	return train.Result{Name: role, Node: n, Axes: []string{tensor.Trial, tensor.Bin, channel}}
}

// within is the function of an output that an action is.
func within(l *task.Loop) func(float64) float64 {
	if l.ActionLow >= l.ActionHigh {
		return nil // without bounds
	}
	return func(a float64) float64 { return min(max(a, l.ActionLow), l.ActionHigh) }
}

func (r *rollout[F]) BuildRollout(g *nn.Graph[F], d *train.Data[F]) (train.RolloutProgram[F], error) {
	var x *nn.Node
	var s *nn.Sequence
	p := train.RolloutProgram[F]{Fill: func(*train.Data[F], []int, nn.Pass) error { return nil }}
	if r.link != nil {
		env := link.Environment[F](r.link, g.Rows(), r.split, func(nn.Pass) uint64 { return r.pass })
		x, s = r.config.unroll(g, r.config.Spec.Bins, env)
		p.Recorded = env.Recorded
	} else {
		x, s = r.config.unroll(g, d.Shape(task.Inputs)[0], nil)
		p.Fill = func(d *train.Data[F], rows []int, _ nn.Pass) error {
			d.Gather(g.Array(x), task.Inputs, rows)
			return nil
		}
	}
	for _, role := range r.want {
		res := result(role, nil)
		switch role {
		case model.Outputs:
			res.Node = s.Outputs()
		case model.Actions:
			res.Node, res.Of = s.Outputs(), within(r.config.Spec.Loop)
		case model.SeenInputs:
			res.Node = x
		case task.Controlled:
			res.Node = s.EnvironmentState()
		default:
			res.Node = s.States()
		}
		p.Results = append(p.Results, res)
	}
	return p, nil
}

// Dynamics is the cell's step in double precision.
func (m *Model[F]) Dynamics(context.Context) (model.Dynamics, error) {
	w := m.Snapshot().Float64()
	cell, err := m.config.Cell.Map(w, m.config.Prefix, m.config.Spec.Inputs)
	if err != nil {
		return nil, err
	}
	size := m.config.Cell.StateSize()
	return &train.CellDynamics{Cell: cell, Size: size, Units: m.config.Cell.Units(), Inputs: m.config.Spec.Inputs, BinWidth: m.config.Spec.BinWidth,
		Observed: map[string]train.Readout{model.Outputs: {Weight: w["readout.weight"], Bias: w["readout.bias"], Width: m.config.Spec.Outputs, Of: nn.ReadOf(m.config.Cell)}},
		Initial: func(_ context.Context, trials tensor.Block) (*tensor.Tensor, error) {
			n := max(1, len(trials.Trials))
			out := tensor.New64(model.State, n, size)
			for b := range n {
				copy(out.F64[b*size:], w["latent_ics"])
			}
			return out, nil
		}}, nil
}
