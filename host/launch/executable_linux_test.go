package launch

import (
	"debug/elf"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/registry"
)

// copyOf copies the test binary, which is a plugin and a host.
func copyOf(t *testing.T, path string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(own)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}

func checksum(t *testing.T, path string) string {
	t.Helper()
	sum, err := registry.Checksum(path)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// An executable that is replaced while it runs harms nothing that runs; what is started next is refused, clearly.
func TestReplacedWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plugin")
	copyOf(t, path)
	s, _ := spec(t, "good")
	s.Path, s.SHA256 = path, checksum(t, path)
	p := start(t, s)
	// In place it cannot be written.
	if f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		f.Close()
		t.Log("this kernel lets a running program be written")
		copyOf(t, path)
	} else if !isBusy(err) {
		t.Errorf("writing it gives %v", err)
	}
	next := filepath.Join(dir, "next")
	write(t, next, "#!/bin/sh\necho another\n")
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Client.Describe(t.Context()); err != nil {
		t.Errorf("the running one: %v", err)
	}
	var failed *StartError
	if _, err := Start(t.Context(), s); !errors.As(err, &failed) || !strings.Contains(err.Error(), "it was replaced since it was found") || !strings.Contains(err.Error(), "run the command again") {
		t.Errorf("the next start: %v", err)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is put in the place of an executable between its check and its start is not run, as it would be by go-plugin's SecureConfig, which checks and starts by the path.
func TestReplacedBetweenCheckAndStart(t *testing.T) {
	dir := t.TempDir()
	path, trace := filepath.Join(dir, "plugin"), filepath.Join(dir, "trace")
	swap := func() {
		write(t, path+".new", "#!/bin/sh\necho swapped >"+trace+"\n")
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("by the path", func(t *testing.T) {
		copyOf(t, path)
		sum := checksum(t, path)
		if checksum(t, path) != sum {
			t.Fatal("the check fails")
		}
		swap()
		if err := exec.Command(path).Run(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(trace); err != nil {
			t.Errorf("the other program was not run: this is no hole: %v", err)
		}
	})
	os.Remove(trace)
	t.Run("a program", func(t *testing.T) {
		copyOf(t, path)
		exe, err := openExecutable(path, checksum(t, path))
		if err != nil {
			t.Fatal(err)
		}
		defer exe.close()
		swap()
		out, err := exec.Command(exe.run, hidden, "dies").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "libfoo.so.3") {
			t.Errorf("it ran %s, %v", out, err)
		}
		if err := exe.unchanged(); err != nil {
			t.Error(err)
		}
	})
	t.Run("a script", func(t *testing.T) {
		write(t, path, "#!/bin/sh\nexit 0\n")
		exe, err := openExecutable(path, checksum(t, path))
		if err != nil {
			t.Fatal(err)
		}
		defer exe.close()
		if err := exe.unchanged(); err != nil {
			t.Errorf("before it was replaced: %v", err)
		}
		swap()
		var replaced *replacedError
		if err := exe.unchanged(); !errors.As(err, &replaced) {
			t.Errorf("after it was replaced: %v", err)
		}
	})
	t.Run("a script and back", func(t *testing.T) {
		write(t, path, "#!/bin/sh\nexit 0\n")
		exe, err := openExecutable(path, checksum(t, path))
		if err != nil {
			t.Fatal(err)
		}
		defer exe.close()
		if err := os.Rename(path, path+".kept"); err != nil {
			t.Fatal(err)
		}
		swap()
		if err := os.Rename(path+".kept", path); err != nil {
			t.Fatal(err)
		}
		var replaced *replacedError
		if err := exe.unchanged(); !errors.As(err, &replaced) {
			t.Errorf("after it was replaced and put back: %v", err)
		}
	})
}

// A script that replaces itself when it is started is killed before it is called.
func TestScriptReplacedAtItsStart(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plugin")
	write(t, path, "#!/bin/sh\ncp \"$0\" \"$0.new\"\nmv \"$0.new\" \"$0\"\nexec "+own+" "+hidden+" good\n")
	s, _ := spec(t, "good")
	s.Path, s.Args, s.SHA256 = path, nil, checksum(t, path)
	var failed *StartError
	if _, err := Start(t.Context(), s); !errors.As(err, &failed) || !strings.Contains(err.Error(), "the executable was replaced while it was being started") {
		t.Errorf("error is %v", err)
	}
}

// A plugin that is started through a descriptor knows its own name and path all the same, and inherits nothing.
func TestStartedThroughADescriptor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctdb-plugin-x")
	copyOf(t, path)
	s, _ := spec(t, "good")
	s.Path, s.SHA256 = path, checksum(t, path)
	p := start(t, s)
	at := filepath.Join(procDir, strconv.Itoa(p.PID()))
	if exe, err := os.Readlink(filepath.Join(at, "exe")); err != nil || exe != path {
		t.Errorf("executable is %s, %v", exe, err)
	}
	if b, err := os.ReadFile(filepath.Join(at, "cmdline")); err != nil || !strings.HasPrefix(string(b), path+"\x00") {
		t.Errorf("command line is %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(at, "comm")); err != nil || strings.TrimSpace(string(b)) != "ctdb-plugin-x" {
		t.Errorf("name is %q, %v", b, err)
	}
	files, err := os.ReadDir(filepath.Join(at, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink(filepath.Join(at, "fd", f.Name())); err == nil && (to == path || strings.HasSuffix(to, lockName)) {
			t.Errorf("descriptor %s is %s", f.Name(), to)
		}
	}
}

func TestProgramsForOtherMachines(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	copyOf(t, foreign)
	f, err := os.OpenFile(foreign, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// e_machine of the header (elf(5)).
	if _, err := f.WriteAt([]byte{byte(elf.EM_S390), 0}, 18); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"foreign", "", "it was built for S390, this is linux/"},
		{"mac", "\xcf\xfa\xed\xfe0000", "it was built for macOS"},
		{"windows", "MZ000000", "it was built for Windows"},
		{"empty", "", "the file is empty"},
		{"text", "hello\x00", "neither a program nor a script"},
		{"cut", "\x7fELF\x02", "damaged or cut short"},
		{"interpreter", "#!/no/such/python3 -u\n", "the interpreter that its first line names, /no/such/python3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := spec(t, "good")
			s.Path = foreign
			if c.name != "foreign" {
				s.Path = filepath.Join(dir, c.name)
				write(t, s.Path, c.text)
			}
			_, err := Start(t.Context(), s)
			var failed *StartError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// A working folder that will not do is told of as such, not as a plugin that will not.
func TestWorkingFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "")
	for _, c := range []struct{ name, dir, want string }{
		{"none", filepath.Join(dir, "none"), "its working folder does not exist"},
		{"a file", file, "is no folder"},
		{"relative", "somewhere", "an absolute path is needed"},
	} {
		s, _ := spec(t, "good")
		s.Dir = c.dir
		if _, err := Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.want)
		}
	}
}
