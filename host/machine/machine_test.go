package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// tree writes files below a root that stands for a machine's.
func tree(t *testing.T, files map[string]string) system {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return system{root}
}

const meminfo = "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n"

func TestMemory(t *testing.T) {
	const gib = 1 << 30
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Memory
		free  int64
	}{
		{"none", nil, Memory{}, 0},
		{"no group", map[string]string{"proc/meminfo": meminfo}, Memory{Total: 16000000 << 10, Available: 8000000 << 10}, 8000000 << 10},
		{"version 2, a limit above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/job\n",
			"sys/fs/cgroup/user.slice/memory.max": "4294967296\n", "sys/fs/cgroup/user.slice/memory.current": "2147483648\n",
			"sys/fs/cgroup/user.slice/memory.stat":    "anon 1\ninactive_file 1073741824\n",
			"sys/fs/cgroup/user.slice/job/memory.max": "max\n",
		}, Memory{Total: 16000000 << 10, Available: 8000000 << 10, Limit: 4 * gib, Used: gib}, 3 * gib},
		{"version 1 in a container, whose path is not there", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
		}, Memory{Total: 16000000 << 10, Available: 8000000 << 10, Limit: gib, Used: gib}, 1},
		{"version 1 without a limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, Memory{Total: 16000000 << 10, Available: 8000000 << 10}, 8000000 << 10},
	} {
		got := tree(t, c.files).memory()
		if got != c.want || got.Free() != c.free {
			t.Errorf("%s: got %+v, %d free; want %+v, %d", c.name, got, got.Free(), c.want, c.free)
		}
	}
}

func TestQuota(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   map[string]string
		want    float64
		threads int
	}{
		{"none", nil, 0, 8},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "250000 100000\n", "sys/fs/cgroup/a/cpu.max": "150000 100000"}, 1.5, 2},
		{"version 2 without a limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 0, 8},
		{"version 1", map[string]string{
			"proc/self/cgroup": "3:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
		}, 0.5, 1},
		{"version 1 without a limit", map[string]string{"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 0, 8},
	} {
		got := tree(t, c.files).quota()
		if got != c.want || threads(8, got) != c.threads {
			t.Errorf("%s: got %v and %d threads, want %v and %d", c.name, got, threads(8, got), c.want, c.threads)
		}
	}
}

func TestField(t *testing.T) {
	s := tree(t, map[string]string{"proc/cpuinfo": "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: another\n"})
	if got := s.field("/proc/cpuinfo", "model name"); got != "Some CPU @ 2 GHz" {
		t.Errorf("got %q", got)
	}
	if got := s.field("/proc/cpuinfo", "model"); got != "" {
		t.Errorf("a key that another begins with gives %q", got)
	}
}

// What this machine says is at least possible.
func TestHere(t *testing.T) {
	if n := Threads(); n < 1 || n > CPUs() {
		t.Errorf("%d threads on %d processors", n, CPUs())
	}
	m := ReadMemory()
	if runtime.GOOS == "linux" && (m.Total <= 0 || m.Available <= 0 || m.Available > m.Total || m.Free() <= 0) {
		t.Errorf("memory is %+v", m)
	}
	if Processor() == "" || System() == "" {
		t.Errorf("processor %q, system %q", Processor(), System())
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	if err := Writable(filepath.Join(dir, "not", "yet")); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Writable(filepath.Join(file, "below")); err == nil {
		t.Error("a folder below a file is writable")
	}
	if err := Writable("/proc/self"); runtime.GOOS == "linux" && err == nil {
		t.Error("/proc is writable")
	}
	f, err := Stat(filepath.Join(dir, "not", "yet"))
	if err != nil || (runtime.GOOS == "linux" && (f.Size <= 0 || f.Type == "")) {
		t.Errorf("got %+v, %v", f, err)
	}
	now, most := OpenFiles()
	if runtime.GOOS == "linux" && (now == 0 || most < now) {
		t.Errorf("%d of %d files", now, most)
	}
}
