package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

func childCheck(t *testing.T) ChildCheck {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ChildCheck{Program: self, Args: []string{hiddenCheck}}
}

// A process of its own says of a file what this one would.
func TestChildCheck(t *testing.T) {
	h := toyHost(t, 1, 1)
	out := filepath.Join(t.TempDir(), "out")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: out}); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(out, "simulate", artifact.DatasetFile)
	b, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut, text := filepath.Join(t.TempDir(), "cut.h5"), filepath.Join(t.TempDir(), "text.h5")
	write(t, cut, string(b[:len(b)/2]))
	write(t, text, "no HDF5")
	for _, c := range []struct {
		kind FileKind
		path string
		ok   bool
	}{
		{DatasetKind, good, true}, {DatasetKind, cut, false}, {DatasetKind, text, false},
		{ArraysKind, filepath.Join(out, "fit", "a", artifact.InferredFile), true}, {ArraysKind, filepath.Join(out, "train", artifact.RolloutFile), true},
		{ArraysKind, cut, false}, {ArraysKind, text, false}, {DatasetKind, filepath.Join(out, "fit", "a", artifact.InferredFile), false},
		{DatasetKind, filepath.Join(out, "nowhere.h5"), false}, {"picture", good, false},
	} {
		here, there := CheckFile(t.Context(), c.kind, c.path), childCheck(t).Check(t.Context(), c.kind, c.path)
		if (here == nil) != c.ok || (there == nil) != c.ok {
			t.Errorf("%s %s: here %v, there %v", c.kind, c.path, here, there)
			continue
		}
		if !c.ok && (here.Error() != there.Error() || errors.Is(here, artifact.ErrFormat) != errors.Is(there, artifact.ErrFormat)) {
			t.Errorf("%s %s: here\n%v\nthere\n%v", c.kind, c.path, here, there)
		}
	}
}

// Whatever becomes of the process, this one lives and says that the file is to blame.
func TestFileThatCrashesItsCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "any.h5")
	write(t, file, "any")
	for _, c := range []struct {
		crash   string
		timeout time.Duration
		memory  int64
		want    string
	}{
		{"kill", 0, 0, "crashes the HDF5 library"},
		{"exit", 0, 0, "crashes the HDF5 library: exit status 2, SIGSEGV: segmentation violation"},
		{"silent", 0, 0, "ended without an answer"},
		{"sleep", 200 * time.Millisecond, 0, "reading it takes longer than 200ms"},
		{"grow", 0, 200 << 20, "reading it takes more than 200 MiB of memory"},
	} {
		if c.crash == "grow" && runtime.GOOS != "linux" {
			continue // documented: the limit is Linux's alone
		}
		t.Run(c.crash, func(t *testing.T) {
			t.Setenv(crashEnv, c.crash)
			check := childCheck(t)
			check.Timeout, check.Memory = c.timeout, c.memory
			err := check.Check(t.Context(), DatasetKind, file)
			var format *artifact.FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "goroutine") {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		t.Setenv(crashEnv, "sleep")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := childCheck(t).Check(ctx, DatasetKind, file); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
	check := childCheck(t)
	check.Program = filepath.Join(t.TempDir(), "nowhere")
	if err := check.Check(t.Context(), DatasetKind, file); err == nil || errors.Is(err, artifact.ErrFormat) {
		t.Errorf("a check that cannot be started blames the file: %v", err)
	}
}
