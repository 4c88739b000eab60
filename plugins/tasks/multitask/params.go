package multitask

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Params are the task's parameters. The five lists of durations hold two numbers for each phase, the fewest and the most bins, both included.
type Params struct {
	Tasks     []string  `param:"tasks" default:"DelayPro,DelayAnti,MemoryPro,MemoryAnti,ReactPro,ReactAnti,IntMod1,IntMod2,ContextIntMod1,ContextIntMod2,ContextIntMultimodal,Match2Sample,NonMatch2Sample,MatchCatPro,MatchCatAnti" choices:"DelayPro,DelayAnti,MemoryPro,MemoryAnti,ReactPro,ReactAnti,IntMod1,IntMod2,ContextIntMod1,ContextIntMod2,ContextIntMultimodal,Match2Sample,NonMatch2Sample,MatchCatPro,MatchCatAnti" doc:"the tasks that trials are of; the inputs and outputs are the same whichever they are"`
	Weights   []float64 `param:"weights" default:"" min:"0" max:"1e6" doc:"how often each of the tasks comes, in their order and relative to one another; 0: not at all; none given: all as often"`
	Trials    int       `param:"n_trials" default:"1000" min:"1" max:"1000000" unit:"trial" doc:"number of trials of each task, on average over the tasks where they have weights, split 80/20 into training and validation"`
	Bins      int       `param:"n_timesteps" default:"320" min:"8" max:"1000000" unit:"bin" doc:"bins of the arrays; a trial that ends earlier is padded with zeros"`
	Noise     float64   `param:"noise" default:"0.3" min:"0" max:"100" doc:"standard deviation of the Gaussian noise on every input, up to the trial's end"`
	MatchProb float64   `param:"match_prob" default:"0.5" min:"0" max:"1" doc:"probability that the second stimulus is the one to answer, in Match2Sample and NonMatch2Sample"`
	LatentL2  float64   `param:"latent_l2_wt" default:"0" min:"0" max:"1e9" doc:"weight of the squared latents in the loss, up to the trial's end, summed over time and averaged over trials and units"`
	Delay     []int     `param:"delay_bins" default:"15,34,10,74,15,34" min:"1" max:"1000000" unit:"bin" doc:"fewest and most bins of context, stim1 and response of the Delay tasks"`
	Memory    []int     `param:"memory_bins" default:"15,34,10,79,10,79,15,34" min:"1" max:"1000000" unit:"bin" doc:"the same of context, stim1, mem1 and response of the Memory tasks"`
	React     []int     `param:"react_bins" default:"25,124,15,84" min:"1" max:"1000000" unit:"bin" doc:"the same of context and response of the React tasks"`
	Decision  []int     `param:"decision_bins" default:"10,29,10,79,10,79,10,79,5,14,15,34" min:"1" max:"1000000" unit:"bin" doc:"the same of context, stim1, mem1, stim2, mem2 and response of the five Int tasks"`
	Match     []int     `param:"match_bins" default:"10,29,10,79,10,79,15,34" min:"1" max:"1000000" unit:"bin" doc:"the same of context, stim1, mem1 and response of the four match tasks"`
	Mode      string    `param:"mode" default:"training" choices:"training,simulation" doc:"what the trials are for; under compat it decides how conditions are numbered, else nothing"`
	Compat    bool      `param:"compat" default:"false" doc:"the published benchmark's numbers of conditions in training, ties in ContextIntMultimodal, fixation in match tasks and success where no response is due"`
}

// leastResponse is the shortest response of which a bin counts in the loss; leastTrials of a task give both splits one.
const (
	leastResponse = settleBins + 1
	leastTrials   = 5
)

// durations are the lists of all families and the names of their parameters.
func (p *Params) durations() (lists [kinds][]int, names [kinds]string) {
	return [kinds][]int{p.Delay, p.Memory, p.React, p.Decision, p.Match}, [kinds]string{"delay_bins", "memory_bins", "react_bins", "decision_bins", "match_bins"}
}

// rules are the tasks and how often each comes; nil where a name is not known, which the schema rules out.
func (p *Params) rules() (rules []Rule, weights []float64) {
	for i, name := range p.Tasks {
		r := slices.Index(ruleNames(), name)
		if r < 0 {
			return nil, nil
		}
		w := 1.0
		if i < len(p.Weights) {
			w = p.Weights[i]
		}
		rules, weights = append(rules, Rule(r)), append(weights, w)
	}
	return rules, weights
}

// total is the number of all trials.
func (p *Params) total() int64 { return tensor.Elements(p.Trials, len(p.Tasks)) }

func check(p Params) []param.Problem {
	problems := slices.Concat(p.checkTasks(), p.checkDurations())
	if len(problems) > 0 {
		return problems
	}
	rules, weights := p.rules()
	counts := make([]int, len(rules))
	for _, i := range schedule(weights, int(p.total())) {
		counts[i]++
	}
	for i, n := range counts {
		if weights[i] > 0 && n < leastTrials {
			problems = append(problems, param.Problem{
				Path:    "n_trials",
				Message: fmt.Sprintf("%d is not allowed: of %d trials in all %d are of %s, and at least %d are needed to train and to validate on", p.Trials, p.total(), n, rules[i], leastTrials),
				Hint:    "more trials, or a larger weight for that task",
			})
			break
		}
	}
	return problems
}

// checkTasks reports tasks and weights that do not go together.
func (p *Params) checkTasks() []param.Problem {
	var problems []param.Problem
	add := func(path, hint, format string, args ...any) {
		problems = append(problems, param.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if len(p.Tasks) == 0 {
		add("tasks", "leave it out for all of them", "[] is not allowed: at least one of %s", strings.Join(ruleNames(), ", "))
	}
	for i, name := range p.Tasks {
		if !slices.Contains(ruleNames(), name) {
			add("tasks", param.DidYouMean(name, ruleNames()), "%.100q is not allowed: one of %s", name, strings.Join(ruleNames(), ", "))
			break
		}
		if slices.Contains(p.Tasks[:i], name) {
			add("tasks", "use weights for a task that is to come more often", "%s is given twice", name)
			break
		}
	}
	if n := len(p.Weights); n > 0 && n != len(p.Tasks) {
		add("weights", "", "%d numbers are not allowed: one for each of the %d tasks, or none", n, len(p.Tasks))
	} else if n > 0 && (slices.Min(p.Weights) < 0 || !(slices.Max(p.Weights) > 0)) {
		add("weights", "a task that is not to come can be left out of tasks", "%v is not allowed: none below 0, and at least one above", p.Weights)
	}
	return problems
}

// checkDurations reports durations that are no ranges, and trials that would not fit. Those of families that no trial is of must be ranges too.
func (p *Params) checkDurations() []param.Problem {
	var problems []param.Problem
	lists, names := p.durations()
	longest, of := 0, kind(0)
	for k := range kind(kinds) {
		list, phases := lists[k], k.phases()
		if len(list) != 2*len(phases) {
			problems = append(problems, param.Problem{Path: names[k],
				Message: fmt.Sprintf("%d numbers are not allowed: %d, the fewest and the most bins of each of %v", len(list), 2*len(phases), phases)})
			continue
		}
		sum := 0
		for i, phase := range phases {
			low, high := list[2*i], list[2*i+1]
			sum += high
			switch {
			case low < 1, low > high:
				problems = append(problems, param.Problem{Path: names[k], Message: fmt.Sprintf("%d to %d bins of %s are not allowed: the fewest, at least 1, before the most", low, high, phase)})
			case phase == Response && low < leastResponse:
				problems = append(problems, param.Problem{Path: names[k],
					Message: fmt.Sprintf("%d bins of response are not allowed: at least %d, since the first %d do not count in the loss", low, leastResponse, settleBins)})
			}
		}
		if p.uses(k) && sum > longest {
			longest, of = sum, k
		}
	}
	if len(problems) == 0 && longest > p.Bins {
		problems = append(problems, param.Problem{
			Path:    "n_timesteps",
			Message: fmt.Sprintf("%d is not allowed: at least %d, the longest trial by %s", p.Bins, longest, names[of]),
			Hint:    "or shorten the phases",
		})
	}
	return problems
}

// uses says whether trials are of a family: a task whose weight is 0 has none.
func (p *Params) uses(k kind) bool {
	rules, weights := p.rules()
	for i, r := range rules {
		if r.kind() == k && weights[i] > 0 {
			return true
		}
	}
	return false
}

// ranges are the fewest and the most bins of every phase of every family.
func (p *Params) ranges() (out [kinds][Phases][2]int) {
	lists, _ := p.durations()
	for k := range kind(kinds) {
		for i, phase := range k.phases() {
			out[k][phase] = [2]int(lists[k][2*i : 2*i+2])
		}
	}
	return out
}

// schedule says which task each of n trials is of: at every trial the one that lags most behind its share, so that trial k does not depend on n, and any run of
// trials has about its share of each task.
func schedule(weights []float64, n int) []uint8 {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	out, credit := make([]uint8, n), make([]float64, len(weights))
	for k := range out {
		best := -1
		for i, w := range weights {
			credit[i] += w
			if w > 0 && (best < 0 || credit[i] > credit[best]) {
				best = i
			}
		}
		credit[best] -= sum
		out[k] = uint8(best)
	}
	return out
}

// trialBytes is what a trial takes besides its arrays: its task, its number, its place in a permutation, its scores and what is left of them as they grow.
const trialBytes = 130

// estimate is that of the trials' numbers, of their scores, and of the blocks in work and their garbage.
func estimate(p Params, threads int) component.Memory {
	rows := p.block()
	block := tensor.Elements(rows, p.channels(), p.Bins, 4)
	total := p.total()
	inWork := int(min(int64(threads)+1, max(1, total/int64(rows))))
	return component.Memory{
		Bytes:  tensor.Total(tensor.Elements(int(min(total, 1<<62)), trialBytes), tensor.Elements(int(block), 2*inWork), tensor.Elements(outputs+1, p.Bins, 8)),
		Params: []string{"n_trials", "n_timesteps"},
	}
}
