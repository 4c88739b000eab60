package reach

import (
	"context"

	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays of a block of trials that are this task's own, (B, 2), in rad.
const (
	// StartJoints is the posture at the start.
	StartJoints = "start_joint"
	// TargetJoints is the posture whose hand is the target.
	TargetJoints = "target_joint"
)

// Where the caller does not say, a block has defaultBlock trials (64 x 300 bins are 0.15 MB an array), or fewer where they would take more than blockBytes, down to one.
const (
	defaultBlock = 64
	blockBytes   = 16 << 20
)

// blockBin is what a bin of a trial takes in a block: the goal and the force, x and y.
const blockBin = (2 + 2) * 4

// block is the number of trials in a block where the caller does not say.
func (p *Params) block() int {
	return int(max(1, min(defaultBlock, blockBytes/tensor.Elements(p.bins(), blockBin))))
}

// extraNames are the columns of the array extra, all bins, -1 for what does not happen: the first bins in which the target is shown, of the go cue and of the push, and the
// first in which the push has ended.
func extraNames() []string { return []string{"target_on", "go", "bump_on", "bump_end"} }

// The conditions.
const (
	conditionReach = iota
	conditionCatch
)

func conditionNames() []string { return []string{"reach", "catch"} }

func (p *Plan) condition() int64 {
	if p.Catch() {
		return conditionCatch
	}
	return conditionReach
}

// Trials generates the trials of a split, ascending by number; they are the same in every pass. A block has the goal as targets, the force on the hand as inputs_to_env, and
// [StartJoints] and [TargetJoints]. There are no inputs: what a model sees depends on what it does, and an episode tells.
func (t *reach) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	trials, number, err := t.splits().Trials(req.Split)
	if err != nil {
		return tensor.Fail(err)
	}
	return task.Generate(ctx, req, trials, t.block(), t.threads, number, t.generate)
}

// generate makes the trials that b names.
func (t *reach) generate(ctx context.Context, b tensor.Block) (tensor.Block, error) {
	rows, bins, columns := len(b.Trials), t.bins(), len(extraNames())
	goal := tensor.New32(task.Targets, rows, bins, 2).With("m", tensor.Trial, tensor.Bin, tensor.Channel)
	force := tensor.New32(task.EnvInputs, rows, bins, 2).With("N", tensor.Trial, tensor.Bin, tensor.Channel)
	conditions := tensor.NewInt(task.Conditions, rows).With("", tensor.Trial)
	extra := tensor.New32(task.Extra, rows, columns).With(task.InBins, tensor.Trial, tensor.Channel)
	start := tensor.New32(StartJoints, rows, 2).With("rad", tensor.Trial, tensor.Channel)
	target := tensor.New32(TargetJoints, rows, 2).With("rad", tensor.Trial, tensor.Channel)
	b.Arrays = tensor.Set{goal, conditions, force, extra, start, target}
	for row, k := range b.Trials {
		if err := ctx.Err(); err != nil {
			return tensor.Block{}, err
		}
		p := t.plan(k)
		for bin := range bins {
			at := (row*bins + bin) * 2
			g, f := p.Goal(bin), p.Force(bin)
			goal.F32[at], goal.F32[at+1] = float32(g[0]), float32(g[1])
			force.F32[at], force.F32[at+1] = float32(f[0]), float32(f[1])
		}
		conditions.I64[row] = p.condition()
		copy(extra.F32[row*columns:], []float32{float32(p.TargetOn), float32(p.Go), float32(p.BumpOn), float32(p.BumpEnd)})
		for j := range 2 {
			start.F32[row*2+j], target.F32[row*2+j] = float32(p.Start[j]), float32(p.Target[j])
		}
	}
	return b, nil
}
