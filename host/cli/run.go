package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/host/report"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run an experiment", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Description: "Validates the experiment, runs what is not stored yet, and writes the run's folder with its report.\n" +
			"A run that was cut short goes on where it was: run the same file again.\n" +
			"A changed file may be run again into the same folder: what has not changed comes from the store, and it is said which stages are replaced or removed.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "shard", Usage: "run the `I/N`-th share of a study's points, e.g. 2/4; shares may run at once, into one folder or several, see report"},
			&cli.DurationFlag{Name: "checkpoint-every", Value: pipeline.DefaultCheckpointEvery, Usage: "a training that is cut short loses at most `TIME`, e.g. 30s or 5m"},
			&cli.DurationFlag{Name: "max-time", Usage: "end each training after `TIME`, e.g. 2h, and go on with what came of it; without it the same command goes on with the training", DefaultText: "none"},
		}, runFlags()...),
		Action: func(c *cli.Context) error {
			if d := c.Duration("checkpoint-every"); d <= 0 {
				return usagef("--checkpoint-every %v: a time above 0 is needed, e.g. 30s", d)
			}
			if d := c.Duration("max-time"); d < 0 || d == 0 && c.IsSet("max-time") {
				return usagef("--max-time %v: a time above 0 is needed, e.g. 2h", d)
			}
			if _, err := pipeline.ParseShard(c.String("shard")); err != nil {
				return usagef("--shard: %w", err)
			}
			named, err := named(c)
			if err != nil {
				return err
			}
			return p.runExperiment(c, named)
		},
	}
}

// runFlags are those of every command that runs an experiment.
func runFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the run into `DIR`", DefaultText: "runs/NAME-TIME"},
		setFlag(),
		&cli.DurationFlag{Name: "stall", Usage: "end a stage that makes no progress for `TIME`, e.g. 30m", DefaultText: "never, but the log says so"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing but errors and results"},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "log `debug|info|warn|error` and above into the run's log.jsonl; warnings and errors are shown as well"},
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "check everything and say what would be done, with estimates, and write nothing"},
		jsonFlag(), memoryFlag(),
	}, budgetFlags()...)
}

// memoryFlag is the most that a plugin process may use.
func memoryFlag() cli.Flag {
	return &cli.StringFlag{Name: "memory", Usage: "let each plugin use at most `SIZE` of memory, e.g. 8GB; what needs more is refused before it starts", DefaultText: "what the machine has"}
}

// runExperiment runs an experiment and prints what came of it.
func (p Program) runExperiment(c *cli.Context, file source) error {
	if d := c.Duration("stall"); d < 0 || d == 0 && c.IsSet("stall") {
		return usagef("--stall %v: a time above 0 is needed, e.g. 30m", d)
	}
	level, err := levelOf(c.String("log-level"))
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		return p.dryRun(c, file)
	}
	g, err := p.prepare(c, file, true, openStore)
	if err != nil {
		return err
	}
	defer g.plugins.release()
	quiet := c.Bool("quiet") || c.Bool("json")
	if !quiet {
		if err := p.announce(c, g); err != nil {
			return errors.Join(err, g.host.Store.Close())
		}
	}
	out := c.String("out")
	if out == "" {
		if out, err = newRunFolder(runsRoot, g.study.Name, time.Now()); err != nil {
			return err
		}
	}
	defer g.host.Store.Close()
	g.host.CheckpointEvery, g.host.MaxTime, g.host.Stall = c.Duration("checkpoint-every"), c.Duration("max-time"), c.Duration("stall")
	watch := p.newWatch(quiet)
	watch.level = max(level, slog.LevelWarn)
	g.host.Observer, g.host.Log = watch, slog.New(shownLog{watch: watch})
	run := pipeline.Run{Study: g.study, Host: g.host, Out: out, Shard: c.String("shard"), Version: Version(), Command: os.Args, LogLevel: level}
	outcomes, runErr := run.Execute(c.Context)
	watch.close()
	if outcomes == nil && runErr != nil {
		return runErr // nothing was started
	}
	// A run that was cut short, or in which stages failed, still has a report of the others.
	finished, err := writeReport(context.WithoutCancel(c.Context), out)
	if errors.Is(runErr, context.Canceled) {
		return errors.Join(interruptedError{fmt.Sprintf("interrupted; `%s` goes on where this run stopped", again(os.Args, c.IsSet("out"), out)), runErr}, err)
	}
	if runErr != nil || err != nil {
		if finished != nil {
			fmt.Fprintf(p.Err, "run     %s\n", out)
		}
		if finished != nil && err == nil {
			fmt.Fprintf(p.Err, "report  %s\n", filepath.Join(out, artifact.ReportFile))
		}
		return errors.Join(runErr, err)
	}
	stopped := stoppedByTime(outcomes)
	if c.Bool("json") {
		r, err := finished.Results()
		if err != nil {
			return err
		}
		return p.printJSON(map[string]any{"run": out, "metrics": r.Metrics, "stopped_by_time": stopped})
	}
	if err := p.printResults(finished); err != nil {
		return err
	}
	fmt.Fprintf(p.Out, "run     %s\nreport  %s\n", out, filepath.Join(out, artifact.ReportFile))
	if len(stopped) > 0 {
		fmt.Fprintf(p.Out, "--max-time %v ended the training of %s: these results depend on the machine's speed.\n`%s` goes on with it.\n",
			c.Duration("max-time"), few(stopped), again(without(os.Args, "max-time"), c.IsSet("out"), out))
	}
	return nil
}

// interruptedError is the end of a run that was cut short, in words of its own.
type interruptedError struct {
	text string
	err  error
}

func (e interruptedError) Error() string {
	text := e.text
	// What failed besides is told.
	for _, q := range problemsOf(e.err) {
		if q.text != context.Canceled.Error() {
			text += "\n" + q.text
		}
	}
	return text
}

func (e interruptedError) Unwrap() error { return e.err }

// stoppedByTime are the stages whose trainings a limit of time ended.
func stoppedByTime(outcomes []pipeline.Outcome) []string {
	out := []string{}
	for _, o := range outcomes {
		if o.Stopped {
			out = append(out, o.Stage)
		}
	}
	return out
}

// few lists names, or only how many there are.
func few(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:4], ", "), len(names)-4)
	}
	return strings.Join(names, ", ")
}

// without is a command line without a flag that has a value.
func without(args []string, flag string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		name := strings.TrimPrefix(strings.TrimPrefix(args[i], "-"), "-")
		switch {
		case !strings.HasPrefix(args[i], "-"), name != flag && !strings.HasPrefix(name, flag+"="):
			out = append(out, args[i])
		case name == flag:
			i++ // its value
		}
	}
	return out
}

// writeReport writes the report of a run's folder, while no other shard of a study writes its own.
func writeReport(ctx context.Context, out string) (*artifact.Run, error) {
	finished, err := artifact.OpenRun(out)
	if err != nil {
		return nil, err
	}
	if _, ok := finished.Study(); !ok {
		return finished, report.Write(ctx, finished)
	}
	unlock, err := artifact.LockStudy(ctx, out)
	if err != nil {
		return finished, err
	}
	return finished, errors.Join(report.Write(ctx, finished), unlock())
}

// newRunFolder makes a folder that no other run has, named after the experiment and the time.
func newRunFolder(root, name string, now time.Time) (string, error) {
	if err := os.MkdirAll(root, 0o777); err != nil {
		return "", fmt.Errorf("run folder: %w", err)
	}
	stem := filepath.Join(root, name+"-"+now.Format("20060102-150405"))
	for n := 1; ; n++ {
		dir := stem
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", stem, n)
		}
		err := os.Mkdir(dir, 0o777)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("run folder: %w", err)
		}
	}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// again is the command line that goes on with a run, as a shell reads it: the one that was given, with the folder that was chosen.
func again(args []string, hasOut bool, out string) string {
	if !hasOut {
		args = append(slices.Clone(args), "--out", out)
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if !plainWord.MatchString(a) {
			words[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// prepared is a study with all that is needed to run it.
type prepared struct {
	study *experiment.Study
	host  pipeline.Host
	graph *pipeline.Graph
	// plugins are kept installed until they are released.
	plugins *kept
	// needs is the memory that stages are expected to take, see pipeline.Estimate.
	needs map[string]int64
}

// prepare resolves an experiment, asks its components what they think of it, and opens the store by open.
func (p Program) prepare(c *cli.Context, file source, ask bool, open func(*cli.Context) (*store.Store, error)) (_ *prepared, err error) {
	if n := c.Int("jobs"); c.IsSet("jobs") && n < 1 {
		return nil, usagef("--jobs %d: at least 1 is needed", n)
	}
	if n := c.Int("threads"); c.IsSet("threads") && n < 1 {
		return nil, usagef("--threads %d: at least 1 is needed", n)
	}
	memory, err := bytesOf(c.String("memory"))
	if err != nil {
		return nil, usagef("--memory: %w", err)
	}
	cat, err := p.catalog(c)
	if err != nil {
		return nil, err
	}
	if err := c.Context.Err(); err != nil {
		return nil, err
	}
	lock, err := readLock(file.name)
	if err != nil {
		return nil, err
	}
	cat = cat.Locked(lock)
	study, err := experiment.Read(file.name, file.data, c.StringSlice("set"), cat.Lookup())
	if err != nil {
		return nil, err
	}
	plugins := &kept{}
	defer func() {
		if err != nil {
			plugins.release()
		}
	}()
	for _, one := range study.Points {
		for _, u := range one.Experiment.Uses() {
			found, err := cat.Find(u.Ref.String())
			if err == nil {
				err = plugins.keep(found.Plugin)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	st, err := open(c)
	if err != nil {
		return nil, err
	}
	out := &prepared{study: study, plugins: plugins, host: pipeline.Host{Catalog: cat, Store: st, Budget: pipeline.NewBudget(c.Int("threads"), c.Int("jobs")), Memory: memory}}
	if len(p.CheckFile) > 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding this program: %w", err)
		}
		out.host.CheckFile = pipeline.ChildCheck{Program: self, Args: p.CheckFile, Memory: cmp.Or(memory, machine.ReadMemory().Free())}.Check
	}
	if ask {
		if out.needs, err = pipeline.Estimate(c.Context, study, out.host); err != nil {
			return nil, err
		}
	}
	if out.graph, err = pipeline.New(study, nil, out.host); err != nil {
		return nil, usageError{err}
	}
	// Those too whose models are loaded from folders.
	for _, one := range out.graph.Plugins() {
		if err := plugins.keep(one); err != nil {
			return nil, err
		}
	}
	if cat.IsLocked() && !c.Bool("quiet") && !c.Bool("json") {
		for _, one := range out.graph.Plugins() {
			if one.Source == registry.FlagDir {
				fmt.Fprintf(p.Err, "plugin  %s is from --plugin-dir: it is not compared with %s\n", one.Title(), registry.LockFile)
			}
		}
	}
	return out, nil
}

// bare is a number without a unit, which could be meant in any.
var bare = regexp.MustCompile(`^[0-9., ]+$`)

// bytesOf reads a size with its unit, e.g. 8GB or 512MiB; nothing is 0.
func bytesOf(size string) (int64, error) {
	if size == "" {
		return 0, nil
	}
	if bare.MatchString(size) {
		return 0, fmt.Errorf("%q: a unit is needed with it, e.g. 8GB or 512MiB", size)
	}
	n, err := humanize.ParseBytes(size)
	if err != nil || n == 0 || n > math.MaxInt64 {
		return 0, fmt.Errorf("%q: a size above 0 is needed, e.g. 8GB or 512MiB", size)
	}
	return int64(n), nil
}

func (p Program) validateCommand() *cli.Command {
	return &cli.Command{
		Name: "validate", Usage: "check an experiment without running it", ArgsUsage: "FILE|EXAMPLE", OnUsageError: onUsage,
		Flags: []cli.Flag{setFlag(), memoryFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			file, err := named(c)
			if err != nil {
				return err
			}
			g, err := p.prepare(c, file, true, readStore)
			if g != nil {
				defer g.plugins.release()
			}
			if c.Bool("json") {
				return p.validationJSON(g, err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(p.Out, "%s is valid: %s\n", g.study.Name, strings.Join(g.graph.Stages(), ", "))
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
		Point   string `json:"point,omitempty"`
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
			problems = append(problems, problem{q.File, q.Line, q.Column, q.Path, q.Point, q.Message, q.Hint})
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

func shortKey(key string) string { return key[:min(12, len(key))] }
