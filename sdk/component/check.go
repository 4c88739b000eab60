package component

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/Masterminds/semver/v3"
)

// A manifest is shown to people and kept for every start: these bound its parts, in numbers and bytes.
const (
	maxComponents = 1000
	maxParams     = 1000
	maxListed     = 1000 // of choices, capabilities and numerics
	maxDoc        = 4096
	maxWord       = 256
	maxName       = 64
	maxProblems   = 20
)

// Check reports what makes a manifest unusable: all of it, as far as one can read.
func (m Manifest) Check() error {
	c := &checking{}
	if len(m.Name) > maxName || !shortForm.MatchString(m.Name) {
		c.add("plugin name %.100q: lower-case letters, digits and hyphens are needed", m.Name)
	}
	c.version("plugin version", m.Version)
	if m.Protocol < 0 {
		c.add("protocol minor version %d: a number of at least 0 is needed", m.Protocol)
	}
	c.text("plugin doc", m.Doc, maxDoc)
	c.text("plugin language", m.Language, maxWord)
	c.text("plugin build", m.Build, maxWord)
	c.count("plugin numerics", len(m.Numerics), maxListed)
	for _, k := range slices.Sorted(maps.Keys(m.Numerics)) {
		c.text("plugin numerics: a name", k, maxWord)
		c.text("plugin numerics", m.Numerics[k], maxDoc)
	}
	if len(m.Components) == 0 {
		c.add("no components")
	}
	c.count("components", len(m.Components), maxComponents)
	seen := map[Name]bool{}
	for _, i := range m.Components {
		c.component(i)
		if seen[i.Name] {
			c.add("component %s is declared twice", i.Name)
		}
		seen[i.Name] = true
		if c.more > 0 {
			break
		}
	}
	return c.err()
}

// checking collects problems.
type checking struct {
	errs []error
	more int
}

func (c *checking) add(format string, args ...any) {
	if len(c.errs) == maxProblems {
		c.more++
		return
	}
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

func (c *checking) err() error {
	if c.more > 0 {
		c.errs = append(c.errs, errors.New("and more"))
	}
	if len(c.errs) == 0 {
		return nil
	}
	return fmt.Errorf("manifest: %w", errors.Join(c.errs...))
}

func (c *checking) text(what, s string, limit int) {
	if err := CheckText(what, s, limit); err != nil {
		var invalid *InvalidArgumentError
		if errors.As(err, &invalid) {
			c.add("%s", invalid.Problems[0])
		}
	}
}

func (c *checking) count(what string, n, limit int) {
	if n > limit {
		c.add("%s: %d: at most %d are allowed", what, n, limit)
	}
}

func (c *checking) version(what, v string) {
	if _, err := semver.StrictNewVersion(v); err != nil || len(v) > maxWord {
		c.add("%s %.100q: a semantic version such as 1.2.0 is needed", what, v)
	}
}

func (c *checking) component(i Info) {
	name := i.Name.String()
	if _, err := ParseName(name); err != nil || len(name) > maxWord {
		c.add("component name %.100q: kind/name is needed", name)
		return
	}
	what := "component " + name
	c.version(what+": version", i.Version)
	c.text(what+": doc", i.Doc, maxDoc)
	c.text(what+": source", i.Source, maxDoc)
	c.count(what+": capabilities", len(i.Capabilities), maxListed)
	for _, k := range i.Capabilities[:min(len(i.Capabilities), maxListed)] {
		c.text(what+": capability", string(k), maxWord)
	}
	c.count(what+": readings", len(i.Readings), maxListed)
	read := map[string]bool{}
	for _, r := range i.Readings[:min(len(i.Readings), maxListed)] {
		path := fmt.Sprintf("%s: reading of %.64q", what, r.Metric)
		if r.Metric == "" || r.Text == "" || read[r.Metric] {
			c.add("%s: a metric's name, which no other one has, and a text are needed", path)
		}
		read[r.Metric] = true
		c.text(path+": metric", r.Metric, maxWord)
		c.text(path, r.Text, maxDoc)
		c.text(path+": source", r.Source, maxDoc)
	}
	if len(i.Params) > maxParams {
		c.count(what+": parameters", len(i.Params), maxParams)
		return
	}
	for _, p := range i.Params.Check() {
		c.add("%s: parameter %s", what, p)
	}
	for _, f := range i.Params {
		// A name that is not fit to be shown has been told.
		path := fmt.Sprintf("%s: parameter %.64q: ", what, f.Name)
		c.text(path+"doc", f.Doc, maxDoc)
		c.text(path+"unit", f.Unit, maxWord)
		c.count(path+"choices", len(f.Choices), maxListed)
		for _, choice := range f.Choices[:min(len(f.Choices), maxListed)] {
			c.text(path+"choice", choice, maxWord)
		}
		switch d := f.Default.(type) {
		case string:
			c.text(path+"default", d, maxDoc)
		case []string:
			for _, s := range d {
				c.text(path+"default", s, maxDoc)
			}
		}
	}
}
