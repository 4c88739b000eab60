// Command systems is a plugin of dynamical systems that are known exactly, in the place of trained networks: what a comparator says of them can be held against what is true.
// `make examples-report` builds it and compares them.
//
// It is an example of a plugin, too: a task and a model whose dynamics are written down and not learned.
package main

import (
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
)

func main() { serve.Main(plugin()) }

func plugin() serve.Plugin {
	return serve.Plugin{
		Name: "systems", Version: "1.0.0", Doc: "Known dynamical systems in the place of trained networks, to try comparators on.",
		Tasks:  []task.Factory{freeRun()},
		Models: []model.Factory{known()},
	}
}
