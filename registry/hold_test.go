package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A version in use is neither removed nor replaced, nor is anything else of what was asked for; what is beside it is free.
func TestHold(t *testing.T) {
	l := Library{Dir: t.TempDir()}
	release := func(version string) string {
		return write(t, filepath.Join(t.TempDir(), "x"), script("mine@"+version), 0o755)
	}
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if _, err := l.Install(t.Context(), release(v), options()); err != nil {
			t.Fatal(err)
		}
	}
	found, _, err := Search{Dirs: []Dir{{l.Dir, UserDir}}}.Find(t.Context())
	if err != nil || len(found) != 2 {
		t.Fatalf("found %+v, error %v", found, err)
	}
	free, err := found[0].Hold()
	if err != nil {
		t.Fatal(err)
	}
	again, err := found[0].Hold()
	if err != nil {
		t.Fatalf("a second that uses it: %v", err)
	}
	all, _, err := l.List()
	if err != nil {
		t.Fatal(err)
	}
	before := tree(t, l.Dir)
	refused := func(what string, err error) {
		t.Helper()
		var used *InUseError
		if !errors.As(err, &used) || used.Plugin != "mine@1.0.0" {
			t.Errorf("%s: error %v", what, err)
		} else if me := fmt.Sprintf("process %d (", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(err.Error(), me) {
			t.Errorf("%s: %q does not name %q", what, err, me)
		}
		if now := tree(t, l.Dir); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("%s has changed %v to %v", what, before, now)
		}
	}
	upgrade := options()
	upgrade.Upgrade = true
	refused("remove", l.Remove(t.Context(), all...))
	_, err = l.Install(t.Context(), release("2.0.0"), upgrade)
	refused("upgrade", err)
	if err := free(); err != nil {
		t.Fatal(err)
	}
	refused("remove while the second uses it", l.Remove(t.Context(), all[0]))
	// A version that is not in use can go, and a newer one come beside.
	if err := l.Remove(t.Context(), all[1]); err != nil {
		t.Error(err)
	}
	upgrade.Keep = true
	if _, err := l.Install(t.Context(), release("2.0.0"), upgrade); err != nil {
		t.Error(err)
	}
	// What is damaged is not mended under who uses it.
	exe := filepath.Join(found[0].Package.Dir, Prefix+"mine")
	if err := os.Chmod(exe, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, exe, script("evil@1.0.0"), 0o755)
	before = tree(t, l.Dir)
	_, err = l.Install(t.Context(), release("1.0.0"), options())
	refused("mending", err)
	if err := again(); err != nil {
		t.Fatal(err)
	}
	upgrade.Keep = false
	if got, err := l.Install(t.Context(), release("3.0.0"), upgrade); err != nil || len(got.Removed) != 2 {
		t.Errorf("upgrade in the end: %+v, %v", got, err)
	}
	if _, err := found[0].Hold(); err == nil || !strings.Contains(err.Error(), "start again") {
		t.Errorf("one that is gone: %v", err)
	}
	if free, err := (Candidate{}).Hold(); err != nil || free() != nil {
		t.Errorf("one that was not installed: %v", err)
	}
}
