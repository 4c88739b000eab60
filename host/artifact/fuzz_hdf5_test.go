package artifact

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// childEnv makes the test binary a process that reads the files whose names come in, for fuzzing: libhdf5 may not survive one.
const childEnv = "CTDB_ARTIFACT_READS"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		readFiles(os.Stdin, os.Stdout)
		return
	}
	os.Exit(m.Run())
}

// readFiles opens and reads each file as a data set or as arrays and answers with a line.
func readFiles(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		kind, path, _ := strings.Cut(lines.Text(), " ")
		var err error
		if kind == "dataset" {
			err = readDataset(path)
		} else {
			err = readArrays(path)
		}
		answer := "good"
		if errors.Is(err, ErrFormat) {
			answer = "refused"
		} else if err != nil {
			answer = "failed " + strconv.Quote(err.Error())
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return
		}
	}
}

func readDataset(path string) error {
	d, err := OpenDataset(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Check(context.Background())
}

func readArrays(path string) error {
	a, err := OpenArrays(path)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, split := range a.Splits() {
		for b, err := range a.Blocks(context.Background(), split, nil, 0) {
			if err != nil {
				return err
			}
			if err := b.Check(); err != nil {
				return err
			}
		}
	}
	for _, name := range a.Names() {
		if _, err := a.Get(name); err != nil {
			return err
		}
	}
	return nil
}

// reader is such a process.
type reader struct {
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
	complaints bytes.Buffer
	died       int // of the library's own crashes
}

func (r *reader) start(t testing.TB) {
	t.Helper()
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), childEnv+"=1")
	r.complaints.Reset()
	r.cmd.Stderr = &r.complaints
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (r *reader) stop() {
	if r.cmd != nil {
		_ = r.in.Close()
		_ = r.cmd.Wait()
		r.cmd = nil
	}
}

// patience is what one small file may take, peakBytes what the process may have held after it.
const (
	patience  = 30 * time.Second
	peakBytes = 1 << 30
)

// read has a file read. A file that libhdf5 itself does not survive, or never comes to an end with, is the library's affair: the host reads users' files in
// another process first. A panic of Go, an error that is no FormatError and a gigabyte of memory for a few kilobytes are ours.
func (r *reader) read(t *testing.T, kind, path string) string {
	t.Helper()
	if r.cmd == nil {
		r.start(t)
	}
	hung := time.AfterFunc(patience, func() { _ = r.cmd.Process.Signal(syscall.SIGQUIT) })
	_, err := fmt.Fprintln(r.in, kind, path)
	answer := ""
	if err == nil {
		answer, err = r.out.ReadString('\n')
	}
	if hung.Stop() && err == nil {
		if peak := peakOf(r.cmd.Process.Pid); peak > peakBytes {
			t.Errorf("%s: %d MB were taken for a small file", path, peak>>20)
			r.stop()
		}
		return strings.TrimSpace(answer)
	}
	_ = r.in.Close()
	_ = r.cmd.Wait()
	r.cmd = nil
	said := r.complaints.String()
	if !strings.Contains(said, "signal arrived during cgo execution") && !strings.Contains(said, "artifact._Cfunc_") && !strings.Contains(said, "hdf5._Cfunc_") &&
		!strings.Contains(said, "munmap_chunk") && !strings.Contains(said, "malloc") && !strings.Contains(said, "free()") && !strings.Contains(said, "corrupt") {
		t.Errorf("%s: the process ended: %v\n%.4000s", path, err, said)
	}
	r.died++
	return "died"
}

// peakOf is the largest resident size of a process in bytes, 0 where that is not known.
func peakOf(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// edited changes a real file: each edit is an offset of three bytes, a byte's new value, and how: set, added to, or the file cut there.
func edited(file, edits []byte) []byte {
	out := bytes.Clone(file)
	for ; len(edits) >= 5 && len(out) > 0; edits = edits[5:] {
		at := int(uint32(edits[0])<<16|uint32(edits[1])<<8|uint32(edits[2])) % len(out)
		switch edits[4] % 8 {
		case 0:
			out = out[:at]
		case 1, 2, 3:
			out[at] += edits[3]
		case 4:
			// A length or an address of eight bytes becomes large.
			if at+8 <= len(out) {
				binary.LittleEndian.PutUint64(out[at:], uint64(edits[3])<<(edits[4]&0x38))
			}
		default:
			out[at] = edits[3]
		}
	}
	return out
}

func edit(at int, value, how byte) []byte {
	return []byte{byte(at >> 16), byte(at >> 8), byte(at), value, how}
}

// fuzzFile feeds files that are mutations of real ones.
func fuzzFile(f *testing.F, kind string, files [][]byte) {
	var r reader
	f.Cleanup(func() {
		r.stop()
		if r.died > 0 {
			f.Logf("libhdf5 did not survive %d files", r.died)
		}
	})
	for i, file := range files {
		f.Add(byte(i), []byte{})
		for _, at := range []int{0, 9, 40, 96, len(file) / 3, len(file) / 2, len(file) - 9} {
			f.Add(byte(i), edit(at, 0xff, 5))
			f.Add(byte(i), edit(at, 1, 1))
			f.Add(byte(i), edit(at, 0, 0))
			f.Add(byte(i), edit(at, 0x7f, 0x3c))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, edits []byte) {
		path := filepath.Join(t.TempDir(), "x.h5")
		if err := os.WriteFile(path, edited(files[int(which)%len(files)], edits), 0o600); err != nil {
			t.Fatal(err)
		}
		if answer := r.read(t, kind, path); strings.HasPrefix(answer, "failed") {
			t.Errorf("an error of another kind: %s", answer)
		} else if len(edits) < 5 && answer != "good" {
			t.Errorf("the file as it was made: %s", answer)
		}
	})
}

// FuzzOpenDataset feeds data sets, made by the host and as users bring them: each is read or refused.
func FuzzOpenDataset(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "seed.h5")
	var files [][]byte
	take := func() {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, b)
	}
	o := small
	o.Attributes = Attributes{"seed": uint64(3), "name": "x"}
	write(f, path, o, 10)
	take()
	raw(f, path, user(), Attributes{"counts": true})
	take()
	o.Trials = 600 // in compressed chunks
	write(f, path, o, 600)
	take()
	fuzzFile(f, "dataset", files)
}

// FuzzOpenArrays feeds files of arrays.
func FuzzOpenArrays(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "seed.h5")
	raw(f, path, map[string]*tensor.Tensor{
		"train_trials": tensor.FromInt("", []int64{1, 2, 3}, 3), "train_rates": tensor.New32("", 3, 5, 2), "readout": tensor.New64("", 4, 2), "scalar": tensor.New64(""),
		"large": tensor.New64("", 5000),
	}, nil)
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	fuzzFile(f, "arrays", [][]byte{b})
}
