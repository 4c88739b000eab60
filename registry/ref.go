// Package registry says where plugins are found and how their components are referred to, and installs, verifies and pins them. It reads and writes folders; it starts no
// process and knows nothing of the protocol that plugins speak.
package registry

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// Ref refers to a component as an experiment file does: kind/name where one plugin alone has it, plugin:kind/name, or
// plugin@version:kind/name, where version is a semantic version or a constraint such as ^1.2 or >=1.2,<2.
type Ref struct {
	// Plugin is empty where any plugin will do.
	Plugin string
	// Constraint is on the plugin's version, as written; empty where any version will do.
	Constraint string
	Name       component.Name
}

var pluginForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// ValidPluginName reports whether s can name a plugin: lower-case letters and digits, in words joined by hyphens.
func ValidPluginName(s string) bool { return len(s) <= 64 && pluginForm.MatchString(s) }

// ParseRef reads a reference.
func ParseRef(s string) (Ref, error) {
	var r Ref
	name := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		name = s[i+1:]
		var versioned bool
		r.Plugin, r.Constraint, versioned = strings.Cut(s[:i], "@")
		if !ValidPluginName(r.Plugin) {
			return Ref{}, fmt.Errorf("registry: reference %q: %q cannot name a plugin: lower-case letters, digits and hyphens are needed", s, r.Plugin)
		}
		if versioned {
			if _, err := semver.NewConstraint(r.Constraint); err != nil {
				return Ref{}, fmt.Errorf("registry: reference %q: %q is no version or constraint such as 1.2.0 or ^1.2", s, r.Constraint)
			}
		}
	}
	n, err := component.ParseName(name)
	if err != nil {
		return Ref{}, wrongName(s, name)
	}
	r.Name = n
	return r, nil
}

// RefError says what is wrong with a reference's kind or name.
type RefError struct {
	Ref string
	// Kind is empty where the reference has none that there is; Short is what stands for the name, or for all where there is no kind.
	Kind  component.Kind
	Short string
	What  string
}

// Error names the reference and what is wrong with it.
func (e *RefError) Error() string { return fmt.Sprintf("registry: reference %q: %s", e.Ref, e.What) }

// wrongName says why a name, of a reference, is not that of a component.
func wrongName(ref, name string) *RefError {
	e := &RefError{Ref: ref, Short: name, What: "kind/name or plugin@version:kind/name is needed, e.g. model/noisy-gru"}
	kind, short, ok := strings.Cut(name, "/")
	if !ok || kind == "" || short == "" {
		if slices.Contains(component.Kinds(), component.Kind(kind)) {
			e.Kind, e.Short = component.Kind(kind), short
		}
		return e
	}
	e.Short = short
	if !slices.Contains(component.Kinds(), component.Kind(kind)) {
		var kinds []string
		for _, k := range component.Kinds() {
			kinds = append(kinds, string(k))
		}
		e.What = fmt.Sprintf("there is no kind %q: kinds are %s", kind, strings.Join(kinds, ", "))
		return e
	}
	e.Kind = component.Kind(kind)
	if strings.ContainsRune(short, '@') {
		return e // of a version that stands at the wrong end
	}
	var wrong []string
	for _, c := range short {
		if q := fmt.Sprintf("%q", c); !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", c) && !slices.Contains(wrong, q) {
			wrong = append(wrong, q)
		}
	}
	switch n := len(wrong); {
	case n == 0:
		e.What = fmt.Sprintf("%q cannot name a component: words of lower-case letters and digits are needed, with one hyphen between them", short)
	case n > shownWrong:
		e.What = fmt.Sprintf("%s and others cannot be in a component's name: lower-case letters, digits and hyphens are needed", strings.Join(wrong[:shownWrong], ", "))
	default:
		e.What = fmt.Sprintf("%s cannot be in a component's name: lower-case letters, digits and hyphens are needed", strings.Join(wrong, ", "))
	}
	return e
}

// shownWrong is how many wrong characters are told.
const shownWrong = 4

// ParsePluginRef reads a reference to a plugin alone: plugin or plugin@version.
func ParsePluginRef(s string) (Ref, error) {
	r, err := ParseRef(s + ":task/any")
	if err != nil {
		return Ref{}, fmt.Errorf("registry: %q: the name of a plugin, or plugin@version, is needed, e.g. mine@1.2.0 or mine@^1.2", s)
	}
	return Ref{Plugin: r.Plugin, Constraint: r.Constraint}, nil
}

// String returns the reference as it is written in an experiment file.
func (r Ref) String() string {
	switch {
	case r.Plugin == "":
		return r.Name.String()
	case r.Constraint == "":
		return r.Plugin + ":" + r.Name.String()
	}
	return r.Plugin + "@" + r.Constraint + ":" + r.Name.String()
}

// Matches reports whether a plugin of that name and version is meant. A constraint that names a pre-release, or is exactly
// the version, admits pre-releases; others do not (semver's rule).
func (r Ref) Matches(plugin, version string) bool {
	if r.Plugin == "" {
		return true
	}
	if r.Plugin != plugin {
		return false
	}
	if r.Constraint == "" || r.Constraint == version {
		return true
	}
	c, err := semver.NewConstraint(r.Constraint)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}
