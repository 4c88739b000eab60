package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

func TestLink(t *testing.T) {
	s := newStore(t)
	e := commit(t, s, key("a"), map[string]string{"record.json": "{}", "figures/x.json": "1"})
	into := filepath.Join(t.TempDir(), "runs", "r1", "train")
	for range 2 { // the second time everything is there
		if err := s.Link(e, into); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := artifact.CheckSums(t.Context(), into); err != nil {
		t.Error(err)
	}
	if !same(e.Path("figures/x.json"), filepath.Join(into, "figures", "x.json")) {
		t.Error("it is not a hard link")
	}
	if b, err := os.ReadFile(s.usesPath(e.Key)); err != nil || strings.Count(string(b), "\n") != 1 {
		t.Errorf("remembered more than once: %q (%v)", b, err)
	}
	if err := os.Remove(filepath.Join(into, "record.json")); err != nil {
		t.Fatal(err)
	}
	fill(t, into, map[string]string{"record.json": "older", "mine.txt": "kept"})
	if err := s.Link(e, into); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(into, "record.json")); err != nil || string(b) != "{}" {
		t.Errorf("a file that was there: %q, %v", b, err)
	}
	if have := files(t, into); !slices.Equal(have, []string{artifact.SumsFile, "figures", "mine.txt", "record.json"}) {
		t.Errorf("the folder holds %v", have)
	}
	if err := s.Link(e, filepath.Join(into, "mine.txt", "x")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a folder within a file: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(into, "sub", "record.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Link(e, filepath.Join(into, "sub")); err == nil {
		t.Error("a folder in place of a file: no error")
	}
}

// Where links cannot be had there are copies: of the same bytes, read-only, replacing what was there.
func TestLinkCopies(t *testing.T) {
	for _, why := range []error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK, syscall.ENOTSUP, syscall.ENOSYS} {
		s := newStore(t)
		e := commit(t, s, key("a"), map[string]string{"record.json": "{}", "figures/x.json": "1"})
		into := filepath.Join(t.TempDir(), "train")
		fill(t, into, map[string]string{"record.json": "older"})
		s.link = func(from, to string) error {
			if exists(to) {
				return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EEXIST}
			}
			return &os.LinkError{Op: "link", Old: from, New: to, Err: why}
		}
		if err := s.Link(e, into); err != nil {
			t.Fatal(err)
		}
		copied(t, e, into)
	}
	s := newStore(t)
	e := commit(t, s, key("a"), map[string]string{"record.json": "{}"})
	s.link = func(string, string) error { return syscall.EIO }
	if err := s.Link(e, filepath.Join(t.TempDir(), "train")); !errors.Is(err, syscall.EIO) {
		t.Errorf("a link that fails otherwise: %v", err)
	}
}

func copied(t *testing.T, e Entry, into string) {
	t.Helper()
	if digest, err := artifact.CheckSums(t.Context(), into); err != nil || digest != e.Digest {
		t.Errorf("digest %s, want %s (%v)", digest, e.Digest, err)
	}
	path := filepath.Join(into, "record.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o444 || same(path, e.Path("record.json")) {
		t.Errorf("%v (%v), want a read-only copy", info, err)
	}
}

// A store and a run on two real file systems, where this machine has two.
func TestLinkToAnotherFileSystem(t *testing.T) {
	s := newStore(t)
	e := commit(t, s, key("a"), map[string]string{"record.json": "{}", "figures/x.json": "1"})
	other, err := os.MkdirTemp("/dev/shm", "ctdb-store-test-")
	if err != nil {
		t.Logf("no other file system: %v; copies are tested above", err)
		return
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(other); err != nil {
			t.Error(err)
		}
	})
	into := filepath.Join(other, "run", "train")
	for range 2 {
		if err := s.Link(e, into); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(e.Path("record.json"), filepath.Join(other, "probe")); errors.Is(err, syscall.EXDEV) {
			copied(t, e, into)
		}
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 1 || !slices.Equal(list[0].Folders, []string{into}) {
		t.Errorf("%+v (%v), want it referenced by %s", list, err, into)
	}
}

// A run's folder that was moved, or copied, is a run's folder, and outlives the store.
func TestRunFolderMovesAndIsCopied(t *testing.T) {
	s := newStore(t)
	work := begin(t, s, key("a"))
	rec := artifact.Record{Stage: artifact.TrainStage, Component: "model/x", Key: key("a")}
	if err := rec.Write(work.Dir()); err != nil {
		t.Fatal(err)
	}
	e, err := work.Commit()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run, moved, twin := filepath.Join(dir, "run"), filepath.Join(dir, "else", "moved"), filepath.Join(dir, "copy")
	if err := s.Link(e, filepath.Join(run, "train")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.CopyFS(twin, os.DirFS(run)), os.Mkdir(filepath.Dir(moved), 0o755), os.Rename(run, moved), os.RemoveAll(s.Dir())); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{moved, twin} {
		r, err := artifact.OpenRun(dir)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		st, ok := r.Stage("train")
		if !ok || st.Record.Key != key("a") {
			t.Errorf("%s: %+v", dir, st)
		}
		if digest, err := artifact.CheckSums(t.Context(), st.Dir); err != nil || digest != e.Digest {
			t.Errorf("%s: digest %s (%v)", dir, digest, err)
		}
	}
	if _, err := os.Stat(run); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old place: %v", err)
	}
}
