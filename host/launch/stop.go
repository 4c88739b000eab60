package launch

import (
	"context"
	"fmt"
	"time"
)

// Stop ends the process: its running calls are drained until ctx's deadline, or DrainTimeout; then it is told to exit; then its whole process group is
// killed. Where ctx has ended already, or ends meanwhile, it is killed at once. Stop returns when the process is gone and its folder removed. It may be called
// several times. The error is that of [Process.Err] where the process had died before, or says that it cannot be killed.
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

// Killed reports whether the process had to be killed: it did not exit, within two seconds or so, when it was told to, or was not given the time.
func (p *Process) Killed() bool {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	return p.run.killed
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
	p.unwatch()
	p.watched.Wait()
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
		return fmt.Errorf("launch: plugin %s (process %d) does not end even when killed", p.spec.Name, p.PID())
	}
	if err := p.folder.remove(); err != nil {
		return fmt.Errorf("launch: plugin %s: %w", p.spec.Name, err)
	}
	p.janitor.release(p.folder.path)
	return nil
}
