package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/pipeline"
)

func TestTell(t *testing.T) {
	wrong := &experiment.Error{Problems: []experiment.Problem{
		{File: "a.yaml", Line: 3, Column: 5, Path: "task.params.n_bits", Message: "0: at least 1 is needed"},
		{File: "a.yaml", Set: "x=1", Path: "x", Message: "no such key", Hint: "did you mean \"y\"?"},
	}}
	failed := func(stage, why string) error { return &pipeline.StageError{Stage: stage, Err: errors.New(why)} }
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("one thing"), "ctdb-host: one thing\n"},
		{usagef("run: %w", errors.New("no")), "ctdb-host: run: no\n"},
		{&experiment.Error{Problems: wrong.Problems[:1]}, "ctdb-host: a.yaml:3:5: task.params.n_bits: 0: at least 1 is needed\n"},
		{wrong, "ctdb-host: this cannot be done:\na.yaml:3:5: task.params.n_bits: 0: at least 1 is needed\n--set x=1: x: no such key (did you mean \"y\"?)\n2 problems\n"},
		{errors.Join(nil, wrong, errors.New("and more")), "ctdb-host: this cannot be done:\na.yaml:3:5: task.params.n_bits: 0: at least 1 is needed\n--set x=1: x: no such key (did you mean \"y\"?)\nand more\n3 problems\n"},
		{errors.Join(errors.Join(pipeline.ErrStages, failed("train", "died"), &pipeline.MoreError{N: 7}), errors.New("report: no space")), "ctdb-host: the run has failed:\ntrain: died\nand 7 more, which the provenance lists\nreport: no space\n8 stages failed, and 1 other problem\n"},
		{errors.Join(errors.Join(pipeline.ErrStages, failed("train", "died")), errors.New("report: no space")), "ctdb-host: the run has failed:\ntrain: died\nreport: no space\n1 stage failed, and 1 other problem\n"},
		{errors.Join(pipeline.ErrStages, failed("train", "died\n  its last line"), failed("fit/a", "died")), "ctdb-host: the run has failed:\ntrain: died\n  its last line\nfit/a: died\n2 stages failed\n"},
		{errors.Join(pipeline.ErrStages, failed("train", "died")), "ctdb-host: train: died\n"},
		{fmt.Errorf("both %w and %w", errors.New("a"), errors.New("b")), "ctdb-host: both a and b\n"},
	} {
		var errs bytes.Buffer
		Program{Err: &errs}.tell(c.err, 1, false)
		if errs.String() != c.want {
			t.Errorf("got\n%swant\n%s", errs.String(), c.want)
		}
		errs.Reset()
		Program{Err: &errs}.tell(c.err, 2, true)
		var got struct {
			Error struct {
				Status   int
				Message  string
				Problems []shownProblem
			}
		}
		if err := json.Unmarshal(errs.Bytes(), &got); err != nil || got.Error.Status != 2 || got.Error.Message == "" || len(got.Error.Problems) == 0 {
			t.Errorf("%v in\n%s", err, errs.String())
		}
	}
}

// What is wrong with a command line is told before anything is done, in the same words everywhere.
func TestWrongLines(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"runn", `no command "runn" (did you mean "run"?); ` + "`ctdb-host help` lists them"},
		{"run --jobz 3 x", `run: no flag --jobz (did you mean "--jobs"?); ` + "`ctdb-host help run` lists them"},
		{"run --jobs=x y", `run: --jobs x: a whole number is needed`},
		{"run x --stall", `run: --stall needs a value: end a stage that makes no progress for TIME, e.g. 30m`},
		{"run x --stall soon", `run: --stall soon: a time such as 90s, 15m or 2h is needed`},
		{"run x --max-time 0s", `--max-time 0s: a time above 0 is needed, e.g. 2h`},
		{"run x --max-time=-2h", `--max-time -2h0m0s: a time above 0 is needed, e.g. 2h`},
		{"run x --max-time 2", `run: --max-time 2: a time such as 90s, 15m or 2h is needed`},
		{"show --curve --follow", `show: --curve and --follow are both given: one of them is needed`},
		{"show --curve --root /nosuch", `show: there are no runs in /nosuch`},
		{"--stroe x run", `no flag --stroe`},
		{"plugin lst", `plugin: no command "lst" (did you mean "list"?); ` + "`ctdb-host help plugin` lists them"},
		{"plugin list --jsno", `plugin list: no flag --jsno (did you mean "--json"?)`},
		{"help nosuch", `help: no command or topic "nosuch"`},
		{"help plugin nosuch", `help: no command or topic "nosuch"`},
		{"completion tcsh", `completion: no script for "tcsh": bash, zsh or fish is needed`},
		{"doctor --threads 0", `--threads 0: at least 1 is needed`},
		{"bench --threads 0", `--threads 0: 1 to 1024 are allowed`},
		{"bench --threads two", `bench: --threads two: a whole number is needed`},
		{"bench --repeat=-1", `--repeat -1: at least 1 is needed`},
		{"bench --time=-1s", `--time -1s: a time of at least 0 is needed, e.g. 10s`},
		{"bench --time soon", `bench: --time soon: a time such as 90s, 15m or 2h is needed`},
		{"bench --cases gpt", `--cases "gpt": no case has that in its name; they are`},
		{"bench --cases gru/B=0/T=1/I=1/H=1", `--cases gru/B=0/T=1/I=1/H=1: no case has that in its name, nor is it one: steptime: case gru/B=0/T=1/I=1/H=1: kernel: sequence: B: got 0, want at least 1`},
		{"bench --cases gru/B=1000000/T=10000/I=1000/H=64", `--cases gru/B=1000000/T=10000/I=1000/H=64: it takes `},
		{"bench gru", `bench: no arguments are needed, got "gru"`},
		{"doctor me", `doctor: no arguments are needed, got "me"`},
		{"show --follow --log-level loud", `--log-level loud: debug, info, warn or error is needed`},
		{"show --follow --root /nosuch", `show: there are no runs in /nosuch`},
	} {
		var out, errs bytes.Buffer
		if got := Main(t.Context(), append([]string{"ctdb-host"}, strings.Fields(c.line)...), Program{Out: &out, Err: &errs}); got != Usage || out.Len() > 0 {
			t.Errorf("%s: exit status %d, %q", c.line, got, out.String())
		}
		if !strings.HasPrefix(errs.String(), "ctdb-host: "+c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: got %q, want %q", c.line, errs.String(), c.want)
		}
	}
}

// Every command has a page with its usage, a group, what its flags mean, and an example that names it; every page fits a narrow screen.
func TestHelpIsComplete(t *testing.T) {
	app := Program{}.app()
	var look func(parents []string, commands []*cli.Command)
	look = func(parents []string, commands []*cli.Command) {
		for _, c := range commands {
			name := strings.Join(append(parents, c.Name), " ")
			var out, errs bytes.Buffer
			if status := Main(t.Context(), append([]string{"ctdb-host", "help"}, strings.Fields(name)...), Program{Out: &out, Err: &errs}); status != Success || errs.Len() > 0 {
				t.Errorf("help %s: exit status %d, %s", name, status, errs.String())
			}
			page := out.String()
			out.Reset()
			if Main(t.Context(), append(append([]string{"ctdb-host"}, strings.Fields(name)...), "--help"), Program{Out: &out, Err: &errs}); out.String() != page {
				t.Errorf("%s --help is not help %s", name, name)
			}
			if c.Usage == "" || !strings.Contains(page, c.Usage) || !strings.Contains(page, "Usage: ctdb-host "+name) {
				t.Errorf("help %s lacks its usage:\n%s", name, page)
			}
			for _, f := range c.Flags {
				if usageOf(f) == "" || !strings.Contains(page, dashed(f.Names()[0])) {
					t.Errorf("help %s: nothing about %s", name, f.Names()[0])
				}
			}
			if len(c.Subcommands) > 0 {
				look(append(parents, c.Name), c.Subcommands)
			} else if !strings.Contains(page, "\nExamples\n  ") || !strings.Contains(page[strings.Index(page, "\nExamples\n"):], "ctdb-host "+name) {
				t.Errorf("help %s has no example", name)
			}
		}
	}
	look(nil, app.Commands)
	var out bytes.Buffer
	Main(t.Context(), []string{"ctdb-host"}, Program{Out: &out, Err: &out})
	for _, c := range app.Commands {
		if !strings.Contains(out.String(), "\n  "+c.Name+" ") {
			t.Errorf("help does not list %s", c.Name)
		}
	}
	for _, status := range []string{"\n  0 ", "\n  1 ", "\n  2 ", "\n  130 ", "\n  137 ", "\n  141 "} {
		if !strings.Contains(out.String(), status) {
			t.Errorf("help does not tell exit status%q", status)
		}
	}
}

// The records of a run's own log are shown as those of a followed one.
func TestShownLog(t *testing.T) {
	var out bytes.Buffer
	w := newTestWatch(&out)
	log := slog.New(shownLog{watch: w}).With("stage", "fit/a")
	log.Info("run", "status", "running", "stages", 9)
	log.Info("start")
	log.Debug("nothing")
	log.With("plugin", "mine", "component", "model/x").WithGroup("g").Warn("clipped", "norm", 2.5, "ok", true, slog.Group("deep", "n", 1))
	want := "fit/a                warning model/x: clipped  g.deep=[n=1] g.norm=2.5 g.ok=true\n"
	if out.String() != want || w.tally.total != 9 {
		t.Errorf("got %q of %d stages, want %q", out.String(), w.tally.total, want)
	}
}

// A reader that has had enough is no error to speak of.
func TestNobodyReads(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	var errs strings.Builder
	if status := Main(t.Context(), []string{"ctdb-host", "schema"}, Program{Out: write, Err: &errs}); status != Unread || errs.Len() > 0 {
		t.Errorf("status %d, want %d, saying %q", status, Unread, errs.String())
	}
}
