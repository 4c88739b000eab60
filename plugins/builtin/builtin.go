package builtin

import (
	"slices"

	"github.com/ctdb-host/ctdb/plugins/comparators/dsa"
	"github.com/ctdb-host/ctdb/plugins/comparators/fixedpoints"
	"github.com/ctdb-host/ctdb/plugins/comparators/metrics"
	"github.com/ctdb-host/ctdb/plugins/comparators/shape"
	"github.com/ctdb-host/ctdb/plugins/comparators/spectra"
	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/leaky"
	"github.com/ctdb-host/ctdb/plugins/models/lowrank"
	"github.com/ctdb-host/ctdb/plugins/models/lstm"
	"github.com/ctdb-host/ctdb/plugins/models/node"
	"github.com/ctdb-host/ctdb/plugins/models/rnn"
	"github.com/ctdb-host/ctdb/plugins/models/sae"
	"github.com/ctdb-host/ctdb/plugins/simulators/spikes"
	"github.com/ctdb-host/ctdb/plugins/tasks/multitask"
	"github.com/ctdb-host/ctdb/plugins/tasks/nbff"
	"github.com/ctdb-host/ctdb/plugins/tasks/reach"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Plugin returns the plugin "builtin", for [serve.Main].
func Plugin() serve.Plugin {
	return serve.Plugin{
		Name:        "builtin",
		Version:     "0.1.0",
		Doc:         "The components that come with ctdb-host.",
		Numerics:    func() map[string]string { return map[string]string{"kernel": kernel.Variant()} },
		Tasks:       []task.Factory{multitask.Factory(), nbff.Factory(), reach.Factory()},
		Models:      runnable(slices.Concat(gru.Factories(), []model.Factory{rnn.Factory(), leaky.Factory(), lstm.Factory(), lowrank.Factory(), node.Factory()}, sae.Factories())),
		Simulators:  []simulator.Factory{spikes.Factory()},
		Comparators: []comparator.Factory{dsa.Factory(), fixedpoints.Factory(), metrics.Factory(), shape.Factory(), spectra.Factory()},
	}
}

// runnable has every model refuse any parameters while the kernels cannot run.
func runnable(models []model.Factory) []model.Factory {
	for i, f := range models {
		models[i].Check = func(v param.Values, t model.Target) []param.Problem {
			if err := kernel.CheckVariant(); err != nil {
				return []param.Problem{{Message: err.Error(), Hint: "unset " + kernel.VariantEnv + ", or set it to one of them"}}
			}
			if f.Check == nil {
				return nil
			}
			return f.Check(v, t)
		}
	}
	return models
}
