package component

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// announced keeps what is announced.
type announced struct {
	Discard
	list []Checkpoint
}

func (a *announced) Checkpoint(c Checkpoint) { a.list = append(a.list, c) }

// A checkpoint is there whole and announced, or the one before it stays and nothing is left of it.
func TestWriteCheckpoint(t *testing.T) {
	e, report := Env{Dir: t.TempDir()}, &announced{}
	text := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	if err := e.WriteCheckpoint(Checkpoint{File: "state", Step: 3}, report, text("first")); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("first"))
	if len(report.list) != 1 || report.list[0] != (Checkpoint{File: "state", Step: 3, SHA256: hex.EncodeToString(sum[:])}) {
		t.Errorf("announced %+v", report.list)
	}
	full := errors.New("full")
	err := e.WriteCheckpoint(Checkpoint{File: "state"}, report, func(w io.Writer) error { return errors.Join(text("second")(w), full) })
	if !errors.Is(err, full) || len(report.list) != 1 {
		t.Errorf("error %v, announced %+v", err, report.list)
	}
	entries, err := os.ReadDir(e.Dir)
	if b, readErr := os.ReadFile(filepath.Join(e.Dir, "state")); err != nil || readErr != nil || len(entries) != 1 || string(b) != "first" {
		t.Errorf("there is %v with %q", entries, b)
	}
	for _, name := range []string{"", ".", "..", "/", "a/b", "../a"} {
		if err := e.WriteCheckpoint(Checkpoint{File: name}, report, text("x")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if err := (Env{}).WriteCheckpoint(Checkpoint{File: "state"}, report, text("x")); err != nil || len(report.list) != 1 {
		t.Errorf("without a folder: %v", err)
	}
}
