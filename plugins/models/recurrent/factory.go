package recurrent

import (
	"context"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// Training are the parameters that say how a task-trained model is trained.
type Training struct {
	Epochs      int     `param:"epochs" default:"1000" min:"1" doc:"passes over the training trials"`
	BatchSize   int     `param:"batch_size" default:"256" min:"1" unit:"trial" doc:"trials in an optimiser step, or all where there are fewer"`
	LR          float64 `param:"lr" default:"1e-3" above:"0" doc:"learning rate of Adam"`
	WeightDecay float64 `param:"weight_decay" default:"1e-8" min:"0" doc:"weight decay, added to the gradient (adam) or taken from the weights (adamw)"`
	Clip        float64 `param:"clip" default:"1.0" min:"0" doc:"bound of the gradient's 2-norm; 0 does not clip"`
	Truncate    int     `param:"truncate" default:"0" min:"0" unit:"bin" doc:"cut the gradient through time at multiples of that many bins; 0 never. In closed loop many more than an action takes to show, which is 2 bins for a hand: what comes of it beyond the cut teaches nothing"`
	Recompute   int     `param:"recompute" default:"0" min:"0" unit:"bin" doc:"keep what the gradient needs for that many bins at a time and compute the rest once more: the same results, least memory for about the root of the bins, about a third more time; 0 keeps all, as a closed-loop task and integrator dopri5 must"`
	ScoreEvery  int     `param:"score_every" default:"10" min:"0" unit:"epoch" doc:"epochs between two in which the task scores the validation trials, for curves of success over the training; 0 never"`
	train.Options
}

// Config is the trainer's.
func (t Training) Config() train.Config {
	c := t.Options.Config(t.Epochs, t.BatchSize, t.LR, t.WeightDecay, t.Clip)
	c.ScoreEvery = t.ScoreEvery
	return c
}

// Design is what a model makes of its parameters. Fields are as in [Config].
type Design[F kernel.Float] struct {
	Cell                          nn.Cell[F]
	Prefix                        string
	FromZero                      bool
	ReadoutSD                     float64
	InitialNoise, Noise, LatentL2 float64
	Training                      Training
	// KeepsAll says that the cell can compute no bin once more: to save memory by recompute is not proposed.
	KeepsAll bool
	// Sizes are further parameters that memory depends on, of a design that has such.
	Sizes []string
}

// Factory makes a model of a name, a version that changes whenever results change, a sentence, where it is from, its design, and the parameters that its memory
// depends on most.
func Factory[P any](short, version, doc, source string, design func(P) Design[float32], sizes ...string) model.Factory {
	info := component.Info{Name: component.Name{Kind: component.Model, Short: short}, Version: version, Doc: doc, Source: source,
		Capabilities: []component.Capability{component.TrainsOnTask, component.TrainsClosedLoop, component.HasDynamics, component.Deterministic}}
	f := model.New(info,
		func(p P, t model.Target) []param.Problem {
			d := design(p).Training
			problems := Problems(p)
			trials := 0
			if t.Task != nil {
				trials = t.Task.TrainTrials
			}
			problems = slices.Concat(problems, d.Options.CheckSchedule(d.Epochs, d.BatchSize, trials, d.LR, d.WeightDecay), Check(t))
			if t.Task != nil {
				problems = append(problems, checkRecompute(t.Task, d.Recompute)...)
				c := configure(design(p), component.Env{}, *t.Task)
				problems = append(problems, d.Options.CheckNames(nn.Names(c.declare))...)
			}
			return problems
		},
		func(_ context.Context, p P, env component.Env, t model.Target) (model.Model, error) {
			if problems := Problems(p); len(problems) > 0 {
				return nil, &component.InvalidArgumentError{Problems: problems}
			}
			return Open(design(p), env, t, short, version, p)
		})
	return model.Sized(f, func(p P, t model.Target, threads int) component.Memory {
		if t.Task == nil {
			return component.Memory{}
		}
		d := design(p)
		params := append(slices.Concat(sizes, d.Sizes), "batch_size")
		if t.Task.Loop == nil && !d.KeepsAll {
			params = append(params, "recompute")
		}
		bytes := func(s task.Spec) int64 {
			return Memory(d.Cell, s, t.Distant, d.Training.BatchSize, d.Training.Recompute, d.LatentL2 != 0, d.Training.ScoreEvery > 0, threads)
		}
		batch := *t.Task
		batch.TrainTrials, batch.ValidTrials = min(batch.TrainTrials, d.Training.BatchSize), min(batch.ValidTrials, d.Training.BatchSize)
		return train.Needs(bytes(*t.Task), bytes(batch), params)
	})
}

// Checked are parameters that know what else is wrong with them than single values.
type Checked interface{ Problems() []param.Problem }

// Problems are those of parameters that are Checked.
func Problems(p any) []param.Problem {
	if c, ok := p.(Checked); ok {
		return c.Problems()
	}
	return nil
}

// Open makes the model of a design for a target. identity is everything else that a training depends on.
func Open[F kernel.Float](d Design[F], env component.Env, t model.Target, identity ...any) (*Model[F], error) {
	if problems := Check(t); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	if t.Task == nil {
		return nil, component.Invalid("target", "is missing: a task's specification is needed")
	}
	return New(configure(d, env, *t.Task, identity...))
}

func configure[F kernel.Float](d Design[F], env component.Env, s task.Spec, identity ...any) Config[F] {
	return Config[F]{Cell: d.Cell, Prefix: d.Prefix, FromZero: d.FromZero, ReadoutSD: d.ReadoutSD, Spec: s, Env: env,
		InitialNoise: d.InitialNoise, Noise: d.Noise, LatentL2: d.LatentL2, Truncate: d.Training.Truncate, Recompute: d.Training.Recompute, Training: d.Training.Config(), Identity: identity}
}
