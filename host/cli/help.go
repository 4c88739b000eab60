package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"
)

// The groups of commands, in the order in which help shows them.
const (
	groupExperiments = "Experiments"
	groupRuns        = "Runs and results"
	groupComponents  = "Components and plugins"
	groupMachine     = "This installation"
)

// grouped puts commands into groups; one that is not named here is in the last.
func grouped(commands []*cli.Command) []*cli.Command {
	ownHelp(commands)
	for _, c := range commands {
		if c.Category != "" {
			continue
		}
		c.Category = groupMachine
		for group, names := range map[string][]string{
			groupExperiments: {"run", "validate", "plan", "compare", "import", "examples", "schema"},
			groupRuns:        {"runs", "show", "report", "store"},
			groupComponents:  {"components", "describe", "plugin"},
		} {
			if slices.Contains(names, c.Name) {
				c.Category = group
			}
		}
	}
	return commands
}

// ownHelp keeps the library from taking an argument "help" for its own.
func ownHelp(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelp = true
		ownHelp(c.Subcommands)
	}
}

// topic is a page of help that is no command's.
type topic struct{ name, usage, page string }

func topics() []topic {
	return []topic{
		{"environment", "the environment variables that are read", environmentPage},
		{"exit-status", "what the program's exit statuses mean", "The exit status is\n\n" + exitPage},
	}
}

const exitPage = `  0    success
  1    something failed while it ran: a stage, a plugin, a file; doctor found a problem
  2    the command line, the experiment or what it names is wrong; nothing was started
  130  interrupted: run the same file again and it goes on
  137  the run that "show --follow" watched was killed
  141  nobody read what was printed any longer, as after "| head"

"show --follow" ends with the status of the run that it watched.
`

const environmentPage = `Environment variables that are read. A flag goes before a variable.

Where things are
  CTDB_STORE          the folder of results (--store)
  CTDB_PLUGIN_PATH    folders with plugins, separated like $PATH, searched after --plugin-dir
  XDG_DATA_HOME       its ctdb/store and ctdb/plugins are used where nothing else is said;
                      by default ~/.local/share
  XDG_CONFIG_HOME     its ctdb/trusted-keys names whose plugins are installed; by default ~/.config
  XDG_CACHE_HOME      its ctdb/manifests remembers what plugins can do; by default ~/.cache
  XDG_RUNTIME_DIR     where the sockets to plugins are made, if its path is short; else
  TMPDIR              there, or else in /tmp

What is shown
  NO_COLOR            no colours, if it is not empty
  CLICOLOR_FORCE      colours even where the output is no terminal, unless it is 0
  CLICOLOR            no colours, if it is 0
  TERM                "dumb" is a terminal without colours or bars

Numbers: these may change the last bits of results, and are written into a run's provenance
  CTDB_KERNEL_VARIANT the instructions of the built-in plugin's kernels: avx512, avx2 or generic;
                      by default the best that the processor has
  OPENBLAS_CORETYPE   makes OpenBLAS, in plugins that use it, take its kernels for that processor
  OPENBLAS_L2_SIZE    makes OpenBLAS, in plugins that use it, cut its work for that cache
  GOMAXPROCS, OMP_NUM_THREADS, MKL_NUM_THREADS, NUMEXPR_NUM_THREADS, OPENBLAS_NUM_THREADS
                      are not heeded in plugins: they are told the stage's share of --threads, GOMAXPROCS
                      one more, OpenBLAS 1

Plugins get PATH, HOME, TMPDIR, LD_LIBRARY_PATH, what concerns language, Go, Python, CUDA, and all of
LC_*, XDG_*, OPENBLAS_*, MKL_*, CTDB_*, NVIDIA_*, XLA_* and JAX_*; nothing else, so that no secret is handed on.
`

// examplesOf has command lines worth copying.
func examplesOf(command string) []string {
	return map[string][]string{
		"run": {
			"ctdb-host run quickstart",
			"ctdb-host run study.yaml --out runs/first --jobs 2",
			"ctdb-host run study.yaml --set fit.gru-64.params.latent=16 --set seed=1",
			"ctdb-host run study.yaml --dry-run",
		},
		"validate": {"ctdb-host validate study.yaml", "ctdb-host validate study.yaml --json | jq .problems"},
		"plan":     {"ctdb-host plan study.yaml", "ctdb-host plan study.yaml --set train.params.hidden=32"},
		"compare": {
			"ctdb-host compare runs/gru runs/node",
			"ctdb-host compare runs/first/train runs/second/train --use comparator/dsa --use comparator/shape",
			"ctdb-host compare runs/first/fit/sae-gru runs/second --print > study.yaml",
		},
		"import": {
			"ctdb-host import session.npz --held-out 0.25",
			"ctdb-host import spikes.csv --trials trials.csv --bin-width 0.02 --held-out n7,n12 --out session.h5",
		},
		"components": {"ctdb-host components", "ctdb-host components model --can trains-closed-loop"},
		"describe":   {"ctdb-host describe model/sae-gru", "ctdb-host describe --markdown > components.md"},
		"examples":   {"ctdb-host examples", "ctdb-host examples nbff > study.yaml"},
		"schema": {
			"ctdb-host schema --out experiment.schema.json",
		},
		"runs":         {"ctdb-host runs", "ctdb-host runs --root /data/runs --json"},
		"show":         {"ctdb-host show runs/first", "ctdb-host show --follow"},
		"report":       {"ctdb-host report runs/first", "ctdb-host report share-1 share-2 --out joined"},
		"store ls":     {"ctdb-host store ls", "ctdb-host store ls --component model/sae-gru --sort size", "ctdb-host store ls --json | jq '.entries[].key'"},
		"store gc":     {"ctdb-host store gc --older 90d --unreferenced --dry-run", "ctdb-host store gc --max-size 50GB"},
		"store verify": {"ctdb-host store verify", "ctdb-host store verify 3fb0 --repair"},
		"plugin list":  {"ctdb-host plugin list --plugin-dir ./build"},
		"plugin check": {"ctdb-host plugin check ./ctdb-plugin-mine", "ctdb-host plugin check ./ctdb-plugin-mine --set model/mine.epochs=2 --json"},
		"plugin info":  {"ctdb-host plugin info builtin", "ctdb-host plugin info mine@^1.2 --json"},
		"plugin init":  {"ctdb-host plugin init --kind task my-task", "ctdb-host plugin init --refresh my-task"},
		"plugin install": {
			"ctdb-host plugin install mine-1.2.0-linux-amd64.tar.gz",
			"ctdb-host plugin install build/ctdb-plugin-mine",
		},
		"plugin upgrade": {"ctdb-host plugin upgrade mine-1.3.0-linux-amd64.tar.gz"},
		"plugin remove":  {"ctdb-host plugin remove mine@1.2.0"},
		"plugin verify":  {"ctdb-host plugin verify", "ctdb-host plugin verify mine --json"},
		"plugin lock":    {"ctdb-host plugin lock study.yaml"},
		"plugin pack":    {"ctdb-host plugin pack build/ctdb-plugin-mine", "ctdb-host plugin pack . --sign ~/lab.key"},
		"plugin key":     {"ctdb-host plugin key lab.example.org --out ~/lab.key"},
		"bench":          {"ctdb-host bench", "ctdb-host bench --cases gru --cases lstm", "ctdb-host bench --json --threads 8 --cases gru/B=256/T=500/I=3/H=512"},
		"doctor":         {"ctdb-host doctor", "ctdb-host doctor --json --store /scratch/me/store"},
		"completion": {
			`eval "$(ctdb-host completion bash)"                             # in ~/.bashrc`,
			`eval "$(ctdb-host completion zsh)"                              # in ~/.zshrc, after compinit`,
			"ctdb-host completion fish > ~/.config/fish/completions/ctdb-host.fish",
		},
		"help": {"ctdb-host help run", "ctdb-host help environment"},
	}[command]
}

func (p Program) helpCommand() *cli.Command {
	return &cli.Command{
		Name: "help", Aliases: []string{"h"}, Usage: "show what the program, a command or a topic is about", ArgsUsage: "[COMMAND|TOPIC]",
		Action: func(c *cli.Context) error { return p.helpOn(c.App, c.Args().Slice()) },
	}
}

// helpOn prints the page of a command, e.g. "plugin list", of a topic, or of the program.
func (p Program) helpOn(app *cli.App, words []string) error {
	if len(words) == 0 {
		p.helpProgram(app)
		return nil
	}
	for _, t := range topics() {
		if len(words) == 1 && words[0] == t.name {
			fmt.Fprint(p.Out, t.page)
			return nil
		}
	}
	l := takeApart(app, append([]string{app.Name}, words...))
	if l.command() == nil || len(l.positional) > 0 {
		names := commandNames(app.Commands)
		if c := l.command(); c != nil {
			names = commandNames(c.Subcommands)
		} else {
			for _, t := range topics() {
				names = append(names, t.name)
			}
		}
		unknown := words[len(l.commands)]
		return usagef("help: no command or topic %q%s; `ctdb-host help` lists them", unknown, nearest(unknown, names))
	}
	p.helpOf(l)
	return nil
}

// commandNames are the names that commands are shown by.
func commandNames(commands []*cli.Command) []string {
	var out []string
	for _, c := range commands {
		if !c.Hidden {
			out = append(out, c.Name)
		}
	}
	return out
}

func (p Program) helpProgram(app *cli.App) {
	pg := p.newPage()
	pg.textf("%s - %s", app.Name, app.Usage)
	pg.textf("\nUsage: %s [options] COMMAND [options] [arguments]", app.Name)
	for _, group := range []string{groupExperiments, groupRuns, groupComponents, groupMachine} {
		var rows [][2]string
		for _, c := range app.Commands {
			if c.Category == group && !c.Hidden {
				rows = append(rows, [2]string{c.Name, c.Usage})
			}
		}
		pg.section(group, rows)
	}
	pg.section("Options, with every command", append(flagRows(app.Flags),
		[2]string{"-h, --help", "show help, of a command where one is named"}, [2]string{"-v, --version", "print the version"}))
	var rows [][2]string
	for _, t := range topics() {
		rows = append(rows, [2]string{"help " + t.name, t.usage})
	}
	pg.section("Topics", rows)
	pg.textf("\nExit status\n%s", exitPage)
	pg.textf("`%s help COMMAND` says more about a command, with examples. Begin with `%s doctor` and `%s run quickstart`.", app.Name, app.Name, app.Name)
}

func (p Program) helpOf(l line) {
	c, name := l.command(), l.app.Name+" "+l.name()
	pg := p.newPage()
	pg.textf("%s - %s", name, c.Usage)
	usage := name
	if len(c.Subcommands) > 0 {
		usage += " COMMAND"
	}
	if len(c.Flags) > 0 {
		usage += " [options]"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	pg.textf("\nUsage: %s", usage)
	if c.Description != "" {
		pg.textf("\n%s", c.Description)
	}
	var rows [][2]string
	for _, s := range c.Subcommands {
		if !s.Hidden {
			rows = append(rows, [2]string{s.Name, s.Usage})
		}
	}
	pg.section("Commands", rows)
	pg.section("Options", flagRows(c.Flags))
	pg.section("Options of every command", flagRows(l.app.Flags))
	if examples := examplesOf(l.name()); len(examples) > 0 {
		pg.textf("\nExamples")
		for _, e := range examples {
			fmt.Fprintf(p.Out, "  %s\n", e)
		}
	}
}

// flagRows has what help says of each flag.
func flagRows(flags []cli.Flag) [][2]string {
	var rows [][2]string
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		var short, long []string
		for _, n := range f.Names() {
			if len(n) == 1 {
				short = append(short, dashed(n))
			} else {
				long = append(long, dashed(n))
			}
		}
		names := strings.Join(append(short, long...), ", ")
		if len(short) == 0 {
			names = "    " + names
		}
		if v := placeholder(f); v != "" {
			names += " " + v
		}
		usage := usageOf(f)
		if d := defaultOf(f); d != "" {
			usage += " (default: " + d + ")"
		}
		if d, ok := f.(cli.DocGenerationFlag); ok && len(d.GetEnvVars()) > 0 {
			usage += " ($" + strings.Join(d.GetEnvVars(), ", $") + ")"
		}
		rows = append(rows, [2]string{names, usage})
	}
	return rows
}

// page prints help, wrapped to the terminal.
type page struct {
	screen
	width int
}

// widestPage is how wide help is at most: longer lines are hard to read.
const widestPage = 110

func (p Program) newPage() page {
	s := newScreen(p.Out)
	width := s.columns()
	if width == 0 {
		width = widestPage
	}
	return page{s, min(width, widestPage)}
}

func (pg page) textf(format string, args ...any) {
	fmt.Fprintln(pg.out, wrapLines(fmt.Sprintf(format, args...), pg.width))
}

// section prints a title and rows of a term and what it means; nothing where there are no rows.
func (pg page) section(title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(pg.out, "\n%s\n", title)
	term := 0
	for _, r := range rows {
		term = max(term, text.StringWidth(r[0]))
	}
	for _, r := range rows {
		body := strings.Split(wrapLines(r[1], max(pg.width-term-4, 2*narrowest)), "\n")
		fmt.Fprintf(pg.out, "  %-*s  %s\n", term, r[0], body[0])
		for _, more := range body[1:] {
			fmt.Fprintf(pg.out, "  %-*s  %s\n", term, "", more)
		}
	}
}
