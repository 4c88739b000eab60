// Package model defines what a model is: it trains, on a task or on spikes, it rolls out over trials, and it may offer its dynamics, the step
// function with its derivatives that analyses need.
//
// A model instance is opened for the sizes that it must fit, a task's Spec or a data set's; then it is trained or given weights, and
// then it is rolled out, saved and examined.
package model

import (
	"context"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays of a block of recorded trials, which a data-trained model is fitted to. A data-trained model is never given true rates, true latents, or the
// validation trials where training ones are asked for.
const (
	// Encoded is the spike counts of held-in neurons: (B, T, HeldIn).
	Encoded = "encod_data"
	// Reconstructed is the spike counts of all neurons, the held-in ones first: (B, T, Neurons).
	Reconstructed = "recon_data"
	// Inputs is the known external inputs: (B, T, inputs); absent where there are none.
	Inputs = task.Inputs
	// Lengths is the number of valid bins of a trial: (B), int64; absent means all.
	Lengths = task.Lengths
)

// The arrays that a rollout returns, by role. Which of them depends on the model.
const (
	// State is the whole state: (B, T, state).
	State = "state"
	// Latents is what the field calls the latent, after the step of the bin, its noise included: (B, T, latents).
	Latents = "latents"
	// Rates is the inferred rates in spikes a bin: (B, T, Neurons).
	Rates = "rates"
	// Outputs is the model's output: (B, T, outputs).
	Outputs = "outputs"
	// InferredInputs is the inferred inputs: (B, T, channels).
	InferredInputs = "inferred_inputs"
	// PosteriorMean and PosteriorVariance describe the posterior of the initial state: (B, dims).
	PosteriorMean     = "posterior_mean"
	PosteriorVariance = "posterior_variance"
	// SeenInputs and Actions are what a closed-loop rollout saw in each bin, and did: (B, T, ...). Actions are its outputs within the bounds of the task's Loop.
	SeenInputs = "seen_inputs"
	Actions    = "actions"
)

// Target is what a model instance must fit: exactly one of Task and Data is not nil.
type Target struct {
	Task *task.Spec
	Data *DataSpec
	// Distant says that the task is in another process, which the memory of a training in closed loop depends on. It is known where memory is estimated, and no matter elsewhere.
	Distant bool
}

// DataSpec says what a data set looks like.
type DataSpec struct {
	// Neurons and HeldIn: the first HeldIn neurons are seen by the encoder, all are reconstructed.
	Neurons, HeldIn int
	// Inputs is the number of known external input channels, 0 for none.
	Inputs int
	// Bins is T, BinWidth dt in seconds, 0 where unknown.
	Bins                     int
	BinWidth                 float64
	TrainTrials, ValidTrials int
}

// DataSource gives the recorded trials of a split, in order; a sequence may be asked for as often as wanted.
type DataSource interface {
	Data(ctx context.Context, split task.Split) tensor.Blocks
}

// Model is an instance of a model. Training excludes other calls; otherwise its methods may be called from several goroutines.
type Model interface {
	// Train trains from the instance's present weights, the initial ones or those that were loaded, or goes on from a checkpoint that is in its folder, whatever the weights are then, with
	// the same result as if it had never stopped. It returns when training ends by its own rules; the weights are then the best ones if the component has such a
	// rule, and what it says in its result.
	Train(ctx context.Context, req TrainRequest, report component.Reporter) (TrainResult, error)
	// Rollout runs the model over trials. Blocks of a task-trained model have task.Inputs, those of a data-trained one Encoded and, where there are any,
	// Inputs. A block comes out for each that goes in, with the same trials.
	Rollout(ctx context.Context, req RolloutRequest, trials tensor.Blocks) tensor.Blocks
	// Dynamics returns the model's dynamics, or an error that wraps component.ErrUnsupported.
	Dynamics(ctx context.Context) (Dynamics, error)
	// Save returns the weights under PyTorch's names and layout.
	Save(ctx context.Context) (tensor.Set, error)
	// Load sets the weights. Names or shapes that differ are an InvalidArgumentError that lists all of them; then nothing has changed.
	Load(ctx context.Context, weights tensor.Set) error
}

// TrainRequest says what to train on.
type TrainRequest struct {
	// Task to train on, for a component that TrainsOnTask; nil otherwise. It may be in this process or another; a closed-loop task also is a task.ClosedLoop.
	Task task.Task
	// Data to fit, for a component that TrainsOnData; nil otherwise.
	Data DataSource
	// CheckpointEvery is the time between checkpoints; 0 takes none but the last.
	CheckpointEvery time.Duration
	// MaxTime ends training early, counted from when the first trials are loaded, so that a limit that is shorter than loading makes progress if it is repeated; 0 sets no limit. What a
	// limited run gives is not reproducible. The part of an epoch that it cuts off is not validated: it is in no curve and never the best, and where the weights of the last epoch are asked for they are those of the last step.
	MaxTime time.Duration
}

// TrainResult sums training up.
type TrainResult struct {
	// Steps and Epochs that were done in all, those before a resumption included.
	Steps, Epochs int64
	// BestEpoch had the validation loss BestLoss, whose weights the instance now has if KeptBest, else those of the last epoch.
	BestEpoch int64
	BestLoss  float64
	KeptBest  bool
	// LastLoss is the training loss of the last epoch.
	LastLoss float64
	// Last holds the weights of the last epoch where KeptBest; nil otherwise.
	Last tensor.Set
	// Stopped says why training ended: "epochs", "early-stopping", "steps", "time".
	Stopped string
}

// RolloutRequest says how to run.
type RolloutRequest struct {
	// Seed of the noise.
	Seed uint64
	// Noise switches the model's own noise on, and in a closed loop that of the task's sensors and muscles.
	Noise bool
	// Samples is the number of posterior samples to average; 0 takes the posterior's mean.
	Samples int
	// Task is the closed-loop task to run in; nil for an open loop. Split and Pass say which trials.
	Task  task.ClosedLoop
	Split task.Split
	Pass  uint64
	// Want names the arrays to return; empty means those that the model usually gives: its latents, and its outputs or rates.
	Want []string
}

// Factory makes instances of a model. Make one with [New].
type Factory struct {
	Info component.Info
	// Check reports what is wrong with resolved parameters beyond what the schema says, or for the given target, whose fields are both nil while it is not yet known.
	Check func(param.Values, Target) []param.Problem
	Open  func(ctx context.Context, params param.Values, env component.Env, target Target) (Model, error)
	// Memory estimates what an instance takes that may keep so many threads busy, training included; nil where that is not known. [Sized] sets it.
	// Where neither of the target's fields is known the estimate is unknown too.
	Memory func(values param.Values, target Target, threads int) component.Memory
}

// Sized returns f with an estimate of memory, from the parameter struct P that f was made for. It is asked only for targets that are known.
func Sized[P any](f Factory, memory func(p P, target Target, threads int) component.Memory) Factory {
	f.Memory = func(values param.Values, target Target, threads int) component.Memory {
		var p P
		if target == (Target{}) || param.Decode(values, &p) != nil {
			return component.Memory{}
		}
		return memory(p, target, max(1, threads))
	}
	return f
}

// New builds a factory from a parameter struct P, whose tags become the schema. check may be nil.
func New[P any](info component.Info, check func(P, Target) []param.Problem, open func(ctx context.Context, p P, env component.Env, target Target) (Model, error)) Factory {
	info.Params = param.MustOf(*new(P))
	f := Factory{
		Info: info,
		Open: func(ctx context.Context, values param.Values, env component.Env, target Target) (Model, error) {
			var p P
			if err := param.Decode(values, &p); err != nil {
				return nil, err
			}
			return open(ctx, p, env, target)
		},
	}
	if check != nil {
		f.Check = func(values param.Values, target Target) []param.Problem {
			return param.Checker(func(p P) []param.Problem { return check(p, target) })(values)
		}
	}
	return f
}
