package train

// Options are the parameters of a training whose names, meanings and defaults are the same for every model. Embed them in a component's parameters.
type Options struct {
	Optimizer     string  `param:"optimizer" default:"adam" choices:"adam,adamw" doc:"optimiser"`
	EarlyStopping int     `param:"early_stopping" default:"0" min:"0" unit:"epoch" doc:"epochs without a better validation loss that end training; 0 never"`
	MaxUpdates    int     `param:"max_updates" default:"0" min:"0" unit:"step" doc:"optimiser steps that end training, within an epoch if need be; 0 sets no limit besides epochs"`
	MaxGrowth     float64 `param:"max_growth" default:"1e6" min:"1" doc:"training is ended as diverged when an epoch's mean loss is more than that many times the first step's (or than that number, where the first step's is below 1)"`
	Schedule
	Keep string `param:"keep" default:"best" choices:"best,last" doc:"weights to go on with: best by validation loss, or of the last epoch"`
}

// Config is the trainer's, with what differs from model to model.
func (o Options) Config(epochs, batchSize int, lr, weightDecay, clip float64) Config {
	return Config{Epochs: epochs, BatchSize: batchSize, Optimiser: Adam(lr, weightDecay, o.Optimizer == "adamw"), Clip: clip,
		Patience: o.EarlyStopping, MaxSteps: o.MaxUpdates, MaxGrowth: o.MaxGrowth, KeepLast: o.Keep == "last", Schedule: o.Schedule.Rates(lr, weightDecay, epochs)}
}
