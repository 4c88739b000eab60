package recurrent

import (
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// taskBlock is the number of trials in the blocks of the built-in tasks.
const taskBlock = 64

// Memory estimates what a model with that cell takes that is trained on a task, in another process (distant) or in this one, in batches, with recompute
// as in nn.Unroll, with a penalty of the latents or without, scored by the task on the way or not.
func Memory(cell nn.Cell[float32], s task.Spec, distant bool, batch, recompute int, latentL2, scored bool, threads int) int64 {
	const size = 4
	units := cell.Units()
	row := func(channels ...int) int64 {
		var n int64
		for _, c := range channels {
			n = tensor.Total(n, tensor.Elements(s.Bins, c, size))
		}
		return n
	}
	// What stands in memory for a bin of a trial, by term: the targets and weights that are filled in, the states and the gradient.
	forward, backward := row(s.Inputs, s.Outputs), int64(0)
	judged, recorded := s.Outputs, 0
	if s.Loop != nil {
		// What an environment gives, and on the way back the cotangents that go through it.
		judged = s.Loop.StateSize
		forward, backward = tensor.Total(forward, row(judged)), row(s.Inputs, s.Outputs)
		// Of what a task records only the names are known.
		recorded = 4 * len(s.Loop.Recorded)
	}
	const (
		onOutputs = iota
		onJudged
		onStates
	)
	seen := map[int]int{}
	term := func(of, width int, data ...int) {
		if of == onStates && seen[of] == 0 {
			forward = tensor.Total(forward, row(units))
		}
		forward = tensor.Total(forward, row(data...))
		backward = tensor.Total(backward, row(width))
		if seen[of] > 0 {
			// Gradients of one array are added up, and kept for the kernel.
			backward = tensor.Total(backward, row(width, width))
		}
		seen[of]++
	}
	for _, t := range s.Loss.Terms {
		switch t.Kind {
		case task.LatentSquare:
			term(onStates, units, units, units)
		case task.ActionSquare:
			term(onOutputs, s.Outputs, s.Outputs, s.Outputs)
		case task.PoissonNLL:
			term(onJudged, judged, judged, 1)
		default:
			term(onJudged, judged, judged, judged)
		}
	}
	if latentL2 {
		term(onStates, units)
	}
	rows := func(each int64, training bool) func(int) int64 {
		return func(n int) int64 {
			return tensor.Total(tensor.Elements(int(each), n), cell.Bytes(n, s.Bins, s.Inputs, s.Outputs, recompute, training))
		}
	}
	trial, in, out := row(s.Inputs, judged, judged), row(s.Inputs, s.Inputs, judged, judged), row(units, s.Outputs)
	rolling := row(s.Inputs, s.Outputs, units)
	if s.Loop != nil {
		rolling = tensor.Total(rolling, row(judged))
		trial = row(judged, judged)
		out = tensor.Total(out, row(s.Outputs, s.Inputs, judged, recorded, recorded))
	}
	f := train.Footprint{
		Weights:  tensor.Elements(size, int(tensor.Total(cell.Weights(s.Inputs), tensor.Elements(s.Outputs, units+1), int64(units)))),
		Training: rows(tensor.Total(forward, backward), true), Validation: rows(forward, false), Rolling: rows(rolling, false),
		Trial: trial, Fresh: s.FreshNoise, TrainTrials: s.TrainTrials, ValidTrials: s.ValidTrials, Batch: batch,
		In: in, Out: out, Loop: s.Loop != nil, Distant: distant && s.Loop != nil,
	}
	if scored {
		f.Judged = row(s.Outputs)
		if s.Loop != nil {
			// What was recorded is there by shard and as one.
			f.Judged = tensor.Total(f.Judged, row(judged, recorded, recorded))
		}
	}
	f.BlockTrials = train.Block(f.In, taskBlock)
	return f.Bytes(threads)
}
