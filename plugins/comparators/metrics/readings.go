package metrics

import "github.com/ctdb-host/ctdb/sdk/component"

// readings say how to read what this comparator reports.
func readings() []component.Reading {
	const benchmark, latents = "Versteeg et al. 2025", "Pei et al. 2021"
	return []component.Reading{
		{Metric: "rate_r2", Source: benchmark, Text: "Share of the true rates' variance that the inferred rates explain, without any fit: 1 is perfect. A model can do well here and still invent dynamics."},
		{Metric: "state_r2", Source: benchmark, Text: "How well the inferred latents follow linearly from the true ones: 1 is perfect. Dimensions that the model invented lower it; dimensions that it lacks do not."},
		{Metric: "state_r2_reverse", Source: benchmark, Text: "How well the true latents follow linearly from the inferred ones: 1 means that nothing is missing. Latents that are many enough reach it whatever their dynamics, so read it beside state_r2."},
		{Metric: "input_r2", Source: benchmark, Text: "How well the inferred inputs follow linearly from the true ones: 1 is perfect. Inputs that have no effect cannot be inferred, and lower it."},
		{Metric: "effective_input_r2", Source: benchmark, Text: "As input_r2, against only those pulses that change the state."},
		{Metric: "cycle_con", Source: benchmark, Text: "How well the latents are recovered from the rates that they were read out to: 1 means that every dimension matters to the rates. Rescaling the latents changes it."},
		{Metric: "cycle_con_whitened", Source: benchmark, Text: "As cycle_con, after scaling the latents to unit variance along their principal axes, so that no linear map of them can change it. The smallest axes, down to a 1e-13th of the largest's variance, count as much as the largest: of many more latents than the rates need it is low."},
		{Metric: "co_bps", Source: latents, Text: "Bits a spike by which the inferred rates predict held-out neurons better than their mean does: 0 is chance. Its ceiling depends on the noise of the spikes, so compare it within one data set. The interval is over validation trials, against the means over all of them; of fewer than about ten it is rather too narrow."},
		{Metric: "heldin_bps", Source: latents, Text: "Bits a spike on the neurons that the model saw: 0 is chance. It rises with overfitting, so read it beside co_bps. The interval is as that of co_bps."},
		{Metric: "few_shot_co_bps", Source: "Dabholkar & Barak 2025", Text: "As co_bps, with a readout of the held-out neurons fitted anew to the latents of so few training trials, the mean over draws of these. Latents that also hold what has nothing to do with the neurons need more trials, so models alike in co_bps are told apart; but these neurons had their part in the model's training, so it is no test on neurons that are new. The interval is as that of co_bps, over validation trials, not over draws of shots."},
		{Metric: "co_bps_ctdb", Source: benchmark, Text: "co_bps over the neurons that the published implementation takes by a slip; for comparison with published numbers alone."},
		{Metric: "performance", Text: "Share of validation trials on which the task counts the network as successful, or, with a condition's name, of its trials alone. What counts as success is the task's own choice."},
		{Metric: "performance_loss", Text: "The task's loss on validation trials, in the units of the loss that the network was trained with: it does not compare between tasks."},
	}
}
