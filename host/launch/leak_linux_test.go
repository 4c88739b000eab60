package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// footprint is what a process holds on to beyond its memory.
type footprint struct {
	files, goroutines int
	folders           []string
	children          []int
}

func footprintNow(t *testing.T) footprint {
	t.Helper()
	f := footprint{files: openFiles(), goroutines: runtime.NumGoroutine()}
	for _, base := range bases() {
		found, err := filepath.Glob(filepath.Join(base, fmt.Sprintf("ctdb-%d-*", os.Getpid())))
		if err != nil {
			t.Fatal(err)
		}
		f.folders = append(f.folders, found...)
	}
	for _, pid := range processes() {
		if parentOf(pid) == os.Getpid() {
			f.children = append(f.children, pid)
		}
	}
	return f
}

// settled waits until a footprint is no larger than another: the Go runtime's own goroutines of a connection end a moment later.
func settled(t *testing.T, before footprint) footprint {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		now := footprintNow(t)
		if now.files <= before.files && now.goroutines <= before.goroutines && len(now.folders) <= len(before.folders) && len(now.children) <= len(before.children) ||
			time.Now().After(limit) {
			return now
		}
	}
}

// TestNothingIsLeft starts and stops plugins 50 times (fewer under the race detector), or 1000 where CTDB_ENDURANCE is set, in all the ways that there are: what the host holds at the end is what it held at the start.
func TestNothingIsLeft(t *testing.T) {
	n := max(50/slow, 10)
	if os.Getenv("CTDB_ENDURANCE") != "" {
		n = 1000
	}
	j := janitorUnderTest()
	defer j.Close()
	ctx := WithJanitor(t.Context(), j)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sum := checksum(t, path)
	cycle := func(i int) {
		s, log := spec(t, []string{"good", "good", "parent", "dies", "good"}[i%5])
		s.SHA256 = sum
		s.Memory = 1 << 30
		p, err := Start(ctx, s)
		if i%5 == 3 {
			if err == nil {
				t.Fatal("it started")
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Client.OpenTask(ctx, silent(), param.Values{"how": "work"}, component.Env{Threads: 1}); err != nil {
			t.Fatal(err)
		}
		switch i % 5 {
		case 1:
			p.Kill()
			return
		case 2:
			log.await(t, "children=")
		case 4:
			_ = syscall.Kill(p.PID(), syscall.SIGKILL)
			<-p.Done()
			if err := p.Stop(ctx); err == nil {
				t.Error("its death is not told")
			}
			return
		}
		if err := p.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	// The janitor, and what the runtime makes once, are there from the first on.
	for i := range 5 {
		cycle(i)
	}
	before := settled(t, footprint{files: 1 << 20, goroutines: 1 << 20, children: []int{j.PID()}})
	heapBefore := heap()
	for i := range n {
		cycle(i)
	}
	after := settled(t, before)
	t.Logf("%d starts: %d files, %d goroutines, children %v; heap grew by %d bytes", n, after.files, after.goroutines, after.children, heap()-heapBefore)
	if after.files > before.files || after.goroutines > before.goroutines || len(after.folders) > 0 || !slices.Equal(after.children, []int{j.PID()}) {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if grown := heap() - heapBefore; grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if left := settled(t, footprint{files: before.files, goroutines: before.goroutines}); len(left.children) > 0 {
		t.Errorf("children %v are left", left.children)
	}
}
