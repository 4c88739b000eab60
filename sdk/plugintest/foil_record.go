package plugintest

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// recorded is a made-up recording: latents of a driven network, rates that are exponentials of them, and counts. It is a model's data and what comparators compare.
type recorded struct {
	block int
	// inputs is set where models are told of the external inputs.
	inputs bool
	// all has inputs, latents, rates and both kinds of spikes; trials are its rows.
	all tensor.Block
}

func record(block int) recorded {
	n := newNetwork(1)
	in, z := tensor.New32(task.Inputs, foilTrials, recordBins, foilInputs), tensor.New32(model.Latents, foilTrials, recordBins, foilLatents)
	rates, seen := tensor.New32(model.Rates, foilTrials, recordBins, foilNeurons), tensor.New32(model.Encoded, foilTrials, recordBins, foilHeldIn)
	spikes := tensor.New32(model.Reconstructed, foilTrials, recordBins, foilNeurons)
	b := tensor.Block{Arrays: tensor.Set{in, z, rates, seen, spikes}}
	for k := range foilTrials {
		b.Trials = append(b.Trials, int64(k))
		r := random.New(5, "recording", uint64(k))
		x := []float64{r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), r.NormFloat64()}
		for t := range recordBins {
			at := k*recordBins + t
			u := make([]float64, foilInputs)
			for i := range u {
				u[i] = r.NormFloat64()
				in.F32[at*foilInputs+i] = float32(u[i])
			}
			x = n.step(x, u)
			for i, v := range x {
				z.F32[at*foilLatents+i] = float32(v)
			}
			for i := range foilNeurons {
				rate := 0.5 * math.Exp(x[i%foilLatents]-0.5*x[(i+1)%foilLatents])
				count := poisson(r.Float64, rate)
				rates.F32[at*foilNeurons+i], spikes.F32[at*foilNeurons+i] = float32(rate), float32(count)
				if i < foilHeldIn {
					seen.F32[at*foilHeldIn+i] = float32(count)
				}
			}
		}
	}
	return recorded{block, true, b}
}

func recordSpec(inputs bool) model.DataSpec {
	return model.DataSpec{
		Neurons: foilNeurons, HeldIn: foilHeldIn, Inputs: pick(inputs, foilInputs, 0), Bins: recordBins, BinWidth: 0.02, TrainTrials: foilTrials - foilValid, ValidTrials: foilValid,
	}
}

// split is the trials of a split with the named arrays.
func (r recorded) split(s task.Split, names ...string) tensor.Block {
	numbers := foiled{}.numbers(s)
	from, to := int(numbers[0]), int(numbers[len(numbers)-1])+1
	b := tensor.Block{Trials: numbers}
	for _, name := range names {
		b.Arrays = append(b.Arrays, r.all.Arrays.Get(name).Slice(from, to))
	}
	return b
}

// Data implements [model.DataSource].
func (r recorded) Data(_ context.Context, s task.Split) tensor.Blocks {
	return inBlocks(r.split(s, append(r.seen(), model.Reconstructed)...), r.block)
}

// seen are the arrays that a data-trained model may see when it is rolled out: neither held-out neurons nor what was simulated.
func (r recorded) seen() []string {
	if r.inputs {
		return []string{model.Encoded, model.Inputs}
	}
	return []string{model.Encoded}
}
