package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/launch"
)

// Run is one execution of a study: what goes into a run's folder beside the stages.
type Run struct {
	Study *experiment.Study
	Host  Host
	// Out is the run's folder. It is made; if it is there already it must be empty or that of a run of the same name, which is then gone on with.
	Out string
	// Points are the indices of the points to run; nil for all, or the shard's.
	Points []int
	// Shard is the share of the points that is run, e.g. "2/4"; empty for all. Several shards may run into one folder at the same time.
	Shard string
	// Version is the program's.
	Version string
	// Command is the command line, for the provenance.
	Command []string
	// LogLevel of the run's log file. Host.Log, where there is one, is told the same, by its own level.
	LogLevel slog.Level
}

// Execute runs the study into the folder: it runs the graph, links what the stages made into the folders of the points that have them, gathers the results of all
// comparisons into results.json and says in provenance.json how it went. The folder is complete but for the report even where stages failed or the run
// was cut short. The error wraps [ErrFolder] where the folder will not do, [artifact.ErrRunLocked] where another host writes into it, and is otherwise that of
// [Graph.Run].
func (x Run) Execute(ctx context.Context) (outcomes []Outcome, err error) {
	points, err := x.points()
	if err != nil {
		return nil, err
	}
	g, err := New(x.Study, points, x.Host)
	if err != nil {
		return nil, err
	}
	f, err := x.claim(ctx, g)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.unlock()) }()
	if err := f.begin(); err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(x.Out, artifact.ShardFile(artifact.LogFile, x.shard())), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	defer logFile.Close()
	handler := newLogHandler(logFile, x.LogLevel)
	// What one follows a run by is in its log whatever the level.
	events := newLogHandler(logFile, min(x.LogLevel, slog.LevelInfo))
	if x.Host.Log != nil {
		handler, events = slog.NewMultiHandler(handler, x.Host.Log.Handler()), slog.NewMultiHandler(events, x.Host.Log.Handler())
	}
	g.host.Log = slog.New(handler)
	follow := slog.New(events)
	g.host.Observer = newLogged(g.host.Observer, follow)
	f.log = g.host.Log
	if gone, err := launch.Sweep(ctx); err != nil || len(gone) > 0 {
		g.host.Log.Info("removed what dead hosts left", "folders", gone, "error", err)
	}
	follow.Info("run", "status", "running", "name", x.Study.Name, "points", len(g.points), "stages", len(g.stages), "shard", x.Shard, "version", x.Version)
	f.displaced.tell(g.host.Log, x.Out)
	outcomes, runErr := g.run(ctx, f)
	runErr = errors.Join(runErr, failures(f.failed()))
	status := statusOf(outcomes)
	if runErr != nil && status == statusDone {
		status = statusFailed
	}
	// What there is is told even where the run was cut short.
	err = f.finish(context.WithoutCancel(ctx), outcomes, status)
	follow.Info("run", "status", status)
	return outcomes, errors.Join(runErr, err)
}

// newLogHandler writes JSON lines with the time in UTC.
func newLogHandler(w io.Writer, level slog.Level) slog.Handler {
	return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			a.Value = slog.TimeValue(a.Value.Time().UTC())
		}
		return a
	}})
}

// points are the indices of the points to run; nil for all.
func (x Run) points() ([]int, error) {
	shard, err := ParseShard(x.Shard)
	if err != nil {
		return nil, err
	}
	if shard.N > 1 && !x.isStudy() {
		return nil, fmt.Errorf("%w: shard %s: %s has neither seeds nor a matrix, so there is nothing to share", ErrShard, x.Shard, x.Study.Name)
	}
	switch {
	case !x.isStudy():
		return nil, nil
	case x.Points != nil || x.Shard == "":
		return x.Points, nil
	}
	return shard.Points(len(x.Study.Points)), nil
}

// ErrShard is wrapped where a share of a single experiment is asked for.
var ErrShard = errors.New("pipeline")

// isStudy reports whether there are points that have folders of their own.
func (x Run) isStudy() bool { return len(x.Study.Axes) > 0 }

// shard is what files are named after; empty where there is no other.
func (x Run) shard() string {
	if !x.isStudy() {
		return ""
	}
	return x.Shard
}

// The states of a run and of a point, as the provenance has them.
const (
	statusRunning     = "running"
	statusDone        = "done"
	statusFailed      = "failed"
	statusInterrupted = "interrupted"
)

// statusOf is the state of a run of which these stages have ended.
func statusOf(outcomes []Outcome) string {
	switch {
	case slices.ContainsFunc(outcomes, Outcome.cut):
		return statusInterrupted
	case slices.ContainsFunc(outcomes, func(o Outcome) bool { return o.Err != nil }):
		return statusFailed
	}
	return statusDone
}

// provenance is what a run has done in a folder so far; point is nil where the folder is that of the whole.
func (f *folders) provenance(stages []*stage, p *point, started time.Time) artifact.Provenance {
	out := f.about
	out.Started = started
	if p != nil && f.run.isStudy() {
		out.Study, out.Point = f.run.Study.Name, p.Values
	}
	seen := map[string]bool{}
	for _, s := range stages {
		for _, u := range s.uses {
			c, m := u.found.Plugin.Candidate, u.found.Plugin.Manifest
			if seen[c.Sum()] {
				continue
			}
			seen[c.Sum()] = true
			out.Plugins = append(out.Plugins, artifact.PluginUse{
				Name: m.Name, Version: m.Version, Path: c.Path, SHA256: c.Sum(), Language: m.Language, Build: m.Build, Numerics: m.Numerics,
			})
		}
	}
	slices.SortFunc(out.Plugins, func(a, b artifact.PluginUse) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// interruptedFromOutside is why a stage was interrupted, whatever it was in the middle of.
const interruptedFromOutside = "interrupted by Ctrl-C or a signal"

// stageUse is an outcome as a provenance has it.
func stageUse(name string, o Outcome) artifact.StageUse {
	s := artifact.StageUse{Stage: name, Key: o.Key, Stored: o.Status == Stored, Status: statusDone, Seconds: artifact.Number(o.Elapsed.Seconds()), Threads: o.Threads, From: o.From}
	if o.Err != nil {
		s.Status, s.Error = string(o.Status), o.Err.Error()
	}
	if o.Status == Interrupted {
		s.Error = interruptedFromOutside
	}
	if o.Stopped {
		s.Stopped = stoppedByTime
	}
	if o.Retried != nil {
		s.Retried = firstLine(o.Retried)
	}
	return s
}
