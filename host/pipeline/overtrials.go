package pipeline

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// overKey is a network, which is trained or loaded, over the trials of a task.
type overKey struct {
	use    *experiment.Use
	folder string
	spec   *task.Spec
}

// overTrials checks that the network runs over the trials that the simulation makes with parameters of its own, before it is trained: its weights are those of the task's own trials.
// What does not fit is noted at the parameter that it is for, or at all of them.
func (v *validation) overTrials(ctx context.Context, e *experiment.Experiment, k *known) error {
	trials := e.Simulate.Trials
	if !k.opens || len(trials.Params) == 0 || k.task == nil || k.simulated == nil || alike(*k.task, *k.simulated) {
		return nil
	}
	refused, err := v.refusesTrials(ctx, e, k.task, k.simulated)
	if err != nil || len(refused) == 0 {
		return err
	}
	p := param.Problem{Message: overMessage(k.task, k.simulated, refused), Hint: "simulate from trials of the sizes that the network is trained on, or give task what simulate.task has and train it on that"}
	if p.Path, err = v.culprit(ctx, e, k); err != nil {
		return err
	}
	v.problems = append(v.problems, trials.Problem(p))
	return nil
}

// alike reports whether trials are the same but for their numbers.
func alike(a, b task.Spec) bool {
	a.TrainTrials, a.ValidTrials = b.TrainTrials, b.ValidTrials
	return reflect.DeepEqual(a, b)
}

// overMessage says why a network cannot run over trials: by their sizes, where these are others, or as the model does.
func overMessage(own, others *task.Spec, refused []param.Problem) string {
	if own.Inputs != others.Inputs || own.Outputs != others.Outputs {
		return fmt.Sprintf("the network cannot run over these trials: they have %d input and %d output channels, those that it is trained on %d and %d", others.Inputs, others.Outputs, own.Inputs, own.Outputs)
	}
	return "the network cannot run over these trials: " + refused[0].Message
}

// refusesTrials is what a network says that is of one task and is to run over the trials of another; nothing where it cannot be asked.
func (v *validation) refusesTrials(ctx context.Context, e *experiment.Experiment, own, others *task.Spec) ([]param.Problem, error) {
	key := overKey{e.Train.Use, e.Train.Load, others}
	if p, ok := v.over[key]; ok {
		return p, nil
	}
	l, err := v.untrained(ctx, e, own)
	if err != nil {
		return nil, err
	}
	if l != nil {
		if err := l.open(ctx, model.Target{Task: others}, nil); err != nil {
			return nil, err
		}
		v.over[key] = l.problems
	}
	return v.over[key], nil
}

// untrained is the network with weights as they will be in their names and shapes: those that are loaded, or the initial ones of the training. It is nil where there are none to be had.
func (v *validation) untrained(ctx context.Context, e *experiment.Experiment, own *task.Spec) (*loading, error) {
	if e.Train.Load != "" {
		n, err := v.network(ctx, e.Train.Load, e.Task, own)
		if err != nil || n.loading == nil || len(n.problems) > 0 {
			return nil, err
		}
		l := *n.loading
		return &l, nil
	}
	u := e.Train.Use
	found, err := v.host.Catalog.Find(u.Ref.String())
	if err != nil {
		return nil, err
	}
	p, err := v.process(ctx, found)
	if err != nil {
		return nil, err
	}
	m, err := p.Client.OpenModel(ctx, found.Name, u.Params, v.env(u.Seed), model.Target{Task: own})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	weights, saveErr := m.Save(ctx)
	if err := m.Close(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	if saveErr != nil {
		return nil, ctx.Err() // it has none to show before it is trained
	}
	return &loading{v: v, key: "use", where: u.Ref.String(), use: use{found: found, params: u.Params, seed: u.Seed}, weights: weights}, nil
}

// culprit is the parameter of the simulation's trials that alone keeps the network from running over them; empty where it is none alone.
func (v *validation) culprit(ctx context.Context, e *experiment.Experiment, k *known) (string, error) {
	trials := e.Simulate.Trials
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(trials.Params)) {
		if !reflect.DeepEqual(trials.Params[name], e.Task.Params[name]) {
			differ = append(differ, name)
		}
	}
	if len(differ) == 1 {
		return differ[0], nil
	}
	for _, name := range differ {
		alone, _, err := v.taskSpec(ctx, e.Task, nil, merged(e.Task.Params, k.task.Simulation, param.Values{name: trials.Params[name]}))
		if err != nil {
			return "", err
		}
		if alone == nil {
			continue // it does not go without others
		}
		refused, err := v.refusesTrials(ctx, e, k.task, alone)
		if err != nil {
			return "", err
		}
		if len(refused) > 0 {
			return name, nil
		}
	}
	return "", nil
}
