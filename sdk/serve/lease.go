package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// grant is what the holder of a token may do.
type grant struct {
	instance *instance
	methods  []string
}

// allow makes a token for some methods of an instance.
func (s *Server) allow(id string, methods []string) (string, error) {
	for _, m := range methods {
		if !strings.HasPrefix(m, "/ctdb.") || strings.HasPrefix(m, pluginService) {
			return "", component.Invalid("methods", "%q: a method of an instance is needed, e.g. /ctdb.task.v1.TaskService/Spec", m)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.find(id)
	if err != nil {
		return "", err
	}
	token := rand.Text()
	s.grants[token] = &grant{i, methods}
	return token, nil
}

// revoke ends a token and the calls made with it.
func (s *Server) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[token]
	if !ok {
		return
	}
	delete(s.grants, token)
	s.cancelWhere(fmt.Errorf("serve: the lease of %s has ended: %w", g.instance.id, component.ErrUnavailable), func(c *call) bool { return c.grant == g })
}

// own returns the instance of a lease that this server itself granted, kept from being closed until release is called.
func (s *Server) own(l wire.Lease) (i *instance, release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[l.Token]
	if !ok || g.instance.id != l.Instance {
		return nil, nil, false
	}
	g.instance.uses.Add(1)
	return g.instance, g.instance.uses.Done, true
}

// leasedTask returns the task behind a lease: the very value where it is served here, else a remote one.
func (s *Server) leasedTask(m *pluginv1.Lease) (task.Task, func(), error) {
	l, err := wire.FromLease(m)
	if err != nil {
		return nil, nil, err
	}
	if i, release, ok := s.own(l); ok {
		t, isTask := i.value.(task.Task)
		if !isTask {
			release()
			return nil, nil, component.Invalid("task", "%s is not a task", i.info.Name)
		}
		return t, release, nil
	}
	leased, err := client.FromLease(l)
	if err != nil {
		return nil, nil, err
	}
	return leased.Task(), func() { _ = leased.Close() }, nil
}

// leasedDynamics returns the dynamics behind a lease: the very value where it is served here, else a remote one.
func (s *Server) leasedDynamics(ctx context.Context, m *pluginv1.Lease) (model.Dynamics, func(), error) {
	l, err := wire.FromLease(m)
	if err != nil {
		return nil, nil, err
	}
	if i, release, ok := s.own(l); ok {
		d, back, err := s.lend(ctx, i)
		if err != nil {
			release()
			return nil, nil, err
		}
		return d, func() { back(); release() }, nil
	}
	leased, err := client.FromLease(l)
	if err != nil {
		return nil, nil, err
	}
	d, err := leased.Dynamics(ctx)
	if err != nil {
		_ = leased.Close()
		return nil, nil, fmt.Errorf("serve: lease of %s: %w", l.Component, err)
	}
	return d, func() { _ = leased.Close() }, nil
}

// lend returns the dynamics of an instance, which cannot be trained until back is called.
func (s *Server) lend(ctx context.Context, i *instance) (d model.Dynamics, back func(), err error) {
	s.mu.Lock()
	if err := s.inTraining(i); err != nil {
		s.mu.Unlock()
		return nil, nil, err
	}
	i.lent++
	s.mu.Unlock()
	back = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		i.lent--
	}
	if d, err = i.live(ctx); err != nil {
		back()
		return nil, nil, err
	}
	return d, back, nil
}
