// Package conformity runs the SDK's conformance suite (package plugintest) on a plugin's executable, in whatever language it is written, and checks besides what can be seen of a process alone: what it
// prints, what it writes, and how it ends.
package conformity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

// Options say what to check and how.
type Options struct {
	plugintest.Options
	// Path of the executable, and the arguments with which it serves.
	Path string
	Args []string
	// Log hears what the plugin logs; nil for none.
	Log *slog.Logger
}

// Run checks a plugin. The error says that there was nothing to check: it cannot be started, say. What is wrong with the plugin is in the report.
func Run(ctx context.Context, o Options) (report plugintest.Report, err error) {
	if o.Path, err = filepath.Abs(o.Path); err != nil {
		return report, fmt.Errorf("conformity: %w", err)
	}
	scratch, err := os.MkdirTemp("", "ctdb-check")
	if err != nil {
		return report, fmt.Errorf("conformity: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	w, err := newWorld(scratch, o.Path)
	if err != nil {
		return report, fmt.Errorf("conformity: %w", err)
	}
	heard := newListener(o.Log)
	spec := launch.Spec{Path: o.Path, Args: o.Args, Dir: w.work, Set: w.environment(), Threads: 2, Log: slog.New(heard), Health: -1}
	o.Options.Dir = w.instances
	report, err = plugintest.Run(ctx, starter(spec, heard), o.Options)
	if err != nil {
		return report, err
	}
	note := func(r plugintest.Result) {
		report.Results = append(report.Results, r)
		if o.Each != nil {
			o.Each(r)
		}
	}
	for _, c := range []struct {
		name, doc string
		run       func(v *plugintest.Verdict) error
	}{
		{"stdout", "nothing but the handshake is written to standard output", func(v *plugintest.Verdict) error { return heard.stdout(v) }},
		{"files", "nothing is written but to the private folder of an instance, not to the plugin's own either", func(v *plugintest.Verdict) error { return w.files(v) }},
		{"exit", "it exits when it is told to, and leaves no process running", func(v *plugintest.Verdict) error { return heard.exits(v) }},
		{"lifeline", "it ends when its standard input does, which is how it learns that its host was killed", func(v *plugintest.Verdict) error { return lifeline(ctx, spec, v) }},
		{"by-hand", "run by hand it says what it is and ends with an error", func(v *plugintest.Verdict) error { return byHand(ctx, spec, v) }},
	} {
		v, began := &plugintest.Verdict{}, time.Now()
		if err := c.run(v); err != nil {
			if ctx.Err() != nil {
				return report, fmt.Errorf("conformity: %w", ctx.Err())
			}
			v.Failf("%v", err)
		}
		note(v.Result("", c.name, c.doc, time.Since(began)))
	}
	return report, nil
}

// starter starts the plugin's process.
func starter(spec launch.Spec, heard *listener) plugintest.Start {
	return func(ctx context.Context) (plugintest.Running, error) {
		p, err := launch.Start(ctx, spec)
		if err != nil {
			return plugintest.Running{}, err
		}
		return plugintest.Running{
			Plugin: p.Client,
			Stop: func(ctx context.Context) error {
				err := p.Stop(ctx)
				if p.Killed() {
					heard.late()
				}
				var died *launch.ExitError
				if errors.As(err, &died) {
					// It is told as what the check did to it.
					return nil
				}
				return err
			},
			Died: p.Wrap,
		}, nil
	}
}

// lifelineTime is what a process has to end in when its host is gone.
const lifelineTime = 5 * time.Second

func lifeline(ctx context.Context, spec launch.Spec, v *plugintest.Verdict) error {
	o, err := launch.Orphan(ctx, spec, lifelineTime)
	if err != nil {
		return err
	}
	switch {
	case !o.Ended:
		v.Failf("its standard input has ended, and %v later it still runs: with CTDB_PLUGIN_LIFELINE=stdin it must read standard input and end at once when that does, also while it computes", lifelineTime)
	case o.Left > 0:
		v.Failf("it ended, but %d of the processes that it had started did not: they must end with it", o.Left)
	}
	v.Notef("%.2f s", o.Took.Seconds())
	return nil
}

func byHand(ctx context.Context, spec launch.Spec, v *plugintest.Verdict) error {
	const patience = 20 * time.Second
	state, printed, err := launch.ByHand(ctx, spec, patience)
	switch {
	case err != nil:
		return err
	case state == "":
		v.Failf("without a host's environment it was still running after %v: it must say that it is not meant to be run by hand, and exit with 1", patience)
	case state == "exit status 0":
		v.Failf("without a host's environment it exits with status 0: 1 is needed")
	case strings.TrimSpace(printed) == "":
		v.Failf("without a host's environment it ends with %s and says nothing: a line on what it is helps who runs it by hand", state)
	}
	return nil
}
