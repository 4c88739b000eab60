package fixedpoints

import (
	"fmt"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// mostRead is the number of unstable directions up to which points of so many have a reading of their own.
const mostRead = 12

// readings say how to read the metrics.
func readings() []component.Reading {
	const sussillo, golub = "Sussillo & Barak 2013", "Golub & Sussillo 2018"
	out := []component.Reading{
		{Metric: "fixed_points", Text: "States that the dynamics do not leave under a constant input. Points with an eigenvalue next to 1 may be samples of a line or surface of points: then their number means nothing.", Source: sussillo},
		{Metric: "stable_fixed_points", Text: "Fixed points to which all small perturbations return: memories. One may be so slow to reach that no trial comes to it: see slowest_time_constant.", Source: sussillo},
		{Metric: "slow_points", Text: "Places that are no fixed points where the search for a lower speed came to rest: samples of regions that hold a state for long. They are not isolated, so that their number depends on the number of starts.", Source: sussillo},
		{Metric: "fixed_points_complete", Source: "Eisenmann et al. 2023", Text: "Of a model whose step is piecewise linear alone: 1 where all its linear regions within reach of the starts were gone through, so that no fixed point is missing; 0 where they are too many, or of more than one layer. Points farther off than that (outlier) are not looked for."},
		{Metric: "outlying_points", Text: "Fixed points left out because they are far from all states that were visited (outlier): they take no part in what the network does.", Source: golub},
		{Metric: "starts_without_point", Text: "Share of the starts that came to no fixed or slow point, neither by descending q nor by following the dynamics: those may go to a cycle, wander for ever, or leave the states that were visited. Where it is large and no cycle is expected, points may be missing, and more starts help."},
		{Metric: "fixed_point_largest_q", Text: "The largest q = |F(x,u) - x|²/2 of a fixed point: how exactly the points are known.", Source: sussillo},
		{Metric: "slowest_time_constant", Text: "The longest time in which a perturbation of a stable point falls to 1/e. Where it is longer than a trial, trials do not come to rest at the point."},
		{Metric: "starts_in_basins", Text: "Share of the starts that go to a stable point when the dynamics are iterated. Starts are visited states and states between them, so this is no volume of the state space; the rest may go to a cycle, or are slower than is followed."},
		{Metric: "continued_points", Text: "Share of the points that stay as the input moves to the next. A point that does not has met another in a fold.", Source: "Keller 1977"},
		{Metric: "continued_points_changed_stability", Text: "Share of the points that have another number of unstable directions after the input has moved."},
		{Metric: alignment, Text: "Variance of the second subject's latents that the affine map explains by which the first's points are carried there, on the trials that it was fitted to, which flatters many latents. Where it is low, the distances below it compare points in places that do not correspond."},
		{Metric: countGap, Text: "How many more fixed points the second subject has. The same number does not make them the same points."},
		{Metric: matchDistance, Text: "How far two sets of points are from being the same, from 0 to 1: points are paired so that the sum is least, a pair counts its distance in root mean square distances of the latents from their mean, and a point without a partner within 1 of that counts 1, so that missing and surplus points are paid for. In the null visited states take the place of the second subject's points: little below it is no agreement.", Source: "Schuhmacher, Vo & Vo 2008"},
		{Metric: matchedShare, Text: "Share of the points of the subject that has more of them that have a partner within one root mean square distance of the latents from their mean. Where the points of one are many and crowded, near ones are easily found: see the null."},
		{Metric: hausdorff, Text: "The largest distance of a point of either subject to the nearest of the other, in the same unit: one point that the other lacks is enough to make it large."},
		{Metric: sameStability, Text: "Share of the matched points with as many unstable directions as their partner; in the null any point is any other's partner. Where few points are matched it says little."},
		{Metric: spectralGap, Text: "Mean distance of the largest eigenvalues of matched points, and in the null of points drawn at random, as many as the smaller state has. It does not depend on coordinates, but most of the eigenvalues of a large network belong to directions that die away at once."},
	}
	for k := 1; k <= mostRead; k++ {
		out = append(out, component.Reading{Metric: fmt.Sprintf("fixed_points_%d_unstable", k),
			Text: fmt.Sprintf("Fixed points with %d growing directions, among them those between memories: the way from one memory to another leads past them. A 3-bit flip-flop has 12, 6 and 1 with one, two and three.", k), Source: sussillo})
	}
	return out
}
