package recurrent

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

func trials(n int, spec task.Spec, weightChannels int, lengths bool) tensor.Block {
	b := tensor.Block{}
	in, out := tensor.New64(task.Inputs, n, spec.Bins, spec.Inputs), tensor.New64(task.Targets, n, spec.Bins, spec.Outputs)
	w, l := tensor.New64(task.Weights, n, spec.Bins, weightChannels), tensor.NewInt(task.Lengths, n)
	for i := range n {
		r := random.New(1, "trial", uint64(i))
		for _, a := range []*tensor.Tensor{in, out, w} {
			row := len(a.F64) / n
			for k := range row {
				a.F64[i*row+k] = r.NormFloat64()
				if a == w {
					a.F64[i*row+k] = max(0, a.F64[i*row+k])
				}
				if a == out {
					a.F64[i*row+k] = float64(int(3 * r.Float64()))
				}
			}
		}
		l.I64[i] = int64(1 + i%spec.Bins)
		b.Trials = append(b.Trials, int64(100+i))
	}
	b.Arrays = tensor.Set{in, out}
	if weightChannels > 0 {
		b.Arrays = append(b.Arrays, w)
	}
	if lengths {
		b.Arrays = append(b.Arrays, l)
	}
	return b
}

func newNetwork[F kernel.Float](t testing.TB, spec task.Spec, units int, noise, l2 float64) *network[F] {
	t.Helper()
	m, err := New(Config[F]{Cell: nn.GRU[F](units), Prefix: "cell", Spec: spec, Env: component.Env{Seed: 9}, InitialNoise: 5 * noise, Noise: noise, LatentL2: l2,
		Training: train.Config{Optimiser: train.Adam(1e-3, 0, false), Clip: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return &network[F]{config: &m.config, params: m.Snapshot(), spec: spec, ctx: context.Background()}
}

type blocks struct {
	task.Task
	tensor.Block
}

func (b blocks) Trials(context.Context, task.TrialRequest) tensor.Blocks { return tensor.Of(b.Block) }

// Loss is twice the mean over trials of half the squared outputs, and so a custom loss.
func (b blocks) Loss(_ context.Context, _ task.ScoreRequest, trials []int64, y *tensor.Tensor) (float64, *tensor.Tensor, error) {
	c := tensor.New64("cotangent", y.Shape...)
	sum := 0.0
	for i, v := range y.Float64s() {
		sum += v * v / float64(len(trials))
		c.F64[i] = 2 * v / float64(len(trials))
	}
	return sum, c, nil
}

func run[F kernel.Float](t testing.TB, n *network[F], b tensor.Block, p nn.Pass) (float64, []F) {
	t.Helper()
	d, err := n.load(t.Context(), blocks{Block: b}, task.Train, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := train.NewRunner[F](n, 2)
	rows := make([]int, d.Len())
	for i := range rows {
		rows[i] = i
	}
	grad := make([]F, len(n.params.Flat()))
	loss, _, err := r.Run(d, rows, p, grad)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return loss, grad
}

// TestGradients compares every kind of term with finite differences, with noise, weights, lengths and a horizon, over two shards.
func TestGradients(t *testing.T) {
	term := func(k task.TermKind, r task.Reduction, horizon int) task.Term {
		return task.Term{Kind: k, Scale: 0.7, Reduction: r, HorizonEpochs: horizon}
	}
	for name, c := range map[string]struct {
		terms     []task.Term
		inputs, w int
		lengths   bool
		l2        float64
		tolerance float64
	}{
		"squared error":      {terms: []task.Term{term(task.SquaredError, task.MeanAll, 0)}, inputs: 3},
		"weights and norm":   {terms: []task.Term{term(task.SquaredError, task.SumTime, 0)}, inputs: 3, w: 2, l2: 0.3},
		"one weight, length": {terms: []task.Term{term(task.SquaredError, task.SumTime, 0), term(task.LatentSquare, task.SumTime, 0)}, inputs: 3, w: 1, lengths: true},
		"length and norm":    {terms: []task.Term{term(task.SquaredError, task.MeanAll, 0)}, inputs: 3, lengths: true, l2: 0.3},
		"poisson, horizon":   {terms: []task.Term{term(task.PoissonNLL, task.MeanAll, 10), term(task.LatentSquare, task.MeanAll, 10)}, inputs: 3, w: 1},
		"no inputs":          {terms: []task.Term{term(task.SquaredError, task.MeanAll, 3)}},
		// A custom loss gets float32 outputs.
		"custom": {terms: []task.Term{term(task.Custom, "", 0)}, inputs: 3, tolerance: 1e-3},
	} {
		t.Run(name, func(t *testing.T) {
			spec := task.Spec{Inputs: c.inputs, Outputs: 2, Bins: 8, Loss: task.Loss{Terms: c.terms}}
			n := newNetwork[float64](t, spec, 4, 0.1, c.l2)
			n.custom = blocks{}
			b := trials(40, spec, c.w, c.lengths)
			pass := nn.Pass{Seed: 3, Stream: []uint64{2}, Epoch: 5}
			_, grad := run(t, n, b, pass)
			tolerance := max(c.tolerance, 1e-7)
			for _, p := range n.params.All() {
				if len(p.Value) == 0 {
					continue
				}
				for _, i := range []int{0, len(p.Value) - 1} {
					step, at := math.Sqrt(tolerance)/30, p.Value[i]
					p.Value[i] = at + step
					up, _ := run(t, n, b, pass)
					p.Value[i] = at - step
					down, _ := run(t, n, b, pass)
					p.Value[i] = at
					if got, want := grad[p.Offset+i], (up-down)/(2*step); math.Abs(got-want) > tolerance*max(1, math.Abs(want)) {
						t.Errorf("gradient of %s[%d] is %v, by differences %v", p.Name, i, got, want)
					}
				}
			}
		})
	}
}

// TestLossValues compares the terms with their definitions, from a rollout's outputs.
func TestLossValues(t *testing.T) {
	spec := task.Spec{Inputs: 3, Outputs: 2, Bins: 8, Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 2, Reduction: task.SumTime, HorizonEpochs: 10},
		{Kind: task.LatentSquare, Scale: 3, Reduction: task.MeanAll}}}}
	n := newNetwork[float64](t, spec, 4, 0, 0)
	const count = 40
	b := trials(count, spec, 2, true)
	got, _ := run(t, n, b, nn.Pass{Epoch: 5})
	r := &rollout[float64]{config: n.config, params: n.params, want: []string{"outputs", "latents"}}
	out, err := tensor.Collect(train.Rollout(t.Context(), r, 2, nn.Pass{}, tensor.Of(b)))
	if err != nil {
		t.Fatal(err)
	}
	y, h := out.Arrays.Get("outputs").F64, out.Arrays.Get("latents").F64
	target, w := b.Arrays.Get(task.Targets).F64, b.Arrays.Get(task.Weights).F64
	want := 0.0
	for i := range count {
		for k := range 8 {
			at := (i*8 + k) * 2
			if int64(k) >= b.Arrays.Get(task.Lengths).I64[i] {
				continue
			}
			if k < 4 { // half of the horizon's epochs have passed
				for o := range 2 {
					want += 2 * w[at+o] * (y[at+o] - target[at+o]) * (y[at+o] - target[at+o]) / (count * 2)
				}
			}
			// Up to the trial's end, whatever the weights.
			for u := range 4 {
				want += 3 * h[(i*8+k)*4+u] * h[(i*8+k)*4+u] / (count * 8 * 4)
			}
		}
	}
	if math.Abs(got-want) > 1e-12*want {
		t.Errorf("loss is %v, want %v", got, want)
	}
}

func TestWeightsThatDoNotFit(t *testing.T) {
	spec := task.Spec{Inputs: 3, Outputs: 2, Bins: 8, Loss: task.Loss{Terms: []task.Term{{Kind: task.PoissonNLL, Scale: 1, Reduction: task.MeanAll}}}}
	for _, channels := range []int{2, 5} {
		n := newNetwork[float64](t, spec, 4, 0, 0)
		d, err := n.load(t.Context(), blocks{Block: trials(5, spec, channels, false)}, task.Train, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = train.NewRunner[float64](n, 1).Run(d, []int{0}, nn.Pass{}, nil)
		if !errors.Is(err, component.ErrInvalidArgument) {
			t.Errorf("%d channels: error is %v", channels, err)
		}
	}
}
