package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tinyStudy has every stage and takes half a second.
const tinyStudy = `version: 1
name: tiny
seed: 2
task: {use: task/nbff, params: {n_bits: 2, n_timesteps: 20, n_trials: 20}}
train: {use: model/noisy-gru, params: {hidden: 4, epochs: 2, batch_size: 8}}
simulate: {use: simulator/spikes, params: {n_heldin: 6, n_heldout: 2}, task: {params: {n_trials: 20}}}
fit:
  - {name: sae, use: model/sae-gru, params: {latent: 2, encoder_size: 3, epochs: 1, batch_size: 8}}
compare:
  - {use: comparator/metrics}
`

// TestOddSurroundings runs a study where something that programs take for granted is missing or odd. Each either makes no difference to the results, or is an error
// that says what is wrong.
func TestOddSurroundings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tiny.yaml", tinyStudy)
	w.must("run", "tiny.yaml", "--store", "store-whole", "--out", "run-whole")
	w.write("a-file", "")
	long := w.path(strings.Repeat("long/", 40))
	if err := os.MkdirAll(long, 0o777); err != nil {
		t.Fatal(err)
	}
	const run = "ctdb-host run tiny.yaml --store store --out run-1"
	for _, c := range []struct {
		name, line string
		status     int
		says       string // where it is not 0
	}{
		{"no home, but a store", "unset HOME; " + run, 0, ""},
		{"no home and no store", "unset HOME; ctdb-host run tiny.yaml --out run-1", 2, "HOME"},
		{"nothing in the environment", "bin=$(command -v ctdb-host); exec env -i " + markEnv + "=" + w.mark + " $bin run tiny.yaml --store store --out run-1", 0, ""},
		{"no temporary folder", "unset XDG_RUNTIME_DIR; export TMPDIR=/nowhere/at/all; " + run, 0, ""},
		{"a relative temporary folder", "unset XDG_RUNTIME_DIR; export TMPDIR=tmp; " + run, 0, ""},
		{"a temporary folder with a long path", "unset XDG_RUNTIME_DIR; export TMPDIR=" + long + "; " + run, 0, ""},
		{"a runtime folder that is a file", "export XDG_RUNTIME_DIR=" + w.path("a-file") + "; " + run, 0, ""},
		{"folders with spaces and accents", `mkdir "réseau à bits"; cp tiny.yaml "réseau à bits/étude 1.yaml"; cd "réseau à bits"; ctdb-host run "étude 1.yaml" --store "le magasin" --out ../run-1; cd ..; mv "réseau à bits/le magasin" store`, 0, ""},
		{"a working folder that is gone", "file=$PWD/tiny.yaml; out=$PWD/run-1; store=$PWD/store; mkdir gone; cd gone; rmdir ../gone; exec ctdb-host run $file --store $store --out $out", 0, ""},
		{"other people's rights off", "umask 077; " + run, 0, ""},
		{"another language", "export LC_ALL=de_DE.UTF-8 LANG=tr_TR; " + run, 0, ""},
		{"odd wishes for threads", "export OMP_NUM_THREADS=many OPENBLAS_NUM_THREADS=-3 GOMAXPROCS=0; " + run, 0, ""},
		{"a small collector's limit", "export GOMEMLIMIT=20MiB GOGC=5; " + run, 0, ""},
		{"standard input closed", run + " <&-", 0, ""},
		{"standard output closed", run + " >&-", 0, ""},
		{"standard error closed", run + " 2>&-", 0, ""},
		{"all three closed", run + " <&- >&- 2>&-", 0, ""},
		{"standard error full", run + " 2>/dev/full", 0, ""},
		{"standard output full", run + " >/dev/full", 1, "no space left on device"},
		{"a reader that goes away after a line", run + " 2>&1 | head -1; exit 0", 0, ""},
		{"results that nobody reads", run + " | true; exit 0", 0, ""},
		{"a list that nobody reads", "ctdb-host components | true; " + run, 0, ""},
		{"a store that is a file", "ctdb-host run tiny.yaml --store a-file --out run-1", 2, "a-file"},
		{"a store in a file", "ctdb-host run tiny.yaml --store a-file/store --out run-1", 2, "a-file"},
		{"a run folder that is a file", "ctdb-host run tiny.yaml --store store --out a-file", 2, "a-file"},
		{"a run folder in a file", "ctdb-host run tiny.yaml --store store --out a-file/run", 2, "a-file"},
		{"an experiment that is a folder", "ctdb-host run tmp --store store --out run-1", 2, "tmp"},
		{"an experiment from a pipe", "ctdb-host run <(cat tiny.yaml) --store store --out run-1", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.t = t
			cmd, out := w.shell(c.line)
			status := w.finish(cmd, out)
			if status != c.status || !strings.Contains(strings.ToLower(out.String()), strings.ToLower(c.says)) {
				t.Errorf("exit status %d, want %d and %q\n%s", status, c.status, c.says, out)
			}
			w.quiet()
			if c.status == 0 {
				// What was cut short goes on, what was not is there already.
				w.must("run", "tiny.yaml", "--store", "store", "--out", "run-1")
				w.sameRun("run-whole", "run-1")
				w.tidy("store")
			}
			for _, name := range []string{"store", "run-1"} {
				if err := os.RemoveAll(w.path(name)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestFewFiles runs with ever fewer files that may be open: it works, or it says what there are too few of.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tiny.yaml", tinyStudy)
	w.must("run", "tiny.yaml", "--store", "store-whole", "--out", "run-whole")
	limits := []int{8, 14, 18, 24, 40}
	if endurance() {
		limits = nil
		for n := 7; n <= 64; n++ {
			limits = append(limits, n)
		}
	}
	least := 0
	for _, n := range limits {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := *w
			w.t = t
			store, run := fmt.Sprintf("store-%d", n), fmt.Sprintf("run-%d", n)
			cmd, out := w.shell(fmt.Sprintf("ulimit -n %d; exec ctdb-host run tiny.yaml --store %s --out %s", n, store, run))
			switch status := w.finish(cmd, out); {
			case status == 0 && least == 0:
				least = n
			case status == 0:
			case status == 1 || status == 2:
				if !strings.Contains(out.String(), "too many open files") {
					t.Errorf("exit status %d, and nothing of open files:\n%s", status, out)
				}
			default:
				t.Errorf("exit status %d\n%s", status, out)
			}
			w.quiet()
			w.must("run", "tiny.yaml", "--store", store, "--out", run)
			w.sameRun("run-whole", run)
			w.tidy(store)
		})
	}
	if least == 0 {
		t.Error("not even the highest limit is enough")
	}
	t.Logf("%d open files are enough", least)
}

// TestLittleMemory limits the address space of host and plugins to what is near their need. The language's runtime ends a process that gets no memory, with its
// stacks, so all that can be asked for is that nothing is left and nothing lost.
func TestLittleMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tiny.yaml", tinyStudy)
	w.must("run", "tiny.yaml", "--store", "store-whole", "--out", "run-whole")
	limits := []int{700, 1000, 1300}
	if endurance() {
		limits = []int{300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500, 1700, 2000}
	}
	for _, mib := range limits {
		t.Run(fmt.Sprint(mib), func(t *testing.T) {
			w := *w
			w.t = t
			store, run := fmt.Sprintf("store-%d", mib), fmt.Sprintf("run-%d", mib)
			cmd, out := w.shell(fmt.Sprintf("ulimit -v %d; exec ctdb-host run tiny.yaml --store %s --out %s", mib<<10, store, run))
			t.Logf("exit status %d", w.end(cmd, out))
			w.quiet()
			w.must("run", "tiny.yaml", "--store", store, "--out", run)
			w.sameRun("run-whole", run)
			w.tidy(store)
		})
	}
}

// TestNoTemporaryFolder takes away the right to write into every folder that sockets could go to.
func TestNoTemporaryFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("tiny.yaml", tinyStudy)
	if err := os.Chmod(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A mount namespace of its own, where /tmp is read-only but for the world's folder.
	line := fmt.Sprintf("mount --bind /tmp /tmp && mount -o remount,ro,bind /tmp && mount --bind %[1]s %[1]s && mount -o remount,rw,bind %[1]s || exit 99\n"+
		"unset XDG_RUNTIME_DIR TMPDIR; cd %[1]s; exec ctdb-host run %[2]s --store store --out run-1", w.dir, study)
	cmd, out := w.shell(line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
	if err := cmd.Start(); err != nil {
		t.Logf("no namespaces here: %v", err)
		return
	}
	switch status := w.finish(cmd, out); {
	case status == 99:
		t.Logf("nothing can be mounted here: %s", out)
	case status != 2 || !strings.Contains(out.String(), "TMPDIR"):
		t.Errorf("exit status %d, want 2 and a word of TMPDIR\n%s", status, out)
	}
	w.quiet()
}

// TestOddClock gives everything that there is times long ago and to come, as a clock that was set wrong does: what is stored stays stored.
func TestOddClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("tiny.yaml", tinyStudy)
	args := []string{"run", "tiny.yaml", "--store", "store", "--out", "run-1"}
	w.must(args...)
	first := w.made("run-1")
	w.must("run", "tiny.yaml", "--store", "store", "--out", "run-whole")
	for _, at := range []time.Time{time.Unix(1, 0), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} {
		for _, dir := range []string{"store", "run-1", "home"} {
			for _, name := range append(w.files(dir), ".") {
				if err := os.Chtimes(w.path(dir, name), at, at); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.must(args...)
		for stage, n := range w.made("run-1") {
			if n != first[stage] {
				t.Errorf("%s was executed again with files of %v", stage, at)
			}
		}
		w.sameRun("run-whole", "run-1")
		w.tidy("store")
	}
}

// TestReplacedExecutable replaces a plugin's executable, and the host's own, while a study runs: the stages that would use the new one are refused, since
// they would not be what was planned; nothing else suffers, and a new run uses the new one.
func TestReplacedExecutable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := w.path("bin", "ctdb-host")
	if err := os.Mkdir(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(w.bin)
	if err != nil {
		t.Fatal(err)
	}
	install := func(b []byte) {
		// As package managers do: a new file in the old one's place.
		if err := os.WriteFile(own+".new", b, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(own+".new", own); err != nil {
			t.Fatal(err)
		}
	}
	install(original)
	w.bin = own
	study := w.write("long.yaml", longStudy+"simulate: {use: simulator/spikes, params: {n_heldin: 6, n_heldout: 2}, task: {params: {n_trials: 20}}}\n")
	args := []string{"run", study, "--store", w.path("store"), "--out", w.path("run-1"), "--set", "train.params.epochs=1500"}
	cmd, out := w.command(args...)
	w.started(cmd, "run-1")
	install(append(original, "a new build"...))
	if status := w.finish(cmd, out); status != 1 || !strings.Contains(out.String(), "replaced") || !strings.Contains(out.String(), own) {
		t.Errorf("exit status %d, want 1 and that %s was replaced\n%s", status, own, out)
	}
	if !strings.Contains(out.String(), "train") || w.made("run-1")["train"] != 1 {
		t.Errorf("the training, which had begun before, was not done:\n%s", out)
	}
	w.quiet()
	w.must(args...)
	w.quiet()
	w.tidy("store")
}

// TestDamagedCheckpoint damages the checkpoint of a run that was killed: it is told and not used, and the training ends with the bytes of an undisturbed one.
func TestDamagedCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	study := w.write("long.yaml", longStudy)
	args := func(n string) []string {
		return append([]string{"run", study, "--store", w.path("store-" + n), "--out", w.path("run-" + n), "--checkpoint-every", "20ms"}, shorter...)
	}
	w.must(args("whole")...)
	for _, c := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"empty", func(b []byte) []byte { return nil }},
		{"half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"bit", func(b []byte) []byte { b[len(b)*3/4] ^= 16; return b }},
		{"head", func(b []byte) []byte { b[3] ^= 255; return b }},
		{"zeros", func(b []byte) []byte { clear(b); return b }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := *w
			w.t = t
			cmd, out := w.command(args(c.name)...)
			w.started(cmd, "run-"+c.name)
			eventually(t, "a checkpoint", func() bool { return len(w.checkpoints("store-"+c.name)) > 0 })
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			w.finish(cmd, out)
			w.quiet()
			for _, path := range w.checkpoints("store-" + c.name) {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, c.damage(b), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.must(args(c.name)...)
			if log := w.log("run-" + c.name); strings.Contains(log, "resuming from a checkpoint") || !strings.Contains(log, "checkpoint") {
				t.Errorf("the log does not tell of the damaged checkpoint:\n%s", log)
			}
			w.sameRun("run-whole", "run-"+c.name)
			w.tidy("store-" + c.name)
		})
	}
}
