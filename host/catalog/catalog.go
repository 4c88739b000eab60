// Package catalog knows which components there are: it asks the plugins on the search path for their manifests, remembers the answers by the executables'
// checksums, and finds a component by its name.
//
// A plugin that cannot be started is listed with its error and hinders no other. A name that several plugins have is an error that lists the candidates.
package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// Checked is a Describe whose manifests are fit to be used and shown.
func Checked(d registry.Describe) registry.Describe {
	return func(ctx context.Context, c registry.Candidate) (component.Manifest, error) {
		m, err := d(ctx, c)
		if err == nil {
			err = check(m)
		}
		return m, err
	}
}

// ByProcess starts the plugin, asks it, and stops it.
func ByProcess(log *slog.Logger) registry.Describe {
	return func(ctx context.Context, c registry.Candidate) (m component.Manifest, err error) {
		s := launch.Of(c)
		s.Log = log
		p, err := launch.Start(ctx, s)
		if err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, p.Stop(ctx)) }()
		m, err = p.Client.Describe(ctx)
		return m, p.Wrap(err)
	}
}

// Options say how to discover.
type Options struct {
	// CacheDir is where manifests are kept; empty for none, see DefaultCacheDir.
	CacheDir string
	// Describe asks a plugin; nil for ByProcess.
	Describe registry.Describe
	// Remembered takes what is remembered of scripts too, which may be of what they ran on another time: it is for who needs names, soon. What a script says of itself may change with what it
	// imports, and that is part of the keys of results, so it is asked anew otherwise.
	Remembered bool
	// Jobs is how many plugins are asked at once; at least 1.
	Jobs int
	// Log hears what plugins say while they are asked; nil for none.
	Log *slog.Logger
}

// Plugin is a plugin that was found.
type Plugin struct {
	registry.Candidate
	// Manifest is empty where Err is not nil.
	Manifest component.Manifest
	// Err is why the plugin cannot be used.
	Err error
	// Shadowed is the path of the plugin of the same name that is used instead; empty where this one is used. A plugin is shadowed by one of the same
	// version earlier on the search path, and by any from --plugin-dir.
	Shadowed string
	// Cached is true where the manifest was remembered.
	Cached bool
}

// Title is the plugin's name and version, e.g. "builtin@0.1.0", or the file's name where it cannot be used.
func (p *Plugin) Title() string {
	if p.Err != nil {
		return p.Candidate.Name()
	}
	return p.Manifest.Name + "@" + p.Manifest.Version
}

// Pinned is the checksum that a lock has: that of the candidate and, of a script which is not of a package, what it says of its source besides, since most of its code is in what it imports.
func (p *Plugin) Pinned() string {
	source := p.Manifest.Numerics["source"]
	if !p.Script || p.Package != nil || source == "" {
		return p.Sum()
	}
	sum := sha256.Sum256([]byte(p.SHA256 + " " + source))
	return hex.EncodeToString(sum[:])
}

// Build is what a lock pins of the plugin. Of one that an interpreter runs it has the versions of what the plugin says that it runs on.
func (p *Plugin) Build() registry.Pinned {
	out := registry.Pinned{Name: p.Manifest.Name, Version: p.Manifest.Version, PinnedBuild: registry.PinnedBuild{Sum: p.Pinned()}}
	if !p.Script || strings.HasPrefix(p.Manifest.Language, "go") {
		return out
	}
	out.Environment = maps.Clone(p.Manifest.Numerics)
	// Both stand for more than versions: they differ between machines on which the versions are the same.
	delete(out.Environment, "source")
	delete(out.Environment, "environment")
	return out
}

// Component is a component of a plugin.
type Component struct {
	component.Info
	Plugin *Plugin
}

// Qualified is the reference that names the component's plugin and its version.
func (c Component) Qualified() string { return c.Plugin.Title() + ":" + c.Name.String() }

// Catalog is what was found. It does not change.
type Catalog struct {
	plugins []*Plugin
	skipped []registry.Skip
	// lock pins plugins; nil pins none. Where it is not strict it only chooses between versions.
	lock   *registry.Pins
	strict bool
}

// Locked is the catalog for experiments whose plugins a lock pins, which may be nil: Find takes the pinned version where several are there, and refuses a plugin that is not the
// pinned one, but for those from --plugin-dir.
func (c *Catalog) Locked(l *registry.Pins) *Catalog {
	out := *c
	out.lock, out.strict = l, true
	return &out
}

// IsLocked reports whether a lock pins the plugins.
func (c *Catalog) IsLocked() bool { return c.lock != nil && c.strict }

// Preferring is the catalog in which Find takes the version that a lock pins, which may be nil, where several are there, and refuses none.
func (c *Catalog) Preferring(l *registry.Pins) *Catalog {
	out := *c
	out.lock, out.strict = l, false
	return &out
}

// Discover searches and asks what it finds. The error is the context's; what is wrong with a plugin stands beside it.
func Discover(ctx context.Context, s registry.Search, o Options) (*Catalog, error) {
	candidates, skipped, err := s.Find(ctx)
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Describe == nil {
		o.Describe = ByProcess(o.Log)
	}
	kept := newCache(o.CacheDir, o.Log)
	c := &Catalog{plugins: make([]*Plugin, len(candidates)), skipped: skipped}
	var g errgroup.Group
	g.SetLimit(max(o.Jobs, 1))
	for i, candidate := range candidates {
		g.Go(func() error {
			c.plugins[i] = ask(ctx, candidate, kept, o)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c.shadow()
	return c, nil
}

func ask(ctx context.Context, candidate registry.Candidate, kept *cache, o Options) *Plugin {
	p := &Plugin{Candidate: candidate}
	if !candidate.Script || o.Remembered {
		if m, ok := kept.get(candidate.Sum()); ok && check(m) == nil {
			p.Manifest, p.Cached = m, true
			return p
		}
	}
	m, err := Checked(o.Describe)(ctx, candidate)
	if err != nil {
		p.Err = err
		return p
	}
	p.Manifest = m
	kept.put(candidate.Sum(), m)
	return p
}

func check(m component.Manifest) error {
	if err := m.Check(); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	return nil
}

// shadow marks plugins that another of the same name stands before.
func (c *Catalog) shadow() {
	for i, p := range c.plugins {
		if p.Err != nil {
			continue
		}
		for k, q := range c.plugins {
			if k == i || q.Err != nil || q.Manifest.Name != p.Manifest.Name || q.Shadowed != "" {
				continue
			}
			overridden := q.Source == registry.FlagDir && p.Source != registry.FlagDir
			if overridden || (k < i && q.Manifest.Version == p.Manifest.Version) {
				p.Shadowed = q.Path
				break
			}
		}
	}
}

// Plugins lists what was found, in the order of the search path, those that cannot be used among them.
func (c *Catalog) Plugins() []*Plugin { return slices.Clone(c.plugins) }

// Skipped lists the files that looked like plugins and are none.
func (c *Catalog) Skipped() []registry.Skip { return slices.Clone(c.skipped) }

// Components lists the components of the given kinds, or of all, by kind in the order of an experiment, then by name, then by plugin.
func (c *Catalog) Components(kinds ...component.Kind) []Component {
	if len(kinds) == 0 {
		kinds = component.Kinds()
	}
	var out []Component
	for _, p := range c.plugins {
		if p.Err != nil || p.Shadowed != "" {
			continue
		}
		for _, info := range p.Manifest.Components {
			if slices.Contains(kinds, info.Name.Kind) {
				out = append(out, Component{info, p})
			}
		}
	}
	rank := func(k component.Kind) int { return slices.Index(component.Kinds(), k) }
	slices.SortStableFunc(out, func(a, b Component) int {
		return cmp.Or(cmp.Compare(rank(a.Name.Kind), rank(b.Name.Kind)), strings.Compare(a.Name.Short, b.Name.Short), strings.Compare(a.Plugin.Manifest.Name, b.Plugin.Manifest.Name))
	})
	return out
}
