package client

import (
	"context"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/types/known/durationpb"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// maxFeeds bounds the sequences of data that a model may have open at once.
const maxFeeds = 64

// Train trains the model where it is. What it reports and the data that it asks for go over the stream.
func (m *remoteModel) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if report == nil {
		report = component.Discard{}
	}
	start := &modelv1.TrainStart{OnData: req.Data != nil}
	if req.Task != nil {
		lease, release, err := leaseTask(ctx, req.Task)
		if err != nil {
			return model.TrainResult{}, err
		}
		defer release()
		start.Task = lease
	}
	if req.CheckpointEvery > 0 {
		start.CheckpointEvery = durationpb.New(req.CheckpointEvery)
	}
	if req.MaxTime > 0 {
		start.MaxTime = durationpb.New(req.MaxTime)
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := m.rpc.Train(m.outgoing(inner))
	if err != nil {
		return model.TrainResult{}, typed(ctx, err)
	}
	t := &training{name: m.name, ctx: inner, cancel: cancel, stream: stream, data: req.Data, feeds: map[uint64]*feed{}}
	result, err := t.run(ctx, start, report)
	hangUp(cancel, stream.Recv)
	t.running.Wait()
	if t.failed != nil {
		err = t.failed
	}
	if err != nil {
		return model.TrainResult{}, err
	}
	return result, nil
}

// training is one call of Train.
type training struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	stream modelv1.ModelService_TrainClient
	data   model.DataSource

	sending sync.Mutex // guards stream.Send
	feeds   map[uint64]*feed
	running sync.WaitGroup

	failure sync.Mutex
	failed  error // why a source of data failed; read when running is done
}

func (t *training) run(ctx context.Context, start *modelv1.TrainStart, report component.Reporter) (model.TrainResult, error) {
	// Where the stream has ended, the reason comes with the first receive.
	if err := t.send(&modelv1.TrainRequest{Request: &modelv1.TrainRequest_Start{Start: start}}); err != nil && err != io.EOF {
		return model.TrainResult{}, typed(ctx, err)
	}
	var last wire.Assembler
	var weights tensor.Set
	for {
		m, err := t.stream.Recv()
		if err == io.EOF {
			return model.TrainResult{}, fmt.Errorf("client: %s: training ended without a result: %w", t.name, component.ErrUnavailable)
		}
		if err != nil {
			return model.TrainResult{}, typed(ctx, err)
		}
		switch r := m.GetResponse().(type) {
		case *modelv1.TrainResponse_Event:
			if err := wire.Report(r.Event, report); err != nil {
				return model.TrainResult{}, err
			}
		case *modelv1.TrainResponse_Want:
			if err := t.want(r.Want); err != nil {
				return model.TrainResult{}, err
			}
		case *modelv1.TrainResponse_Last:
			b, _, err := last.Push(r.Last)
			if err != nil {
				return model.TrainResult{}, err
			}
			if b != nil {
				if weights != nil || len(b.Trials) > 0 {
					return model.TrainResult{}, component.Invalid("result.last", "%s sent blocks of trials: one set of weights is needed", t.name)
				}
				weights = b.Arrays
			}
		case *modelv1.TrainResponse_Result:
			result, err := wire.FromTrained(r.Result)
			if err != nil {
				return result, err
			}
			if r.Result.GetHasLast() && weights == nil {
				return result, component.Invalid("result.last", "%s sent no weights of the last epoch", t.name)
			}
			result.Last = weights
			// The stream's end is the end of the call.
			if _, err := t.stream.Recv(); err != io.EOF {
				return result, typed(ctx, err)
			}
			return result, nil
		}
	}
}

func (t *training) send(m *modelv1.TrainRequest) error {
	t.sending.Lock()
	defer t.sending.Unlock()
	return t.stream.Send(m)
}

func (t *training) want(w *modelv1.TrainWant) error {
	f := t.feeds[w.GetSequence()]
	switch {
	case w.GetDone():
		if f != nil {
			f.cancel()
			delete(t.feeds, w.GetSequence())
		}
		return nil
	case f != nil:
		f.give(w.GetBlocks())
		return nil
	case t.data == nil:
		return component.Invalid("want", "%s asks for data, but was not given any to train on", t.name)
	case len(t.feeds) == maxFeeds:
		return component.Invalid("want", "%s asks for more than %d sequences of data at once", t.name, maxFeeds)
	}
	split, err := wire.FromSplit(w.GetSplit())
	if err == nil && split != task.Train && split != task.Valid {
		err = component.Invalid("want.split", "%s asks for split %q: train or valid is allowed", t.name, split)
	}
	if err != nil {
		return err
	}
	f = &feed{wake: make(chan struct{}, 1)}
	f.ctx, f.cancel = context.WithCancel(t.ctx)
	f.give(w.GetBlocks())
	t.feeds[w.GetSequence()] = f
	t.running.Go(func() {
		defer f.cancel()
		if err := guarded(func() error { return t.feed(f, w.GetSequence(), split) }); err != nil && f.ctx.Err() == nil && !isSend(err) {
			t.failure.Lock()
			if t.failed == nil {
				t.failed = err
			}
			t.failure.Unlock()
			t.cancel()
		}
	})
	return nil
}

// feed sends a sequence, a block for each that was asked for.
func (t *training) feed(f *feed, sequence uint64, split task.Split) error {
	w := wire.Sender{Send: func(frame *tensorv1.Frame) error {
		if f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		return t.send(&modelv1.TrainRequest{Request: &modelv1.TrainRequest_Data{Data: &modelv1.TrainData{Sequence: sequence, Frame: frame}}})
	}}
	for b, err := range t.data.Data(f.ctx, split) {
		if err != nil {
			return err
		}
		if err := f.take(); err != nil {
			return err
		}
		if err := w.Block(b); err != nil {
			return err
		}
	}
	return w.End()
}

// feed is a sequence of data that a model has asked for.
type feed struct {
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}

	mu     sync.Mutex
	blocks uint64 // that may still be sent
}

func (f *feed) give(blocks uint32) {
	f.mu.Lock()
	f.blocks += uint64(blocks)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// take waits until a block may be sent.
func (f *feed) take() error {
	for {
		f.mu.Lock()
		ok := f.blocks > 0
		if ok {
			f.blocks--
		}
		f.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-f.wake:
		case <-f.ctx.Done():
			return f.ctx.Err()
		}
	}
}
