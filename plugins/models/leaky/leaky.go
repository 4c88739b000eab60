// Package leaky has leaky-rnn, the task-trained leaky network of tanh units that Driscoll, Shenoy & Sussillo (2022) trained on many tasks.
package leaky

import (
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Params are the parameters of leaky-rnn.
type Params struct {
	Hidden int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	recurrent.Training
	Gamma    float64 `param:"gamma" default:"0.2" above:"0" max:"1" doc:"leak: the part of the state that is replaced in a bin, the bin over the time constant"`
	Noise    float64 `param:"noise" default:"0.05" min:"0" doc:"standard deviation of the noise within the tanh"`
	ICNoise  float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
	LatentL2 float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
	Compat   bool    `param:"compat" default:"false" doc:"published behaviour: the leak is of the recurrent weights times the state, and every trial starts at zero, without noise"`
}

// Factory returns leaky-rnn.
func Factory() model.Factory {
	return recurrent.Factory("leaky-rnn", "1.0.2", "Task-trained leaky network of tanh units, read out before each step.",
		"Driscoll et al. 2022; Versteeg et al. 2025", Design[float32], "hidden")
}

// Design is the network of parameters.
func Design[F kernel.Float](p Params) recurrent.Design[F] {
	d := recurrent.Design[F]{Cell: nn.Leaky[F](p.Hidden, p.Gamma, p.Compat), InitialNoise: p.ICNoise, Noise: p.Noise, LatentL2: p.LatentL2, Training: p.Training}
	if p.Compat {
		d.FromZero, d.InitialNoise = true, 0
	}
	return d
}
