// Package scaffold begins plugin projects: a component of the wanted kind that works, with a test, a README and an experiment, beside the SDK's sources as this program was built from.
package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/ctdb-host/ctdb"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

//go:embed templates
var templates embed.FS

// Project says what to begin.
type Project struct {
	// Name of the plugin and of its component.
	Name string
	Kind component.Kind
	// Language is one of Languages.
	Language string
	// Dir is the folder to make; it may be there if it is empty.
	Dir string
	// Host is this program's version.
	Host string
}

// Languages are those that there are templates in.
func Languages() []string { return []string{"go", "python"} }

// sdkFolder is where a project has the SDK: in Go a module, in Python a package beside the script.
func sdkFolder(language string) string {
	if language == "python" {
		return "ctdb_sdk"
	}
	return "ctdb-sdk"
}

// docs say what the component of each kind is.
func docs(k component.Kind) string {
	return map[component.Kind]string{
		component.Task:       "which way noisy evidence points",
		component.Model:      "recurrent network that is fitted to spikes, from an initial state inferred from their beginning",
		component.Simulator:  "at most one spike a bin, with a rate that is a logistic function of one latent",
		component.Comparator: "correlation of true and inferred rates",
	}[k]
}

// Problems lists all that is wrong with what is asked for.
func (p Project) Problems() []param.Problem {
	var out []param.Problem
	if !registry.ValidPluginName(p.Name) {
		out = append(out, param.Problem{Path: "NAME", Message: fmt.Sprintf("%.100q: lower-case letters, digits and hyphens are needed, e.g. my-%s", p.Name, p.Kind)})
	}
	var kinds []string
	for _, k := range component.Kinds() {
		kinds = append(kinds, string(k))
	}
	if !slices.Contains(kinds, string(p.Kind)) {
		out = append(out, param.Problem{Path: "--kind", Message: fmt.Sprintf("%.100q: one of %s is needed", p.Kind, strings.Join(kinds, ", ")), Hint: param.DidYouMean(string(p.Kind), kinds)})
	}
	if !slices.Contains(Languages(), p.Language) {
		out = append(out, param.Problem{Path: "--lang", Message: fmt.Sprintf("%.100q: one of %s is needed", p.Language, strings.Join(Languages(), ", ")), Hint: param.DidYouMean(p.Language, Languages())})
	}
	return out
}

// Begin makes the project's folder, whole or not at all, and returns its files but those of the SDK.
func (p Project) Begin() (files []string, err error) {
	if problems := p.Problems(); len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	if err := vacant(p.Dir); err != nil {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(p.Dir))
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	work, err := os.MkdirTemp(parent, ".ctdb-init-")
	if err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	defer func() {
		if removed := os.RemoveAll(work); removed != nil {
			err = errors.Join(err, fmt.Errorf("scaffold: %w", removed))
		}
	}()
	at := filepath.Join(work, "project")
	if err := os.Mkdir(at, 0o777); err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	if files, err = p.write(at); err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	if err := os.Remove(p.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	if err := os.Rename(at, p.Dir); err != nil {
		return nil, fmt.Errorf("scaffold: %w", err)
	}
	return files, nil
}

// vacant reports a folder that is in use.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return component.Invalid("NAME", "%s: %v", dir, err)
	case len(entries) > 0:
		return component.Invalid("NAME", "%s is there already and is not empty: choose another name, or another folder with --dir", dir)
	}
	return nil
}

// view is what templates see.
type view struct {
	Project
	Doc string
	// Field of serve.Plugin, and the component's file.
	Field, File string
}

func (p Project) write(dir string) ([]string, error) {
	v := view{p, docs(p.Kind), strings.ToUpper(string(p.Kind[:1])) + string(p.Kind[1:]) + "s", string(p.Kind) + ".go"}
	files := []string{"experiment.yaml"}
	if err := render(path.Join("templates", "experiments", string(p.Kind)+".yaml.tmpl"), filepath.Join(dir, "experiment.yaml"), v); err != nil {
		return nil, err
	}
	for _, from := range []string{"common", string(p.Kind)} {
		folder := path.Join("templates", p.Language, from)
		entries, err := templates.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".tmpl")
			switch name {
			case "gitignore":
				name = ".gitignore"
			case "plugin":
				name = registry.Prefix + p.Name
			}
			if err := render(path.Join(folder, e.Name()), filepath.Join(dir, name), v); err != nil {
				return nil, err
			}
			files = append(files, name)
		}
	}
	if p.Language == "go" {
		if err := module(p.Name, dir); err != nil {
			return nil, err
		}
		files = append(files, "go.mod", "go.sum")
	}
	slices.Sort(files)
	return files, unpackSDK(p.Language, filepath.Join(dir, sdkFolder(p.Language)))
}

func render(from, to string, v view) error {
	text, err := templates.ReadFile(from)
	if err != nil {
		return err
	}
	t, err := template.New(path.Base(from)).Delims("[[", "]]").Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return err
	}
	out := b.Bytes()
	if strings.HasSuffix(to, ".go") {
		// The order of imports depends on their names.
		if out, err = format.Source(out); err != nil {
			return err
		}
	}
	mode := fs.FileMode(0o666)
	if bytes.HasPrefix(out, []byte("#!")) {
		mode = 0o777
	}
	return os.WriteFile(to, out, mode)
}

// Refresh puts the SDK of this program in the place of that of a project that was begun with another.
func Refresh(dir string) error {
	language, marks := "", map[string]string{"go": "go.mod", "python": "__init__.py"}
	for _, l := range Languages() {
		if _, err := os.Stat(filepath.Join(dir, sdkFolder(l), marks[l])); err == nil {
			language = l
		}
	}
	if language == "" {
		return component.Invalid("DIR", "%s is no project that `plugin init` has made: there is no SDK in it", dir)
	}
	work, err := os.MkdirTemp(dir, ".ctdb-init-")
	if err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	defer os.RemoveAll(work)
	fresh, old, at := filepath.Join(work, "sdk"), filepath.Join(work, "old"), filepath.Join(dir, sdkFolder(language))
	err = unpackSDK(language, fresh)
	if err == nil {
		err = os.Rename(at, old)
	}
	if err == nil {
		if err = os.Rename(fresh, at); err != nil {
			err = errors.Join(err, os.Rename(old, at))
		}
	}
	if err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	return nil
}

// unpackSDK writes the SDK, without its tests, into a new folder: in Go the module, in Python the package.
func unpackSDK(language, dir string) error {
	const python = "sdk/python"
	root := "."
	if language == "python" {
		root = python + "/ctdb_sdk"
	}
	return fs.WalkDir(ctdb.Sources, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(name, root)))
		if d.IsDir() {
			if d.Name() == "testdata" || name == python {
				return fs.SkipDir
			}
			return os.MkdirAll(to, 0o777)
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		data, err := ctdb.Sources.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o666)
	})
}

// sdkModule is the path of the SDK's module.
const sdkModule = "github.com/ctdb-host/ctdb"

// module writes a project's go.mod and go.sum: it requires what the SDK does, so that nothing has to be looked up.
func module(name, dir string) error {
	data, err := ctdb.Sources.ReadFile("go.mod")
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(string(data), "module "+sdkModule+"\n")
	if !ok {
		return fmt.Errorf("go.mod does not begin with the module's path")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "module ctdb-plugin-%s\n", name)
	for line := range strings.Lines(text) {
		// What the plugin itself imports is the SDK: the rest comes with it.
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "//") {
			line = strings.TrimSuffix(line, "\n") + " // indirect\n"
		}
		out.WriteString(line)
	}
	fmt.Fprintf(&out, "\nrequire %s v0.0.0\n\nreplace %s => ./%s\n", sdkModule, sdkModule, sdkFolder("go"))
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(out.String()), 0o666); err != nil {
		return err
	}
	sums, err := ctdb.Sources.ReadFile("go.sum")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o666)
}
