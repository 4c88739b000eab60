package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/ctdb-host/ctdb/host/artifact"
)

const (
	entryName   = "entry"
	scratchName = "scratch"
	goneName    = "gone" // an entry on its way out
)

// Work is an entry in the making. It must be ended with Commit or Abort.
type Work struct {
	store *Store
	key   string

	mu   sync.Mutex
	lock *lock // nil once ended
}

// BeginOption is a choice of [Store.Begin].
type BeginOption func(*beginOptions)

type beginOptions struct{ waiting func(Holder) }

// Waiting has a function called when another process, or another goroutine of this one, turns out to be making the entry, with what is known of it, and again when the
// holder changes. It must return soon.
func Waiting(told func(Holder)) BeginOption { return func(b *beginOptions) { b.waiting = told } }

// Begin takes the key's lock, waiting for whoever holds it until ctx ends. If the entry exists by then, the lock is given back, work is nil and found is
// the entry; so the work of several hosts or goroutines is done once between them. Otherwise found is nil.
func (s *Store) Begin(ctx context.Context, key string, options ...BeginOption) (work *Work, found *Entry, err error) {
	if err := checkKey(key); err != nil {
		return nil, nil, err
	}
	if s.readOnly {
		return nil, nil, &FolderError{Dir: s.dir, What: "it was opened to be read only", Do: "open it for writing"}
	}
	var b beginOptions
	for _, o := range options {
		o(&b)
	}
	l, err := s.waitLock(ctx, key, b.waiting)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if work == nil {
			err = errors.Join(err, l.release())
		}
	}()
	e, ok, err := s.settle(ctx, key)
	switch {
	case err != nil:
		return nil, nil, err
	case ok:
		return nil, &e, nil
	}
	w := &Work{store: s, key: key, lock: l}
	// What a dead process left of the entry is of no use; its checkpoints are.
	for _, half := range []string{entryName, goneName} {
		if err := removeAll(filepath.Join(w.root(), half)); err != nil {
			return nil, nil, err
		}
	}
	for _, dir := range []string{w.root(), w.Dir(), w.Scratch()} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return nil, nil, explain(s.dir, elsewhere, err)
		}
	}
	return w, nil, nil
}

func (s *Store) workRoot(key string) string { return filepath.Join(s.dir, workDir, key) }

func (w *Work) root() string { return w.store.workRoot(w.key) }

// Key of the entry.
func (w *Work) Key() string { return w.key }

// Dir is the folder to fill, empty at first.
func (w *Work) Dir() string { return filepath.Join(w.root(), entryName) }

// Scratch is a private folder for checkpoints. It outlives Abort and the death of the process, is found again by the next Begin of the key, and goes with Commit.
func (w *Work) Scratch() string { return filepath.Join(w.root(), scratchName) }

// Commit makes the entry, which is in use from then on: the list of checksums is written, files become read-only and are synced with their folders, and the folder is
// renamed into place. A folder without files, or with anything but files and folders in it, is an error. If it fails the work may be ended with Abort.
func (w *Work) Commit() (Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lock == nil {
		return Entry{}, fmt.Errorf("store: %s: %w", w.key, fs.ErrClosed)
	}
	e, err := w.complete()
	if err != nil {
		return Entry{}, explain(w.store.dir, elsewhere, fmt.Errorf("completing %s: %w", w.key, err))
	}
	w.store.remember(e)
	return e, w.end(w.root())
}

func (w *Work) complete() (Entry, error) {
	digest, err := artifact.WriteSums(w.Dir())
	if err != nil {
		return Entry{}, err
	}
	if err := seal(w.Dir()); err != nil {
		return Entry{}, err
	}
	e := Entry{Key: w.key, Dir: w.store.entryDir(w.key), Digest: digest}
	if err := makeDir(filepath.Dir(e.Dir)); err != nil {
		return Entry{}, err
	}
	if err := w.store.hold(w.key); err != nil {
		return Entry{}, err
	}
	if err := os.Rename(w.Dir(), e.Dir); err != nil {
		return Entry{}, err
	}
	return e, errors.Join(toDisk(filepath.Dir(e.Dir)), toDisk(w.root()))
}

// Abort gives up what was made, but not the scratch folder. It does nothing after Commit, so that it may be deferred.
func (w *Work) Abort() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lock == nil {
		return nil
	}
	err := removeAll(w.Dir())
	// An empty scratch folder is not worth keeping: these fail where it is not empty. After that the lock is given back, since the folder may then be another's.
	if os.Remove(w.Scratch()) == nil {
		_ = os.Remove(w.root())
	}
	return errors.Join(err, w.end(w.Dir()))
}

// end removes a folder and gives the lock back.
func (w *Work) end(dir string) error {
	err := removeAll(dir)
	l := w.lock
	w.lock = nil
	return errors.Join(err, l.release())
}

// seal makes the files of a folder read-only and brings everything in it to the disk: files first, then the folders that name them.
func seal(dir string) error {
	var folders []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			folders = append(folders, path)
			return nil
		}
		if err := os.Chmod(path, 0o444); err != nil {
			return err
		}
		return toDisk(path)
	})
	for i := len(folders) - 1; i >= 0 && err == nil; i-- {
		err = toDisk(folders[i])
	}
	return err
}
