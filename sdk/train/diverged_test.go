package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func exists(parts ...string) bool {
	_, err := os.Stat(filepath.Join(parts...))
	return err == nil
}

// A training that diverges leaves its best weights in the network and in a file that its error names; the next attempt says that it diverged before; one for which what was wrong is right
// now ends with the bytes of a training that never diverged, and what was kept is gone.
func TestDivergedKeepsTheBest(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir = 5, t.TempDir()
	if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
		t.Fatal(err)
	}
	whole := readFile(t, c.Env.Dir, CheckpointFile)
	three := newStraight[float32]()
	short := c
	short.Epochs, short.Env.Dir = 3, ""
	r, err := Fit(t.Context(), three, source[float32](t), short, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := three.params.Save()
	for _, every := range []time.Duration{0, 1} {
		c.Env.Dir, c.CheckpointEvery = t.TempDir(), every
		var d *component.DivergedError
		for attempt := range 3 {
			var log bytes.Buffer
			c.Env.Log = slog.New(slog.NewTextHandler(&log, nil))
			n := newStraight[float32]()
			n.poison = 3
			if _, err := Fit(t.Context(), n, source[float32](t), c, nil); !errors.As(err, &d) || d.Step != 15 {
				t.Fatalf("every %v: %v", every, err)
			}
			file := filepath.Join(c.Env.Dir, BestFile)
			if says := fmt.Sprintf("the best weights, of epoch %d, are in %s", r.BestEpoch, file); !strings.Contains(d.Error(), says) {
				t.Errorf("every %v: the error does not say %q: %v", every, says, d)
			}
			if again := strings.Contains(d.Error(), "it diverged when it was run before"); again != (attempt > 0) {
				t.Errorf("every %v: attempt %d: %v", every, attempt, d)
			}
			if again := strings.Contains(log.String(), "will again unless"); again != (attempt > 0) {
				t.Errorf("every %v: attempt %d: the log says %s", every, attempt, log.String())
			}
			if strings.Count(d.Hint, "before") > 1 {
				t.Errorf("hints pile up: %s", d.Hint)
			}
			if every > 0 != exists(c.Env.Dir, CheckpointFile) {
				t.Errorf("every %v: there is a checkpoint, or none", every)
			}
			kept, about, err := tensor.ReadSafetensors(bytes.NewReader(readFile(t, file)), 1<<20)
			if err != nil || about["epoch"] != fmt.Sprint(r.BestEpoch) {
				t.Fatalf("every %v: %v, %v", every, about, err)
			}
			for what, got := range map[string]tensor.Set{"the file": kept, "the network": n.params.Save()} {
				for _, w := range want {
					if g := got.Get(w.Name); g == nil || !slices.Equal(g.F32, w.F32) {
						t.Errorf("every %v: %s has %s %v, want %v", every, what, w.Name, g, w)
					}
				}
			}
		}
		if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readFile(t, c.Env.Dir, CheckpointFile), whole) {
			t.Errorf("every %v: the checkpoint differs from that of a training that never diverged", every)
		}
		if entries, err := os.ReadDir(c.Env.Dir); err != nil || len(entries) != 1 {
			t.Errorf("every %v: there are %v, %v", every, entries, err)
		}
	}
	// In the first epoch there is no best.
	c.Env.Dir = t.TempDir()
	n := newStraight[float32]()
	n.poison = 0
	var d *component.DivergedError
	if _, err := Fit(t.Context(), n, source[float32](t), c, nil); !errors.As(err, &d) || strings.Contains(d.Hint, "best") || exists(c.Env.Dir, BestFile) || !exists(c.Env.Dir, divergedFile) {
		t.Errorf("in the first epoch: %v", err)
	}
}

// A checkpoint whose numbers are not all finite does not take the place of one whose are, and the next attempt ends as the first did.
func TestCheckpointStaysFinite(t *testing.T) {
	for _, after := range []int64{0, 2} {
		c := config()
		c.Env.Dir, c.CheckpointEvery, c.Clip = t.TempDir(), 1, 0
		c.Schedule = func(epoch int64, _ []float64) Rates {
			if epoch >= after {
				return Rates{LR: 1e39} // beyond float32
			}
			return Rates{LR: c.Optimiser.LR}
		}
		var first *component.DivergedError
		for attempt := range 3 {
			n := newStraight[float32]()
			var d *component.DivergedError
			if _, err := Fit(t.Context(), n, source[float32](t), c, nil); !errors.As(err, &d) || d.Step != 5*after+1 {
				t.Fatalf("after %d, attempt %d: %v", after, attempt, err)
			}
			if first == nil {
				first = d
			}
			if d.Quantity != first.Quantity || d.Step != first.Step {
				t.Errorf("after %d, attempt %d: %v, want %v", after, attempt, d, first)
			}
			if after == 0 {
				if exists(c.Env.Dir, CheckpointFile) {
					t.Error("there is a checkpoint of what was never finite")
				}
				continue
			}
			set, _, err := tensor.ReadSafetensors(bytes.NewReader(readFile(t, c.Env.Dir, CheckpointFile)), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if step := set.Get("state.counts").I64[0]; step != 10 {
				t.Errorf("the checkpoint is of step %d, want 10", step)
			}
			if slices.ContainsFunc(n.params.Flat(), func(x float32) bool { return !finite(float64(x)) }) {
				t.Error("the network was left with weights that are not finite")
			}
		}
	}
}

// A running mean that leaves the numbers would stop the weights for ever, without a word.
func TestRunningMeanOverflows(t *testing.T) {
	p := nn.NewParams[float32](0)
	p.Zeros("p.bias", 2)
	d, err := Load[float32](t.Context(), tensor.Of(tensor.Block{Trials: []int64{0}, Arrays: tensor.Set{tensor.From64("g", []float64{1, 3e38}, 1, 2)}}), 1, Column{Name: "g", Shape: []int{2}})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Epochs: 3, BatchSize: 1, Optimiser: Adam(1e-3, 0, false)}
	_, err = Fit(t.Context(), given[float32]{p}, Source[float32]{Train: func(context.Context, uint64) (*Data[float32], error) { return d, nil }}, c, nil)
	var e *component.DivergedError
	if !errors.As(err, &e) || !strings.HasPrefix(e.Quantity, "running mean square of the gradient of p.bias") || e.Step != 0 || !math.IsInf(e.Value, 1) {
		t.Errorf("error is %v", err)
	}
}

// unstable cannot integrate some trial of the validation in its epoch at.
type unstable[F kernel.Float] struct {
	*straight[F]
	at int64
}

func (u unstable[F]) Build(g *nn.Graph[F], d *Data[F]) (Program[F], error) {
	p, err := u.straight.Build(g, d)
	fill := p.Fill
	p.Fill = func(d *Data[F], rows []int, pass nn.Pass) error {
		if !g.Training() && pass.Epoch == u.at {
			return known(fmt.Errorf("graph: %w", &kernel.IntegrationError{Trial: 42, Bin: 1, MaxSteps: 73, Err: kernel.ErrSteps}))
		}
		return fill(d, rows, pass)
	}
	return p, err
}

// What diverges in validation is said to, with the step and the largest gradient.
func TestDivergesInValidation(t *testing.T) {
	_, err := Fit(t.Context(), unstable[float64]{newStraight[float64](), 1}, source[float64](t), config(), nil)
	var e *component.DivergedError
	if !errors.As(err, &e) || e.Step != 9 || !strings.HasPrefix(e.Quantity, "in validation, number of steps of dopri5, in bin 1 of trial 42 (largest gradient: ") || e.Value != 73 {
		t.Errorf("error is %v", err)
	}
}

// panicky is a network whose loss has a mistake.
type panicky struct{ *straight[float64] }

func (n panicky) Build(g *nn.Graph[float64], d *Data[float64]) (Program[float64], error) {
	prog, err := n.straight.Build(g, d)
	y := g.LinearOf("line", g.Data("more", 2))
	prog.Losses = append(prog.Losses, g.Custom("mine", y, 1, func(_ nn.Pass, y, _ []float64) (float64, error) { return y[len(y)], nil }))
	return prog, err
}

// TestPanicInALoss: it is an error of the training, which names the loss, and not the end of the process.
func TestPanicInALoss(t *testing.T) {
	_, err := Fit(t.Context(), panicky{newStraight[float64]()}, source[float64](t), config(), nil)
	var panicked *component.PanicError
	if !errors.As(err, &panicked) || !strings.Contains(err.Error(), "mine: panic: runtime error: index out of range") || !strings.Contains(string(panicked.Stack), "panicky") {
		t.Errorf("the error is %v", err)
	}
}
