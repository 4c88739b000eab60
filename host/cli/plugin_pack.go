package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) pluginPackCommand() *cli.Command {
	return &cli.Command{
		Name: "pack", Usage: "make a package of a plugin, to give to others", ArgsUsage: "PATH", OnUsageError: onUsage,
		Description: "Takes a folder with an executable ctdb-plugin-NAME and what it needs, or the executable alone. The package is an archive with a manifest (" + registry.ManifestFile + ")\n" +
			"of the plugin's name, version, components and platform and its files' checksums, which `plugin install` compares.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the archive `FILE`", DefaultText: "NAME-VERSION-PLATFORM.tar.gz"},
			&cli.StringFlag{Name: "sign", Usage: "sign it with the private key in `FILE`, see plugin key"}, jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			source, err := oneArg(c, "a folder or an executable")
			if err != nil {
				return err
			}
			o := registry.PackOptions{Describe: describePlugin(), Out: c.String("out")}
			if file := c.String("sign"); file != "" {
				key, err := os.ReadFile(file)
				if err != nil {
					return usageError{err}
				}
				o.Key = string(key)
			}
			out, m, err := registry.Pack(c.Context, source, o)
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return p.printJSON(map[string]any{"package": out, "name": m.Name, "version": m.Version, "platform": m.Platform, "sha256": m.Sum(), "files": m.Files})
			}
			fmt.Fprintf(p.Out, "%s: %s for %s, %d files, checksum %s\n", out, m.Title(), m.Platform, len(m.Files), m.Sum())
			return nil
		},
	}
}

func (p Program) pluginKeyCommand() *cli.Command {
	return &cli.Command{
		Name: "key", Usage: "make a pair of keys to sign packages with", ArgsUsage: "NAME", OnUsageError: onUsage,
		Description: "The private key is written into a file that nobody else may read. The public one is printed: whoever trusts you puts that line into\n" + "ctdb/trusted-keys in their configuration folder.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write the private key into the new file `FILE`", DefaultText: "NAME.key"}},
		Action: func(c *cli.Context) error {
			name, err := oneArg(c, "a name for the key, e.g. lab.example.org,")
			if err != nil {
				return err
			}
			private, public, err := registry.NewKey(name)
			if err != nil {
				return usageError{err}
			}
			file := c.String("out")
			if file == "" {
				file = name + ".key"
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintln(f, private)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			fmt.Fprintln(p.Out, public)
			return nil
		},
	}
}
