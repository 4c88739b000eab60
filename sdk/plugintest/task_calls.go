package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func taskWrongCalls(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 1)
	if err != nil {
		return err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return err
	}
	wrong := func(what string, err error) {
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("%s: %s: an invalid argument is needed", what, why)
		}
	}
	split := task.Valid
	if spec.ValidTrials == 0 {
		split = task.Train
	}
	valid, err := first(t.Trials(ctx, task.TrialRequest{Split: split, BlockTrials: 2}))
	if err != nil {
		return err
	}
	n := len(valid.Trials)
	score := func(arrays ...*tensor.Tensor) error {
		_, err := t.Score(ctx, task.ScoreRequest{Split: split}, tensor.Of(tensor.Block{Trials: valid.Trials, Arrays: arrays}))
		return err
	}
	wrong("scoring a block without outputs", score(tensor.New32("something", n, spec.Bins, spec.Outputs)))
	wrong("scoring outputs of too many channels", score(scored(spec, n, spec.Bins, 1)...))
	wrong("scoring outputs of too few bins", score(scored(spec, n, spec.Bins-1, 0)...))
	unknown := tensor.Block{Trials: []int64{1 << 40}, Arrays: scored(spec, 1, spec.Bins, 0)}
	_, err = t.Score(ctx, task.ScoreRequest{Split: split}, tensor.Of(unknown))
	wrong("scoring a trial that is not one of the split", err)
	if _, err := trialsAgain(ctx, t, split, valid); err != nil {
		v.Failf("after wrong calls: %v", err)
	}
	return nil
}

func trialsAgain(ctx context.Context, t client.Task, split task.Split, want tensor.Block) (tensor.Block, error) {
	b, err := first(t.Trials(ctx, task.TrialRequest{Split: split, BlockTrials: len(want.Trials)}))
	if err == nil {
		if d := blockDifference(b, want); d != "" {
			err = fmt.Errorf("trials are no longer the same: %s", d)
		}
	}
	return b, err
}

// first is the first block of a sequence.
func first(blocks tensor.Blocks) (tensor.Block, error) {
	for b, err := range blocks {
		return b, err
	}
	return tensor.Block{}, fmt.Errorf("there are no trials: %w", component.ErrNotFound)
}

// taskCancel cancels calls that are under way. A client's call returns at once whatever the plugin does; that it has ended there is known when the instance can be closed.
func taskCancel(ctx context.Context, s *subject, v *Verdict) error {
	for _, one := range []struct {
		what string
		call func(ctx context.Context, t client.Task) error
	}{
		{"Trials", func(ctx context.Context, t client.Task) error {
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			for _, err := range t.Trials(inner, task.TrialRequest{Split: task.Train, BlockTrials: 1}) {
				if err != nil {
					return err
				}
				break
			}
			return nil
		}},
		{"Score", func(ctx context.Context, t client.Task) error {
			inner, cancel := cancelled(ctx, 50*time.Millisecond)
			defer cancel()
			_, err := t.Score(inner, task.ScoreRequest{Split: task.Valid}, until(inner))
			if err == nil {
				return fmt.Errorf("Score gave a result although it was cancelled before its outputs came")
			}
			return nil
		}},
	} {
		t, err := s.task(ctx, seed, 1)
		if err != nil {
			return err
		}
		if err := one.call(ctx, t); err != nil {
			v.Failf("%v", err)
		}
		s.closeInTime(ctx, v, one.what, t)
	}
	return nil
}

// cancelled is a context that is cancelled after a time. A deadline would not do: the other end is told of one, and ends by itself.
func cancelled(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	t := time.AfterFunc(d, cancel)
	return ctx, func() {
		t.Stop()
		cancel()
	}
}

// closeInTime closes an instance whose call was cancelled, which waits for the call.
func (s *subject) closeInTime(ctx context.Context, v *Verdict, what string, i closer) {
	limited, cancel := context.WithTimeout(ctx, s.options.CancelTime)
	began := time.Now()
	defer cancel()
	// The other end knows the deadline too, and may be first.
	if err := i.Close(limited); err != nil && (limited.Err() != nil || errors.Is(err, context.DeadlineExceeded)) {
		v.Failf("%s was cancelled and has not ended %v later: look at the context now and then, also while waiting", what, s.options.CancelTime)
	} else if err != nil {
		v.Failf("closing it after %s was cancelled: %v", what, err)
	} else if took := time.Since(began); took > time.Second {
		v.Notef("%s took %.1f s to end: the protocol asks for one", what, took.Seconds())
	}
}
