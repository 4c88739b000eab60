package dsa

import "github.com/ctdb-host/ctdb/sdk/component"

// readings say how to read what this comparator reports.
func readings() []component.Reading {
	const ostrow, huang = "Ostrow et al. 2023", "Huang et al. 2025"
	const sampled = "The interval is of the distance without what sampling alone adds: a value above it is mostly sampling, and one that begins at 0 does not tell the two apart."
	return []component.Reading{
		{Metric: "dsa", Source: ostrow, Text: "Angle between the linear operators that advance two subjects' delay-embedded latents, under the best rotation: 0 is the same dynamics in other coordinates. " +
			"Read it between dsa_split_half, below which so many trials cannot tell from 0, and its null. " + sampled + " It depends on delays and rank: where the operators foresee held-out trials no better than no change does (dsa_prediction_mase), it may compare noise."},
		{Metric: "dsa_lower_bound", Source: "Hoffman & Wielandt 1953", Text: "What no rotation can go below, from singular values and eigenvalues alone."},
		{Metric: "dsa_gap", Text: "How far the distance lies above its lower bound. A gap of 0 proves that the best rotation was found; a larger one proves nothing, since the bound is seldom reached."},
		{Metric: "dsa_euclidean", Source: ostrow, Text: "As dsa, as the distance of the two operators after both are scaled to norm 1: 2 sin(dsa/2)."},
		{Metric: "dsa_wasserstein", Source: "Redman et al. 2024", Text: "Root mean square distance between the two operators' eigenvalues, paired as well as can be. It needs no rotation, and also compares operators of unequal size; it does not see how far modes are from orthogonal. " + sampled},
		{Metric: "dsa_wasserstein_squared", Text: "The square of dsa_wasserstein, which the published implementation calls the Wasserstein score."},
		{Metric: "dsa_split_half", Text: "Distance of a subject to itself, from one half of its trials to the other: what sampling alone makes of 0. With half the trials it is somewhat larger than with all."},
		{Metric: "dsa_split_half_wasserstein", Text: "dsa_wasserstein of a subject to itself, from one half of its trials to the other, as dsa_split_half is of dsa."},
		{Metric: "dsa_prediction_mase", Source: "Hyndman & Koehler 2006", Text: "Error of foreseeing the next bin of validation trials with the very operator that is compared, in units of taking the present bin for the next: from 1 on the operator is no better than no dynamics, since it holds noise or since its rank leaves out more of the latents than they change in a bin, and distances of it mean little."},
		{Metric: "dsa_sweep_mase", Source: "Hyndman & Koehler 2006", Text: "The lowest such error over the delays and ranks of the sweep, where its note says: if it is well below what its note says of the setting compared, on the same bins, another setting would foresee better than that."},
		{Metric: "input_dsa_joint", Source: huang, Text: "Angle between two driven systems, how state and input act taken together, under the best common change of coordinates. The inputs must move the state for it to mean anything. " + sampled},
		{Metric: "input_dsa_state", Source: huang, Text: "The part of input_dsa_joint that is the state's own dynamics."},
		{Metric: "input_dsa_input", Source: huang, Text: "The part of input_dsa_joint that is what inputs do to the state."},
	}
}
