package train

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
)

// A loss that explodes and stays finite ends the training too, with the step, the loss and the parameter with the largest gradient; so does one in validation alone.
func TestExplosion(t *testing.T) {
	c := config()
	c.Optimiser.LR, c.Clip = 1e6, 0
	_, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil)
	var e *component.DivergedError
	if !errors.As(err, &e) || e.Step != 4 || !(e.Value > 1e6) || math.IsInf(e.Value, 0) || !strings.HasPrefix(e.Quantity, "loss (largest gradient: ") || !strings.HasSuffix(e.Quantity, ", of line.weight)") {
		t.Errorf("error is %v", err)
	}
	c.MaxGrowth = math.Inf(1)
	if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil {
		t.Errorf("without a bound: %v", err)
	}
	c.Optimiser.LR = 1e39 // beyond float32: the weights leave the finite numbers in the first step
	if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); !errors.As(err, &e) {
		t.Errorf("a learning rate beyond float32: %v", err)
	}
	// In the only step there is, no loss tells of it.
	c.BatchSize, c.Epochs = 1000, 1
	s := source[float32](t)
	s.Valid = nil
	if _, err := Fit(t.Context(), newStraight[float32](), s, c, nil); !errors.As(err, &e) || !strings.HasPrefix(e.Quantity, "weight of line.weight, loss ") || e.Step != 0 {
		t.Errorf("weights that are not finite: %v", err)
	}
	c = config()
	v := source[float64](t)
	far := points(70, 20)
	far.Arrays[1].F64[0] = 1e9
	d := loaded[float64](t, far)
	v.Valid = func(context.Context) (*Data[float64], error) { return d, nil }
	if _, err := Fit(t.Context(), newStraight[float64](), v, c, nil); !errors.As(err, &e) || !strings.HasPrefix(e.Quantity, "validation loss (largest gradient: ") || e.Step != 4 {
		t.Errorf("in validation: %v", err)
	}
}

// A limit by steps ends within an epoch, whose part is validated, whether the training was cut or not.
func TestMaxSteps(t *testing.T) {
	c := config()
	c.MaxSteps, c.Env.Dir = 13, t.TempDir()
	var m metrics
	r, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, &m)
	if err != nil || r.Steps != 13 || r.Epochs != 3 || r.Stopped != "steps" || len(m.names["valid/loss"]) != 3 || m.step != 13 {
		t.Errorf("result is %+v, %v", r, err)
	}
	want, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut <= 13; cut++ {
		c.Env.Dir, c.CheckpointEvery = t.TempDir(), 1
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := Fit(ctx, newStraight[float64](), source[float64](t), c, &cutter{left: cut, cancel: cancel}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c.CheckpointEvery = 0
		if _, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("cut %d: the checkpoint differs: %v", cut, err)
		}
	}
	// With another limit a training goes on from its checkpoint as far as it may now.
	for _, next := range []struct {
		limit, epochs       int
		wantSteps, wantDone int64
		stopped             string
	}{
		{20, 60, 20, 5, "steps"}, // 13 steps in three epochs, the last of them cut; then epochs of 5
		{4, 60, 20, 5, "steps"},  // nothing to do
		{0, 5, 20, 5, "epochs"},
		{25, 7, 25, 6, "steps"},
		{0, 7, 30, 7, "epochs"},
		{8, 9, 30, 7, "steps"}, // more epochs, of which the limit allows none
		{32, 9, 32, 8, "steps"},
	} {
		c.MaxSteps, c.Epochs = next.limit, next.epochs
		r, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil)
		if err != nil || r.Steps != next.wantSteps || r.Epochs != next.wantDone || r.Stopped != next.stopped || !finite(r.LastLoss) || !finite(r.BestLoss) {
			t.Errorf("%+v: %+v, %v", next, r, err)
		}
	}
	c = config()
	c.MaxSteps, c.Env.Dir = 1000, ""
	if r, err = Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil || r.Stopped != "epochs" || r.Steps != 300 {
		t.Errorf("a limit beyond the epochs: %+v, %v", r, err)
	}
}

// More epochs than a finished training had go on from where it ended.
func TestMoreEpochs(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir = 6, t.TempDir()
	if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	c.Env.Dir = t.TempDir()
	for _, c.Epochs = range []int{2, 6, 4} {
		r, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil)
		if err != nil || r.Epochs != max(int64(c.Epochs), r.Epochs) {
			t.Fatalf("%d epochs: %+v, %v", c.Epochs, r, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the checkpoint differs: %v", err)
	}
}

// Where there is no validation data, nothing is reported as such, before a resume and after it.
func TestNoValidationData(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir = 4, t.TempDir()
	s := source[float64](t)
	s.Valid = func(context.Context) (*Data[float64], error) { return nil, nil }
	for attempt := range 2 {
		var m metrics
		var log bytes.Buffer
		c.Env.Log = slog.New(slog.NewTextHandler(&log, nil))
		c.Patience, c.ScheduleByLoss = 50, true
		r, err := Fit(t.Context(), newStraight[float64](), s, c, &m)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.names["train/loss"]) != 4 || len(m.names) != 3 {
			t.Errorf("metrics are %v", m.names)
		}
		// Said once where it decides anything: not where all is done.
		if n := strings.Count(log.String(), "no validation trials"); n != 1-attempt || n > 0 && !strings.Contains(log.String(), `decides="the best weights, early stopping, a schedule that goes by losses"`) {
			t.Errorf("the log says %s", log.String())
		}
		if best := m.names["train/loss"][r.BestEpoch].Value; best != r.BestLoss {
			t.Errorf("best is %v, want %v", r.BestLoss, best)
		}
	}
}
