package cli

import (
	"github.com/urfave/cli/v2"
)

// pluginCommand is the parent of what sees to plugins; each subcommand is in a file of its own, plugin_NAME.go.
func (p Program) pluginCommand() *cli.Command {
	return &cli.Command{
		Name: "plugin", Usage: "see to plugins", OnUsageError: onUsage,
		Subcommands: []*cli.Command{p.pluginListCommand(), p.pluginInfoCommand(), p.pluginCheckCommand()},
	}
}
