// Package launch starts, uses and stops plugin processes: one process for each stage and plugin, so that what hangs or dies takes nothing else with it.
//
// A process is started by go-plugin through a runner of this package, which closes go-plugin's known holes: each process leads a process group of its own,
// which is killed as a whole when the process ends or will not; a process whose host is killed gets a signal (on Linux) and the end of its standard
// input; noise on standard output before the handshake is logged and passed over; lines on standard error are parsed here, where odd ones do no harm; and
// stopping is bounded in time. Sockets are in a folder of the process's own that nobody else may enter, removed with it. The environment is an allow-list.
//
// What a process starts ends with it, also where it has left the process group: on Linux it is found by an entry in its environment ([FolderEnv]), so what both leaves the group
// and starts with another environment is beyond reach. When the host itself is killed its [Janitor] does all this in its place. [Sweep] removes what is left where both are killed.
//
// A process that does not answer is killed ([Spec].Health), and so is one that uses more memory than it may ([Spec].Memory).
//
// A plugin is not confined: it is a program that runs with the user's rights.
package launch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// How long things may take.
const (
	// DefaultStartTimeout is from starting a process to the end of the handshake. Python's imports take seconds.
	DefaultStartTimeout = 60 * time.Second
	// DefaultHealthTimeout is how long a process may leave the question for its health unanswered.
	DefaultHealthTimeout = 60 * time.Second
	// DrainTimeout is what running calls have to end in when a process is stopped without a deadline.
	DrainTimeout = 10 * time.Second
	// exitTimeout is what a drained process has to exit in, and reapTimeout what a killed one has.
	exitTimeout = 5 * time.Second
	reapTimeout = 5 * time.Second
)

// Spec says what to start and how.
type Spec struct {
	// Path of the executable, and the arguments after it.
	Path string
	Args []string
	// Name is the plugin's, for messages and the log; the file's name by default.
	Name string
	// SHA256 that the executable must have, in hexadecimal; empty for any. It is checked just before the start. On Linux what is run is the file that was checked; a script,
	// and elsewhere a program, that is replaced between the check and the start is killed before it is called.
	SHA256 string
	// Check is called just before the start, and its error is why there is none; nil for no check. It is for what a program reads besides its executable.
	Check func() error
	// Dir is the working folder; empty for a private one that is removed afterwards.
	Dir string
	// Env names environment variables to hand on besides those that every plugin gets.
	Env []string
	// Set are variables that the process gets with these values rather than this process's.
	Set map[string]string
	// Threads is the budget that thread pools are told of, at least 1.
	Threads int
	// Log receives what the process logs and prints, with the attribute "plugin"; nil for none.
	Log *slog.Logger
	// StartTimeout ends a start; 0 is DefaultStartTimeout.
	StartTimeout time.Duration
	// Health is how long the process may leave the question for its health unanswered before it is held to hang and is killed, see [HangError]; 0 is what the environment
	// variable [HealthEnv] says, else DefaultHealthTimeout; below 0 it is never asked.
	Health time.Duration
	// Memory is what the process and all that it starts may hold in memory together, in bytes; above it they are killed, see [MemoryError]. 0 is no limit. It is looked at every
	// tenth of a second, on Linux only. A Go plugin's collector is told to keep below four fifths of it.
	Memory int64
}

// Of is how a plugin that was found is started: what is run has the checksums that were taken when it was.
func Of(c registry.Candidate) Spec {
	s := Spec{Path: c.Path, Args: c.Args, Name: c.Name(), SHA256: c.SHA256}
	if c.Package != nil {
		// What is checked must not grow.
		s.Check, s.Set = c.Package.Verify, map[string]string{"PYTHONDONTWRITEBYTECODE": "1"}
	}
	return s
}

// Process is a running plugin. It must be stopped.
type Process struct {
	// Client calls the plugin.
	Client *client.Plugin

	spec    Spec
	janitor *Janitor
	run     *run
	plugin  *plugin.Client
	folder  *private
	// watched ends when nothing watches over the process any more.
	watched sync.WaitGroup
	unwatch context.CancelFunc

	// stopping is set before the process is told to end: from then on its end is no failure.
	stopping atomic.Bool
	stop     sync.Once
	stopErr  error
}

// HealthEnv is the environment variable with the time, e.g. "5m", that a plugin may leave the question for its health unanswered where [Spec] does not say.
const HealthEnv = "CTDB_HEALTH_TIMEOUT"

// Start starts a plugin and waits until it can be called. ctx bounds the start alone, and its [Janitor], if it has one, cleans up where the host is killed. The error is a [*StartError], or wraps the context's error.
func Start(ctx context.Context, s Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("launch: %w", err)
	}
	if s.Name == "" {
		s.Name = filepath.Base(s.Path)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.StartTimeout <= 0 {
		s.StartTimeout = DefaultStartTimeout
	}
	s.Threads = max(s.Threads, 1)
	failed := func(err error) error { return &StartError{Plugin: s.Name, Path: s.Path, Err: hinted(err)} }
	if s.Health == 0 {
		s.Health = DefaultHealthTimeout
		if text := os.Getenv(HealthEnv); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				return nil, failed(fmt.Errorf("environment variable %s is %q: a time above 0 is needed, e.g. 5m", HealthEnv, text))
			}
			s.Health = d
		}
	}
	janitor := JanitorOf(ctx)
	if s.Memory < 0 {
		return nil, failed(fmt.Errorf("memory limit of %d bytes: 0 for none, or more, is needed", s.Memory))
	}
	if s.Dir != "" {
		if err := checkDir(s.Dir); err != nil {
			return nil, failed(err)
		}
	}
	if s.Check != nil {
		if err := s.Check(); err != nil {
			return nil, failed(err)
		}
	}
	exe, err := openExecutable(s.Path, s.SHA256)
	if err != nil {
		return nil, failed(err)
	}
	defer exe.close()
	token, err := newToken()
	if err != nil {
		return nil, failed(err)
	}
	folder, err := newPrivate()
	if err != nil {
		return nil, failed(err)
	}
	janitor.warn(s.Log, janitor.guard(folder.path, true))
	if s.Dir == "" {
		s.Dir = folder.path
	}
	p := &Process{spec: s, janitor: janitor, folder: folder, unwatch: func() {}}
	p.run = newRun(s, janitor, exe, environment(os.Environ(), s, token, folder.path), markOf(folder.path))
	p.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  client.Handshake(),
		Plugins:          client.PluginSet(),
		RunnerFunc:       p.run.attach,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     s.StartTimeout,
		GRPCDialOptions:  client.DialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: folder.path},
		SyncStdout:       p.run.lines.writer("stdout"),
		SyncStderr:       p.run.lines.writer("stderr"),
	})
	limited, cancel := context.WithTimeoutCause(ctx, s.StartTimeout, errTimeout)
	defer cancel()
	err = p.connect(limited, token)
	if err == nil {
		err = exe.unchanged()
	}
	if err != nil {
		var replaced *replacedError
		p.stopping.Store(true)
		if limited.Err() == nil && !errors.As(err, &replaced) {
			// It may be about to end of itself, and how it does is what the user must know.
			p.run.settle(exitTimeout)
		}
		p.run.kill()
		err = errors.Join(err, p.end(context.Background()))
		if own := ctx.Err(); own != nil {
			return nil, fmt.Errorf("launch: plugin %s: %w", s.Name, own)
		}
		switch {
		case errors.As(err, &replaced):
			return nil, failed(replaced)
		case errors.Is(context.Cause(limited), errTimeout):
			err = fmt.Errorf("it did not answer within %v of its start", s.StartTimeout)
		case p.run.silent():
			err = errors.New("it ended its output without go-plugin's handshake: is it a plugin?")
		}
		return nil, &StartError{Plugin: s.Name, Path: s.Path, State: p.run.diedOf(), Lines: p.LastLines(), Err: hinted(err), python: pythonOf(s.Path)}
	}
	p.watch()
	return p, nil
}

var errTimeout = errors.New("start timed out")

// connect starts the process and shakes hands. go-plugin takes no context: where ctx ends first, the process is killed, which ends go-plugin's waiting.
func (p *Process) connect(ctx context.Context, token string) error {
	var remote *client.Plugin
	result := make(chan error, 1)
	go func() {
		var err error
		remote, err = client.Dispense(p.plugin, token)
		result <- err
	}()
	select {
	case err := <-result:
		p.Client = remote
		return err
	case <-ctx.Done():
		p.run.kill()
		<-result
		return ctx.Err()
	}
}

// newToken is 256 random bits that no other process of the user's is told.
func newToken() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.run.pid() }

// Memory is what the process and all that it has started hold in memory, in bytes; 0 where that is not known.
func (p *Process) Memory() int64 { return heldBytes(members(p.PID(), p.run.mark, map[int]member{})) }

// Name is the plugin's name.
func (p *Process) Name() string { return p.spec.Name }

// Done is closed when the process has ended and its last lines have been read.
func (p *Process) Done() <-chan struct{} { return p.run.done }

// LastLines are the last lines that the process logged or printed, oldest first.
func (p *Process) LastLines() []string { return p.run.lines.last() }

// Err is nil while the process runs and after it was stopped; else it is an [*ExitError], or a [*HangError] or [*MemoryError] that holds one.
func (p *Process) Err() error {
	select {
	case <-p.run.done:
	default:
		return nil
	}
	if p.stopping.Load() {
		return nil
	}
	exit := &ExitError{Plugin: p.spec.Name, Path: p.spec.Path, PID: p.PID(), State: p.run.state(), Lines: p.LastLines()}
	switch cause := p.run.condemned().(type) {
	case *HangError:
		exit.Advice = hangAdvice
		return &HangError{ExitError: exit, Unanswered: cause.Unanswered}
	case *MemoryError:
		exit.Advice = limitAdvice
		return &MemoryError{ExitError: exit, Used: cause.Used, Limit: cause.Limit}
	}
	exit.Advice = adviceOn(exit.State, exit.Lines, killedForMemory() > p.run.starved)
	return exit
}

// Wrap adds to the error of a call that the process has died, of what, what to do, and its last lines; other errors, and nil, come back as they are. A call may fail a
// moment before the process's end is known, so where the error is component.ErrUnavailable Wrap waits up to a second for it.
func (p *Process) Wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, component.ErrUnavailable) {
		p.run.settle(pipeGrace)
	}
	end := p.Err()
	var died *ExitError
	if !errors.As(end, &died) {
		return err
	}
	died.Err = err
	return end
}
