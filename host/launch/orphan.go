package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
)

// Orphaned is what a plugin does when its host is gone.
type Orphaned struct {
	// Ended is false where it was still running after the time that it had; then it was killed. Took is how long it ran on.
	Ended bool
	Took  time.Duration
	// Left is how many of the processes that it had started outlived it; they were killed.
	Left int
}

// goneTime is what a killed process may take to disappear.
const goneTime = 100 * time.Millisecond

// Orphan starts a plugin and lets it be as one is whose host was killed, without the signal that tells of it on Linux: once it has shaken hands its standard input ends, and nothing else
// happens. It has so long to end in.
func Orphan(ctx context.Context, s Spec, patience time.Duration) (Orphaned, error) {
	var out Orphaned
	o, err := startBare(ctx, s)
	if err != nil {
		return out, err
	}
	defer func() { _ = o.folder.remove() }()
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, o.stdout)
		_ = o.cmd.Wait()
		close(ended)
	}()
	began := time.Now()
	o.stdin.Close()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-ended:
		out.Ended = true
	case <-late.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	out.Took = time.Since(began)
	if out.Ended {
		// What it has killed itself needs a moment to be gone.
		time.Sleep(goneTime)
		out.Left = killMarked(markOf(o.folder.path))
		return out, err
	}
	killGroup(o.cmd.Process)
	killMarked(markOf(o.folder.path))
	<-ended
	return out, err
}

// bare is a process that has shaken hands, and that nothing of this package watches over.
type bare struct {
	cmd    *exec.Cmd
	folder *private
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func startBare(ctx context.Context, s Spec) (o *bare, err error) {
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	o = &bare{}
	if o.folder, err = newPrivate(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(&StartError{Plugin: filepath.Base(s.Path), Path: s.Path, Err: err}, o.folder.remove())
		}
	}()
	handshake := client.Handshake()
	o.cmd = exec.Command(s.Path, s.Args...)
	o.cmd.Env = append(environment(os.Environ(), s, token, o.folder.path),
		handshake.MagicCookieKey+"="+handshake.MagicCookieValue, fmt.Sprintf("PLUGIN_PROTOCOL_VERSIONS=%d", handshake.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR="+o.folder.path)
	o.cmd.Dir, o.cmd.SysProcAttr = s.Dir, ledGroup()
	if o.stdin, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := o.cmd.Start(); err != nil {
		return nil, explain(s.Path, err)
	}
	// What it prints before the handshake is another check's affair.
	greeted := make(chan error, 1)
	o.stdout = bufio.NewReader(stdout)
	go func() {
		for {
			line, err := o.stdout.ReadBytes('\n')
			if handshakeForm.Match(line) {
				err = nil
			} else if err == nil {
				continue
			}
			greeted <- err
			return
		}
	}()
	limited, cancel := context.WithTimeout(ctx, max(s.StartTimeout, DefaultStartTimeout))
	defer cancel()
	select {
	case err = <-greeted:
	case <-limited.Done():
		err = limited.Err()
	}
	if err != nil {
		killGroup(o.cmd.Process)
		_ = o.cmd.Wait()
		return nil, fmt.Errorf("it ended, or took too long, before go-plugin's handshake: %w", err)
	}
	return o, nil
}

// ByHand runs a plugin's executable as somebody does who takes it for a command, in the environment of this process without what a host sets. It returns how it ended, "" where it
// did not in the time that it had, and what it printed.
func ByHand(ctx context.Context, s Spec, patience time.Duration) (state, printed string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Path, s.Args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay, cmd.SysProcAttr = byHand(os.Environ(), s), s.Dir, pipeGrace, ledGroup()
	cmd.Cancel = func() error {
		killGroup(cmd.Process)
		return nil
	}
	b, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return "", string(b), nil
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", "", explain(s.Path, err)
	}
	return cmd.ProcessState.String(), string(b), nil
}
