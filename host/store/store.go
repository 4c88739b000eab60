// Package store keeps the folders that stages make, by key: immutable, whole or absent, made once however many hosts want them.
//
// Layout under the store's folder:
//
//	ab/abcdef.../   an entry: its files, read-only, and SHA256SUMS; the folder is named by the whole key, its parent by the first two digits
//	work/KEY/       an entry in the making, and the scratch folder for checkpoints, owned by who holds the key's lock
//	locks/KEY       the locks (flock), empty files
//	damaged/KEY-N   entries whose bytes are not what their checksums say, moved aside
//
// An entry comes into being by a rename, after its files and folders have been synced. What is promised holds on a local file system, and on a network
// one only as far as its flock and rename do.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/ctdb-host/ctdb/host/artifact"
)

const (
	workDir    = "work"
	locksDir   = "locks"
	damagedDir = "damaged"
)

// ErrKey is returned, wrapped, for a key that is not 16 to 128 lower-case hexadecimal digits.
var ErrKey = errors.New("store: bad key")

var keyForm = regexp.MustCompile(`^[0-9a-f]{16,128}$`)

// Store is a folder of entries. Its methods may be called from several goroutines, and by several processes on one folder.
type Store struct {
	dir string

	mu      sync.Mutex
	checked map[string]Entry // whose bytes this process has read and found right
}

// Entry is a complete entry. Its files must not be changed.
type Entry struct {
	Key, Dir string
	// Digest of the contents, as artifact.HashFolder gives it.
	Digest string
}

// Path is where a file of the entry is, or would be.
func (e Entry) Path(name string) string { return filepath.Join(e.Dir, name) }

// Open opens the store in a folder, which is made if it is missing.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	for _, sub := range []string{workDir, locksDir, damagedDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	return &Store{dir: dir, checked: map[string]Entry{}}, nil
}

// Dir is the store's folder, absolute.
func (s *Store) Dir() string { return s.dir }

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
	_, err := os.Stat(filepath.Join(s.entryDir(key), artifact.SumsFile))
	return err == nil
}

// Lookup finds an entry. The first time that this process asks for it every byte is compared with the checksums; an entry that
// differs is moved to the folder damaged and reported as missing, unless another process holds its lock and is about to replace it.
func (s *Store) Lookup(ctx context.Context, key string) (Entry, bool, error) {
	if err := checkKey(key); err != nil {
		return Entry{}, false, err
	}
	e, err := s.check(ctx, key)
	if err == nil {
		return e, true, nil
	}
	if errors.Is(err, fs.ErrNotExist) && !exists(s.entryDir(key)) {
		return Entry{}, false, nil
	}
	if !damaged(err) {
		return Entry{}, false, err
	}
	lock, err := s.tryLock(key)
	if err != nil || lock == nil {
		return Entry{}, false, err
	}
	defer lock.Close()
	return s.settle(ctx, key)
}

// settle finds an entry while the key's lock is held, so that moving a damaged one aside cannot hit its successor.
func (s *Store) settle(ctx context.Context, key string) (Entry, bool, error) {
	e, err := s.check(ctx, key)
	if err == nil {
		return e, true, nil
	}
	if !exists(s.entryDir(key)) {
		return Entry{}, false, nil
	}
	if !damaged(err) {
		return Entry{}, false, err
	}
	return Entry{}, false, s.setAside(key)
}

// damaged reports whether an error of check means that the entry is not what was stored, and not that it could not be read just now.
func damaged(err error) bool {
	var differs *artifact.SumsError
	return errors.As(err, &differs) || errors.Is(err, artifact.ErrSums) || errors.Is(err, fs.ErrNotExist)
}

// check reads an entry's bytes, once in a process.
func (s *Store) check(ctx context.Context, key string) (Entry, error) {
	s.mu.Lock()
	e, ok := s.checked[key]
	s.mu.Unlock()
	if ok && s.Has(key) {
		return e, nil
	}
	return s.read(ctx, key)
}

func (s *Store) read(ctx context.Context, key string) (Entry, error) {
	dir := s.entryDir(key)
	digest, err := artifact.CheckSums(ctx, dir)
	if err != nil {
		s.forget(key)
		return Entry{}, err
	}
	e := Entry{Key: key, Dir: dir, Digest: digest}
	s.mu.Lock()
	s.checked[key] = e
	s.mu.Unlock()
	return e, nil
}

func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.checked, key)
}

// setAside moves a damaged entry away, with the key's lock held.
func (s *Store) setAside(key string) error {
	s.forget(key)
	from := s.entryDir(key)
	for n := 1; ; n++ {
		to := filepath.Join(s.dir, damagedDir, fmt.Sprintf("%s-%d", key, n))
		if exists(to) {
			continue
		}
		if err := os.Rename(from, to); err != nil {
			return fmt.Errorf("store: moving a damaged entry aside: %w", err)
		}
		return errors.Join(toDisk(filepath.Dir(from)), toDisk(filepath.Dir(to)))
	}
}

// Verify reads every byte of an entry, whatever was checked before. What differs is an *artifact.SumsError; a missing entry wraps fs.ErrNotExist.
// Nothing is moved.
func (s *Store) Verify(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	_, err := s.read(ctx, key)
	return err
}

// Keys lists the entries, sorted.
func (s *Store) Keys() ([]string, error) {
	shelves, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	var keys []string
	for _, shelf := range shelves {
		if !shelf.IsDir() || len(shelf.Name()) != 2 {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(s.dir, shelf.Name()))
		if err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() && keyForm.MatchString(e.Name()) && e.Name()[:2] == shelf.Name() {
				keys = append(keys, e.Name())
			}
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
