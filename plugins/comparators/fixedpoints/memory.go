package fixedpoints

import (
	"github.com/ctdb-host/ctdb/plugins/comparators/internal/trials"
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
	const single, double = 4, 8
	inputs := int64(d.Inputs)
	// Models have states beside their latents.
	states := tensor.Elements(s.Subjects-1, sum(int64(d.TrainTrials), int64(d.ValidTrials)), d.Bins, z, single)
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
	bytes := tensor.Total(trials.Memory(s), states, states/2, work, kept)
	return component.Memory{Bytes: bytes, Params: []string{"starts", "max_inputs", "eigenvectors"}}
}
