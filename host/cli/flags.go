package cli

import (
	"cmp"
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
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// runsRoot is where runs go unless told otherwise.
const runsRoot = "runs"

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print JSON"} }

func setFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "set", Usage: "override a value of the file with `PATH=VALUE`, e.g. fit.gru-64.params.latent=16 (may be repeated)"}
}

// budgetFlags say how much of the machine a run may use.
func budgetFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1, Usage: "run up to `N` independent stages side by side"},
		&cli.IntFlag{Name: "threads", Value: machine.Threads(), Usage: "keep at most `N` threads busy, over all stages"},
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

// search is where plugins are looked for.
func (p Program) search(pluginDirs []string) (registry.Search, error) {
	self, err := os.Executable()
	if err != nil {
		return registry.Search{}, fmt.Errorf("finding the built-in plugin: %w", err)
	}
	builtin := &registry.Candidate{Path: self, Args: p.Builtin, Source: registry.Builtin}
	return registry.NewSearch(pluginDirs, os.Getenv(registry.PathEnv), builtin), nil
}

// discover finds the plugins that there are, with what is remembered of scripts too where names are enough.
func (p Program) discover(ctx context.Context, pluginDirs []string, remembered bool) (*catalog.Catalog, error) {
	search, err := p.search(pluginDirs)
	if err != nil {
		return nil, err
	}
	return catalog.Discover(ctx, search, catalog.Options{CacheDir: catalog.DefaultCacheDir(), Remembered: remembered, Jobs: runtime.NumCPU()})
}

// catalog finds the plugins that there are for a command.
func (p Program) catalog(c *cli.Context) (*catalog.Catalog, error) {
	cat, err := p.discover(c.Context, c.StringSlice("plugin-dir"), false)
	if err == nil {
		p.warnOfOverrides(cat, c.StringSlice("plugin-dir"))
	}
	return cat, err
}

// warnOfOverrides says what of --plugin-dir cannot be used: what is installed under the same name would take its place without a word.
func (p Program) warnOfOverrides(cat *catalog.Catalog, dirs []string) {
	for _, one := range cat.Plugins() {
		if one.Source == registry.FlagDir && one.Err != nil {
			reason, _, _ := strings.Cut(one.Err.Error(), "\n")
			fmt.Fprintf(p.Err, "passed over %s of --plugin-dir: %s\n", one.Title(), reason)
		}
	}
	for _, s := range cat.Skipped() {
		for _, dir := range dirs {
			if s.Path == dir || s.Path == filepath.Join(dir, filepath.Base(s.Path)) {
				fmt.Fprintf(p.Err, "passed over %s of --plugin-dir: %s\n", s.Path, s.Reason)
				break
			}
		}
	}
}

// storeDir is where results are kept.
func storeDir(c *cli.Context) string {
	return cmp.Or(c.String("store"), filepath.Join(xdg.DataHome, "ctdb", "store"))
}

// openStore opens the store, which is to be closed; a folder that will not do is the user's choice.
func openStore(c *cli.Context) (*store.Store, error) {
	if c.String("store") == "" && os.Getenv("HOME") == "" && os.Getenv("XDG_DATA_HOME") == "" {
		return nil, usagef("there is no folder for results, since HOME is not set: name one with --store or CTDB_STORE")
	}
	st, err := store.Open(storeDir(c))
	if err != nil {
		return nil, usageError{err}
	}
	return st, nil
}

// readExperiment reads an experiment file, or the example of that name, and returns the name that messages have for it.
func readExperiment(name string) (string, []byte, error) {
	data, err := os.ReadFile(name)
	if err == nil {
		return name, data, nil
	}
	if example, ok := experiment.FindExample(name); ok {
		return name + ".yaml", example.Data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", nil, usageError{err}
	}
	var names []string
	for _, e := range experiment.Examples() {
		names = append(names, e.Name)
	}
	return "", nil, usagef("%s: there is no such file, nor an example of that name: they are %s%s", name, strings.Join(names, ", "), nearest(name, names))
}

// source is an experiment file with the name that messages have for it.
type source struct {
	name string
	data []byte
}

// named reads the experiment file, or the example, that a command names.
func named(c *cli.Context) (source, error) {
	name, err := oneArg(c, "an experiment file or the name of an example")
	if err != nil {
		return source{}, err
	}
	name, data, err := readExperiment(name)
	return source{name, data}, err
}
