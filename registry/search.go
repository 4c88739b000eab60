package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/adrg/xdg"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// PathEnv is the environment variable with further folders to search, separated like $PATH.
const PathEnv = "CTDB_PLUGIN_PATH"

// Prefix is how the file name of a plugin's executable starts; the rest is the plugin's name.
const Prefix = "ctdb-plugin-"

// Source says where a plugin came from.
type Source string

// The sources, in the order in which they are searched.
const (
	// FlagDir is a folder named on the command line: a development override, preferred to the same plugin found elsewhere.
	FlagDir Source = "plugin-dir"
	// PathDir is a folder in $CTDB_PLUGIN_PATH.
	PathDir Source = "plugin-path"
	// UserDir is the user's data folder, where plugins are installed.
	UserDir Source = "user"
	// Builtin is the plugin that the host itself serves.
	Builtin Source = "builtin"
)

// Dir is one folder to search.
type Dir struct {
	Path   string
	Source Source
}

// Candidate is an executable that looks like a plugin.
type Candidate struct {
	// Path is absolute, with symbolic links resolved.
	Path string
	// Args that make the executable serve; empty for a plugin of its own.
	Args   []string
	Source Source
	// SHA256 of the executable, in hexadecimal.
	SHA256 string
	// Script is true where the executable is read by an interpreter: what it does depends on more than its checksum.
	Script bool
	// Package is what was installed; nil for an executable by itself.
	Package *Package
}

// Sum stands for all that the plugin consists of: the checksum of its executable or, of a package with further files, of them all.
func (c Candidate) Sum() string {
	if c.Package != nil {
		return c.Package.Manifest.Sum()
	}
	return c.SHA256
}

// Name is the plugin's name as its file name has it; the manifest's name counts.
func (c Candidate) Name() string {
	if c.Source == Builtin {
		return string(Builtin)
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(c.Path), Prefix), ".exe")
}

// Skip is a file or folder that looked like a plugin, or should have held some, and why it was passed over.
type Skip struct {
	// Path is quoted where it has characters that a terminal would obey.
	Path   string
	Reason string
}

func skip(path, reason string) Skip { return Skip{shown(path), reason} }

// shown is a path, quoted where it has characters that a terminal would obey.
func shown(path string) string {
	if component.CheckText("", path, len(path)) != nil {
		return strconv.Quote(path)
	}
	return path
}

// Search is where to look.
type Search struct {
	Dirs []Dir
	// Builtin is the host's own plugin; nil for none. Its checksum is filled in by Find.
	Builtin *Candidate
}

// NewSearch returns the search path: the folders from the command line, those of $CTDB_PLUGIN_PATH (pathList), the user's
// data folder, the built-in plugin. Empty entries are dropped.
func NewSearch(flagDirs []string, pathList string, builtin *Candidate) Search {
	s := Search{Builtin: builtin}
	for _, d := range flagDirs {
		if d != "" {
			s.Dirs = append(s.Dirs, Dir{d, FlagDir})
		}
	}
	for _, d := range filepath.SplitList(pathList) {
		if d != "" {
			s.Dirs = append(s.Dirs, Dir{d, PathDir})
		}
	}
	s.Dirs = append(s.Dirs, Dir{UserFolder(), UserDir})
	return s
}

// UserFolder is the folder in which plugins are installed for this user: ctdb/plugins in the data folder of the platform.
func UserFolder() string { return filepath.Join(xdg.DataHome, "ctdb", "plugins") }

// Find lists the plugins on the path, in its order and by name within a folder, and what was passed over and why. A file that is
// found twice is listed once, where it was found first. Of what was installed every file is compared with its package's manifest. A folder that does not exist is a Skip only if it was named on the
// command line or in $CTDB_PLUGIN_PATH. The error is the context's.
func (s Search) Find(ctx context.Context) ([]Candidate, []Skip, error) {
	var found []Candidate
	var skipped []Skip
	seen := map[string]bool{}
	for _, d := range s.Dirs {
		entries, err := os.ReadDir(d.Path)
		if err != nil {
			if d.Source != UserDir || !errors.Is(err, fs.ErrNotExist) {
				skipped = append(skipped, skip(d.Path, "cannot be searched: "+reason(err)))
			}
			continue
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return nil, nil, err
			}
			path := filepath.Join(d.Path, e.Name())
			var c Candidate
			var why string
			switch {
			case d.Source == UserDir && isPackage(e):
				c, why = inspectInstalled(path)
			case strings.HasPrefix(e.Name(), Prefix):
				c, why = inspect(path, d.Source)
			default:
				continue
			}
			if why != "" {
				skipped = append(skipped, skip(path, why))
				continue
			}
			if !seen[c.Path] {
				seen[c.Path] = true
				found = append(found, c)
			}
		}
	}
	if s.Builtin != nil {
		c := *s.Builtin
		c.Source, c.Args = Builtin, slices.Clone(c.Args)
		sum, err := Checksum(c.Path)
		if err != nil {
			skipped = append(skipped, skip(c.Path, "cannot be read: "+reason(err)))
		} else {
			c.SHA256 = sum
			found = append(found, c)
		}
	}
	return found, skipped, nil
}

// inspect returns the candidate at path, or why there is none.
func inspect(path string, source Source) (Candidate, string) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Candidate{}, "is a link to nothing"
		}
		return Candidate{}, "cannot be followed: " + reason(err)
	}
	if real, err = filepath.Abs(real); err != nil {
		return Candidate{}, reason(err)
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return Candidate{}, reason(err)
	case info.IsDir():
		return Candidate{}, "is a folder: an executable is needed"
	case !info.Mode().IsRegular():
		return Candidate{}, "is no regular file"
	}
	c := Candidate{Path: real, Source: source}
	if name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), Prefix), ".exe"); !ValidPluginName(name) {
		return Candidate{}, fmt.Sprintf("%q cannot name a plugin: lower-case letters, digits and hyphens are needed after %s", name, Prefix)
	}
	if !executable(info) {
		return Candidate{}, "is not executable: chmod +x " + path
	}
	if why := foreign(real); why != "" {
		return Candidate{}, why
	}
	c.Script = platform(real) == AnyPlatform
	if c.SHA256, err = Checksum(real); err != nil {
		return Candidate{}, "cannot be read: " + reason(err)
	}
	return c, ""
}

// Checksum returns the SHA-256 of a file, in hexadecimal.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("registry: checksum: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("registry: checksum: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// reason is the last part of a file error, without the path that stands beside it anyway.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
