package nn

import (
	"testing"

	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
)

// A ramp multiplies value and gradient by (epoch+1)/(n+1), and is gone after n epochs, in training and in validation.
func TestRamp(t *testing.T) {
	const rows, bins, channels, epochs = 3, 2, 4, 3
	for _, training := range []bool{true, false} {
		run := func(ramp int, epoch int64) (float64, []float64) {
			p := NewParams[float64](5)
			p.Linear("map", channels, channels)
			g := NewGraph(p, Config[float64]{Rows: rows, Training: training})
			defer g.Close()
			x, target := g.Data("x", bins, channels), g.Data("target", bins, channels)
			fill("x", g.Array(x))
			fill("target", g.Array(target))
			y := g.LinearOf("map", x)
			losses := []*Loss{g.SquaredError(y, target, nil, Scale{Factor: 2, Ramp: ramp}), g.PoissonNLL(y, target, PoissonOptions{}, Scale{Factor: 3, Reduction: SumTime, Ramp: ramp})}
			if training {
				if err := g.Minimise(losses...); err != nil {
					t.Fatal(err)
				}
			}
			v, err := g.Run(Pass{Epoch: epoch})
			if err != nil {
				t.Fatal(err)
			}
			grad := make([]float64, len(p.Flat()))
			if err := g.Gradient(grad); err != nil {
				t.Fatal(err)
			}
			return v, grad
		}
		whole, wholeGrad := run(0, 0)
		for epoch := range int64(epochs + 3) {
			got, grad := run(epochs, epoch)
			want, wantGrad := whole, append([]float64(nil), wholeGrad...)
			if epoch < epochs {
				part := float64(epoch+1) / (epochs + 1)
				want *= part
				kernel.Scale(wantGrad, part)
				closeTo(t, "loss", []float64{got}, []float64{want}, 1e-14)
				closeTo(t, "gradient", grad, wantGrad, 1e-14)
				continue
			}
			closeTo(t, "loss", []float64{got}, []float64{want}, 0)
			closeTo(t, "gradient", grad, wantGrad, 0)
		}
	}
}
