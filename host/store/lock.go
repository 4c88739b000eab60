package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

const (
	// firstPoll and lastPoll are how soon a lock that another process holds is tried again, at first and in the end.
	firstPoll = 20 * time.Millisecond
	lastPoll  = 500 * time.Millisecond
	// waitTold is the refusal after which a waiting Begin says so: the first may be of somebody who only looks.
	waitTold = 2
	// lockTries bounds how often a lock file may vanish between being opened and locked.
	lockTries = 1000
)

// Holder is the process that holds a lock. All is zero where it is not known.
type Holder struct {
	PID int `json:"pid"`
	// Host is the machine's name.
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

// String is e.g. "process 4711 on node3, since 15:04:05".
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d on %s, since %s", h.PID, h.Host, h.Since.Local().Format(time.TimeOnly))
}

// self is this process as a holder.
func self() Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return Holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)}
}

// flocker is the part of *flock.Flock that is used here; tests put a file system without locks in its place.
type flocker interface {
	TryLock() (bool, error)
	TryRLock() (bool, error)
	Stat() (fs.FileInfo, error)
	Close() error
}

// openFlock opens for writing too, since NFS grants no exclusive lock otherwise.
func openFlock(path string) flocker {
	return flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666))
}

// lock is a held lock file.
type lock struct {
	path  string
	flock flocker
}

// release gives the lock back and removes its file: who has the file open already finds out that it is not the one of that name any more.
func (l *lock) release() error {
	removed := os.Remove(l.path)
	if errors.Is(removed, fs.ErrNotExist) {
		removed = nil
	}
	if err := errors.Join(removed, l.flock.Close()); err != nil {
		return fmt.Errorf("store: unlocking %s: %w", l.path, err)
	}
	return nil
}

func (s *Store) lockPath(key string) string { return filepath.Join(s.dir, locksDir, key) }

// tryLock takes the lock of a key; nil where another holds it.
func (s *Store) tryLock(key string) (*lock, error) {
	l, err := s.tryLockFile(s.lockPath(key))
	if l == nil || err != nil {
		return nil, err
	}
	// It is for others to read; without it they wait all the same.
	if b, err := json.Marshal(self()); err == nil {
		_ = os.WriteFile(l.path, append(b, '\n'), 0o666)
	}
	return l, nil
}

// tryLockFile takes a lock whose file is removed when it is given back. Between opening and locking the file may have been removed by who held it,
// so that a second process could lock a new one of the same name: only a lock on the file that bears the name now counts.
func (s *Store) tryLockFile(path string) (*lock, error) {
	for range lockTries {
		f := s.flock(path)
		ok, err := f.TryLock()
		if err != nil {
			return nil, s.lockError(path, errors.Join(err, f.Close()))
		}
		if !ok {
			return nil, f.Close()
		}
		mine, mineErr := f.Stat()
		there, thereErr := os.Stat(path)
		if mineErr == nil && thereErr == nil && os.SameFile(mine, there) {
			return &lock{path: path, flock: f}, nil
		}
		if err := f.Close(); err != nil {
			return nil, s.lockError(path, err)
		}
		if thereErr != nil && !errors.Is(thereErr, fs.ErrNotExist) && !errors.Is(thereErr, syscall.ESTALE) {
			return nil, s.lockError(path, thereErr)
		}
	}
	return nil, &FolderError{Dir: s.dir, What: "the lock file " + filepath.Base(path) + " changes all the time", Do: elsewhere}
}

// lockError explains why a lock cannot be had at all.
func (s *Store) lockError(path string, err error) error {
	for _, none := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.ENOTSUP, syscall.EOPNOTSUPP} {
		if errors.Is(err, none) {
			return &FolderError{
				Dir: s.dir, What: fmt.Sprintf("its file system grants no file locks (flock: %v)", none),
				Do: "mount it with locks (NFS: not nolock; Lustre: flock), or " + elsewhere, Err: err,
			}
		}
	}
	return explain(s.dir, elsewhere, fmt.Errorf("locking %s: %w", filepath.Base(path), err))
}

// waitLock takes the lock of a key as soon as it is free. Waiting is told who holds it, again whenever that changes; it may be nil.
func (s *Store) waitLock(ctx context.Context, key string, waiting func(Holder)) (*lock, error) {
	pause := firstPoll
	var told Holder
	for refused := 0; ; refused++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("store: waiting for %s, which %s is making: %w", key, s.holder(key), err)
		}
		l, err := s.tryLock(key)
		if l != nil || err != nil {
			return l, err
		}
		if h := s.holder(key); waiting != nil && (refused+1 == waitTold || refused+1 > waitTold && h != told && h.PID != 0) {
			waiting(h)
			told = h
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
		pause = min(2*pause, lastPoll)
	}
}

// holder reads who holds the lock of a key, as far as it can be made out.
func (s *Store) holder(key string) Holder {
	var h Holder
	b, err := os.ReadFile(s.lockPath(key))
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}

// held reports whether some process holds a lock on a file. Nothing is made, so that the store may be read-only; what cannot be told counts as held.
func held(path string) bool {
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ok, err := l.TryRLock()
	if closeErr := l.Close(); closeErr != nil {
		return true
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return !ok
}
