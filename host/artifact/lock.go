package artifact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// LockFile is the empty file in a run's folder that a host holds a lock on (flock) while it writes there. It is left when the host ends; only the lock counts.
const LockFile = ".lock"

// studyLockFile is held while the files of a study as a whole are written.
const studyLockFile = ".lock-study"

// ErrRunLocked is wrapped where another host is writing into a run's folder.
var ErrRunLocked = errors.New("artifact: another host is writing into this run's folder")

const (
	lockPoll = 20 * time.Millisecond
	// lockPatience bounds the wait for a lock that somebody holds just to look whether it is free.
	lockPatience = 250 * time.Millisecond
)

// LockRun takes a run's folder, which exists, for the host alone, until unlock is called or the process ends, by any means. Where another host has it, or
// shards of it are running, the error wraps [ErrRunLocked]. Files that a host had begun when it was killed are removed.
func LockRun(dir string) (unlock func() error, err error) {
	l := newLock(dir, LockFile)
	if err := take(dir, l, l.TryLockContext); err != nil {
		return nil, err
	}
	for _, folder := range []string{dir, filepath.Join(dir, FiguresDir)} {
		if err := removeBegun(folder); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l.Close, nil
}

// begun are the names of files under way in a run's folder: hidden, that of the file, and a random number.
var begun = regexp.MustCompile(`^\..+\.(csv|html|json|png|svg|yaml)\d+$`)

// removeBegun removes what was begun in a folder and never got its name; there may be no folder.
func removeBegun(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("artifact: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !begun.MatchString(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("artifact: what a killed host left: %w", err)
		}
	}
	return nil
}

// LockShard takes a share, e.g. "2/4", of the study in a folder, which exists: other shards may run beside it, but neither the same one nor a host
// that has the folder for itself. The error then wraps [ErrRunLocked].
func LockShard(dir, shard string) (unlock func() error, err error) {
	all, own := newLock(dir, LockFile), newLock(dir, LockFile+shardSuffix(shard))
	if err := take(dir, all, all.TryRLockContext); err != nil {
		return nil, err
	}
	if err := take(dir, own, own.TryLockContext); err != nil {
		return nil, fmt.Errorf("shard %s: %w", shard, errors.Join(err, all.Close()))
	}
	return func() error { return errors.Join(own.Close(), all.Close()) }, nil
}

// LockStudy waits until no other shard is writing the files of a study as a whole: study.json, results.json, report.html. It is held for the moment of writing.
func LockStudy(ctx context.Context, dir string) (unlock func() error, err error) {
	l := newLock(dir, studyLockFile)
	if ok, err := l.TryLockContext(ctx, lockPoll); err != nil || !ok {
		return nil, fmt.Errorf("artifact: waiting for the lock of %s: %w", dir, errors.Join(err, l.Close()))
	}
	return l.Close, nil
}

func newLock(dir, file string) *flock.Flock {
	return flock.New(filepath.Join(dir, file), flock.SetPermissions(0o666))
}

func take(dir string, l *flock.Flock, try func(context.Context, time.Duration) (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	ok, err := try(ctx, lockPoll)
	if ok {
		return nil
	}
	closeErr := l.Close()
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s: wait until that one ends, or choose another folder", ErrRunLocked, dir)
	}
	return fmt.Errorf("artifact: locking %s: %w", dir, errors.Join(err, closeErr))
}

// held reports whether a lock on a file of the folder is held. Nothing is created, so that the folder may be read-only; what cannot be told counts as not held.
func held(dir, file string) bool {
	l := flock.New(filepath.Join(dir, file), flock.SetFlag(os.O_RDONLY))
	ok, err := l.TryRLock()
	if closeErr := l.Close(); err != nil || closeErr != nil {
		return false
	}
	return !ok
}

// shardSuffix is "-2-of-4" of "2/4", "" of "".
func shardSuffix(shard string) string {
	if shard == "" {
		return ""
	}
	return "-" + strings.ReplaceAll(shard, "/", "-of-")
}
