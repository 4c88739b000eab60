package tfevents

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func written(t *testing.T, scalars []Scalar) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scalars {
		if err := w.Scalar(s); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func curves() []Scalar {
	return []Scalar{
		{"train/loss", 0, 0.5}, {"valid/loss", 0, float32(math.NaN())}, {"train/loss", 1 << 40, -1.25}, {"train/gradient_norm", 7, float32(math.Inf(1))}, {"größe", 8, 0},
	}
}

func equal(a, b Scalar) bool {
	return a.Tag == b.Tag && a.Step == b.Step && math.Float32bits(a.Value) == math.Float32bits(b.Value)
}

// TestReadBack reads what was written.
func TestReadBack(t *testing.T) {
	b := written(t, curves())
	got, err := Read(bytes.NewReader(b))
	if err != nil || !slices.EqualFunc(got, curves(), equal) {
		t.Fatalf("%v, %v", got, err)
	}
	if !bytes.Equal(b, written(t, curves())) {
		t.Error("the same scalars give other bytes")
	}
	// RFC 3720, B.4: the CRC-32C of 32 bytes of zeros is 8a9136aa; masked as records have it.
	plain := uint32(0x8a9136aa)
	if got, want := masked(make([]byte, 32)), (plain>>15|plain<<17)+0xa282ead8; got != want {
		t.Errorf("checksum %08x, want %08x", got, want)
	}
	// The record of the version, as every writer of event files begins, but for the time, which is 0 and so is not there.
	if got, want := hex.EncodeToString(b[:12]), "0f00000000000000"; !strings.HasPrefix(got, want) || string(b[14:27]) != version {
		t.Errorf("begins with %s %q", got, b[12:27])
	}
}

func TestDamaged(t *testing.T) {
	whole := written(t, curves())
	for name, c := range map[string]struct {
		data []byte
		keep int
	}{
		"empty":             {nil, 0},
		"cut in a head":     {whole[:35], 0},
		"cut in the data":   {whole[:len(whole)-9], 4},
		"no version":        {whole[31:], 0},
		"a changed length":  {append([]byte{9}, whole[1:]...), 0},
		"a changed scalar":  {func() []byte { b := slices.Clone(whole); b[len(b)-6]++; return b }(), 4},
		"what is not a one": {[]byte(strings.Repeat("not an event file ", 9)), 0},
	} {
		got, err := Read(bytes.NewReader(c.data))
		if !errors.Is(err, ErrFormat) || len(got) != c.keep {
			t.Errorf("%s: %d scalars, %v", name, len(got), err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestWriteFails(t *testing.T) {
	if _, err := NewWriter(full{}); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if w, err := NewWriter(&b); err != nil || w.Scalar(Scalar{"a/b", 3, 0.5}) != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		scalars, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		again, err := Read(bytes.NewReader(written(t, scalars)))
		if err != nil || !slices.EqualFunc(scalars, again, equal) {
			t.Errorf("%v, %v, want %v", again, err, scalars)
		}
	})
}

// TestInteropTensorBoard checks what TensorBoard's own reader makes of the curves.
func TestInteropTensorBoard(t *testing.T) {
	python := os.Getenv("CTDB_INTEROP_PYTHON")
	if python == "" {
		t.Skip("CTDB_INTEROP_PYTHON does not name a Python with tensorboard: make interop installs one")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "events.out."+Infix+".0.test"), written(t, curves()), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", readTensorBoard, dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"größe":[[8,0]],"train/gradient_norm":[[7,"inf"]],"train/loss":[[0,0.5],[1099511627776,-1.25]],"valid/loss":[[0,"nan"]]}`
	var got any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if again, err := json.Marshal(got); err != nil || string(again) != want {
		t.Errorf("TensorBoard reads %s, want %s", again, want)
	}
}

// readTensorBoard prints what TensorBoard reads of a folder: for each tag the steps and the values, those that are no numbers as text.
const readTensorBoard = `
import json, math, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
a = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
a.Reload()
print(json.dumps({t: [[e.step, e.value if math.isfinite(e.value) else str(e.value)] for e in a.Scalars(t)] for t in a.Tags()["scalars"]}))
`
