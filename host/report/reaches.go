package report

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The arrays and the columns of extra by which a reaching task is known: where the hand is and where it should be, and, where there are, joint angles, activations of
// muscles and the force on the hand; when the target is shown, the go cue comes and a push begins and ends.
const (
	reachHand, reachGoal, reachJoints, reachMuscles = "fingertip", "goal", "joint_angle", "muscle_activation"
	reachTarget, reachGo, reachBump, reachBumpEnd   = "target_on", "go", "bump_on", "bump_end"
)

// settleTime is how long after the go cue a reach has had its time, in s: the same as in the score of task/random-target, so that the figures are of the reaches that its
// reach_distance is of, where there are any.
const settleTime = 0.8

// reachMost is the number of trials that are read.
const reachMost = 48

// reaches are trials of a reaching task.
type reaches struct {
	labels                              artifact.Labels
	trials                              []int64
	hand, goal, joints, muscles, forces *cube
	// targetOn, go, bumpOn and bumpEnd are bins, -1 where there is none.
	targetOn, goCue, bumpOn, bumpEnd []int
	tick                             clock
	// source says which trials they are.
	source string
	// timed says whether it is known which trials have a go cue, and when.
	timed bool
	// short is the fewest bins after the go cue of the reaches that are shown where none has its time, half of the most that there are; 0 where some have.
	short int
	// catch are the trials among which there are such without a go cue; nil where there are none.
	catch *reaches
}

// openReaches reads the trials of a reaching task: those simulated, which are aligned, or, where there are none, the examples kept with the network; of the latter also those
// without a go cue, where none of those simulated is. It returns nil where the task is another one.
func (s *source) openReaches(ctx context.Context, train artifact.Stage) (*reaches, error) {
	r, err := s.simulatedReaches(ctx)
	if err != nil || r != nil && r.catch != nil {
		return r, err
	}
	kept, err := keptReaches(ctx, train)
	if r == nil {
		return kept, err
	}
	if err == nil && kept != nil { // what is wrong with the file is said where the example trials would stand
		r.catch = kept.catch
	}
	return r, nil
}

var reachArrays = []string{reachHand, reachGoal, reachJoints, reachMuscles, model.Outputs, task.EnvInputs, task.Extra}

func (s *source) simulatedReaches(ctx context.Context) (*reaches, error) {
	st, ok := s.run.Stage(artifact.SimulateStage)
	if !ok || st.Check(artifact.DatasetFile) != nil {
		return nil, nil
	}
	d, err := artifact.OpenDataset(st.Path(artifact.DatasetFile))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if !d.Has(reachHand) || !d.Has(reachGoal) {
		return nil, nil
	}
	names := slices.DeleteFunc(slices.Clone(reachArrays), func(n string) bool { return !d.Has(n) })
	b, err := take(d.Blocks(ctx, task.Valid, names, reachMost), reachMost)
	if err != nil {
		return nil, err
	}
	return newReaches(b, d.Attributes().Labels(), "simulated trials")
}

func keptReaches(ctx context.Context, train artifact.Stage) (*reaches, error) {
	if err := train.Check(artifact.RolloutFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	a, err := train.Arrays(artifact.RolloutFile)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if !a.Has(task.Valid, reachHand) || !a.Has(task.Valid, reachGoal) {
		return nil, nil
	}
	names := slices.DeleteFunc(slices.Clone(reachArrays), func(n string) bool { return !a.Has(task.Valid, n) })
	b, err := take(a.Blocks(ctx, task.Valid, names, reachMost), reachMost)
	if err != nil {
		return nil, err
	}
	return newReaches(b, a.Attributes().Labels(), "validation trials")
}

func newReaches(b tensor.Block, labels artifact.Labels, source string) (*reaches, error) {
	r := &reaches{labels: labels, trials: b.Trials, tick: clock{labels.BinWidth}, source: source}
	for name, to := range map[string]**cube{reachHand: &r.hand, reachGoal: &r.goal, reachJoints: &r.joints, reachMuscles: &r.muscles, task.EnvInputs: &r.forces} {
		c, err := newCube(b, name)
		if err != nil {
			return nil, err
		}
		*to = c
	}
	if r.hand == nil || r.goal == nil || r.hand.channels != 2 || r.goal.channels != 2 || !r.goal.like(r.hand) || r.hand.trials != len(b.Trials) {
		return nil, nil
	}
	if !(r.tick.width > 0) || math.IsInf(r.tick.width, 0) {
		r.tick.width = 0
	}
	// What a task of another author names like this may be something else.
	for _, c := range []struct {
		of    **cube
		means func(channels int) bool
	}{
		{&r.joints, func(n int) bool { return n == 2 }},
		{&r.muscles, func(n int) bool { return n > 0 }},
		{&r.forces, func(n int) bool { return n == 2 }},
	} {
		if *c.of != nil && !((*c.of).like(r.hand) && c.means((*c.of).channels)) {
			*c.of = nil
		}
	}
	extra := b.Arrays.Get(task.Extra)
	known := extra != nil && extra.Expect(len(b.Trials), len(labels.Extra)) == nil
	for name, to := range map[string]*[]int{reachTarget: &r.targetOn, reachGo: &r.goCue, reachBump: &r.bumpOn, reachBumpEnd: &r.bumpEnd} {
		column := slices.Index(labels.Extra, name)
		for i := range b.Trials {
			at := -1
			if known && column >= 0 {
				at = binOf(extra.Float64s()[i*len(labels.Extra)+column], r.hand.bins, name == reachBumpEnd)
			}
			*to = append(*to, at)
		}
	}
	r.timed = known && slices.Contains(labels.Extra, reachGo)
	if len(r.choose(1, r.settled)) == 0 {
		r.short = max((r.longest()+1)/2, 2)
	}
	if r.timed && len(r.choose(1, r.caught)) > 0 {
		r.catch = r
	}
	return r, nil
}

// at is where a point is in a bin.
func at(c *cube, trial, bin int) (x, y float64) {
	i := (trial*c.bins + bin) * c.channels
	return c.data[i], c.data[i+1]
}

// choose picks up to n trials of those that fit.
func (r *reaches) choose(n int, fits func(trial int) bool) []int {
	var out []int
	for i := range r.trials {
		if len(out) < n && r.hand.lengths[i] > 1 && fits(i) {
			out = append(out, i)
		}
	}
	return out
}

// bins is a time in bins; no more than a trial has, however short they say they are.
func (r *reaches) bins(seconds float64) int {
	if r.tick.width == 0 {
		return r.hand.bins
	}
	return int(min(math.Round(seconds/r.tick.width), float64(r.hand.bins)))
}

// after is the number of bins from the go cue on; 0 where there is none.
func (r *reaches) after(i int) int {
	if r.goCue[i] < 0 {
		return 0
	}
	return max(r.hand.lengths[i]-r.goCue[i], 0)
}

func (r *reaches) longest() int {
	n := 0
	for i := range r.trials {
		n = max(n, r.after(i))
	}
	return n
}

// settled says whether a trial has a go cue and a reach its time.
func (r *reaches) settled(i int) bool {
	return r.tick.width > 0 && float64(r.after(i))*r.tick.width >= settleTime-1e-9 // what is a whole number of bins is enough, however its product is rounded
}

// reached says whether a trial has a go cue and is long enough to be shown as a reach.
func (r *reaches) reached(i int) bool {
	if r.short > 0 {
		return r.after(i) >= r.short
	}
	return r.settled(i)
}

func (r *reaches) quiet(i int) bool  { return r.bumpOn[i] < 0 && r.reached(i) }
func (r *reaches) pushed(i int) bool { return r.bumpOn[i] >= 0 && r.reached(i) }

func (r *reaches) caught(i int) bool { return r.goCue[i] < 0 }

// which says which reaches are shown, after "trials".
func (r *reaches) which() string {
	if r.short == 0 {
		return fmt.Sprintf("that last %g s or more after the go cue", settleTime)
	}
	least := r.hand.bins
	for _, i := range r.choose(len(r.trials), r.reached) {
		least = min(least, r.after(i))
	}
	if r.tick.width == 0 {
		return fmt.Sprintf("that last %d bins or more after the go cue", least)
	}
	return fmt.Sprintf("that last %.3g s or more after the go cue (none lasts the %g s in which a reach settles, so the hand may still be on its way at the end)", float64(least)*r.tick.width, settleTime)
}

// unreached says why there is no reach to be shown; nil where there is one that fits.
func (r *reaches) unreached(fits func(int) bool, what string) error {
	switch {
	case len(r.choose(1, fits)) > 0:
		return nil
	case !r.timed:
		return errors.New("the trials do not say when the go cue comes")
	case r.longest() == 0:
		return errors.New("no trial has a go cue")
	case len(r.choose(1, r.reached)) == 0:
		return errors.New("no trial lasts two bins after its go cue")
	}
	return errors.New(what)
}
