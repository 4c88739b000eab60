package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/report"
)

func (p Program) runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run an experiment", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Description: "Validates the experiment, runs what is not stored yet, and writes the run's folder with its report.\n" +
			"A run that was cut short goes on where it was: run the same file again.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the run into `DIR`", DefaultText: "runs/NAME-TIME"},
			setFlag(),
			&cli.DurationFlag{Name: "checkpoint-every", Value: pipeline.DefaultCheckpointEvery, Usage: "a training that is cut short loses at most `TIME`, e.g. 30s or 5m"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing but errors and results"},
			&cli.BoolFlag{Name: "verbose", Usage: "log debugging messages too, into the run's log.jsonl"},
			jsonFlag(),
		}, budgetFlags()...),
		Action: p.run,
	}
}

func (p Program) run(c *cli.Context) error {
	g, err := p.prepare(c, true)
	if err != nil {
		return err
	}
	out := c.String("out")
	if out == "" {
		out = filepath.Join(runsRoot, g.exp.Name+"-"+time.Now().Format("20060102-150405"))
	}
	if d := c.Duration("checkpoint-every"); d <= 0 {
		return usagef("--checkpoint-every %v: a time above 0 is needed, e.g. 30s", d)
	}
	g.host.CheckpointEvery = c.Duration("checkpoint-every")
	level := slog.LevelInfo
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	watch := p.newWatch(c.Bool("quiet") || c.Bool("json"))
	g.host.Observer = watch
	run := pipeline.Run{Experiment: g.exp, Host: g.host, Out: out, Version: Version(), Command: os.Args, LogLevel: level}
	_, runErr := run.Execute(c.Context)
	watch.close()
	if runErr != nil && errors.Is(runErr, context.Canceled) {
		return fmt.Errorf("interrupted; `ctdb-host run %s` goes on where this run stopped: %w", c.Args().First(), context.Canceled)
	}
	if runErr != nil && !errors.Is(runErr, pipeline.ErrStages) {
		return runErr
	}
	// A run in which some stages failed still has a report of the others.
	finished, err := artifact.OpenRun(out)
	if err == nil {
		err = report.Write(context.WithoutCancel(c.Context), finished)
	}
	if runErr != nil || err != nil {
		return errors.Join(runErr, err)
	}
	if c.Bool("json") {
		r, err := finished.Results()
		if err != nil {
			return err
		}
		return p.printJSON(map[string]any{"run": out, "metrics": r.Metrics})
	}
	if err := p.printResults(finished); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "run     %s\nreport  %s\n", out, filepath.Join(out, artifact.ReportFile))
	return nil
}

// prepared is an experiment with all that is needed to run it.
type prepared struct {
	exp   *experiment.Experiment
	host  pipeline.Host
	graph *pipeline.Graph
}

// prepare loads and validates the experiment that a command names.
func (p Program) prepare(c *cli.Context, ask bool) (*prepared, error) {
	if n := c.Int("jobs"); c.IsSet("jobs") && n < 1 {
		return nil, usagef("--jobs %d: at least 1 is needed", n)
	}
	if n := c.Int("threads"); c.IsSet("threads") && n < 1 {
		return nil, usagef("--threads %d: at least 1 is needed", n)
	}
	cat, err := p.catalog(c)
	if err != nil {
		return nil, err
	}
	exp, err := p.load(c.Context, c, cat)
	if err != nil {
		return nil, err
	}
	st, err := openStore(c)
	if err != nil {
		return nil, err
	}
	out := &prepared{exp: exp, host: pipeline.Host{Catalog: cat, Store: st, Threads: max(1, c.Int("threads")), Jobs: max(1, c.Int("jobs"))}}
	if ask {
		if err := pipeline.Validate(c.Context, exp, out.host); err != nil {
			return nil, err
		}
	}
	if out.graph, err = pipeline.New(exp, out.host); err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

func (p Program) validateCommand() *cli.Command {
	return &cli.Command{
		Name: "validate", Usage: "check an experiment without running it", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Flags: []cli.Flag{setFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			g, err := p.prepare(c, true)
			if c.Bool("json") {
				return p.validationJSON(g, err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.Out, "%s is valid: %s\n", g.exp.Name, strings.Join(g.graph.Stages(), ", "))
			return nil
		},
	}
}

// validationJSON prints the problems of an experiment as data. Other errors are returned.
func (p Program) validationJSON(g *prepared, err error) error {
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Path    string `json:"path"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	}
	problems := []problem{}
	var wrong *experiment.Error
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	if wrong != nil {
		for _, q := range wrong.Problems {
			problems = append(problems, problem{q.File, q.Line, q.Column, q.Path, q.Message, q.Hint})
		}
	}
	var stages []string
	if g != nil {
		stages = g.graph.Stages()
	}
	if printErr := p.printJSON(map[string]any{"valid": err == nil, "stages": stages, "problems": problems}); printErr != nil {
		return printErr
	}
	if err != nil {
		return usageError{errReported}
	}
	return nil
}

func (p Program) planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show the stages of an experiment and which are stored", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Flags: []cli.Flag{setFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			g, err := p.prepare(c, false)
			if err != nil {
				return err
			}
			plan, err := g.graph.Plan(c.Context)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(plan)
			}
			t := p.table("stage", "component", "needs", "key", "what a run would do")
			for _, s := range plan {
				do := "nothing: stored"
				if !s.Stored {
					do = "run it: " + s.Reason
				}
				for _, line := range s.Changed {
					do += "\n  " + line
				}
				t.AppendRow(table.Row{s.Stage, s.Component, strings.Join(s.Needs, ", "), shortKey(s.Key), do})
			}
			t.Render()
			return nil
		},
	}
}

func shortKey(key string) string { return key[:min(12, len(key))] }
