package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestScripts runs the real binary, and the third party's plugin, as a user would: each file of testdata/script is a session.
func TestScripts(t *testing.T) {
	bin, plugins := t.TempDir(), t.TempDir()
	build(t, ".", filepath.Join(bin, "ctdb-host"))
	build(t, "./testdata/thirdparty", filepath.Join(plugins, "ctdb-plugin-thirdparty"))
	releases := t.TempDir()
	for name, flags := range map[string]string{"1.0.0": "", "1.1.0": "-X main.version=1.1.0 -X main.gain=2", "other": "-X main.gain=3"} {
		build(t, "./testdata/versioned", filepath.Join(releases, name, "ctdb-plugin-versioned"), "-ldflags", flags)
	}
	recording := filepath.Join(t.TempDir(), "recording.h5")
	writeRecording(t, recording)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"status": status},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			for name, dir := range map[string]string{"HOME": "home", "XDG_DATA_HOME": "home/data", "XDG_CACHE_HOME": "home/cache", "XDG_CONFIG_HOME": "home/config"} {
				path := filepath.Join(e.WorkDir, dir)
				if err := os.MkdirAll(path, 0o777); err != nil {
					return err
				}
				e.Setenv(name, path)
			}
			e.Setenv("THIRDPARTY", plugins)
			e.Setenv("RELEASES", releases)
			e.Setenv("RECORDING", recording)
			return nil
		},
	})
}

func build(t *testing.T, pkg, out string, flags ...string) {
	t.Helper()
	args := append(append([]string{"build", "-o", out}, flags...), pkg)
	if b, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, b)
	}
}

// status runs a command and checks its exit status: status 2 ctdb-host run missing.yaml.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command [args...]")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("status %q: a number is needed", args[0])
	}
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// writeRecording writes spikes as somebody would bring them: no latents, no rates, no inputs.
func writeRecording(t *testing.T, path string) {
	t.Helper()
	const trials, bins, neurons, heldIn = 20, 30, 8, 6
	all, in := tensor.New64("recon_data", trials, bins, neurons), tensor.New64("encod_data", trials, bins, heldIn)
	r := random.New(1, "recording")
	b := tensor.Block{Arrays: tensor.Set{in, all}}
	for k := range trials {
		b.Trials = append(b.Trials, int64(k))
		for i := k * bins; i < (k+1)*bins; i++ {
			for n := range neurons {
				v := float64(r.IntN(3))
				all.F64[i*neurons+n] = v
				if n < heldIn {
					in.F64[i*heldIn+n] = v
				}
			}
		}
	}
	w, err := artifact.CreateDataset(path, artifact.DatasetOptions{Trials: trials, HeldIn: heldIn, Neurons: neurons, Bins: bins, Counts: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(fmt.Errorf("writing %s: %w", path, err))
	}
}
