package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// errMisplaced is wrapped where an entry's record says that it belongs to another key.
var errMisplaced = errors.New("store: an entry under another's key")

// Lookup finds an entry, which is then in use until the store is closed. The first time that this process asks for it every byte is compared with the checksums; an
// entry that differs is moved to the folder damaged and reported as missing, unless another process holds its lock and is about to replace it.
func (s *Store) Lookup(ctx context.Context, key string) (Entry, bool, error) {
	if err := checkKey(key); err != nil {
		return Entry{}, false, err
	}
	if !exists(s.entryDir(key)) {
		return Entry{}, false, nil
	}
	if err := s.hold(key); err != nil {
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
	if s.readOnly {
		return Entry{}, false, nil
	}
	l, err := s.tryLock(key)
	if err != nil || l == nil {
		return Entry{}, false, err
	}
	e, ok, err := s.settle(ctx, key)
	return e, ok, errors.Join(err, l.release())
}

// settle finds an entry while the key's lock is held, so that moving a damaged one aside cannot hit its successor.
func (s *Store) settle(ctx context.Context, key string) (Entry, bool, error) {
	if !exists(s.entryDir(key)) {
		s.forget(key)
		return Entry{}, false, nil
	}
	if err := s.hold(key); err != nil {
		return Entry{}, false, err
	}
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
	_, err = s.setAside(key)
	return Entry{}, false, err
}

// damaged reports whether an error of check means that the entry is not what was stored, and not that it could not be read just now.
func damaged(err error) bool {
	var differs *artifact.SumsError
	return errors.As(err, &differs) || errors.Is(err, artifact.ErrSums) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMisplaced)
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
	if err == nil {
		// A record that cannot be read is none: an entry may hold anything.
		if rec, recErr := artifact.ReadRecord(dir); recErr == nil && rec.Key != "" && rec.Key != key {
			err = fmt.Errorf("%w: %s holds what belongs to %s", errMisplaced, dir, rec.Key)
		}
	}
	if err != nil {
		s.forget(key)
		return Entry{}, err
	}
	e := Entry{Key: key, Dir: dir, Digest: digest}
	s.remember(e)
	return e, nil
}

func (s *Store) remember(e Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked[e.Key] = e
}

func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.checked, key)
}

// setAside moves a damaged entry away, with the key's lock held, and returns where it is.
func (s *Store) setAside(key string) (string, error) {
	s.forget(key)
	from := s.entryDir(key)
	for n := 1; ; n++ {
		to := filepath.Join(s.dir, damagedDir, fmt.Sprintf("%s-%d", key, n))
		if exists(to) {
			continue
		}
		if err := os.Rename(from, to); err != nil {
			return "", explain(s.dir, elsewhere, fmt.Errorf("moving a damaged entry aside: %w", err))
		}
		if err := errors.Join(toDisk(filepath.Dir(from)), toDisk(filepath.Dir(to))); err != nil {
			return "", fmt.Errorf("store: %w", err)
		}
		return to, nil
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

// Damaged reports whether an error of Verify says that the entry is not what was stored. Others mean that it could not be read.
func Damaged(err error) bool { return err != nil && damaged(err) }

// Repair verifies an entry and moves one that is damaged to the folder damaged, so that the next run makes it again; it returns where it was moved to, "" where
// it is sound or missing. Where another process holds its lock the error wraps [ErrBusy].
func (s *Store) Repair(ctx context.Context, key string) (aside string, err error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	l, err := s.tryLock(key)
	if err != nil {
		return "", err
	}
	if l == nil {
		return "", fmt.Errorf("%w: %s, by %s", ErrBusy, key, s.holder(key))
	}
	defer func() { err = errors.Join(err, l.release()) }()
	if !exists(s.entryDir(key)) {
		return "", nil
	}
	if _, err := s.read(ctx, key); err == nil || !damaged(err) {
		return "", err
	}
	return s.setAside(key)
}
