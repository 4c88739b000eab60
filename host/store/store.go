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
	"sync"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/machine"
)

const (
	workDir    = "work"
	locksDir   = "locks"
	hostsDir   = "hosts"
	usesDir    = "uses"
	damagedDir = "damaged"
	lastDir    = "last"
	layoutFile = "layout"
)

// layoutVersion is the version of the layout that this program writes, and the newest that it reads.
const layoutVersion = 1

const layoutForm = "ctdb store, layout %d\n"

// ErrKey is returned, wrapped, for a key that is not 16 to 128 lower-case hexadecimal digits.
var ErrKey = errors.New("store: bad key")

// ErrBusy is wrapped where an entry cannot be touched because another process holds its lock.
var ErrBusy = errors.New("store: locked by another process")

var (
	keyForm   = regexp.MustCompile(`^[0-9a-f]{16,128}$`)
	shelfForm = regexp.MustCompile(`^[0-9a-f]{2}$`)
)

// Store is a folder of entries. Its methods may be called from several goroutines, and by several processes on one folder.
type Store struct {
	dir      string
	readOnly bool
	// flock and link are the operating system's, but in tests.
	flock func(path string) flocker
	link  func(from, to string) error

	mu      sync.Mutex
	checked map[string]Entry // whose bytes this process has read and found right

	lease lease
}

// Entry is a complete entry. Its files must not be changed.
type Entry struct {
	Key, Dir string
	// Digest of the contents, as artifact.HashFolder gives it.
	Digest string
}

// Path is where a file of the entry is, or would be.
func (e Entry) Path(name string) string { return filepath.Join(e.Dir, name) }

// Open opens the store in a folder, which is made if it is missing, and removes what dead hosts left half made. A folder that will not do (a file, one that
// may not be written, one of something else, a store of a newer layout) is a *[FolderError]. Close the store when it is done with.
func Open(dir string) (*Store, error) {
	s, err := storeAt(dir)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		var told *FolderError
		if errors.As(explain(s.dir, elsewhere, err), &told) {
			return nil, told
		}
		return nil, &FolderError{Dir: s.dir, What: err.Error(), Do: elsewhere, Err: err}
	}
	// What cannot be removed now, e.g. because it is another user's, is in nobody's way.
	_, _ = s.sweep()
	return s, nil
}

// OpenReadOnly opens a store to list and verify it: nothing in its folder is made, changed or removed, which may therefore be one that cannot be written. There is
// nothing in a store whose folder is missing.
func OpenReadOnly(dir string) (*Store, error) {
	s, err := storeAt(dir)
	if err != nil {
		return nil, err
	}
	s.readOnly = true
	if info, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err == nil && !info.IsDir() {
		return nil, notFolder(s.dir)
	}
	if _, err := s.layout(); err != nil {
		return nil, explain(s.dir, elsewhere, err)
	}
	return s, nil
}

func storeAt(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{dir: dir, flock: openFlock, link: os.Link, checked: map[string]Entry{}}
	s.lease.keys = map[string]bool{}
	return s, nil
}

func notFolder(dir string) error {
	return &FolderError{Dir: dir, What: "it is a file, where a folder is needed", Do: elsewhere}
}

// prepare makes what is missing of a store's folder, and tries whether it can be written.
func (s *Store) prepare() error {
	if info, err := os.Stat(s.dir); err == nil && !info.IsDir() {
		return notFolder(s.dir)
	}
	if err := makeDir(s.dir); err != nil {
		return err
	}
	version, err := s.layout()
	if err != nil {
		return err
	}
	for _, sub := range []string{workDir, locksDir, hostsDir, usesDir, damagedDir} {
		if err := makeDir(filepath.Join(s.dir, sub)); err != nil {
			return err
		}
	}
	if version == 0 {
		return artifact.WriteFile(filepath.Join(s.dir, layoutFile), fmt.Appendf(nil, layoutForm, layoutVersion))
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, workDir), ".try-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// layout is the version of the layout; 0 of a folder that is empty, or of a store whose making was cut short.
func (s *Store) layout() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, layoutFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.ownFolder(); err != nil {
			if _, gone := os.Stat(filepath.Join(s.dir, layoutFile)); gone == nil {
				return s.layout() // another host has just made it
			}
			return 0, err
		}
		return 0, nil
	case err != nil:
		return 0, err
	}
	version := 0
	if n, err := fmt.Sscanf(string(b), layoutForm, &version); n != 1 || err != nil || version < 1 {
		return 0, &FolderError{
			Dir: s.dir, What: fmt.Sprintf("its file %s says %.40q, where %q is needed", layoutFile, b, strings.TrimSpace(fmt.Sprintf(layoutForm, layoutVersion))), Do: elsewhere,
		}
	}
	if version > layoutVersion {
		return 0, &FolderError{
			Dir: s.dir, What: fmt.Sprintf("a newer ctdb-host made it: its layout is %d, this one knows up to %d", version, layoutVersion), Do: "use the newer ctdb-host, or " + elsewhere,
		}
	}
	return version, nil
}

// ownFolder returns an error where a folder without a layout file holds things that are not a store's, so that nobody's folder becomes one by mistake.
func (s *Store) ownFolder() error {
	have, err := names(s.dir)
	if err != nil {
		return err
	}
	for _, name := range have {
		known := shelfForm.MatchString(name) || slices.Contains([]string{workDir, locksDir, hostsDir, usesDir, damagedDir, lastDir}, name)
		if !known && !strings.HasPrefix(name, ".") && name != "lost+found" {
			return &FolderError{Dir: s.dir, What: fmt.Sprintf("it holds %s, and is no store", name), Do: "name an empty folder or one that is missing: " + elsewhere}
		}
	}
	return nil
}

// Dir is the store's folder, absolute.
func (s *Store) Dir() string { return s.dir }

// Free is how many bytes can still be written to the store's file system; 0 where the platform does not tell.
func (s *Store) Free() (int64, error) {
	of, err := machine.Stat(s.dir)
	if err != nil {
		return 0, fmt.Errorf("store: %w", err)
	}
	return of.Free, nil
}

// Close says that nothing which was looked up or made until now is read any more, so that gc may remove it. What is looked up after it is in use again.
func (s *Store) Close() error { return s.lease.end() }

func (s *Store) entryDir(key string) string { return filepath.Join(s.dir, key[:2], key) }

func checkKey(key string) error {
	if !keyForm.MatchString(key) {
		return fmt.Errorf("%w: %q: 16 to 128 lower-case hexadecimal digits are needed", ErrKey, key)
	}
	return nil
}

// Has reports whether there is an entry, without reading it.
func (s *Store) Has(key string) bool {
	if checkKey(key) != nil {
		return false
	}
	_, err := os.Lstat(filepath.Join(s.entryDir(key), artifact.SumsFile))
	return err == nil
}

// Keys lists the entries, sorted.
func (s *Store) Keys() ([]string, error) {
	shelves, err := names(s.dir)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, shelf := range shelves {
		if !shelfForm.MatchString(shelf) {
			continue
		}
		entries, err := names(filepath.Join(s.dir, shelf))
		if err != nil {
			return nil, err
		}
		for _, name := range entries {
			if keyForm.MatchString(name) && name[:2] == shelf {
				keys = append(keys, name)
			}
		}
	}
	slices.Sort(keys)
	return keys, nil
}
