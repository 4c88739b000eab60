package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// FileKind says what a file of the user's should be.
type FileKind string

// The kinds of HDF5 file that a user may bring.
const (
	DatasetKind FileKind = "dataset"
	ArraysKind  FileKind = "arrays"
)

// FileCheck reads a file whole and returns what is wrong with it: an [*artifact.FormatError], or another error where it cannot be read.
type FileCheck func(ctx context.Context, kind FileKind, path string) error

// ChildCheck checks files in a process of their own: libhdf5 trusts what it reads, and a file that was damaged, or made to do so, may crash it.
type ChildCheck struct {
	// Program is started with Args and then the kind and the path; its main calls [ServeFileCheck] with these two.
	Program string
	Args    []string
	// Timeout ends a check; 0 allows a minute, and a second for each 4 MiB.
	Timeout time.Duration
	// Memory is how many bytes the process may use; 0 sets no limit. It is enforced on Linux alone.
	Memory int64
}

// verdict is the line that the process prints.
type verdict struct {
	Problems []artifact.FormatProblem `json:"problems,omitempty"`
	Error    string                   `json:"error,omitempty"`
}

const (
	checkBase  = time.Minute
	checkSpeed = 4 << 20 // bytes a second
	checkPoll  = 100 * time.Millisecond
	// checkLines bounds what is kept of the process's complaints.
	checkLines = 64 << 10
)

var (
	errCheckTimeout = errors.New("timeout")
	errCheckMemory  = errors.New("memory")
)

// Check is a [FileCheck]. A file whose check crashes, takes too long or takes too much memory is an [*artifact.FormatError] that says so.
func (c ChildCheck) Check(ctx context.Context, kind FileKind, path string) error {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = checkBase
		if info, err := os.Stat(path); err == nil {
			timeout += time.Duration(info.Size()/checkSpeed) * time.Second
		}
	}
	limited, stop := context.WithTimeoutCause(ctx, timeout, errCheckTimeout)
	defer stop()
	limited, kill := context.WithCancelCause(limited)
	defer kill(nil)
	cmd := exec.CommandContext(limited, c.Program, append(append([]string{}, c.Args...), string(kind), path)...)
	var out, complaints limitedBuffer
	out.max, complaints.max = 16<<20, checkLines
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.WaitDelay = time.Second
	// Nothing is written there: that it ends tells the process that this one is gone.
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("pipeline: checking %s: %w", path, err)
	}
	defer lifeline.Close()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pipeline: checking %s: %w", path, err)
	}
	if c.Memory > 0 {
		go c.guard(limited, cmd.Process.Pid, kill)
	}
	err = cmd.Wait()
	crash := func(format string, args ...any) error {
		return &artifact.FormatError{File: path, Problems: []artifact.FormatProblem{{Found: fmt.Sprintf(format, args...), Allowed: "a sound HDF5 file"}}}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(context.Cause(limited), errCheckTimeout):
		return crash("reading it takes longer than %v", timeout)
	case errors.Is(context.Cause(limited), errCheckMemory):
		return crash("reading it takes more than %s of memory", humanize.IBytes(uint64(c.Memory)))
	case err != nil:
		return crash("the file crashes the HDF5 library: %s", ending(err, complaints.String()))
	}
	var v verdict
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		return crash("the file crashes the HDF5 library: its check ended without an answer")
	}
	switch {
	case len(v.Problems) > 0:
		return &artifact.FormatError{File: path, Problems: v.Problems}
	case v.Error != "":
		return errors.New(v.Error)
	}
	return nil
}

// guard kills the process when it has too much memory, until ctx ends.
func (c ChildCheck) guard(ctx context.Context, pid int, kill context.CancelCauseFunc) {
	tick := time.NewTicker(checkPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if resident(pid) > c.Memory {
			kill(errCheckMemory)
			return
		}
	}
}

// resident is how many bytes of memory a process has; 0 where the system does not tell.
func resident(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// ending says how a process ended: by what it complained of where the runtime caught the signal, else by its state.
func ending(err error, complaints string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(complaints), "\n")
	if line == "" {
		return err.Error()
	}
	return fmt.Sprintf("%v, %s", err, line)
}

// ServeFileCheck is the process's side: it checks the file and prints what it found. It ends the process when standard input ends.
func ServeFileCheck(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("pipeline: a kind of file and its path are needed, got %d arguments", len(args))
	}
	// Whoever interrupts the host is heard there, and the host ends this process.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(1)
	}()
	var v verdict
	err := CheckFile(context.Background(), FileKind(args[0]), args[1])
	var wrong *artifact.FormatError
	switch {
	case errors.As(err, &wrong):
		v.Problems = wrong.Problems
	case err != nil:
		v.Error = err.Error()
	}
	return json.NewEncoder(out).Encode(v)
}

// CheckFile is a [FileCheck] in this process.
func CheckFile(ctx context.Context, kind FileKind, path string) error {
	switch kind {
	case DatasetKind:
		d, err := artifact.OpenDataset(path)
		if err != nil {
			return err
		}
		return errors.Join(d.Check(ctx), d.Close())
	case ArraysKind:
		a, err := artifact.OpenArrays(path)
		if err != nil {
			return err
		}
		return errors.Join(readArrays(ctx, a), a.Close())
	}
	return fmt.Errorf("pipeline: kind of file %q: %s or %s is needed", kind, DatasetKind, ArraysKind)
}

func readArrays(ctx context.Context, a *artifact.Arrays) error {
	for _, split := range a.Splits() {
		for _, err := range a.Blocks(ctx, split, nil, 0) {
			if err != nil {
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

// limitedBuffer keeps the first bytes that are written.
type limitedBuffer struct {
	bytes.Buffer
	max int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := b.max - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
