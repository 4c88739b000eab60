package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/host/pipeline"
)

func (p Program) planCommand() *cli.Command {
	return &cli.Command{
		Name: "plan", Usage: "show the stages of an experiment and which are stored", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Description: "Looks at the store alone and starts nothing; `run --dry-run` asks the components as well.",
		Flags:       []cli.Flag{setFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			file, err := named(c)
			if err != nil {
				return err
			}
			g, err := p.prepare(c, file, false, readStore)
			if err != nil {
				return err
			}
			defer g.plugins.release()
			defer g.host.Store.Close()
			plan, err := g.graph.Plan(c.Context)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(plan)
			}
			t := p.table("stage", "component", "needs", "key", "what a run would do")
			for _, s := range plan {
				t.AppendRow(table.Row{s.Stage, s.Component, strings.Join(s.Needs, ", "), shortKey(s.Key), p.outlook(s)})
			}
			t.Render()
			return nil
		},
	}
}

// outlook says what a run would do with a stage, and why.
func (p Program) outlook(s pipeline.Planned) string {
	if s.Stored {
		return newScreen(p.Out).paint(faint, "nothing: stored")
	}
	do := "run it: " + s.Reason
	if s.From != "" {
		do += "\n  begins with " + s.From
	}
	for _, line := range s.Changed {
		do += "\n  " + line
	}
	return do
}

// lastRuns is how many runs are looked at for how long stages took.
const lastRuns = 20

// estimated is a planned stage with what it is expected to take.
type estimated struct {
	pipeline.Planned
	// MemoryBytes is 0, and LastSeconds, how long it took the last time that it was run, where nothing is known.
	MemoryBytes int64   `json:"memory_bytes,omitempty"`
	LastSeconds float64 `json:"last_seconds,omitempty"`
}

// plan says what a run of a study, or of the shard that is asked for, would do.
func (g *prepared) plan(c *cli.Context) ([]pipeline.Planned, error) {
	graph := g.graph
	shard, err := pipeline.ParseShard(c.String("shard"))
	if err != nil {
		return nil, usagef("--shard: %w", err)
	}
	if shard.N > 1 {
		if graph, err = pipeline.New(g.study, shard.Points(len(g.study.Points)), g.host); err != nil {
			return nil, usageError{err}
		}
	}
	return graph.Plan(c.Context)
}

// memory is what a planned stage is expected to take, 0 where nothing is known.
func (g *prepared) memory(s pipeline.Planned) int64 {
	bare, _, _ := strings.Cut(s.Stage, " [")
	return g.needs[bare]
}

// announce says in a line, before a run starts, what memory its largest stage is expected to take.
func (p Program) announce(c *cli.Context, g *prepared) error {
	plan, err := g.plan(c)
	if err != nil {
		return err
	}
	largest, most := "", int64(0)
	for _, s := range plan {
		if n := g.memory(s); !s.Stored && n > most {
			largest, most = s.Stage, n
		}
	}
	if most > 0 {
		fmt.Fprintf(p.Err, "%s: up to about %s of memory, for %s%s\n", g.study.Name, size(most), largest, free())
	}
	return nil
}

// free says how much memory is free, where that is known.
func free() string {
	if free := machine.ReadMemory().Free(); free > 0 {
		return fmt.Sprintf(", %s are free", size(free))
	}
	return ""
}

// dryRun checks an experiment as a run does, and says what the run would do.
func (p Program) dryRun(c *cli.Context, file source) error {
	g, err := p.prepare(c, file, true, readStore)
	if err != nil {
		return err
	}
	defer g.plugins.release()
	defer g.host.Store.Close()
	plan, err := g.plan(c)
	if err != nil {
		return err
	}
	took, err := lastTimes(runsRoot, g.study.Name)
	if err != nil {
		return err
	}
	rows := make([]estimated, len(plan))
	for i, s := range plan {
		rows[i] = estimated{s, g.memory(s), took[s.Stage]}
	}
	if c.Bool("json") {
		return p.printJSON(rows)
	}
	t := p.table("stage", "component", "needs", "memory", "took last", "what a run would do")
	stored, most, spent := 0, int64(0), 0.0
	for _, s := range rows {
		memory, last := "", ""
		if s.MemoryBytes > 0 {
			memory = size(s.MemoryBytes)
		}
		if s.LastSeconds > 0 {
			last = human(seconds(s.LastSeconds))
		}
		if s.Stored {
			stored++
		} else {
			most = max(most, s.MemoryBytes)
			spent += s.LastSeconds
		}
		t.AppendRow(table.Row{s.Stage, s.Component, strings.Join(s.Needs, ", "), memory, last, p.outlook(s.Planned)})
	}
	t.Render()
	line := fmt.Sprintf("\n%s is valid: %s, %d of them stored", g.study.Name, english.Plural(len(rows), "stage", ""), stored)
	if n := len(g.study.Points); n > 1 {
		line += fmt.Sprintf(", in %d points", n)
	}
	if most > 0 {
		line += fmt.Sprintf("; a stage takes up to about %s of memory%s", size(most), free())
	}
	if spent > 0 {
		line += "; those to run took " + human(seconds(spent)) + " when they last ran"
	}
	fmt.Fprintln(p.Out, line)
	return nil
}

// lastTimes is how many seconds each stage took when it was last run, in the runs of an experiment of that name.
func lastTimes(root, name string) (map[string]float64, error) {
	runs, err := artifact.ListRuns(root)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	looked := 0
	for _, r := range runs {
		if r.Name != name || r.Err != nil {
			continue
		}
		if looked++; looked > lastRuns {
			break
		}
		prov, err := artifact.ReadProvenance(r.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // of shards
		}
		if err != nil {
			return nil, err
		}
		for _, s := range prov.Stages {
			if _, known := out[s.Stage]; !known && s.Status == "done" && !s.Stored && float64(s.Seconds) > 0 {
				out[s.Stage] = float64(s.Seconds)
			}
		}
	}
	return out, nil
}
