// Package footprint measures the memory that work takes, for the tests of the built-in components' estimates.
package footprint

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
)

// childEnv names the work that a child process is to do.
const childEnv = "CTDB_FOOTPRINT"

var peakForm = regexp.MustCompile(`footprint: (\d+) bytes`)

// Check compares an estimate with what the work takes, see [peak]: either may be up to twice the other. Under the race detector there is nothing to compare: it takes many times the memory of the work.
func Check(t *testing.T, name string, estimated int64, work func() error) {
	t.Helper()
	if !measurable {
		return
	}
	took, measured := peak(t, name, work)
	if !measured {
		return
	}
	t.Logf("%s: estimated %d MB, took %d MB", name, estimated>>20, took>>20)
	if took > 2*estimated || 2*took < estimated {
		t.Errorf("%s: estimated %d MB, took %d MB", name, estimated>>20, took>>20)
	}
}

// peak does the work in a process of its own, the test binary's, and returns by how many bytes its resident memory, Go's and C's, rose above what it held
// before. The test that calls it is run again there and must come to the same call, with which it ends, as a test that was skipped, so that it leaves nothing
// behind; name tells the calls of one test apart, of which those that are not asked for measure nothing. It needs Linux.
func peak(t *testing.T, name string, work func() error) (rose int64, measured bool) {
	t.Helper()
	if wanted := os.Getenv(childEnv); wanted != "" {
		if wanted != name {
			return 0, false
		}
		before, err := reset()
		if err == nil {
			err = work()
		}
		var peak int64
		if err == nil {
			peak, err = status("VmHWM")
		}
		if err != nil {
			t.Fatal("footprint: failed:", err)
		}
		fmt.Printf("footprint: %d bytes\n", peak-before)
		t.SkipNow()
	}
	root, _, _ := strings.Cut(t.Name(), "/")
	// The work decides how many threads it keeps busy; what it leaves to the garbage collector counts.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+root+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), childEnv+"="+name, "GOGC=100", "GOMEMLIMIT=off")
	out, err := cmd.CombinedOutput()
	m := peakForm.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%s: %v\n%s", name, err, bytes.TrimSpace(out))
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// reset gives back what is free, forgets the peak so far and returns what is held.
func reset() (int64, error) {
	runtime.GC()
	debug.FreeOSMemory()
	// 5 resets the peak: proc(5), /proc/pid/clear_refs.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, err
	}
	return status("VmRSS")
}

// status reads a number of kilobytes from /proc/self/status, in bytes.
func status(field string) (int64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == field {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("footprint: /proc/self/status has no %s", field)
}
