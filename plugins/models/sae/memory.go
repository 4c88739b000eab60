package sae

import (
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// Memory estimates what an autoencoder takes whose decoder is that cell and whose encoder has that many units in each direction and reads window bins, as
// in [Config.EncoderWindow]; recompute is as in nn.Unroll.
func Memory(cell nn.Cell[float32], encoder, window int, d model.DataSpec, batch, recompute, threads int) int64 {
	const size = 4
	units, seen := cell.Units(), encoded(window, d.Bins)
	direction := nn.GRU[float32](encoder)
	row := func(bins int, channels ...int) int64 {
		var n int64
		for _, c := range channels {
			n = tensor.Total(n, tensor.Elements(bins, c, size))
		}
		return n
	}
	worker := func(training bool) func(int) int64 {
		// Spikes read and to be reconstructed, inputs, the mask, log-rates and their gradient; without training the latents instead.
		each := tensor.Total(row(seen, d.HeldIn), row(d.Bins, d.Neurons, d.Inputs, 1, d.Neurons), row(1, encoder, encoder, units, 6))
		if training {
			each = tensor.Total(each, row(d.Bins, d.Neurons))
		}
		return func(n int) int64 {
			return tensor.Total(tensor.Elements(int(each), n),
				direction.Bytes(n, seen, d.HeldIn, 0, recompute, training), direction.Bytes(n, seen, d.HeldIn, 0, recompute, training),
				cell.Bytes(n, d.Bins, d.Inputs, d.Neurons, recompute, training))
		}
	}
	roll := worker(false)
	block := row(d.Bins, d.HeldIn, d.Neurons, d.Inputs)
	weights := tensor.Total(direction.Weights(d.HeldIn), direction.Weights(d.HeldIn), tensor.Elements(2, encoder, units), int64(units),
		cell.Weights(d.Inputs), tensor.Elements(d.Neurons, units+1))
	f := train.Footprint{
		Weights:  tensor.Elements(size, int(weights)),
		Training: worker(true), Validation: roll,
		Rolling: func(n int) int64 { return tensor.Total(roll(n), tensor.Elements(int(row(d.Bins, units)), n)) },
		Trial:   block, TrainTrials: d.TrainTrials, ValidTrials: d.ValidTrials, Batch: batch,
		In: block, Out: row(d.Bins, d.Neurons, units),
	}
	f.BlockTrials = train.Block(f.In, max(d.TrainTrials, d.ValidTrials))
	// Blocks come over the plugin's boundary ahead of those that are at work.
	ahead := tensor.Elements(int(f.In), f.BlockTrials, 4)
	return tensor.Total(f.Bytes(threads), min(ahead, tensor.Elements(int(block), max(d.TrainTrials, d.ValidTrials))))
}
