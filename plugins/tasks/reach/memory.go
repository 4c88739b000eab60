package reach

import (
	"github.com/ctdb-host/ctdb/plugins/tasks/reach/arm"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

const (
	// trialBytes is what a trial takes besides its arrays: its number, its place in a permutation, its scores and what is left of them as they grow.
	trialBytes = 200
	// runBytes is what a trial takes that runs, besides what grows with the bins: its plan, its noise some bins ahead, buffers.
	runBytes = 4 << 10
	// showBytes is what is shown in a bin of a trial that runs.
	showBytes = contexts * 4
	// How many trials run with a tape at once the model decides. They are taken to be the published batch, or as many as a link has at it at once on many threads, of a large one: see package link.
	together       = 1000
	togetherThread = 256
	mostThreads    = 1 << 10 // beyond which no machine is
)

// memory is that of the trials' numbers, of their scores, of the blocks in work and their garbage, and of the trials of a training batch that run.
func memory(p Params, threads int) component.Memory {
	body, err := arm.Shape(p.Effector)
	if err != nil {
		return component.Memory{}
	}
	rows, bins := p.block(), max(p.Bins, p.SimBins)
	inWork := min(threads+1, (p.Trials-1)/rows+1)
	running := min(p.Trials, max(together, min(threads, mostThreads)*togetherThread))
	tape, err := arm.Bytes[float32](arm.Config{Effector: p.Effector, Trials: running, Bins: bins, Tape: true, DT: p.DT})
	if err != nil {
		return component.Memory{}
	}
	// Of what is delayed and of its gradients: x and y of the hand, lengths and velocities of the muscles.
	delayed := tensor.Total(tensor.Elements(p.slots(p.Vision), 2, 2*4), tensor.Elements(p.slots(p.Proprio), 2*len(body.Muscles()), 2*4))
	return component.Memory{
		Bytes: tensor.Total(
			tensor.Elements(p.Trials, trialBytes), tensor.Elements(rows, bins, blockBin, 2*inWork),
			tensor.Elements(running, runBytes), tensor.Elements(running, bins, showBytes), tensor.Elements(running, int(delayed)), tape,
		),
		Params: []string{"n_trials", "n_timesteps", "dt", "vision_delay", "proprioception_delay"},
	}
}
