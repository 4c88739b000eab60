package serve_test

import (
	"context"
	"errors"
	"strings"
	"testing"

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
