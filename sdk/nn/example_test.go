package nn_test

import (
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// A GRU with a learned initial state learns to say how far a sine wave has come.
func Example() {
	const rows, bins, units = 8, 30, 12
	p := nn.NewParams[float32](1)
	p.Zeros("initial", units)
	p.Cell(kernel.CellGRU, "cell", "", 1, units)
	p.Linear("readout", units, 1)

	g := nn.NewGraph(p, nn.Config[float32]{Rows: rows, Training: true})
	x, target := g.Data("x", bins, 1), g.Data("target", bins, 1)
	s := g.Sequence(kernel.SequenceConfig{}, x, 0, g.CellWeights("cell", "", "readout"), nn.SequenceOptions{Initial: g.Param("initial"), Noise: nn.Noise{SD: 0.01, Purpose: "state"}})
	if err := g.Minimise(g.SquaredError(s.Outputs(), target, nil, nn.Scale{Factor: 1}), g.LatentL2(s.States(), nil, 1e-6)); err != nil {
		fmt.Println(err)
		return
	}
	for i := range rows * bins {
		phase := float64(i/bins) + 0.2*float64(i%bins)
		g.Array(x)[i], g.Array(target)[i] = float32(math.Sin(phase)), float32(math.Cos(phase))
	}
	n := len(p.Flat())
	grad, mean, square := make([]float32, n), make([]float32, n), make([]float32, n)
	var first, last float64
	for step := range 300 {
		loss, err := g.Run(nn.Pass{Seed: 1, Stream: []uint64{uint64(step)}, Epoch: int64(step)})
		if err == nil {
			err = g.Gradient(grad)
		}
		if err == nil {
			err = kernel.AdamStep(kernel.Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, step+1, p.Flat(), grad, mean, square)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		if step == 0 {
			first = loss
		}
		last = loss
	}
	fmt.Println(last < first/10, g.Close())
	// Output: true <nil>
}
