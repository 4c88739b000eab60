// Package nbff is the N-bit flip-flop: pulses of +1 and -1 arrive at random on N channels, and N outputs must each hold what the last
// pulse on their channel said. A network that does it well has a stable fixed point for each of the 2^N memories.
//
// The task and its constants are those of the computation-through-dynamics benchmark (Versteeg et al. 2025), after Sussillo & Barak 2013,
// "Opening the black box". Under compat the loss mask is the benchmark's to the letter; see [Mask].
package nbff

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Params are the task's parameters.
type Params struct {
	Bits       int     `param:"n_bits" default:"3" min:"1" max:"64" unit:"bit" doc:"number of independent flip-flops: input and output channels"`
	Bins       int     `param:"n_timesteps" default:"500" min:"6" max:"1000000" unit:"bin" doc:"length of a trial; the first 5 bins do not count in the loss"`
	SwitchProb float64 `param:"switch_prob" default:"0.01" min:"0" max:"0.5" doc:"probability of a pulse of each sign, per bin and bit"`
	Noise      float64 `param:"noise" default:"0.15" min:"0" max:"100" doc:"standard deviation of the Gaussian noise on every input"`
	Blind      int     `param:"transition_blind" default:"4" min:"0" unit:"bin" doc:"bins after a switch of a target that do not count in the loss"`
	Stimulus   bool    `param:"stimulus" default:"false" doc:"add a step of size U(0.5, 1.5) to one random bit's input in the middle half of each trial"`
	Trials     int     `param:"n_trials" default:"1000" min:"2" max:"100000000" unit:"trial" doc:"number of trials, split 80/20 into training and validation"`
	Compat     bool    `param:"compat" default:"false" doc:"the published benchmark's loss mask, which counts the very bin of a switch"`
}

// Factory returns the component task/nbff.
func Factory() task.Factory {
	return task.Sized(task.New(component.Info{
		Name:         component.Name{Kind: component.Task, Short: "nbff"},
		Version:      "0.1.0",
		Doc:          "N-bit flip-flop: hold the last +1 or -1 pulse of each of N channels.",
		Source:       "Sussillo & Barak 2013; Versteeg et al. 2025",
		Capabilities: []component.Capability{component.Deterministic},
	}, check, Open), memory)
}

// memory is that of the trials' numbers, of their scores, and of the blocks in work and their garbage.
func memory(p Params, threads int) component.Memory {
	rows := p.block()
	block := tensor.Total(tensor.Elements(rows, arraysOf(p), p.Bins, p.Bits, 4), tensor.Elements(4, p.Bins, p.Bits, 8))
	inWork := min(threads+1, (p.Trials-1)/rows+1)
	return component.Memory{
		Bytes:  tensor.Total(tensor.Elements(p.Trials, trialBytes), tensor.Elements(int(block), 2*inWork)),
		Params: []string{"n_trials", "n_timesteps", "n_bits"},
	}
}

// trialBytes is what a trial takes besides its arrays: its number, its place in a permutation, its scores and what is left of them as they grow.
const trialBytes = 120

// arraysOf is how many arrays a block has.
func arraysOf(p Params) int {
	if p.Noise > 0 {
		return 4
	}
	return 3
}

func check(p Params) []param.Problem {
	var problems []param.Problem
	if p.Blind >= p.Bins {
		problems = append(problems, param.Problem{
			Path:    "transition_blind",
			Message: fmt.Sprintf("%d is not allowed: less than n_timesteps, which is %d", p.Blind, p.Bins),
			Hint:    "after a switch nothing would count in the loss",
		})
	}
	return problems
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (task.Task, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	t := &nbff{Params: p, seed: env.Seed, threads: max(1, env.Threads)}
	t.splits = sync.OnceValue(func() task.Splits { return task.NewSplits(random.New(env.Seed, "nbff/split").Perm(p.Trials)) })
	return t, nil
}

// nbff implements [task.Task].
type nbff struct {
	Params
	seed    uint64
	threads int
	// splits are drawn when trials are asked for: of many that takes long, and the spec does without.
	splits func() task.Splits
}

var _ task.Task = (*nbff)(nil)

// Spec describes the trials.
func (t *nbff) Spec(context.Context) (task.Spec, error) {
	labels := make([]string, t.Bits)
	for i := range labels {
		labels[i] = fmt.Sprintf("bit %d", i)
	}
	train, valid := task.SplitSizes(t.Params.Trials)
	s := task.Spec{
		Inputs: t.Bits, Outputs: t.Bits,
		InputLabels: labels, OutputLabels: slices.Clone(labels),
		Bins:        t.Bins,
		TrainTrials: train, ValidTrials: valid,
		ConditionNames: []string{"flip-flop"},
		Loss:           task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}},
	}
	if t.Stimulus {
		s.ConditionNames = nil
		for _, l := range labels {
			s.ConditionNames = append(s.ConditionNames, "step on "+l)
		}
		s.Extra = []string{"stimulus_size"}
	}
	return s, nil
}
