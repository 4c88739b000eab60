package cli

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
)

func (p Program) pluginListCommand() *cli.Command {
	return &cli.Command{
		Name: "list", Usage: "list the plugins that were found, and what was passed over", OnUsageError: onUsage,
		Flags:  []cli.Flag{jsonFlag()},
		Action: p.listPlugins,
	}
}

// shownPlugin is a plugin as JSON.
type shownPlugin struct {
	Name       string            `json:"name"`
	Version    string            `json:"version"`
	Path       string            `json:"path"`
	Source     string            `json:"source"`
	SHA256     string            `json:"sha256"`
	Components []string          `json:"components"`
	Numerics   map[string]string `json:"numerics,omitempty"`
	Shadowed   string            `json:"shadowed_by,omitempty"`
	Error      string            `json:"error,omitempty"`
}

func showPlugin(one *catalog.Plugin) shownPlugin {
	r := shownPlugin{
		Name: one.Manifest.Name, Version: one.Manifest.Version, Path: one.Path, Source: string(one.Source), SHA256: one.Pinned(), Numerics: one.Manifest.Numerics,
		Shadowed: one.Shadowed, Components: []string{},
	}
	for _, info := range one.Manifest.Components {
		r.Components = append(r.Components, info.Name.String())
	}
	if one.Err != nil {
		r.Name, r.Error = one.Candidate.Name(), one.Err.Error()
	}
	return r
}

func (p Program) listPlugins(c *cli.Context) error {
	cat, err := p.discover(c.Context, c.StringSlice("plugin-dir"), false)
	if err != nil {
		return err
	}
	rows := []shownPlugin{}
	t := p.table("plugin", "version", "from", "sha256", "components", "path")
	for _, one := range cat.Plugins() {
		r := showPlugin(one)
		what := strings.Join(r.Components, "\n")
		switch {
		case r.Error != "":
			what = "cannot be used: " + r.Error
		case r.Shadowed != "":
			what += "\nnot used: " + r.Shadowed + " comes first"
		}
		rows = append(rows, r)
		t.AppendRow(table.Row{r.Name, r.Version, r.Source, shortKey(r.SHA256), what, r.Path})
	}
	if c.Bool("json") {
		type skip struct {
			Path   string `json:"path"`
			Reason string `json:"reason"`
		}
		skipped := []skip{}
		for _, s := range cat.Skipped() {
			skipped = append(skipped, skip{s.Path, s.Reason})
		}
		return p.printJSON(map[string]any{"plugins": rows, "skipped": skipped})
	}
	t.Render()
	for _, s := range cat.Skipped() {
		fmt.Fprintf(p.Out, "passed over %s: %s\n", s.Path, s.Reason)
	}
	return nil
}
