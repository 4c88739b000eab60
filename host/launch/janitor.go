package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Janitor cleans up after this host when it can no longer do so itself: a small process, this program started once more with arguments of its own, that holds
// one end of a pipe. When the host is gone, however it went, the pipe ends; then the janitor kills what is left of the plugins that were registered with
// it, with what they started, removes the folders, and ends. It is started with the first plugin and serves all that follow. It leads a session of its own, so that
// neither Ctrl-C nor the end of the terminal reaches it.
//
// A nil *Janitor does nothing, and neither does one that cannot be started, which is logged once: then plugins still end with the host (see [Start]), but what they
// started may stay, and folders stay until [Sweep].
type Janitor struct {
	args []string

	mu      sync.Mutex
	folders map[string]fileID
	// plugins are the folders that stand in their processes' environment.
	plugins map[string]bool
	groups  map[int]group
	pipe    *os.File
	process *os.Process
	exited  chan struct{}
	closed  bool
	warned  bool
	// replaced is how often the process was lost and started again.
	replaced int
	waiting  sync.WaitGroup
}

// NewJanitor returns a janitor. Args are the arguments after the program's name that make the program's main call [ServeJanitor]. Nothing is started yet.
// The janitor must be closed.
func NewJanitor(args ...string) *Janitor {
	return &Janitor{args: slices.Clone(args), folders: map[string]fileID{}, plugins: map[string]bool{}, groups: map[int]group{}}
}

type janitorKey struct{}

// WithJanitor returns a context whose plugins the janitor cleans up after: those that are started with it or with a context made of it. It is meant for the context of a whole program, so that nobody
// who starts a plugin can forget it.
func WithJanitor(ctx context.Context, j *Janitor) context.Context {
	return context.WithValue(ctx, janitorKey{}, j)
}

// JanitorOf is the janitor that [WithJanitor] gave the context; nil where there is none.
func JanitorOf(ctx context.Context) *Janitor {
	j, _ := ctx.Value(janitorKey{}).(*Janitor)
	return j
}

// Is reports whether a program that was called with these arguments, without its name, is meant to be the janitor.
func (j *Janitor) Is(args []string) bool {
	return j != nil && len(j.args) > 0 && slices.Equal(args, j.args)
}

// message is one line from host to janitor. One field is set.
type message struct {
	// Guard is a folder to remove, which is the one of that identity, and Marks says that processes with it in their environment are to be killed.
	Guard []byte  `json:"guard,omitempty"`
	ID    *fileID `json:"id,omitempty"`
	Marks bool    `json:"marks,omitempty"`
	// Release is a folder that need no longer be removed.
	Release []byte `json:"release,omitempty"`
	// Group is a process group to kill, Ended one that is gone.
	Group *group `json:"group,omitempty"`
	Ended int    `json:"ended,omitempty"`
}

// group is a process group by its leader.
type group struct {
	PID     int    `json:"pid"`
	Started uint64 `json:"started"`
	Session int    `json:"session"`
}

// fileID tells a file from any other.
type fileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// maxMessage is what a pipe takes in one piece, so that a host that is killed leaves no half line.
const maxMessage = 4096

// sendTimeout is how long a janitor may leave its pipe full.
const sendTimeout = time.Second

// Guard has a folder removed with all that is in it when this host dies; release ends that, and removes nothing. The folder must exist, and its path must be absolute. Only this
// very folder will be removed: one that takes its place is left alone.
func (j *Janitor) Guard(folder string) (release func(), err error) {
	if j == nil {
		return func() {}, nil
	}
	if err := j.guard(folder, false); err != nil {
		return nil, err
	}
	return func() { j.release(folder) }, nil
}

func (j *Janitor) guard(folder string, marks bool) error {
	if j == nil {
		return nil
	}
	if !filepath.IsAbs(folder) || filepath.Dir(folder) == folder || filepath.Clean(folder) != folder {
		return fmt.Errorf("launch: folder %q: an absolute path, without dots, of a folder below another is needed", folder)
	}
	info, err := os.Lstat(folder)
	if err != nil {
		return fmt.Errorf("launch: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("launch: %s is not a folder", folder)
	}
	id := identity(info)
	m := message{Guard: []byte(folder), ID: &id, Marks: marks}
	if b, err := json.Marshal(m); err != nil || len(b) >= maxMessage {
		return fmt.Errorf("launch: folder %.100q...: the path is too long", folder)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.folders[folder] = id
	if marks {
		j.plugins[folder] = true
	}
	return j.send(m)
}

func (j *Janitor) release(folder string) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.folders, folder)
	delete(j.plugins, folder)
	// A janitor that cannot be told finds the folder gone, or another in its place.
	_ = j.send(message{Release: []byte(folder)})
}

func (j *Janitor) watch(pid int) error {
	if j == nil {
		return nil
	}
	g := groupOf(pid)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.groups[pid] = g
	return j.send(message{Group: &g})
}

func (j *Janitor) ended(pid int) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.groups, pid)
	// A janitor that cannot be told finds another start time, or nothing.
	_ = j.send(message{Ended: pid})
}

// send tells the janitor, starting it where it does not run; the caller holds the lock.
func (j *Janitor) send(m message) error {
	if j.closed {
		return errors.New("launch: the janitor is closed")
	}
	if j.pipe != nil {
		if err := j.write(m); err == nil {
			return nil
		}
		// Somebody has killed or stopped it: another takes over.
		j.abandon()
	}
	return j.tellAll()
}

// tellAll starts the process and tells it everything, if there is anything; the caller holds the lock.
func (j *Janitor) tellAll() error {
	if len(j.folders) == 0 && len(j.groups) == 0 {
		return nil
	}
	if err := j.start(); err != nil {
		return fmt.Errorf("launch: the janitor cannot be started: %w", err)
	}
	for folder, id := range j.folders {
		if err := j.write(message{Guard: []byte(folder), ID: &id, Marks: j.plugins[folder]}); err != nil {
			return err
		}
	}
	for _, g := range j.groups {
		if err := j.write(message{Group: &g}); err != nil {
			return err
		}
	}
	return nil
}

func (j *Janitor) write(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("launch: janitor: %w", err)
	}
	if err := j.pipe.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("launch: janitor: %w", err)
	}
	if _, err := j.pipe.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("launch: janitor: %w", err)
	}
	return nil
}

// start starts the process. What is written to it waits in the pipe until it reads, so nobody waits for it.
func (j *Janitor) start() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	name := path
	if runtime.GOOS == "linux" {
		// Also where the file was replaced or removed since.
		path = "/proc/self/exe"
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	cmd := exec.Command(path)
	cmd.Args = append([]string{name}, j.args...)
	cmd.Stdin, cmd.SysProcAttr = reader, ownSession()
	// It must not keep a file system busy.
	cmd.Dir = string(filepath.Separator)
	cmd.Env = janitorEnvironment(os.Environ())
	if err := cmd.Start(); err != nil {
		writer.Close()
		return err
	}
	exited := make(chan struct{})
	j.pipe, j.process, j.exited = writer, cmd.Process, exited
	j.waiting.Go(func() {
		// How it ended is of no interest.
		_ = cmd.Wait()
		close(exited)
		j.replace(writer)
	})
	return nil
}

// maxReplacements is how often a janitor that was killed is replaced: one that cannot live is not started for ever.
const maxReplacements = 5

// replace starts another process in place of the one that held the other end of the pipe, if nobody has yet.
func (j *Janitor) replace(pipe *os.File) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe != pipe {
		return
	}
	j.pipe.Close()
	j.pipe = nil
	if j.replaced++; j.replaced <= maxReplacements {
		// Where it fails the next message tries again, and says why not.
		_ = j.tellAll()
	}
}

// janitorEnvironment is what the program needs to start at all; one thread will do.
func janitorEnvironment(host []string) []string {
	out := []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}
	for _, entry := range host {
		switch name, _, _ := strings.Cut(entry, "="); name {
		case "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GODEBUG", "GORACE", "GOCOVERDIR", "SYSTEMROOT":
			out = append(out, entry)
		}
	}
	return out
}

// abandon gives the process up: nothing that is registered is its business any more. The caller holds the lock.
func (j *Janitor) abandon() {
	// Before its pipe ends, or it would take the host for dead.
	_ = j.process.Kill()
	j.pipe.Close()
	<-j.exited
	j.pipe = nil
}

// PID is the janitor's process number; 0 while it does not run.
func (j *Janitor) PID() int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pipe == nil {
		return 0
	}
	return j.process.Pid
}

// warn logs, the first time, that there is no janitor.
func (j *Janitor) warn(log *slog.Logger, err error) {
	if j == nil || err == nil {
		return
	}
	j.mu.Lock()
	first := !j.warned
	j.warned = true
	j.mu.Unlock()
	if first {
		log.Warn("no process watches over this host: if it is killed, what its plugins have started may go on running", "error", err)
	}
}

// closeTimeout is what the janitor has to clean up in when the host closes it.
const closeTimeout = 3 * time.Second

// Close ends the janitor's process, which first does away with whatever is still registered, as at the host's death. Nothing can be registered any more.
func (j *Janitor) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	j.closed = true
	if j.pipe == nil {
		j.mu.Unlock()
		return nil
	}
	j.pipe.Close()
	j.pipe = nil
	j.mu.Unlock()
	limit := time.NewTimer(closeTimeout)
	defer limit.Stop()
	select {
	case <-j.exited:
		j.waiting.Wait()
		return nil
	case <-limit.C:
	}
	// It may be stopped by a signal, or still be removing a large folder.
	return fmt.Errorf("launch: the janitor (process %d) has not ended within %v", j.process.Pid, closeTimeout)
}
