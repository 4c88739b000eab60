package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
)

func (p Program) schemaCommand() *cli.Command {
	return &cli.Command{
		Name: "schema", Usage: "print the JSON Schema of the experiment file, for editors", OnUsageError: onUsage,
		Description: "The schema knows every component that is found, with its parameters, so that an editor completes and checks experiments. Write it beside them and name it " +
			"in their first line:\n\n  ctdb-host schema --out experiment.schema.json\n  # yaml-language-server: $schema=experiment.schema.json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write it into `FILE`", DefaultText: "standard output"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, which it does in any case"},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("schema: no arguments are needed, got %q", c.Args().First())
			}
			cat, err := p.catalog(c)
			if err != nil {
				return err
			}
			var offers []experiment.Offer
			for _, x := range cat.Components() {
				offers = append(offers, experiment.Offer{Info: x.Info, Plugin: x.Plugin.Manifest.Name})
			}
			b, err := experiment.Schema(offers)
			if err != nil {
				return err
			}
			if out := c.String("out"); out != "" {
				if err := artifact.WriteFile(out, b); err != nil {
					return err
				}
				fmt.Fprintln(p.Out, out)
				return nil
			}
			_, err = p.Out.Write(b)
			return err
		},
	}
}
