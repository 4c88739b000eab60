// Package cli is the command line of ctdb-host: it reads flags, calls the packages that do the work, and presents what they return. Nothing is
// computed here.
//
// Every command takes its writers from [Main], so that a test reads what a user would. Exit statuses:
//
//	0    success
//	1    something failed while it ran: a stage, a plugin, a file
//	2    the command line, the experiment file or what it names is wrong; nothing was started
//	130  interrupted
//	137  the run that was followed was killed
//	141  nobody reads what is printed any longer, as after `| head`
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
)

// Program is what the commands need to know of the program that they are in.
type Program struct {
	// Out takes what was asked for, Err what is said beside it.
	Out, Err io.Writer
	// Builtin are the arguments with which this executable serves the built-in plugin, and ServeBuiltin does it.
	Builtin      []string
	ServeBuiltin func()
	// CheckFile are the arguments before a file's kind and path with which this executable checks it for another, see pipeline.ServeFileCheck; none checks
	// files in this very process.
	CheckFile []string
}

// Main runs the command line args, of which the first is the program's name, and returns the exit status.
func Main(ctx context.Context, args []string, p Program) int {
	if len(args) > 1 && slices.Equal(args[1:], p.Builtin) {
		p.ServeBuiltin()
		return Success
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &sticky{Writer: p.Out, unread: stop}
	p.Out = out
	app := p.app()
	if len(args) > 2 && args[len(args)-1] == completionFlag {
		p.complete(ctx, app, args[:len(args)-1])
		return Success
	}
	l := takeApart(app, args)
	err := p.start(ctx, l)
	if errors.Is(out.err, syscall.EPIPE) {
		return Unread
	}
	if err == nil && out.err != nil {
		err = fmt.Errorf("printing what was asked for: %w", out.err)
	}
	status := exitStatus(ctx, err)
	if err != nil && !errors.Is(err, errReported) {
		p.tell(err, status, l.has("json"))
	}
	return status
}

// sticky remembers the first error of writing: tables are written by a library that does not. When nobody reads any longer it ends what goes on, in good order.
type sticky struct {
	io.Writer
	unread context.CancelFunc
	err    error
}

// Write writes.
func (s *sticky) Write(p []byte) (int, error) {
	n, err := s.Writer.Write(p)
	if s.err == nil {
		s.err = err
	}
	if errors.Is(err, syscall.EPIPE) {
		s.unread()
	}
	return n, err
}

// start runs what a command line asks for, once it is known that there is such a command with such flags.
func (p Program) start(ctx context.Context, l line) error {
	c := l.command()
	names := commandNames(l.app.Commands)
	if c != nil {
		names = commandNames(c.Subcommands)
	}
	if len(l.positional) > 0 && len(names) > 0 && !l.unknownFirst {
		given := l.positional[0]
		if c != nil {
			return usagef("%s: no command %q%s; `ctdb-host help %s` lists them", l.name(), given, nearest(given, names), l.name())
		}
		return usagef("no command %q%s; `ctdb-host help` lists them", given, nearest(given, names))
	}
	switch {
	case l.has("help"):
		return p.helpOn(l.app, strings.Fields(l.name()))
	case l.has("version"):
		fmt.Fprintf(p.Out, "%s version %s\n", l.app.Name, l.app.Version)
		return nil
	}
	if err := l.check(); err != nil {
		return err
	}
	if len(names) > 0 {
		return p.helpOn(l.app, strings.Fields(l.name()))
	}
	return l.app.RunContext(ctx, l.args)
}

func (p Program) app() *cli.App {
	return &cli.App{
		Name:           "ctdb-host",
		Usage:          "computation-through-dynamics studies with out-of-process plugins",
		Version:        Version(),
		Writer:         p.Out,
		ErrWriter:      p.Err,
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   onUsage,
		// Help, the version and completion are this package's own, which knows the width of the terminal and what a command line is about.
		HideHelp: true, HideVersion: true,
		// A list such as [1, 2] is one value of --set.
		DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "plugin-dir", Usage: "look for plugins in `DIR` first (may be repeated)"},
			&cli.StringFlag{Name: "store", Usage: "keep results in `DIR`", EnvVars: []string{"CTDB_STORE"}, DefaultText: "ctdb/store in the user's data folder"},
		},
		Commands: grouped([]*cli.Command{
			p.runCommand(), p.validateCommand(), p.planCommand(), p.importCommand(), p.compareCommand(), p.examplesCommand(), p.schemaCommand(),
			p.showCommand(), p.runsCommand(), p.reportCommand(), p.storeCommand(),
			p.componentsCommand(), p.describeCommand(), p.pluginCommand(),
			p.doctorCommand(), p.benchCommand(), p.completionCommand(), p.helpCommand(),
		}),
	}
}

func onUsage(_ *cli.Context, err error, _ bool) error { return usageError{err} }

// Version is the program's version: that of its module, with the revision that it was built from where that is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 && !strings.Contains(v, s.Value[:12]) {
			v += " " + s.Value[:12]
		}
	}
	return strings.TrimSpace(v) + " " + runtime.GOOS + "/" + runtime.GOARCH
}
