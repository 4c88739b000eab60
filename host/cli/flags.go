package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/adrg/xdg"
	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// runsRoot is where runs go unless told otherwise.
const runsRoot = "runs"

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "override a value of the file, e.g. `fit.gru-64.params.latent=16` (may be repeated)"}
}

// budgetFlags say how much of the machine a run may use.
func budgetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1, Usage: "run up to `N` independent stages side by side"},
		&cli.IntFlag{Name: "threads", Value: runtime.NumCPU(), Usage: "keep at most `N` threads busy, over all stages"},
	}
}

// printJSON prints a value as the program's JSON files are written.
func (p Program) printJSON(v any) error {
	b, err := artifact.EncodeJSON(v)
	if err != nil {
		return err
	}
	_, err = p.Out.Write(b)
	return err
}

// oneArg returns the only argument of a command.
func oneArg(c *cli.Context, what string) (string, error) {
	if c.Args().Len() != 1 {
		return "", usagef("%s: %s is needed, got %d arguments", c.Command.Name, what, c.Args().Len())
	}
	return c.Args().First(), nil
}

// nearest is a hint at the valid name that was meant, with a space before it.
func nearest(given string, valid []string) string {
	if h := param.DidYouMean(given, valid); h != "" {
		return " (" + h + ")"
	}
	return ""
}

// catalog finds the plugins that there are.
func (p Program) catalog(c *cli.Context) (*catalog.Catalog, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the built-in plugin: %w", err)
	}
	builtin := &registry.Candidate{Path: self, Args: p.Builtin, Source: registry.Builtin}
	search := registry.NewSearch(c.StringSlice("plugin-dir"), os.Getenv(registry.PathEnv), builtin)
	return catalog.Discover(c.Context, search, catalog.Options{CacheDir: catalog.DefaultCacheDir(), Jobs: runtime.NumCPU()})
}

func openStore(c *cli.Context) (*store.Store, error) {
	dir := c.String("store")
	if dir == "" {
		dir = filepath.Join(xdg.DataHome, "ctdb", "store")
	}
	return store.Open(dir)
}

// load reads an experiment, from a file or by the name of an example, and resolves it.
func (p Program) load(ctx context.Context, c *cli.Context, cat *catalog.Catalog) (*experiment.Experiment, error) {
	name, err := oneArg(c, "an experiment file or the name of an example")
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		example, ok := experiment.FindExample(name)
		switch {
		case ok:
			data, name = example.Data, name+".yaml"
		case errors.Is(err, fs.ErrNotExist):
			var names []string
			for _, e := range experiment.Examples() {
				names = append(names, e.Name)
			}
			return nil, usagef("%s: there is no such file, nor an example of that name: they are %s%s", name, strings.Join(names, ", "), nearest(name, names))
		default:
			return nil, usageError{err}
		}
	}
	study, err := experiment.Read(name, data, c.StringSlice("set"), cat.Lookup)
	if err != nil {
		return nil, err
	}
	if len(study.Points) > 1 {
		return nil, usagef("%s: a study of %d points: one experiment is needed", name, len(study.Points))
	}
	return study.Points[0].Experiment, nil
}
