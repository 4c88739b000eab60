// Package simulator defines what a simulator is: it turns the latents of a trained network into observed activity, e.g. spike counts.
package simulator

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays of a block that goes into and comes out of a simulator. What goes in has Latents (model.Latents) and may have any others, of which those
// with bins are trimmed like the latents and come out again.
const (
	// Encoded and Reconstructed are the observed activity of held-in and of all neurons: (B, T', HeldIn), (B, T', Neurons).
	Encoded       = "encod_data"
	Reconstructed = "recon_data"
	// Activity is the true rates, in spikes a bin: (B, T', Neurons).
	Activity = "activity"
	// Latents are the very ones that produced the activity: (B, T', latents).
	Latents = "latents"
)

// The arrays that Fit returns beside others of its own.
const (
	// Readout is (latents, Neurons).
	Readout = "readout"
	// OrigMean and OrigStd are the scalars, shape (1, 1, 1), that latents were normalised by.
	OrigMean = "orig_mean"
	OrigStd  = "orig_std"
	// Permutation says which latent each neuron reads: (Neurons), int64.
	Permutation = "perm_neurons"
)

// Simulator is used in two passes over the same trials: first Fit, then Simulate. Neither needs all trials in memory.
type Simulator interface {
	// Spec says what comes out.
	Spec(ctx context.Context) (Spec, error)
	// Fit chooses the mapping from latents to rates, and returns it.
	Fit(ctx context.Context, trials tensor.Blocks) (tensor.Set, error)
	// Simulate returns a block with Encoded, Reconstructed, Activity and the trimmed arrays for each block of trials. The noise of a trial depends on the seed and the
	// trial's number alone. It is an error to call it before Fit.
	Simulate(ctx context.Context, trials tensor.Blocks) tensor.Blocks
}

// Spec says what a simulator makes.
type Spec struct {
	// Neurons and HeldIn: the first HeldIn of Neurons are held in.
	Neurons, HeldIn int
	// From and To are the bins kept, [From, To).
	From, To int
	// FileName is the data set's name in the published benchmark's convention.
	FileName string
	// Counts is true where activity is counts, false where it is continuous.
	Counts bool
}

// Source says what will be simulated from.
type Source struct {
	// Latents is their number, Bins is T before trimming.
	Latents, Bins int
	// Task is the spec of the task that the network did; nil where unknown.
	Task *task.Spec
}

// Factory makes instances of a simulator. Make one with [New].
type Factory struct {
	Info component.Info
	// Check reports what is wrong with resolved parameters beyond what the schema says, or for the given source, whose fields are zero while they are not
	// yet known: the number of latents is known only when a network has been trained.
	Check func(param.Values, Source) []param.Problem
	Open  func(ctx context.Context, params param.Values, env component.Env, source Source) (Simulator, error)
	// Memory estimates what an instance takes that may keep so many threads busy; nil where that is not known. [Sized] sets it. Fields of the source that are
	// zero are not yet known, and what depends on them is left out.
	Memory func(values param.Values, source Source, threads int) component.Memory
}

// Sized returns f with an estimate of memory, from the parameter struct P that f was made for.
func Sized[P any](f Factory, memory func(p P, source Source, threads int) component.Memory) Factory {
	f.Memory = func(values param.Values, source Source, threads int) component.Memory {
		var p P
		if param.Decode(values, &p) != nil {
			return component.Memory{}
		}
		return memory(p, source, max(1, threads))
	}
	return f
}

// New builds a factory from a parameter struct P, whose tags become the schema. check may be nil.
func New[P any](info component.Info, check func(P, Source) []param.Problem, open func(ctx context.Context, p P, env component.Env, source Source) (Simulator, error)) Factory {
	info.Params = param.MustOf(*new(P))
	f := Factory{
		Info: info,
		Open: func(ctx context.Context, values param.Values, env component.Env, source Source) (Simulator, error) {
			var p P
			if err := param.Decode(values, &p); err != nil {
				return nil, err
			}
			return open(ctx, p, env, source)
		},
	}
	if check != nil {
		f.Check = func(values param.Values, source Source) []param.Problem {
			return param.Checker(func(p P) []param.Problem { return check(p, source) })(values)
		}
	}
	return f
}
