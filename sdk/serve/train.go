package serve

import (
	"context"
	"fmt"
	"io"
	"sync"

	modelv1 "github.com/ctdb-host/ctdb/proto/ctdb/model/v1"
	pluginv1 "github.com/ctdb-host/ctdb/proto/ctdb/plugin/v1"
	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/internal/wire"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Train trains the model.
func (m *modelServer) Train(stream modelv1.ModelService_TrainServer) error {
	ctx := stream.Context()
	v, c, err := called[model.Model](ctx, notModel)
	if err != nil {
		return err
	}
	first, err := opened(ctx, stream.Recv, "what to train on")
	if err != nil {
		return err
	}
	start := first.GetStart()
	if (start.GetTask() == nil) != start.GetOnData() {
		return component.Invalid("train", "either a task or data to train on is needed")
	}
	out := &trainStream{stream: stream}
	req := model.TrainRequest{CheckpointEvery: start.GetCheckpointEvery().AsDuration(), MaxTime: start.GetMaxTime().AsDuration()}
	if start.GetOnData() {
		source := &dataSource{stream: out, ctx: ctx, sequences: map[uint64]*sequence{}, ended: make(chan struct{})}
		// It ends with the stream, at the latest when this call returns.
		c.aside.Store(true)
		go source.receive()
		req.Data = source
	} else {
		t, release, err := m.s.leasedTask(start.GetTask())
		if err != nil {
			return err
		}
		defer release()
		req.Task = t
	}
	defer c.instance.stale()
	result, err := v.Train(ctx, req, &reporter{call: c, log: m.s.log, send: func(e *pluginv1.Event) error {
		return out.send(&modelv1.TrainResponse{Response: &modelv1.TrainResponse_Event{Event: e}})
	}})
	if err != nil {
		return err
	}
	if result.Last != nil {
		err := wire.SendSet(result.Last, func(f *tensorv1.Frame) error {
			return out.send(&modelv1.TrainResponse{Response: &modelv1.TrainResponse_Last{Last: f}})
		})
		if err != nil {
			return err
		}
	}
	return out.send(&modelv1.TrainResponse{Response: &modelv1.TrainResponse_Result{Result: wire.ToTrained(result)}})
}

// trainStream lets several goroutines send.
type trainStream struct {
	stream modelv1.ModelService_TrainServer
	mu     sync.Mutex
}

func (s *trainStream) send(m *modelv1.TrainResponse) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stream.Send(m)
}

// ahead is how many blocks of a sequence may be here or on their way before the model takes them: one to work on the next at once.
const ahead = 2

// dataSource is the caller's data, asked for over the stream as the model ranges over it.
type dataSource struct {
	stream *trainStream
	ctx    context.Context

	mu        sync.Mutex
	last      uint64
	sequences map[uint64]*sequence
	ended     chan struct{} // closed when nothing more will come
	err       error         // why, read after ended
}

// sequence is one range over a split.
type sequence struct {
	assembler wire.Assembler // used by receive alone
	items     chan item
}

// item is a block, the end of its sequence, or both.
type item struct {
	block *tensor.Block
	ended bool
	err   error
}

// receive takes what comes in to the sequences that it belongs to.
func (d *dataSource) receive() {
	defer close(d.ended)
	// Nothing else would catch a panic on this goroutine, and one frame of a peer must not end the process.
	defer component.Recover(&d.err)
	for {
		m, err := d.stream.stream.Recv()
		if err != nil {
			if err == io.EOF {
				err = fmt.Errorf("serve: the caller sends no more data: %w", component.ErrUnavailable)
			}
			d.err = received(d.ctx, err)
			return
		}
		data := m.GetData()
		if data == nil {
			d.err = component.Invalid("data", "%T where a piece of data is expected", m.GetRequest())
			return
		}
		d.mu.Lock()
		s := d.sequences[data.GetSequence()]
		d.mu.Unlock()
		if s == nil {
			continue // no longer wanted
		}
		b, ended, err := s.assembler.Push(data.GetFrame())
		if b == nil && !ended && err == nil {
			continue
		}
		if b != nil && err == nil {
			err = b.Check()
		}
		select {
		case s.items <- item{b, ended, err}:
		default:
			d.err = component.Invalid("data", "more blocks of sequence %d than were asked for", data.GetSequence())
			return
		}
	}
}

// Data gives the trials of a split, as often as wanted.
func (d *dataSource) Data(ctx context.Context, split task.Split) tensor.Blocks {
	p, err := wire.ToSplit(split)
	if err == nil && split != task.Train && split != task.Valid {
		err = component.Invalid("split", "%q: train or valid is needed", split)
	}
	if err != nil {
		return tensor.Fail(err)
	}
	return func(yield func(tensor.Block, error) bool) {
		s := &sequence{items: make(chan item, ahead+2)}
		d.mu.Lock()
		d.last++
		id := d.last
		d.sequences[id] = s
		d.mu.Unlock()
		finished := false
		defer func() {
			d.mu.Lock()
			delete(d.sequences, id)
			d.mu.Unlock()
			if !finished {
				_ = d.want(&modelv1.TrainWant{Sequence: id, Done: true})
			}
		}()
		if err := d.want(&modelv1.TrainWant{Sequence: id, Split: p, Blocks: ahead}); err != nil {
			yield(tensor.Block{}, received(d.ctx, err))
			return
		}
		for {
			next, err := d.next(ctx, s)
			if err != nil {
				yield(tensor.Block{}, err)
				return
			}
			finished = next.ended
			if !finished {
				if err := d.want(&modelv1.TrainWant{Sequence: id, Split: p, Blocks: 1}); err != nil {
					yield(tensor.Block{}, received(d.ctx, err))
					return
				}
			} else {
				// Lets the caller forget the sequence.
				_ = d.want(&modelv1.TrainWant{Sequence: id, Done: true})
			}
			if next.block != nil && !yield(*next.block, nil) {
				return
			}
			if finished {
				return
			}
		}
	}
}

// next waits for the next item of a sequence. What has arrived goes before the end of the stream.
func (d *dataSource) next(ctx context.Context, s *sequence) (item, error) {
	select {
	case it := <-s.items:
		return it, it.err
	default:
	}
	select {
	case it := <-s.items:
		return it, it.err
	case <-ctx.Done():
		return item{}, ctx.Err()
	case <-d.ctx.Done():
		return item{}, d.ctx.Err()
	case <-d.ended:
		select {
		case it := <-s.items:
			return it, it.err
		default:
			return item{}, d.err
		}
	}
}

func (d *dataSource) want(w *modelv1.TrainWant) error {
	return d.stream.send(&modelv1.TrainResponse{Response: &modelv1.TrainResponse_Want{Want: w}})
}
