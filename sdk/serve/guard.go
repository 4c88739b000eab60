package serve

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
)

// guarded registers services whose every call passes [Server.guard], whatever server they are registered with.
type guarded struct {
	to grpc.ServiceRegistrar
	s  *Server
}

// RegisterService registers a service with its handlers wrapped.
func (g guarded) RegisterService(desc *grpc.ServiceDesc, impl any) {
	d := *desc
	d.Methods, d.Streams = slices.Clone(desc.Methods), slices.Clone(desc.Streams)
	for i, m := range desc.Methods {
		handler := m.Handler
		d.Methods[i].Handler = func(srv any, ctx context.Context, dec func(any) error, outer grpc.UnaryServerInterceptor) (any, error) {
			return handler(srv, ctx, dec, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				call := func(ctx context.Context, req any) (out any, err error) {
					err = g.s.guard(ctx, info.FullMethod, func(ctx context.Context) error {
						out, err = next(ctx, req)
						return err
					})
					return out, err
				}
				if outer != nil {
					return outer(ctx, req, info, call)
				}
				return call(ctx, req)
			})
		}
	}
	for i, st := range desc.Streams {
		handler, method := st.Handler, "/"+desc.ServiceName+"/"+st.StreamName
		d.Streams[i].Handler = func(srv any, stream grpc.ServerStream) error {
			return g.s.guardStream(stream, method, func(stream grpc.ServerStream) error { return handler(srv, stream) })
		}
	}
	g.to.RegisterService(&d, impl)
}

// contextStream is a stream with the call's context, which knows what it is waiting for.
type contextStream struct {
	grpc.ServerStream
	ctx       context.Context
	receiving atomic.Bool
	sending   atomic.Int64 // the number of messages that were begun and of those that got away, so that it is odd in the middle of one
}

// Context returns the call's context.
func (s *contextStream) Context() context.Context { return s.ctx }

// RecvMsg receives, and gives the context's error when the call's context has ended meanwhile, see guardStream.
func (s *contextStream) RecvMsg(m any) error {
	s.receiving.Store(true)
	defer s.receiving.Store(false)
	if err := s.ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	err := s.ServerStream.RecvMsg(m)
	if ended := s.ctx.Err(); err != nil && err != io.EOF && ended != nil {
		return status.FromContextError(ended).Err()
	}
	return err
}

// SendMsg sends.
func (s *contextStream) SendMsg(m any) error {
	s.sending.Add(1)
	defer s.sending.Add(1)
	return s.ServerStream.SendMsg(m)
}

// unblock is what a message that is being sent has to get away in when this end has cancelled its call; with the first that has not the stream ends.
const unblock = 100 * time.Millisecond

// stuck reports whether the handler of a call that has been cancelled waits for its peer; false once it has ended.
func (s *contextStream) stuck(c *call, ended <-chan struct{}) bool {
	for {
		sending := s.sending.Load()
		select {
		case <-c.done: // it was cancelled because it has ended
			<-ended
			return false
		default:
		}
		if s.receiving.Load() && !c.aside.Load() {
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(unblock):
		}
		if sending%2 == 1 && sending == s.sending.Load() {
			return true
		}
	}
}

// call is a running call on an instance, or on the plugin where instance is nil.
type call struct {
	method   string
	instance *instance
	grant    *grant
	ctx      context.Context
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when it has ended
	admitted bool          // by settle; guarded by the server's lock
	// aside says that what the call receives is received in a goroutine of its own, for which nobody waits. Who starts one sets it before: else the stream ends as soon as the call is cancelled.
	aside atomic.Bool
}

type callKey struct{}

// guard lets a call in, runs it, and turns its error or panic into a status.
func (s *Server) guard(ctx context.Context, method string, run func(context.Context) error) (err error) {
	ctx, c, err := s.enter(ctx, method)
	if err != nil {
		return err
	}
	return s.run(ctx, c, run)
}

// guardStream is guard for a stream. gRPC's Recv and Send wait for the peer alone, however long, until its handler returns: a call that this end has cancelled, because its instance is closed or the plugin
// drains, would wait for a message that may never come, or for a peer that does not read. So the handler has a goroutine to itself, and what it waits for ends with the call. A goroutine for each
// message would do as well, and costs more than the message.
func (s *Server) guardStream(stream grpc.ServerStream, method string, handler func(grpc.ServerStream) error) error {
	ctx, c, err := s.enter(stream.Context(), method)
	if err != nil {
		return err
	}
	guarded := &contextStream{ServerStream: stream, ctx: ctx}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = s.run(ctx, c, func(context.Context) error { return handler(guarded) })
	}()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
	}
	if guarded.stuck(c, ended) {
		return s.status(ctx, c, ctx.Err())
	}
	return err
}

// run runs a call that was let in.
func (s *Server) run(ctx context.Context, c *call, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "component", s.name(c), "method", c.method, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = wire.ToStatus(&component.InternalError{Component: s.name(c), Message: fmt.Sprintf("panic: %v", p)}, s.name(c))
		}
		s.leave(c)
	}()
	if err = s.settle(c); err == nil {
		err = run(ctx)
	}
	if err != nil {
		if panicked := (*component.PanicError)(nil); errors.As(err, &panicked) {
			s.log.Error("panic", "component", s.name(c), "method", c.method, "panic", panicked.Value, "stack", string(panicked.Stack))
		}
		err = s.status(ctx, c, err)
	}
	return err
}

// name is whom a call is on.
func (s *Server) name(c *call) string {
	if c.instance != nil {
		return c.instance.info.Name.String()
	}
	return s.manifest.Name
}

// status is an error as the caller is told it. A call that the plugin itself ended says why, rather than that it was cancelled.
func (s *Server) status(ctx context.Context, c *call, err error) error {
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && errors.Is(cause, component.ErrUnavailable) {
		err = cause
	}
	return wire.ToStatus(err, s.name(c))
}

// unmetered are the methods that are answered whatever state the plugin is in, and are not waited for.
func unmetered(method string) bool {
	switch method {
	case pluginv1.PluginService_Describe_FullMethodName, pluginv1.PluginService_Health_FullMethodName, pluginv1.PluginService_Drain_FullMethodName,
		pluginv1.PluginService_Close_FullMethodName, pluginv1.PluginService_Revoke_FullMethodName:
		return true
	}
	return false
}

const pluginService = "/ctdb.plugin.v1.PluginService/"

func (s *Server) enter(ctx context.Context, method string) (context.Context, *call, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	token, id := last(md, wire.TokenKey), last(md, wire.InstanceKey)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{method: method}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
		g, ok := s.grants[token]
		switch {
		case !ok:
			return nil, nil, status.Errorf(codes.Unauthenticated, "%s: the token is not known: it is wrong, or its lease has ended", s.manifest.Name)
		case g.instance.id != id || !slices.Contains(g.methods, method):
			return nil, nil, status.Errorf(codes.PermissionDenied, "%s: the lease of %s does not allow %s on %q", s.manifest.Name, g.instance.id, method, id)
		}
		c.grant = g
	}
	if unmetered(method) {
		return ctx, c, nil
	}
	if s.shut || (s.isDraining() && c.grant == nil) {
		return nil, nil, wire.ToStatus(s.ending(), s.manifest.Name)
	}
	if !strings.HasPrefix(method, pluginService) {
		i, err := s.find(id)
		if err != nil {
			return nil, nil, wire.ToStatus(err, s.manifest.Name)
		}
		c.instance = i
		i.uses.Add(1)
	}
	ctx, c.cancel = context.WithCancelCause(ctx)
	ctx = context.WithValue(component.WithDrain(ctx, s.draining), callKey{}, c)
	c.ctx, c.done = ctx, make(chan struct{})
	s.calls[c] = struct{}{}
	return ctx, c, nil
}

// settle admits a call on an instance. It first waits for the calls that have been cancelled: a caller who breaks out of a sequence goes on without waiting for this
// side to notice, and its next call must find the instance as if it had. Then it refuses what the instance cannot do at the same time: training excludes other calls
// (see [model.Model]).
func (s *Server) settle(c *call) error {
	if c.instance == nil {
		return nil
	}
	for {
		ending, err := s.admit(c)
		if ending == nil {
			return err
		}
		select {
		case <-ending:
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

// admit admits a call, or says why not, or returns what must end first.
func (s *Server) admit(c *call) (ending <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.calls {
		if other != c && other.instance == c.instance && other.ctx.Err() != nil {
			return other.done, nil
		}
	}
	if !excludes(c.method) {
		if err := s.inTraining(c.instance); err != nil {
			return nil, err
		}
		c.admitted = true
		return nil, nil
	}
	for other := range s.calls {
		if other != c && other.instance == c.instance && other.admitted {
			return nil, component.Invalid("instance", "%s cannot be trained while %s runs: training excludes other calls", c.instance.id, other.method)
		}
	}
	if c.instance.lent > 0 {
		return nil, component.Invalid("instance", "%s cannot be trained while its dynamics are lent: training excludes other calls", c.instance.id)
	}
	c.admitted = true
	return nil, nil
}

// excludes reports whether nothing else may be called on an instance meanwhile.
func excludes(method string) bool { return method == modelv1.ModelService_Train_FullMethodName }

// inTraining is an error where an instance is being trained; the caller holds the lock.
func (s *Server) inTraining(i *instance) error {
	for c := range s.calls {
		if c.instance == i && c.admitted && excludes(c.method) {
			return component.Invalid("instance", "%s is in training, which excludes other calls: wait for its end", i.id)
		}
	}
	return nil
}

func (s *Server) leave(c *call) {
	if c.cancel == nil {
		return
	}
	s.mu.Lock()
	delete(s.calls, c)
	if i := c.instance; i != nil {
		i.forget(c)
		i.uses.Done()
	}
	s.hush()
	s.mu.Unlock()
	close(c.done)
	c.cancel(nil)
}

func last(md metadata.MD, key string) string {
	if v := md.Get(key); len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// called returns the instance that a call is for, as T; what names the ability that T stands for.
func called[T any](ctx context.Context, what string) (T, *call, error) {
	c, _ := ctx.Value(callKey{}).(*call)
	v, ok := c.instance.value.(T)
	if !ok {
		return v, c, fmt.Errorf("serve: %s: %s: %w", c.instance.info.Name, what, component.ErrUnsupported)
	}
	return v, c, nil
}
