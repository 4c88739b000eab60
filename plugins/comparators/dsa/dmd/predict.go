package dmd

import (
	"context"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/ctdb-host/ctdb/plugins/comparators/internal/product"
)

// Prediction is how well an operator foresees a recording, in all dimensions of the newest bin together.
type Prediction struct {
	// MASE is the mean absolute error over that of taking the present bin for the future one (Hyndman & Koehler 2006): below 1 the operator knows more than
	// persistence does.
	MASE float64
	// R2 is 1 - SSE / SST, SST about each dimension's mean.
	R2 float64
	// AIC is N log(SSE / N) + 2 r^2 over the N predicted numbers (Akaike 1974): lower is better; the operator's elements are its parameters.
	AIC float64
	// Errors are, of each trial that is long enough, the sums of absolute errors and of those of persistence: MASE is the ratio of their sums over trials.
	Errors [][2]float64
	// N is the number of predicted numbers: bins times dimensions.
	N int
}

// Predict measures the model's predictions, as many steps ahead as it was fitted for, of trials that it need not have seen, from bin number from of each on, or from the first that has the past that the
// model needs: models of other delays can be compared on the same bins.
func (m *Model) Predict(ctx context.Context, trials []Trial, from int) (Prediction, error) {
	e, err := newEmbedding("held-out trials", trials, m.opt)
	if err != nil {
		return Prediction{}, err
	}
	if e.width != m.width {
		return Prediction{}, fmt.Errorf("%w: held-out trials have width %d, those fitted %d", ErrData, e.width, m.width)
	}
	z, err := e.project(ctx, m.encode)
	if err != nil {
		return Prediction{}, err
	}
	r := m.Rank()
	// From coordinates to the newest bin of the row so many steps ahead.
	var out mat.Dense
	out.Mul(m.A.T(), m.decode.Slice(0, r, 0, m.width))
	lost := (m.opt.Delays - 1) * m.opt.Interval
	skipped := max(0, from-lost)
	var w product.Workspace
	var predicted []float64
	var wrong, persistence, sse float64
	var each [][2]float64
	n, sum, squares := 0, make([]float64, m.width), 0.0
	var first []float64
	for k, t := range trials {
		rows := z[k].Bins() - m.opt.Steps
		if rows <= skipped {
			continue
		}
		if err := ctx.Err(); err != nil {
			return Prediction{}, err
		}
		predicted = append(predicted[:0], make([]float64, rows*m.width)...)
		w.Mul(predicted, rows, m.width, r, product.Operand{Data: z[k].Data, Stride: r}, product.Operand{Data: out.RawMatrix().Data, Stride: out.RawMatrix().Stride})
		before := [2]float64{wrong, persistence}
		for i := skipped; i < rows; i++ {
			now, next := t.row(i+lost), t.row(i+lost+m.opt.Steps)
			if first == nil {
				first = next
			}
			for j, v := range next {
				d := v - predicted[i*m.width+j]
				wrong += math.Abs(d)
				persistence += math.Abs(v - now[j])
				sse += d * d
				// About a value of the data, so that a large mean costs no digits.
				c := v - first[j]
				sum[j] += c
				squares += c * c
			}
		}
		each = append(each, [2]float64{wrong - before[0], persistence - before[1]})
		n += rows - skipped
	}
	sst := squares
	for _, s := range sum {
		sst -= s * s / float64(n)
	}
	if persistence == 0 || !(sst > 0) {
		return Prediction{}, fmt.Errorf("%w: held-out trials do not change: there is nothing to predict", ErrData)
	}
	count := n * m.width
	// An error of 0 would have an AIC of minus infinity.
	mean := max(sse/float64(count), 1e-300)
	return Prediction{MASE: wrong / persistence, R2: 1 - sse/sst, AIC: float64(count)*math.Log(mean) + 2*float64(r*r), Errors: each, N: count}, nil
}
