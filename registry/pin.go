package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/ctdb-host/ctdb/sdk/param"
)

// LockFile is the name of the file beside experiments that pins their plugins.
const LockFile = "ctdb.lock"

// lockFormat is the version of the lock file's form, maxLock bounds its size.
const (
	lockFormat = 2
	maxLock    = 4 << 20
)

// Lock pins the plugins of the experiments beside it: they use these, to the bit, or do not start. Each experiment has pins of its own, so that to pin one leaves the others alone.
type Lock struct {
	// Path is where it was read from.
	Path        string
	experiments map[string][]Pin
}

// Pin is a version of a plugin and what it consists of.
type Pin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// Platforms has what the plugin is on each platform, e.g. "linux/amd64": one lock serves several machines.
	Platforms map[string]PinnedBuild `json:"platforms"`
}

// PinnedBuild is what a version of a plugin is on one platform.
type PinnedBuild struct {
	// Sum is the plugin's checksum, see [Candidate.Sum].
	Sum string `json:"sha256"`
	// Environment has the versions of what the plugin runs on and is not part of it, e.g. {"python": "3.11.2", "numpy": "1.26.4"}; empty for a program that stands by itself.
	Environment map[string]string `json:"environment,omitempty"`
}

// Pinned is a plugin as it is found, which is to be pinned or compared with its pin.
type Pinned struct {
	Name, Version string
	PinnedBuild
}

// Title is e.g. "mine@1.2.0".
func (p Pin) Title() string { return p.Name + "@" + p.Version }

// Title is e.g. "mine@1.2.0".
func (p Pinned) Title() string { return p.Name + "@" + p.Version }

// here is this machine's platform.
func here() string { return runtime.GOOS + "/" + runtime.GOARCH }

// LockError says that a plugin is not the one that a lock pins.
type LockError struct {
	// File is the lock, Experiment the file that is to be pinned anew where the change is wanted.
	File, Experiment string
	// Found is the plugin that was found; Pins are what is pinned of it.
	Found Pinned
	Pins  []Pin
}

// Problem gives the message and the hint apart.
func (e *LockError) Problem() param.Problem {
	accept := fmt.Sprintf("`ctdb-host plugin lock %s` pins what is there now", argument(filepath.Join(filepath.Dir(e.File), e.Experiment)))
	changed := "install what is pinned; or, if the change is wanted, " + accept
	found := fmt.Sprintf("plugin %s with checksum %s was found, ", e.Found.Title(), e.Found.Sum)
	if len(e.Pins) == 0 {
		return param.Problem{Message: found + e.File + " does not have it", Hint: accept}
	}
	var pinned []string
	for _, p := range e.Pins {
		b, ok := p.Platforms[here()]
		if ok && p.Version == e.Found.Version && b.Sum == e.Found.Sum {
			now, was := environmentsApart(e.Found.Environment, b.Environment)
			return param.Problem{
				Message: fmt.Sprintf("plugin %s is as %s pins it, but what it runs on is not: %s, pinned is %s", e.Found.Title(), e.File, now, was),
				Hint:    changed,
			}
		}
		if !ok {
			b.Sum = "that is not known for " + here()
		}
		pinned = append(pinned, fmt.Sprintf("%s with checksum %s", p.Title(), b.Sum))
	}
	return param.Problem{Message: found + e.File + " pins " + strings.Join(pinned, ", "), Hint: changed}
}

// Error shows both.
func (e *LockError) Error() string { return "registry: " + e.Problem().String() }

// argument is a path as it is given to a command in a shell.
func argument(path string) string {
	if out := shown(path); out != path || !strings.ContainsAny(path, " '\"`$&;|<>()*?[]{}#~!\\") {
		return out
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// environmentsApart says in what two environments differ, of each the same names.
func environmentsApart(now, was map[string]string) (string, string) {
	names := slices.Sorted(maps.Keys(now))
	for name := range was {
		if _, ok := now[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var a, b []string
	version := func(name string, of map[string]string) string {
		if v, ok := of[name]; ok {
			return name + " " + v
		}
		return "no " + name
	}
	for _, name := range names {
		if x, y := version(name, now), version(name, was); x != y {
			a, b = append(a, x), append(b, y)
		}
	}
	return strings.Join(a, ", "), strings.Join(b, ", ")
}

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
	var file lockContents
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
	for _, name := range slices.Sorted(maps.Keys(file.Experiments)) {
		if name == "" || name != filepath.Base(name) || shown(name) != name {
			return wrong("experiments: %.100q: the name of a file beside the lock is needed", name)
		}
		if err := checkPins(file.Experiments[name]); err != nil {
			return wrong("%s: %w", name, err)
		}
	}
	return &Lock{Path: path, experiments: file.Experiments}, nil
}

// lockContents is what a lock file holds.
type lockContents struct {
	Format int `json:"format"`
	// Experiments has the pins of each by its file's name.
	Experiments map[string][]Pin `json:"experiments"`
}

func checkPins(pins []Pin) error {
	seen := map[string]bool{}
	for _, p := range pins {
		if _, err := semver.StrictNewVersion(p.Version); err != nil || !ValidPluginName(p.Name) {
			return fmt.Errorf("%.100q: a plugin's name and version are needed", p.Title())
		}
		if seen[p.Title()] {
			return fmt.Errorf("%s is there twice", p.Title())
		}
		seen[p.Title()] = true
		for platform, b := range p.Platforms {
			if !platformForm.MatchString(platform) || !sumForm.MatchString(b.Sum) {
				return fmt.Errorf("%s: %.100q: %.100q: a platform such as %s and 64 hexadecimal digits are needed", p.Title(), platform, b.Sum, here())
			}
			for name, version := range b.Environment {
				if shown(name) != name || shown(version) != version {
					return fmt.Errorf("%s: environment: %.100q: %.100q: plain text is needed", p.Title(), name, version)
				}
			}
		}
	}
	return nil
}

// Pins are what a lock says of one experiment.
type Pins struct {
	file, experiment string
	pins             []Pin
}

// Of is what the lock says of an experiment, by its file's name. One that was never pinned may use what any other beside the lock is pinned to. It is nil where there is no lock.
func (l *Lock) Of(experiment string) *Pins {
	if l == nil {
		return nil
	}
	out := &Pins{file: l.Path, experiment: experiment}
	if own, ok := l.experiments[experiment]; ok {
		out.pins = own
		return out
	}
	for _, name := range slices.Sorted(maps.Keys(l.experiments)) {
		out.pins = append(out.pins, l.experiments[name]...)
	}
	return out
}

// Check compares a plugin with its pin. The error is a [*LockError].
func (l *Pins) Check(found Pinned) error {
	e := &LockError{File: l.file, Experiment: l.experiment, Found: found}
	for _, p := range l.pins {
		if p.Name != found.Name {
			continue
		}
		if b := p.Platforms[here()]; p.Version == found.Version && b.Sum == found.Sum && maps.Equal(b.Environment, found.Environment) {
			return nil
		}
		if !slices.ContainsFunc(e.Pins, func(q Pin) bool { return q.Title() == p.Title() && reflect.DeepEqual(q, p) }) {
			e.Pins = append(e.Pins, p)
		}
	}
	return e
}

// Has reports whether a version of a plugin is pinned.
func (l *Pins) Has(name, version string) bool {
	return slices.ContainsFunc(l.pins, func(p Pin) bool { return p.Name == name && p.Version == version })
}

// WriteLock writes a lock that pins the plugins of experiments, which are named by their files. What the lock that is there says of other experiments stays, but for those whose files are gone, and so
// does what it says of the same versions on other platforms. It is read here once more, so that what others write at the same time stays too. It returns what it says that it did not say before.
func WriteLock(path string, plugins map[string][]Pinned) (_ []string, err error) {
	// The folder is locked, not the file, which is another afterwards. Where that cannot be, nobody can be kept from writing at the same time.
	if turn := flock.New(filepath.Dir(path), flock.SetFlag(os.O_RDONLY)); turn.Lock() == nil {
		defer func() { err = errors.Join(err, turn.Close()) }()
	}
	l, err := ReadLock(path)
	if err != nil {
		return nil, err
	}
	out := lockContents{Format: lockFormat, Experiments: map[string][]Pin{}}
	var changes []string
	if l != nil {
		for name, pins := range l.experiments {
			if _, err := os.Lstat(filepath.Join(filepath.Dir(path), name)); errors.Is(err, fs.ErrNotExist) && plugins[name] == nil {
				changes = append(changes, name+": not pinned any more: there is no such file")
				continue
			}
			out.Experiments[name] = pins
		}
	}
	for name, found := range plugins {
		was := out.Experiments[name]
		pins, changed := repin(was, found)
		for _, text := range changed {
			changes = append(changes, name+": "+text)
		}
		out.Experiments[name] = pins
	}
	slices.Sort(changes)
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	if err := renameio.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("registry: writing the lock: %w", err)
	}
	return changes, nil
}

// repin pins plugins where others were pinned, and says what is new.
func repin(was []Pin, plugins []Pinned) (pins []Pin, changes []string) {
	before := map[string]map[string]PinnedBuild{}
	for _, p := range was {
		before[p.Title()] = p.Platforms
	}
	for _, one := range plugins {
		p := Pin{one.Name, one.Version, map[string]PinnedBuild{}}
		platforms, known := before[p.Title()]
		delete(before, p.Title())
		old, knownHere := platforms[here()]
		if !knownHere || old.Sum == one.Sum {
			maps.Copy(p.Platforms, platforms)
		}
		switch {
		case knownHere && old.Sum != one.Sum:
			// The same version with another checksum: what others have of it is not this.
			changes = append(changes, fmt.Sprintf("%s: checksum %s, was %s", p.Title(), one.Sum, old.Sum))
		case known && !knownHere:
			changes = append(changes, fmt.Sprintf("%s: checksum %s for %s%s", p.Title(), one.Sum, here(), ground(one.Environment)))
		case !known:
			changes = append(changes, fmt.Sprintf("%s: checksum %s%s", p.Title(), one.Sum, ground(one.Environment)))
		}
		if now, then := environmentsApart(one.Environment, old.Environment); knownHere && now != "" {
			changes = append(changes, fmt.Sprintf("%s: on %s, was %s", p.Title(), now, then))
		}
		p.Platforms[here()] = one.PinnedBuild
		pins = append(pins, p)
	}
	for title := range before {
		changes = append(changes, title+": not pinned any more")
	}
	slices.SortFunc(pins, func(a, b Pin) int { return strings.Compare(a.Title(), b.Title()) })
	return pins, changes
}

// ground is what a plugin runs on, as a part of a sentence.
func ground(environment map[string]string) string {
	if len(environment) == 0 {
		return ""
	}
	all, _ := environmentsApart(environment, nil)
	return ", on " + all
}

// Absent are the titles of pinned plugins of which there is no version among those that were found, by their names.
func (l *Pins) Absent(found []string) []string {
	var out []string
	for _, p := range l.pins {
		if !slices.Contains(found, p.Name) && !slices.Contains(out, p.Title()) {
			out = append(out, p.Title())
		}
	}
	return out
}
