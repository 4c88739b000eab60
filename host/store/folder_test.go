package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// Folders that will not do are told by name, with what to do; nothing is made in them.
func TestFoldersThatWillNotDo(t *testing.T) {
	write := func(t *testing.T, path, text string) string {
		t.Helper()
		fill(t, filepath.Dir(path), map[string]string{filepath.Base(path): text})
		return path
	}
	for name, c := range map[string]struct {
		dir  func(t *testing.T, dir string) string
		says string
	}{
		"a file": {func(t *testing.T, dir string) string { return write(t, filepath.Join(dir, "file"), "") }, "it is a file"},
		"below a file": {func(t *testing.T, dir string) string {
			return filepath.Join(write(t, filepath.Join(dir, "file"), ""), "x")
		}, "a part of its path is a file"},
		"of a newer layout": {func(t *testing.T, dir string) string {
			return filepath.Dir(write(t, filepath.Join(dir, layoutFile), "ctdb store, layout 2\n"))
		}, "a newer ctdb-host made it: its layout is 2, this one knows up to 1"},
		"of no layout": {func(t *testing.T, dir string) string {
			return filepath.Dir(write(t, filepath.Join(dir, layoutFile), ""))
		}, "its file layout says \"\""},
		"of an odd layout": {func(t *testing.T, dir string) string {
			return filepath.Dir(write(t, filepath.Join(dir, layoutFile), "ctdb store, layout -3\n"))
		}, "its file layout says"},
		"of something else": {func(t *testing.T, dir string) string {
			return filepath.Dir(write(t, filepath.Join(dir, "thesis.tex"), "x"))
		}, "it holds thesis.tex, and is no store"},
		"a shelf is a file": {func(t *testing.T, dir string) string { return filepath.Dir(write(t, filepath.Join(dir, workDir), "x")) }, "a part of its path is a file"},
		"layout is a link to nowhere": {func(t *testing.T, dir string) string {
			return filepath.Dir(dangling(t, filepath.Join(dir, layoutFile)))
		}, "it holds layout, and is no store"},
		"a link to nowhere":  {func(t *testing.T, dir string) string { return dangling(t, filepath.Join(dir, "link")) }, "file exists"},
		"a link to a folder": {func(t *testing.T, dir string) string { return dangling(t, filepath.Join(dir, "link")) + "/x" }, "file exists"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := c.dir(t, root)
			before := files(t, root)
			_, err := Open(dir)
			if err == nil {
				t.Fatal("no error")
			}
			var told *FolderError
			if !errors.As(err, &told) || told.Dir != dir || told.Do == "" {
				t.Fatalf("error %v (%T), want a FolderError of %s", err, err, dir)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %s", err, c.says)
			}
			if after := files(t, root); !slices.Equal(after, before) {
				t.Errorf("the folder above holds %v, was %v", after, before)
			}
			if name == "of something else" || name == "of a newer layout" {
				if have := files(t, dir); len(have) != 1 {
					t.Errorf("it holds %v", have)
				}
				if _, err := OpenReadOnly(dir); !errors.As(err, &told) {
					t.Errorf("to be read: %v", err)
				}
			}
		})
	}
}

// dangling makes a symbolic link to what is not there.
func dangling(t *testing.T, path string) string {
	t.Helper()
	if err := os.Symlink(filepath.Join(filepath.Dir(path), "absent", "absent"), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// A folder in which a store's making was cut short becomes one, and so does one with what file managers leave.
func TestFoldersThatWillDo(t *testing.T) {
	for name, have := range map[string][]string{
		"cut short": {workDir + "/x", locksDir + "/x"}, "of an older host": {"ab/x", lastDir + "/x", damagedDir + "/x"}, "left by others": {".DS_Store", "lost+found/x"},
	} {
		dir := t.TempDir()
		for _, file := range have {
			fill(t, dir, map[string]string{file: ""})
		}
		s, err := Open(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if v, err := fresh(t, s).layout(); v != layoutVersion || err != nil {
			t.Errorf("%s: layout %d (%v)", name, v, err)
		}
	}
}

// A folder that belongs to somebody else is told, whose it is and who asks.
func TestFolderOfAnother(t *testing.T) {
	dir := t.TempDir()
	// Go's own temporary folders are closed to others.
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) }) // so that it can be removed
	for _, closed := range []string{s.Dir(), filepath.Join(dir, "new")} {
		if closed == s.Dir() {
			for _, sub := range append(files(t, s.Dir()), ".") {
				if err := os.Chmod(filepath.Join(s.Dir(), sub), 0o555); err != nil {
					t.Fatal(err)
				}
			}
		}
		said, err := startHost(t.Context(), t, "open", closed).all()
		if err == nil || !strings.Contains(said, closed) || !strings.Contains(said, "may not do that there") || !strings.Contains(said, fmt.Sprintf("of user %d", os.Getuid())) || !strings.Contains(said, elsewhere) {
			t.Errorf("%s: %v: %s", closed, err, said)
		}
	}
}

func TestFull(t *testing.T) {
	s := newStore(t)
	said, err := startHost(t.Context(), t, "full", s.Dir(), 100).all()
	if err == nil || !strings.Contains(said, s.Dir()) || !strings.Contains(said, "a file became larger than is allowed") {
		t.Errorf("%v: %s", err, said)
	}
	nothingHalf(t, s, key("a"))
	// On a file system of its own, where this process may mount one.
	dir := t.TempDir()
	if err := mount(t, dir, "size=64k"); err != nil {
		t.Logf("no file system to fill: %v", err)
		return
	}
	if s, err = Open(filepath.Join(dir, "store")); err != nil {
		t.Fatal(err)
	}
	w := begin(t, s, key("a"))
	fill(t, w.Dir(), map[string]string{"data": "x"})
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o644); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system is not full: %v", err)
	}
	var told *FolderError
	if _, err := w.Commit(); !errors.As(err, &told) || !errors.Is(err, syscall.ENOSPC) || told.Dir != s.Dir() {
		t.Errorf("error %v, want no space in %s", err, s.Dir())
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	nothingHalf(t, s, key("a"))
	if free, err := s.Free(); err != nil || free >= 32<<10 {
		t.Errorf("%d bytes are free (%v)", free, err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	commit(t, s, key("a"), map[string]string{"data": "x"})
}

// nothingHalf checks that there is neither an entry nor a part of one, and that it can be made.
func nothingHalf(t *testing.T, s *Store, k string) {
	t.Helper()
	if exists(s.entryDir(k)) || exists(s.workRoot(k)) {
		t.Error("something is left of what could not be completed")
	}
	if _, ok, err := s.Lookup(t.Context(), k); ok || err != nil {
		t.Errorf("lookup: %v, %v", ok, err)
	}
}

// mount puts a file system in memory on a folder, until the test ends.
func mount(t *testing.T, dir, options string) error {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return nil
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	absent, err := OpenReadOnly(filepath.Join(dir, "absent"))
	if err != nil {
		t.Fatal(err)
	}
	if list, err := absent.List(t.Context()); len(list) > 0 || err != nil || exists(absent.Dir()) {
		t.Errorf("a store that is not there: %v, %v", list, err)
	}
	e := commit(t, s, key("a"), map[string]string{"data": "x"})
	commit(t, s, key("torn"), map[string]string{"data": "x"})
	if err := os.Remove(filepath.Join(s.entryDir(key("torn")), "data")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, s.Dir())
	r, err := OpenReadOnly(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := r.Lookup(t.Context(), e.Key); !ok || err != nil || got != e {
		t.Errorf("lookup: %v, %v, %v", got, ok, err)
	}
	if _, ok, err := r.Lookup(t.Context(), key("torn")); ok || err != nil {
		t.Errorf("lookup of a torn entry: %v, %v", ok, err)
	}
	if list, err := r.List(t.Context()); len(list) != 2 || err != nil {
		t.Errorf("list %v, %v", list, err)
	}
	all := Rules{Select: func(Info) bool { return true }, DryRun: true}
	if removed, err := r.GC(t.Context(), all); len(removed) != 2 || err != nil {
		t.Errorf("dry run: %v, %v", removed, err)
	}
	var told *FolderError
	all.DryRun = false
	if _, err := r.GC(t.Context(), all); !errors.As(err, &told) {
		t.Errorf("gc: %v", err)
	}
	if _, _, err := r.Begin(t.Context(), key("b")); !errors.As(err, &told) {
		t.Errorf("begin: %v", err)
	}
	if after := tree(t, s.Dir()); !slices.Equal(after, before) {
		t.Errorf("the folder was changed:\n%v\n%v", before, after)
	}
}

// tree lists all paths in a folder.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{syscall.ENOSPC, "no space left"}, {syscall.EDQUOT, "quota"}, {syscall.EFBIG, "larger than is allowed"}, {syscall.EROFS, "read-only"},
		{syscall.EACCES, "may not"}, {syscall.EPERM, "may not"}, {syscall.ENOTDIR, "is a file"}, {syscall.ESTALE, "lost track"},
	} {
		err := explain("/the/store", elsewhere, fmt.Errorf("completing: %w", &fs.PathError{Op: "write", Path: "x", Err: c.err}))
		var told *FolderError
		if !errors.As(err, &told) || told.Dir != "/the/store" || !strings.Contains(told.What, c.says) || told.Do == "" || !errors.Is(err, c.err) {
			t.Errorf("%v: %v", c.err, err)
		}
		if again := explain("/other", "", err); again != err {
			t.Errorf("explained twice: %v", again)
		}
	}
	if err := explain("x", "", artifact.ErrSums); !errors.Is(err, artifact.ErrSums) {
		t.Errorf("another error: %v", err)
	}
	if err := explain("x", "", nil); err != nil {
		t.Errorf("no error: %v", err)
	}
}

// TestMadeAtOnce: a host that looks at a folder while another makes a store of it finds nothing, or a store.
func TestMadeAtOnce(t *testing.T) {
	for range 200 {
		dir := t.TempDir()
		looking, err := storeAt(dir)
		if err != nil {
			t.Fatal(err)
		}
		made := make(chan struct{})
		var hosts errgroup.Group
		hosts.Go(func() error {
			defer close(made)
			s, err := Open(dir)
			if err != nil {
				return err
			}
			return s.Close()
		})
		hosts.Go(func() error {
			for {
				select {
				case <-made:
					return nil
				default:
				}
				if version, err := looking.layout(); err != nil || version > 0 {
					return err
				}
			}
		})
		if err := hosts.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}
