package shape

import "github.com/ctdb-host/ctdb/sdk/component"

// readings say how to read what this comparator reports.
func readings() []component.Reading {
	const williams, kornblith = "Williams et al. 2021", "Kornblith et al. 2019"
	const inSample = " on the training trials that the fit was made on: the published way, which flatters models of many latents. Read it beside its null."
	return []component.Reading{
		{Metric: "procrustes_angular", Source: williams, Text: "Angle between the two shapes of latents after the best rotation, held out: 0 is the same shape, about pi/2 nothing in common. Directions of large variance decide; the law by which latents move through the shape is not looked at."},
		{Metric: "procrustes_angular_insample", Source: williams, Text: "procrustes_angular" + inSample},
		{Metric: "procrustes_euclidean", Source: williams, Text: "Root mean square distance between the two shapes after the best rotation, held out: 0 is the same shape. Unlike the angle it grows with the number of directions that latents fill."},
		{Metric: "procrustes_euclidean_insample", Source: williams, Text: "procrustes_euclidean" + inSample},
		{Metric: "shape_angular", Source: williams, Text: "As procrustes_angular, with latents whitened to the degree that alpha says, so that directions of small variance count more: at alpha 0 all count alike, noise and invented ones too."},
		{Metric: "shape_angular_insample", Source: williams, Text: "shape_angular" + inSample},
		{Metric: "shape_euclidean", Source: williams, Text: "As procrustes_euclidean, with latents whitened to the degree that alpha says."},
		{Metric: "shape_euclidean_insample", Source: williams, Text: "shape_euclidean" + inSample},
		{Metric: "cca", Source: "Hotelling 1936", Text: "Mean canonical correlation, held out: 1 where an invertible linear map takes one subject's latents to the other's. Directions of no importance count as much as any, and of subjects of different widths only the narrower one's."},
		{Metric: "cca_insample", Source: "Hotelling 1936", Text: "cca" + inSample},
		{Metric: "svcca", Source: "Raghu et al. 2017", Text: "As cca, of the leading principal axes alone. It does not see that latents lack directions of small variance."},
		{Metric: "svcca_insample", Source: "Raghu et al. 2017", Text: "svcca" + inSample},
		{Metric: "cka", Source: kornblith, Text: "Linear centred kernel alignment: 1 where latents agree up to rotation and scale. A few directions of large variance decide it, and with few bins it is biased upwards."},
		{Metric: "cka_debiased", Source: "Song et al. 2007; " + kornblith, Text: "cka by unbiased estimates: about 0 for unrelated latents however few the bins. It takes bins for independent, which those of a trial are not, so some bias is left, and the value may lie above its interval, which takes trials for independent and is of the true similarity; it may be negative."},
		{Metric: "rsa", Source: "Kriegeskorte et al. 2008", Text: "Correlation of the distances among the same states in both subjects: 1 where what is near in one is near in the other. Large distances decide; small differences within a cluster hardly count."},
	}
}
