package spectra

import "github.com/ctdb-host/ctdb/sdk/component"

// readings say how to read what this comparator reports.
func readings() []component.Reading {
	const sampled = " Its interval is of the distance without what sampling alone adds: a value above it is mostly sampling."
	const benettin, welch, hellinger = "Benettin et al. 1980", "Welch 1967", "Mikhaeil et al. 2022"
	return []component.Reading{
		{Metric: "lyapunov", Source: benettin, Text: "Mean rate at which nearby states part along the trajectories of the data, of the leading directions: above 0 chaos, at 0 a memory, below 0 forgetting with the time constant -1/rate. Trials are short, and until they are long the rate depends on coordinates: the interval is widened by how much it still changes along the trials, and where that is as much as the rate, a remark says so."},
		{Metric: "lyapunov_per_bin", Source: benettin, Text: "lyapunov, in units of the bin."},
		{Metric: "lyapunov_sum", Source: benettin, Text: "Sum of the exponents that were computed: the rate at which volumes of that many dimensions grow or, below 0, shrink."},
		{Metric: "kaplan_yorke_dimension", Source: "Kaplan & Yorke 1979", Text: "Dimension of the attractor that the exponents suggest: 0 where all are negative, as with fixed points alone. Where a sum of exponents by whose sign it jumps is not settled, as along a line or a ring, there is none. It says nothing of the dimension that inputs and noise make trajectories fill."},
		{Metric: "lyapunov_drift", Text: "How much the first exponent still changes along the trials, from one half to the other or, if that is more, on the way: its interval is widened by as much, and where it is as large as the exponent, the latter has not settled."},
		{Metric: "lyapunov_distance", Text: "Mean difference of the leading exponents that both subjects have: 0 where nearby states part and meet alike. Strongly contracting directions, which trajectories hardly show, weigh most." + sampled + " It is also widened by what has not settled."},
		{Metric: "power_hellinger", Source: hellinger, Text: "Distance between the power spectra of all latents together: 0 the same, 1 no frequency in common. Slow changes of inputs dominate it, and phases are not looked at, so small is necessary, not sufficient. Read it between its split half and its null." + sampled},
		{Metric: "power_wasserstein", Source: welch, Text: "How far power has to be moved along the frequencies to make one spectrum of the other: 0 the same. Unlike the Hellinger distance it says how far, and hardly sees sharp lines that are close." + sampled},
		{Metric: "power_hellinger_rates", Source: hellinger, Text: "As power_hellinger, of the rates of each neuron, averaged over neurons. Neurons of hardly any modulation count as much as others."},
		{Metric: "power_wasserstein_rates", Source: welch, Text: "As power_wasserstein, of the rates of each neuron, averaged over neurons."},
		{Metric: "power_hellinger_split_half", Text: "power_hellinger of a subject to itself, from one half of its trials to the other: what sampling alone makes of 0. With half the trials it is somewhat larger than with all."},
		{Metric: "power_wasserstein_split_half", Text: "power_wasserstein of a subject to itself, from one half of its trials to the other, as power_hellinger_split_half is of power_hellinger."},
		{Metric: "power_hellinger_rates_split_half", Text: "power_hellinger_rates of a subject to itself, from one half of its trials to the other: what sampling alone makes of 0."},
		{Metric: "power_wasserstein_rates_split_half", Text: "power_wasserstein_rates of a subject to itself, from one half of its trials to the other: what sampling alone makes of 0."},
		{Metric: "sgot", Source: "Germain et al. 2025", Text: "Distance between the modes, eigenvalues and directions, of the linear operators that best advance both subjects' latents: 0 the same. It is taken from the subject to its reference, and the other way is another number; both are in the matrix. What a linear map to the other's latents leaves out, such as invented dimensions, is not seen, and where the map explains little of them, a remark says so; nor is what no linear operator holds."},
	}
}
