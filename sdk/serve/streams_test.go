package serve_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	tensorv1 "github.com/ctdb-host/ctdb/proto/ctdb/tensor/v1"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// TestSourceFails says that the caller gets its own error back where what it sends fails.
func TestSourceFails(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	mine := errors.New("the disk is on fire")
	failing := func(yield func(tensor.Block, error) bool) {
		if yield(tensor.Block{Trials: []int64{1}, Arrays: tensor.Set{tensor.New32(simulator.Latents, 1, 2)}}, nil) {
			yield(tensor.Block{}, mine)
		}
	}
	m := openLinear(t, p.Plugin, nil)
	if _, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{}, failing)); !errors.Is(err, mine) {
		t.Errorf("rollout gives %v", err)
	}
	if _, err := m.Train(ctx, model.TrainRequest{Data: source{failing}}, nil); !errors.Is(err, mine) {
		t.Errorf("training gives %v", err)
	}
	s, err := p.OpenSimulator(ctx, name(component.Simulator, "scale"), nil, testEnv, simulator.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fit(ctx, failing); !errors.Is(err, mine) {
		t.Errorf("fit gives %v", err)
	}
	if _, err := openWave(t, p.Plugin, nil).Score(ctx, task.ScoreRequest{Split: task.Train}, failing); !errors.Is(err, mine) {
		t.Errorf("score gives %v", err)
	}
	misshapen := tensor.Of(tensor.Block{Trials: []int64{1, 2}, Arrays: tensor.Set{tensor.New32("x", 1, 2)}})
	if _, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{}, misshapen)); !errors.Is(err, tensor.ErrShape) {
		t.Errorf("a block of the wrong shape gives %v", err)
	}
}

type source struct{ blocks tensor.Blocks }

func (s source) Data(context.Context, task.Split) tensor.Blocks { return s.blocks }

// TestSlowConsumerHoldsTheProducerBack leaves a stream after one block of many.
func TestSlowConsumerHoldsTheProducerBack(t *testing.T) {
	p := inMemory(t)
	// 1000 blocks of 1 MiB.
	w := openWave(t, p.Plugin, param.Values{"blocks": 1000, "trials": 256, "bins": 1024})
	ctx := context.Background()
	n := 0
	for _, err := range w.Trials(ctx, task.TrialRequest{Split: task.Train}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 5 {
			break
		}
	}
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if made := p.probe.blocks.Load(); made > 5+2*client.StreamWindow>>20 {
		t.Errorf("%d blocks of 1 MiB were made for a consumer of 5", made)
	}

	// And the other way: a model that leaves off after a block, fed from here.
	m := openLinear(t, p.Plugin, nil)
	sent := 0
	endless := func(yield func(tensor.Block, error) bool) {
		for {
			sent++
			if !yield(tensor.Block{Trials: []int64{int64(sent)}, Arrays: tensor.Set{tensor.New32("x", 1, 1<<18)}}, nil) {
				return
			}
		}
	}
	n = 0
	for _, err := range m.Rollout(ctx, model.RolloutRequest{}, endless) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	if sent > 3+4*client.StreamWindow>>20 {
		t.Errorf("%d blocks of 1 MiB were sent for a consumer of 3", sent)
	}
}

// TestEarlyBreakLeaksNothing breaks out of every kind of sequence.
func TestEarlyBreakLeaksNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := inMemory(t)
	ctx := context.Background()
	w := openWave(t, p.Plugin, param.Values{"blocks": 100, "trials": 64, "bins": 1024})
	for range w.Trials(ctx, task.TrialRequest{Split: task.Train}) {
		break
	}
	m := openLinear(t, p.Plugin, nil)
	for range m.Rollout(ctx, model.RolloutRequest{}, w.Trials(ctx, task.TrialRequest{Split: task.Train})) {
		break
	}
	short, cancel := context.WithCancel(ctx)
	_, err := m.Train(short, model.TrainRequest{Data: asked(cancel)}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled training gives %v", err)
	}
	if _, err := m.Train(ctx, model.TrainRequest{Data: spikes{}}, nil); err != nil {
		t.Error(err)
	}
	e, _, err := openPoint(t, p.Plugin, nil).(task.ClosedLoop).Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: []int64{0}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.End(ctx); err != nil {
		t.Error(err)
	}
	func() {
		defer func() { _ = recover() }()
		for range m.Rollout(ctx, model.RolloutRequest{}, w.Trials(ctx, task.TrialRequest{Split: task.Train})) {
			panic("in the consumer")
		}
	}()
	p.close(t)
}

// close ends both sides before the test does.
func (p *peer) close(t testing.TB) {
	t.Helper()
	if err := p.conn.Close(); err != nil {
		t.Error(err)
	}
	p.stop()
}

// TestDamagedChunkIsNoticed flips a bit on the way, in either direction.
func TestDamagedChunkIsNoticed(t *testing.T) {
	l := bufconn.Listen(1 << 20)
	flip := false
	damage := func(m any) {
		if f, ok := m.(interface{ GetFrame() *tensorv1.Frame }); ok && flip && len(f.GetFrame().GetData()) > 0 {
			data := slices.Clone(f.GetFrame().GetData())
			data[len(data)/2] ^= 1
			f.GetFrame().Data = data
		}
	}
	p := serveOn(t, l, "",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, method string, s grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := s(ctx, d, cc, method, o...)
			return &damaging{stream, damage}, err
		}))
	ctx := context.Background()
	w, m := openWave(t, p.Plugin, nil), openLinear(t, p.Plugin, nil)
	if _, err := tensor.Collect(w.Trials(ctx, task.TrialRequest{Split: task.Train})); err != nil {
		t.Fatal(err)
	}
	flip = true
	if _, err := tensor.Collect(w.Trials(ctx, task.TrialRequest{Split: task.Train})); !errors.Is(err, component.ErrChecksum) {
		t.Errorf("damage on the way here gives %v", err)
	}
	if _, err := w.Score(ctx, task.ScoreRequest{Split: task.Train}, spikes{}.Data(ctx, task.Train)); !errors.Is(err, component.ErrChecksum) {
		t.Errorf("damage on the way there gives %v", err)
	}
	if err := m.Load(ctx, tensor.Set{tensor.New64("a", 3, 3)}); !errors.Is(err, component.ErrChecksum) {
		t.Errorf("damaged weights give %v", err)
	}
}

type damaging struct {
	grpc.ClientStream
	damage func(any)
}

func (d *damaging) SendMsg(m any) error {
	d.damage(m)
	return d.ClientStream.SendMsg(m)
}

func (d *damaging) RecvMsg(m any) error {
	err := d.ClientStream.RecvMsg(m)
	if err == nil {
		d.damage(m)
	}
	return err
}
