// Command thirdparty is a plugin as somebody else would write it: one component of each kind, from the public SDK alone. The end-to-end tests build it and mix
// its components with the built-in ones.
package main

import (
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

func main() {
	serve.Main(serve.Plugin{
		Name: "thirdparty", Version: "1.2.0", Doc: "An integrator, a puck in closed loop, an echo state network, coin-flip spikes and a contraction measure.",
		Tasks:       []task.Factory{integrator(), puckOnIce()},
		Models:      []model.Factory{echoState()},
		Simulators:  []simulator.Factory{coinFlip()},
		Comparators: []comparator.Factory{contraction()},
	})
}
