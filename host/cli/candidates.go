package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

func nothing(string) bool  { return false }
func anything(string) bool { return true }

func isYAML(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml":
		return true
	}
	return false
}

// paths lists the folders, with a slash, and the files that are wanted, in the folder that a beginning leads into. Hidden ones only where the beginning says so.
func paths(last string, wanted func(name string) bool) []candidate {
	dir, base := filepath.Split(last)
	entries, err := os.ReadDir(expandHome(dir))
	if err != nil {
		return nil
	}
	var out []candidate
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(base, ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(expandHome(dir), e.Name()))
		switch {
		case err != nil:
		case info.IsDir():
			out = append(out, candidate{dir + e.Name() + "/", "folder"})
		case wanted(e.Name()):
			out = append(out, candidate{dir + e.Name(), size(info.Size())})
		}
	}
	return out
}

// expandHome is the folder that a shell would make of one that begins with ~/; the shell has not done so yet where it asks.
func expandHome(dir string) string {
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if dir == "" {
		return "."
	}
	return dir
}

func examples() []candidate {
	var out []candidate
	for _, e := range experiment.Examples() {
		out = append(out, candidate{e.Name, e.Title})
	}
	return out
}

func kinds() []candidate {
	var out []candidate
	for _, k := range component.Kinds() {
		out = append(out, candidate{string(k), ""})
	}
	return out
}

// runs lists the runs under the root by name, the newest first, and folders that lead elsewhere.
func runs(l line, last string) []candidate {
	root := runsRoot
	if given := l.values["root"]; len(given) > 0 {
		root = expandHome(given[len(given)-1])
	}
	var out []candidate
	if !strings.Contains(last, "/") {
		list, err := artifact.ListRuns(root)
		if err == nil {
			for _, r := range list {
				out = append(out, candidate{filepath.Base(r.Dir), fmt.Sprintf("%s, %s", r.Status, humanize.Time(r.Started))})
			}
		}
	}
	return append(out, paths(last, nothing)...)
}

// catalogOf is the catalog for a line; nil where it cannot be had. A key that was pressed is no reason to start an interpreter.
func (p Program) catalogOf(ctx context.Context, l line) *catalog.Catalog {
	cat, err := p.discover(ctx, l.values["plugin-dir"], true)
	if err != nil {
		return nil
	}
	return cat
}

// componentNames lists the components of a kind, of all where it is empty.
func (p Program) componentNames(ctx context.Context, l line, kind component.Kind) []candidate {
	cat := p.catalogOf(ctx, l)
	if cat == nil {
		return nil
	}
	list := component.Kinds()
	if kind != "" {
		list = []component.Kind{kind}
	}
	var out []candidate
	for _, c := range cat.Components(list...) {
		out = append(out, candidate{shortRef(cat, c), c.Doc})
	}
	return out
}

// overrides lists what --set could set in the experiment of a line, up to the "=", or after it the values that there is a choice of.
func (p Program) overrides(ctx context.Context, l line, last string) []candidate {
	if len(l.positional) == 0 {
		return nil
	}
	name, data, err := readExperiment(expandHome(l.positional[0]))
	if err != nil {
		return nil
	}
	study, err := experiment.Parse(name, data, nil)
	if err != nil || len(study.Points) == 0 {
		return nil
	}
	cat := p.catalogOf(ctx, l)
	out := []candidate{{"name=", "the experiment's name"}, {"seed=", "of all stages that have none of their own"}}
	for _, u := range study.Points[0].Experiment.Uses() {
		out = append(out, candidate{u.Path() + ".use=", "the component"}, candidate{u.Path() + ".seed=", "its random seed"})
		if strings.HasPrefix(last, u.Path()+".use=") {
			for _, c := range p.componentNames(ctx, l, u.Ref.Name.Kind) {
				out = append(out, candidate{u.Path() + ".use=" + c.word, c.meaning})
			}
		}
		if cat == nil {
			continue
		}
		found, err := cat.Find(u.Ref.String())
		if err != nil {
			continue
		}
		for _, f := range found.Params {
			path := u.Path() + ".params." + f.Name + "="
			out = append(out, candidate{path, meaning(f)})
			if strings.HasPrefix(last, path) {
				for _, v := range choices(f) {
					out = append(out, candidate{path + v, ""})
				}
			}
		}
	}
	return out
}

// choices are the values of a parameter that has few.
func choices(f param.Field) []string {
	if f.Type == param.Bool {
		return []string{"true", "false"}
	}
	return f.Choices
}

// meaning is what a parameter is, in a line.
func meaning(f param.Field) string {
	text := f.Doc
	if f.Unit != "" {
		text += " (" + f.Unit + ")"
	}
	if f.Default != nil {
		text += ", by default " + fmt.Sprint(f.Default)
	}
	return text
}
