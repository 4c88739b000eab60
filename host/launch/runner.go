package launch

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin/runner"
)

// pipeGrace is how long the output of an ended process is read on, where something that it left behind holds the pipes open.
const pipeGrace = time.Second

// run runs one process for go-plugin. It deals with the process's output itself: go-plugin sees the one line that is the handshake, and no log.
type run struct {
	spec    Spec
	janitor *Janitor
	exe     *executable
	env     []string
	lines   *lineLog
	// mark is the entry in the environment of the process and of all that it starts.
	mark string
	// starved is how many processes the kernel had killed for want of memory before the start.
	starved int64

	// handshake carries the line from the process's standard output to go-plugin.
	handshake *io.PipeReader
	announce  *io.PipeWriter
	// done is closed when the process has ended and its output is read.
	done chan struct{}

	mu      sync.Mutex
	cmd     *exec.Cmd
	end     error
	ended   bool
	killed  bool
	started bool
	// cause is why the process was killed here before anybody had asked it to end.
	cause error
	// greeted is set when the handshake was seen.
	greeted bool
}

var _ runner.Runner = (*run)(nil)

func newRun(s Spec, j *Janitor, exe *executable, env []string, mark string) *run {
	r := &run{spec: s, janitor: j, exe: exe, env: env, mark: mark, starved: killedForMemory(), lines: newLineLog(s.Log, s.Name), done: make(chan struct{})}
	r.handshake, r.announce = io.Pipe()
	return r
}

// attach is go-plugin's hook: cmd carries the environment that its server reads.
func (r *run) attach(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
	r.env = append(r.env, cmd.Env...)
	return r, nil
}

// Start starts the process as the leader of its own group.
func (r *run) Start(context.Context) error {
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			f.Close()
		}
	}
	pipe := func() (reader, writer *os.File, err error) {
		if reader, writer, err = os.Pipe(); err == nil {
			files = append(files, reader, writer)
		}
		return reader, writer, err
	}
	// Nothing is ever written to the process's standard input: that it ends tells the process that the host is gone.
	stdin, lifeline, err := pipe()
	if err != nil {
		return err
	}
	stdout, stdoutWriter, err := pipe()
	if err != nil {
		closeAll()
		return err
	}
	stderr, stderrWriter, err := pipe()
	if err != nil {
		closeAll()
		return err
	}
	command := func() *exec.Cmd {
		cmd := exec.Command(r.exe.run)
		cmd.Args = append([]string{r.spec.Path}, r.spec.Args...)
		cmd.Env, cmd.Dir = r.env, r.spec.Dir
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdoutWriter, stderrWriter
		cmd.SysProcAttr = ownGroup()
		return cmd
	}
	r.mu.Lock()
	if r.killed {
		r.mu.Unlock()
		closeAll()
		return context.Canceled
	}
	r.mu.Unlock()
	begun := make(chan error, 1)
	go func() {
		// The signal that the process gets when its parent dies is sent when this very thread ends, so the thread waits for the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd, err := startCommand(command)
		if err == nil {
			// Until now its folder's name, which is in its environment, and the signal at the end of this thread have stood for it.
			r.janitor.warn(r.spec.Log, r.janitor.watch(cmd.Process.Pid))
			r.mu.Lock()
			r.cmd, r.started = cmd, true
			if r.killed {
				killGroup(cmd.Process)
			}
			r.mu.Unlock()
		}
		begun <- err
		if err == nil {
			r.wait(cmd, lifeline, stdout, stderr)
		}
	}()
	err = <-begun
	if err != nil {
		closeAll()
		r.announce.Close()
		close(r.done)
		return explain(r.spec.Path, err)
	}
	for _, f := range []*os.File{stdin, stdoutWriter, stderrWriter} {
		f.Close()
	}
	return nil
}

// wait reads what the process prints until it ends, and ends what it leaves behind.
func (r *run) wait(cmd *exec.Cmd, lifeline, stdout, stderr *os.File) {
	var readers sync.WaitGroup
	readers.Go(func() { r.lines.read(stderr, "stderr", nil) })
	readers.Go(func() {
		r.lines.read(stdout, "stdout", func(line []byte) bool {
			if !r.silent() || !handshakeForm.Match(line) {
				return false
			}
			r.mu.Lock()
			r.greeted = true
			r.mu.Unlock()
			// An error is that go-plugin waits no longer.
			_, _ = fmt.Fprintf(r.announce, "%s\n", line)
			return true
		})
		if r.silent() {
			r.announce.Close()
		}
	})
	var err error
	unreaped := awaitExit(cmd.Process.Pid)
	if !unreaped {
		err = cmd.Wait()
	}
	r.mu.Lock()
	// While the process is not reaped its number is not used again, so the group is still its own.
	killGroup(cmd.Process)
	if unreaped {
		err = cmd.Wait()
	}
	r.end, r.ended = err, true
	r.mu.Unlock()
	r.janitor.ended(cmd.Process.Pid)
	lifeline.Close()
	// What has left the group carries the mark.
	if n := killMarked(r.mark); n > 0 {
		r.spec.Log.Debug("killed what the plugin had left running", "plugin", r.spec.Name, "processes", n)
	}
	finished := make(chan struct{})
	go func() {
		readers.Wait()
		close(finished)
	}()
	grace := time.NewTimer(pipeGrace)
	defer grace.Stop()
	select {
	case <-finished:
	case <-grace.C:
		// A child in a group of its own holds on to the pipes.
		past := time.Unix(1, 0)
		_ = stdout.SetReadDeadline(past)
		_ = stderr.SetReadDeadline(past)
		<-finished
	}
	stdout.Close()
	stderr.Close()
	r.announce.Close()
	close(r.done)
}

// handshakeForm is how the line begins that go-plugin's server prints: core version, protocol version, network, address.
var handshakeForm = regexp.MustCompile(`^\s*\d+\|\d+\|[a-z]+\|`)

// kill kills the process's group, now or as soon as it is started.
func (r *run) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.killed = true
	if r.started {
		killGroup(r.cmd.Process)
	}
}

// condemn kills the process for a reason, unless it has ended or was killed already.
func (r *run) condemn(cause error) {
	r.mu.Lock()
	if !r.ended && !r.killed && r.cause == nil {
		r.cause = cause
	}
	r.mu.Unlock()
	r.kill()
}

// condemned is the reason for which the process was killed; nil where it was not.
func (r *run) condemned() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause
}

// silent reports whether there was no handshake yet.
func (r *run) silent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started && !r.greeted
}

// settle waits for the process's end, at most d.
func (r *run) settle(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-r.done:
	case <-t.C:
	}
}

// pid is the process's number, 0 before the start.
func (r *run) pid() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return 0
	}
	return r.cmd.Process.Pid
}

// state is how the process ended, e.g. "exit status 2".
func (r *run) state() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		return ""
	}
	if r.end == nil {
		return "exit status 0"
	}
	return r.end.Error()
}

// diedOf is the state of a process that ended of itself; empty where it ended because it was killed here.
func (r *run) diedOf() string {
	state := r.state()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed && state == "signal: killed" {
		return ""
	}
	return state
}

// Wait returns when the process has ended.
func (r *run) Wait(ctx context.Context) error {
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.end
}

// Kill kills the process's group. go-plugin calls it where a start fails, at the latest when the process's output ends, which may be a moment before it is known
// how the process did: that is waited for, since else it would look killed from here.
func (r *run) Kill(context.Context) error {
	if r.silent() {
		r.settle(pipeGrace)
	}
	r.kill()
	return nil
}

// Stdout gives the handshake, and ends with the process.
func (r *run) Stdout() io.ReadCloser { return r.handshake }

// Stderr is empty: the log is read here.
func (r *run) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name is the executable's path.
func (r *run) Name() string { return r.spec.Path }

// ID is the process's number.
func (r *run) ID() string { return strconv.Itoa(r.pid()) }

// Diagnose has nothing to add: the last lines stand in the error.
func (r *run) Diagnose(context.Context) string { return "" }

// PluginToHost leaves an address as it is.
func (r *run) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin leaves an address as it is.
func (r *run) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
