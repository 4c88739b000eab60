package plugintest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// scored are the arrays that Score is given, but for what the task records itself: random outputs, and in closed loop the state, with so many channels more than declared.
func scored(spec task.Spec, n, bins, more int) tensor.Set {
	r := random.New(7, "outputs", uint64(n))
	fill := func(name string, width int, low, high float64) *tensor.Tensor {
		t := tensor.New32(name, n, bins, width)
		for i := range t.F32 {
			t.F32[i] = float32(low + (high-low)*r.Float64())
		}
		return t
	}
	if spec.Loop == nil {
		return tensor.Set{fill("outputs", spec.Outputs+more, -1, 1)}
	}
	l := spec.Loop
	low, high := bounds(l)
	return tensor.Set{fill("outputs", spec.Outputs+more, low, high), fill(task.Controlled, l.StateSize+more, -1, 1)}
}

// outputs are blocks that Score accepts: random ones, of a closed-loop task those of an episode with random actions.
func outputs(ctx context.Context, t client.Task, spec task.Spec, trials tensor.Block) (tensor.Block, error) {
	b := tensor.Block{Trials: trials.Trials}
	if spec.Loop == nil {
		b.Arrays = scored(spec, len(trials.Trials), spec.Bins, 0)
		return b, nil
	}
	loop, ok := t.(task.ClosedLoop)
	if !ok {
		return b, fmt.Errorf("the spec has a loop, but the manifest has not the capability %q", component.ClosedLoop)
	}
	run, err := runEpisode(ctx, loop, spec, task.EpisodeRequest{Split: task.Valid, Trials: trials.Trials, Seed: 5}, randomActions(spec, trials.Trials, spec.Bins))
	if err != nil {
		return b, err
	}
	return run.block(spec, trials.Trials), nil
}

func taskScore(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 2)
	if err != nil {
		return err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return err
	}
	if spec.ValidTrials == 0 {
		v.Skipf("there are no validation trials")
		return nil
	}
	trials, _, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Valid})
	if err != nil {
		return err
	}
	given, err := outputs(ctx, t, spec, trials)
	if err != nil {
		return err
	}
	score := func(b tensor.Block, size int) (task.Score, error) {
		out, err := t.Score(ctx, task.ScoreRequest{Split: task.Valid}, inBlocks(b, size))
		if err != nil {
			return out, fmt.Errorf("calling Score in blocks of %d: %w", size, err)
		}
		return out, nil
	}
	got, err := score(given, 0)
	if err != nil {
		return err
	}
	checkScore(spec, trials, got, v)
	if v.failed() {
		return nil
	}
	again, err := score(given, 3)
	if err != nil {
		return err
	}
	if a, b := shownScore(got), shownScore(again); a != b {
		v.Failf("the score of the same outputs in one block and in blocks of 3 trials is not the same: a trial's score must not depend on its block")
	}
	declared := !slices.ContainsFunc(spec.Loss.Terms, func(t task.Term) bool { return t.Kind != task.SquaredError || t.Scale < 0 })
	targets := trials.Arrays.Get(task.Targets)
	if spec.Loop != nil || !declared || targets == nil {
		return nil
	}
	perfect, err := score(tensor.Block{Trials: trials.Trials, Arrays: tensor.Set{targets.Named("outputs")}}, 0)
	if err != nil {
		return err
	}
	checkScore(spec, trials, perfect, v)
	if a, b := mean(perfect.Loss), mean(got.Loss); !(a <= b) {
		v.Failf("the mean loss of the targets themselves is %v, that of random outputs %v: the loss is declared to be a squared error", a, b)
	}
	if a, b := mean(perfect.Success), mean(got.Success); !(a >= b) {
		v.Failf("the targets themselves succeed in %.3g of the trials, random outputs in %.3g", a, b)
	}
	v.Notef("targets succeed in %.3g of the trials, random outputs in %.3g", mean(perfect.Success), mean(got.Success))
	return nil
}

// checkScore holds a score to its ranges and to the trials that it is of.
func checkScore(spec task.Spec, trials tensor.Block, s task.Score, v *Verdict) {
	if !slices.Equal(s.Trials, trials.Trials) {
		v.Failf("the scored trials are %v: those that were given, %v, each once and in order, are needed", head(s.Trials), head(trials.Trials))
		return
	}
	for i, k := range s.Trials {
		if x := s.Success[i]; !(x >= 0 && x <= 1) {
			v.Failf("success of trial %d is %v: 0 to 1 is needed", k, x)
		}
		if x := s.Loss[i]; math.IsNaN(x) || math.IsInf(x, 0) {
			v.Failf("loss of trial %d is %v: a finite number is needed", k, x)
		}
	}
	if s.Condition == nil {
		return
	}
	if c := trials.Arrays.Get(task.Conditions); c != nil && slices.Equal(s.ConditionNames, spec.ConditionNames) && !slices.Equal(s.Condition, c.I64) {
		v.Failf("the score's conditions are not those of the trials' array %q", task.Conditions)
	}
}

func shownScore(s task.Score) string {
	return fmt.Sprint(s.Trials, bits(s.Success), bits(s.Loss), s.Condition, s.ConditionNames, s.MetricNames, s.MetricUnits, len(s.Metrics), bits(slices.Concat(s.Metrics...)))
}

func bits(x []float64) []uint64 {
	out := make([]uint64, len(x))
	for i, v := range x {
		out[i] = math.Float64bits(v)
	}
	return out
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func lossChecks() []check {
	return []check{
		{name: "loss", doc: "the cotangent of a custom loss is its gradient, and the loss of a batch the mean of its trials'", run: taskLoss},
	}
}

func taskLoss(ctx context.Context, s *subject, v *Verdict) error {
	if !s.info.Can(component.CustomLoss) {
		v.Skipf("its loss is declared, not computed (no capability %q)", component.CustomLoss)
		return nil
	}
	opened, err := s.task(ctx, seed, 1)
	if err != nil {
		return err
	}
	t, ok := opened.(task.CustomLoss)
	if !ok {
		v.Failf("the manifest has the capability %q, the instance has not", component.CustomLoss)
		return nil
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return err
	}
	b, err := first(t.Trials(ctx, task.TrialRequest{Split: task.Train, BlockTrials: 3}))
	if err != nil {
		return err
	}
	n, width := len(b.Trials), pick(spec.Loop == nil, spec.Outputs, 0)
	if spec.Loop != nil {
		width = spec.Loop.StateSize
	}
	r := random.New(9, "custom loss")
	y := tensor.New64("outputs", n, spec.Bins, width)
	for i := range y.F64 {
		y.F64[i] = 0.5 * r.NormFloat64()
	}
	req := task.ScoreRequest{Split: task.Train}
	loss := func(trials []int64, y *tensor.Tensor) (float64, error) {
		x, _, err := t.Loss(ctx, req, trials, y)
		return x, err
	}
	value, c, err := t.Loss(ctx, req, b.Trials, y)
	if err != nil {
		return fmt.Errorf("calling Loss: %w", err)
	}
	if math.IsNaN(value) || math.IsInf(value, 0) {
		v.Failf("the loss of random outputs is %v: a finite number is needed", value)
	}
	if c.Expect(y.Shape...) != nil {
		v.Failf("the cotangent has shape %v: that of the outputs, %v, is needed", c.Shape, y.Shape)
		return nil
	}
	sum := 0.0
	for i, k := range b.Trials {
		one, err := loss([]int64{k}, y.Slice(i, i+1))
		if err != nil {
			return fmt.Errorf("calling Loss of one trial: %w", err)
		}
		sum += one / float64(n)
	}
	double := c.F64 != nil
	if tol := pickFloat(double, 1e-9, 1e-4); !(math.Abs(sum-value) <= tol*max(1, math.Abs(value))) {
		v.Failf("the loss of %d trials is %v, the mean of their losses %v: the mean over trials is needed", n, value, sum)
	}
	// Differences along single elements, of which there may be many: a few from each trial.
	var at []int
	for i := range n {
		for range min(12, spec.Bins*width) {
			at = append(at, i*spec.Bins*width+r.IntN(spec.Bins*width))
		}
	}
	got, want, err := along(at, c.Float64s(), y.F64, double, func() (float64, error) { return loss(b.Trials, y) })
	if err != nil {
		return err
	}
	limit := pickFloat(double, exact, rough)
	worst, i := disagreement(got, want)
	if !(worst <= limit) {
		v.Failf("the cotangent of output %v is %.8g, central differences of the loss give %.8g: it is off by %.2g of the largest entry, at most %.0e is allowed", index(y.Shape, at[i]), got[i], want[i], worst, limit)
	}
	v.Notef("off by %.1g of the largest entry", worst)
	return nil
}

func pickFloat(ok bool, a, b float64) float64 {
	if ok {
		return a
	}
	return b
}

// along returns the gradient at some elements of x, and central differences of f along them, with the step that fits each best: where f is curved, a shorter one; where it is coarse, a longer one.
func along(at []int, gradient, x []float64, double bool, f func() (float64, error)) (got, want []float64, err error) {
	for _, i := range at {
		got = append(got, gradient[i])
		best, off := 0.0, math.Inf(1)
		kept := x[i]
		for _, h := range steps(double) {
			x[i] = kept + h
			above, err := f()
			if err != nil {
				return nil, nil, err
			}
			x[i] = kept - h
			below, err := f()
			if err != nil {
				return nil, nil, err
			}
			if d := (above - below) / (2 * h); math.Abs(d-gradient[i]) < off {
				best, off = d, math.Abs(d-gradient[i])
			} else if math.IsInf(off, 1) {
				best = d
			}
		}
		x[i] = kept
		want = append(want, best)
	}
	return got, want, nil
}

// How far derivatives may be from central differences, relative to the largest entry, in float64 and in float32.
const (
	exact = 1e-5
	rough = 1e-2
)

// steps are the lengths of central differences.
func steps(double bool) []float64 {
	if double {
		return []float64{1e-4, 1e-5, 1e-6}
	}
	return []float64{3e-2, 1e-2, 3e-3}
}

// disagreement is the largest difference of two gradients, relative to the largest entry of either, and where it is. NaN anywhere is an infinite one.
func disagreement(got, want []float64) (worst float64, at int) {
	scale := 0.0
	for i, w := range want {
		scale = max(scale, math.Abs(w), math.Abs(got[i]))
	}
	if scale == 0 {
		return 0, 0
	}
	for i, w := range want {
		d := math.Abs(got[i]-w) / scale
		if math.IsNaN(d) {
			return math.Inf(1), i
		}
		if d > worst {
			worst, at = d, i
		}
	}
	return worst, at
}
