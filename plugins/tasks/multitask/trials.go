package multitask

import (
	"context"
	"math"

	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Where the caller does not say, a block has defaultBlock trials (64 x 320 bins x 20 inputs are 1.6 MB an array), or fewer where they would take more than
// blockBytes, down to one.
const (
	defaultBlock = 64
	blockBytes   = 16 << 20
)

// block is the number of trials in a block where the caller does not say.
func (p Params) block() int {
	return int(max(1, min(defaultBlock, blockBytes/tensor.Elements(p.channels(), p.Bins, 4))))
}

// channels of all arrays of a block.
func (p Params) channels() int {
	n := inputs + outputs + 1
	if p.Noise > 0 {
		n += inputs
	}
	return n
}

// extraNames are the columns of the array extra: the first bin of each phase after the first, -1 where a trial has none; its end; the angles of the stimuli, in rad on
// [-pi, pi); how much larger the first stimulus as it is shown is than the mean of both, in modality 1 and in modality 2, 0 where that shows none; and whether a response is due.
func extraNames() []string {
	return []string{"stim1", "mem1", "stim2", "mem2", "response", "end", "theta1", "theta2", "evidence1", "evidence2", "responds"}
}

// extraUnits are the units of these columns.
func extraUnits() []string {
	const bin = task.InBins
	return []string{bin, bin, bin, bin, bin, bin, "rad", "rad", "", "", ""}
}

// evidence is how much larger the first stimulus is than the mean of both, in each modality as it is shown: [Inputs] has what that is.
func (p *Plan) evidence() (modality1, modality2 float64) {
	a, b := (p.A[0]-p.A[1])/2, (p.B[0]-p.B[1])/2
	switch p.Rule {
	case IntMod1:
		return a, 0
	case IntMod2:
		return 0, a
	}
	return a, b
}

// extra are the numbers of a trial that extraNames names.
func (p *Plan) extra(to []float32) {
	for phase := Stim1; phase <= Response; phase++ {
		to[phase-1] = float32(p.Starts[phase])
		if p.Starts[phase] == p.Starts[phase+1] {
			to[phase-1] = -1
		}
	}
	responds := float32(0)
	if cos, sin := p.Answer(); cos != 0 || sin != 0 {
		responds = 1
	}
	first, second := p.evidence()
	copy(to[Response:], []float32{float32(p.End()), float32(wrap(p.Theta1)), float32(wrap(p.Theta2)), float32(first), float32(second), responds})
}

// wrap brings an angle to [-pi, pi).
func wrap(theta float64) float64 {
	if theta = math.Remainder(theta, 2*math.Pi); theta >= math.Pi {
		return theta - 2*math.Pi
	}
	return theta
}

// Trials generates the trials of a split, ascending by number; they are the same in every pass.
func (t *multitask) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	trials, number, err := t.splits.Trials(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return task.Generate(ctx, req, trials, t.block(), t.threads, number, t.generate)
}

// generate makes the trials that b names.
func (t *multitask) generate(ctx context.Context, b tensor.Block) (tensor.Block, error) {
	rows := len(b.Trials)
	array := func(name string, channels int) *tensor.Tensor {
		return tensor.New32(name, rows, t.Bins, channels).With("", tensor.Trial, tensor.Bin, tensor.Channel)
	}
	noisy, targets, weights := array(task.Inputs, inputs), array(task.Targets, outputs), array(task.Weights, 1)
	truth := noisy
	b.Arrays = tensor.Set{noisy, targets, weights}
	if t.Noise > 0 {
		truth = array(task.TrueInputs, inputs)
		b.Arrays = append(b.Arrays, truth)
	}
	names := extraNames()
	conditions, lengths := tensor.NewInt(task.Conditions, rows).With("", tensor.Trial), tensor.NewInt(task.Lengths, rows).With("", tensor.Trial)
	extra := tensor.New32(task.Extra, rows, len(names)).With("", tensor.Trial, tensor.Channel)
	b.Arrays = append(b.Arrays, conditions, lengths, extra)

	for row, k := range b.Trials {
		if err := ctx.Err(); err != nil {
			return tensor.Block{}, err
		}
		p := t.plan(k)
		n := t.Bins * inputs
		x := truth.F32[row*n : (row+1)*n]
		Inputs(x, &p)
		Targets(targets.F32[row*t.Bins*outputs:(row+1)*t.Bins*outputs], &p, t.Compat)
		Weights(weights.F32[row*t.Bins:(row+1)*t.Bins], &p)
		if t.Noise > 0 {
			rng, to := random.New(t.seed, "multitask/noise", uint64(k)), noisy.F32[row*n:(row+1)*n]
			for i, x := range x[:p.End()*inputs] {
				to[i] = x + float32(t.Noise*rng.NormFloat64())
			}
		}
		conditions.I64[row], lengths.I64[row] = t.condition(p.Rule), int64(p.End())
		p.extra(extra.F32[row*len(names) : (row+1)*len(names)])
	}
	return b, nil
}
