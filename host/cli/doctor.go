package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/doctor"
	"github.com/ctdb-host/ctdb/host/machine"
)

func (p Program) doctorCommand() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "examine whether studies can be run here, and what to do about what is wrong", OnUsageError: onUsage,
		Description: "Looks at the program and its libraries, the processor, memory, plugins (each is started and asked), the folders that are written, the store, limits " +
			"and the terminal. What hosts that were killed have left behind is removed. The exit status is 1 where there is a problem, 0 where there are warnings only.",
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.IntFlag{Name: "threads", Value: machine.Threads(), Usage: "say what `N` threads, over all stages, would be like"},
			&cli.StringFlag{Name: "root", Value: runsRoot, Usage: "runs are written into `DIR`"},
			&cli.DurationFlag{Name: "timeout", Value: doctor.DefaultPluginTimeout, Usage: "give each plugin `TIME` to answer"},
		},
		Action: p.doctor,
	}
}

func (p Program) doctor(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("doctor: no arguments are needed, got %q", c.Args().First())
	}
	if n := c.Int("threads"); n < 1 {
		return usagef("--threads %d: at least 1 is needed", n)
	}
	if d := c.Duration("timeout"); d <= 0 {
		return usagef("--timeout %v: a time above 0 is needed, e.g. 15s", d)
	}
	search, err := p.search(c.StringSlice("plugin-dir"))
	if err != nil {
		return err
	}
	found, err := doctor.Examine(c.Context, doctor.Subject{
		Version: Version(), Search: search, Store: storeDir(c), Runs: c.String("root"), Cache: catalog.DefaultCacheDir(),
		Threads: c.Int("threads"), PluginTimeout: c.Duration("timeout"), Env: os.LookupEnv,
	})
	if err != nil {
		return err
	}
	found = append(found, p.terminal())
	if c.Bool("json") {
		if err := p.printJSON(map[string]any{"worst": doctor.Worst(found), "findings": found}); err != nil {
			return err
		}
	} else {
		p.printFindings(found)
	}
	if doctor.Worst(found) == doctor.Problem {
		return statusError{errReported, Failure}
	}
	return nil
}

// terminal says how what is printed is shown.
func (p Program) terminal() doctor.Finding {
	out, errs := newScreen(p.Out), newScreen(p.Err)
	f := doctor.Finding{Area: "terminal", What: "output", Level: doctor.OK, Detail: "is not a terminal"}
	if out.terminal {
		f.Detail = fmt.Sprintf("a terminal of %d columns", out.columns())
	}
	f.Detail += fmt.Sprintf("; TERM=%s", os.Getenv("TERM"))
	if out.colours {
		f.Detail += ", colours"
	} else {
		f.Detail += ", no colours"
	}
	if errs.moves() {
		f.Detail += ", bars"
	} else {
		f.Detail += ", lines in place of bars"
	}
	return f
}

// printFindings prints findings by area, what to do about each below it, and how many there are of each level.
func (p Program) printFindings(found []doctor.Finding) {
	pg := p.newPage()
	width := 0
	if s := newScreen(p.Out); s.terminal {
		width = s.columns()
	}
	what := 0
	for _, f := range found {
		what = max(what, min(len(f.What), 24))
	}
	area, problems, warnings := "", 0, 0
	for _, f := range found {
		if f.Area != area {
			if area != "" {
				fmt.Fprintln(p.Out)
			}
			area = f.Area
			fmt.Fprintln(p.Out, area)
		}
		how := good
		switch f.Level {
		case doctor.Problem:
			problems++
			how = bad
		case doctor.Warning:
			warnings++
			how = doubtful
		}
		const levels = len(doctor.Warning)
		lead := fmt.Sprintf("  %s%*s  %-*s  ", pg.paint(how, string(f.Level)), levels-len(f.Level), "", what, f.What)
		indent := 2 + levels + 2 + what + 2
		p.hang(lead, indent, f.Detail, width)
		if f.Advice != "" {
			p.hang(fmt.Sprintf("%*s", indent, ""), indent, "-> "+f.Advice, width)
		}
	}
	fmt.Fprintln(p.Out)
	switch {
	case problems > 0:
		fmt.Fprintln(p.Out, pg.paint(bad, english.Plural(problems, "problem", "")+", "+english.Plural(warnings, "warning", "")))
	case warnings > 0:
		fmt.Fprintln(p.Out, pg.paint(doubtful, "no problems, "+english.Plural(warnings, "warning", "")))
	default:
		fmt.Fprintln(p.Out, pg.paint(good, "all is well"))
	}
}

// hang prints a text after a lead, its further lines indented; 0 columns do not wrap it.
func (p Program) hang(lead string, indent int, text string, columns int) {
	if columns > 0 {
		text = wrapLines(text, max(columns-indent, 3*narrowest))
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(p.Out, "%s%s\n", lead, line)
		lead = fmt.Sprintf("%*s", indent, "")
	}
}
