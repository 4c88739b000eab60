// Package lstm has the task-trained LSTM. Its latents are h; its state is h and c.
package lstm

import (
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// Params are the parameters of lstm.
type Params struct {
	Hidden int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	recurrent.Training
	ICNoise  float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial h"`
	Noise    float64 `param:"noise" default:"0" min:"0" doc:"standard deviation of the noise on h after each step"`
	LatentL2 float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
}

// Factory returns lstm.
func Factory() model.Factory {
	return recurrent.Factory("lstm", "1.0.2", "Task-trained LSTM with a learned initial state and a linear readout.", "Hochreiter & Schmidhuber 1997",
		Design[float32], "hidden")
}

// Design is the network of parameters.
func Design[F kernel.Float](p Params) recurrent.Design[F] {
	return recurrent.Design[F]{Cell: nn.LSTM[F](p.Hidden), Prefix: "cell", InitialNoise: p.ICNoise, Noise: p.Noise, LatentL2: p.LatentL2, Training: p.Training}
}
