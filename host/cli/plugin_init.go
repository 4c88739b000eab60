package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/scaffold"
	"github.com/ctdb-host/ctdb/sdk/component"
)

func (p Program) pluginInitCommand() *cli.Command {
	return &cli.Command{
		Name: "init", Usage: "begin a plugin: a small project that works, to be changed", ArgsUsage: "NAME", OnUsageError: onUsage,
		Description: "Writes a component with parameters, its test, a README, a Makefile and an experiment that runs at once, beside the SDK's sources as this program was built from.\n" +
			"In Go, 1.26 and make are needed to build it, and no C compiler; in Python, 3.9 with venv, and make. The first build fetches what the SDK needs (Go modules, or grpcio, protobuf and\n" +
			"numpy) where it is not there yet; after that no network is needed.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "kind", Usage: "begin a `task|model|simulator|comparator`"},
			&cli.StringFlag{Name: "lang", Value: scaffold.Languages()[0], Usage: "write it in `" + strings.Join(scaffold.Languages(), "|") + "`"},
			&cli.StringFlag{Name: "dir", Usage: "make the folder `DIR`", DefaultText: "NAME"},
			&cli.StringFlag{Name: "refresh", Usage: "unpack this program's SDK anew into the project in `DIR`, and change nothing else"},
			jsonFlag(),
		},
		Action: p.initPlugin,
	}
}

func (p Program) initPlugin(c *cli.Context) error {
	if dir := c.String("refresh"); dir != "" {
		if c.Args().Present() || c.IsSet("kind") {
			return usagef("init: --refresh goes with neither a name nor --kind")
		}
		if err := scaffold.Refresh(dir); err != nil {
			return told("init", err)
		}
		fmt.Fprintf(p.Out, "the SDK in %s is that of %s (in Go, `go mod tidy` brings go.mod up to date with it)\n", dir, Version())
		return nil
	}
	name, err := oneArg(c, "a name for the plugin and its component, e.g. my-task,")
	if err != nil {
		return err
	}
	if !c.IsSet("kind") {
		return usagef("init: --kind task, model, simulator or comparator is needed")
	}
	dir := c.String("dir")
	if dir == "" {
		dir = name
	}
	files, err := scaffold.Project{Name: name, Kind: component.Kind(c.String("kind")), Language: c.String("lang"), Dir: dir, Host: Version()}.Begin()
	if err != nil {
		return told("init", err)
	}
	if c.Bool("json") {
		return p.printJSON(map[string]any{"dir": dir, "files": files, "component": c.String("kind") + "/" + name})
	}
	fmt.Fprintf(p.Out, "%s holds a plugin with %s/%s: %s\n\n  cd %s\n  make check    # makes what is needed, and checks that the plugin keeps what the protocol promises\n  make run      # runs experiment.yaml with it\n\n", dir, c.String("kind"), name,
		strings.Join(files, ", "), dir)
	fmt.Fprintln(p.Out, "README.md says where to go on.")
	return nil
}

// told makes the problems of an invalid argument errors of the command line.
func told(command string, err error) error {
	var invalid *component.InvalidArgumentError
	if !errors.As(err, &invalid) {
		return err
	}
	var errs []error
	for _, q := range invalid.Problems {
		errs = append(errs, usagef("%s: %s", command, q))
	}
	return errors.Join(errs...)
}
