package sae

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/plugins/models/node"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// version of all components here: it changes whenever results change.
const version = "1.0.1"

// Fitting are the parameters that all autoencoders have besides those of their decoder and its learning rate.
type Fitting struct {
	Epochs        int     `param:"epochs" default:"500" min:"1" doc:"passes over the training trials"`
	BatchSize     int     `param:"batch_size" default:"250" min:"1" unit:"trial" doc:"trials in an optimiser step, or all where there are fewer"`
	WeightDecay   float64 `param:"weight_decay" default:"0" min:"0" doc:"weight decay, added to the gradient (adam) or taken from the weights (adamw)"`
	Clip          float64 `param:"clip" default:"0.01" min:"0" doc:"bound of the gradient's 2-norm; 0 does not clip"`
	Dropout       float64 `param:"dropout" default:"0.05" min:"0" below:"1" doc:"probability of dropping an element of the encoder's final state and, but for sae-node, of the initial state"`
	EncoderSize   int     `param:"encoder_size" default:"100" min:"1" max:"4096" doc:"units of each direction of the encoder"`
	EncoderWindow int     `param:"encoder_window" default:"0" unit:"bin" doc:"bins that the encoder reads: 0 all, n > 0 the first n, n < 0 all but the last -n"`
	Recompute     int     `param:"recompute" default:"0" min:"0" unit:"bin" doc:"keep what the gradient needs for that many bins at a time and compute the rest once more: the same results, least memory for about the root of the bins, about a third more time; 0 keeps all, as integrator dopri5 must"`
	train.Options
	Compat bool `param:"compat" default:"false" doc:"published behaviour: encoder_window 0 means -1, and short trials are divided by their length without regard to the mean over bins"`
}

// window is the encoder's, with the published default under compat.
func (f Fitting) window() int {
	if f.Compat && f.EncoderWindow == 0 {
		return -1
	}
	return f.EncoderWindow
}

// GRUParams are the parameters of sae-gru.
type GRUParams struct {
	Latent int     `param:"latent" default:"128" min:"1" max:"4096" doc:"units of the decoder: the number of latents"`
	LR     float64 `param:"lr" default:"2e-3" above:"0" doc:"learning rate of Adam"`
	Fitting
}

// RNNParams are the parameters of sae-rnn.
type RNNParams struct {
	Latent int     `param:"latent" default:"128" min:"1" max:"4096" doc:"units of the decoder: the number of latents"`
	LR     float64 `param:"lr" default:"5e-3" above:"0" doc:"learning rate of Adam"`
	Fitting
}

// LDSParams are the parameters of sae-lds.
type LDSParams struct {
	Latent int     `param:"latent" default:"128" min:"1" max:"4096" doc:"states of the decoder: the number of latents"`
	LR     float64 `param:"lr" default:"1e-4" above:"0" doc:"learning rate of Adam"`
	Fitting
}

// NODEParams are the parameters of sae-node.
type NODEParams struct {
	Latent       int `param:"latent" default:"10" min:"1" max:"1024" doc:"states of the decoder: the number of latents"`
	Hidden       int `param:"hidden" default:"128" min:"1" max:"4096" doc:"units of each hidden layer of the vector field"`
	HiddenLayers int `param:"hidden_layers" default:"6" min:"0" max:"15" doc:"hidden layers of the vector field, of rectified units"`
	node.Integration
	LR float64 `param:"lr" default:"2e-3" above:"0" doc:"learning rate of Adam"`
	Fitting
}

// Problems reports what does not go together.
func (p NODEParams) Problems() []param.Problem { return p.Integration.Problems(p.Recompute) }

// Design is what an autoencoder makes of its parameters.
type Design[F kernel.Float] struct {
	Cell nn.Cell[F]
	// NoStateDropout leaves the initial state without dropout.
	NoStateDropout bool
	// KeepsAll is as in recurrent.Design.
	KeepsAll bool
	// Sizes are as in recurrent.Design.
	Sizes   []string
	LR      float64
	Fitting Fitting
}

// GRU is the design of sae-gru.
func GRU[F kernel.Float](p GRUParams) Design[F] {
	return Design[F]{Cell: nn.GRU[F](p.Latent), LR: p.LR, Fitting: p.Fitting}
}

// RNN is the design of sae-rnn.
func RNN[F kernel.Float](p RNNParams) Design[F] {
	return Design[F]{Cell: nn.RNN[F](p.Latent), LR: p.LR, Fitting: p.Fitting}
}

// LDS is the design of sae-lds.
func LDS[F kernel.Float](p LDSParams) Design[F] {
	return Design[F]{Cell: nn.Linear[F](p.Latent), LR: p.LR, Fitting: p.Fitting}
}

// NODE is the design of sae-node.
func NODE[F kernel.Float](p NODEParams) Design[F] {
	return Design[F]{Cell: nn.NODE[F](p.Latent, p.Field(p.HiddenLayers+1, p.Hidden)), NoStateDropout: true, KeepsAll: p.KeepsAll(), Sizes: p.Sizes(), LR: p.LR, Fitting: p.Fitting}
}

// Factories returns sae-gru, sae-rnn, sae-lds and sae-node.
func Factories() []model.Factory {
	return []model.Factory{
		factory("sae-gru", "Sequential autoencoder with a GRU decoder, fitted to spikes by their Poisson likelihood.", GRU[float32], "latent"),
		factory("sae-rnn", "Sequential autoencoder whose decoder is a network of tanh units, fitted to spikes by their Poisson likelihood.", RNN[float32], "latent"),
		factory("sae-lds", "Sequential autoencoder whose decoder is a linear dynamical system, fitted to spikes by their Poisson likelihood.", LDS[float32], "latent"),
		factory("sae-node", "Sequential autoencoder whose decoder is a neural ordinary differential equation, fitted to spikes by their Poisson likelihood.", NODE[float32],
			"latent", "hidden", "hidden_layers"),
	}
}

// factory makes an autoencoder of a design; sizes are the parameters that its memory depends on most.
func factory[P any](short, doc string, design func(P) Design[float32], sizes ...string) model.Factory {
	info := component.Info{Name: component.Name{Kind: component.Model, Short: short}, Version: version, Doc: doc, Source: "Versteeg et al. 2025",
		Capabilities: []component.Capability{component.TrainsOnData, component.HasDynamics, component.Deterministic}}
	f := model.New(info,
		func(p P, t model.Target) []param.Problem {
			d := design(p)
			trials := 0
			if t.Data != nil {
				trials = t.Data.TrainTrials
			}
			problems := append(recurrent.Problems(p), d.Fitting.Options.CheckSchedule(d.Fitting.Epochs, d.Fitting.BatchSize, trials, d.LR, d.Fitting.WeightDecay)...)
			problems = append(problems, check(d.Fitting.window(), t)...)
			if data := t.Data; data != nil {
				if data.TrainTrials < 1 {
					problems = append(problems, param.Problem{Path: "data.train_trials", Message: fmt.Sprintf("%d is not allowed: at least 1", data.TrainTrials)})
				}
				c := Config[float32]{Cell: d.Cell, Spec: *data, EncoderSize: d.Fitting.EncoderSize}
				problems = append(problems, d.Fitting.Options.CheckNames(nn.Names(c.declare))...)
			}
			return problems
		},
		func(_ context.Context, p P, env component.Env, t model.Target) (model.Model, error) {
			if problems := recurrent.Problems(p); len(problems) > 0 {
				return nil, &component.InvalidArgumentError{Problems: problems}
			}
			return Open(design(p), env, t, short, version, p)
		})
	return model.Sized(f, func(p P, t model.Target, threads int) component.Memory {
		if t.Data == nil {
			return component.Memory{}
		}
		d := design(p)
		params := append(slices.Concat(sizes, d.Sizes), "encoder_size", "batch_size")
		if !d.KeepsAll {
			params = append(params, "recompute")
		}
		bytes := func(s model.DataSpec) int64 {
			return Memory(d.Cell, d.Fitting.EncoderSize, d.Fitting.window(), s, d.Fitting.BatchSize, d.Fitting.Recompute, threads)
		}
		batch := *t.Data
		batch.TrainTrials, batch.ValidTrials = min(batch.TrainTrials, d.Fitting.BatchSize), min(batch.ValidTrials, d.Fitting.BatchSize)
		return train.Needs(bytes(*t.Data), bytes(batch), params)
	})
}

// Open makes the autoencoder of a design for a target. identity is everything else that a training depends on.
func Open[F kernel.Float](d Design[F], env component.Env, t model.Target, identity ...any) (*Model[F], error) {
	p := d.Fitting
	if problems := check(p.window(), t); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	if t.Data == nil {
		return nil, component.Invalid("target", "is missing: a data set's specification is needed")
	}
	return New(Config[F]{
		Cell: d.Cell, Spec: *t.Data, Env: env, EncoderSize: p.EncoderSize, EncoderWindow: p.window(), Dropout: p.Dropout, NoStateDropout: d.NoStateDropout,
		ShortTrialsTwice: p.Compat, Recompute: p.Recompute,
		Training: p.Options.Config(p.Epochs, p.BatchSize, d.LR, p.WeightDecay, p.Clip),
		Identity: identity,
	})
}
