package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func (p Program) pluginInfoCommand() *cli.Command {
	return &cli.Command{
		Name: "info", Usage: "show what a plugin is, where it is from and what is in it", ArgsUsage: "PLUGIN[@VERSION]", OnUsageError: onUsage,
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			given, err := oneArg(c, "the name of a plugin, e.g. builtin or mine@^1.2,")
			if err != nil {
				return err
			}
			ref, err := registry.ParsePluginRef(given)
			if err != nil {
				return usageError{err}
			}
			cat, err := p.catalog(c)
			if err != nil {
				return err
			}
			found, err := pluginsOf(cat, ref)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(map[string]any{"plugins": p.infos(found)})
			}
			for i, one := range found {
				if i > 0 {
					fmt.Fprintln(p.Out)
				}
				p.printPlugin(one)
			}
			return nil
		},
	}
}

// pluginsOf are the plugins that are meant, in the order of the search path; none is an error with the names that there are. One that cannot be asked has the name of its file.
func pluginsOf(cat *catalog.Catalog, ref registry.Ref) ([]*catalog.Plugin, error) {
	var found []*catalog.Plugin
	var names, versions []string
	for _, one := range cat.Plugins() {
		m := one.Manifest
		if one.Err != nil {
			m.Name, m.Version = one.Candidate.Name(), ref.Constraint
		}
		names = append(names, m.Name)
		if m.Name == ref.Plugin {
			versions = append(versions, m.Version)
		}
		if ref.Matches(m.Name, m.Version) {
			found = append(found, one)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(versions) > 0:
		return nil, usagef("plugin %q has no version %s, it has %s", ref.Plugin, ref.Constraint, strings.Join(versions, ", "))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return nil, usagef("there is no plugin %q%s: there are %s", ref.Plugin, nearest(ref.Plugin, names), strings.Join(names, ", "))
}

// pluginInfo is all that is known of a plugin, as JSON.
type pluginInfo struct {
	shownPlugin
	Doc      string            `json:"doc,omitempty"`
	Protocol string            `json:"protocol,omitempty"`
	Language string            `json:"language,omitempty"`
	Build    string            `json:"build,omitempty"`
	Contents []pluginComponent `json:"contents"`
}

type pluginComponent struct {
	Name         string                 `json:"name"`
	Version      string                 `json:"version"`
	Doc          string                 `json:"doc"`
	Source       string                 `json:"source,omitempty"`
	Capabilities []component.Capability `json:"capabilities"`
}

func (p Program) infos(found []*catalog.Plugin) []pluginInfo {
	out := make([]pluginInfo, len(found))
	for i, one := range found {
		m := one.Manifest
		out[i] = pluginInfo{shownPlugin: showPlugin(one), Doc: m.Doc, Language: m.Language, Build: m.Build, Contents: []pluginComponent{}}
		if one.Err == nil {
			out[i].Protocol = protocolOf(m)
		}
		for _, info := range m.Components {
			out[i].Contents = append(out[i].Contents, pluginComponent{info.Name.String(), info.Version, info.Doc, info.Source, info.Capabilities})
		}
	}
	return out
}

func protocolOf(m component.Manifest) string {
	return fmt.Sprintf("%d.%d", component.ProtocolMajor, m.Protocol)
}

func (p Program) printPlugin(one *catalog.Plugin) {
	m := one.Manifest
	fmt.Fprintln(p.Out, one.Title())
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(p.Out, "  %-10s %s\n", name, value)
		}
	}
	line("what", m.Doc)
	line("path", one.Path)
	line("from", string(one.Source))
	line("sha256", one.Pinned())
	if one.Err != nil {
		line("error", "it cannot be used: "+one.Err.Error())
		return
	}
	if one.Shadowed != "" {
		line("not used", one.Shadowed+" comes first")
	}
	line("protocol", protocolOf(m))
	line("language", strings.TrimSpace(m.Language+" "+m.Build))
	for _, name := range slices.Sorted(maps.Keys(m.Numerics)) {
		line("numerics", name+"="+m.Numerics[name])
	}
	t := p.table("component", "version", "capabilities", "what it is")
	for _, info := range m.Components {
		var can []string
		for _, one := range info.Capabilities {
			can = append(can, string(one))
		}
		t.AppendRow(table.Row{info.Name, info.Version, strings.Join(can, ", "), info.Doc})
	}
	fmt.Fprintln(p.Out)
	t.Render()
}
