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
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/serve"
)

func main() {
	os.Exit(run())
}

func run() int {
	// What this program starts itself as.
	builtinPlugin, checker, janitor := []string{"plugin", "serve-builtin"}, []string{"plugin", "check-file"}, launch.NewJanitor("plugin", "janitor")
	switch {
	case slices.Equal(os.Args[1:], builtinPlugin):
		serve.Main(builtin.Plugin())
		return cli.Success
	case len(os.Args) > 3 && slices.Equal(os.Args[1:3], checker):
		if err := pipeline.ServeFileCheck(os.Args[3:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "ctdb-host:", err)
			return cli.Failure
		}
		return cli.Success
	case janitor.Is(os.Args[1:]):
		launch.ServeJanitor(os.Stdin)
		return cli.Success
	}
	signals := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		// What nohup and a shell's background jobs have ignored stays ignored.
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	defer signal.Stop(signals)
	// Writing to a pipe that nobody reads is an error, with which commands end and tidy up, and not the end at once.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
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
		CheckFile:    checker,
	})
	if err := janitor.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "ctdb-host:", err)
	}
	return status
}
