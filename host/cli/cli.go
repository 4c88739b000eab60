// Package cli is the command line of ctdb-host: it reads flags, calls the packages that do the work, and presents what they return. Nothing is
// computed here.
//
// Every command takes its writers from [Main], so that a test reads what a user would. Exit statuses:
//
//	0    success
//	1    something failed while it ran: a stage, a plugin, a file
//	2    the command line, the experiment file or what it names is wrong; nothing was started
//	130  interrupted
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// The exit statuses.
const (
	Success     = 0
	Failure     = 1
	Usage       = 2
	Interrupted = 130
)

// Program is what the commands need to know of the program that they are in.
type Program struct {
	// Out takes what was asked for, Err what is said beside it.
	Out, Err io.Writer
	// Builtin are the arguments with which this executable serves the built-in plugin, and ServeBuiltin does it.
	Builtin      []string
	ServeBuiltin func()
}

// Main runs the command line args, of which the first is the program's name, and returns the exit status.
func Main(ctx context.Context, args []string, p Program) int {
	if len(args) > 1 && slices.Equal(args[1:], p.Builtin) {
		p.ServeBuiltin()
		return Success
	}
	app := p.app()
	err := app.RunContext(ctx, flagsFirst(app, args))
	status := exitStatus(ctx, err)
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintf(p.Err, "ctdb-host: %s\n", err)
	}
	return status
}

// errReported marks an error that the user has been told of.
var errReported = errors.New("reported")

// usageError is an error of the one who calls.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitStatus(ctx context.Context, err error) int {
	if err == nil {
		return Success
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return Interrupted
	}
	var usage usageError
	var file *experiment.Error
	var format *artifact.FormatError
	var missing *catalog.NotFoundError
	var ambiguous *catalog.AmbiguousError
	if errors.As(err, &usage) || errors.As(err, &file) || errors.As(err, &missing) || errors.As(err, &ambiguous) || errors.As(err, &format) {
		return Usage
	}
	if errors.Is(err, pipeline.ErrFolder) {
		return Usage
	}
	if errors.Is(err, component.ErrInvalidArgument) && !errors.Is(err, errReported) {
		return Usage
	}
	return Failure
}

func (p Program) app() *cli.App {
	return &cli.App{
		Name:                 "ctdb-host",
		Usage:                "computation-through-dynamics studies with out-of-process plugins",
		Version:              Version(),
		Writer:               p.Out,
		ErrWriter:            p.Err,
		ExitErrHandler:       func(*cli.Context, error) {},
		Suggest:              true,
		EnableBashCompletion: true,
		OnUsageError:         onUsage,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "plugin-dir", Usage: "look for plugins in `DIR` first (may be repeated)"},
			&cli.StringFlag{Name: "store", Usage: "keep results in `DIR`", EnvVars: []string{"CTDB_STORE"}, DefaultText: "in the user's data folder"},
		},
		Commands: []*cli.Command{
			p.runCommand(), p.validateCommand(), p.planCommand(),
			p.componentsCommand(), p.describeCommand(), p.examplesCommand(),
			p.runsCommand(), p.showCommand(), p.reportCommand(), p.pluginCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				var names []string
				for _, cmd := range c.App.Commands {
					names = append(names, cmd.Name)
				}
				return usagef("no command %q%s; `ctdb-host help` lists them", c.Args().First(), nearest(c.Args().First(), names))
			}
			return cli.ShowAppHelp(c)
		},
	}
}

func onUsage(_ *cli.Context, err error, _ bool) error { return usageError{err} }

// flagsFirst moves flags to where the flag package wants them, the program's own before the command and a command's before its arguments, so that
// `run nbff --jobs 2 --store DIR` works.
func flagsFirst(app *cli.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	var global, out []string
	rest := args[1:]
	flags, commands := app.Flags, app.Commands
	for {
		var front, back []string
		var sub *cli.Command
		for i := 0; i < len(rest); i++ {
			a := rest[i]
			if a == "--" {
				back = append(back, rest[i:]...)
				break
			}
			if len(a) > 1 && a[0] == '-' {
				own, ofApp := flagOf(flags, a), flagOf(app.Flags, a)
				moved := []string{a}
				if f := cmp.Or(own, ofApp); f != nil && takesValue(f, a) && i+1 < len(rest) {
					i++
					moved = append(moved, rest[i])
				}
				if ofApp != nil && (own == nil || own == ofApp) {
					global = append(global, moved...)
				} else {
					front = append(front, moved...)
				}
				continue
			}
			if len(back) == 0 {
				sub = find(commands, a)
			}
			if sub != nil {
				out = append(append(out, front...), a)
				rest = rest[i+1:]
				break
			}
			back = append(back, a)
		}
		if sub == nil {
			out = append(append(out, front...), back...)
			return append(append([]string{args[0]}, global...), out...)
		}
		flags, commands = sub.Flags, sub.Subcommands
	}
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// flagOf is the flag that is written so; nil where there is none.
func flagOf(flags []cli.Flag, arg string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether a flag as written is followed by its value.
func takesValue(f cli.Flag, arg string) bool {
	_, isBool := f.(*cli.BoolFlag)
	return !isBool && !strings.Contains(arg, "=")
}

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
