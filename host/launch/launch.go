// Package launch starts, uses and stops plugin processes: one process for each stage and plugin, so that what hangs or dies takes nothing else with it.
//
// A process is started by go-plugin through a runner of this package, which closes go-plugin's known holes: each process leads a process group of its own,
// which is killed as a whole when the process ends or will not; a process whose host is killed gets a signal (on Linux) and the end of its standard
// input; noise on standard output before the handshake is logged and passed over; lines on standard error are parsed here, where odd ones do no harm; and
// stopping is bounded in time. Sockets are in a folder of the process's own that nobody else may enter, removed with it. The environment is an allow-list.
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
	"strconv"
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
	// SHA256 that the executable must have, in hexadecimal; empty for any. It is checked just before the start.
	SHA256 string
	// Dir is the working folder; empty for a private one that is removed afterwards.
	Dir string
	// Env names environment variables to hand on besides those that every plugin gets.
	Env []string
	// Threads is the budget that thread pools are told of, at least 1.
	Threads int
	// Log receives what the process logs and prints, with the attribute "plugin"; nil for none.
	Log *slog.Logger
	// StartTimeout ends a start; 0 is DefaultStartTimeout.
	StartTimeout time.Duration
}

// Process is a running plugin. It must be stopped.
type Process struct {
	// Client calls the plugin.
	Client *client.Plugin

	spec   Spec
	run    *run
	plugin *plugin.Client
	folder string

	// stopping is set before the process is told to end: from then on its end is no failure.
	stopping atomic.Bool
	stop     sync.Once
	stopErr  error
}

// Start starts a plugin and waits until it can be called. ctx bounds the start alone. The error is a [*StartError], or wraps the context's error.
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
	failed := func(err error) error { return &StartError{Plugin: s.Name, Path: s.Path, Err: err} }
	if s.SHA256 != "" {
		sum, err := registry.Checksum(s.Path)
		if err != nil {
			return nil, failed(err)
		}
		if sum != s.SHA256 {
			return nil, failed(fmt.Errorf("the executable's checksum is %s, %s is expected: it was replaced", sum, s.SHA256))
		}
	}
	folder, err := privateFolder()
	if err != nil {
		return nil, failed(err)
	}
	if s.Dir == "" {
		s.Dir = folder
	}
	token, err := newToken()
	if err != nil {
		return nil, errors.Join(failed(err), os.RemoveAll(folder))
	}
	p := &Process{spec: s, folder: folder, run: newRun(s, environment(os.Environ(), s, token))}
	p.plugin = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  client.Handshake(),
		Plugins:          client.PluginSet(),
		RunnerFunc:       p.run.attach,
		SkipHostEnv:      true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
		StartTimeout:     s.StartTimeout,
		GRPCDialOptions:  client.DialOptions(),
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: folder},
		SyncStdout:       p.run.lines.writer("stdout"),
		SyncStderr:       p.run.lines.writer("stderr"),
	})
	limited, cancel := context.WithTimeoutCause(ctx, s.StartTimeout, errTimeout)
	defer cancel()
	if err := p.connect(limited, token); err != nil {
		p.stopping.Store(true)
		if limited.Err() == nil {
			// It may be about to end of itself, and how it does is what the user must know.
			p.run.settle(pipeGrace)
		}
		p.run.kill()
		err = errors.Join(err, p.end(context.Background()))
		if own := ctx.Err(); own != nil {
			return nil, fmt.Errorf("launch: plugin %s: %w", s.Name, own)
		}
		switch {
		case errors.Is(context.Cause(limited), errTimeout):
			err = fmt.Errorf("it did not answer within %v of its start", s.StartTimeout)
		case p.run.silent():
			err = errors.New("it ended its output without go-plugin's handshake: is it a plugin?")
		}
		return nil, &StartError{Plugin: s.Name, Path: s.Path, State: p.run.diedOf(), Lines: p.LastLines(), Err: err}
	}
	return p, nil
}

var errTimeout = errors.New("start timed out")

// connect starts the process and shakes hands. go-plugin takes no context: where ctx ends first, the process is killed, which ends go-plugin's waiting.
func (p *Process) connect(ctx context.Context, token string) error {
	var remote *client.Plugin
	result := make(chan error, 1)
	go func() {
		var err error
		remote, err = p.dispense(token)
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

func (p *Process) dispense(token string) (*client.Plugin, error) {
	protocol, err := p.plugin.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense(client.PluginName)
	if err != nil {
		return nil, err
	}
	remote, ok := raw.(*client.Plugin)
	if !ok {
		return nil, fmt.Errorf("%T was dispensed", raw)
	}
	addr, err := p.plugin.Start()
	if err != nil {
		return nil, err
	}
	return remote.At(addr.Network()+"://"+addr.String(), token), nil
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

// Name is the plugin's name.
func (p *Process) Name() string { return p.spec.Name }

// Done is closed when the process has ended and its last lines have been read.
func (p *Process) Done() <-chan struct{} { return p.run.done }

// LastLines are the last lines that the process logged or printed, oldest first.
func (p *Process) LastLines() []string { return p.run.lines.last() }

// Err is nil while the process runs and after it was stopped; else it is an [*ExitError].
func (p *Process) Err() error {
	select {
	case <-p.run.done:
	default:
		return nil
	}
	if p.stopping.Load() {
		return nil
	}
	return &ExitError{Plugin: p.spec.Name, Path: p.spec.Path, PID: p.PID(), State: p.run.state(), Lines: p.LastLines()}
}

// Wrap adds to the error of a call that the process has died, of what, and its last lines; other errors, and nil, come back as they are. A call may fail a
// moment before the process's end is known, so where the error is component.ErrUnavailable Wrap waits up to a second for it.
func (p *Process) Wrap(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, component.ErrUnavailable) {
		p.run.settle(pipeGrace)
	}
	var died *ExitError
	if !errors.As(p.Err(), &died) {
		return err
	}
	died.Err = err
	return died
}

// Stop ends the process: its running calls are drained until ctx's deadline, or DrainTimeout; then it is told to exit; then its whole process group is
// killed. Where ctx has ended already, or ends meanwhile, it is killed at once. Stop returns when the process is gone and its folder removed. It may be called
// several times. The error is an [*ExitError] where the process had died before, or says that it cannot be killed.
func (p *Process) Stop(ctx context.Context) error {
	p.stop.Do(func() {
		if p.stopErr = p.Err(); p.stopErr == nil {
			p.stopping.Store(true)
		}
		if ctx.Err() == nil && p.stopErr == nil {
			p.drain(ctx)
		}
		if err := p.end(ctx); err != nil {
			p.stopErr = err
		}
	})
	return p.stopErr
}

// Kill ends the process without asking it.
func (p *Process) Kill() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Stop(ended)
}

func (p *Process) drain(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, DrainTimeout)
	defer cancel()
	go func() {
		// A process that dies meanwhile needs no draining.
		select {
		case <-p.run.done:
			cancel()
		case <-limited.Done():
		}
	}()
	if err := p.Client.Drain(limited); err != nil {
		p.spec.Log.Debug("plugin did not drain", "plugin", p.spec.Name, "error", err)
	}
}

// end shuts the process down by go-plugin's means, and kills its group where that takes too long. go-plugin's own Kill blocks as long as a process is
// stopped by a signal, which killing the group ends.
func (p *Process) end(ctx context.Context) error {
	if ctx.Err() != nil {
		p.run.kill()
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		p.plugin.Kill()
	}()
	gentle := time.NewTimer(exitTimeout)
	defer gentle.Stop()
	select {
	case <-finished:
	case <-ctx.Done():
		p.run.kill()
	case <-gentle.C:
		p.spec.Log.Warn("plugin did not exit in time and is killed", "plugin", p.spec.Name, "pid", p.PID())
		p.run.kill()
	}
	last := time.NewTimer(reapTimeout)
	defer last.Stop()
	select {
	case <-finished:
	case <-last.C:
		return fmt.Errorf("launch: plugin %s (process %s) does not end even when killed", p.spec.Name, strconv.Itoa(p.PID()))
	}
	if err := os.RemoveAll(p.folder); err != nil {
		return fmt.Errorf("launch: plugin %s: %w", p.spec.Name, err)
	}
	return nil
}
