package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

func (p Program) describeCommand() *cli.Command {
	return &cli.Command{
		Name: "describe", Usage: "show a component and its parameters", ArgsUsage: "COMPONENT", OnUsageError: onUsage,
		Description: "With --markdown it prints a page of documentation, without a COMPONENT that of all there are.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "markdown", Usage: "print Markdown"}, jsonFlag()},
		Action: func(c *cli.Context) error {
			if c.Bool("markdown") && c.Bool("json") {
				return usagef("describe: --markdown and --json are both given: one of them is needed")
			}
			if c.Bool("markdown") && !c.Args().Present() {
				cat, err := p.catalog(c)
				if err != nil {
					return err
				}
				return writePages(p.Out, cat.Components(component.Kinds()...))
			}
			ref, err := oneArg(c, "a component such as task/nbff")
			if err != nil {
				return err
			}
			cat, err := p.catalog(c)
			if err != nil {
				return err
			}
			found, err := cat.Find(ref)
			if err != nil {
				return usageError{err}
			}
			switch {
			case c.Bool("json"):
				return p.printJSON(shown(cat, found, true))
			case c.Bool("markdown"):
				return writePages(p.Out, []catalog.Component{found})
			}
			p.printComponent(found)
			return nil
		},
	}
}

func (p Program) printComponent(found catalog.Component) {
	m := found.Plugin.Manifest
	fmt.Fprintf(p.Out, "%s %s, of plugin %s@%s\n%s\n", found.Name, found.Version, m.Name, m.Version, found.Doc)
	if found.Source != "" {
		fmt.Fprintf(p.Out, "source: %s\n", found.Source)
	}
	if len(found.Capabilities) > 0 {
		fmt.Fprintf(p.Out, "capabilities: %s\n", capabilities(found))
	}
	if len(found.Params) == 0 {
		fmt.Fprintln(p.Out, "it has no parameters")
	} else {
		fmt.Fprintln(p.Out)
		t := p.table("parameter", "type", "default", "unit", "allowed", "meaning")
		for _, f := range found.Params {
			t.AppendRow(table.Row{f.Name, f.Type, defaultText(f), f.Unit, f.Range(), f.Doc})
		}
		t.Render()
	}
	if len(found.Readings) > 0 {
		fmt.Fprintln(p.Out)
		t := p.table("metric", "how to read it", "source")
		for _, r := range found.Readings {
			t.AppendRow(table.Row{r.Metric, r.Text, r.Source})
		}
		t.Render()
	}
}

func capabilities(c catalog.Component) string {
	names := make([]string, len(c.Capabilities))
	for i, one := range c.Capabilities {
		names[i] = string(one)
	}
	return strings.Join(names, ", ")
}

func defaultText(f param.Field) string {
	if f.Default == nil {
		return "(required)"
	}
	return fmt.Sprint(f.Default)
}

// writePages writes Markdown on components: what each is, its parameters, and how its metrics are read.
func writePages(to io.Writer, list []catalog.Component) error {
	var b strings.Builder
	for i, c := range list {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n", c.Name, c.Doc)
		about := []string{fmt.Sprintf("Version %s, of plugin `%s` %s.", c.Version, c.Plugin.Manifest.Name, c.Plugin.Manifest.Version)}
		if c.Source != "" {
			about = append(about, "Source: "+c.Source+".")
		}
		if len(c.Capabilities) > 0 {
			about = append(about, "Capabilities: "+capabilities(c)+".")
		}
		fmt.Fprintf(&b, "\n%s\n", strings.Join(about, " "))
		if len(c.Params) > 0 {
			b.WriteString("\n| parameter | type | default | unit | allowed | meaning |\n|---|---|---|---|---|---|\n")
		}
		for _, f := range c.Params {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", f.Name, f.Type, cell(defaultText(f)), cell(f.Unit), cell(f.Range()), cell(f.Doc))
		}
		if len(c.Readings) > 0 {
			b.WriteString("\n| metric | how to read it | source |\n|---|---|---|\n")
		}
		for _, r := range c.Readings {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Metric, cell(r.Text), cell(r.Source))
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}

// cell is text as a cell of a table has it.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}
