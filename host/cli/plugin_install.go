package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) pluginInstallCommand() *cli.Command {
	return &cli.Command{
		Name: "install", Usage: "install a plugin from a folder, an archive or an executable", ArgsUsage: "PATH", OnUsageError: onUsage,
		Description: "The plugin is copied, each file is compared with the package's manifest, and it is started once to see that it is what the manifest says.\n" +
			"Where there is a file of trusted keys, packages must be signed with one of them; that is looked at here and by verify, and what is started is held against its checksums.\n" +
			"Several versions of a plugin can be installed side by side. A plugin is a program that can do whatever you can: install what you trust.",
		Flags: []cli.Flag{unsignedFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			return p.install(c, registry.InstallOptions{})
		},
	}
}

func (p Program) pluginUpgradeCommand() *cli.Command {
	return &cli.Command{
		Name: "upgrade", Usage: "install a newer version of a plugin, in place of those that are installed", ArgsUsage: "PATH", OnUsageError: onUsage,
		Description: "Experiments whose ctdb.lock pins an older version are refused from then on, until `ctdb-host plugin lock` accepts the new one.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "keep the older versions beside it"}, unsignedFlag(), jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			return p.install(c, registry.InstallOptions{Upgrade: true, Keep: c.Bool("keep")})
		},
	}
}

// shownInstalled is an installed plugin as JSON.
type shownInstalled struct {
	Name       string                       `json:"name"`
	Version    string                       `json:"version"`
	Path       string                       `json:"path"`
	SHA256     string                       `json:"sha256"`
	Already    bool                         `json:"already_installed"`
	SignedBy   []string                     `json:"signed_by"`
	Components []registry.ManifestComponent `json:"components"`
	Removed    []string                     `json:"removed"`
}

func (p Program) install(c *cli.Context, o registry.InstallOptions) error {
	source, err := oneArg(c, "a folder, an archive or an executable")
	if err != nil {
		return err
	}
	if o.Trust, err = trust(c); err != nil {
		return err
	}
	o.Describe = describePlugin()
	got, err := p.library().Install(c.Context, source, o)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		out := shownInstalled{got.Name, got.Version, got.Dir, got.Sum(), got.Already, append([]string{}, got.Signatures.By...), got.Components, []string{}}
		for _, m := range got.Removed {
			out.Removed = append(out.Removed, m.Title())
		}
		return p.printJSON(out)
	}
	did := "installed"
	if got.Already {
		did = "already installed:"
	}
	fmt.Fprintf(p.Out, "%s %s, checksum %s, in %s\n", did, got.Title(), got.Sum(), got.Dir)
	fmt.Fprintf(p.Out, "%s\n", signedText(got.Signatures))
	for _, m := range got.Components {
		fmt.Fprintf(p.Out, "  %s %s\n", m.Name, m.Version)
	}
	for _, old := range got.Removed {
		fmt.Fprintf(p.Out, "removed %s\n", old.Title())
		for _, line := range differences(old, got.Manifest) {
			fmt.Fprintf(p.Out, "  %s\n", line)
		}
	}
	return nil
}

func signedText(s registry.Signatures) string {
	switch {
	case len(s.By) > 0:
		return "signed by " + strings.Join(s.By, ", ")
	case len(s.Unknown) > 0:
		return "signed by " + strings.Join(s.Unknown, ", ") + ", which " + registry.TrustedKeysFile() + " does not have: the signature says nothing"
	}
	return "not signed"
}

// differences says which components of a plugin changed: a component's version changes whenever its results do.
func differences(old, now registry.Manifest) []string {
	was := map[string]string{}
	for _, c := range old.Components {
		was[c.Name] = c.Version
	}
	var out []string
	for _, c := range now.Components {
		switch v, ok := was[c.Name]; {
		case !ok:
			out = append(out, c.Name+" is new")
		case v != c.Version:
			out = append(out, fmt.Sprintf("%s %s -> %s: its results may differ", c.Name, v, c.Version))
		}
		delete(was, c.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		out = append(out, name+" is gone")
	}
	return out
}
