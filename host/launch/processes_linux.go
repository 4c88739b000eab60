package launch

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// procDir is where the kernel shows processes.
const procDir = "/proc"

// processState is what the kernel says of one process.
type processState struct {
	group, session int
	// started is in clock ticks since the machine started: with the number it tells a process from any later one.
	started uint64
	// dead is set for a process that has ended and is not reaped yet.
	dead bool
	// kernel is set for the kernel's own threads, which have no memory.
	kernel bool
}

// stateOf reads /proc/PID/stat (proc(5)); false where there is no such process.
func stateOf(pid int) (processState, bool) {
	b, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "stat"))
	if err != nil {
		return processState{}, false
	}
	// The second field is a name in parentheses that may hold anything.
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return processState{}, false
	}
	f := bytes.Fields(b[end+1:])
	const state, group, session, started, size = 0, 2, 3, 19, 20
	if len(f) <= size {
		return processState{}, false
	}
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(string(f[i]), 10, 64)
		return n
	}
	s := f[state][0]
	return processState{
		group: int(number(group)), session: int(number(session)), started: number(started), dead: s == 'Z' || s == 'X', kernel: number(size) == 0,
	}, true
}

// startOf is when a process started, 0 where that cannot be known.
func startOf(pid int) uint64 {
	s, _ := stateOf(pid)
	return s.started
}

// isAlive reports whether the very process that started then is running.
func isAlive(pid int, started uint64) bool {
	s, ok := stateOf(pid)
	return ok && !s.dead && (started == 0 || s.started == started)
}

// processes lists the numbers of all.
func processes() []int {
	d, err := os.Open(procDir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var out []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			out = append(out, pid)
		}
	}
	return out
}

// marked reports whether a process was started with that entry in its environment, which its children inherit. sure is false where the environment is
// empty, as it is for a moment while a process becomes another program.
func marked(pid int, mark string) (has, sure bool) {
	b, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "environ"))
	if err != nil {
		// Another user's, or gone.
		return false, true
	}
	if len(b) == 0 {
		s, ok := stateOf(pid)
		return false, !ok || s.dead || s.kernel
	}
	entry := append([]byte(mark), 0)
	return bytes.HasPrefix(b, entry) || bytes.Contains(b, append([]byte{0}, entry...)), true
}

// killMarked kills all processes with that entry in their environment, until none is found, and returns how many it killed. A process that forks faster than it
// is found is given up on after a while.
func killMarked(mark string) int {
	const (
		rounds = 200
		// doubts is how often it is looked again for the sake of processes that may just be becoming another program.
		doubts = 3
		pause  = 2 * time.Millisecond
	)
	killed, doubted := map[int]uint64{}, 0
	for range rounds {
		found, doubt := false, false
		for _, pid := range processes() {
			if pid == os.Getpid() {
				continue
			}
			has, sure := marked(pid, mark)
			doubt = doubt || !sure
			if s, ok := stateOf(pid); has && ok && !s.dead && killOne(pid, mark) {
				found = true
				killed[pid] = s.started
			}
		}
		if !found && (!doubt || doubted == doubts) {
			break
		}
		if !found {
			doubted++
		}
		time.Sleep(pause)
	}
	return len(killed)
}

// killOne kills a process if it still is the one that is meant.
func killOne(pid int, mark string) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		return unix.Kill(pid, unix.SIGKILL) == nil
	}
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if has, _ := marked(pid, mark); !has {
		return false
	}
	return unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}

// killGroupOf kills the processes of a group whose leader had that number and start, and reports whether any is left.
func killGroupOf(g group) (left bool) {
	if isAlive(g.PID, g.Started) {
		_ = unix.Kill(-g.PID, unix.SIGKILL)
		return true
	}
	// The leader has ended. As long as a process of its group lives its number is not used again; the session tells the group from one that came after.
	for _, pid := range processes() {
		s, ok := stateOf(pid)
		if ok && !s.dead && s.group == g.PID && s.session == g.Session && s.started >= g.Started && pid != g.PID {
			_ = unix.Kill(pid, unix.SIGKILL)
			left = true
		}
	}
	return left
}

// groupOf describes the group that a process leads.
func groupOf(pid int) group {
	s, _ := stateOf(pid)
	return group{PID: pid, Started: s.started, Session: s.session}
}

// members finds the processes that are in a group or carry the mark. known remembers between calls which process was looked at, by its number and start, and what it was.
func members(leader int, mark string, known map[int]member) []int {
	var out []int
	all := processes()
	for _, pid := range all {
		s, ok := stateOf(pid)
		if !ok || s.dead || s.kernel {
			delete(known, pid)
			continue
		}
		m, seen := known[pid]
		if !seen || m.started != s.started {
			has, sure := marked(pid, mark)
			m = member{started: s.started, marked: has}
			if sure {
				known[pid] = m
			}
		}
		if m.marked || s.group == leader {
			out = append(out, pid)
		}
	}
	for pid := range known {
		if !slices.Contains(all, pid) {
			delete(known, pid)
		}
	}
	return out
}

// member is what is remembered of a process.
type member struct {
	started uint64
	marked  bool
}

// residentBytes is what a process holds in memory: pages that it shares with others count in full.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "statm"))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// shareBytes is what a process holds in memory, where a page that n processes share counts as an n-th; false where the kernel does not say.
func shareBytes(pid int) (int64, bool) {
	b, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

// killedForMemory is how many processes the kernel has killed for want of memory since the machine started; 0 where it does not say.
func killedForMemory() int64 {
	b, err := os.ReadFile(filepath.Join(procDir, "vmstat"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// setName gives this process the name that ps and top show.
func setName(name string) {
	// It is only for people to read.
	_ = os.WriteFile(filepath.Join(procDir, "self", "comm"), []byte(name), 0)
}
