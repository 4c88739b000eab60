package plugintest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// overseer hears what a training reports, and looks at its checkpoints as they are announced.
type overseer struct {
	dir string
	// first is called when the first checkpoint comes; may be nil.
	first func()

	mu          sync.Mutex
	progress    int
	metrics     []component.Metric
	checkpoints int
	problems    []string
	// last is the hash of each file as it was announced last.
	last map[string]string
}

// whole holds the files to the hashes that were announced last, once training is over.
func (o *overseer) whole(v *Verdict) {
	for _, problem := range o.problems {
		v.Failf("%s", problem)
	}
	for file, want := range o.last {
		// One that is no longer there was not needed any more.
		if b, err := os.ReadFile(filepath.Join(o.dir, file)); err == nil && !v.failed() {
			if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
				v.Failf("checkpoint %q has the hash %x, but %s was announced last", file, sum, want)
			}
		}
	}
}

// Progress counts.
func (o *overseer) Progress(component.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.progress++
}

// Metric keeps it.
func (o *overseer) Metric(m component.Metric) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metrics = append(o.metrics, m)
}

// Figure passes.
func (o *overseer) Figure(component.Figure) {}

// Checkpoint looks whether the file is there.
func (o *overseer) Checkpoint(c component.Checkpoint) {
	o.mu.Lock()
	o.checkpoints++
	first := o.checkpoints == 1
	if c.File == "" || filepath.Base(c.File) != c.File {
		o.problems = append(o.problems, fmt.Sprintf("a checkpoint is announced as %q: the name of a file in the instance's folder is needed", c.File))
	} else if _, err := os.Stat(filepath.Join(o.dir, c.File)); err != nil {
		o.problems = append(o.problems, fmt.Sprintf("checkpoint %q is announced, but %v: a file is announced when it is complete and has its final name", c.File, err))
	} else if len(c.SHA256) != 2*sha256.Size {
		o.problems = append(o.problems, fmt.Sprintf("checkpoint %q is announced with the hash %q: SHA-256 in hexadecimal is needed", c.File, c.SHA256))
	}
	if o.last == nil {
		o.last = map[string]string{}
	}
	o.last[c.File] = c.SHA256
	o.mu.Unlock()
	if first && o.first != nil {
		o.first()
	}
}

func modelTrain(ctx context.Context, s *subject, v *Verdict) error {
	l, err := s.lesson(ctx, 0)
	if err != nil {
		return err
	}
	env, err := s.env(seed, 2)
	if err != nil {
		return err
	}
	m, err := s.model(ctx, env, l.target)
	if err != nil {
		return err
	}
	before, err := saved(ctx, m)
	if err != nil {
		return fmt.Errorf("calling Save of the initial weights: %w", err)
	}
	o := &overseer{dir: env.Dir}
	done := make(chan struct{})
	var watched sync.WaitGroup
	watched.Go(func() {
		for range 20 {
			s.healthy(ctx, v, "it trains")
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	began := time.Now()
	result, err := m.Train(ctx, l.request(), o)
	took := time.Since(began)
	close(done)
	watched.Wait()
	if err != nil {
		return fmt.Errorf("calling Train: %w", err)
	}
	o.whole(v)
	if result.Stopped == "" {
		v.Failf("the result does not say why training ended: epochs, steps, early-stopping or time is needed")
	}
	if result.Steps < 0 || result.Epochs < 0 {
		v.Failf("the result has %d steps and %d epochs", result.Steps, result.Epochs)
	}
	if math.IsInf(result.LastLoss, 0) || math.IsInf(result.BestLoss, 0) {
		v.Failf("the result has a last loss of %v and a best one of %v: finite numbers, or NaN where there is none, are needed", result.LastLoss, result.BestLoss)
	}
	for _, metric := range o.metrics {
		if metric.Name == "" || metric.Step < 0 || metric.Epoch < 0 || math.IsInf(metric.Value, 0) {
			v.Failf("metric %+v: a name, a step and an epoch from 0 and a finite value are needed", metric)
		}
	}
	if o.progress == 0 && len(o.metrics) == 0 {
		v.Failf("it reports neither progress nor metrics: whoever waits needs to know that it lives")
	}
	after, err := saved(ctx, m)
	if err != nil {
		return fmt.Errorf("calling Save: %w", err)
	}
	for _, w := range after {
		if err := w.CheckFinite(); err != nil {
			v.Failf("after training: %v", err)
		}
	}
	if setDifference(before, after) == "" {
		v.Failf("training has changed none of the weights")
	}
	if len(result.Last) > 0 && len(result.Last) != len(after) {
		v.Failf("the result holds %d weights of the last epoch, the model has %d", len(result.Last), len(after))
	}
	v.Notef("%d epochs in %.2f s, %d metrics, %d checkpoints", result.Epochs, took.Seconds(), len(o.metrics), o.checkpoints)
	return nil
}

func modelResume(ctx context.Context, s *subject, v *Verdict) error {
	if !s.promised(v) {
		return nil
	}
	l, err := s.lesson(ctx, 0)
	if err != nil {
		return err
	}
	want, err := s.weightsOf(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	env, err := s.env(seed, 1)
	if err != nil {
		return err
	}
	req := l.request()
	req.CheckpointEvery = time.Nanosecond
	m, err := s.model(ctx, env, l.target)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	o := &overseer{dir: env.Dir, first: cancel}
	_, err = m.Train(inner, req, o)
	for _, problem := range o.problems {
		v.Failf("%s", problem)
	}
	switch {
	case o.checkpoints == 0 && err == nil:
		v.Skipf("it announces no checkpoints")
		return nil
	case err != nil && !errors.Is(err, context.Canceled):
		return fmt.Errorf("calling Train with checkpoints: %w", err)
	}
	if s.closeInTime(ctx, v, "Train", m); v.failed() {
		return nil
	}
	again, err := s.model(ctx, env, l.target)
	if err != nil {
		return fmt.Errorf("with the folder of an interrupted training: %w", err)
	}
	if _, err := again.Train(ctx, req, component.Discard{}); err != nil {
		return fmt.Errorf("going on from a checkpoint: %w", err)
	}
	got, err := saved(ctx, again)
	if err != nil {
		return err
	}
	if d := setDifference(want, got); d != "" {
		v.Failf("trained in one go, and interrupted after the first checkpoint: %s: the checkpoint must hold all that training goes on from", d)
	}
	return nil
}

// endless are the parameters of a training that takes long: more of what known names count.
func (s *subject) endless(ctx context.Context) param.Values {
	values := maps.Clone(s.values)
	for _, name := range []string{"epochs", "n_epochs", "max_epochs", "num_epochs", "train_steps", "iterations", "n_iterations", "max_iter"} {
		f, ok := s.info.Params.Field(name)
		if !ok || f.Type != param.Int {
			continue
		}
		try := maps.Clone(values)
		try[name] = int64(1_000_000)
		if !math.IsNaN(f.Max) {
			try[name] = int64(min(f.Max, 1_000_000))
		}
		if verdict, err := s.validate(ctx, try); err == nil && len(verdict.Problems) == 0 {
			values = try
		}
	}
	return values
}

// stalled is data that stops coming after its first block.
type stalled struct{ model.DataSource }

// Data implements [model.DataSource].
func (d stalled) Data(ctx context.Context, split task.Split) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range d.DataSource.Data(ctx, split) {
			if !yield(b, err) {
				return
			}
			<-ctx.Done()
			yield(tensor.Block{}, ctx.Err())
			return
		}
	}
}

// asked is data that tells when it is asked for.
type asked struct {
	model.DataSource
	seen func()
}

// Data implements [model.DataSource].
func (d asked) Data(ctx context.Context, split task.Split) tensor.Blocks {
	d.seen()
	return d.DataSource.Data(ctx, split)
}

// unseenTime is what a training that neither reports nor asks for data of ours has to begin in before it is cancelled.
const unseenTime = time.Second

func modelCancel(ctx context.Context, s *subject, v *Verdict) error {
	kept := s.values
	s.values = s.endless(ctx)
	defer func() { s.values = kept }()
	l, err := s.lesson(ctx, 0)
	if err != nil {
		return err
	}
	train := func(what string, req model.TrainRequest, wait time.Duration) error {
		env, err := s.env(seed, 1)
		if err != nil {
			return err
		}
		m, err := s.model(ctx, env, l.target)
		if err != nil {
			return err
		}
		inner, cancel := cancelled(ctx, unseenTime)
		defer cancel()
		// Cancelled before it runs there, a training would have nothing to end.
		seen := sync.OnceFunc(func() { time.AfterFunc(wait, cancel) })
		if req.Data != nil {
			req.Data = asked{req.Data, seen}
		}
		began := time.Now()
		if _, err = m.Train(inner, req, onProgress(seen)); err == nil {
			v.Notef("the training ended by itself after %.1f s", time.Since(began).Seconds())
		} else if inner.Err() == nil {
			return fmt.Errorf("calling Train: %w", err)
		}
		s.closeInTime(ctx, v, what, m)
		return nil
	}
	if err := train("Train", l.request(), 300*time.Millisecond); err != nil {
		return err
	}
	const waiting = "Train, while it waited for data,"
	if l.data == nil {
		if l.task, err = s.foil.OpenTask(ctx, component.Name{Kind: component.Task, Short: "foil"}, param.Values{"block": 5, "stall": true}, component.Env{Seed: 3, Threads: 1}); err != nil {
			return err
		}
		err := train(waiting, l.request(), 200*time.Millisecond)
		return errors.Join(err, l.task.Close(ctx))
	}
	r, _, err := s.recording(ctx, 5)
	if err != nil {
		return err
	}
	return train(waiting, model.TrainRequest{Data: stalled{r}}, 200*time.Millisecond)
}
