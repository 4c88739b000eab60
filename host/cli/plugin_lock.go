package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/pipeline"
	"github.com/ctdb-host/ctdb/registry"
)

func (p Program) pluginLockCommand() *cli.Command {
	return &cli.Command{
		Name: "lock", Usage: "pin the plugins of experiments in the " + registry.LockFile + " beside them", ArgsUsage: "FILE...", OnUsageError: onUsage,
		Description: "From then on the experiments of that folder run with these plugins, to the bit, or say what differs. A plugin that is there in several versions is taken in\n" +
			"the one that is pinned already, unless the experiment names another. Plugins from --plugin-dir are not compared. What the lock says of other experiments stays.",
		Flags: []cli.Flag{setFlag(), jsonFlag()},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("lock: an experiment file is needed")
			}
			cat, err := p.catalog(c)
			if err != nil {
				return err
			}
			of := map[string]*toLock{}
			for _, name := range c.Args().Slice() {
				if err := p.addToLock(c, cat, name, of); err != nil {
					return err
				}
			}
			rows := []shownLock{}
			for _, l := range of {
				changes, err := registry.WriteLock(l.path, l.plugins)
				if err != nil {
					return err
				}
				rows = append(rows, shownLock{l.path, append([]string{}, changes...)})
			}
			slices.SortFunc(rows, func(a, b shownLock) int { return strings.Compare(a.Path, b.Path) })
			if c.Bool("json") {
				return p.printJSON(rows)
			}
			for _, r := range rows {
				fmt.Fprintf(p.Out, "%s\n", r.Path)
				if len(r.Changes) == 0 {
					fmt.Fprintln(p.Out, "  as it was")
				}
				for _, line := range r.Changes {
					fmt.Fprintf(p.Out, "  %s\n", line)
				}
			}
			return nil
		},
	}
}

type shownLock struct {
	Path    string   `json:"path"`
	Changes []string `json:"changes"`
}

// toLock is a lock that is to be written; plugins are those of each experiment by its file's name.
type toLock struct {
	path    string
	was     *registry.Lock
	plugins map[string][]registry.Pinned
}

// addToLock adds the plugins of an experiment to the lock beside it.
func (p Program) addToLock(c *cli.Context, cat *catalog.Catalog, name string, of map[string]*toLock) error {
	file, data, err := readExperiment(name)
	if err != nil {
		return err
	}
	if !isThere(file) {
		return usagef("lock: %s is an example, not a file: `ctdb-host examples %s > %s` makes it one", name, name, file)
	}
	path := filepath.Join(filepath.Dir(file), registry.LockFile)
	l, ok := of[path]
	if !ok {
		was, err := registry.ReadLock(path)
		if err != nil {
			return usageError{err}
		}
		l = &toLock{path: path, was: was, plugins: map[string][]registry.Pinned{}}
		of[path] = l
	}
	experimentName := filepath.Base(file)
	cat = cat.Preferring(l.was.Of(experimentName))
	study, err := experiment.Read(file, data, c.StringSlice("set"), cat.Lookup())
	if err != nil {
		return err
	}
	g, err := pipeline.New(study, nil, pipeline.Host{Catalog: cat})
	if err != nil {
		return usageError{err}
	}
	pins := []registry.Pinned{}
	for _, one := range g.Plugins() {
		if one.Source == registry.FlagDir {
			fmt.Fprintf(p.Err, "%s is from --plugin-dir and is not pinned\n", one.Title())
			continue
		}
		pins = append(pins, one.Build())
	}
	l.plugins[experimentName] = pins
	return nil
}

// readLock reads what the lock beside an experiment file says of it; nil where there is none, as for an example.
func readLock(file string) (*registry.Pins, error) {
	if !isThere(file) {
		return nil, nil
	}
	l, err := registry.ReadLock(filepath.Join(filepath.Dir(file), registry.LockFile))
	if err != nil {
		return nil, usageError{err}
	}
	return l.Of(filepath.Base(file)), nil
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
