package serve_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// refused reports whether an error says that training excludes other calls.
func refused(err error) bool {
	var invalid *component.InvalidArgumentError
	return errors.As(err, &invalid) && invalid.Problems[0].Path == "instance" && strings.Contains(err.Error(), "training, which excludes other calls") ||
		errors.As(err, &invalid) && strings.Contains(err.Error(), "training excludes other calls")
}

// TestTrainingExcludesOtherCalls calls a model in the midst of its training, which would change its weights under those calls' feet.
func TestTrainingExcludesOtherCalls(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	m, other := openLinear(t, p.Plugin, nil), openLinear(t, p.Plugin, nil)
	weights, err := m.Save(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Dynamics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"train": func() error { _, err := m.Train(ctx, model.TrainRequest{Data: spikes{}}, nil); return err },
		"save":  func() error { _, err := m.Save(ctx); return err },
		"load":  func() error { return m.Load(ctx, weights) },
		"rollout": func() error {
			_, err := tensor.Collect(m.Rollout(ctx, model.RolloutRequest{}, spikes{}.Data(ctx, task.Valid)))
			return err
		},
		"dynamics": func() error { _, err := d.Step(ctx, tensor.New64("x", 1, 3), nil); return err },
	}
	asked := 0
	_, err = m.Train(ctx, model.TrainRequest{Data: firstAsked(&asked, func() {
		for what, call := range calls {
			if err := call(); !refused(err) {
				t.Errorf("%s in the midst of training gives %v", what, err)
			}
		}
		if _, err := other.Save(ctx); err != nil {
			t.Errorf("another instance gives %v", err)
		}
	})}, nil)
	if err != nil || asked == 0 {
		t.Fatalf("training gives %v, and asked for data %d times", err, asked)
	}
	for what, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s after training gives %v", what, err)
		}
	}
}

// firstAsked is spikes that call f when they are first asked for.
func firstAsked(count *int, f func()) model.DataSource {
	return asked(func() {
		if *count++; *count == 1 {
			f()
		}
	})
}

// TestNoTrainingDuringOtherCalls trains a model in the midst of a rollout, and once more when the rollout was broken off.
func TestNoTrainingDuringOtherCalls(t *testing.T) {
	p := inMemory(t)
	ctx := context.Background()
	m := openLinear(t, p.Plugin, nil)
	train := func() error { _, err := m.Train(ctx, model.TrainRequest{Data: spikes{}}, nil); return err }
	first, err := tensor.Collect(spikes{}.Data(ctx, task.Valid))
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	trials := func(yield func(tensor.Block, error) bool) {
		if yield(first, nil) {
			<-over
		}
	}
	seen := false
	for _, err := range m.Rollout(ctx, model.RolloutRequest{}, trials) {
		if err != nil {
			t.Fatal(err)
		}
		seen = true
		if err := train(); !refused(err) {
			t.Errorf("training in the midst of a rollout gives %v", err)
		}
		close(over)
	}
	if !seen {
		t.Error("nothing came out of the rollout")
	}
	for _, err := range m.Rollout(ctx, model.RolloutRequest{}, spikes{}.Data(ctx, task.Train)) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := train(); err != nil {
		t.Errorf("training after a rollout that was broken off gives %v", err)
	}
}

// TestEndsTrainingThatWaits closes a model whose training waits for data that do not come, and which then says where its last checkpoint is.
func TestEndsTrainingThatWaits(t *testing.T) {
	p := inMemory(t)
	m := openLinear(t, p.Plugin, nil)
	waiting, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	asked, trained := make(chan struct{}), make(chan error, 1)
	var told script
	go func() {
		_, err := m.Train(waiting, model.TrainRequest{Data: never{asked}}, &told)
		trained <- err
	}()
	<-asked
	limited, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := m.Close(limited); err != nil {
		t.Errorf("closing: %v", err)
	}
	hangUp() // its data would be waited for as well
	if err := <-trained; err == nil {
		t.Error("training without data went well")
	}
	if !strings.Contains(told.String(), "interrupted.safetensors") {
		t.Errorf("of the checkpoint nothing was told, but %q", told.String())
	}
}

// never is data that do not come; asked is closed when they are first asked for.
type never struct{ asked chan struct{} }

func (n never) Data(ctx context.Context, _ task.Split) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		close(n.asked)
		<-ctx.Done()
		yield(tensor.Block{}, ctx.Err())
	}
}

// TestEndsCallsThatWait closes instances, and drains the plugin, while calls on them wait for what their caller does not send.
func TestEndsCallsThatWait(t *testing.T) {
	p := inMemory(t)
	calling, hangUp := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer hangUp()
	// scoring is a task that scores a sequence that does not come.
	scoring := func() client.Task {
		w, sent := openWave(t, p.Plugin, nil), make(chan struct{})
		running.Go(func() {
			_, _ = w.Score(calling, task.ScoreRequest{Split: task.Train}, func(yield func(tensor.Block, error) bool) {
				// Its first block is in the component's hands when the second is asked for, or waits for it.
				y := tensor.New32("outputs", 1, 1, 1)
				if yield(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{y}}, nil) {
					close(sent)
					<-calling.Done()
				}
			})
		})
		<-sent
		return w
	}
	limited, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	loop := openPoint(t, p.Plugin, nil)
	if _, _, err := loop.(task.ClosedLoop).Begin(limited, task.EpisodeRequest{Split: task.All, Trials: []int64{0}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(scoring().Close(limited), loop.Close(limited)); err != nil {
		t.Errorf("closing: %v", err)
	}
	scoring()
	soon, done := context.WithTimeout(limited, time.Second)
	defer done()
	if err := p.Drain(soon); err != nil {
		t.Errorf("draining: %v", err)
	}
}
