package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// LockFile is the name of the file beside experiments that pins their plugins.
const LockFile = "ctdb.lock"

// lockFormat is the version of the lock file's form, maxLock bounds its size.
const (
	lockFormat = 1
	maxLock    = 4 << 20
)

// Lock pins plugins: the experiments beside it use these, to the bit, or do not start.
type Lock struct {
	// Path is where it was read from.
	Path string
	pins []Pin
}

// Pin is a version of a plugin and what it consists of.
type Pin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Sums has the checksum of the plugin, see [Candidate.Sum], by the platform, e.g. "linux/amd64": one lock serves several machines.
	Sums map[string]string `json:"sha256"`
}

// Title is e.g. "mine@1.2.0".
func (p Pin) Title() string { return p.Name + "@" + p.Version }

// here is this machine's platform.
func here() string { return runtime.GOOS + "/" + runtime.GOARCH }

// LockError says that a plugin is not the one that a lock pins.
type LockError struct {
	File string
	// Plugin, Version and Sum are of the plugin that was found; Pins are what is pinned of it.
	Plugin, Version, Sum string
	Pins                 []Pin
}

// Problem gives the message and the hint apart.
func (e *LockError) Problem() param.Problem {
	found := fmt.Sprintf("plugin %s@%s with checksum %s was found, ", e.Plugin, e.Version, e.Sum)
	const accept = "`ctdb-host plugin lock` pins what is there now"
	if len(e.Pins) == 0 {
		return param.Problem{Message: found + e.File + " does not have it", Hint: accept}
	}
	var pinned []string
	for _, p := range e.Pins {
		sum, ok := p.Sums[here()]
		if !ok {
			sum = "that is not known for " + here()
		}
		pinned = append(pinned, fmt.Sprintf("%s with checksum %s", p.Title(), sum))
	}
	return param.Problem{Message: found + e.File + " pins " + strings.Join(pinned, ", "), Hint: "install what is pinned; or, if the change is wanted, " + accept}
}

// Error shows both.
func (e *LockError) Error() string { return "registry: " + e.Problem().String() }

// ReadLock reads a lock; nil where there is none.
func ReadLock(path string) (*Lock, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	wrong := func(format string, args ...any) (*Lock, error) {
		return nil, fmt.Errorf("registry: %s: %w: mend it, or remove it and let `ctdb-host plugin lock` write it", path, fmt.Errorf(format, args...))
	}
	if len(data) > maxLock {
		return wrong("more than %d bytes", maxLock)
	}
	var file struct {
		Format  int   `json:"format"`
		Plugins []Pin `json:"plugins"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return wrong("is no lock: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return wrong("something follows the lock")
	}
	if file.Format != lockFormat {
		return wrong("format %d: this host knows %d", file.Format, lockFormat)
	}
	seen := map[string]bool{}
	for _, p := range file.Plugins {
		if _, err := semver.StrictNewVersion(p.Version); err != nil || !ValidPluginName(p.Name) {
			return wrong("%.100q: a plugin's name and version are needed", p.Title())
		}
		if seen[p.Title()] {
			return wrong("%s is there twice", p.Title())
		}
		seen[p.Title()] = true
		for platform, sum := range p.Sums {
			if !platformForm.MatchString(platform) || !sumForm.MatchString(sum) {
				return wrong("%s: %.100q: %.100q: a platform such as %s and 64 hexadecimal digits are needed", p.Title(), platform, sum, here())
			}
		}
	}
	return &Lock{Path: path, pins: file.Plugins}, nil
}

// Check compares a plugin with its pin. The error is a [*LockError].
func (l *Lock) Check(name, version, sum string) error {
	var of []Pin
	for _, p := range l.pins {
		if p.Name != name {
			continue
		}
		of = append(of, p)
		if p.Version == version && p.Sums[here()] == sum {
			return nil
		}
	}
	return &LockError{File: l.Path, Plugin: name, Version: version, Sum: sum, Pins: of}
}

// Pins reports whether a version of a plugin is pinned.
func (l *Lock) Pins(name, version string) bool {
	return slices.ContainsFunc(l.pins, func(p Pin) bool { return p.Name == name && p.Version == version })
}

// Pin is a plugin to pin.
type Pinned struct{ Name, Version, Sum string }

// Write writes a lock that pins plugins, besides what stays of the lock that was there, which may be nil: pins of other plugins, and of the same versions on other platforms.
// Pins of other versions of a plugin go. It returns what it says of plugins that it did not say before.
func (l *Lock) Write(path string, plugins []Pinned) ([]string, error) {
	var pins []Pin
	named := func(name string) bool {
		return slices.ContainsFunc(plugins, func(p Pinned) bool { return p.Name == name })
	}
	before := map[string]map[string]string{}
	if l != nil {
		for _, p := range l.pins {
			before[p.Title()] = p.Sums
			if !named(p.Name) {
				pins = append(pins, p)
			}
		}
	}
	var changes []string
	for _, one := range plugins {
		p := Pin{one.Name, one.Version, map[string]string{}}
		was, known := before[p.Title()]
		for platform, sum := range was {
			p.Sums[platform] = sum
		}
		switch old := was[here()]; {
		case old == one.Sum:
		case old != "":
			// The same version with another checksum: what others have of it is not this.
			p.Sums = map[string]string{}
			changes = append(changes, fmt.Sprintf("%s: checksum %s, was %s", p.Title(), one.Sum, old))
		case known:
			changes = append(changes, fmt.Sprintf("%s: checksum %s for %s", p.Title(), one.Sum, here()))
		default:
			changes = append(changes, fmt.Sprintf("%s: checksum %s", p.Title(), one.Sum))
		}
		p.Sums[here()] = one.Sum
		pins = append(pins, p)
	}
	if l != nil {
		for _, p := range l.pins {
			if named(p.Name) && !slices.ContainsFunc(pins, func(q Pin) bool { return q.Title() == p.Title() }) {
				changes = append(changes, p.Title()+": not pinned any more")
			}
		}
	}
	slices.SortFunc(pins, func(a, b Pin) int { return strings.Compare(a.Title(), b.Title()) })
	b, err := json.MarshalIndent(map[string]any{"format": lockFormat, "plugins": pins}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("registry: writing the lock: %w", err)
	}
	return changes, nil
}
