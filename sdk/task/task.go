// Package task defines what a task is: it makes trials, declares the loss that a network is trained with, and scores outputs.
//
// Shapes: B trials, T bins; arrays are (B, T, channels) with the trials first. Every draw comes from a stream keyed by the seed, the trial's
// number and a purpose (package random), so a trial is the same however many others are made.
package task

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays of a block of trials. Inputs, Targets and Conditions are always there; the others where they differ from the default.
const (
	// Inputs is what the model sees, noise included: (B, T, inputs). A closed-loop task leaves it out, or gives what it knows of it; its episodes give the observations.
	Inputs = "inputs"
	// TrueInputs is the same without noise; absent where there is no noise.
	TrueInputs = "true_inputs"
	// EnvInputs is what only the environment sees, e.g. force bumps: (B, T, channels); absent where there is none.
	EnvInputs = "inputs_to_env"
	// Targets is what the loss is computed against: (B, T, outputs), of a closed-loop task (B, T, Loop.StateSize).
	// What stands for outputs in the declared loss is then the loop's state: see Loop.
	Targets = "targets"
	// Weights multiplies the error of each element: (B, T, outputs), or (B, T, 1) for all outputs alike; absent means 1.
	Weights = "weights"
	// Conditions is the trial's type: (B), int64.
	Conditions = "conds"
	// Extra is timing and other numbers of a trial, named by Spec.Extra: (B, len(Extra)). Columns whose unit in Spec.ExtraUnits is [InBins] are whole bins of the trial, from 0 (to T, of what ends with it), or -1 for what does not happen in it: where
	// a simulator leaves out bins before them, as Spec.Trim says, they move with the rest. Columns in other units, or in none, are never changed.
	Extra = "extra"
	// Lengths is the number of valid bins of each trial: (B), int64; absent means all T.
	Lengths = "lengths"
	// Controlled is what a closed-loop rollout gives of the loop's state, after each bin's step: (B, T, Loop.StateSize).
	Controlled = "controlled"
)

// InBins is the unit of a number that is a bin of the trial.
const InBins = "bin"

// Split says which trials.
type Split string

// The splits. Train and Valid are disjoint, 80% and 20%, drawn from the seed; All is every trial in order.
const (
	Train Split = "train"
	Valid Split = "valid"
	All   Split = "all"
)

// Task makes and scores trials. Its methods may be called from several goroutines.
type Task interface {
	// Spec says what the trials look like. It does not change during the life of an instance.
	Spec(ctx context.Context) (Spec, error)
	// Trials generates the trials of a split. The sequence can be ranged over once.
	Trials(ctx context.Context, req TrialRequest) tensor.Blocks
	// Score judges a model's outputs, given as blocks with an array "outputs" (B, T, outputs) for trials of the split and pass.
	// Blocks of a closed-loop task also carry Controlled and the arrays that its Loop.Recorded names; its outputs are the actions as the model gave them, not yet bounded.
	Score(ctx context.Context, req ScoreRequest, outputs tensor.Blocks) (Score, error)
}

// TrialRequest asks for trials.
type TrialRequest struct {
	Split Split
	// Pass is the epoch, from 0: noise that the task draws afresh in each pass depends on it. A task whose Spec.FreshNoise is false
	// gives the same trials in every pass.
	Pass uint64
	// BlockTrials is the largest number of trials in a block; 0 lets the task choose.
	BlockTrials int
}

// ScoreRequest says which trials the outputs belong to.
type ScoreRequest struct {
	Split Split
	Pass  uint64
}

// Score is the judgement of each trial.
type Score struct {
	// Trials are the trials' numbers; the slices below are as long.
	Trials []int64
	// Success is 1 or 0, or a fraction, of each trial.
	Success []float64
	// Loss of each trial, in the units of the declared loss.
	Loss []float64
	// Condition of each trial; ConditionNames names the conditions.
	Condition      []int64
	ConditionNames []string
	// Metrics are further quantities of each trial, named by MetricNames with MetricUnits: one slice for each name.
	Metrics                  [][]float64
	MetricNames, MetricUnits []string
}

// Spec says what a task's trials look like.
type Spec struct {
	// Inputs and Outputs are the numbers of channels that a model receives and gives.
	Inputs, Outputs int
	// InputLabels, OutputLabels and their units; empty or one for each channel, units also one for all.
	InputLabels, OutputLabels []string
	InputUnits, OutputUnits   []string
	// Bins is the number of time bins T of the arrays; shorter trials are padded.
	Bins int
	// BinWidth is dt in seconds; 0 where time has no unit.
	BinWidth float64
	// TrainTrials and ValidTrials are the sizes of the splits.
	TrainTrials, ValidTrials int
	// ConditionNames names the values of Conditions.
	ConditionNames []string
	// Extra names the columns of the array Extra, ExtraUnits are their units: empty, one for each, or one for all. Those that are times of the trial are in [InBins].
	Extra, ExtraUnits []string
	// Loss that a model is trained with.
	Loss Loss
	// FreshNoise is true where trials differ from pass to pass.
	FreshNoise bool
	// GroupBatches asks that a training batch holds trials of one condition alone, the conditions interleaved.
	GroupBatches bool
	// Loop describes the closed loop; nil for an open-loop task.
	Loop *Loop
	// Trim tells the simulator which bins to keep, [Trim[0], T+Trim[1]) with Trim[1] <= 0; zero keeps all.
	Trim [2]int
	// Simulation is laid over the task's parameters when its trials are what spikes are simulated from, e.g. {"mode": "simulation"}
	// where those trials differ from the ones that a network is trained on; empty where they do not.
	Simulation param.Values
}

// ExtraInBins says whether column i of the array Extra is a bin of the trial.
func (s *Spec) ExtraInBins(i int) bool {
	if len(s.ExtraUnits) == 1 {
		i = 0
	}
	return i < len(s.ExtraUnits) && s.ExtraUnits[i] == InBins
}

// Loop describes a closed-loop task. The terms of its loss that are on outputs in an open loop (SquaredError, PoissonNLL, Custom) are on the loop's state, that after the step of bin t
// against the targets of bin t; ActionSquare is on the actions, the model's outputs, as it gives them.
type Loop struct {
	// Actions is the number of action channels, bounded by [ActionLow, ActionHigh]; an infinity is no bound.
	Actions               int
	ActionLow, ActionHigh float64
	// StateSize is the width of what the loss is computed on, e.g. 2 for a fingertip; StateLabels names its channels.
	StateSize   int
	StateLabels []string
	// FeedbackDelay is in seconds, by modality, as the task's parameters have it; what it makes of it is the task's.
	FeedbackDelay map[string]float64
	// Recorded names the extra arrays that a step returns, e.g. "joint_angle", all of their values finite. One named "inputs" is what a data set tells data models of the inputs;
	// where there is none that is what the network saw.
	Recorded []string
}

// TermKind is a kind of loss term.
type TermKind string

// The kinds of term that a model computes itself, so that training crosses no process boundary.
const (
	// SquaredError of outputs against Targets, times Weights.
	SquaredError TermKind = "squared-error"
	// PoissonNLL exp(r) - k r of outputs r as log-rates against Targets k as counts, times Weights.
	PoissonNLL TermKind = "poisson-nll"
	// ActionSquare is the squared action, masked by the trial's length alone.
	ActionSquare TermKind = "action-square"
	// LatentSquare is the squared latent up to the trial's end as Lengths gives it, or, where there are no Lengths, in the bins in which Weights > 0.
	LatentSquare TermKind = "latent-square"
	// Custom is computed by the task: see [CustomLoss].
	Custom TermKind = "custom"
)

// Reduction says how the elements of a term become a number.
type Reduction string

// The reductions.
const (
	// MeanAll divides the sum by the number of all elements B*T*channels, weighted or not, T the horizon's bins where there is one.
	MeanAll Reduction = "mean"
	// SumTime sums over bins and means over trials and channels.
	SumTime Reduction = "sum-time"
)

// Loss is a sum of terms.
type Loss struct{ Terms []Term }

// Term is one term of a declared loss.
type Term struct {
	Kind      TermKind
	Scale     float64
	Reduction Reduction
	// HorizonEpochs > 0 counts only the first ceil(T*min(1, epoch/HorizonEpochs)) bins (at least 1) in the given epoch of training; a mean is that over these bins.
	HorizonEpochs int
}

// Horizon is how many of the first bins the term counts in an epoch of training, counted from 0.
func (t Term) Horizon(bins int, epoch int64) int {
	if t.HorizonEpochs <= 0 || epoch >= int64(t.HorizonEpochs) {
		return bins
	}
	return max(1, int(math.Ceil(float64(bins)*float64(epoch)/float64(t.HorizonEpochs))))
}

// Short says of each term whose horizon is still short of the trial in the last of so many epochs that nothing was learnt from the bins beyond it.
func (l Loss) Short(bins int, epochs int64) []string {
	var out []string
	for i, t := range l.Terms {
		if n := t.Horizon(bins, max(0, epochs-1)); n < bins {
			out = append(out, fmt.Sprintf("term %d of the loss (%s) counts the first %d of %d bins in the last epoch: its horizon grows over %d epochs, of which there are %d", i+1, t.Kind, n, bins, t.HorizonEpochs, epochs))
		}
	}
	return out
}

// CustomLoss is a task with a loss that cannot be declared (capability CustomLoss).
type CustomLoss interface {
	Task
	// Loss returns the mean loss of a batch, its trials given by number, and the cotangent of outputs (B, T, outputs).
	Loss(ctx context.Context, req ScoreRequest, trials []int64, outputs *tensor.Tensor) (value float64, cotangent *tensor.Tensor, err error)
}

// Factory makes instances of a task. Make one with [New].
type Factory struct {
	Info component.Info
	// Check reports what is wrong with resolved parameters beyond what the schema says; nil where nothing can be.
	Check func(param.Values) []param.Problem
	Open  func(ctx context.Context, params param.Values, env component.Env) (Task, error)
	// Memory estimates what an instance takes that may keep so many threads busy; nil where that is not known. [Sized] sets it.
	Memory func(values param.Values, threads int) component.Memory
}

// Sized returns f with an estimate of memory, from the parameter struct P that f was made for.
func Sized[P any](f Factory, memory func(p P, threads int) component.Memory) Factory {
	f.Memory = func(values param.Values, threads int) component.Memory {
		var p P
		if param.Decode(values, &p) != nil {
			return component.Memory{}
		}
		return memory(p, max(1, threads))
	}
	return f
}

// New builds a factory from a parameter struct P, whose tags become the schema. check may be nil. The paths of the problems that check
// returns are bare parameter names.
func New[P any](info component.Info, check func(P) []param.Problem, open func(ctx context.Context, p P, env component.Env) (Task, error)) Factory {
	info.Params = param.MustOf(*new(P))
	return Factory{
		Info:  info,
		Check: param.Checker(check),
		Open: func(ctx context.Context, values param.Values, env component.Env) (Task, error) {
			var p P
			if err := param.Decode(values, &p); err != nil {
				return nil, err
			}
			return open(ctx, p, env)
		},
	}
}
