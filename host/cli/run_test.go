package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Runs that start in the same second have folders of their own.
func TestRunFoldersAreTheirOwn(t *testing.T) {
	root, now := filepath.Join(t.TempDir(), "runs"), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var mu sync.Mutex
	seen := map[string]bool{}
	var starts sync.WaitGroup
	for range 20 {
		starts.Go(func() {
			dir, err := newRunFolder(root, "study", now)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[dir] {
				t.Errorf("%s, %v", dir, err)
			}
			seen[dir] = true
		})
	}
	starts.Wait()
	if !seen[filepath.Join(root, "study-20260304-050607")] || !seen[filepath.Join(root, "study-20260304-050607-20")] {
		t.Errorf("folders %v", seen)
	}
}

// The line that goes on with a run is read by a shell as what was given.
func TestWithout(t *testing.T) {
	args := strings.Fields("ctdb-host run max-time --max-time 2h --out x -max-time=3h --max-timer 1 --max-time")
	if got, want := strings.Join(without(args, "max-time"), " "), "ctdb-host run max-time --out x --max-timer 1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAgain(t *testing.T) {
	args := []string{"/opt/ctdb host/ctdb-host", "run", "it's.yaml", "--set", `fit.a.params={"latent": [1, 2]}`, "--store=$HOME/x", "--plugin-dir", "", "-j", "2"}
	line := again(args, false, "runs/x y")
	out, err := exec.Command("sh", "-c", "printf '%s\\n' "+line).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(append(args, "--out", "runs/x y"), "\n") + "\n"; string(out) != want {
		t.Errorf("%s is read as %q, want %q", line, out, want)
	}
	if got := again([]string{"ctdb-host", "run", "quickstart", "--out", "here"}, true, "here"); got != "ctdb-host run quickstart --out here" {
		t.Errorf("got %s", got)
	}
}

func TestBytesOf(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"", 0, true}, {"8GB", 8e9, true}, {"512MiB", 512 << 20, true}, {"1000B", 1000, true}, {"2 G", 2e9, true}, {"1", 0, false}, {"1000", 0, false}, {"8.5", 0, false},
		{"0", 0, false}, {"-1GB", 0, false}, {"much", 0, false}, {"99999999999GB", 0, false}, {"NaN", 0, false},
	} {
		got, err := bytesOf(c.text)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%q: %d, %v", c.text, got, err)
		}
	}
}
