package train

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// penalised is straight with a second term that ramps up, the squared error of nothing.
type penalised[F kernel.Float] struct{ straight[F] }

func newPenalised[F kernel.Float]() *penalised[F] { return &penalised[F]{*newStraight[F]()} }

func (s *penalised[F]) Build(g *nn.Graph[F], _ *Data[F]) (Program[F], error) {
	x, y := g.Data("x", 2), g.Data("y", 1)
	line := g.LinearOf("line", x)
	losses := []*nn.Loss{g.SquaredError(line, y, nil, nn.Scale{Factor: 1}), g.SquaredError(line, g.Zeros(1), nil, nn.Scale{Factor: 0.3, Ramp: 80})}
	return Program[F]{Losses: losses, Fill: func(d *Data[F], rows []int, _ nn.Pass) error {
		d.Gather(g.Array(x), "x", rows)
		d.Gather(g.Array(y), "y", rows)
		return nil
	}}, nil
}

// The schedule, the patience and the best weights go by one term, and the first two by its smoothed values; a resumed training does the same.
func TestMonitor(t *testing.T) {
	c := config()
	c.Epochs, c.Monitor, c.Smoothing, c.Env.Dir = 60, "squared-error", 0.3, t.TempDir()
	seen := map[int64][]float64{}
	c.Schedule = func(epoch int64, valid []float64) Rates {
		seen[epoch] = slices.Clone(valid)
		return Schedule{Kind: Plateau, PlateauFactor: 0.95, PlateauPatience: 2}.Rates(0.05, 0, 60)(epoch, valid)
	}
	var m metrics
	n := newPenalised[float64]()
	r, err := Fit(t.Context(), n, source[float64](t), c, &m)
	if err != nil {
		t.Fatal(err)
	}
	var smooth []float64
	best, at := math.Inf(1), int64(-1)
	for epoch, v := range m.names["valid/squared-error"] {
		if !slices.Equal(seen[int64(epoch)], smooth) {
			t.Fatalf("epoch %d saw %v, want %v", epoch, seen[int64(epoch)], smooth)
		}
		s := v.Value
		if epoch > 0 {
			s = 0.3*smooth[epoch-1] + (1-0.3)*s
		}
		smooth = append(smooth, s)
		if v.Value < best {
			best, at = v.Value, int64(epoch)
		}
	}
	if r.BestLoss != best || r.BestEpoch != at {
		t.Errorf("best is %v of epoch %d, want %v of epoch %d", r.BestLoss, r.BestEpoch, best, at)
	}
	totals := m.names["valid/loss"]
	if sum := totals[3].Value - m.names["valid/squared-error"][3].Value - m.names["valid/squared-error-2"][3].Value; math.Abs(sum) > 1e-15 {
		t.Errorf("the terms miss the sum by %v", sum)
	}
	want, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 7, 100} {
		c.Env.Dir, c.CheckpointEvery = t.TempDir(), 1
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := Fit(ctx, newPenalised[float64](), source[float64](t), c, &cutter{left: cut, cancel: cancel}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c.CheckpointEvery = 0
		if _, err := Fit(t.Context(), newPenalised[float64](), source[float64](t), c, nil); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(c.Env.Dir, CheckpointFile)); err != nil || !slices.Equal(got, want) {
			t.Errorf("cut %d: the checkpoint differs: %v", cut, err)
		}
	}
	c.Patience, c.Env.Dir = 3, ""
	if r, err = Fit(t.Context(), newPenalised[float64](), source[float64](t), c, nil); err != nil {
		t.Fatal(err)
	}
	end := 1
	for end < len(smooth) && since(smooth[:end]) < 3 {
		end++
	}
	if r.Epochs != int64(end) {
		t.Errorf("ended after %d epochs, want %d", r.Epochs, end)
	}
	c.Monitor = "squared"
	var e *component.InvalidArgumentError
	if _, err := Fit(t.Context(), newPenalised[float64](), source[float64](t), c, nil); !errors.As(err, &e) || e.Problems[0].Path != "monitor" {
		t.Errorf("a term that there is not: %v", err)
	}
}
