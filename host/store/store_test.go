package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

func key(name string) string { return artifact.HashBytes([]byte(name)) }

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh opens the same folder as another process would: nothing has been checked.
func fresh(t *testing.T, s *Store) *Store {
	t.Helper()
	s, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// begin takes a key that is not there.
func begin(t *testing.T, s *Store, k string) *Work {
	t.Helper()
	w, found, err := s.Begin(t.Context(), k)
	if err != nil || found != nil {
		t.Fatalf("begin: found %v, error %v", found, err)
	}
	t.Cleanup(func() { w.Abort() })
	return w
}

// fill writes files, whose names may have a slash.
func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, s *Store, k string, files map[string]string) Entry {
	t.Helper()
	w := begin(t, s, k)
	fill(t, w.Dir(), files)
	e, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEntry(t *testing.T) {
	s, k := newStore(t), key("a")
	if _, ok, err := s.Lookup(t.Context(), k); ok || err != nil || s.Has(k) {
		t.Errorf("an empty store has it: %v, %v", ok, err)
	}
	w := begin(t, s, k)
	fill(t, w.Dir(), map[string]string{"record.json": "{}\n", "figures/a.json": "1"})
	fill(t, w.Scratch(), map[string]string{"checkpoint": "half"})
	if s.Has(k) {
		t.Error("it is there before it is complete")
	}
	e, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("completed twice: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Errorf("given up after it was completed: %v", err)
	}
	if want := filepath.Join(s.Dir(), k[:2], k); e.Dir != want || e.Key != k || !s.Has(k) {
		t.Errorf("entry %+v, want it in %s", e, want)
	}
	if digest, err := artifact.HashFolder(e.Dir); err != nil || digest != e.Digest {
		t.Errorf("digest %s, want %s (%v)", e.Digest, digest, err)
	}
	for _, name := range []string{"record.json", "figures/a.json", artifact.SumsFile} {
		info, err := os.Stat(e.Path(name))
		if err != nil || info.Mode().Perm() != 0o444 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if exists(w.root()) {
		t.Error("the work's folder is left")
	}
	for _, x := range []*Store{s, fresh(t, s)} {
		if got, ok, err := x.Lookup(t.Context(), k); got != e || !ok || err != nil {
			t.Errorf("lookup: %+v, %v, %v", got, ok, err)
		}
		if w, found, err := x.Begin(t.Context(), k); w != nil || err != nil || *found != e {
			t.Errorf("begin: %v, %v, %v", w, found, err)
		}
		if err := x.Verify(t.Context(), k); err != nil {
			t.Error(err)
		}
	}
	other := commit(t, s, key("b"), map[string]string{"x": ""})
	keys, err := s.Keys()
	if want := []string{k, other.Key}; err != nil || len(keys) != 2 || !slices.Contains(keys, want[0]) || !slices.Contains(keys, want[1]) {
		t.Errorf("keys %v, want %v (%v)", keys, want, err)
	}
}

func TestBadKeys(t *testing.T) {
	s := newStore(t)
	for _, k := range []string{"", "abc", "../../../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("a", 129), strings.Repeat("g", 64)} {
		if _, _, err := s.Lookup(t.Context(), k); !errors.Is(err, ErrKey) {
			t.Errorf("lookup of %q: %v", k, err)
		}
		if _, _, err := s.Begin(t.Context(), k); !errors.Is(err, ErrKey) {
			t.Errorf("begin of %q: %v", k, err)
		}
		if err := s.Verify(t.Context(), k); !errors.Is(err, ErrKey) || s.Has(k) {
			t.Errorf("verify of %q: %v", k, err)
		}
	}
}

// What is given up leaves no entry, but its checkpoints, which the next one finds.
func TestAbort(t *testing.T) {
	s, k := newStore(t), key("a")
	w := begin(t, s, k)
	fill(t, w.Dir(), map[string]string{"half": "x"})
	fill(t, w.Scratch(), map[string]string{"checkpoint": "step 5"})
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	w = begin(t, s, k)
	if left, err := os.ReadDir(w.Dir()); err != nil || len(left) != 0 {
		t.Errorf("the new folder has %v (%v)", left, err)
	}
	if b, err := os.ReadFile(filepath.Join(w.Scratch(), "checkpoint")); err != nil || string(b) != "step 5" {
		t.Errorf("checkpoint %q, %v", b, err)
	}
	if err := os.Remove(filepath.Join(w.Scratch(), "checkpoint")); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if exists(w.root()) || s.Has(k) {
		t.Error("something is left")
	}
}

// An entry whose bytes are not what was stored is moved aside and made again.
func TestTornEntries(t *testing.T) {
	for name, tear := range map[string]func(dir string) error{
		"changed": func(dir string) error { return overwrite(filepath.Join(dir, "data"), "01234x6789") },
		"short":   func(dir string) error { return overwrite(filepath.Join(dir, "data"), "01234") },
		"empty":   func(dir string) error { return overwrite(filepath.Join(dir, "data"), "") },
		"missing": func(dir string) error { return os.Remove(filepath.Join(dir, "data")) },
		"extra":   func(dir string) error { return os.WriteFile(filepath.Join(dir, "more"), nil, 0o644) },
		"no list": func(dir string) error { return os.Remove(filepath.Join(dir, artifact.SumsFile)) },
		"bad list": func(dir string) error {
			return overwrite(filepath.Join(dir, artifact.SumsFile), "not a list\n")
		},
		"cut list": func(dir string) error { return overwrite(filepath.Join(dir, artifact.SumsFile), "") },
		"list of one long line": func(dir string) error {
			return overwrite(filepath.Join(dir, artifact.SumsFile), strings.Repeat("0", 1<<20))
		},
		"a pipe for a list": func(dir string) error {
			path := filepath.Join(dir, artifact.SumsFile)
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o644))
		},
		"a link for a file": func(dir string) error {
			path := filepath.Join(dir, "data")
			return errors.Join(os.Rename(path, filepath.Join(dir, "..", "data")), os.Symlink("../data", path))
		},
		"a link more": func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "more")) },
		"a pipe more": func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "more"), 0o644) },
		"an odd name": func(dir string) error { return os.WriteFile(filepath.Join(dir, "a\nb"), nil, 0o644) },
		"a folder for it": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "data")), os.Mkdir(filepath.Join(dir, "data"), 0o755))
		},
		"nothing at all": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755))
		},
		"a link for the folder": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Symlink("../work", dir))
		},
		"names that escape": func(dir string) error {
			return overwrite(filepath.Join(dir, artifact.SumsFile), strings.Repeat("0", 64)+"  ../../layout\n")
		},
		"another's": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			if err := (artifact.Record{Stage: artifact.TrainStage, Key: key("b")}).Write(dir); err != nil {
				return err
			}
			_, err := artifact.WriteSums(dir)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, k := newStore(t), key("a")
			e := commit(t, s, k, map[string]string{"data": "0123456789"})
			if err := tear(e.Dir); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(t.Context(), k); !Damaged(err) || !exists(e.Dir) {
				t.Errorf("verify: %v", err)
			}
			s = fresh(t, s)
			if _, ok, err := s.Lookup(t.Context(), k); ok || err != nil {
				t.Errorf("lookup: %v, %v", ok, err)
			}
			if s.Has(k) || exists(e.Dir) || !exists(filepath.Join(s.Dir(), damagedDir, k+"-1")) {
				t.Error("it was not moved aside")
			}
			if again := commit(t, s, k, map[string]string{"data": "0123456789"}); again != e {
				t.Errorf("made again: %+v, want %+v", again, e)
			}
			if err := tear(e.Dir); err != nil {
				t.Fatal(err)
			}
			begin(t, fresh(t, s), k)
			if !exists(filepath.Join(s.Dir(), damagedDir, k+"-2")) {
				t.Error("the second one was not moved aside")
			}
		})
	}
}

// Repair moves aside what is damaged and nothing else, and waits for nobody.
func TestRepair(t *testing.T) {
	s := newStore(t)
	sound, torn := commit(t, s, key("a"), map[string]string{"data": "0123456789"}), commit(t, s, key("b"), map[string]string{"data": "0123456789"})
	if err := overwrite(torn.Path("data"), "01234x6789"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, aside string }{{sound.Key, ""}, {torn.Key, filepath.Join(s.Dir(), damagedDir, torn.Key+"-1")}, {torn.Key, ""}, {key("absent"), ""}} {
		if aside, err := s.Repair(t.Context(), c.key); err != nil || aside != c.aside {
			t.Errorf("moved to %q (%v), want %q", aside, err, c.aside)
		}
	}
	if !s.Has(sound.Key) || s.Has(torn.Key) {
		t.Error("it is the wrong one that is gone")
	}
	w := begin(t, s, torn.Key)
	if _, err := s.Repair(t.Context(), torn.Key); !errors.Is(err, ErrBusy) {
		t.Errorf("while it is made: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// What cannot be kept is refused when it is to be completed, and leaves nothing.
func TestCommitRefuses(t *testing.T) {
	for name, leave := range map[string]func(dir string) error{
		"nothing":         func(string) error { return nil },
		"empty folders":   func(dir string) error { return os.Mkdir(filepath.Join(dir, "sub"), 0o755) },
		"a symbolic link": func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "link")) },
		"a link inside": func(dir string) error {
			return errors.Join(put(filepath.Join(dir, "data")), os.Symlink("data", filepath.Join(dir, "link")))
		},
		"a pipe":       func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644) },
		"a line break": func(dir string) error { return put(filepath.Join(dir, "a\nb")) },
		"a backslash":  func(dir string) error { return put(filepath.Join(dir, `..\up`)) },
	} {
		s, k := newStore(t), key("a")
		w := begin(t, s, k)
		if err := leave(w.Dir()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Commit(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if err := w.Abort(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		nothingHalf(t, s, k)
	}
}

func put(path string) error { return os.WriteFile(path, []byte("x"), 0o644) }

func overwrite(path, text string) error {
	if err := os.Chmod(path, 0o644); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// A damaged entry whose key another holds is missing, and is left to the other.
func TestTornWhileLocked(t *testing.T) {
	s, k := newStore(t), key("a")
	e := commit(t, s, k, map[string]string{"data": "0123456789"})
	if err := overwrite(e.Path("data"), "x"); err != nil {
		t.Fatal(err)
	}
	other := fresh(t, s)
	lock, err := other.tryLock(k)
	if err != nil || lock == nil {
		t.Fatalf("lock %v, %v", lock, err)
	}
	defer lock.release()
	if _, ok, err := fresh(t, s).Lookup(t.Context(), k); ok || err != nil || !exists(e.Dir) {
		t.Errorf("lookup: %v, %v", ok, err)
	}
}

func TestBeginWaits(t *testing.T) {
	s, k := newStore(t), key("a")
	w := begin(t, s, k)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Begin(ctx, k); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	began := make(chan *Entry)
	go func() {
		_, found, err := fresh(t, s).Begin(t.Context(), k)
		if err != nil {
			t.Error(err)
		}
		began <- found
	}()
	fill(t, w.Dir(), map[string]string{"data": "x"})
	e, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if found := <-began; found == nil || *found != e {
		t.Errorf("the one who waited found %v, want %v", found, e)
	}
}

// Many goroutines, each with a store of its own as in processes of their own, make each entry once between them.
func TestDoneOnce(t *testing.T) {
	s := newStore(t)
	var made [3]atomic.Int64
	var wait sync.WaitGroup
	for i := range 24 {
		wait.Go(func() {
			k := key(fmt.Sprint(i % 3))
			w, found, err := fresh(t, s).Begin(t.Context(), k)
			if err != nil {
				t.Error(err)
				return
			}
			if found != nil {
				return
			}
			defer w.Abort()
			made[i%3].Add(1)
			fill(t, w.Dir(), map[string]string{"data": fmt.Sprint(i % 3)})
			if _, err := w.Commit(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for i := range made {
		if n := made[i].Load(); n != 1 {
			t.Errorf("entry %d was made %d times", i, n)
		}
	}
}

// A host that was killed leaves a folder and a lock that nobody holds.
func TestBeginAfterDeath(t *testing.T) {
	s, k := newStore(t), key("a")
	dead := filepath.Join(s.Dir(), workDir, k)
	fill(t, dead, map[string]string{"entry/half": "x", "scratch/checkpoint": "step 5"})
	fill(t, filepath.Join(s.Dir(), locksDir), map[string]string{k: ""})
	w := begin(t, s, k)
	if exists(filepath.Join(w.Dir(), "half")) || !exists(filepath.Join(w.Scratch(), "checkpoint")) {
		t.Error("the half entry must go and the checkpoint stay")
	}
}
