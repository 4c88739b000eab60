package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/host/machine"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Each finding has the level that it should, and where something is to be done says what.
func TestJudgements(t *testing.T) {
	avx512, avx2 := []string{"AVX-512", "AVX2", "FMA"}, []string{"AVX2", "FMA"}
	none := func(string) string { return "" }
	set := func(name, value string) func(string) string {
		return func(n string) string {
			if n == name {
				return value
			}
			return ""
		}
	}
	one := func(f []Finding) Finding {
		if len(f) != 1 {
			t.Fatalf("%d findings: %+v", len(f), f)
		}
		return f[0]
	}
	short, long := t.TempDir(), "/"+strings.Repeat("x", 60)
	for _, c := range []struct {
		name  string
		got   Finding
		want  Level
		says  string
		doing string
	}{
		{"plenty of memory", judgeMemory(machine.Memory{Total: 16 * gib, Available: 8 * gib}), OK, "8.0 GiB of 16 GiB", ""},
		{"a small control group", judgeMemory(machine.Memory{Total: 16 * gib, Available: 8 * gib, Limit: gib, Used: 512 * mib}), Warning, "512 MiB left of 1.0 GiB", "validate"},
		{"a full control group", judgeMemory(machine.Memory{Total: 16 * gib, Available: 8 * gib, Limit: gib, Used: 2 * gib}), Problem, "0 B left", "limit"},
		{"unknown memory", judgeMemory(machine.Memory{}), OK, "not known", ""},

		{"as many threads as processors", cores(8, 0, 8), OK, "8, on 8 processors", ""},
		{"too many threads", cores(8, 0, 9), Warning, "9, on 8", "--threads 8"},
		{"a quota", cores(8, 1.5, 2), OK, "1.5", ""},
		{"more threads than the quota", cores(8, 1.5, 8), Warning, "1.5", "--threads 2"},

		{"AVX-512", features("amd64", "CPU", avx512), OK, "AVX-512", ""},
		{"an old processor", features("amd64", "CPU", nil), Warning, "neither", "virtual machine"},
		{"arm", features("arm64", "CPU", []string{"NEON"}), OK, "NEON", ""},

		{"the best kernels", judgeKernel("avx512", "", "amd64", avx512), OK, "CTDB_KERNEL_VARIANT=avx2|generic", ""},
		{"only one variant", judgeKernel("generic", "", "arm64", nil), OK, "generic, the best", ""},
		{"slower ones on request", judgeKernel("avx2", "avx2", "amd64", avx512), Warning, "forced", "unset"},
		{"the best ones on request", judgeKernel("avx2", "avx2", "amd64", avx2), OK, "forced", ""},
		{"impossible ones", judgeKernel("avx2", "avx512", "amd64", avx2), Problem, "avx2, generic", "unset"},

		{"an OpenBLAS for another processor", one(blas(set("OPENBLAS_CORETYPE", "Haswell"), avx512)), Warning, "Haswell", "unset"},
		{"an OpenBLAS for this processor", one(blas(set("OPENBLAS_CORETYPE", "skylakex"), avx512)), OK, "skylakex", ""},
		{"an OpenBLAS for an older one", one(blas(set("OPENBLAS_CORETYPE", "Haswell"), avx2)), OK, "Haswell", ""},
		{"a cache for OpenBLAS", one(blas(set("OPENBLAS_L2_SIZE", "1"), avx2)), Warning, "cache", "unset"},
		{"threads for OpenMP", one(blas(set("OMP_NUM_THREADS", "3"), avx2)), OK, "not told", ""},

		{"room", judgeSpace(machine.FileSystem{Type: "ext4", Free: 50 * gib, Files: 1e6}), OK, "50 GiB", ""},
		{"little room", judgeSpace(machine.FileSystem{Type: "ext4", Free: 2 * gib, Files: 1e6}), Warning, "2.0 GiB", "--store"},
		{"no room", judgeSpace(machine.FileSystem{Type: "ext4", Free: mib, Files: 1e6}), Problem, "1.0 MiB", "make room"},
		{"no more files", judgeSpace(machine.FileSystem{Type: "ext4", Free: 50 * gib, Files: 5}), Problem, "5 more files", "remove files"},
		{"a file system without such a limit", judgeSpace(machine.FileSystem{Type: "btrfs", Free: 50 * gib, NoFiles: true}), OK, "btrfs", ""},

		{"many files", judgeOpenFiles(20000, 20000), OK, "20,000", ""},
		{"few files", judgeOpenFiles(256, 4096), Warning, "256", "ulimit -n 4096"},
		{"very few files", judgeOpenFiles(64, 64), Problem, "64", "hard limit"},
		{"unlimited files", judgeOpenFiles(1<<63, 1<<63), OK, "unlimited", ""},

		{"a folder that is not there yet", writable("runs", filepath.Join(short, "runs"), Problem, "elsewhere"), OK, "runs", ""},
		{"a folder below a file", writable("runs", "/dev/null/runs", Problem, "elsewhere"), Problem, "/dev/null", "elsewhere"},
		{"sockets", sockets([]string{short}, none), OK, "of at most 36", ""},
		{"sockets beside a long TMPDIR", sockets([]string{short}, set("TMPDIR", long)), OK, "TMPDIR is not used", ""},
		{"no folder for sockets", sockets([]string{"/dev/null"}, none), Problem, "no plugin can be started", "TMPDIR"},
		{"no short path for sockets", sockets(nil, none), Problem, "no plugin can be started", "36 bytes"},
	} {
		if c.got.Level != c.want || !strings.Contains(c.got.Detail, c.says) || !strings.Contains(c.got.Advice, c.doing) {
			t.Errorf("%s: got %+v", c.name, c.got)
		}
		if (c.got.Level == OK) != (c.got.Advice == "") {
			t.Errorf("%s: level %s with advice %q", c.name, c.got.Level, c.got.Advice)
		}
	}
}

func TestJudgePlugin(t *testing.T) {
	good := component.Manifest{Name: "mine", Version: "1.0.0", Numerics: map[string]string{"torch": "2.5", "mkl": "1"}}
	for _, c := range []struct {
		plugin catalog.Plugin
		took   time.Duration
		want   Level
		says   string
	}{
		{catalog.Plugin{Manifest: good, Candidate: registry.Candidate{Path: "/p", Source: registry.UserDir}}, 40 * time.Millisecond, OK, "40 ms after its start, /p, mkl=1 torch=2.5"},
		{catalog.Plugin{Manifest: good, Shadowed: "/q"}, time.Millisecond, OK, "/q comes first"},
		{catalog.Plugin{Manifest: good}, 5 * time.Second, Warning, "5000 ms"},
		{catalog.Plugin{Candidate: registry.Candidate{Path: "/p"}, Err: &launch.StartError{Plugin: "mine", Path: "/p", State: "exit status 3", Err: errors.New("x")}}, 0, Problem, "exit status 3"},
		{catalog.Plugin{Candidate: registry.Candidate{Path: "/p"}, Err: fs.ErrPermission}, 0, Problem, "/p cannot be used"},
	} {
		got := judgePlugin(&c.plugin, c.took)
		if got.Level != c.want || !strings.Contains(got.Detail, c.says) || (got.Level == OK) != (got.Advice == "") {
			t.Errorf("got %+v, want %s, %q", got, c.want, c.says)
		}
	}
}

// A plugin that ends, one that never answers, a file that is none and a folder that is not there are found, all at once and in little time.
func TestExamine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("without scripts there are no plugins to examine")
		return
	}
	dir, home := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"ctdb-plugin-ends":  "#!/bin/sh\necho cannot find libmine.so >&2\nexit 3\n",
		"ctdb-plugin-hangs": "#!/bin/sh\nexec sleep 1000\n",
		"ctdb-plugin-text":  "nothing that runs\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Examine(t.Context(), Subject{
		Version: "1.2.3", Search: registry.NewSearch([]string{dir, filepath.Join(dir, "none")}, "", nil), PluginTimeout: 300 * time.Millisecond,
		Store: filepath.Join(home, "store"), Runs: filepath.Join(home, "runs"), Cache: filepath.Join(home, "cache"), Env: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		area, what string
		level      Level
		says       string
	}{
		{"program", "ctdb-host", OK, "1.2.3, go"},
		{"program", "HDF5", OK, "1."},
		{"plugins", "ends", Problem, "libmine.so"},
		{"plugins", "hangs", Problem, "did not answer within"},
		{"plugins", filepath.Join(dir, "ctdb-plugin-text"), Warning, "neither a program nor a script"},
		{"plugins", filepath.Join(dir, "none"), Warning, "cannot be searched"},
		{"plugins", "folders", OK, dir},
		{"store", "works", OK, "file locks"},
		{"store", "leftovers", OK, "none"},
		{"folders", "runs", OK, "runs"},
	} {
		ok := false
		for _, f := range found {
			ok = ok || f.Area == want.area && f.What == want.what && f.Level == want.level && strings.Contains(f.Detail, want.says)
		}
		if !ok {
			t.Errorf("%+v is missing in\n%+v", want, found)
		}
	}
	if Worst(found) != Problem || Worst(found[:2]) != OK || Worst(nil) != OK {
		t.Errorf("the worst is %s", Worst(found))
	}
	// Nothing is left of looking.
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
