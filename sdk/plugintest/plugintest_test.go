package plugintest

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// TestFoilsPass holds what components are checked with to the same checks.
func TestFoilsPass(t *testing.T) {
	r := Plugin(t, serve.Plugin{Name: "foils", Version: "1.0.0", Doc: "the foils", Tasks: []task.Factory{foilTask(), foilLoop()}}, Options{})
	if n := r.Count(Passed); n < 20 {
		t.Errorf("only %d checks passed", n)
	}
}
