package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	spec  Spec
	env   []string
	lines *lineLog

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
	// greeted is set when the handshake was seen.
	greeted bool
}

var _ runner.Runner = (*run)(nil)

func newRun(s Spec, env []string) *run {
	r := &run{spec: s, env: env, lines: newLineLog(s.Log, s.Name), done: make(chan struct{})}
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
	cmd := exec.Command(r.spec.Path, r.spec.Args...)
	cmd.Env, cmd.Dir = r.env, r.spec.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdoutWriter, stderrWriter
	cmd.SysProcAttr = ownGroup()
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
		err := cmd.Start()
		if err == nil {
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
	lifeline.Close()
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

// Kill kills the process's group.
func (r *run) Kill(context.Context) error {
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

// explain says what an error of starting a program usually means.
func explain(path string, err error) error {
	var hint string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "it does not exist"
		if _, missing := os.Stat(path); missing == nil {
			hint = "the interpreter that its first line names, or its working folder, does not exist"
		}
	case errors.Is(err, fs.ErrPermission):
		hint = "it may not be run: is it executable, and is its file system mounted without noexec?"
	case isBadFormat(err):
		hint = "it is no program for this machine"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}
