// Package rnn has vanilla-rnn, the task-trained network of tanh or rectified units.
package rnn

import (
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Params are the parameters of vanilla-rnn.
type Params struct {
	Hidden     int    `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	Activation string `param:"activation" default:"tanh" choices:"tanh,relu" doc:"what a unit makes of its input: relu makes the step piecewise linear"`
	recurrent.Training
	ICNoise  float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
	Noise    float64 `param:"noise" default:"0" min:"0" doc:"standard deviation of the noise on the state after each step"`
	LatentL2 float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
	Compat   bool    `param:"compat" default:"false" doc:"published behaviour: every trial starts at zero, without noise, rather than at a learned state"`
}

// Factory returns vanilla-rnn.
func Factory() model.Factory {
	return recurrent.Factory("vanilla-rnn", "1.0.2", "Task-trained network of tanh or rectified units with a learned initial state and a linear readout.",
		"Elman 1990; Versteeg et al. 2025", Design[float32], "hidden")
}

// Design is the network of parameters.
func Design[F kernel.Float](p Params) recurrent.Design[F] {
	d := recurrent.Design[F]{Cell: nn.RNN[F](p.Hidden), Prefix: "cell", InitialNoise: p.ICNoise, Noise: p.Noise, LatentL2: p.LatentL2, Training: p.Training}
	if p.Activation == "relu" {
		d.Cell = nn.ReLU[F](p.Hidden)
	}
	if p.Compat {
		d.FromZero, d.InitialNoise = true, 0
	}
	return d
}
