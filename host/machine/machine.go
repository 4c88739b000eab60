// Package machine says what the computer grants this process: cores, memory, the limits of its control group, file systems. It reads and changes nothing.
//
// What a platform does not tell is zero, which means unknown or unlimited.
package machine

import (
	"bufio"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/cpu"
)

// Memory in bytes; 0 where it is not known.
type Memory struct {
	// Total and Available are the machine's: Available is what could be taken without swapping.
	Total, Available int64
	// Limit is the control group's, Used what of it is taken and could not be given back; 0 where there is no limit.
	Limit, Used int64
}

// Free is what this process and its children may take: the machine's available memory, or what the control group leaves of it. 0 where nothing is known.
func (m Memory) Free() int64 {
	if m.Limit == 0 {
		return m.Available
	}
	left := max(m.Limit-m.Used, 1)
	if m.Available == 0 {
		return left
	}
	return min(left, m.Available)
}

// ReadMemory reads the machine's memory and the control group's.
func ReadMemory() Memory { return system{}.memory() }

// CPUs is how many processors this process may use, as far as its affinity says.
func CPUs() int { return runtime.NumCPU() }

// Quota is how many processors' worth of time the control group grants, e.g. 1.5; 0 where it sets no limit.
func Quota() float64 { return system{}.quota() }

// Threads is how many threads can make progress at once: the processors, or as many as the quota pays for, at least 1.
func Threads() int { return threads(CPUs(), Quota()) }

func threads(cpus int, quota float64) int {
	if quota > 0 {
		cpus = min(cpus, int(math.Ceil(quota)))
	}
	return max(cpus, 1)
}

// Features names the instruction sets that numerical code chooses by, the best first; empty where there are none of them.
func Features() []string {
	var out []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"AVX-512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL},
		{"AVX2", cpu.X86.HasAVX2},
		{"FMA", cpu.X86.HasFMA},
		{"SVE", cpu.ARM64.HasSVE},
		{"NEON", cpu.ARM64.HasASIMD},
	} {
		if f.has {
			out = append(out, f.name)
		}
	}
	return out
}

// Processor is the processor's name as the system tells it; the architecture where it does not.
func Processor() string {
	if name := (system{}).field("/proc/cpuinfo", "model name"); name != "" {
		return name
	}
	return runtime.GOARCH
}

// System is the operating system's name, e.g. "Debian GNU/Linux 12 (bookworm)".
func System() string {
	if name := (system{}).field("/etc/os-release", "PRETTY_NAME"); name != "" {
		return strings.Trim(name, `"`)
	}
	return runtime.GOOS
}

// system is a file system whose /proc and /sys are read; root is "" for the real one.
type system struct{ root string }

func (s system) read(file string) string {
	b, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(file)))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// field is the value of the first line "key : value" or "key=value" of a file.
func (s system) field(file, key string) string {
	sc := bufio.NewScanner(strings.NewReader(s.read(file)))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		rest, ok := strings.CutPrefix(sc.Text(), key)
		if !ok {
			continue
		}
		if rest = strings.TrimSpace(rest); rest != "" && (rest[0] == ':' || rest[0] == '=') {
			return strings.TrimSpace(rest[1:])
		}
	}
	return ""
}

func (s system) memory() Memory {
	m := Memory{Total: kib(s.field("/proc/meminfo", "MemTotal")), Available: kib(s.field("/proc/meminfo", "MemAvailable"))}
	for _, v := range []struct {
		controller, limit, usage, cache string
	}{
		{"", "memory.max", "memory.current", "inactive_file"},
		{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
	} {
		for _, dir := range s.groups(v.controller) {
			limit := number(s.read(path.Join(dir, v.limit)))
			// Without a limit, version 1 says about 2^63, version 2 "max".
			if limit <= 0 || (m.Total > 0 && limit >= m.Total) || (m.Limit > 0 && limit >= m.Limit) {
				continue
			}
			m.Limit = limit
			// Cached files can be given back.
			m.Used = max(number(s.read(path.Join(dir, v.usage)))-number(words(s.read(path.Join(dir, "memory.stat")), v.cache)), 0)
		}
	}
	return m
}

func (s system) quota() float64 {
	lowest := 0.0
	lower := func(quota, period int64) {
		if quota <= 0 || period <= 0 {
			return
		}
		if q := float64(quota) / float64(period); lowest == 0 || q < lowest {
			lowest = q
		}
	}
	for _, dir := range s.groups("") {
		quota, period, _ := strings.Cut(s.read(path.Join(dir, "cpu.max")), " ")
		lower(number(quota), number(period))
	}
	for _, dir := range s.groups("cpu") {
		lower(number(s.read(path.Join(dir, "cpu.cfs_quota_us"))), number(s.read(path.Join(dir, "cpu.cfs_period_us"))))
	}
	return lowest
}

// groups lists the folders of this process's control group and of those above it, as every one of them may set a limit. The controller is "" for
// version 2's one hierarchy, else one of version 1's. In a container the group's own path may not be there; its root then is.
func (s system) groups(controller string) []string {
	mount := "/sys/fs/cgroup"
	if controller != "" {
		mount = path.Join(mount, controller)
	}
	group := "/"
	for line := range strings.Lines(s.read("/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for name := range strings.SplitSeq(parts[1], ",") {
			if name == controller {
				group = path.Clean("/" + parts[2])
			}
		}
	}
	out := []string{mount}
	for g := group; g != "/"; g = path.Dir(g) {
		out = append(out, mount+g)
	}
	return out
}

// kib is the number of bytes of e.g. "24683540 kB".
func kib(text string) int64 { return 1024 * number(strings.TrimSuffix(text, " kB")) }

// number is 0 of what is none, e.g. "max".
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// words is the second word of the line of a file whose first word is key.
func words(text, key string) string {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == key {
			return value
		}
	}
	return ""
}
