// Command ctdb-host runs computation-through-dynamics studies: see `ctdb-host help` and the README.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/ctdb-host/ctdb/host/cli"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

func main() {
	os.Exit(run())
}

func run() int {
	// What this program starts itself as.
	builtinPlugin, janitor := []string{"plugin", "serve-builtin"}, launch.NewJanitor("plugin", "janitor")
	switch {
	case slices.Equal(os.Args[1:], builtinPlugin):
		serve.Main(builtin.Plugin())
		return cli.Success
	case janitor.Is(os.Args[1:]):
		launch.ServeJanitor(os.Stdin)
		return cli.Success
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, stop := context.WithCancel(launch.WithJanitor(context.Background(), janitor))
	defer stop()
	go heed(signals, stop, func() {
		fmt.Fprintln(os.Stderr, "ctdb-host: killed; the same command goes on from the last checkpoint")
		// It kills the plugins and removes their folders; should it not, they end with this process all the same.
		_ = janitor.Close()
		os.Exit(cli.Interrupted)
	})
	status := cli.Main(ctx, os.Args, cli.Program{
		Out: os.Stdout, Err: os.Stderr,
		Builtin:      builtinPlugin,
		ServeBuiltin: func() { serve.Main(builtin.Plugin()) },
	})
	if err := janitor.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "ctdb-host:", err)
	}
	return status
}
