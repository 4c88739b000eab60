package trials

import (
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Memory is that of the subjects' arrays, with the garbage that their arrival leaves.
func Memory(s comparator.Sizes) int64 {
	const single = 4
	d, z := s.Data, int64(s.Latents)
	neurons, inputs := int64(d.Neurons), int64(d.Inputs)
	trials := int(tensor.Total(int64(d.TrainTrials), int64(d.ValidTrials)))
	arrays := tensor.Total(
		// The truth's latents, rates, spikes, inputs with and without noise, outputs and targets, which are about as wide as inputs; then each model's.
		tensor.Elements(trials, d.Bins, int(tensor.Total(z, neurons, neurons, inputs, inputs, inputs, inputs)), single),
		tensor.Elements(s.Subjects-1, trials, d.Bins, int(tensor.Total(z, neurons, inputs)), single),
	)
	return tensor.Total(arrays, arrays/2)
}
