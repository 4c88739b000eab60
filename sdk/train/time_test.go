package train

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

func TestTimeLimit(t *testing.T) {
	c := config()
	c.MaxTime, c.Env.Dir, c.Epochs = time.Nanosecond, t.TempDir(), 3
	r, err := Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil)
	if err != nil || r.Stopped != "time" || r.Steps != 0 || r.KeptBest || !math.IsNaN(r.BestLoss) || !math.IsNaN(r.LastLoss) {
		t.Errorf("result is %+v, %v", r, err)
	}
	// Time is no reason to be finished.
	c.MaxTime = 0
	if r, err = Fit(t.Context(), newStraight[float64](), source[float64](t), c, nil); err != nil || r.Stopped != "epochs" {
		t.Errorf("result is %+v, %v", r, err)
	}
}

// slow takes an hour to load its trials and 25 s for a step.
type slow[F kernel.Float] struct{ *straight[F] }

func (n slow[F]) Build(g *nn.Graph[F], d *Data[F]) (Program[F], error) {
	p, err := n.straight.Build(g, d)
	fill := p.Fill
	p.Fill = func(d *Data[F], rows []int, pass nn.Pass) error {
		if g.Training() {
			time.Sleep(25 * time.Second)
		}
		return fill(d, rows, pass)
	}
	return p, err
}

// TestTimeBeginsWithTrials: a limit that is shorter than loading comes to the end if it is repeated, and to the same one as without it.
func TestTimeBeginsWithTrials(t *testing.T) {
	c := config()
	c.Epochs, c.Env.Dir, c.Env.Threads = 3, t.TempDir(), 1
	if _, err := Fit(t.Context(), newStraight[float32](), source[float32](t), c, nil); err != nil {
		t.Fatal(err)
	}
	want := readFile(t, c.Env.Dir, CheckpointFile)
	c.Env.Dir, c.MaxTime = t.TempDir(), time.Minute
	spoilt := c
	spoilt.Env.Dir, spoilt.Optimiser.LR = "", 1e39
	synctest.Test(t, func(t *testing.T) { // time passes in Sleep alone
		s := source[float32](t)
		inner := s.Train
		s.Train = func(ctx context.Context, pass uint64) (*Data[float32], error) {
			time.Sleep(time.Hour)
			return inner(ctx, pass)
		}
		for done := int64(0); ; done += 3 {
			r, err := Fit(t.Context(), slow[float32]{newStraight[float32]()}, s, c, nil)
			if err != nil || r.Steps != min(done+3, 15) {
				t.Fatalf("after %d steps: %+v, %v", done, r, err)
			}
			if r.Stopped == "epochs" {
				break
			}
		}
		// Weights that are not finite are found though no epoch ends.
		spoilt.BatchSize, spoilt.MaxTime = 40, 20*time.Second
		var d *component.DivergedError
		if _, err := Fit(t.Context(), slow[float32]{newStraight[float32]()}, s, spoilt, nil); !errors.As(err, &d) || !strings.HasPrefix(d.Quantity, "weight of line.weight") || d.Step != 0 {
			t.Errorf("weights that are not finite: %v", err)
		}
	})
	if got := readFile(t, c.Env.Dir, CheckpointFile); !bytes.Equal(got, want) {
		t.Error("the checkpoint differs")
	}
}
