// Package lowrank has low-rank-rnn, the task-trained leaky network whose connectivity is a matrix of low rank, trained, and a random one beside it, fixed: the model of
// Mastrogiuseppe & Ostojic, Neuron 99:609 (2018).
package lowrank

import (
	"fmt"

	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Params are the parameters of low-rank-rnn.
type Params struct {
	Hidden int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of the network"`
	Rank   int `param:"rank" default:"2" min:"1" max:"4096" doc:"rank of the trained connectivity m n / hidden, at most the number of units"`
	recurrent.Training
	RandomStrength float64 `param:"random_strength" default:"0" min:"0" doc:"strength g of a fixed random connectivity besides, whose elements have standard deviation g / sqrt(hidden); 0 for none"`
	Gamma          float64 `param:"gamma" default:"0.2" above:"0" max:"1" doc:"leak: the part of the state that is replaced in a bin, the bin over the time constant"`
	Noise          float64 `param:"noise" default:"0.05" min:"0" doc:"standard deviation of the noise on each unit's input"`
	ICNoise        float64 `param:"ic_noise" default:"0.05" min:"0" doc:"standard deviation of the noise on the initial state"`
	LatentL2       float64 `param:"latent_l2" default:"0" min:"0" doc:"weight of the mean over trials of the latents' 2-norm"`
}

// Problems reports a rank that units cannot have.
func (p Params) Problems() []param.Problem {
	if p.Rank > p.Hidden {
		return []param.Problem{{Path: "rank", Message: fmt.Sprintf("%d is not allowed: at most hidden, which is %d", p.Rank, p.Hidden)}}
	}
	return nil
}

// Factory returns low-rank-rnn.
func Factory() model.Factory {
	return recurrent.Factory("low-rank-rnn", "1.0.2", "Task-trained leaky network with connectivity of low rank and, where wanted, a fixed random one; read out of the units' tanh.",
		"Mastrogiuseppe & Ostojic 2018", Design[float32], "hidden", "rank")
}

// Design is the network of parameters.
func Design[F kernel.Float](p Params) recurrent.Design[F] {
	return recurrent.Design[F]{Cell: nn.LowRank[F](p.Hidden, p.Rank, p.Gamma, p.RandomStrength), Prefix: "cell", InitialNoise: p.ICNoise, Noise: p.Noise, LatentL2: p.LatentL2,
		Training: p.Training}
}
