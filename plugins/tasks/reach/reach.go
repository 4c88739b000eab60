// Package reach is delayed reaching with an arm that muscles move, in closed loop: a network sees where the hand is and a target, feels its muscles, and excites them. It
// waits for a go cue, then reaches; in some trials there is none, and in some a force pushes the hand. The task and its constants are those of the
// computation-through-dynamics benchmark (Versteeg et al. 2025), the arm that of MotorNet (Codol et al. 2023); package arm has its equations.
//
// # Trials
//
// A bin is 10 ms. Start and target are postures drawn evenly in joint angles. The target is shown from its appearance to the go cue, and then hidden; the goal is the start
// before the go cue and the target after. A catch trial has no go cue: its target is shown to the end, and its goal is the start throughout. A push is a constant force at
// the hand. In mode training all of the timing is drawn; in mode simulation all trials have the same, and there are no catch trials.
//
//	inputs 0, 1              x and y of the hand, 50 ms late: a buffer of 5 bins of which the oldest is read after the newest is written
//	inputs 2 to 7            lengths of the muscles, in optimal lengths, 20 ms late in the same way
//	inputs 8 to 13           their velocities, in largest velocities
//	inputs 14, 15            x and y of the target while it is shown, else 0
//	input 16                 the go cue
//	outputs 0 to 5           excitations of the muscles, clipped to [0, 1] by the arm
//
// What muscles on stiff tendons are observed to do is what they did where the arm was one bin before: forces, lengths and velocities are parts of the state that follow the joints. Fibres on tendons
// that stretch (effector compliant) are part of the state themselves, and are observed as they are.
//
// # Noise
//
// The noise on the target and the go cue belongs to the trial: it is drawn from the instance's seed, and the same in every pass. The noise on what is seen and felt, and on the
// excitations, is drawn from the seed of the episode, for each pass, trial and bin; it is what [task.EpisodeRequest.NoiseOff] switches off.
//
// # Loss and scores
//
// The loss is the squared error of the hand's position, over the first bins of the trial, whose number grows with the epochs to all of them, plus the squared actions before
// they are clipped. A trial succeeds if the hand ends within 2 cm of its goal.
//
// # Compat
//
// Under compat three quirks of the published benchmark are kept. The largest velocity of every muscle is 1.5 m/s, whatever its length. The noise on all that is seen is one
// number in a bin, and so is that on all that is felt. And the target of a catch trial is hidden in the last bin.
package reach

import (
	"context"
	"sync"

	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Factory returns the component task/random-target.
func Factory() task.Factory {
	return task.Sized(task.New(component.Info{
		Name:         component.Name{Kind: component.Task, Short: "random-target"},
		Version:      "0.1.1",
		Doc:          "Delayed reaches to random targets with a two-joint arm that six muscles move, in closed loop.",
		Source:       "Codol et al. 2023; Versteeg et al. 2025",
		Capabilities: []component.Capability{component.ClosedLoop, component.Deterministic},
	}, check, Open), memory)
}

// Open makes an instance. Parameters that are not allowed are an InvalidArgumentError.
func Open(_ context.Context, p Params, env component.Env) (task.Task, error) {
	if problems := check(p); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	body, err := arm.Shape(p.Effector)
	if err != nil {
		return nil, err
	}
	t := &reach{Params: p, seed: env.Seed, threads: max(1, env.Threads), body: body, muscles: len(body.Muscles())}
	t.start, t.target = t.ranges(body)
	t.splits = sync.OnceValue(func() task.Splits { return task.NewSplits(random.New(env.Seed, "random-target/split").Perm(p.Trials)) })
	return t, nil
}

// reach implements [task.ClosedLoop].
type reach struct {
	Params
	seed    uint64
	threads int
	body    arm.Geometry
	muscles int
	// start and target are the ranges of postures, in rad, or m.
	start, target [2][2]float64
	// splits are drawn when trials are asked for: of many that takes long, and the spec does without.
	splits func() task.Splits
}

var _ task.ClosedLoop = (*reach)(nil)

// Spec describes the trials.
func (t *reach) Spec(context.Context) (task.Spec, error) {
	muscles := t.body.Muscles()
	train, valid := task.SplitSizes(t.Params.Trials)
	s := task.Spec{
		Inputs: observed(t.muscles) + contexts, Outputs: t.muscles,
		InputLabels: []string{"hand x", "hand y"}, InputUnits: []string{"m", "m"},
		OutputLabels: muscles,
		Bins:         t.bins(), BinWidth: t.DT,
		TrainTrials: train, ValidTrials: valid,
		ConditionNames: conditionNames(),
		Extra:          extraNames(),
		ExtraUnits:     []string{task.InBins},
		Loop: &task.Loop{
			Actions: t.muscles, ActionLow: 0, ActionHigh: 1,
			StateSize: 2, StateLabels: []string{"hand x", "hand y"},
			FeedbackDelay: map[string]float64{"vision": t.Vision, "proprioception": t.Proprio},
			Recorded:      recorded(t.Compat),
		},
		Trim:       [2]int{trimBefore, -trimAfter},
		Simulation: param.Values{"mode": "simulation"},
	}
	for _, quantity := range []struct{ name, unit string }{{"length", "L0"}, {"velocity", "vmax"}} {
		for _, m := range muscles {
			s.InputLabels, s.InputUnits = append(s.InputLabels, m+" "+quantity.name), append(s.InputUnits, quantity.unit)
		}
	}
	s.InputLabels, s.InputUnits = append(s.InputLabels, "target x", "target y", "go cue"), append(s.InputUnits, "m", "m", "")
	if t.PosWeight > 0 {
		s.Loss.Terms = append(s.Loss.Terms, task.Term{Kind: task.SquaredError, Scale: t.PosWeight, Reduction: task.MeanAll, HorizonEpochs: t.Horizon})
	}
	if t.ActWeight > 0 {
		s.Loss.Terms = append(s.Loss.Terms, task.Term{Kind: task.ActionSquare, Scale: t.ActWeight, Reduction: task.MeanAll})
	}
	return s, nil
}
