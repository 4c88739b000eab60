package plugintest

import (
	"context"
	"fmt"
	"slices"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func modelChecks() []check {
	return []check{
		{name: "target", doc: "it opens for what its capabilities say, and for nothing else", run: modelTarget, first: true},
		{name: "train", doc: "it trains to the end, reports finite numbers and whole checkpoints, answers for its health meanwhile, and has other weights then", run: modelTrain, first: true},
		{name: "save-load", doc: "saved weights, loaded into another instance, are the same weights and give the same rollouts", run: modelSaveLoad},
		{name: "rollout", doc: "rollouts have the arrays and shapes of their roles, without noise whatever the seed, with noise the same for the same seed", run: modelRollout},
		{name: "batch", doc: "a trial's rollout does not depend on which others are with it", run: modelBatch},
		{name: "same-seed", doc: "the same seed gives the same weights to the bit, whatever the number of threads", run: modelSameSeed},
		{name: "chunking", doc: "training gives the same weights in whatever blocks the trials come", run: modelChunking},
		{name: "other-seed", doc: "another seed gives other weights", run: modelOtherSeed},
		{name: "resume", doc: "a training that was interrupted goes on from its checkpoint and ends as if it had not been", run: modelResume},
		{name: "wrong-calls", doc: "calls that make no sense are refused as such, and change nothing", run: modelWrongCalls},
		{name: "cancel", doc: "a cancelled training ends within seconds, also while it waits for data", run: modelCancel},
		{name: "closed-loop", doc: "it trains in closed loop, and rolls out with actions within their bounds", run: modelLoop},
		{name: "dynamics", doc: "the state is laid out as declared, batches are as single states, and wrong shapes are refused", run: modelDynamics},
		{name: "derivatives", doc: "Jacobians are those of Step: central differences in float64 to 1e-5, in float32 to 1e-2 of the largest entry; Jvp and Vjp are their products", run: modelDerivatives},
		{name: "steps", doc: "the dynamics' steps are those of a rollout without noise", run: modelSteps},
	}
}

// lesson is what a model is trained on.
type lesson struct {
	target model.Target
	task   client.Task
	data   model.DataSource
	// trials are validation trials as a rollout takes them.
	trials tensor.Block
}

func (l lesson) request() model.TrainRequest {
	if l.data != nil {
		return model.TrainRequest{Data: l.data}
	}
	return model.TrainRequest{Task: l.task}
}

// lesson returns what the model is trained on, in blocks of so many trials; 0 is one block.
func (s *subject) lesson(ctx context.Context, block int) (lesson, error) {
	if !s.info.Can(component.TrainsOnTask) {
		r, spec, err := s.recording(ctx, block)
		return lesson{target: model.Target{Data: &spec}, data: r, trials: r.split(task.Valid, r.seen()...)}, err
	}
	return s.lessonOn(ctx, "foil", block)
}

func (s *subject) lessonOn(ctx context.Context, short string, block int) (l lesson, err error) {
	if l.task, err = s.foil.task(ctx, short, block); err != nil {
		return l, err
	}
	t := l.task
	s.cleanups = append(s.cleanups, func() error { return t.Close(context.WithoutCancel(ctx)) })
	spec, err := l.task.Spec(ctx)
	if err != nil {
		return l, err
	}
	l.target.Task = &spec
	l.trials, err = tensor.Collect(l.task.Trials(ctx, task.TrialRequest{Split: task.Valid}))
	return l, err
}

// trained opens a model and trains it.
func (s *subject) trained(ctx context.Context, seed uint64, threads, block int) (client.Model, lesson, error) {
	l, err := s.lesson(ctx, block)
	if err != nil {
		return nil, l, err
	}
	env, err := s.env(seed, threads)
	if err != nil {
		return nil, l, err
	}
	m, err := s.model(ctx, env, l.target)
	if err != nil {
		return nil, l, err
	}
	if _, err := m.Train(ctx, l.request(), component.Discard{}); err != nil {
		return nil, l, fmt.Errorf("calling Train: %w", err)
	}
	return m, l, nil
}

// weightsOf trains and returns the weights.
func (s *subject) weightsOf(ctx context.Context, seed uint64, threads, block int) (tensor.Set, error) {
	m, _, err := s.trained(ctx, seed, threads, block)
	if err != nil {
		return nil, err
	}
	return saved(ctx, m)
}

// saved are the weights, by name.
func saved(ctx context.Context, m model.Model) (tensor.Set, error) {
	w, err := m.Save(ctx)
	if err != nil {
		return nil, fmt.Errorf("calling Save: %w", err)
	}
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("saved weights: %w", err)
	}
	return byName(w), nil
}

func modelTarget(ctx context.Context, s *subject, v *Verdict) error {
	spec := task.Spec{}
	r, data, err := s.recording(ctx, 0)
	if err != nil {
		return err
	}
	t, err := s.foil.task(ctx, "foil", 0)
	if err != nil {
		return err
	}
	if spec, err = t.Spec(ctx); err != nil {
		return err
	}
	for _, one := range []struct {
		capability component.Capability
		target     model.Target
		what       string
	}{{component.TrainsOnTask, model.Target{Task: &spec}, "a task"}, {component.TrainsOnData, model.Target{Data: &data}, "recorded data"}} {
		env, err := s.env(seed, 1)
		if err != nil {
			return err
		}
		m, err := s.model(ctx, env, one.target)
		if s.info.Can(one.capability) {
			if err != nil {
				v.Failf("the manifest has the capability %q, but for %s: %v", one.capability, one.what, err)
			}
			continue
		}
		if err == nil {
			req := model.TrainRequest{Task: t}
			if one.target.Data != nil {
				req = model.TrainRequest{Data: r}
			}
			_, err = m.Train(ctx, req, component.Discard{})
		}
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("the manifest has not the capability %q; opened for %s and trained: %s: an invalid argument is needed", one.capability, one.what, why)
		}
	}
	return t.Close(ctx)
}

func modelSaveLoad(ctx context.Context, s *subject, v *Verdict) error {
	m, l, err := s.trained(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	want, err := saved(ctx, m)
	if err != nil {
		return err
	}
	env, err := s.env(otherSeed, 2)
	if err != nil {
		return err
	}
	other, err := s.model(ctx, env, l.target)
	if err != nil {
		return err
	}
	if err := other.Load(ctx, want); err != nil {
		v.Failf("Load of weights that Save gave: %v", err)
		return nil
	}
	got, err := saved(ctx, other)
	if err != nil {
		return err
	}
	if d := setDifference(want, got); d != "" {
		v.Failf("saved, loaded and saved again: %s", d)
	}
	a, err := rolled(ctx, m, model.RolloutRequest{}, l.trials, 0)
	if err != nil {
		return err
	}
	b, err := rolled(ctx, other, model.RolloutRequest{}, l.trials, 0)
	if err != nil {
		return err
	}
	if d := differs(s, a, b); d != "" {
		v.Failf("rolled out without noise, the instance that was trained and one with its weights: %s: everything that a rollout needs must be among the weights", d)
	}
	v.Notef("%d arrays", len(want))
	return nil
}

// differs is the difference of two blocks: to the bit where the component promises it, else within the tolerance of sums in another order.
func differs(s *subject, a, b tensor.Block) string {
	if s.info.Can(component.Deterministic) {
		return blockDifference(a, b)
	}
	if !slices.Equal(a.Trials, b.Trials) {
		return blockDifference(a, b)
	}
	return setApart(a.Arrays, b.Arrays, 1e-4)
}

// rolled rolls out over a block cut into blocks.
func rolled(ctx context.Context, m model.Model, req model.RolloutRequest, trials tensor.Block, block int) (tensor.Block, error) {
	b, err := tensor.Collect(m.Rollout(ctx, req, inBlocks(trials, block)))
	if err != nil {
		return b, fmt.Errorf("calling Rollout in blocks of %d: %w", block, err)
	}
	return b, nil
}

// widths are how wide the arrays of a rollout must be; those of other roles are the model's own.
func widths(t model.Target) map[string]int {
	if t.Task != nil {
		return map[string]int{model.Outputs: t.Task.Outputs}
	}
	return map[string]int{model.Rates: t.Data.Neurons}
}

func modelRollout(ctx context.Context, s *subject, v *Verdict) error {
	m, l, err := s.trained(ctx, seed, 2, 0)
	if err != nil {
		return err
	}
	quiet, err := rolled(ctx, m, model.RolloutRequest{Seed: 1}, l.trials, 0)
	if err != nil {
		return err
	}
	checkRollout(l, quiet, v)
	if v.failed() {
		return nil
	}
	other, err := rolled(ctx, m, model.RolloutRequest{Seed: 2}, l.trials, 0)
	if err != nil {
		return err
	}
	if d := differs(s, quiet, other); d != "" {
		v.Failf("without noise, rolled out with seeds 1 and 2: %s", d)
	}
	noisy, err := rolled(ctx, m, model.RolloutRequest{Seed: 1, Noise: true}, l.trials, 0)
	if err != nil {
		return err
	}
	again, err := rolled(ctx, m, model.RolloutRequest{Seed: 1, Noise: true}, l.trials, 3)
	if err != nil {
		return err
	}
	if s.info.Can(component.Deterministic) {
		if d := setApart(noisy.Arrays, again.Arrays, 1e-4); d != "" {
			v.Failf("with noise and the same seed, in one block and in blocks of 3 trials: %s: noise must come from the seed and the trial's number", d)
		}
	}
	blocks := 0
	for b, err := range m.Rollout(ctx, model.RolloutRequest{}, inBlocks(l.trials, 3)) {
		if err != nil {
			return err
		}
		if from := 3 * blocks; !slices.Equal(b.Trials, l.trials.Trials[from:min(from+3, len(l.trials.Trials))]) {
			v.Failf("block %d that comes out has the trials %v, that which went in %v: a block is needed for each", blocks, head(b.Trials), head(l.trials.Trials[from:]))
			break
		}
		blocks++
	}
	return samples(ctx, s, m, l, v)
}

// samples rolls out with samples of the posterior.
func samples(ctx context.Context, s *subject, m model.Model, l lesson, v *Verdict) error {
	if !s.info.Can(component.Samples) {
		return nil
	}
	b, err := rolled(ctx, m, model.RolloutRequest{Seed: 1, Samples: 3}, l.trials, 0)
	if err != nil {
		v.Failf("the manifest has the capability %q, but with 3 samples: %v", component.Samples, err)
		return nil
	}
	checkRollout(l, b, v)
	return nil
}

// checkRollout holds what a rollout gives by default to its roles.
func checkRollout(l lesson, b tensor.Block, v *Verdict) {
	n := len(l.trials.Trials)
	if !slices.Equal(b.Trials, l.trials.Trials) {
		v.Failf("a rollout gives the trials %v: those that went in, %v, are needed", head(b.Trials), head(l.trials.Trials))
		return
	}
	bins := recordBins
	if l.target.Task != nil {
		bins = l.target.Task.Bins
	}
	need := widths(l.target)
	need[model.Latents] = -1
	for name, width := range need {
		a := b.Arrays.Get(name)
		switch {
		case a == nil:
			v.Failf("a rollout gives the arrays %v: %q is needed", b.Arrays.Names(), name)
		case a.Expect(n, bins, width) != nil:
			v.Failf("array %q has shape %v: (%d, %d, %d) is needed (-1: any)", name, a.Shape, n, bins, width)
		}
	}
	for _, a := range b.Arrays {
		if err := a.CheckFinite(); err != nil {
			v.Failf("rolled out after training: %v", err)
		}
		if a.Name == model.Rates && slices.ContainsFunc(a.Float64s(), func(x float64) bool { return x < 0 }) {
			v.Failf("array %q has values below 0: spikes a bin are needed, not their logarithm", a.Name)
		}
	}
}

func modelBatch(ctx context.Context, s *subject, v *Verdict) error {
	m, l, err := s.trained(ctx, seed, 2, 0)
	if err != nil {
		return err
	}
	all, err := rolled(ctx, m, model.RolloutRequest{}, l.trials, 0)
	if err != nil {
		return err
	}
	for _, size := range []int{1, 4} {
		parts, err := rolled(ctx, m, model.RolloutRequest{}, l.trials, size)
		if err != nil {
			return err
		}
		if d := setApart(parts.Arrays, all.Arrays, 1e-4); d != "" {
			v.Failf("rolled out together and %d at a time: %s: nothing of a batch (its mean, say) may come into a trial", size, d)
		}
	}
	return nil
}

// promised skips a check of what the manifest does not promise.
func (s *subject) promised(v *Verdict) bool {
	if !s.info.Can(component.Deterministic) {
		v.Skipf("its manifest does not promise %q", component.Deterministic)
		return false
	}
	return true
}

func modelSameSeed(ctx context.Context, s *subject, v *Verdict) error {
	if !s.promised(v) {
		return nil
	}
	a, err := s.weightsOf(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	b, err := s.weightsOf(ctx, seed, 3, 0)
	if err != nil {
		return err
	}
	if d := setDifference(a, b); d != "" {
		v.Failf("trained twice with the same seed, with 1 and 3 threads: %s, but the manifest promises %q", d, component.Deterministic)
	}
	return nil
}

func modelChunking(ctx context.Context, s *subject, v *Verdict) error {
	if !s.promised(v) {
		return nil
	}
	a, err := s.weightsOf(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	b, err := s.weightsOf(ctx, seed, 1, 7)
	if err != nil {
		return err
	}
	if d := setDifference(a, b); d != "" {
		v.Failf("trained on trials that came in one block and in blocks of 7: %s: batches must be made of trials, not of blocks", d)
	}
	return nil
}

func modelOtherSeed(ctx context.Context, s *subject, v *Verdict) error {
	a, err := s.weightsOf(ctx, seed, 1, 0)
	if err != nil {
		return err
	}
	b, err := s.weightsOf(ctx, otherSeed, 1, 0)
	if err != nil {
		return err
	}
	if setDifference(a, b) == "" {
		v.Failf("trained with seeds %d and %d, the weights are the same: the seed that it is opened with must be what draws come from", seed, otherSeed)
	}
	return nil
}
