package serve

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
)

// instance is an opened component.
type instance struct {
	id    string
	info  component.Info
	value any // a task.Task, model.Model, simulator.Simulator or comparator.Comparator
	// uses are the running calls on it, and those on other instances that hold it directly; added to under the server's lock while it is in the table.
	uses sync.WaitGroup
	// lent is how many hold its dynamics directly; guarded by the server's lock.
	lent int

	mu       sync.Mutex
	progress map[*call]reported

	// making guards dynamics. It is held while a model makes them, which a model in training may put off to its end: the training's reports, and with
	// them Health, must not wait for that.
	making   sync.Mutex
	dynamics model.Dynamics
}

type reported struct {
	last component.Progress
	at   time.Time
}

func (i *instance) note(c *call, p component.Progress) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.progress == nil {
		i.progress = map[*call]reported{}
	}
	i.progress[c] = reported{p, time.Now()}
}

func (i *instance) forget(c *call) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.progress, c)
}

// lastReport returns the latest progress of the running calls.
func (i *instance) lastReport() (reported, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var out reported
	for _, r := range i.progress {
		if r.at.After(out.at) {
			out = r
		}
	}
	return out, len(i.progress) > 0
}

// add puts an opened component into the table.
func (s *Server) add(info component.Info, value any) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	i := &instance{id: fmt.Sprintf("%s#%d", info.Name, s.opened), info: info, value: value}
	s.instances[i.id] = i
	return i
}

// find returns an instance; the caller holds the lock.
func (s *Server) find(id string) (*instance, error) {
	i, ok := s.instances[id]
	if !ok {
		return nil, fmt.Errorf("serve: %s has no instance %q, it may have been closed: %w", s.manifest.Name, id, component.ErrNotFound)
	}
	return i, nil
}

// close ends an instance: its leases, then its calls, then itself. Where the calls do not end before ctx does, it ends when they do.
func (s *Server) close(ctx context.Context, id string) error {
	s.mu.Lock()
	i, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	delete(s.instances, id)
	for token, g := range s.grants {
		if g.instance == i {
			delete(s.grants, token)
		}
	}
	closed := fmt.Errorf("serve: %s has been closed: %w", id, component.ErrUnavailable)
	s.cancelWhere(closed, func(c *call) bool { return c.instance == i })
	s.mu.Unlock()

	done := make(chan error, 1)
	go func() {
		i.uses.Wait()
		done <- s.end(i)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end frees what an instance holds beyond Go memory.
func (s *Server) end(i *instance) (err error) {
	c, ok := i.value.(io.Closer)
	if !ok {
		return nil
	}
	defer component.Recover(&err)
	return c.Close()
}

// cancelWhere cancels the calls that match, for a cause; the caller holds the lock.
func (s *Server) cancelWhere(cause error, match func(*call) bool) {
	for c := range s.calls {
		if match(c) {
			c.cancel(cause)
		}
	}
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

func (s *Server) ending() error {
	return fmt.Errorf("serve: %s is coming to an end: %w", s.manifest.Name, component.ErrUnavailable)
}

// hush notes that no call is left, if Drain waits for that; the caller holds the lock.
func (s *Server) hush() {
	if s.quiet != nil && len(s.calls) == 0 && !s.shut {
		s.shut = true
		close(s.quiet)
	}
}

// drain refuses new calls and waits for the running ones, which are cancelled after patience; 0 means never.
func (s *Server) drain(ctx context.Context, patience time.Duration) error {
	s.mu.Lock()
	if !s.isDraining() {
		close(s.draining)
	}
	if s.quiet == nil {
		s.quiet = make(chan struct{})
	}
	quiet := s.quiet
	s.hush()
	s.mu.Unlock()

	var late <-chan time.Time
	if patience > 0 {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case <-quiet:
			return nil
		case <-late:
			s.mu.Lock()
			s.cancelWhere(s.ending(), func(*call) bool { return true })
			s.mu.Unlock()
			late = nil
		case <-ctx.Done():
			return fmt.Errorf("serve: %v still running: %w", s.running(), ctx.Err())
		}
	}
}

// running names the calls that are.
func (s *Server) running() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for c := range s.calls {
		name := c.method
		if c.instance != nil {
			name = c.instance.id + " " + name
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Close ends all instances, their calls first. It is for a server that accepts no more calls.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	ids := make([]string, 0, len(s.instances))
	for id := range s.instances {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	slices.Sort(ids)
	var first error
	for _, id := range ids {
		if err := s.close(ctx, id); err != nil && first == nil {
			first = err
		}
	}
	return first
}
