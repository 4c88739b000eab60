package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/registry"
)

// pluginCommand is the parent of what sees to plugins; each subcommand is in a file of its own, plugin_NAME.go.
func (p Program) pluginCommand() *cli.Command {
	return &cli.Command{
		Name: "plugin", Usage: "see to plugins", OnUsageError: onUsage,
		Subcommands: []*cli.Command{
			p.pluginInitCommand(), p.pluginListCommand(), p.pluginInfoCommand(), p.pluginCheckCommand(), p.pluginInstallCommand(), p.pluginUpgradeCommand(), p.pluginRemoveCommand(), p.pluginVerifyCommand(),
			p.pluginLockCommand(), p.pluginPackCommand(), p.pluginKeyCommand(),
		},
	}
}

// library is where plugins are installed.
func (p Program) library() registry.Library {
	return registry.Library{Dir: registry.UserFolder(), Waiting: func() { fmt.Fprintln(p.Err, "waiting for another installation to end") }}
}

func describePlugin() registry.Describe { return catalog.Checked(catalog.ByProcess(nil)) }

func unsignedFlag() cli.Flag {
	return &cli.BoolFlag{Name: "unsigned", Usage: "take it without a signature of a trusted key, too"}
}

// trust reads the keys that the user trusts.
func trust(c *cli.Context) (registry.Trust, error) {
	t, err := registry.ReadTrust(registry.TrustedKeysFile())
	if err != nil {
		return t, usageError{err}
	}
	t.Unsigned = c.Bool("unsigned")
	return t, nil
}

// installed are the plugins of the library that are meant, which are at least one.
func (p Program) installed(given string) ([]registry.Installed, error) {
	ref, err := registry.ParsePluginRef(given)
	if err != nil {
		return nil, usageError{err}
	}
	all, broken, err := p.library().List()
	if err != nil {
		return nil, err
	}
	var found []registry.Installed
	var titles []string
	for _, i := range all {
		titles = append(titles, i.Title())
		if ref.Matches(i.Name, i.Version) {
			found = append(found, i)
		}
	}
	for _, s := range broken {
		// What its folder is called is all that is known of it, and enough to verify and to remove it.
		name, version, _ := strings.Cut(filepath.Base(s.Path), "@")
		i := registry.Installed{Manifest: registry.Manifest{Name: name, Version: version}, Dir: s.Path}
		titles = append(titles, i.Title())
		if ref.Matches(name, version) {
			found = append(found, i)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if len(titles) == 0 {
		return nil, usagef("no plugin is installed in %s", registry.UserFolder())
	}
	return nil, usagef("%s is not installed%s: there are %s", given, nearest(given, titles), few(titles))
}
