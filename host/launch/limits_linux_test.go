package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// poorHost is a host that lacks something: it tries to start a plugin, prints why it could not, and where it can says how it went when it lacked nothing any more.
func poorHost(lack, dir string) {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	try := func() {
		p, err := Start(context.Background(), Spec{Path: path, Args: []string{hidden, "good"}, Dir: dir})
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		fmt.Println("started")
		must(p.Stop(context.Background()))
	}
	switch lack {
	case "files":
		var limit unix.Rlimit
		must(unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
		less := limit
		less.Cur = 512
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &less))
		for spare := 0; spare < 20; spare += min(slow, 3) {
			before := openFiles()
			var taken []*os.File
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				taken = append(taken, f)
			}
			give := func(n int) {
				for _, f := range taken[:n] {
					f.Close()
				}
				taken = taken[n:]
			}
			give(spare)
			try()
			give(len(taken))
			if after := openFiles(); after > before {
				fmt.Printf("leaked %d files\n", after-before)
			}
		}
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
		try()
	case "space":
		must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		must(unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "size=4k,nr_inodes=1"))
		dir = ""
		try()
	case "rights":
		must(syscall.Setgid(65534))
		must(syscall.Setuid(65534))
		try()
	}
}

func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(files)
}

// poor runs a host that lacks something and returns what it says; false where this system does not let that be tried.
func poor(t *testing.T, lack, dir string, attr *syscall.SysProcAttr) (string, bool) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, hidden, "poor-host", lack, dir)
	cmd.SysProcAttr = attr
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); name != "TMPDIR" && name != "XDG_RUNTIME_DIR" {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	out, err := cmd.CombinedOutput()
	if attr != nil && (os.IsPermission(err) || strings.Contains(string(out), "operation not permitted")) {
		t.Logf("not allowed here: %v %s", err, out)
		return "", false
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out), true
}

// Without files left a start fails, says so, and leaves none open; with files again it succeeds.
func TestTooManyOpenFiles(t *testing.T) {
	out, _ := poor(t, "files", t.TempDir(), nil)
	if strings.Contains(out, "leaked") || !strings.HasSuffix(out, "started\n") || !strings.Contains(out, "too many open files: raise the limit (`ulimit -n`)") {
		t.Error(out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "error:") && !strings.Contains(line, "raise the limit") {
			t.Errorf("unclear: %s", line)
		}
	}
}

func TestNoSpaceForSockets(t *testing.T) {
	root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, UidMappings: root,
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, ok := poor(t, "space", "", attr); ok && !strings.Contains(out, "no space is left in the folder for sockets") {
		t.Error(out)
	}
	for err, want := range map[error]string{
		syscall.ENOSPC: "no space is left", syscall.EDQUOT: "no space is left", syscall.EROFS: "cannot be written", syscall.EMFILE: "ulimit -n",
		syscall.EAGAIN: "no further process", syscall.ENOMEM: "no memory left", syscall.ENFILE: "fs.file-max",
	} {
		if hint, ok := isExhausted(fmt.Errorf("mkdir: %w", err)); !ok || !strings.Contains(hint, want) {
			t.Errorf("%v: %q, want %q", err, hint, want)
		}
	}
}

func TestUnreadableWorkingFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	lack := "nothing"
	if os.Geteuid() == 0 {
		// Rights do not bind this user, so the host becomes another.
		lack = "rights"
	}
	if lack == "rights" {
		if out, _ := poor(t, lack, dir, nil); !strings.Contains(out, "its working folder may not be read") {
			t.Error(out)
		}
		return
	}
	s, _ := spec(t, "good")
	s.Dir = dir
	if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "its working folder may not be read") {
		t.Errorf("error is %v", err)
	}
}
