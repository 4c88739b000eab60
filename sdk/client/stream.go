package client

import (
	"context"
	"errors"
	"fmt"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// producer sends one side of a stream from a goroutine of its own, while the caller receives the other.
type producer struct {
	done   chan struct{}
	err    error
	hangUp func()
}

// produce starts send. Where send fails for a reason of its own, e.g. the sequence that it sends yields an error or panics, the stream is cancelled.
func produce[M any](cancel context.CancelFunc, recv func() (M, error), send func() error) *producer {
	p := &producer{done: make(chan struct{}), hangUp: func() { hangUp(cancel, recv) }}
	go func() {
		defer close(p.done)
		err := guarded(send)
		if err != nil && !isSend(err) {
			p.err = err
			cancel()
		}
	}()
	return p
}

// guarded calls f, which runs somebody's sequence on a goroutine where nothing else would catch its panic.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("client: panic in the sequence that is sent: %v", r)
		}
	}()
	return f()
}

// finish ends the stream, waits for the goroutine and returns the reason of a failure: the producer's own where it has one, else err,
// what the receiving side has seen.
func (p *producer) finish(err error) error {
	p.hangUp()
	<-p.done
	if p.err != nil {
		return p.err
	}
	return err
}

// hangUp cancels a stream and returns when the transport has been told, so that the other side learns of it before it sees the next call.
func hangUp[M any](cancel context.CancelFunc, recv func() (M, error)) {
	cancel()
	for {
		if _, err := recv(); err != nil {
			return
		}
	}
}

// through yields what recv brings while trials are sent.
func through(cancel context.CancelFunc, send func() error, recv func() (*tensorv1.Frame, error), yield func(tensor.Block, error) bool) {
	p := produce(cancel, recv, send)
	for b, err := range wire.Receive(recv) {
		if err != nil {
			yield(tensor.Block{}, p.finish(err))
			return
		}
		if !yieldOr(p, b, yield) {
			return
		}
	}
	if err := p.finish(nil); err != nil {
		yield(tensor.Block{}, err)
	}
}

// yieldOr yields a block and ends the stream where the consumer wants no more, or panics.
func yieldOr(p *producer, b tensor.Block, yield func(tensor.Block, error) bool) bool {
	more := false
	defer func() {
		if !more {
			_ = p.finish(nil)
		}
	}()
	more = yield(b, nil)
	return more
}

// frames makes a frame receiver of a stream's Recv.
func frames[M interface{ GetFrame() *tensorv1.Frame }](ctx context.Context, recv func() (M, error)) func() (*tensorv1.Frame, error) {
	return func() (*tensorv1.Frame, error) {
		m, err := recv()
		if err != nil {
			return nil, typed(ctx, err)
		}
		return m.GetFrame(), nil
	}
}

// sendAll sends a sequence and closes the sending side.
func sendAll(blocks tensor.Blocks, send func(*tensorv1.Frame) error, closeSend func() error) error {
	if err := wire.SendBlocks(blocks, send); err != nil {
		return err
	}
	return closeSend()
}

// isSend reports whether err is of the transport, whose reason the receiving side learns.
func isSend(err error) bool {
	var s *wire.SendError
	return errors.As(err, &s)
}
