package fixedpoints

import (
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// likelyPoints is how many points of one input are counted on; a continuum may have as many as there are starts.
const likelyPoints = 32

// memory is that of the subjects' arrays with the garbage of their arrival, of the starts on their way, of the Jacobians in work, and of what is kept of each point.
// A state is taken to be as wide as the latents.
func memory(p Params, s comparator.Sizes, threads int) component.Memory {
	d, z := s.Data, s.Latents
	sum := func(n ...int64) int { return int(tensor.Total(n...)) }
	neurons, inputs := int64(d.Neurons), int64(d.Inputs)
	trials := sum(int64(d.TrainTrials), int64(d.ValidTrials))
	const single, double = 4, 8
	arrays := tensor.Total(
		tensor.Elements(trials, d.Bins, sum(int64(z), neurons, neurons, inputs, inputs, inputs, inputs), single),
		tensor.Elements(s.Subjects-1, trials, d.Bins, sum(int64(z), int64(z), neurons, inputs), single),
	)
	searches := 1
	if p.Inputs != "zero" && p.Inputs != "mean" {
		searches = p.MaxInputs
	}
	points := min(p.Starts, likelyPoints)
	work := tensor.Total(
		// Starts, their noise, residuals and steps under way; those that failed, where they go and what they pass.
		tensor.Elements(10, p.Starts, z, double),
		// J, J - 1, A^T A and its factor of each start of a run, and as much garbage.
		tensor.Elements(6, threads*jacobianRows, z, z, double),
		min(tensor.Elements(points, z, z, double), inverseBytes),
	)
	kept := tensor.Total(
		tensor.Elements(s.Subjects, searches, points, z, z, double),
		tensor.Elements(2*s.Subjects, searches, points, z, sum(inputs, int64(4*min(p.Vectors, z)), 8), double),
		tensor.Elements(s.Subjects, searches, points, p.Continue+1, z, double),
	)
	bytes := tensor.Total(arrays, arrays/2, work, kept)
	return component.Memory{Bytes: bytes, Params: []string{"starts", "max_inputs", "eigenvectors"}}
}
