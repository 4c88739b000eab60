package catalog

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// NotFoundError says that no plugin has a component. It is component.ErrNotFound.
type NotFoundError struct {
	Ref string
	// Why says what was looked at, e.g. the versions that there are.
	Why string
	// Near are the names that may have been meant.
	Near []string
	// Broken are the plugins that could not be asked, each with the first line of the reason.
	Broken []string
	// Absent are the plugins that the experiment's lock pins, e.g. "mine@1.2.0", and of which there is no version here.
	Absent []string
}

// Problem gives the message and the hint apart.
func (e *NotFoundError) Problem() param.Problem {
	p := param.Problem{Message: fmt.Sprintf("%q: %s", e.Ref, e.Why)}
	switch len(e.Near) {
	case 0:
	case 1:
		p.Hint = fmt.Sprintf("did you mean %q?", e.Near[0])
	default:
		p.Hint = "there are " + strings.Join(e.Near, ", ")
	}
	more := func(text string, list []string) {
		if len(list) == 0 {
			return
		}
		if p.Hint != "" {
			p.Hint += "; "
		}
		p.Hint += text + ": " + strings.Join(list, ", ")
	}
	more("these plugins could not be asked", e.Broken)
	more("pinned by "+registry.LockFile+" and not installed", e.Absent)
	return p
}

// Error says what was not found, and what is near.
func (e *NotFoundError) Error() string { return "catalog: " + e.Problem().String() }

// Is makes errors.Is(err, component.ErrNotFound) true.
func (e *NotFoundError) Is(target error) bool { return target == component.ErrNotFound }

// AmbiguousError says that several plugins have a component.
type AmbiguousError struct {
	Ref string
	// Candidates are references of which each means one of them.
	Candidates []string
}

// Problem gives the message and the hint apart.
func (e *AmbiguousError) Problem() param.Problem {
	return param.Problem{Message: fmt.Sprintf("%q could be any of %s", e.Ref, strings.Join(e.Candidates, ", ")), Hint: "write one of them"}
}

// Error lists the candidates.
func (e *AmbiguousError) Error() string { return "catalog: " + e.Problem().String() }

// Find returns the component that a reference means. The error is a [*NotFoundError], also where ref names no kind or has a name that none can have, an [*AmbiguousError],
// a [*registry.LockError], or says that ref is no reference.
func (c *Catalog) Find(ref string) (Component, error) {
	r, err := registry.ParseRef(ref)
	var wrong *registry.RefError
	if errors.As(err, &wrong) {
		return Component{}, &NotFoundError{Ref: ref, Why: wrong.What, Near: c.near(wrong)}
	}
	if err != nil {
		return Component{}, err
	}
	var found []Component
	for _, x := range c.Components(r.Name.Kind) {
		if x.Name == r.Name && r.Matches(x.Plugin.Manifest.Name, x.Plugin.Manifest.Version) {
			found = append(found, x)
		}
	}
	if c.lock != nil && len(found) > 1 {
		pinned := slices.DeleteFunc(slices.Clone(found), func(x Component) bool { return !c.lock.Has(x.Plugin.Manifest.Name, x.Plugin.Manifest.Version) })
		if len(pinned) == 1 {
			found = pinned
		}
	}
	switch len(found) {
	case 1:
		if p := found[0].Plugin; c.IsLocked() && p.Source != registry.FlagDir {
			if err := c.lock.Check(p.Build()); err != nil {
				return Component{}, err
			}
		}
		return found[0], nil
	case 0:
		return Component{}, c.notFound(r)
	}
	e := &AmbiguousError{Ref: ref}
	for _, x := range found {
		e.Candidates = append(e.Candidates, shortest(x, found))
	}
	return Component{}, e
}

// near are the components that a reference may mean which names none: those of its kind, where it has one, or of any kind what is nearest.
func (c *Catalog) near(wrong *registry.RefError) []string {
	kinds := component.Kinds()
	if wrong.Kind != "" {
		kinds = []component.Kind{wrong.Kind}
	}
	var names, out []string
	all := c.Components(kinds...)
	for _, x := range all {
		names = append(names, x.Name.Short)
	}
	nearest, ok := param.Nearest(wrong.Short, names)
	for _, x := range all {
		if name := x.Name.String(); (ok && x.Name.Short == nearest || !ok && wrong.Kind != "") && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// shortest is the shortest reference that tells x from the others.
func shortest(x Component, others []Component) string {
	name := x.Plugin.Manifest.Name
	same := 0
	for _, o := range others {
		if o.Plugin.Manifest.Name == name {
			same++
		}
	}
	if same > 1 {
		return x.Qualified()
	}
	return name + ":" + x.Name.String()
}

// Lookup is Find for an experiment, which has checked the kind. That a plugin is not the pinned one is told where it is looked up first, and not again for each of its components.
func (c *Catalog) Lookup() func(ref string, _ component.Kind) (component.Info, error) {
	told := map[string]bool{}
	unlocked := *c
	unlocked.strict = false
	return func(ref string, _ component.Kind) (component.Info, error) {
		x, err := c.Find(ref)
		var pinned *registry.LockError
		if errors.As(err, &pinned) {
			if told[pinned.Found.Title()] {
				x, err = unlocked.Find(ref)
			}
			told[pinned.Found.Title()] = true
		}
		return x.Info, err
	}
}

// notFound says why, from the plugin to the version to the name.
func (c *Catalog) notFound(r registry.Ref) error {
	e := &NotFoundError{Ref: r.String(), Why: "no plugin has this component"}
	for _, p := range c.plugins {
		if p.Err != nil {
			reason, _, _ := strings.Cut(strings.TrimPrefix(p.Err.Error(), "catalog: "), "\n")
			e.Broken = append(e.Broken, fmt.Sprintf("%s (%s)", p.Title(), reason))
		}
	}
	for _, s := range c.skipped {
		e.Broken = append(e.Broken, fmt.Sprintf("%s (it %s)", s.Path, s.Reason))
	}
	if c.lock != nil {
		var there []string
		for _, p := range c.plugins {
			there = append(there, p.Candidate.Name(), p.Manifest.Name)
		}
		// What is there and damaged is told as such.
		for _, s := range c.skipped {
			name, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(s.Path), registry.Prefix), "@")
			there = append(there, name)
		}
		e.Absent = c.lock.Absent(there)
	}
	all := c.Components(r.Name.Kind)
	if r.Plugin != "" {
		var plugins, versions []string
		for _, p := range c.plugins {
			if p.Err != nil || p.Shadowed != "" {
				continue
			}
			plugins = append(plugins, p.Manifest.Name)
			if p.Manifest.Name == r.Plugin {
				versions = append(versions, p.Manifest.Version)
			}
		}
		if len(versions) == 0 {
			e.Why = fmt.Sprintf("there is no plugin %q", r.Plugin)
			if near, ok := param.Nearest(r.Plugin, plugins); ok {
				e.Near = []string{near}
			} else {
				slices.Sort(plugins)
				e.Near = slices.Compact(plugins)
			}
			return e
		}
		if !slices.ContainsFunc(versions, func(v string) bool { return r.Matches(r.Plugin, v) }) {
			e.Why = fmt.Sprintf("plugin %q has no version %s, it has %s", r.Plugin, r.Constraint, strings.Join(versions, ", "))
			return e
		}
		e.Why = fmt.Sprintf("plugin %q has no such component", r.Plugin)
		all = slices.DeleteFunc(all, func(x Component) bool { return x.Plugin.Manifest.Name != r.Plugin })
	}
	var names []string
	for _, x := range all {
		names = append(names, x.Name.Short)
	}
	names = slices.Compact(names)
	near := names
	if n, ok := param.Nearest(r.Name.Short, names); ok {
		near = []string{n}
	}
	for _, n := range near {
		e.Near = append(e.Near, string(r.Name.Kind)+"/"+n)
	}
	return e
}
