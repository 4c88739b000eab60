package serve

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"

	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	taskv1 "github.com/ctdb-host/ctdb/proto/ctdb/task/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// frames makes a frame receiver of a stream's Recv, with errors of the kinds that components know.
func frames[M interface{ GetFrame() *tensorv1.Frame }](ctx context.Context, recv func() (M, error)) func() (*tensorv1.Frame, error) {
	return func() (*tensorv1.Frame, error) {
		m, err := recv()
		if err != nil {
			return nil, received(ctx, err)
		}
		return m.GetFrame(), nil
	}
}

// received returns what the error of a receive means: the context's own error where that ended the stream.
func received(ctx context.Context, err error) error {
	if err != io.EOF && ctx.Err() != nil {
		return ctx.Err()
	}
	return wire.FromStatus(err)
}

// opened receives the first message of a stream, which says what the call is about.
func opened[M any](ctx context.Context, recv func() (M, error), what string) (M, error) {
	m, err := recv()
	if err == io.EOF {
		return m, component.Invalid("request", "the stream ends before it says %s", what)
	}
	return m, received(ctx, err)
}

// sender sends frames as messages of a stream.
func sender[M any](stream grpc.ServerStream, message func(*tensorv1.Frame) M) func(*tensorv1.Frame) error {
	return func(f *tensorv1.Frame) error { return stream.SendMsg(message(f)) }
}

// trialsOf reads which trials are meant.
func trialsOf(s taskv1.Split) (task.Split, error) {
	split, err := wire.FromSplit(s)
	if err == nil && split == "" {
		err = component.Invalid("split", "none is given: train, valid or all is needed")
	}
	return split, err
}

// need refuses an array that is missing.
func need(name string, t *tensor.Tensor) error {
	if t == nil {
		return component.Invalid(name, "is missing")
	}
	return nil
}

// progressEvery is the time between two messages on the progress of one phase: a reader sees no more, and a step of training may take microseconds.
const progressEvery = 50 * time.Millisecond

// reporter sends what a component reports, and keeps the last progress for Health.
type reporter struct {
	call *call
	log  *slog.Logger
	send func(*pluginv1.Event) error

	mu    sync.Mutex
	phase string
	at    time.Time
}

var _ component.Reporter = (*reporter)(nil)

// Progress sends a progress unless one of the same phase has just been sent. The last of a phase is always sent.
func (r *reporter) Progress(p component.Progress) {
	r.call.instance.note(r.call, p)
	r.mu.Lock()
	skip := p.Phase == r.phase && (p.Total == 0 || p.Done < p.Total) && time.Since(r.at) < progressEvery
	if !skip {
		r.phase, r.at = p.Phase, time.Now()
	}
	r.mu.Unlock()
	if !skip {
		r.event(wire.ProgressEvent(p))
	}
}

// Metric sends a metric.
func (r *reporter) Metric(m component.Metric) { r.event(wire.MetricEvent(m)) }

// Checkpoint sends a checkpoint.
func (r *reporter) Checkpoint(c component.Checkpoint) { r.event(wire.CheckpointEvent(c)) }

// Figure sends a figure. One that cannot be drawn is left out, and the log says why.
func (r *reporter) Figure(f component.Figure) {
	e, err := wire.FigureEvent(f)
	if err != nil {
		r.log.Error("a figure is left out", "component", r.call.instance.info.Name.String(), "figure", f.Name, "error", err.Error())
		return
	}
	r.event(e)
}

// event sends. Where that fails the stream is gone, and with it the call's context, which the component learns of there.
func (r *reporter) event(e *pluginv1.Event) { _ = r.send(e) }
