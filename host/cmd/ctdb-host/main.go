// Command ctdb-host runs computation-through-dynamics studies: see `ctdb-host help` and the README.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/ctdb-host/ctdb/host/cli"
	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal ends the run in good order; from then on a second one kills.
	context.AfterFunc(ctx, stop)
	return cli.Main(ctx, os.Args, cli.Program{
		Out: os.Stdout, Err: os.Stderr,
		Builtin:      []string{"plugin", "serve-builtin"},
		ServeBuiltin: func() { serve.Main(builtin.Plugin()) },
	})
}
