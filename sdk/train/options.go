package train

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// Options are the parameters of a training whose names, meanings and defaults are the same for every model. Embed them in a component's parameters.
type Options struct {
	Optimizer     string  `param:"optimizer" default:"adam" choices:"adam,adamw" doc:"optimiser"`
	EarlyStopping int     `param:"early_stopping" default:"0" min:"0" unit:"epoch" doc:"epochs without a better validation loss that end training; 0 never"`
	MaxUpdates    int     `param:"max_updates" default:"0" min:"0" unit:"step" doc:"optimiser steps that end training, within an epoch if need be; 0 sets no limit besides epochs, by which warmup and schedule go"`
	MaxGrowth     float64 `param:"max_growth" default:"1e6" min:"1" doc:"training is ended as diverged when an epoch's mean loss is more than that many times the first step's (or than that number, where the first step's is below 1)"`
	Schedule
	Freeze  []string `param:"freeze" default:"" doc:"parameters that stay as they are, by name or by a pattern in which * is any text (encoder.*), e.g. in a training that begins with the weights of another"`
	NoDecay []string `param:"no_decay" default:"" doc:"parameters without weight decay, by name or by a pattern, e.g. *bias*"`
	Keep    string   `param:"keep" default:"best" choices:"best,last" doc:"weights to go on with: best by validation loss, or of the last epoch"`
}

// CheckSchedule reports contradictions among the options and what they are for, by the names of the parameters. trials is the number of training trials, 0 where it is not yet known, and with it
// the steps of an epoch, of which there are more where batches hold trials of one condition: what is refused is wrong then too.
func (o Options) CheckSchedule(epochs, batchSize, trials int, lr, weightDecay float64) []param.Problem {
	problems := o.Schedule.Check(lr, epochs)
	add := func(path, hint, format string, args ...any) {
		problems = append(problems, param.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if o.DecayRamp > 0 && weightDecay == 0 {
		add("weight_decay_ramp", "set weight_decay, or leave weight_decay_ramp out", "%d is without effect where weight_decay is 0", o.DecayRamp)
	}
	if len(o.NoDecay) > 0 && weightDecay == 0 {
		add("no_decay", "set weight_decay, or leave no_decay out", "%v is without effect where weight_decay is 0", o.NoDecay)
	}
	if o.MaxUpdates == 0 || trials < 1 || batchSize < 1 {
		return problems
	}
	steps := (trials + batchSize - 1) / batchSize
	most := begun(o.MaxUpdates, steps)
	if o.Warmup > 0 && o.Warmup < epochs && most <= o.Warmup {
		add("warmup", "", "%d epochs are not allowed: max_updates %d ends the training within %d epochs (steps an epoch: %d), and lr is reached after the warm-up", o.Warmup, o.MaxUpdates, most, steps)
	}
	if o.Kind == Cosine && most < epochs && most > o.Warmup {
		add("max_updates", fmt.Sprintf("set epochs to %d", most), "%d is not allowed with schedule cosine, which falls to lr_min over all %d epochs: it ends the training within %d epochs (steps an epoch: %d)", o.MaxUpdates, epochs,
			most, steps)
	}
	return problems
}

// begun is how many epochs of so many steps are begun by updates.
func begun(updates, steps int) int { return (updates + steps - 1) / steps }

// EpochsWithin is the number of epochs that a training on so many trials comes to at most: MaxSteps may end it before Epochs. Where batches hold trials of one condition it may be fewer still.
func (c Config) EpochsWithin(trials int) int {
	if c.MaxSteps == 0 || trials < 1 || c.BatchSize < 1 {
		return c.Epochs
	}
	return min(c.Epochs, begun(c.MaxSteps, (trials+c.BatchSize-1)/c.BatchSize))
}

// Config is the trainer's, with what differs from model to model.
func (o Options) Config(epochs, batchSize int, lr, weightDecay, clip float64) Config {
	return Config{Epochs: epochs, BatchSize: batchSize, Optimiser: Adam(lr, weightDecay, o.Optimizer == "adamw"), Clip: clip,
		Patience: o.EarlyStopping, MaxSteps: o.MaxUpdates, MaxGrowth: o.MaxGrowth, KeepLast: o.Keep == "last", Schedule: o.Schedule.Rates(lr, weightDecay, epochs), ScheduleByLoss: o.Kind == Plateau, ParamGroups: o.groups()}
}

// groups are those that Freeze and NoDecay make. What both match is frozen.
func (o Options) groups() []ParamGroup {
	var out []ParamGroup
	for _, match := range o.Freeze {
		out = append(out, ParamGroup{Match: match})
	}
	for _, match := range o.NoDecay {
		out = append(out, ParamGroup{Match: match, LR: 1})
	}
	return out
}

// CheckNames reports what is wrong with Freeze and NoDecay in a model whose parameters have these names.
func (o Options) CheckNames(names []string) []param.Problem {
	var problems []param.Problem
	matched := func(option string, patterns []string) (left []string) {
		left = slices.Clone(names)
		for _, pattern := range patterns {
			matches := func(name string) bool { ok, _ := path.Match(pattern, name); return ok }
			if _, err := path.Match(pattern, ""); err != nil {
				problems = append(problems, param.Problem{Path: option, Message: fmt.Sprintf("%q is not allowed: %v", pattern, err)})
			} else if !slices.ContainsFunc(names, matches) {
				problems = append(problems, param.Problem{Path: option, Message: fmt.Sprintf("%q is not allowed: no parameter has such a name", pattern),
					Hint: "the parameters are " + strings.Join(names, ", ")})
			}
			left = slices.DeleteFunc(left, matches)
		}
		return left
	}
	if len(matched("freeze", o.Freeze)) == 0 && len(names) > 0 {
		problems = append(problems, param.Problem{Path: "freeze", Message: "leaves no parameter to train"})
	}
	matched("no_decay", o.NoDecay)
	return problems
}
