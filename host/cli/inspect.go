package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/report"
)

func rootFlag() cli.Flag {
	return &cli.StringFlag{Name: "root", Value: runsRoot, Usage: "look for runs in `DIR`"}
}

func (p Program) runsCommand() *cli.Command {
	return &cli.Command{
		Name: "runs", Usage: "list runs, the newest first", OnUsageError: onUsage,
		Flags: []cli.Flag{rootFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			runs, err := artifact.ListRuns(c.String("root"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if c.Bool("json") {
				return p.runsJSON(runs)
			}
			if len(runs) == 0 {
				fmt.Fprintf(p.Out, "no runs in %s\n", c.String("root"))
				return nil
			}
			t := p.table("run", "experiment", "status", "started", "took", "stages or points")
			for _, r := range runs {
				if r.Err != nil {
					t.AppendRow(table.Row{r.Dir, "", "unreadable: " + r.Err.Error()})
					continue
				}
				took, started, holds := "", "", strings.Join(r.Stages, ", ")
				if !r.Started.IsZero() {
					started = humanize.Time(r.Started)
				}
				if !r.Finished.IsZero() {
					took = human(r.Finished.Sub(r.Started))
				}
				if r.Points > 0 {
					holds = fmt.Sprintf("%d of %d points done", r.Done, r.Points)
					if r.Failed > 0 {
						holds += fmt.Sprintf(", %d failed", r.Failed)
					}
				}
				t.AppendRow(table.Row{r.Dir, r.Name, newScreen(p.Out).status(r.Status), started, took, holds})
			}
			t.Render()
			return nil
		},
	}
}

func (p Program) runsJSON(runs []artifact.RunSummary) error {
	type row struct {
		Dir      string     `json:"dir"`
		Name     string     `json:"name"`
		Status   string     `json:"status"`
		Started  *time.Time `json:"started"`
		Finished *time.Time `json:"finished"`
		Stages   []string   `json:"stages"`
		// Points is the number of a study's points, 0 for a single run.
		Points int    `json:"points"`
		Done   int    `json:"points_done"`
		Failed int    `json:"points_failed"`
		Error  string `json:"error,omitempty"`
	}
	when := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	rows := []row{}
	for _, r := range runs {
		one := row{Dir: r.Dir, Name: r.Name, Status: r.Status, Started: when(r.Started), Finished: when(r.Finished), Stages: r.Stages, Points: r.Points, Done: r.Done, Failed: r.Failed}
		if r.Err != nil {
			one.Error = r.Err.Error()
		}
		rows = append(rows, one)
	}
	return p.printJSON(rows)
}

// openRun opens the run that a command names: a folder, or the name of one under the root of runs.
func openRun(c *cli.Context) (*artifact.Run, error) {
	name, err := oneArg(c, "a run's folder")
	if err != nil {
		return nil, err
	}
	return runOf(c, name)
}

func runOf(c *cli.Context, name string) (*artifact.Run, error) {
	run, err := artifact.OpenRun(name)
	if err == nil {
		return run, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{err}
	}
	under, underErr := artifact.OpenRun(filepath.Join(c.String("root"), name))
	switch {
	case underErr == nil:
		return under, nil
	case !errors.Is(underErr, fs.ErrNotExist):
		return nil, usageError{underErr}
	}
	return nil, usagef("%s: %s: there is no such run or folder, neither here nor in %s", c.Command.Name, name, c.String("root"))
}

func (p Program) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a run: its stages and results", ArgsUsage: "RUN", OnUsageError: onUsage,
		Flags: append([]cli.Flag{
			rootFlag(), jsonFlag(),
			&cli.BoolFlag{Name: "curve", Usage: "draw the learning curves, also of trainings that go on, by default of the newest run"},
		}, followFlags()...),
		Action: func(c *cli.Context) error {
			if c.Bool("follow") && c.Bool("curve") {
				return usagef("show: --curve and --follow are both given: one of them is needed")
			}
			if c.Bool("follow") {
				return p.follow(c)
			}
			if c.Bool("curve") {
				return p.curves(c)
			}
			run, err := openRun(c)
			if err != nil {
				return err
			}
			prov, err := run.Provenance()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if c.Bool("json") {
				return p.showJSON(run, prov)
			}
			return p.show(run, prov)
		},
	}
}

// show prints what there is of a run, whole or not.
func (p Program) show(run *artifact.Run, prov artifact.Provenance) error {
	s, study := run.Study()
	lead := []string{cmp.Or(prov.Name, s.Name, filepath.Base(run.Dir())), newScreen(p.Out).status(cmp.Or(run.Status(), "incomplete"))}
	if !prov.Started.IsZero() {
		lead = append(lead, fmt.Sprintf("started %s on %s, %d threads", prov.Started.Local().Format(time.DateTime), prov.CPU, prov.Threads))
	}
	fmt.Fprintln(p.Out, strings.Join(lead, "  "))
	if study {
		for _, err := range run.Problems() {
			fmt.Fprintln(p.Err, err)
		}
		if err := p.printStudy(run); err != nil {
			return err
		}
		p.sayCut(run, prov)
		p.sayGaps(run, allGaps(run, prov))
		return nil
	}
	fmt.Fprintln(p.Out)
	t := p.table("stage", "component", "status", "took", "key", "")
	for _, s := range prov.Stages {
		component := ""
		if st, ok := run.Stage(s.Stage); ok {
			component = st.Record.Component + " " + st.Record.ComponentVersion
		}
		lost := component == "" && s.Status == "done"
		status, took, remark := s.Status, human(time.Duration(float64(s.Seconds)*float64(time.Second))), s.Error
		if s.Stopped != "" {
			remark = "a limit of time ended its training; run it again to go on with it"
		}
		switch {
		case lost:
			status = "missing"
		case s.Stored:
			status, took = "stored", ""
		case s.Status == runInterrupted:
			remark = "by Ctrl-C or a signal"
		case s.Error == context.Canceled.Error():
			remark = "the run was interrupted before"
		}
		t.AppendRow(table.Row{s.Stage, component, newScreen(p.Out).status(status), took, shortKey(s.Key), remark})
	}
	for _, st := range run.Stages() {
		if !slices.ContainsFunc(prov.Stages, func(u artifact.StageUse) bool { return u.Stage == st.Name }) {
			t.AppendRow(table.Row{st.Name, st.Record.Component + " " + st.Record.ComponentVersion, newScreen(p.Out).status("done"), "", shortKey(st.Record.Key), ""})
		}
	}
	// What was in progress when the host was killed is not in the provenance.
	if run.Status() == runKilled {
		live, err := run.Live()
		if err != nil {
			return err
		}
		for _, l := range live {
			t.AppendRow(table.Row{filepath.ToSlash(l.Name), "", newScreen(p.Out).status(runKilled), "", "", "in its training"})
		}
	}
	t.Render()
	fmt.Fprintln(p.Out)
	lacks := allGaps(run, prov)
	err := p.printResults(run)
	if slices.ContainsFunc(lacks, func(g gap) bool { return g.results }) {
		err = nil // told below, with what to do
	}
	p.sayCut(run, prov)
	p.sayGaps(run, lacks)
	return err
}

// sayCut says how to go on with a run that was cut short.
func (p Program) sayCut(run *artifact.Run, prov artifact.Provenance) {
	switch status := run.Status(); status {
	case runInterrupted, runKilled:
		if command := goesOn(run, prov); command != "" {
			fmt.Fprintf(p.Out, "it was %s; `%s` goes on where it stopped\n", status, command)
		}
	}
}

func (p Program) showJSON(run *artifact.Run, prov artifact.Provenance) error {
	records := map[string]artifact.Record{}
	for _, s := range run.Stages() {
		records[s.Name] = s.Record
	}
	out := map[string]any{"run": run.Dir(), "status": run.Status(), "provenance": prov, "stages": records, "missing": gapsJSON(allGaps(run, prov))}
	if _, ok := run.Study(); ok {
		if err := studyJSON(run, out); err != nil {
			return err
		}
		return p.printJSON(out)
	}
	results, err := resultsOf(run)
	if err != nil {
		return err
	}
	out["metrics"] = results.Metrics
	return p.printJSON(out)
}

func (p Program) reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "write the report of a run or study again, or join shards", ArgsUsage: "RUN...", OnUsageError: onUsage,
		Description: "Results that are missing or broken are written again of what the comparisons have; what else is missing is said, with how to get it back.\n" +
			"Of a study it gathers what its points have by now, also those that other shards have run into the same folder.\n" +
			"Several folders are joined in the folder that --out names: shards of one study that were run into folders of their own.",
		Flags: []cli.Flag{
			rootFlag(),
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "join the folders in `DIR`, and write the report there"},
			&cli.BoolFlag{Name: "points", Usage: "write the report of each of a study's points as well"},
			jsonFlag(),
		},
		Action: p.report,
	}
}

func (p Program) report(c *cli.Context) error {
	out := c.String("out")
	if c.NArg() > 1 && out == "" {
		return usagef("report: %d folders: --out says where to join them", c.NArg())
	}
	var run *artifact.Run
	var err error
	if out == "" {
		if run, err = openRun(c); err != nil {
			return err
		}
	} else {
		if c.NArg() == 0 {
			return usagef("report: the folders of the shards to join are needed")
		}
		var dirs []string
		for _, name := range c.Args().Slice() {
			shard, err := runOf(c, name)
			if err != nil {
				return err
			}
			dirs = append(dirs, shard.Dir())
		}
		if run, err = joinInto(c.Context, out, dirs); err != nil {
			return err
		}
	}
	if _, study := run.Study(); study {
		err = p.reportStudy(c.Context, run, c.Bool("points"))
	} else if c.Bool("points") {
		return usagef("report: --points: %s is a single run, not a study", run.Dir())
	} else {
		err = p.reportRun(c.Context, run)
	}
	if err != nil {
		return err
	}
	file := filepath.Join(run.Dir(), artifact.ReportFile)
	if c.Bool("json") {
		return p.printJSON(map[string]string{"report": file})
	}
	fmt.Fprintln(p.Out, file)
	return nil
}

// reportRun writes the report of a single run, and its results where they are missing, and says what else is.
func (p Program) reportRun(ctx context.Context, run *artifact.Run) error {
	written, err := pipeline.Restore(run)
	if err != nil {
		return err
	}
	if len(written) > 0 {
		fmt.Fprintf(p.Err, "%s: %s missing or broken, and written again of what the comparisons have\n", run.Dir(), wereOrWas(written))
	}
	if err := report.Write(ctx, run); err != nil {
		return err
	}
	prov, err := run.Provenance()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p.sayGaps(run, allGaps(run, prov))
	return nil
}
