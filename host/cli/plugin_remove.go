package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) pluginRemoveCommand() *cli.Command {
	return &cli.Command{
		Name: "remove", Usage: "remove installed plugins", ArgsUsage: "PLUGIN[@VERSION]...", OnUsageError: onUsage,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "all", Usage: "remove all versions that are meant, where it is several"}, jsonFlag()},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("remove: the name of an installed plugin is needed, e.g. mine or mine@1.2.0")
			}
			var which []registry.Installed
			seen := map[string]bool{}
			for _, given := range c.Args().Slice() {
				found, err := p.installed(given)
				if err != nil {
					return err
				}
				if len(found) > 1 && !c.Bool("all") {
					return usagef("remove: %s could be any of %s: name one, or use --all", given, few(titles(found)))
				}
				for _, i := range found {
					if !seen[i.Dir] {
						seen[i.Dir] = true
						which = append(which, i)
					}
				}
			}
			if err := p.library().Remove(c.Context, which...); err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(map[string]any{"removed": titles(which)})
			}
			for _, i := range which {
				fmt.Fprintf(p.Out, "removed %s\n", i.Title())
			}
			return nil
		},
	}
}

func titles(list []registry.Installed) []string {
	out := []string{}
	for _, i := range list {
		out = append(out, i.Title())
	}
	return out
}
