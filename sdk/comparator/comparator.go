// Package comparator defines what a comparator is: it is given labelled subjects, a truth and models of it or models alone, and reports how alike they are.
package comparator

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Role says what a subject is.
type Role string

// The roles.
const (
	// Truth is the task-trained model and what was simulated from it.
	Truth Role = "truth"
	// Recording is data without a truth: spikes and inputs alone.
	Recording Role = "recording"
	// Fitted is a data-trained model; or another task-trained network that was run over the same trials, which has latents and no rates.
	Fitted Role = "fitted"
)

// The arrays of a subject. All have the trials first; bins line up between subjects of one comparison.
const (
	// Latents (B, T, D): true ones of a Truth, inferred ones of a Fitted.
	Latents = "latents"
	// State (B, T, state): the whole state of a model with Dynamics where that is more than its latents, for analyses that start from states
	// that were visited; absent where the latents are the state.
	State = "state"
	// Rates (B, T, N) in spikes a bin: true or inferred.
	Rates = "rates"
	// Spikes (B, T, N): the observed counts of all neurons, of a Truth or a Recording; the first HeldIn are held in.
	Spikes = "spikes"
	// Inputs (B, T, I): of a Truth or a Recording the external inputs, of a Fitted the inferred ones.
	Inputs = "inputs"
	// TrueInputs (B, T, I) is a Truth's inputs without noise.
	TrueInputs = "true_inputs"
	// Outputs (B, T, O) and Targets: of a Truth.
	Outputs = "outputs"
	Targets = "targets"
	// Lengths (B), int64: valid bins of each trial; absent means all.
	Lengths = "lengths"
	// Conditions (B), int64.
	Conditions = "conds"
)

// The arrays of Subject.Scored.
const (
	// Success and Loss (B'): the task's own score of each trial that it was scored on.
	Success = "success"
	Loss    = "loss"
	// SuccessOf before a condition's name is Success of its trials alone, of a task of several conditions.
	SuccessOf = "success/"
	// Measured before a name is a further quantity of the task's own score, in the trials that it says something of; its unit is the array's.
	Measured = "measured/"
)

// Subject is one thing compared.
type Subject struct {
	// Label is unique in a request, e.g. "gru-64".
	Label string
	Role  Role
	// HeldIn is the number of held-in neurons, 0 where there are no neurons.
	HeldIn int
	// InputChannels is the number of known external inputs.
	InputChannels int
	// Train and Valid are the arrays of the two splits. The same rows of two subjects are the same trials.
	Train, Valid tensor.Set
	// Scored is the task's own score of a network that was trained on it, the one behind a Truth or another, on the task's validation trials, which are not those of
	// Valid where these were simulated; empty where there is none.
	Scored tensor.Set
	// Dynamics of the live model; nil where there is none, and then Why says why.
	Dynamics model.Dynamics
	Why      string
}

// Request is what to compare. Subjects come in the order of the experiment; at most one is a Truth or a Recording, and it is the first.
type Request struct{ Subjects []Subject }

// Outcome is what a comparison found. What could not be computed is a Result with a Reason, never left out and never NaN without one.
type Outcome struct {
	Results []component.Result
	// Matrices are e.g. pairwise distances: (n, n) with the subjects in order.
	Matrices tensor.Set
	Figures  []component.Figure
}

// Comparator compares. Compare may be called from several goroutines.
type Comparator interface {
	Compare(ctx context.Context, req Request, report component.Reporter) (Outcome, error)
}

// Factory makes instances of a comparator. Make one with [New].
type Factory struct {
	Info component.Info
	// Check reports what is wrong with resolved parameters beyond what the schema says; nil where nothing can be.
	Check func(param.Values) []param.Problem
	Open  func(ctx context.Context, params param.Values, env component.Env) (Comparator, error)
	// Memory estimates what an instance takes that may keep so many threads busy, the subjects' arrays included; nil where that is not known. [Sized] sets it.
	Memory func(values param.Values, sizes Sizes, threads int) component.Memory
}

// Sizes says how large what will be compared is.
type Sizes struct {
	// Data is the data set's spec; nil while it is not known.
	Data *model.DataSpec
	// Subjects is their number, the truth or recording among them.
	Subjects int
	// Latents is the largest number of latents of a subject, 0 while it is not known.
	Latents int
}

// Sized returns f with an estimate of memory, from the parameter struct P that f was made for. It is asked only where the data set's spec is known.
func Sized[P any](f Factory, memory func(p P, sizes Sizes, threads int) component.Memory) Factory {
	f.Memory = func(values param.Values, sizes Sizes, threads int) component.Memory {
		var p P
		if sizes.Data == nil || param.Decode(values, &p) != nil {
			return component.Memory{}
		}
		return memory(p, sizes, max(1, threads))
	}
	return f
}

// New builds a factory from a parameter struct P, whose tags become the schema. check may be nil.
func New[P any](info component.Info, check func(P) []param.Problem, open func(ctx context.Context, p P, env component.Env) (Comparator, error)) Factory {
	info.Params = param.MustOf(*new(P))
	return Factory{
		Info:  info,
		Check: param.Checker(check),
		Open: func(ctx context.Context, values param.Values, env component.Env) (Comparator, error) {
			var p P
			if err := param.Decode(values, &p); err != nil {
				return nil, err
			}
			return open(ctx, p, env)
		},
	}
}
