package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// tempAge is the age from which on a temporary file is held to be a dead process's.
const tempAge = time.Hour

// temporary is the form of the names that files have until they are renamed into place.
var temporary = regexp.MustCompile(`^\..+[0-9]{6,}$`)

// sweep removes what dead hosts left that nobody can use: half entries and entries on their way out, leases, old temporary files. Scratch folders stay, but of entries that
// are complete. It goes on after errors.
func (s *Store) sweep() ([]Removal, error) {
	work, workErr := s.sweepWork(false)
	rest, restErr := s.sweepFiles(false)
	return append(work, rest...), errors.Join(workErr, restErr)
}

// sweepWork removes from the folder work what nobody can use.
func (s *Store) sweepWork(dry bool) (out []Removal, err error) {
	keys, err := names(filepath.Join(s.dir, workDir))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, key := range keys {
		if !keyForm.MatchString(key) {
			continue
		}
		useless := s.useless(key)
		if len(useless) == 0 {
			continue
		}
		removed, err := s.withKey(key, dry, func() ([]Removal, error) { return s.clear(key, s.useless(key), dry) })
		out, errs = append(out, removed...), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// useless lists the folders of a work folder that nobody can use, provided that nobody holds the key.
func (s *Store) useless(key string) []string {
	root := s.workRoot(key)
	have, err := names(root)
	if err != nil {
		return nil // a file, or another user's: not ours to remove
	}
	if s.Has(key) || len(have) == 0 || slices.Equal(have, []string{scratchName}) && empty(filepath.Join(root, scratchName)) {
		return []string{root}
	}
	var out []string
	for _, name := range []string{entryName, goneName} {
		if slices.Contains(have, name) {
			out = append(out, filepath.Join(root, name))
		}
	}
	return out
}

func empty(dir string) bool {
	have, err := names(dir)
	return err == nil && len(have) == 0
}

// clear removes folders of a work folder, and the folder itself where nothing of use is left, with the key's lock held.
func (s *Store) clear(key string, folders []string, dry bool) (out []Removal, err error) {
	var errs []error
	for _, dir := range folders {
		size := measure(dir)
		r := Removal{What: Unfinished, Key: key, Path: dir, Bytes: size.bytes, Freed: size.alone}
		if !dry {
			if err := removeAll(dir); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		out = append(out, r)
	}
	if !dry {
		_ = os.Remove(filepath.Join(s.workRoot(key), scratchName)) // these two fail where there is something in them
		_ = os.Remove(s.workRoot(key))
	}
	return out, errors.Join(errs...)
}

// withKey does something while a key's lock is held, and nothing where another process holds it. A dry one only looks.
func (s *Store) withKey(key string, dry bool, do func() ([]Removal, error)) ([]Removal, error) {
	if dry {
		if held(s.lockPath(key)) {
			return nil, nil
		}
		return do()
	}
	l, err := s.tryLock(key)
	if err != nil || l == nil {
		return nil, err
	}
	out, err := do()
	return out, errors.Join(err, l.release())
}

// sweepFiles removes the leases of dead hosts and old temporary files.
func (s *Store) sweepFiles(dry bool) (out []Removal, err error) {
	hosts, errHosts := s.sweepLocks(hostsDir, dry)
	temps, errTemps := s.sweepTemporary(dry)
	return append(hosts, temps...), errors.Join(errHosts, errTemps)
}

// sweepLocks removes the lock files of a folder that nobody holds.
func (s *Store) sweepLocks(folder string, dry bool) (out []Removal, err error) {
	have, err := names(filepath.Join(s.dir, folder))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range have {
		path := filepath.Join(s.dir, folder, name)
		if folder == locksDir && name == gcLock || held(path) {
			continue
		}
		if !dry {
			l, err := s.tryLockFile(path)
			if err == nil && l == nil {
				continue
			}
			if err == nil {
				err = l.release()
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		out = append(out, Removal{What: LockFile, Path: path})
	}
	return out, errors.Join(errs...)
}

// sweepTemporary removes files that were never renamed into place, of processes that died meanwhile.
func (s *Store) sweepTemporary(dry bool) (out []Removal, err error) {
	var errs []error
	look := func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil || !temporary.MatchString(d.Name()) && !strings.HasPrefix(d.Name(), ".try-") || time.Since(info.ModTime()) < tempAge {
			return nil
		}
		if !dry {
			if err := os.Remove(path); err != nil {
				if !errors.Is(err, fs.ErrNotExist) { // else another host was faster
					errs = append(errs, fmt.Errorf("store: %w", err))
				}
				return nil
			}
		}
		out = append(out, Removal{What: Temporary, Path: path, Bytes: info.Size(), Freed: info.Size()})
		return nil
	}
	for _, dir := range []string{s.dir, filepath.Join(s.dir, workDir)} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("store: %w", err))
		}
		for _, d := range entries {
			_ = look(filepath.Join(dir, d.Name()), d, nil)
		}
	}
	_ = filepath.WalkDir(filepath.Join(s.dir, lastDir), look) // look returns no error
	return out, errors.Join(errs...)
}
