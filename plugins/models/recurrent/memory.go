package recurrent

import (
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// taskBlock is the number of trials in the blocks of the built-in tasks.
const taskBlock = 64

// Memory estimates what a model with that cell takes that is trained on a task in batches, with a penalty of the latents or without.
func Memory(cell nn.Cell[float32], s task.Spec, batch int, latentL2 bool, threads int) int64 {
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
	seen := map[bool]int{}
	term := func(states bool, data ...int) {
		width := s.Outputs
		if states {
			width = units
			if seen[true] == 0 {
				forward = tensor.Total(forward, row(units))
			}
		}
		forward = tensor.Total(forward, row(data...))
		backward = tensor.Total(backward, row(width))
		if seen[states] > 0 {
			// Gradients of one array are added up, and kept for the kernel.
			backward = tensor.Total(backward, row(width, width))
		}
		seen[states]++
	}
	for _, t := range s.Loss.Terms {
		switch t.Kind {
		case task.LatentSquare:
			term(true, units, units)
		case task.PoissonNLL:
			term(false, s.Outputs, 1)
		case task.Custom:
			term(false, s.Outputs, s.Outputs)
		default:
			term(false, s.Outputs, s.Outputs)
		}
	}
	if latentL2 {
		term(true)
	}
	rows := func(each int64, training bool) func(int) int64 {
		return func(n int) int64 {
			return tensor.Total(tensor.Elements(int(each), n), cell.Bytes(n, s.Bins, s.Inputs, s.Outputs, training))
		}
	}
	trial := row(s.Inputs, s.Outputs, s.Outputs)
	f := train.Footprint{
		Weights:  tensor.Elements(size, int(tensor.Total(cell.Weights(s.Inputs), tensor.Elements(s.Outputs, units+1), int64(units)))),
		Training: rows(tensor.Total(forward, backward), true), Validation: rows(forward, false), Rolling: rows(row(s.Inputs, s.Outputs, units), false),
		Trial: trial, Fresh: s.FreshNoise, TrainTrials: s.TrainTrials, ValidTrials: s.ValidTrials, Batch: batch,
		In: row(s.Inputs, s.Inputs, s.Outputs, s.Outputs), Out: row(units, s.Outputs),
	}
	f.BlockTrials = train.Block(f.In, taskBlock)
	return f.Bytes(threads)
}
