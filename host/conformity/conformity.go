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
	"slices"
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
	w, err := newWorld(scratch)
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
		{"files", "nothing is written but to the private folder of an instance", func(v *plugintest.Verdict) error { return w.files(v) }},
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

// world is where the plugin runs: folders of its own for all that programs write to without being asked.
type world struct {
	root, home, temp, work, instances string
}

func newWorld(root string) (*world, error) {
	w := &world{root: root}
	for _, d := range []struct {
		path *string
		name string
	}{{&w.home, "home"}, {&w.temp, "tmp"}, {&w.work, "work"}, {&w.instances, "instances"}} {
		*d.path = filepath.Join(root, d.name)
		if err := os.Mkdir(*d.path, 0o700); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// environment is where the process is told to write. Python finds the user's own packages all the same.
func (w *world) environment() map[string]string {
	set := map[string]string{
		"HOME": w.home, "TMPDIR": w.temp, "XDG_CACHE_HOME": filepath.Join(w.home, ".cache"), "XDG_CONFIG_HOME": filepath.Join(w.home, ".config"),
		"XDG_DATA_HOME": filepath.Join(w.home, ".local", "share"), "XDG_STATE_HOME": filepath.Join(w.home, ".local", "state"), "PYTHONDONTWRITEBYTECODE": "1",
	}
	if home, err := os.UserHomeDir(); err == nil && os.Getenv("PYTHONUSERBASE") == "" {
		set["PYTHONUSERBASE"] = filepath.Join(home, ".local")
	}
	return set
}

// files reports what the plugin has left outside its folders.
func (w *world) files(v *plugintest.Verdict) error {
	var found []string
	for _, dir := range []string{w.home, w.temp, w.work} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(found)
	names := map[string]string{w.home: "$HOME", w.temp: "$TMPDIR", w.work: "its working folder"}
	for _, path := range found {
		for dir, name := range names {
			if rest, ok := strings.CutPrefix(path, dir+string(filepath.Separator)); ok {
				v.Failf("it has written %q below %s: the folder that an instance is opened with is the only place to write to", rest, name)
			}
		}
	}
	return nil
}
