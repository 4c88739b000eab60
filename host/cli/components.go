package cli

import (
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// shownComponent is a component as JSON.
type shownComponent struct {
	Ref          string                 `json:"ref"`
	Name         string                 `json:"name"`
	Version      string                 `json:"version"`
	Plugin       string                 `json:"plugin"`
	PluginPath   string                 `json:"plugin_path"`
	Doc          string                 `json:"doc"`
	Source       string                 `json:"source,omitempty"`
	Capabilities []component.Capability `json:"capabilities"`
	Params       []shownParam           `json:"params,omitempty"`
	Readings     []component.Reading    `json:"readings,omitempty"`
}

type shownParam struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Default  any      `json:"default"`
	Required bool     `json:"required"`
	Unit     string   `json:"unit,omitempty"`
	Range    string   `json:"range,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	Doc      string   `json:"doc"`
}

// shortRef is the shortest reference that means the component.
func shortRef(cat *catalog.Catalog, c catalog.Component) string {
	if _, err := cat.Find(c.Name.String()); err == nil {
		return c.Name.String()
	}
	return c.Qualified()
}

func shown(cat *catalog.Catalog, c catalog.Component, params bool) shownComponent {
	out := shownComponent{
		Ref: shortRef(cat, c), Name: c.Name.String(), Version: c.Version, Plugin: c.Plugin.Manifest.Name + "@" + c.Plugin.Manifest.Version,
		PluginPath: c.Plugin.Candidate.Path, Doc: c.Doc, Source: c.Source, Capabilities: c.Capabilities,
	}
	if !params {
		return out
	}
	out.Readings = c.Readings
	for _, f := range c.Params {
		out.Params = append(out.Params, shownParam{f.Name, f.Type.String(), f.Default, f.Default == nil, f.Unit, f.Range(), f.Choices, f.Doc})
	}
	return out
}

func (p Program) componentsCommand() *cli.Command {
	return &cli.Command{
		Name: "components", Usage: "list the components that there are", ArgsUsage: "[KIND]", OnUsageError: onUsage,
		Flags: []cli.Flag{&cli.StringFlag{Name: "can", Usage: "list those with the capability `NAME`, e.g. trains-closed-loop"}, jsonFlag()},
		Action: func(c *cli.Context) error {
			kinds := component.Kinds()
			if c.Args().Present() {
				kind, err := oneArg(c, "a kind of component, or nothing,")
				if err != nil {
					return err
				}
				var names []string
				for _, k := range kinds {
					names = append(names, string(k))
				}
				if !slices.Contains(names, kind) {
					return usagef("components: no kind %q: task, model, simulator or comparator is needed%s", kind, nearest(kind, names))
				}
				kinds = []component.Kind{component.Kind(kind)}
			}
			cat, err := p.catalog(c)
			if err != nil {
				return err
			}
			list, err := capable(cat.Components(kinds...), c.String("can"))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				rows := []shownComponent{}
				for _, one := range list {
					rows = append(rows, shown(cat, one, false))
				}
				return p.printJSON(rows)
			}
			t := p.table("component", "version", "plugin", "what it is")
			for _, one := range list {
				t.AppendRow(table.Row{shortRef(cat, one), one.Version, one.Plugin.Manifest.Name + "@" + one.Plugin.Manifest.Version, one.Doc})
			}
			t.Render()
			return nil
		},
	}
}

// capable are the components that have a capability, which at least one of them must; all where none is named.
func capable(list []catalog.Component, capability string) ([]catalog.Component, error) {
	if capability == "" {
		return list, nil
	}
	var out []catalog.Component
	var names []string
	for _, one := range list {
		if one.Can(component.Capability(capability)) {
			out = append(out, one)
		}
		for _, k := range one.Capabilities {
			names = append(names, string(k))
		}
	}
	if len(out) == 0 {
		slices.Sort(names)
		names = slices.Compact(names)
		return nil, usagef("components: none has the capability %q%s: they have %s", capability, nearest(capability, names), strings.Join(names, ", "))
	}
	return out, nil
}

func (p Program) examplesCommand() *cli.Command {
	return &cli.Command{
		Name: "examples", Usage: "list the experiments that come with the program, or print one", ArgsUsage: "[NAME]", OnUsageError: onUsage,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			type example struct {
				Name  string `json:"name"`
				Title string `json:"title"`
				YAML  string `json:"yaml,omitempty"`
			}
			if c.Args().Present() {
				name, err := oneArg(c, "the name of an example, or nothing,")
				if err != nil {
					return err
				}
				e, ok := experiment.FindExample(name)
				if !ok {
					var names []string
					for _, e := range experiment.Examples() {
						names = append(names, e.Name)
					}
					return usagef("examples: there is none called %q: they are %s%s", name, strings.Join(names, ", "), nearest(name, names))
				}
				if c.Bool("json") {
					return p.printJSON(example{e.Name, e.Title, string(e.Data)})
				}
				_, err = p.Out.Write(e.Data)
				return err
			}
			rows := []example{}
			t := p.table("example", "what it is")
			for _, e := range experiment.Examples() {
				rows = append(rows, example{Name: e.Name, Title: e.Title})
				t.AppendRow(table.Row{e.Name, e.Title})
			}
			if c.Bool("json") {
				return p.printJSON(rows)
			}
			t.Render()
			return nil
		},
	}
}
