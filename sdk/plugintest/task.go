package plugintest

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func taskChecks() []check {
	return slices.Concat([]check{
		{name: "spec", doc: "its spec is complete, agrees with its capabilities, and is the same for every instance", run: taskSpec, first: true},
		{name: "trials", doc: "its trials have the arrays, shapes and numbers that the spec declares, all finite, in disjoint splits", run: taskTrials},
		{name: "same-seed", doc: "the same seed gives the same bytes, whatever the number of threads", run: taskSameSeed},
		{name: "other-seed", doc: "another seed gives other trials", run: taskOtherSeed},
		{name: "chunking", doc: "trials are the same in blocks of any size, which are no larger than asked for", run: taskChunking},
		{name: "passes", doc: "trials differ from pass to pass if the spec says that noise is fresh, and not otherwise", run: taskPasses},
		{name: "score", doc: "every trial is scored once, with success within 0 to 1 and a finite loss, whatever the blocks", run: taskScore},
		{name: "wrong-calls", doc: "calls that make no sense are refused as such, and harm nothing", run: taskWrongCalls},
		{name: "cancel", doc: "a cancelled call ends within seconds", run: taskCancel},
	}, lossChecks(), loopChecks())
}

func taskSpec(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 1)
	if err != nil {
		return err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return fmt.Errorf("calling Spec: %w", err)
	}
	again, err := t.Spec(ctx)
	if err != nil {
		return fmt.Errorf("calling Spec: %w", err)
	}
	other, err := s.task(ctx, otherSeed, 2)
	if err != nil {
		return err
	}
	elsewhere, err := other.Spec(ctx)
	if err != nil {
		return fmt.Errorf("calling Spec: %w", err)
	}
	if a, b := shownSpec(spec), shownSpec(again); a != b {
		v.Failf("asked twice, the spec is %s and %s: it must not change", a, b)
	}
	if a, b := shownSpec(spec), shownSpec(elsewhere); a != b {
		v.Failf("with another seed the spec is %s, not %s: it may depend on parameters alone", b, a)
	}
	atLeast := func(name string, n, low int) {
		if n < low {
			v.Failf("spec.%s is %d: at least %d is needed", name, n, low)
		}
	}
	atLeast("inputs", spec.Inputs, 0)
	atLeast("outputs", spec.Outputs, 1)
	atLeast("bins", spec.Bins, 1)
	atLeast("train_trials", spec.TrainTrials, 1)
	atLeast("valid_trials", spec.ValidTrials, 0)
	if spec.Inputs == 0 && spec.Loop == nil {
		v.Failf("spec.inputs is 0: a task in open loop needs at least 1")
	}
	if spec.BinWidth < 0 || math.IsNaN(spec.BinWidth) || math.IsInf(spec.BinWidth, 0) {
		v.Failf("spec.bin_width is %v: seconds are needed, or 0 where time has no unit", spec.BinWidth)
	}
	labels := func(name string, n, channels int, one bool) {
		if n != 0 && n != channels && (!one || n != 1) {
			v.Failf("spec.%s are %d for %d channels: none or one for each is needed", name, n, channels)
		}
	}
	labels("input_labels", len(spec.InputLabels), spec.Inputs, false)
	labels("output_labels", len(spec.OutputLabels), spec.Outputs, false)
	labels("input_units", len(spec.InputUnits), spec.Inputs, true)
	labels("output_units", len(spec.OutputUnits), spec.Outputs, true)
	labels("extra_units", len(spec.ExtraUnits), len(spec.Extra), true)
	if spec.Trim[0] < 0 || spec.Trim[1] > 0 || spec.Trim[0]-spec.Trim[1] >= spec.Bins {
		v.Failf("spec.trim is %v: bins [first, bins + last) with last <= 0, at least one of %d, are needed", spec.Trim, spec.Bins)
	}
	lossSpec(s, spec, v)
	loopSpec(s, spec, v)
	if len(spec.Simulation) > 0 {
		given := s.values
		merged := map[string]any{}
		for k, x := range given {
			merged[k] = x
		}
		for k, x := range spec.Simulation {
			merged[k] = x
		}
		verdict, err := s.validate(ctx, merged)
		if err != nil {
			return fmt.Errorf("calling Validate: %w", err)
		}
		for _, p := range verdict.Problems {
			v.Failf("spec.simulation lays %v over the parameters, which Validate refuses: %v", spec.Simulation, p)
		}
	}
	v.Notef("%d inputs, %d outputs, %d bins, %d and %d trials", spec.Inputs, spec.Outputs, spec.Bins, spec.TrainTrials, spec.ValidTrials)
	return nil
}

// shownSpec is a spec as text, with what its pointers point to.
func shownSpec(s task.Spec) string {
	loop := "no loop"
	if s.Loop != nil {
		loop = fmt.Sprintf("%+v", *s.Loop)
	}
	s.Loop = nil
	return fmt.Sprintf("%+v %s", s, loop)
}

func lossSpec(s *subject, spec task.Spec, v *Verdict) {
	if len(spec.Loss.Terms) == 0 {
		v.Failf("spec.loss has no terms: at least one is needed to train with")
	}
	custom := false
	for i, term := range spec.Loss.Terms {
		if math.IsNaN(term.Scale) || math.IsInf(term.Scale, 0) {
			v.Failf("spec.loss.terms[%d].scale is %v: a finite number is needed", i, term.Scale)
		}
		if term.HorizonEpochs < 0 {
			v.Failf("spec.loss.terms[%d].horizon_epochs is %d: at least 0 is needed", i, term.HorizonEpochs)
		}
		custom = custom || term.Kind == task.Custom
	}
	if custom != s.info.Can(component.CustomLoss) {
		v.Failf("the manifest's capability %q is %v, but the spec's loss has a term of kind %q: %v: they must agree", component.CustomLoss, s.info.Can(component.CustomLoss), task.Custom, custom)
	}
}

func loopSpec(s *subject, spec task.Spec, v *Verdict) {
	l := spec.Loop
	if (l != nil) != s.info.Can(component.ClosedLoop) {
		v.Failf("the manifest's capability %q is %v, but the spec's loop is there: %v: they must agree", component.ClosedLoop, s.info.Can(component.ClosedLoop), l != nil)
	}
	if l == nil {
		return
	}
	if l.Actions < 1 || l.Actions != spec.Outputs {
		v.Failf("spec.loop.actions is %d: the number of outputs, %d, is needed", l.Actions, spec.Outputs)
	}
	if !(l.ActionLow < l.ActionHigh) {
		v.Failf("spec.loop bounds actions by [%v, %v]: a range is needed", l.ActionLow, l.ActionHigh)
	}
	if l.StateSize < 1 {
		v.Failf("spec.loop.state_size is %d: at least 1 is needed, since the loss is on it", l.StateSize)
	}
	if n := len(l.StateLabels); n != 0 && n != l.StateSize {
		v.Failf("spec.loop.state_labels are %d for a state of size %d: none or one for each is needed", n, l.StateSize)
	}
	for name, delay := range l.FeedbackDelay {
		if !(delay >= 0) || math.IsInf(delay, 0) {
			v.Failf("spec.loop.feedback_delay of %s is %v: seconds are needed", name, delay)
		}
	}
}

// trialsOf collects a split, and reports blocks that are larger than asked for.
func trialsOf(ctx context.Context, t task.Task, req task.TrialRequest) (tensor.Block, string, error) {
	wrong := ""
	b, err := tensor.Collect(func(yield func(tensor.Block, error) bool) {
		for b, err := range t.Trials(ctx, req) {
			if n := len(b.Trials); req.BlockTrials > 0 && n > req.BlockTrials && wrong == "" {
				wrong = fmt.Sprintf("a block has %d trials where at most %d were asked for", n, req.BlockTrials)
			}
			if !yield(b, err) {
				return
			}
		}
	})
	if err != nil {
		return b, wrong, fmt.Errorf("trials of split %s in blocks of %d: %w", req.Split, req.BlockTrials, err)
	}
	return b, wrong, nil
}

func taskTrials(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 1)
	if err != nil {
		return err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return err
	}
	splits := map[task.Split]tensor.Block{}
	for _, one := range []struct {
		split task.Split
		want  int
	}{{task.Train, spec.TrainTrials}, {task.Valid, spec.ValidTrials}, {task.All, spec.TrainTrials + spec.ValidTrials}} {
		b, _, err := trialsOf(ctx, t, task.TrialRequest{Split: one.split})
		if err != nil {
			return err
		}
		if len(b.Trials) != one.want {
			v.Failf("split %s has %d trials: the spec declares %d", one.split, len(b.Trials), one.want)
		}
		if one.want > 0 {
			checkTrials(spec, one.split, b, v)
		}
		splits[one.split] = b
	}
	at := map[int64]int{}
	all := splits[task.All]
	for i, k := range all.Trials {
		if _, twice := at[k]; twice {
			v.Failf("trial %d is twice in split all", k)
		}
		at[k] = i
	}
	if !slices.IsSorted(all.Trials) {
		v.Failf("the trials of split all are not in the order of their numbers")
	}
	in := map[int64]task.Split{}
	for _, split := range []task.Split{task.Train, task.Valid} {
		for i, k := range splits[split].Trials {
			if before, twice := in[k]; twice {
				v.Failf("trial %d is in split %s and again in split %s: the splits must not overlap", k, before, split)
			}
			in[k] = split
			j, ok := at[k]
			if !ok {
				v.Failf("trial %d of split %s is not in split all", k, split)
				continue
			}
			if v.failed() {
				continue
			}
			if d := blockDifference(row(splits[split], i), row(all, j)); d != "" {
				v.Failf("trial %d is not the same in split %s and in split all: %s", k, split, d)
			}
		}
	}
	return nil
}

// checkTrials holds a split to what the spec declares.
func checkTrials(spec task.Spec, split task.Split, b tensor.Block, v *Verdict) {
	n, bins := len(b.Trials), spec.Bins
	targets := spec.Outputs
	if spec.Loop != nil {
		targets = spec.Loop.StateSize
	}
	need := func(name string, required bool, shape ...int) *tensor.Tensor {
		a := b.Arrays.Get(name)
		if a == nil {
			if required {
				v.Failf("split %s has the arrays %v: %q of shape %v is needed", split, b.Arrays.Names(), name, shape)
			}
			return nil
		}
		if a.Expect(shape...) != nil {
			v.Failf("split %s: array %q has shape %v: %v (-1: any) is needed", split, name, a.Shape, shape)
			return nil
		}
		return a
	}
	need(task.Inputs, spec.Loop == nil, n, bins, pick(spec.Loop == nil, spec.Inputs, -1))
	need(task.TrueInputs, false, n, bins, pick(spec.Loop == nil, spec.Inputs, -1))
	need(task.EnvInputs, false, n, bins, -1)
	need(task.Targets, true, n, bins, targets)
	if w := b.Arrays.Get(task.Weights); w != nil && w.Expect(n, bins, 1) != nil && w.Expect(n, bins, targets) != nil {
		v.Failf("split %s: array %q has shape %v: (%d, %d, %d) or (%d, %d, 1) is needed", split, task.Weights, w.Shape, n, bins, targets, n, bins)
	}
	if len(spec.Extra) > 0 || b.Arrays.Get(task.Extra) != nil {
		if x := need(task.Extra, true, n, len(spec.Extra)); x != nil {
			for i, k := range x.Float64s() {
				if c := i % len(spec.Extra); spec.ExtraInBins(c) && k != -1 && (k != math.Trunc(k) || k < 0 || k > float64(bins)) {
					v.Failf("split %s: trial %d has %v as %q, which extra_units says is in bins: -1 or a whole number from 0 to %d is needed", split, b.Trials[i/len(spec.Extra)], k, spec.Extra[c], bins)
				}
			}
		}
	}
	if c := need(task.Conditions, true, n); c != nil {
		if c.I64 == nil {
			v.Failf("split %s: array %q is %s: int64 is needed", split, task.Conditions, c.DType())
		}
		for i, k := range c.I64 {
			if k < 0 || len(spec.ConditionNames) > 0 && k >= int64(len(spec.ConditionNames)) {
				v.Failf("split %s: trial %d has condition %d: 0 to %d are named", split, b.Trials[i], k, len(spec.ConditionNames)-1)
			}
		}
	}
	if l := need(task.Lengths, false, n); l != nil {
		if l.I64 == nil {
			v.Failf("split %s: array %q is %s: int64 is needed", split, task.Lengths, l.DType())
		}
		for i, k := range l.I64 {
			if k < 1 || k > int64(bins) {
				v.Failf("split %s: trial %d has %d bins: 1 to %d are allowed", split, b.Trials[i], k, bins)
			}
		}
	}
	for _, a := range b.Arrays {
		if err := a.CheckFinite(); err != nil {
			v.Failf("split %s: %v", split, err)
		}
	}
}

func pick(ok bool, a, b int) int {
	if ok {
		return a
	}
	return b
}

// everyTrial opens the task and collects all of its trials.
func (s *subject) everyTrial(ctx context.Context, seed uint64, threads int, req task.TrialRequest) (tensor.Block, error) {
	t, err := s.task(ctx, seed, threads)
	if err != nil {
		return tensor.Block{}, err
	}
	req.Split = task.All
	b, _, err := trialsOf(ctx, t, req)
	return b, err
}

func taskSameSeed(ctx context.Context, s *subject, v *Verdict) error {
	if !s.info.Can(component.Deterministic) {
		v.Skipf("its manifest does not promise %q", component.Deterministic)
		return nil
	}
	a, err := s.everyTrial(ctx, seed, 1, task.TrialRequest{Pass: 1})
	if err != nil {
		return err
	}
	for _, threads := range []int{1, 3} {
		b, err := s.everyTrial(ctx, seed, threads, task.TrialRequest{Pass: 1})
		if err != nil {
			return err
		}
		if d := blockDifference(a, b); d != "" {
			v.Failf("two instances with seed %d, one with 1 thread and one with %d: %s; the manifest promises %q: take every draw from the seed and the trial's number, "+
				"or do not promise it", seed, threads, d, component.Deterministic)
			return nil
		}
	}
	return nil
}

func taskOtherSeed(ctx context.Context, s *subject, v *Verdict) error {
	a, err := s.everyTrial(ctx, seed, 1, task.TrialRequest{})
	if err != nil {
		return err
	}
	b, err := s.everyTrial(ctx, otherSeed, 1, task.TrialRequest{})
	if err != nil {
		return err
	}
	if blockDifference(a, b) == "" {
		v.Failf("all trials are the same with seeds %d and %d: the seed that it is opened with must be what draws come from", seed, otherSeed)
	}
	return nil
}

func taskChunking(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 2)
	if err != nil {
		return err
	}
	want, _, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Train})
	if err != nil {
		return err
	}
	for _, size := range []int{1, 7, len(want.Trials) + 1} {
		got, wrong, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Train, BlockTrials: size})
		if err != nil {
			return err
		}
		if wrong != "" {
			v.Failf("%s", wrong)
		}
		if d := blockDifference(want, got); d != "" {
			v.Failf("in blocks of the task's own size and of %d: %s: a trial must not depend on which others are in its block", size, d)
		}
	}
	// A reader who has had enough.
	for _, err := range t.Trials(ctx, task.TrialRequest{Split: task.Train, BlockTrials: 1}) {
		if err != nil {
			return err
		}
		break
	}
	again, _, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Train})
	if err != nil {
		return fmt.Errorf("after a reader had broken off: %w", err)
	}
	if d := blockDifference(want, again); d != "" {
		v.Failf("asked once more, the same instance gives other trials: %s", d)
	}
	return nil
}

func taskPasses(ctx context.Context, s *subject, v *Verdict) error {
	t, err := s.task(ctx, seed, 1)
	if err != nil {
		return err
	}
	spec, err := t.Spec(ctx)
	if err != nil {
		return err
	}
	a, _, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Train})
	if err != nil {
		return err
	}
	b, _, err := trialsOf(ctx, t, task.TrialRequest{Split: task.Train, Pass: 3})
	if err != nil {
		return err
	}
	d := blockDifference(a, b)
	switch {
	case spec.FreshNoise && d == "":
		v.Failf("the trials of passes 0 and 3 are the same, but the spec says that noise is fresh in each")
	case !spec.FreshNoise && d != "":
		v.Failf("the trials of passes 0 and 3 differ (%s), but the spec does not say that noise is fresh in each", d)
	case !slices.Equal(a.Trials, b.Trials):
		v.Failf("the trials of passes 0 and 3 have other numbers: which trials are in a split must not depend on the pass")
	}
	return nil
}
