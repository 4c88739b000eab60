//go:build unix

package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// leftover makes a folder as a host of that number and start would, in the base that is preferred.
func leftover(t *testing.T, pid int, start uint64, locked bool, age time.Duration) string {
	t.Helper()
	folder, err := os.MkdirTemp(bases()[0], fmt.Sprintf("ctdb-%d-%s-", pid, strconv.FormatUint(start, 36)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if locked {
		if err := os.WriteFile(filepath.Join(folder, lockName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-age)
	if err := os.Chtimes(folder, then, then); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestSweepKnowsTheDead(t *testing.T) {
	own := os.Getpid()
	start := startOf(own)
	// No process has this number: it is above what any system gives.
	const nobody = 1 << 30
	held := leftover(t, nobody, 1, true, time.Hour)
	f, err := os.OpenFile(filepath.Join(held, lockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := lockFile(f); !ok || err != nil {
		t.Fatalf("locked %v, %v", ok, err)
	}
	other := filepath.Join(bases()[0], fmt.Sprintf("ctdb-%d-notes", nobody))
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(other)
	stuck := leftover(t, nobody, 3, true, time.Hour)
	if err := os.MkdirAll(filepath.Join(stuck, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(stuck, "a"), 0); err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	link := filepath.Join(bases()[0], fmt.Sprintf("ctdb-%d-1-77", nobody))
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	for _, c := range []struct {
		name, folder string
		gone         bool
	}{
		{"of a dead host", leftover(t, nobody, 1, true, 0), true},
		{"of a dead host that had not locked it", leftover(t, nobody, 1, false, time.Hour), true},
		{"of a host whose number is used again", leftover(t, own, start+1, true, 0), start > 0},
		{"with what may not be entered", stuck, true},
		{"of a living host", leftover(t, own, start, true, time.Hour), false},
		{"of a host in another container", held, false},
		{"of a host in another container, which is just making it", leftover(t, nobody, 1, false, 0), false},
		{"of somebody else's making", other, false},
		{"that is a link", link, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			removed, err := Sweep(t.Context())
			if err != nil {
				t.Error(err)
			}
			_, err = os.Lstat(c.folder)
			if gone := errors.Is(err, os.ErrNotExist); gone != c.gone {
				t.Errorf("gone is %v, want %v", gone, c.gone)
			}
			if !c.gone && slices.Contains(removed, c.folder) {
				t.Error("said to be removed")
			}
		})
	}
	if _, err := os.Stat(target); err != nil {
		t.Error(err)
	}
}

// A janitor removes the very folder that was registered, and none that took its place.
func TestGuardedFolders(t *testing.T) {
	dir := t.TempDir()
	j := janitorUnderTest()
	folder := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Join(path, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kept, replaced, guarded := folder("kept"), folder("replaced"), folder("guarded")
	release, err := j.Guard(kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{replaced, guarded} {
		if _, err := j.Guard(path); err != nil {
			t.Fatal(err)
		}
	}
	release()
	if err := os.Rename(replaced, replaced+"-old"); err != nil {
		t.Fatal(err)
	}
	folder("replaced")
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]bool{kept: true, replaced: true, guarded: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, bad := range []string{"", "relative", "/", dir + "/../x", filepath.Join(dir, "none"), guarded} {
		if _, err := j.Guard(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := j.Guard(kept); err == nil {
		t.Error("a closed janitor accepts a folder")
	}
	var none *Janitor
	release, err = none.Guard(kept)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if none.PID() != 0 || none.Close() != nil {
		t.Error("no janitor does something")
	}
}

// Where no janitor can be started plugins are used all the same, and the log says once what that means.
func TestWithoutAJanitor(t *testing.T) {
	j := NewJanitor("no such", "behaviour")
	j.closed = true
	s, log := spec(t, "good")
	for range 2 {
		p, err := Start(WithJanitor(t.Context(), j), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(log.lines)
	warned := 0
	for line := range log.lines {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, "no process watches over this host") {
			warned++
		}
	}
	if warned != 1 {
		t.Errorf("warned %d times", warned)
	}
}
