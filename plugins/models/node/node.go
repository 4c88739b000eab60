// Package node has the task-trained neural ordinary differential equation: few latents whose rate of change is a deep network of latents and inputs.
package node

import (
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the parameters of node.
type Params struct {
	Latent int `param:"latent" default:"3" min:"1" max:"1024" doc:"number of latents"`
	Hidden int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of each hidden layer of the vector field"`
	Layers int `param:"layers" default:"3" min:"1" max:"16" doc:"linear maps of the vector field, rectified units between them"`
	recurrent.Training
	Integration
	ICNoise  float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
	Noise    float64 `param:"noise" default:"0" min:"0" doc:"standard deviation of the noise on the state after each bin"`
	LatentL2 float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
	Compat   bool    `param:"compat" default:"false" doc:"published behaviour: no noise on the initial state"`
}

// Problems reports what does not go together.
func (p Params) Problems() []param.Problem { return p.Integration.Problems(p.Recompute) }

// Factory returns node.
func Factory() model.Factory {
	return recurrent.Factory("node", "1.0.2", "Task-trained neural ordinary differential equation with a learned initial state and a linear readout.",
		"Chen et al. 2018; Versteeg et al. 2025", Design[float32], "latent", "hidden", "layers")
}

// Design is the network of parameters.
func Design[F kernel.Float](p Params) recurrent.Design[F] {
	d := recurrent.Design[F]{Cell: nn.NODE[F](p.Latent, p.Field(p.Layers, p.Hidden)), Prefix: "generator", ReadoutSD: 0.01, InitialNoise: p.ICNoise, Noise: p.Noise, LatentL2: p.LatentL2,
		Training: p.Training, KeepsAll: p.KeepsAll(), Sizes: p.Sizes()}
	if p.Compat {
		d.InitialNoise = 0
	}
	return d
}
