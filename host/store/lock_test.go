package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// vanishing is a lock whose file is removed, and made again by another who locks it, between being opened and locked.
type vanishing struct {
	flocker
	between func()
}

func (v vanishing) TryLock() (bool, error) {
	ok, err := v.flocker.TryLock()
	v.between()
	return ok, err
}

// A lock on a file that does not bear the name any more is no lock.
func TestLockFileVanishes(t *testing.T) {
	s := newStore(t)
	path := s.lockPath(key("a"))
	var other *lock
	tries := 0
	s.flock = func(path string) flocker {
		return vanishing{openFlock(path), func() {
			if tries++; tries > 1 {
				return
			}
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			var err error
			if other, err = fresh(t, s).tryLockFile(path); err != nil || other == nil {
				t.Errorf("the other's lock: %v, %v", other, err)
			}
		}}
	}
	if l, err := s.tryLock(key("a")); l != nil || err != nil {
		t.Errorf("locked twice: %v, %v", l, err)
	}
	if err := other.release(); err != nil {
		t.Fatal(err)
	}
	l, err := s.tryLock(key("a"))
	if l == nil || err != nil {
		t.Fatalf("%v, %v", l, err)
	}
	if err := l.release(); err != nil || exists(path) {
		t.Errorf("released: %v; file there: %v", err, exists(path))
	}
	// A file that vanishes each time is no endless loop.
	s.flock = func(path string) flocker { return vanishing{openFlock(path), func() { _ = os.Remove(path) }} }
	var told *FolderError
	if _, err := s.tryLock(key("a")); !errors.As(err, &told) {
		t.Errorf("a file that always vanishes: %v", err)
	}
}

// Locks exclude although their files are removed each time they are given back.
func TestLocksExclude(t *testing.T) {
	s := newStore(t)
	var inside, most, times atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			own := fresh(t, s)
			for range 200 {
				l, err := own.waitLock(t.Context(), key("a"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				times.Add(1)
				inside.Add(-1)
				if err := l.release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if most.Load() != 1 || times.Load() != 1600 {
		t.Errorf("%d at once, %d times", most.Load(), times.Load())
	}
}

// lockless is a file system without locks.
type lockless struct {
	flocker
	err error
}

func (l lockless) TryLock() (bool, error)  { return false, l.err }
func (l lockless) TryRLock() (bool, error) { return false, l.err }

func TestNoLocks(t *testing.T) {
	for _, why := range []error{syscall.ENOLCK, syscall.ENOSYS, syscall.EOPNOTSUPP} {
		s := newStore(t)
		commit(t, s, key("b"), map[string]string{"data": "x"})
		s = fresh(t, s)
		s.flock = func(path string) flocker {
			return lockless{openFlock(path), &fs.PathError{Op: "flock", Path: path, Err: why}}
		}
		var told *FolderError
		if _, _, err := s.Begin(t.Context(), key("a")); !errors.As(err, &told) || told.Dir != s.Dir() || !errors.Is(err, why) {
			t.Errorf("begin: %v", err)
		}
		if _, _, err := s.Lookup(t.Context(), key("b")); !errors.As(err, &told) || !errors.Is(err, why) {
			t.Errorf("lookup: %v", err)
		}
		if have := files(t, filepath.Join(s.Dir(), workDir)); len(have) > 0 {
			t.Errorf("left in work: %v", have)
		}
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	all := Probe(filepath.Join(dir, "store"))
	var what []string
	for _, f := range all {
		what = append(what, f.What)
		if f.Err != nil || f.Do != "" || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	}
	if want := []string{"folder", "file system", "writing and syncing", "file locks", "renames", "hard links", "clock"}; !slices.Equal(what, want) {
		t.Errorf("found out about %v, want %v", what, want)
	}
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	fill(t, dir, map[string]string{"file": ""})
	if all := Probe(filepath.Join(dir, "file")); len(all) != 1 || all[0].Err == nil || all[0].Do == "" || !all[0].Needed {
		t.Errorf("a file: %+v", all)
	}
	// On a file system that has neither locks nor links.
	p := prober{dir: dir, at: dir, link: func(string, string) error { return syscall.EPERM }}
	p.flock = func(path string) flocker { return lockless{openFlock(path), syscall.ENOLCK} }
	for _, f := range p.all() {
		if bad := f.What == "file locks" || f.What == "hard links"; bad != (f.Err != nil) || bad != (f.Do != "") {
			t.Errorf("%+v", f)
		}
	}
	// On one where locks are granted to everybody.
	p.flock = func(path string) flocker { return generous{openFlock(path)} }
	if err := p.lock(); !errors.Is(err, errProbe) {
		t.Errorf("locks that exclude nobody: %v", err)
	}
}

// generous is a file system that grants every lock.
type generous struct{ flocker }

func (generous) TryLock() (bool, error) { return true, nil }
