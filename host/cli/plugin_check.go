package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/conformity"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/plugintest"
)

func (p Program) pluginCheckCommand() *cli.Command {
	return &cli.Command{
		Name: "check", Usage: "check that a plugin keeps what the protocol promises", ArgsUsage: "PATH", OnUsageError: onUsage,
		Description: "PATH is a plugin's executable, a folder that holds one, or the name of a plugin that is found. Every component is opened, used and misused, with small parameters; " +
			"the exit status is 1 if a check fails.",
		Flags: []cli.Flag{
			jsonFlag(),
			&cli.StringSliceFlag{Name: "set", Usage: "check with a parameter `COMPONENT.PARAMETER=VALUE`, e.g. task/clicks.n_trials=50 (may be repeated)"},
			&cli.StringSliceFlag{Name: "component", Usage: "check `COMPONENT` alone, e.g. task/clicks (may be repeated)"},
			&cli.DurationFlag{Name: "timeout", Value: plugintest.DefaultTimeout, Usage: "give each check `TIME`"},
			&cli.BoolFlag{Name: "log", Usage: "show what the plugin logs"},
		},
		Action: p.checkPlugin,
	}
}

func (p Program) checkPlugin(c *cli.Context) error {
	given, err := oneArg(c, "a plugin's executable, or the name of one that is found,")
	if err != nil {
		return err
	}
	params, err := givenParams(c.StringSlice("set"))
	if err != nil {
		return err
	}
	if c.Duration("timeout") <= 0 {
		return usagef("check: --timeout %v: a time above 0 is needed, e.g. 2m", c.Duration("timeout"))
	}
	candidate, err := p.executable(c, given)
	if err != nil {
		return err
	}
	o := conformity.Options{Path: candidate.Path, Args: candidate.Args}
	o.Params, o.Only, o.Timeout = params, c.StringSlice("component"), c.Duration("timeout")
	if c.Bool("log") {
		o.Log = slog.New(slog.NewTextHandler(p.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	shown := &checked{p: p, screen: newScreen(p.Out)}
	if !c.Bool("json") {
		fmt.Fprintf(p.Out, "checking %s\n", candidate.Path)
		o.Each = shown.result
	}
	report, err := conformity.Run(c.Context, o)
	if err != nil {
		return err
	}
	failed := report.Count(plugintest.Failed)
	if c.Bool("json") {
		err = p.printJSON(struct {
			plugintest.Report
			Path   string `json:"path"`
			Passed int    `json:"passed"`
			Failed int    `json:"failed"`
		}{report, candidate.Path, report.Count(plugintest.Passed), failed})
	} else {
		shown.sum(report)
	}
	if err == nil && failed > 0 {
		return errReported
	}
	return err
}

// executable is the plugin that is meant: a file, the only plugin in a folder, or one that is found by its name.
func (p Program) executable(c *cli.Context, given string) (registry.Candidate, error) {
	info, err := os.Stat(given)
	switch {
	case err == nil && info.IsDir():
		dirs := []registry.Dir{{Path: given, Source: registry.FlagDir}}
		// A project keeps what it builds there.
		if build := filepath.Join(given, "build"); isDir(build) {
			dirs = append(dirs, registry.Dir{Path: build, Source: registry.FlagDir})
		}
		found, skipped, err := registry.Search{Dirs: dirs}.Find(c.Context)
		if err != nil {
			return registry.Candidate{}, err
		}
		if len(found) == 1 {
			return found[0], nil
		}
		for _, s := range skipped {
			return registry.Candidate{}, usagef("%s: %s", s.Path, s.Reason)
		}
		return registry.Candidate{}, usagef("%s: it holds %d executables whose names begin with %s: one is needed", given, len(found), registry.Prefix)
	case err == nil:
		return registry.Candidate{Path: given}, nil
	case strings.ContainsRune(given, filepath.Separator):
		return registry.Candidate{}, usagef("%s: there is no such file", given)
	}
	ref, err := registry.ParsePluginRef(given)
	if err != nil {
		return registry.Candidate{}, usagef("%s: there is no such file, and no plugin can have that name", given)
	}
	cat, err := p.catalog(c)
	if err != nil {
		return registry.Candidate{}, err
	}
	found, err := pluginsOf(cat, ref)
	if err != nil {
		return registry.Candidate{}, err
	}
	// What another stands before is not meant where that is there too.
	if used := slices.DeleteFunc(slices.Clone(found), func(one *catalog.Plugin) bool { return one.Shadowed != "" }); len(used) > 0 {
		found = used
	}
	if len(found) > 1 {
		var titles []string
		for _, one := range found {
			titles = append(titles, one.Title())
		}
		return registry.Candidate{}, usagef("check: %s could be any of %s: name one", given, few(titles))
	}
	return found[0].Candidate, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// givenParams reads COMPONENT.PARAMETER=VALUE, with the value as YAML.
func givenParams(sets []string) (map[string]param.Values, error) {
	out := map[string]param.Values{}
	for _, set := range sets {
		path, text, ok := strings.Cut(set, "=")
		i := strings.LastIndexByte(path, '.')
		if !ok || i < 1 || i == len(path)-1 {
			return nil, usagef("--set %q: COMPONENT.PARAMETER=VALUE is needed, e.g. task/clicks.n_trials=50", set)
		}
		name, err := component.ParseName(path[:i])
		if err != nil {
			return nil, usagef("--set %q: %w", set, err)
		}
		value, err := experiment.Value(text)
		if err != nil {
			return nil, usagef("--set %q: %w", set, err)
		}
		if value == nil {
			return nil, usagef("--set %q: a value is needed after the =", set)
		}
		if out[name.String()] == nil {
			out[name.String()] = param.Values{}
		}
		out[name.String()][path[i+1:]] = value
	}
	return out, nil
}

// checked prints results as they come.
type checked struct {
	p         Program
	screen    screen
	component string
	begun     bool
}

func (s *checked) result(r plugintest.Result) {
	if !s.begun || r.Component != s.component {
		s.begun, s.component = true, r.Component
		title := r.Component
		if title == "" {
			title = "the plugin"
		}
		fmt.Fprintf(s.p.Out, "\n%s\n", title)
	}
	mark := map[plugintest.Status]string{
		plugintest.Passed: s.screen.paint(good, "pass"), plugintest.Failed: s.screen.paint(bad, "FAIL"), plugintest.NotApplicable: s.screen.paint(faint, "n/a "),
	}[r.Status]
	line := fmt.Sprintf("  %s  %-14s %s", mark, r.Check, r.Doc)
	if r.Status == plugintest.NotApplicable {
		line = fmt.Sprintf("  %s  %-14s %s", mark, r.Check, s.screen.paint(faint, r.Note))
	} else if r.Note != "" {
		line += s.screen.paint(faint, " ("+r.Note+")")
	}
	if r.Took >= time.Second {
		line += s.screen.paint(faint, fmt.Sprintf(" [%.1f s]", r.Took.Seconds()))
	}
	fmt.Fprintln(s.p.Out, line)
	for _, problem := range r.Problems {
		fmt.Fprintf(s.p.Out, "          - %s\n", problem)
	}
}

// sum says how it went in all.
func (s *checked) sum(r plugintest.Report) {
	failed, how := r.Count(plugintest.Failed), good
	if failed > 0 {
		how = bad
	}
	fmt.Fprintf(s.p.Out, "\n%s %s: %s\n", r.Plugin, r.Version, s.screen.paint(how, fmt.Sprintf("%s passed, %d failed, %d do not apply",
		english.Plural(r.Count(plugintest.Passed), "check", ""), failed, r.Count(plugintest.NotApplicable))))
}
