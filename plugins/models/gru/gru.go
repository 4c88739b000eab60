// Package gru has the task-trained GRU networks: gru, and noisy-gru, whose state is perturbed after each step, and the same with a penalty of the latents' norm.
package gru

import (
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

const (
	version = "1.0.2"
	source  = "Cho et al. 2014; Versteeg et al. 2025"
)

// Params are the parameters of gru.
type Params struct {
	Hidden int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	recurrent.Training
	ICNoise float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
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
	return []model.Factory{
		recurrent.Factory("gru", version, "Task-trained GRU with a learned initial state and a linear readout.", source,
			func(p Params) recurrent.Design[float32] { return Design[float32](p, 0, 0) }, "hidden"),
		recurrent.Factory("noisy-gru", version, "Task-trained GRU whose state is perturbed by noise after each step; the output is read from the clean state.", source,
			func(p NoisyParams) recurrent.Design[float32] { return Design[float32](p.Params, p.Noise, p.LatentL2) }, "hidden"),
		recurrent.Factory("noisy-gru-latent-l2", version, "Noisy GRU with a penalty of the latents' 2-norm.", source,
			func(p PenalisedParams) recurrent.Design[float32] {
				return Design[float32](p.Params, p.Noise, p.LatentL2)
			}, "hidden"),
	}
}

// Design is the network of parameters, with noise after each step and a penalty of the latents.
func Design[F kernel.Float](p Params, noise, latentL2 float64) recurrent.Design[F] {
	return recurrent.Design[F]{Cell: nn.GRU[F](p.Hidden), Prefix: "cell", InitialNoise: p.ICNoise, Noise: noise, LatentL2: latentL2, Training: p.Training}
}
