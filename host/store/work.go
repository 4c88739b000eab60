package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 50 * time.Millisecond

// Work is an entry in the making. It must be ended with Commit or Abort.
type Work struct {
	store *Store
	key   string

	mu   sync.Mutex
	lock *flock.Flock // nil once ended
}

// Begin takes the key's lock, waiting for whoever holds it until ctx ends. If the entry exists by then, the lock is given back, work is nil and found is
// the entry; so the work of several hosts or goroutines is done once between them. Otherwise found is nil.
func (s *Store) Begin(ctx context.Context, key string) (work *Work, found *Entry, err error) {
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	lock := s.lock(key)
	if ok, err := lock.TryLockContext(ctx, lockPoll); err != nil || !ok {
		return nil, nil, fmt.Errorf("store: waiting for the lock of %s: %w", key, errors.Join(err, lock.Close()))
	}
	defer func() {
		if work == nil {
			err = errors.Join(err, lock.Close())
		}
	}()
	e, ok, err := s.settle(ctx, key)
	switch {
	case err != nil:
		return nil, nil, err
	case ok:
		return nil, &e, nil
	}
	w := &Work{store: s, key: key, lock: lock}
	// What a dead process left of the entry is of no use; its checkpoints are.
	if err := removeAll(w.Dir()); err != nil {
		return nil, nil, err
	}
	for _, dir := range []string{w.Dir(), w.Scratch()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, fmt.Errorf("store: %w", err)
		}
	}
	return w, nil, nil
}

func (s *Store) lock(key string) *flock.Flock {
	return flock.New(filepath.Join(s.dir, locksDir, key))
}

// tryLock returns nil where another holds the lock.
func (s *Store) tryLock(key string) (*flock.Flock, error) {
	lock := s.lock(key)
	ok, err := lock.TryLock()
	if err == nil && ok {
		return lock, nil
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return nil, fmt.Errorf("store: locking %s: %w", key, err)
	}
	return nil, nil
}

func (w *Work) root() string { return filepath.Join(w.store.dir, workDir, w.key) }

// Key of the entry.
func (w *Work) Key() string { return w.key }

// Dir is the folder to fill, empty at first.
func (w *Work) Dir() string { return filepath.Join(w.root(), "entry") }

// Scratch is a private folder for checkpoints. It outlives Abort and the death of the process, is found again by the next Begin of the key, and goes with Commit.
func (w *Work) Scratch() string { return filepath.Join(w.root(), "scratch") }

// Commit makes the entry: the list of checksums is written, files become read-only and are synced with their folders, and the folder is renamed into place.
// If it fails the work may be ended with Abort.
func (w *Work) Commit() (Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lock == nil {
		return Entry{}, fmt.Errorf("store: %s: %w", w.key, fs.ErrClosed)
	}
	digest, err := artifact.WriteSums(w.Dir())
	if err != nil {
		return Entry{}, err
	}
	if err := seal(w.Dir()); err != nil {
		return Entry{}, fmt.Errorf("store: completing %s: %w", w.key, err)
	}
	e := Entry{Key: w.key, Dir: w.store.entryDir(w.key), Digest: digest}
	shelf := filepath.Dir(e.Dir)
	if err := os.MkdirAll(shelf, 0o755); err != nil {
		return Entry{}, fmt.Errorf("store: %w", err)
	}
	if err := os.Rename(w.Dir(), e.Dir); err != nil {
		return Entry{}, fmt.Errorf("store: completing %s: %w", w.key, err)
	}
	if err := errors.Join(toDisk(shelf), toDisk(w.store.dir)); err != nil {
		return Entry{}, err
	}
	w.store.mu.Lock()
	w.store.checked[w.key] = e
	w.store.mu.Unlock()
	return e, w.end(w.root())
}

// Abort gives up what was made, but not the scratch folder. It does nothing after Commit, so that it may be deferred.
func (w *Work) Abort() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lock == nil {
		return nil
	}
	err := w.end(w.Dir())
	// An empty scratch folder is not worth keeping: these fail where it is not empty.
	if os.Remove(w.Scratch()) == nil {
		_ = os.Remove(w.root())
	}
	return err
}

// end removes a folder and gives the lock back.
func (w *Work) end(dir string) error {
	err := removeAll(dir)
	lock := w.lock
	w.lock = nil
	if unlock := lock.Close(); unlock != nil {
		err = errors.Join(err, fmt.Errorf("store: unlocking %s: %w", w.key, unlock))
	}
	return err
}

func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// seal makes the files of a folder read-only and brings everything in it to the disk.
func seal(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return toDisk(path)
		}
		if err := os.Chmod(path, 0o444); err != nil {
			return err
		}
		return toDisk(path)
	})
}

// toDisk brings a file or a folder's entries to the disk.
func toDisk(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("store: syncing %s: %w", path, err)
	}
	return nil
}
