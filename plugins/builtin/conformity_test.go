package builtin

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// TestConformity holds every built-in component to what any third party's is held to.
func TestConformity(t *testing.T) {
	plugintest.Plugin(t, Plugin(), plugintest.Options{Params: map[string]param.Values{
		"task/multitask":         {"n_trials": 5},
		"comparator/fixedpoints": {"starts": 32, "basin_steps": 20, "null_draws": 2, "iterations": 20},
		"comparator/dsa":         {"n_delays": 4, "rank": 8, "starts": 4},
	}})
}
