package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/runlog"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	// followEvery is the time between two looks at a run's log, and statusEvery how many looks there are to one at whether the run goes on.
	followEvery = 250 * time.Millisecond
	statusEvery = 4
)

// The states of a run's folder that end the following of it otherwise than well; see [artifact.Run.Status].
const (
	runRunning     = "running"
	runFailed      = "failed"
	runInterrupted = "interrupted"
	runKilled      = "killed"
)

func followFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "watch a run that goes on elsewhere until it ends, by default the newest; the exit status is the run's"},
		&cli.StringFlag{Name: "log-level", Value: "warn", Usage: "with --follow, show the log from `debug|info|warn|error` on"},
	}
}

// levelOf reads a level of the log.
func levelOf(text string) (slog.Level, error) {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[text]
	if !ok {
		return 0, usagef("--log-level %s: debug, info, warn or error is needed%s", text, nearest(text, []string{"debug", "info", "warn", "error"}))
	}
	return l, nil
}

// follow shows a run until it ends, and ends as the run does.
func (p Program) follow(c *cli.Context) error {
	level, err := levelOf(c.String("log-level"))
	if err != nil {
		return err
	}
	run, err := followed(c)
	if err != nil {
		return err
	}
	w := p.newWatch(c.Bool("json"))
	w.level = level
	if !w.quiet {
		fmt.Fprintf(p.Err, "%s: %s\n", run.Dir(), w.status(run.Status()))
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	status, err := followRun(c.Context, run, w, tick.C)
	w.close()
	if err != nil {
		return err
	}
	return p.followedTo(c, run, status)
}

// followed is the run that is to be followed: the one that is named, or the newest of those that go on, or the newest.
func followed(c *cli.Context) (*artifact.Run, error) {
	if c.Args().Present() {
		return openRun(c)
	}
	list, err := artifact.ListRuns(c.String("root"))
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, usagef("show: there are no runs in %s: name one, or say with --root where they are", c.String("root"))
	}
	dir := list[0].Dir
	for _, r := range list {
		if r.Status == runRunning {
			dir = r.Dir
			break
		}
	}
	run, err := artifact.OpenRun(dir)
	if err != nil {
		return nil, usageError{err}
	}
	return run, nil
}

// followRun tells a watch what a run's log says, looking at it at each tick, until the run has ended, and returns the run's status.
func followRun(ctx context.Context, run *artifact.Run, w *watch, ticks <-chan time.Time) (status string, err error) {
	f := runlog.Follow(run.Dir(), artifact.LogFile)
	defer func() { err = errors.Join(err, f.Close()) }()
	// What is there already is told as past: of the last time that the run was begun, and without the progress in between.
	w.past = true
	var past []runlog.Record
	for more := true; more && ctx.Err() == nil; {
		var records []runlog.Record
		status = run.Status()
		if records, more, err = f.Poll(); err != nil {
			return "", err
		}
		for _, r := range records {
			if begins(r) && r.Text("shard") == "" {
				past = past[:0]
			}
			past = append(past, r)
		}
	}
	now := time.Now()
	for _, r := range past {
		tell(w, r)
		now = r.Time // times are the other host's, whose clock may be another
	}
	w.present(now)
	for looks := 1; status == runRunning; looks++ {
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no longer following %s, which goes on: %w", run.Dir(), ctx.Err())
		case <-ticks:
		}
		// The status is read before the log, so that what was written before the end is told.
		if looks%statusEvery == 0 {
			status = run.Status()
		}
		for more := true; more && ctx.Err() == nil; {
			var records []runlog.Record
			if records, more, err = f.Poll(); err != nil {
				return "", err
			}
			for _, r := range records {
				tell(w, r)
			}
		}
	}
	return status, nil
}

// begins reports whether a record is the first of a run, or of a run that goes on.
func begins(r runlog.Record) bool {
	return r.Message == "run" && r.Text("status") == runRunning && r.Text("plugin") == ""
}

// tell tells a watch what a record says.
func tell(w *watch, r runlog.Record) {
	stage := r.Text("stage")
	switch {
	case r.Text("plugin") != "":
		w.log(r)
	case begins(r):
		if r.Text("shard") == "" {
			w.restart()
			w.expect(int(r.Integer("stages")))
		} else {
			w.expectMore(int(r.Integer("stages")))
		}
	case r.Message == "stage" && stage != "":
		elapsed := time.Duration(0)
		if s := r.Number("seconds"); s > 0 {
			elapsed = seconds(s)
		}
		w.changed(r.Time, stage, pipeline.Status(r.Text("status")), elapsed, r.Text("error"))
	case r.Message == "progress" && stage != "" && r.Text("phase") != "":
		w.progress(r.Time, stage, component.Progress{Phase: r.Text("phase"), Done: r.Integer("done"), Total: r.Integer("total"), Loss: r.Number("loss")})
	default:
		w.log(r)
	}
}

// followedTo says how a run has ended.
func (p Program) followedTo(c *cli.Context, run *artifact.Run, status string) error {
	run, err := artifact.OpenRun(run.Dir()) // with the stages that there are now
	if err != nil {
		return err
	}
	prov, err := run.Provenance()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := p.showJSON(run, prov); err != nil {
			return err
		}
	}
	switch status {
	case runKilled:
		return statusError{fmt.Errorf("the run in %s was killed; run the same file again with --out %s and it goes on", run.Dir(), run.Dir()), Killed}
	case runInterrupted:
		return statusError{fmt.Errorf("the run in %s was interrupted; run the same file again with --out %s and it goes on", run.Dir(), run.Dir()), Interrupted}
	case runFailed:
		errs := []error{pipeline.ErrStages}
		for _, s := range prov.Stages {
			if s.Status == runFailed {
				errs = append(errs, &pipeline.StageError{Stage: s.Stage, Err: errors.New(s.Error)})
			}
		}
		return statusError{errors.Join(errs...), Failure}
	}
	if c.Bool("json") {
		return nil
	}
	if err := p.printResults(run); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "run     %s\n", run.Dir())
	return nil
}
