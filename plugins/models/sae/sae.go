package sae

import (
	"context"
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// version of all components here: it changes whenever results change.
const version = "1.0.0"

// Params are the parameters of sae-gru.
type Params struct {
	Latent        int     `param:"latent" default:"128" min:"1" max:"4096" doc:"units of the decoder: the number of latents"`
	Epochs        int     `param:"epochs" default:"500" min:"1" doc:"passes over the training trials"`
	BatchSize     int     `param:"batch_size" default:"250" min:"1" unit:"trial" doc:"trials in an optimiser step, or all where there are fewer"`
	LR            float64 `param:"lr" default:"2e-3" above:"0" doc:"learning rate of Adam"`
	WeightDecay   float64 `param:"weight_decay" default:"0" min:"0" doc:"weight decay, added to the gradient (adam) or taken from the weights (adamw)"`
	Optimizer     string  `param:"optimizer" default:"adam" choices:"adam,adamw" doc:"optimiser"`
	Clip          float64 `param:"clip" default:"0.01" min:"0" doc:"bound of the gradient's 2-norm; 0 does not clip"`
	Dropout       float64 `param:"dropout" default:"0.05" min:"0" below:"1" doc:"probability of dropping an element of the encoder's final state and of the initial state"`
	EncoderSize   int     `param:"encoder_size" default:"100" min:"1" max:"4096" doc:"units of each direction of the encoder"`
	EncoderWindow int     `param:"encoder_window" default:"0" unit:"bin" doc:"bins that the encoder reads: 0 all, n > 0 the first n, n < 0 all but the last -n"`
	EarlyStopping int     `param:"early_stopping" default:"0" min:"0" unit:"epoch" doc:"epochs without a better validation loss that end training; 0 never"`
	Keep          string  `param:"keep" default:"best" choices:"best,last" doc:"weights to go on with: best by validation loss, or of the last epoch"`
	Compat        bool    `param:"compat" default:"false" doc:"published behaviour: encoder_window 0 means -1, and short trials are divided by their length without regard to the mean over bins"`
}

// window is the encoder's, with the published default under compat.
func (p Params) window() int {
	if p.Compat && p.EncoderWindow == 0 {
		return -1
	}
	return p.EncoderWindow
}

// Factories returns sae-gru.
func Factories() []model.Factory {
	info := component.Info{Name: component.Name{Kind: component.Model, Short: "sae-gru"}, Version: version,
		Doc:          "Sequential autoencoder with a GRU decoder, fitted to spikes by their Poisson likelihood.",
		Source:       "Versteeg et al. 2025",
		Capabilities: []component.Capability{component.TrainsOnData, component.HasDynamics, component.Deterministic}}
	f := model.New(info,
		func(p Params, t model.Target) []param.Problem {
			problems := check(p.window(), t)
			if d := t.Data; d != nil && d.TrainTrials < 1 {
				problems = append(problems, param.Problem{Path: "data.train_trials", Message: fmt.Sprintf("%d is not allowed: at least 1", d.TrainTrials)})
			}
			return problems
		},
		func(_ context.Context, p Params, env component.Env, t model.Target) (model.Model, error) {
			return open[float32](p, env, t)
		})
	return []model.Factory{model.Sized(f, func(p Params, t model.Target, threads int) component.Memory {
		if t.Data == nil {
			return component.Memory{}
		}
		return component.Memory{Bytes: Memory(nn.GRU[float32](p.Latent), p.EncoderSize, p.window(), *t.Data, p.BatchSize, threads),
			Params: []string{"latent", "encoder_size", "batch_size"}}
	})}
}

func open[F kernel.Float](p Params, env component.Env, t model.Target) (*Model[F], error) {
	if problems := check(p.window(), t); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	if t.Data == nil {
		return nil, component.Invalid("target", "is missing: a data set's specification is needed")
	}
	return New(Config[F]{
		Cell: nn.GRU[F](p.Latent), Spec: *t.Data, Env: env, EncoderSize: p.EncoderSize, EncoderWindow: p.window(), Dropout: p.Dropout, ShortTrialsTwice: p.Compat,
		Training: train.Config{Epochs: p.Epochs, BatchSize: p.BatchSize, Optimiser: train.Adam(p.LR, p.WeightDecay, p.Optimizer == "adamw"), Clip: p.Clip,
			Patience: p.EarlyStopping, KeepLast: p.Keep == "last"},
		Identity: []any{version, p},
	})
}
