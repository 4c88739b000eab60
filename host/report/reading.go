package report

import "strings"

// reading is one sentence on how to read a metric, empty for one that is not known here. Names are those of the benchmark's metrics.
func reading(metric string) string {
	known := map[string]string{
		"rate_r2":            "Share of the true rates' variance that the inferred rates explain, without any fit: 1 is perfect. A model can do well here and still invent dynamics.",
		"state_r2":           "How well the inferred latents follow linearly from the true ones: 1 is perfect. Dimensions that the model invented lower it.",
		"state_r2_reverse":   "How well the true latents follow linearly from the inferred ones: 1 means that nothing is missing, though there may be too much.",
		"input_r2":           "How well the inferred inputs follow linearly from the true ones: 1 is perfect.",
		"effective_input_r2": "As input_r2, against only those pulses that change the state.",
		"cycle_con":          "How well the latents are recovered from the rates that they were read out to: 1 means that every dimension matters to the rates. Rescaling the latents changes it.",
		"cycle_con_whitened": "As cycle_con, after scaling each latent to unit variance, so that rescaling cannot change it.",
		"co_bps":             "Bits a spike by which the inferred rates predict held-out neurons better than their mean does: 0 is chance. Its ceiling depends on the noise of the spikes, so compare it within one data set.",
		"heldin_bps":         "Bits a spike on the neurons that the model saw: 0 is chance. It rises with overfitting, so read it beside co_bps.",
		"co_bps_ctdb":        "co_bps over the neurons that the reference implementation takes by a slip; for comparison with published numbers alone.",
		"success":            "Share of validation trials on which the task counts the network as successful.",
		"performance":        "Share of validation trials on which the task counts the network as successful; with a condition's name, of its trials alone.",
		"task_success":       "Share of validation trials on which the task counts the network as successful.",
		"loss":               "The task's loss on validation trials, in the units of the loss that the network was trained with.",
		"task_loss":          "The task's loss on validation trials, in the units of the loss that the network was trained with.",
		"performance_loss":   "The task's loss on validation trials, in the units of the loss that the network was trained with.",
	}
	return known[strings.ToLower(metric)]
}
