package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// studyArgs runs the small study into folders of the world.
func (w *world) studyArgs(study, n string) []string {
	return []string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "20ms"}
}

func quoted(args []string) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(" '" + a + "'")
	}
	return b.String()
}

// TestFileSizeLimit lets no file grow beyond a limit, which is what a quota or a full disk does to each write: the run fails plainly and leaves nothing half-written,
// and once the limit is gone the same command ends as if there had been none.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	w.must(w.studyArgs(study, "whole")...)
	limits := []int{1, 10, 100, 200} // KiB
	if endurance() {
		limits = append(limits, 2, 4, 7, 15, 20, 30, 50, 70, 90, 120, 150)
	}
	for _, limit := range limits {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := *w
			w.t = t
			n := fmt.Sprint(limit)
			cmd, out := w.shell(fmt.Sprintf("ulimit -f %d; exec ctdb-host%s", limit, quoted(w.studyArgs(study, n))))
			if status := w.finish(cmd, out); status != 1 || !strings.Contains(strings.ToLower(out.String()), "file too large") {
				t.Errorf("exit status %d:\n%s", status, out)
			}
			w.quiet()
			w.whole("store-" + n)
			w.must(w.studyArgs(study, n)...)
			w.sameRun("run-whole", "run-"+n)
			w.tidy("store-" + n)
		})
	}
}

// whole checks that what a store holds is right, whatever is in the making. A store that was never made holds nothing.
func (w *world) whole(store string) {
	w.t.Helper()
	if _, err := os.Stat(w.path(store)); err != nil {
		return
	}
	if status, out := w.run("store", "verify", "--store", w.path(store)); status != 0 {
		w.t.Errorf("store verify: exit status %d\n%s", status, out)
	}
}

// mounted mounts a file system in memory of so many KiB, or returns false where that is not allowed.
func (w *world) mounted(dir string, kib int) bool {
	w.t.Helper()
	if err := os.MkdirAll(w.path(dir), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", w.path(dir), "tmpfs", 0, fmt.Sprintf("size=%dk,mode=755", kib)); err != nil {
		w.t.Logf("no file system can be mounted here: %v", err)
		return false
	}
	w.t.Cleanup(func() {
		if err := syscall.Unmount(w.path(dir), syscall.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	})
	return true
}

// TestFullDisk runs a study where the store's or the run's folder has no space left: it says so, leaves nothing half-written, and goes on once there is room. Where
// the test may not mount anything, TestFileSizeLimit stands for it.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	w.must(w.studyArgs(study, "whole")...)
	type point struct {
		folder string
		kib    int
	}
	points := []point{{"store", 64}, {"store", 300}, {"run", 8}, {"run", 200}}
	if endurance() {
		points = nil
		for _, folder := range []string{"store", "run"} {
			for _, kib := range []int{4, 8, 16, 32, 64, 96, 128, 160, 200, 250, 300, 350, 400, 500, 600} {
				points = append(points, point{folder, kib})
			}
		}
	}
	for _, p := range points {
		n := fmt.Sprintf("%s-%d", p.folder, p.kib)
		t.Run(n, func(t *testing.T) {
			w := *w
			w.t = t
			dir := p.folder + "-" + n
			if !w.mounted(dir, p.kib) {
				return
			}
			// Anything may be written first: the message is of whatever finds no space.
			status, out := w.run(w.studyArgs(study, n)...)
			switch {
			case status == 0: // it was enough
			case status != 1 || !strings.Contains(strings.ToLower(out.String()), "no space left on "):
				t.Errorf("exit status %d:\n%s", status, out)
			}
			for line := range strings.Lines(out.String()) {
				if file, ok := strings.CutPrefix(line, "report "); ok {
					if _, err := os.Stat(strings.TrimSpace(file)); err != nil {
						t.Errorf("it names a report that is not there: %v\n%s", err, out)
					}
				}
			}
			w.quiet()
			if err := syscall.Mount("tmpfs", w.path(dir), "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
				t.Fatal(err)
			}
			w.whole("store-" + n)
			w.must(w.studyArgs(study, n)...)
			w.sameRun("run-whole", "run-"+n)
			w.tidy("store-" + n)
		})
	}
}

// asNobody makes a command run without the right to write everywhere, where the test has it.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
}

// TestReadOnlyFolders runs where something may not be written: each is told with the folder's path, and what is written already is let be.
func TestReadOnlyFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("small.yaml", smallStudy)
	w.must(w.studyArgs(study, "whole")...)
	// From here on the world is somebody else's, but for its home and temporary folders.
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, dir := range []string{"home", "tmp", "run"} {
			for _, name := range append(w.files(dir), ".") {
				if err := os.Chown(w.path(dir, name), 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	store := func(name string, mode os.FileMode) string {
		if err := os.Mkdir(w.path(name), mode); err != nil {
			t.Fatal(err)
		}
		return w.path(name)
	}
	open := store("open", 0o777)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	closed := store("closed", 0o555)
	if os.Geteuid() != 0 {
		for _, dir := range append(w.files("store-whole"), ".") {
			if info, err := os.Stat(w.path("store-whole", dir)); err == nil && info.IsDir() {
				if err := os.Chmod(w.path("store-whole", dir), 0o555); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.Chmod(w.path("store-whole", dir), 0o755) })
			}
		}
	}
	for _, c := range []struct {
		name  string
		args  []string
		env   string
		names string // in the message; empty where the run succeeds
	}{
		{"a store that may not be made", []string{"--store", filepath.Join(closed, "store"), "--out", filepath.Join(open, "a")}, "", closed},
		{"a store of somebody else's", []string{"--store", w.path("store-whole"), "--out", filepath.Join(open, "b"), "--set", "seed=12"}, "", w.path("store-whole")},
		{"a run folder that may not be made", []string{"--store", filepath.Join(open, "store"), "--out", filepath.Join(closed, "run")}, "", closed},
		{"a run folder of somebody else's", []string{"--store", filepath.Join(open, "store"), "--out", w.path("run-whole")}, "", w.path("run-whole")},
		{"a home that may not be written", []string{"--store", filepath.Join(open, "store"), "--out", filepath.Join(open, "c")}, "HOME=" + closed, ""},
		{"a home that is not there", []string{"--store", filepath.Join(open, "store"), "--out", filepath.Join(open, "d")}, "HOME=" + w.path("nowhere"), ""},
		{"the default store in a home that may not be written", []string{"--out", filepath.Join(open, "e")}, "HOME=" + closed, closed},
		{"temporary folders that may not be written", []string{"--store", filepath.Join(open, "store"), "--out", filepath.Join(open, "f")}, "TMPDIR=" + closed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.t = t
			cmd, out := w.command(append([]string{"run", study}, c.args...)...)
			asNobody(cmd)
			if c.env != "" {
				cmd.Env = append(cmd.Env, c.env)
			}
			status := w.finish(cmd, out)
			switch {
			case c.names == "" && status != 0:
				t.Errorf("exit status %d:\n%s", status, out)
			case c.names == "":
			case status != 1 && status != 2, !strings.Contains(out.String(), c.names), !strings.Contains(out.String(), "permission denied") && !strings.Contains(out.String(), "may not do that there"):
				t.Errorf("exit status %d, want %s, and that it may not be written\n%s", status, c.names, out)
			}
			w.quiet()
		})
	}
}

// TestTornEntries damages entries of the store as a dying disk or a power loss would: verify finds it, a run moves the entry aside and computes it again, and
// ends with the bytes that there were.
func TestTornEntries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("tiny.yaml", tinyStudy)
	w.must(w.studyArgs(study, "whole")...)
	w.must(w.studyArgs(study, "torn")...)
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write := func(path string, b []byte) {
		// In place: the bytes rot in every folder that the file is linked into.
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, stage, file string
		tear              func(path string)
	}{
		{"a bit of the weights", "train", "weights.safetensors", func(path string) {
			b := read(path)
			b[len(b)/2] ^= 1
			write(path, b)
		}},
		{"the data set cut short", "simulate", "dataset.h5", func(path string) { b := read(path); write(path, b[:len(b)/2]) }},
		{"a file gone", "fit/sae", "inferred.h5", func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a file empty", "compare/metrics", "results.json", func(path string) { write(path, nil) }},
		{"the checksums gone", "fit/sae", "SHA256SUMS", func(path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"the checksums cut short", "train", "SHA256SUMS", func(path string) { b := read(path); write(path, b[:len(b)-20]) }},
		{"the checksums full of zeros", "simulate", "SHA256SUMS", func(path string) { write(path, make([]byte, 4096)) }},
		{"a block of zeros", "simulate", "dataset.h5", func(path string) {
			b := read(path)
			clear(b[:min(len(b), 4096)])
			write(path, b)
		}},
		{"a file too many", "train", "notes.txt", func(path string) {
			if err := os.WriteFile(path, []byte("mine\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.t = t
			key := w.key("run-torn", c.stage)
			c.tear(w.path("store-torn", key[:2], key, c.file))
			if status, out := w.run("store", "verify", "--store", w.path("store-torn")); status != 1 || !strings.Contains(out.String(), key[:12]) {
				t.Errorf("store verify: exit status %d, want 1 and %s\n%s", status, key, out)
			}
			w.must(w.studyArgs(study, "torn")...)
			if aside := slices.ContainsFunc(w.files("store-torn/damaged"), func(name string) bool { return strings.HasPrefix(name, key) }); !aside {
				t.Errorf("%s was not moved aside: %q", key, w.files("store-torn/damaged"))
			}
			w.sameRun("run-whole", "run-torn")
			if err := os.RemoveAll(w.path("store-torn", "damaged")); err != nil {
				t.Fatal(err)
			}
			w.tidy("store-torn")
		})
	}
}

// key is the key of a stage of a run.
func (w *world) key(run, stage string) string {
	w.t.Helper()
	p, err := artifact.ReadProvenance(w.path(run))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range p.Stages {
		if s.Stage == stage {
			return s.Key
		}
	}
	w.t.Fatalf("%s has no stage %s", run, stage)
	return ""
}
