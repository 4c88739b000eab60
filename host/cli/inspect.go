package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
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
			t := p.table("run", "experiment", "status", "started", "took", "stages")
			for _, r := range runs {
				if r.Err != nil {
					t.AppendRow(table.Row{r.Dir, "", "unreadable: " + r.Err.Error()})
					continue
				}
				took := ""
				if !r.Finished.IsZero() {
					took = human(r.Finished.Sub(r.Started))
				}
				t.AppendRow(table.Row{r.Dir, r.Name, r.Status, humanize.Time(r.Started), took, strings.Join(r.Stages, ", ")})
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
		Error    string     `json:"error,omitempty"`
	}
	when := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	rows := []row{}
	for _, r := range runs {
		one := row{Dir: r.Dir, Name: r.Name, Status: r.Status, Started: when(r.Started), Finished: when(r.Finished), Stages: r.Stages}
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
	run, err := artifact.OpenRun(name)
	if err == nil {
		return run, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{err}
	}
	under, underErr := artifact.OpenRun(filepath.Join(c.String("root"), name))
	if underErr == nil {
		return under, nil
	}
	return nil, usageError{err}
}

func (p Program) showCommand() *cli.Command {
	return &cli.Command{
		Name: "show", Usage: "show a run: its stages and results", ArgsUsage: "RUN", OnUsageError: onUsage,
		Flags: []cli.Flag{rootFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			run, err := openRun(c)
			if err != nil {
				return err
			}
			prov, err := run.Provenance()
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.showJSON(run, prov)
			}
			fmt.Fprintf(p.Out, "%s  %s  started %s on %s, %d threads\n\n", prov.Name, prov.Status, prov.Started.Local().Format(time.DateTime), prov.CPU, prov.Threads)
			t := p.table("stage", "component", "status", "took", "key", "")
			for _, s := range prov.Stages {
				component := ""
				if st, ok := run.Stage(s.Stage); ok {
					component = st.Record.Component + " " + st.Record.ComponentVersion
				}
				status, took := s.Status, human(time.Duration(float64(s.Seconds)*float64(time.Second)))
				if s.Stored {
					status, took = "stored", ""
				}
				t.AppendRow(table.Row{s.Stage, component, status, took, shortKey(s.Key), s.Error})
			}
			t.Render()
			fmt.Fprintln(p.Out)
			return p.printResults(run)
		},
	}
}

func (p Program) showJSON(run *artifact.Run, prov artifact.Provenance) error {
	records := map[string]artifact.Record{}
	for _, s := range run.Stages() {
		records[s.Name] = s.Record
	}
	results, err := run.Results()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return p.printJSON(map[string]any{"run": run.Dir(), "provenance": prov, "stages": records, "metrics": results.Metrics})
}

func (p Program) reportCommand() *cli.Command {
	return &cli.Command{
		Name: "report", Usage: "write a run's report again", ArgsUsage: "RUN", OnUsageError: onUsage,
		Flags: []cli.Flag{rootFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			run, err := openRun(c)
			if err != nil {
				return err
			}
			if err := report.Write(c.Context, run); err != nil {
				return err
			}
			file := filepath.Join(run.Dir(), artifact.ReportFile)
			if c.Bool("json") {
				return p.printJSON(map[string]string{"report": file})
			}
			fmt.Fprintln(p.Out, file)
			return nil
		},
	}
}
