// Package multitask is MultiTask: fifteen cognitive tasks that one network learns together, told by a rule input which one each trial is of. What it learns to share
// between tasks, and how, can be read from its dynamics (Yang et al. 2019; Driscoll, Shenoy & Sussillo 2022). The tasks and their constants are
// those of the computation-through-dynamics benchmark (Versteeg et al. 2025).
//
// # Trials
//
// A bin is 20 ms and an array has 320 of them; a trial ends with its response and is padded with zeros, without noise. The array lengths says where, and nothing after
// it counts: not in the loss, in scores, in simulated spikes or in comparisons. Angles of stimuli are 32, evenly on [-pi, pi).
//
//	input 0        fixation: 1 until the response, in React and match tasks to the end
//	inputs 1, 2    cosine and sine of the stimulus in modality 1, times its magnitude
//	inputs 3, 4    the same in modality 2
//	inputs 5..19   1 for the trial's rule
//	output 0       fixation: 1 until the response
//	outputs 1, 2   cosine and sine of the response, from its first bin on
//
// The rules by family, with the phases that a trial goes through; durations are drawn evenly from ranges that are parameters:
//
//	DelayPro DelayAnti        context stim1 response: answer toward, or away from, the stimulus, which stays to the end
//	MemoryPro MemoryAnti      context stim1 mem1 response: the same, shown in stim1 alone
//	ReactPro ReactAnti        context response: the same, at once when it appears
//	IntMod1 IntMod2           context stim1 mem1 stim2 mem2 response: answer the larger of two stimuli, in modality 1 or 2
//	ContextIntMod1 ...Mod2    the same with stimuli in both modalities, of which the rule says which counts
//	ContextIntMultimodal      the same, the sum of both counts
//	Match2Sample              context stim1 mem1 response: answer toward the second stimulus if it is the first again
//	NonMatch2Sample           the same if it is opposite to the first
//	MatchCatPro MatchCatAnti  the same if both are of one category, angle < 0 or >= 0, or of different ones
//
// Trial k is of the same task with the same stimuli, durations and noise however many trials there are: tasks take turns, in proportion to weights if there are
// any. Each task is split 80/20 into training and validation. Batches in training hold trials of one task, the tasks mixed.
//
// # Loss and success
//
// The loss is the squared error times a weight: 1, in the response 5, and 0 in the first 5 bins of trial and response and after the end; summed over
// time, averaged over trials and outputs. A trial succeeds if in the last bin of the response the direction is less than pi/10 from the answer's, or the output is
// shorter than 0.1 where no response is due. See [Success].
//
// # Compat
//
// Under compat four quirks of the published benchmark are kept. Training sets number the first six conditions DelayPro, MemoryPro, ReactPro, DelayAnti, MemoryAnti,
// ReactAnti. ContextIntMultimodal has trials whose modalities contradict each other exactly (one in six), answered toward the first stimulus but for rounding; else they are
// drawn again. Of the match tasks only Match2Sample asks for fixation. And an output with cos + sin below 0.1, or a response to the right, passes as none.
package multitask

import (
	"context"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// binWidth is the duration of a bin in seconds.
const binWidth = 0.02

// Factory returns the component task/multitask.
func Factory() task.Factory {
	return task.Sized(task.New(component.Info{
		Name:         component.Name{Kind: component.Task, Short: "multitask"},
		Version:      "0.1.2",
		Doc:          "Fifteen cognitive tasks of delayed, remembered, integrated and matched stimuli, told apart by a rule input.",
		Source:       "Yang et al. 2019; Driscoll, Shenoy & Sussillo 2022; Versteeg et al. 2025",
		Capabilities: []component.Capability{component.Deterministic},
	}, check, Open), estimate)
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (task.Task, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	t := &multitask{Params: p, seed: env.Seed, threads: max(1, env.Threads), ranges: p.ranges()}
	var weights []float64
	t.rules, weights = p.rules()
	t.order = schedule(weights, int(p.total()))
	ranks := make([]int, len(t.rules))
	for _, k := range random.New(env.Seed, "multitask/split").Perm(len(t.order)) {
		// Of five trials of a task in this order, the fifth is for validation.
		rank := &ranks[t.order[k]]
		if *rank++; *rank%5 == 0 {
			t.splits.Valid = append(t.splits.Valid, int64(k))
		} else {
			t.splits.Train = append(t.splits.Train, int64(k))
		}
	}
	slices.Sort(t.splits.Train)
	slices.Sort(t.splits.Valid)
	return t, nil
}

// multitask implements [task.Task].
type multitask struct {
	Params
	seed    uint64
	threads int
	ranges  [kinds][Phases][2]int
	rules   []Rule
	// order holds, for each trial, the index of its rule.
	order  []uint8
	splits task.Splits
}

var _ task.Task = (*multitask)(nil)

// Spec describes the trials.
func (t *multitask) Spec(context.Context) (task.Spec, error) {
	s := task.Spec{
		Inputs: inputs, Outputs: outputs,
		InputLabels:  append([]string{"fixation", "modality 1 cos", "modality 1 sin", "modality 2 cos", "modality 2 sin"}, ruleNames()...),
		OutputLabels: []string{"fixation", "response cos", "response sin"},
		Bins:         t.Bins, BinWidth: binWidth,
		TrainTrials: len(t.splits.Train), ValidTrials: len(t.splits.Valid),
		ConditionNames: t.conditionNames(),
		Extra:          extraNames(),
		ExtraUnits:     extraUnits(),
		Loss:           task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.SumTime}}},
		GroupBatches:   true,
	}
	if t.LatentL2 > 0 {
		s.Loss.Terms = append(s.Loss.Terms, task.Term{Kind: task.LatentSquare, Scale: t.LatentL2, Reduction: task.SumTime})
	}
	if t.Compat {
		s.Simulation = param.Values{"mode": "simulation"}
	}
	return s, nil
}

// condition is the number of a rule in the array conds.
func (t *multitask) condition(r Rule) int64 {
	if c := compatConditions(); t.Compat && t.Mode == "training" && int(r) < len(c) {
		return c[r]
	}
	return int64(r)
}

// conditionNames names the conditions of all rules, those of which there are no trials among them.
func (t *multitask) conditionNames() []string {
	names := make([]string, Rules)
	for r := range Rule(Rules) {
		names[t.condition(r)] = r.String()
	}
	return names
}
