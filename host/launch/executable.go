package launch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// executable is a plugin's file as it was verified.
//
// On Linux a program is started from the very file that was read, through /proc/self/fd, so what is put in its place in the meantime is not run. A script is read by its interpreter,
// by its path, and elsewhere programs are too: there it is looked after the start whether the file is the one that was read and is unchanged; if not, the process is killed before it is
// called. What has run until then has run: a checksum is no sandbox.
type executable struct {
	path string
	// file is open while the process starts; nil where any file will do.
	file *os.File
	info fs.FileInfo
	// run is the path to start it by.
	run string
}

// replacedError says that an executable is not the one that was found.
type replacedError struct{ now, want string }

func (e *replacedError) Error() string {
	const hint = "run the command again to use the new one, or put the old one back"
	if e.now == "" {
		return "the executable was replaced while it was being started: " + hint
	}
	return fmt.Sprintf("the executable's checksum is %s, %s is expected: it was replaced since it was found: %s", e.now, e.want, hint)
}

// openExecutable checks a file against a checksum, in hexadecimal; empty for any.
func openExecutable(path, sum string) (*executable, error) {
	e := &executable{path: path, run: path}
	if sum == "" {
		return e, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, explain(path, err)
	}
	got, err := e.read(f)
	if err == nil && got != sum {
		err = &replacedError{now: got, want: sum}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	e.file = f
	return e, nil
}

// read takes the checksum of the open file.
func (e *executable) read(f *os.File) (string, error) {
	var err error
	if e.info, err = f.Stat(); err != nil {
		return "", err
	}
	if e.info.IsDir() {
		return "", errors.New("it is a folder")
	}
	r := bufio.NewReaderSize(f, 256<<10)
	begin, err := r.Peek(2)
	if err != nil && err != io.EOF {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	if runtime.GOOS == "linux" && string(begin) != "#!" {
		own := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
		if at, err := os.Stat(own); err == nil && os.SameFile(at, e.info) {
			e.run = own
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// unchanged reports whether what was started is what was read.
func (e *executable) unchanged() error {
	if e.file == nil {
		return nil
	}
	now, err := e.file.Stat()
	same := err == nil
	if e.run == e.path {
		now, err = os.Stat(e.path)
		// Also where another file was there for a moment: to be renamed is a change. So is to lose one's name, which does no harm to what was started by other means.
		same = err == nil && os.SameFile(now, e.info) && changeTime(now) == changeTime(e.info)
	}
	if !same || now.Size() != e.info.Size() || !now.ModTime().Equal(e.info.ModTime()) {
		return &replacedError{}
	}
	return nil
}

func (e *executable) close() {
	if e.file != nil {
		e.file.Close()
	}
}

// startCommand starts the command, again where the file is just being written: another thread may have forked while it was, and its child holds on to the file until it becomes another program.
func startCommand(cmd func() *exec.Cmd) (*exec.Cmd, error) {
	const attempts, pause = 5, 20 * time.Millisecond
	for n := 1; ; n++ {
		c := cmd()
		err := c.Start()
		if err == nil || !isBusy(err) || n == attempts {
			return c, err
		}
		time.Sleep(pause)
	}
}

// hinted puts in front of an error what to do about it, where a means of the system has run out.
func hinted(err error) error {
	if hint, ok := isExhausted(err); ok {
		return fmt.Errorf("%s: %w", hint, err)
	}
	return err
}

// explain says what an error of starting a program usually means.
func explain(path string, err error) error {
	var hint string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "it does not exist"
		if _, missing := os.Stat(path); missing == nil {
			hint = "what it needs to run does not exist: " + interpreter(path)
		}
	case errors.Is(err, fs.ErrPermission):
		hint = "it may not be run: is it executable, and is its file system mounted without noexec?"
	case isBusy(err):
		hint = "it is being written: wait until it is complete"
	case isBadFormat(err):
		hint = "it is no program for this machine" + machine(path)
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

// interpreter names what a program needs to be started by.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "its interpreter"
	}
	defer f.Close()
	line, _ := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if rest, ok := strings.CutPrefix(line, "#!"); ok {
		name, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		return fmt.Sprintf("the interpreter that its first line names, %s", strings.TrimRight(name, "\r"))
	}
	program, err := elf.NewFile(f)
	if err != nil {
		return "its interpreter"
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			name, err := io.ReadAll(io.LimitReader(p.Open(), 4096))
			if err == nil {
				return fmt.Sprintf("the dynamic loader %s: it was built for another C library", bytes.TrimRight(name, "\x00"))
			}
		}
	}
	return "its interpreter"
}

// machine says what kind of machine a file was built for, with a colon in front; empty where that cannot be told.
func machine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	begin := make([]byte, 4)
	n, _ := io.ReadFull(f, begin)
	here := runtime.GOOS + "/" + runtime.GOARCH
	switch magic := string(begin[:n]); {
	case n == 0:
		return ": the file is empty"
	case magic == elf.ELFMAG:
		program, err := elf.NewFile(f)
		if err != nil {
			return ": the file is damaged or cut short"
		}
		return fmt.Sprintf(": it was built for %s, this is %s", strings.TrimPrefix(program.Machine.String(), "EM_"), here)
	case strings.HasPrefix(magic, "MZ"):
		return ": it was built for Windows, this is " + here
	case magic == "\xcf\xfa\xed\xfe" || magic == "\xca\xfe\xba\xbe":
		return ": it was built for macOS, this is " + here
	}
	return ": it is neither a program nor a script that begins with #!"
}

// checkDir says what is wrong with a working folder.
func checkDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("its working folder %q: an absolute path is needed", dir)
	}
	f, err := os.Open(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its working folder does not exist: %w", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("its working folder may not be read: %w", err)
	case err != nil:
		return fmt.Errorf("its working folder: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("its working folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("its working folder %s is no folder", dir)
	}
	if info.Mode().Perm()&0o100 == 0 && !isExempt() {
		return fmt.Errorf("its working folder %s may not be entered", dir)
	}
	return nil
}
