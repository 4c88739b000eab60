package nbff

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Where the caller does not say, a block has defaultBlock trials (64 x 500 bins x 3 bits are 0.4 MB an array), or fewer where they would take more than
// blockBytes, down to one.
const (
	defaultBlock = 64
	blockBytes   = 16 << 20
)

// block is the number of trials in a block where the caller does not say.
func (p Params) block() int {
	return int(max(1, min(defaultBlock, blockBytes/tensor.Elements(arraysOf(p), p.Bins, p.Bits, 4))))
}

// trial is one trial in double precision, arrays (T, bits); it is reused from trial to trial.
type trial struct {
	u, trueInputs, targets, mask []float64
	// bit and size are those of the stimulus; 0 without one.
	bit  int
	size float64
}

func (t *nbff) newTrial() *trial {
	n := t.Bins * t.Bits
	return &trial{u: make([]float64, n), trueInputs: make([]float64, n), targets: make([]float64, n), mask: make([]float64, n)}
}

// draw fills in trial k, all but the noise on its inputs.
func (t *nbff) draw(tr *trial, k int64) {
	rng := random.New(t.seed, "nbff/pulses", uint64(k))
	for i := range tr.u {
		tr.u[i] = rng.Float64()
	}
	Pulses(tr.trueInputs, tr.u, t.Bits, t.SwitchProb)
	if t.Stimulus {
		rng := random.New(t.seed, "nbff/stimulus", uint64(k))
		tr.bit, tr.size = rng.IntN(t.Bits), 0.5+rng.Float64()
		AddStimulus(tr.trueInputs, t.Bits, tr.bit, tr.size)
	}
	Targets(tr.targets, tr.trueInputs, t.Bits)
	Mask(tr.mask, tr.targets, t.Bits, t.Blind, t.Compat)
}

// Trials generates the trials of a split, ascending by number; they are the same in every pass.
func (t *nbff) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	trials, number, err := t.splits().Trials(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return task.Generate(ctx, req, trials, t.block(), t.threads, number, t.generate)
}

// generate makes the trials that b names.
func (t *nbff) generate(ctx context.Context, b tensor.Block) (tensor.Block, error) {
	rows, n := len(b.Trials), t.Bins*t.Bits
	array := func(name string) *tensor.Tensor {
		return tensor.New32(name, rows, t.Bins, t.Bits).With("", tensor.Trial, tensor.Bin, tensor.Channel)
	}
	inputs, targets, weights := array(task.Inputs), array(task.Targets), array(task.Weights)
	trueInputs := inputs
	b.Arrays = tensor.Set{inputs, targets, weights}
	if t.Noise > 0 {
		trueInputs = array(task.TrueInputs)
		b.Arrays = append(b.Arrays, trueInputs)
	}
	conditions := tensor.NewInt(task.Conditions, rows).With("", tensor.Trial)
	b.Arrays = append(b.Arrays, conditions)
	var extra *tensor.Tensor
	if t.Stimulus {
		extra = tensor.New32(task.Extra, rows, 1).With("", tensor.Trial, tensor.Channel)
		b.Arrays = append(b.Arrays, extra)
	}

	tr := t.newTrial()
	for row, k := range b.Trials {
		if err := ctx.Err(); err != nil {
			return tensor.Block{}, err
		}
		t.draw(tr, k)
		from, to := row*n, (row+1)*n
		narrow(trueInputs.F32[from:to], tr.trueInputs)
		narrow(targets.F32[from:to], tr.targets)
		narrow(weights.F32[from:to], tr.mask)
		if t.Noise > 0 {
			rng, noisy := random.New(t.seed, "nbff/noise", uint64(k)), inputs.F32[from:to]
			for i, x := range tr.trueInputs {
				noisy[i] = float32(x + t.Noise*rng.NormFloat64())
			}
		}
		if t.Stimulus {
			conditions.I64[row], extra.F32[row] = int64(tr.bit), float32(tr.size)
		}
	}
	return b, nil
}

func narrow(to []float32, from []float64) {
	for i, x := range from {
		to[i] = float32(x)
	}
}
