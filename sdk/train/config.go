package train

import (
	"context"
	"log/slog"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Config says how to train.
type Config struct {
	// Epochs and BatchSize, at least 1.
	Epochs, BatchSize int
	// MaxSteps ends training after that many optimiser steps, at the end of an epoch or within one, which is then validated as it is; 0 sets no limit.
	MaxSteps int
	// MaxGrowth bounds the mean loss of an epoch, in training and in validation: beyond that many times the size of the first step's loss (of 1, where that is less) the training has
	// diverged, though all numbers are finite. 0 means 1e6, an infinity sets no bound.
	MaxGrowth float64
	// Adam or AdamW; [Adam] gives PyTorch's constants. There is no default.
	Optimiser kernel.Adam
	// Clip bounds the gradient's 2-norm, as torch's clip_grad_norm_ does; 0 does not clip.
	Clip float64
	// ParamGroups give some parameters rates of their own; those that none matches have the optimiser's.
	ParamGroups []ParamGroup
	// Monitor names the term of the loss, one of the names under Program.Losses, whose validation value decides what is better: for the best weights, Patience and Schedule.
	// Empty means the sum of all terms, which is no measure while one of them ramps up.
	Monitor string
	// Smoothing is the part of the value before in the exponential smoothing of the monitored values that Patience and Schedule go by, smoothed = Smoothing * before +
	// (1-Smoothing) * value; at least 0, the default, and less than 1. The best weights are those of the best value itself.
	Smoothing float64
	// Patience ends training after that many epochs without a better validation loss; 0 never.
	Patience int
	// KeepLast makes the weights of the last epoch the result; else it is those of the epoch with the best validation loss.
	KeepLast bool
	// Schedule returns the learning rate and the weight decay of an epoch from the monitored, smoothed validation losses of all epochs before it; nil keeps the
	// optimiser's. It is a function of its arguments alone, so that a resumed training goes on as before.
	Schedule func(epoch int64, validation []float64) Rates
	// ScheduleByLoss says that the schedule goes by the losses it is given: without validation trials they are those of the training, of which the log then warns.
	ScheduleByLoss bool
	// Score judges the network by what its programs have as Judged, of all validation trials as one block, after the epochs that ScoreEvery divides, the first of all being 0. Nil and 0
	// never do; one whose error is component.ErrUnsupported is not asked again. What it says are curves, see [Fit], and changes nothing.
	Score      func(ctx context.Context, outputs tensor.Block) (task.Score, error)
	ScoreEvery int
	// Group names an integer column; a batch then holds trials of one value. Empty does not.
	Group string

	// Env gives the seed, the threads, and the folder for checkpoints, where it is not empty.
	Env component.Env
	// CheckpointEvery and MaxTime are as in model.TrainRequest.
	CheckpointEvery, MaxTime time.Duration
	// Identity is everything that the result depends on, e.g. the parameters' text. A checkpoint of another identity is refused, and one of other
	// ParamGroups, Monitor or Smoothing.
	Identity string
}

// Rates are what a schedule sets.
type Rates struct{ LR, WeightDecay float64 }

// Adam is PyTorch's Adam with its default constants 0.9, 0.999 and 1e-8; decoupled makes it AdamW.
func Adam(lr, weightDecay float64, decoupled bool) kernel.Adam {
	return kernel.Adam{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: weightDecay, Decoupled: decoupled}
}

// Source gives the data.
type Source[F kernel.Float] struct {
	// Train returns the training trials of a pass; it is called once if not Fresh, else for each epoch.
	Train func(ctx context.Context, pass uint64) (*Data[F], error)
	// Valid returns the validation trials, once; nil, or no error and no data, where there are none: then the training loss stands in for it.
	Valid func(ctx context.Context) (*Data[F], error)
	// Fresh is true where the trials differ from pass to pass.
	Fresh bool
}

func (s *Source[F]) check() error {
	if s.Train == nil {
		return component.Invalid("source.train", "is missing: there is nothing to train on")
	}
	return nil
}

func (c *Config) check() error {
	var e component.InvalidArgumentError
	need := func(ok bool, path string, v any, want string) {
		if !ok {
			e.Problems = append(e.Problems, component.Invalid(path, "%v is not allowed: %s", v, want).(*component.InvalidArgumentError).Problems...)
		}
	}
	need(c.Epochs >= 1, "epochs", c.Epochs, "at least 1")
	need(c.BatchSize >= 1, "batch_size", c.BatchSize, "at least 1")
	need(c.MaxSteps >= 0, "max_updates", c.MaxSteps, "at least 0")
	need(c.MaxGrowth == 0 || c.MaxGrowth >= 1, "max_growth", c.MaxGrowth, "0 or at least 1")
	need(c.Optimiser.LR > 0 && finite(c.Optimiser.LR), "lr", c.Optimiser.LR, "a finite number of more than 0")
	need(c.Optimiser.WeightDecay >= 0 && finite(c.Optimiser.WeightDecay), "weight_decay", c.Optimiser.WeightDecay, "a finite number of at least 0")
	need(c.ScoreEvery >= 0, "score_every", c.ScoreEvery, "at least 0")
	need(c.Clip >= 0, "clip", c.Clip, "at least 0")
	need(c.Smoothing >= 0 && c.Smoothing < 1, "smoothing", c.Smoothing, "at least 0 and less than 1")
	need(c.Patience >= 0, "early_stopping", c.Patience, "at least 0")
	if len(e.Problems) > 0 {
		return &e
	}
	if c.MaxGrowth == 0 {
		c.MaxGrowth = 1e6
	}
	c.Env.Threads = max(1, c.Env.Threads)
	if c.Env.Log == nil {
		c.Env.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
