package cli

import (
	"errors"
	"fmt"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) pluginVerifyCommand() *cli.Command {
	return &cli.Command{
		Name: "verify", Usage: "compare installed plugins with their manifests and signatures", ArgsUsage: "[PLUGIN[@VERSION]...]", OnUsageError: onUsage,
		Description: "Reads every file again. The exit status is 1 where something is wrong.",
		Flags:       []cli.Flag{unsignedFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			t, err := trust(c)
			if err != nil {
				return err
			}
			which, broken, err := p.library().List()
			if err != nil {
				return err
			}
			if c.Args().Present() {
				which, broken = nil, nil
				for _, given := range c.Args().Slice() {
					found, err := p.installed(given)
					if err != nil {
						return err
					}
					which = append(which, found...)
				}
			}
			return p.verify(which, broken, t, c.Bool("json"))
		},
	}
}

func (p Program) verify(which []registry.Installed, broken []registry.Skip, t registry.Trust, asJSON bool) error {
	type row struct {
		Plugin   string   `json:"plugin"`
		Path     string   `json:"path"`
		SHA256   string   `json:"sha256,omitempty"`
		SignedBy []string `json:"signed_by"`
		Problem  string   `json:"problem,omitempty"`
	}
	rows := []row{}
	bad := 0
	shown := p.table("plugin", "files", "sha256", "signature", "found")
	for _, i := range which {
		r := row{Plugin: i.Title(), Path: i.Dir}
		if len(i.Files) > 0 {
			r.SHA256 = i.Sum()
		}
		found := "whole"
		if err := i.Verify(t); err != nil {
			bad++
			r.Problem, found = err.Error(), err.Error()
			var wrong *registry.PackageError
			if errors.As(err, &wrong) {
				found = wrong.Err.Error()
			}
		}
		r.SignedBy = append([]string{}, i.Signatures.By...)
		rows = append(rows, r)
		shown.AppendRow(table.Row{r.Plugin, len(i.Files), shortKey(r.SHA256), signedText(i.Signatures), found})
	}
	for _, s := range broken {
		bad++
		rows = append(rows, row{Path: s.Path, SignedBy: []string{}, Problem: s.Reason})
		shown.AppendRow(table.Row{"?", "", "", "", s.Path + " " + s.Reason})
	}
	if asJSON {
		if err := p.printJSON(map[string]any{"plugins": rows}); err != nil {
			return err
		}
	} else if len(rows) > 0 {
		shown.Render()
	} else {
		fmt.Fprintf(p.Out, "no plugin is installed in %s\n", registry.UserFolder())
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d installed plugins cannot be trusted: install them again, or remove them", bad, len(rows))
	}
	return nil
}
