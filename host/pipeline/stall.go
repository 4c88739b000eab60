package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/component"
)

// quietAfter is how long a stage may be without progress before the log says so.
const quietAfter = 5 * time.Minute

// StallError says that a stage made no progress for too long and was ended.
type StallError struct {
	Stage string
	// Quiet is how long nothing was heard, Last what was heard last, e.g. "step 300 of 4000"; may be empty.
	Quiet time.Duration
	Last  string
}

// Error names the stage, the time and what to do.
func (e *StallError) Error() string {
	last := ""
	if e.Last != "" {
		last = "; the last was " + e.Last
	}
	return fmt.Sprintf("%s made no progress for %v and was ended%s: run it again to go on from its last checkpoint, with a longer --stall if it needs more time", e.Stage, e.Quiet, last)
}

// pulse is when a stage last showed progress.
type pulse struct {
	at   atomic.Pointer[time.Time]
	mu   sync.Mutex
	last string
}

func (p *pulse) beat() {
	now := time.Now()
	p.at.Store(&now)
}

// heard notes progress that can be told.
func (p *pulse) heard(v component.Progress) {
	p.beat()
	said := fmt.Sprintf("%s %d", v.Phase, v.Done)
	if v.Total > 0 {
		said += fmt.Sprintf(" of %d", v.Total)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = said
}

// quiet is how long nothing was heard.
func (p *pulse) quiet() time.Duration {
	at := p.at.Load()
	if at == nil {
		return 0
	}
	return time.Since(*at)
}

func (p *pulse) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// watch follows the stage's pulse until done is called: it warns where nothing is heard for long, and where nothing is heard for the time stall (0: for ever) it ends the
// returned context and kills the plugins. done returns the [*StallError] then.
func (r *running) watch(ctx context.Context, stall time.Duration) (watched context.Context, done func() error) {
	watched, cancel := context.WithCancelCause(ctx)
	r.pulse.beat()
	every := quietAfter / 10
	if stall > 0 {
		every = min(every, max(stall/10, time.Millisecond))
	}
	stop := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		warn := quietAfter
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			quiet := r.pulse.quiet()
			if quiet < quietAfter {
				warn = quietAfter
			}
			switch {
			case stall > 0 && quiet >= stall:
				err := &StallError{Stage: r.name, Quiet: stall, Last: r.pulse.said()}
				r.log.Error("stalled", "quiet", quiet.String(), "last", err.Last)
				cancel(err)
				r.kill()
				return
			case quiet >= warn:
				r.log.Warn("no progress", "quiet", quiet.Round(time.Second).String(), "last", r.pulse.said())
				warn = 2 * quiet
			}
		}
	})
	return watched, func() error {
		close(stop)
		following.Wait()
		defer cancel(nil)
		var stalled *StallError
		if errors.As(context.Cause(watched), &stalled) {
			return stalled
		}
		return nil
	}
}

// repeatable reports whether an attempt that ended so may be made again: its plugin died or hung, which another run may be spared. What the component
// itself refused or found would come out again, and so would a process that outgrew its limit of memory.
func repeatable(err error) bool {
	if errors.Is(err, component.ErrInvalidArgument) || errors.Is(err, component.ErrDiverged) || errors.Is(err, component.ErrUnsupported) {
		return false
	}
	var tooLarge *launch.MemoryError
	if errors.As(err, &tooLarge) {
		return false
	}
	var stalled *StallError
	var died *launch.ExitError
	return errors.As(err, &stalled) || errors.As(err, &died)
}

// firstLine is the first line of an error's text.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(line, "; its last lines:")
}
