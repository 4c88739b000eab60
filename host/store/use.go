package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// gcLock is the name, in locks, of what orders a host's saying that it uses an entry and gc's removing it. Its file stays.
const gcLock = "gc"

// gcPoll is how often the lock between hosts and gc is tried again; both hold it for moments.
const gcPoll = 2 * time.Millisecond

// lease is the file that says which entries this process uses.
type lease struct {
	mu   sync.Mutex
	keys map[string]bool
	lock *lock // nil until something is used, and after end
}

func (l *lease) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.keys)
	if l.lock == nil {
		return nil
	}
	held := l.lock
	l.lock = nil
	return held.release()
}

// hold says that this process uses an entry, before it looks whether it is there: gc, which looks at what is in use before it removes an entry, with the gc lock held,
// either sees it or was faster, and then the entry is missing. A process that only reads the store says nothing.
func (s *Store) hold(key string) error {
	if s.readOnly {
		return nil
	}
	s.lease.mu.Lock()
	defer s.lease.mu.Unlock()
	if s.lease.keys[key] {
		return nil
	}
	if err := s.note(key); err != nil {
		return explain(s.dir, elsewhere, err)
	}
	s.lease.keys[key] = true
	s.touch(key)
	return nil
}

// note adds a key to the lease, which is made if this is its first.
func (s *Store) note(key string) (err error) {
	if s.lease.lock == nil {
		if s.lease.lock, err = s.newLease(); err != nil {
			return err
		}
	}
	turn, err := s.lockGC(context.Background(), flocker.TryRLock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, turn.Close()) }()
	// The file is closed each time because a network file system shows it to others only then.
	return appendLine(s.lease.lock.path, key)
}

func (s *Store) newLease() (*lock, error) {
	me := self()
	for {
		path := filepath.Join(s.dir, hostsDir, fmt.Sprintf("%s-%d-%016x", filepath.Base(me.Host), me.PID, rand.Uint64()))
		// One that somebody sweeps, because it was not locked yet, is left to them.
		if l, err := s.tryLockFile(path); l != nil || err != nil {
			return l, err
		}
	}
}

// lockGC takes the gc lock in one of its two ways: shared by those who say what they use, exclusive by gc.
func (s *Store) lockGC(ctx context.Context, try func(flocker) (bool, error)) (flocker, error) {
	l := s.flock(s.lockPath(gcLock))
	for {
		ok, err := try(l)
		if err != nil {
			return nil, s.lockError(gcLock, errors.Join(err, l.Close()))
		}
		if ok {
			return l, nil
		}
		timer := time.NewTimer(gcPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), l.Close())
		case <-timer.C:
		}
	}
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

func (s *Store) usesPath(key string) string { return filepath.Join(s.dir, usesDir, key) }

// touch remembers that an entry is used now. It only makes gc's choice better, so that failing to is no failure.
func (s *Store) touch(key string) {
	now := time.Now()
	if err := os.Chtimes(s.usesPath(key), now, now); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if f, err := os.OpenFile(s.usesPath(key), os.O_WRONLY|os.O_CREATE, 0o666); err == nil {
		_ = f.Close()
	}
}

// linked remembers a folder that an entry was linked into. As with touch, the rest works without.
func (s *Store) linked(key, into string) {
	if abs, err := filepath.Abs(into); err == nil {
		_ = appendLine(s.usesPath(key), strconv.Quote(abs))
	}
}

// folders lists where an entry was linked into and still is: folders with the same list of checksums, sorted.
func (s *Store) folders(key string) []string {
	b, err := os.ReadFile(s.usesPath(key))
	if err != nil {
		return nil
	}
	sums, err := os.ReadFile(filepath.Join(s.entryDir(key), artifact.SumsFile))
	if err != nil {
		return nil
	}
	seen, out := map[string]bool{}, []string(nil)
	for line := range strings.Lines(string(b)) {
		dir, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil || seen[dir] {
			continue
		}
		seen[dir] = true
		if theirs, err := os.ReadFile(filepath.Join(dir, artifact.SumsFile)); err == nil && bytes.Equal(theirs, sums) {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return out
}

// readers is what is known of the leases of running hosts; it reads of each only what was added since.
type readers struct {
	store *Store
	hosts map[string]*reader
}

type reader struct {
	at   int64 // up to which the file was read
	keys map[string]bool
}

// who names the host that uses an entry, "" where none does.
func (r *readers) who(key string) (string, error) {
	have, err := names(filepath.Join(r.store.dir, hostsDir))
	if err != nil {
		return "", err
	}
	if r.hosts == nil {
		r.hosts = map[string]*reader{}
	}
	for _, name := range have {
		path := filepath.Join(r.store.dir, hostsDir, name)
		if !held(path) {
			continue // it died
		}
		h := r.hosts[name]
		if h == nil {
			h = &reader{keys: map[string]bool{}}
			r.hosts[name] = h
		}
		if err := h.read(path); err != nil {
			return "", fmt.Errorf("store: %w", err)
		}
		if h.keys[key] {
			return name, nil
		}
	}
	return "", nil
}

func (h *reader) read(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has just ended
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(h.at, io.SeekStart); err != nil {
		return err
	}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil // a line without an end is not written yet, and its writer not past the gc lock
		}
		if err != nil {
			return err
		}
		h.at += int64(len(line))
		h.keys[strings.TrimSpace(line)] = true
	}
}
