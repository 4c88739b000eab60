package store

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// Info is what can be known of an entry without reading its bytes.
type Info struct {
	Key, Dir string
	// Stage, Component and its version are what the entry's record says; empty where it has none.
	Stage, Component, ComponentVersion string
	// Bytes of all files; Alone those of the files that only the store has a link to, which are what removing the entry frees.
	Files        int
	Bytes, Alone int64
	// Created is when it was completed, Used when a host last used it.
	Created, Used time.Time
	// Linked is true where files have a link elsewhere; Folders are those that the entry was linked into or copied to by Link, and still is.
	Linked  bool
	Folders []string
	// Err says what is wrong with it, as far as that is seen at a glance: it has no list of checksums, or cannot be read.
	Err error
}

// Referenced reports whether a run holds the entry, as far as is known.
func (i Info) Referenced() bool { return i.Linked || len(i.Folders) > 0 }

// Leftover is something in a store's folder that is no entry.
type Leftover struct {
	What What
	// Key that it belongs to; empty where it belongs to none.
	Key, Path string
	Bytes     int64
	// Changed is when anything in it last changed.
	Changed time.Time
	// Held is true where a process holds its key: it is in the making.
	Held bool
	// Holder is the process; zero where there is none, or it is not known.
	Holder Holder
}

// List describes every entry, by key.
func (s *Store) List(ctx context.Context) ([]Info, error) {
	keys, err := s.Keys()
	if err != nil {
		return nil, err
	}
	out := make([]Info, 0, len(keys))
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i := s.info(key); exists(i.Dir) { // it may have been removed since
			out = append(out, i)
		}
	}
	return out, nil
}

func (s *Store) info(key string) Info {
	i := Info{Key: key, Dir: s.entryDir(key)}
	size := measure(i.Dir)
	i.Files, i.Bytes, i.Alone, i.Linked = size.files, size.bytes, size.alone, size.linked
	if rec, err := artifact.ReadRecord(i.Dir); err == nil {
		i.Stage, i.Component, i.ComponentVersion = rec.Stage, rec.Component, rec.ComponentVersion
	}
	sums, err := os.Lstat(filepath.Join(i.Dir, artifact.SumsFile))
	if err != nil {
		i.Err = fmt.Errorf("store: %w", err)
		i.Created = size.changed
	} else {
		i.Created = sums.ModTime()
	}
	i.Used = i.Created
	if info, err := os.Stat(s.usesPath(key)); err == nil && info.ModTime().After(i.Used) {
		i.Used = info.ModTime()
	}
	i.Folders = s.folders(key)
	return i
}

// Leftovers lists unfinished work and damaged entries, sorted by path.
func (s *Store) Leftovers(ctx context.Context) ([]Leftover, error) {
	var out []Leftover
	work, err := names(filepath.Join(s.dir, workDir))
	if err != nil {
		return nil, err
	}
	for _, key := range work {
		if !keyForm.MatchString(key) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		root := s.workRoot(key)
		size := measure(root)
		l := Leftover{What: Unfinished, Key: key, Path: root, Bytes: size.bytes, Changed: size.changed, Held: held(s.lockPath(key))}
		if exists(filepath.Join(root, scratchName)) && !empty(filepath.Join(root, scratchName)) {
			l.What = Scratch
		}
		if l.Held {
			l.Holder = s.holder(key)
		}
		out = append(out, l)
	}
	damaged, err := names(filepath.Join(s.dir, damagedDir))
	if err != nil {
		return nil, err
	}
	for _, name := range damaged {
		if key, _, ok := strings.Cut(name, "-"); ok && keyForm.MatchString(key) {
			path := filepath.Join(s.dir, damagedDir, name)
			size := measure(path)
			out = append(out, Leftover{What: DamagedEntry, Key: key, Path: path, Bytes: size.bytes, Changed: size.changed})
		}
	}
	slices.SortFunc(out, func(a, b Leftover) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// size is what a folder takes.
type size struct {
	files        int
	bytes, alone int64
	linked       bool
	changed      time.Time
}

// measure adds up a folder's files. What vanishes or cannot be read meanwhile does not count.
func measure(dir string) size {
	var s size
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if info.ModTime().After(s.changed) {
			s.changed = info.ModTime()
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		s.files++
		s.bytes += info.Size()
		if links(info) > 1 {
			s.linked = true
		} else {
			s.alone += info.Size()
		}
		return nil
	})
	return s
}
