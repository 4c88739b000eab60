package builtin

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// TestConformity holds every built-in component to what any third party's is held to.
func TestConformity(t *testing.T) {
	plugintest.Plugin(t, Plugin(), plugintest.Options{Params: map[string]param.Values{
		"task/multitask": {"n_trials": 5},
	}})
}
