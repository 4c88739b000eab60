// Package gru has the task-trained GRU networks: gru, and noisy-gru, whose state is perturbed after each step, and the same with a penalty of the latents' norm.
package gru

import (
	"context"

	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// version of all components here: it changes whenever results change.
const version = "1.0.0"

// Params are the parameters of gru.
type Params struct {
	Hidden        int     `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	Epochs        int     `param:"epochs" default:"1000" min:"1" doc:"passes over the training trials"`
	BatchSize     int     `param:"batch_size" default:"256" min:"1" unit:"trial" doc:"trials in an optimiser step, or all where there are fewer"`
	LR            float64 `param:"lr" default:"1e-3" above:"0" doc:"learning rate of Adam"`
	WeightDecay   float64 `param:"weight_decay" default:"1e-8" min:"0" doc:"weight decay, added to the gradient (adam) or taken from the weights (adamw)"`
	Optimizer     string  `param:"optimizer" default:"adam" choices:"adam,adamw" doc:"optimiser"`
	Clip          float64 `param:"clip" default:"1.0" min:"0" doc:"bound of the gradient's 2-norm; 0 does not clip"`
	EarlyStopping int     `param:"early_stopping" default:"0" min:"0" unit:"epoch" doc:"epochs without a better validation loss that end training; 0 never"`
	Keep          string  `param:"keep" default:"best" choices:"best,last" doc:"weights to go on with: best by validation loss, or of the last epoch"`
	ICNoise       float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
}

// NoisyParams are the parameters of noisy-gru.
type NoisyParams struct {
	Params
	Noise    float64 `param:"noise" default:"0.01" min:"0" doc:"standard deviation of the noise on the state after each step"`
	LatentL2 float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
}

// PenalisedParams are the parameters of noisy-gru-latent-l2.
type PenalisedParams struct {
	Params
	Noise    float64 `param:"noise" default:"0.01" min:"0" doc:"standard deviation of the noise on the state after each step"`
	LatentL2 float64 `param:"latent_l2" default:"1e-6" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
}

// Factories returns gru, noisy-gru and noisy-gru-latent-l2.
func Factories() []model.Factory {
	info := func(short, doc string) component.Info {
		return component.Info{Name: component.Name{Kind: component.Model, Short: short}, Version: version, Doc: doc, Source: "Cho et al. 2014; Versteeg et al. 2025",
			Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics, component.Deterministic}}
	}
	memory := func(p Params, latentL2 float64, t model.Target, threads int) component.Memory {
		if t.Task == nil {
			return component.Memory{}
		}
		return component.Memory{Bytes: recurrent.Memory(nn.GRU[float32](p.Hidden), *t.Task, p.BatchSize, latentL2 != 0, threads), Params: []string{"hidden", "batch_size"}}
	}
	return []model.Factory{
		model.Sized(model.New(info("gru", "Task-trained GRU with a learned initial state and a linear readout."),
			func(_ Params, t model.Target) []param.Problem { return recurrent.Check(t) },
			func(_ context.Context, p Params, env component.Env, t model.Target) (model.Model, error) {
				return open[float32](p, 0, 0, env, t)
			}), func(p Params, t model.Target, threads int) component.Memory { return memory(p, 0, t, threads) }),
		model.Sized(model.New(info("noisy-gru", "Task-trained GRU whose state is perturbed by noise after each step; the output is read from the clean state."),
			func(_ NoisyParams, t model.Target) []param.Problem { return recurrent.Check(t) },
			func(_ context.Context, p NoisyParams, env component.Env, t model.Target) (model.Model, error) {
				return open[float32](p.Params, p.Noise, p.LatentL2, env, t)
			}), func(p NoisyParams, t model.Target, threads int) component.Memory {
			return memory(p.Params, p.LatentL2, t, threads)
		}),
		model.Sized(model.New(info("noisy-gru-latent-l2", "Noisy GRU with a penalty of the latents' 2-norm."),
			func(_ PenalisedParams, t model.Target) []param.Problem { return recurrent.Check(t) },
			func(_ context.Context, p PenalisedParams, env component.Env, t model.Target) (model.Model, error) {
				return open[float32](p.Params, p.Noise, p.LatentL2, env, t)
			}), func(p PenalisedParams, t model.Target, threads int) component.Memory {
			return memory(p.Params, p.LatentL2, t, threads)
		}),
	}
}

func open[F kernel.Float](p Params, noise, latentL2 float64, env component.Env, t model.Target) (*recurrent.Model[F], error) {
	if problems := recurrent.Check(t); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	if t.Task == nil {
		return nil, component.Invalid("target", "is missing: a task's specification is needed")
	}
	return recurrent.New(recurrent.Config[F]{
		Cell: nn.GRU[F](p.Hidden), Spec: *t.Task, Env: env, InitialNoise: p.ICNoise, Noise: noise, LatentL2: latentL2,
		Training: train.Config{Epochs: p.Epochs, BatchSize: p.BatchSize, Optimiser: train.Adam(p.LR, p.WeightDecay, p.Optimizer == "adamw"), Clip: p.Clip,
			Patience: p.EarlyStopping, KeepLast: p.Keep == "last"},
		Identity: []any{version, p, noise, latentL2},
	})
}
