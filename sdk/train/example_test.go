package train_test

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// sine is a GRU with a learned initial state that says how far a sine wave has come: a model from its parameters to its loss.
type sine struct {
	params *nn.Params[float32]
	cell   nn.Cell[float32]
}

func newSine(units int) sine {
	s := sine{nn.NewParams[float32](1), nn.GRU[float32](units)}
	s.params.Zeros("initial", units)
	s.cell.Declare(s.params, "cell", 1)
	s.params.Linear("readout", units, 1)
	return s
}

func (s sine) Params() *nn.Params[float32] { return s.params }

func (s sine) Build(g *nn.Graph[float32], d *train.Data[float32]) (train.Program[float32], error) {
	x, target := g.Data("x", d.Shape("x")...), g.Data("target", d.Shape("target")...)
	y := s.cell.Unroll(g, "cell", x, 0, nn.Unroll{Readout: "readout", Initial: g.Param("initial"), Noise: nn.Noise{SD: 0.01, Purpose: "state"}})
	return train.Program[float32]{Losses: []*nn.Loss{g.SquaredError(y.Outputs(), target, nil, nn.Scale{Factor: 1})}, Fill: train.Gather(g, x, target)}, nil
}

// A model is its parameters and a function that writes it down; the trainer does the rest.
func Example() {
	const trials, bins = 64, 30
	block := tensor.Block{Trials: make([]int64, trials), Arrays: tensor.Set{tensor.New32("x", trials, bins, 1), tensor.New32("target", trials, bins, 1)}}
	for i := range trials * bins {
		phase := float64(i/bins) + 0.2*float64(i%bins)
		block.Trials[i/bins] = int64(i / bins)
		block.Arrays[0].F32[i], block.Arrays[1].F32[i] = float32(math.Sin(phase)), float32(math.Cos(phase))
	}
	load := func(ctx context.Context, _ uint64) (*train.Data[float32], error) {
		return train.Load[float32](ctx, tensor.Of(block), trials, train.Column{Name: "x", Shape: []int{bins, 1}}, train.Column{Name: "target", Shape: []int{bins, 1}})
	}
	result, err := train.Fit(context.Background(), newSine(12), train.Source[float32]{Train: load}, train.Config{Epochs: 150, BatchSize: 32, Optimiser: train.Adam(1e-2, 0, false)}, nil)
	fmt.Println(result.LastLoss < 0.05, result.Steps, err)
	// Output: true 300 <nil>
}
