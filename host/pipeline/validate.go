package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/launch"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
)

// Validate asks every component of a resolved study whether it accepts its parameters for the sizes that it will be given and how much memory it will need, and reads
// what the study loads. All problems of all points are returned together in an [*experiment.Error], with their places in the file. Nothing is written.
func Validate(ctx context.Context, study *experiment.Study, host Host) error {
	_, err := Estimate(ctx, study, host)
	return err
}

// Estimate is [Validate] that also returns how many bytes of memory the stages are expected to take at their peak, by their names without a point's values, e.g.
// "fit/gru-64"; of several points, the most. Stages of which nothing is known are left out.
func Estimate(ctx context.Context, study *experiment.Study, host Host) (map[string]int64, error) {
	v := &validation{
		host: host.complete(), limit: memoryLimit(host.Memory), procs: map[string]*launch.Process{}, needs: map[string]int64{},
		asked: map[question]*client.Validation{}, specs: map[specKey]*task.Spec{}, spikes: map[spikesKey]*spikes{}, latents: map[trainedKey]int{},
		datasets: map[string]*checkedDataset{}, networks: map[networkKey]*network{}, fits: map[fitKey][]param.Problem{}, live: map[string]bool{}, over: map[overKey][]param.Problem{},
		begun: map[beginKey][]param.Problem{}, own: map[*task.Spec]*model.DataSpec{},
	}
	defer v.stop()
	found := make([][]experiment.Problem, len(study.Points))
	for i, p := range study.Points {
		v.problems = nil
		if err := v.experiment(ctx, p.Experiment); err != nil {
			return nil, v.limit.tooLittle(err)
		}
		found[i] = v.problems
	}
	if err := v.startable(); err != nil {
		return nil, err
	}
	return v.needs, experiment.Join(study.Shared(found)...)
}

// validation is what is known so far. What several points ask is asked once: they share their components.
type validation struct {
	host  Host
	limit limit
	procs map[string]*launch.Process
	// needs is what memory stages are expected to take.
	needs map[string]int64

	asked    map[question]*client.Validation
	specs    map[specKey]*task.Spec
	spikes   map[spikesKey]*spikes
	latents  map[trainedKey]int
	datasets map[string]*checkedDataset
	networks map[networkKey]*network
	fits     map[fitKey][]param.Problem
	// live says of folders that are loaded whether their models have dynamics.
	live map[string]bool
	// over is what networks say of the trials of other tasks, see overTrials.
	over  map[overKey][]param.Problem
	begun map[beginKey][]param.Problem
	// own are the sizes of tasks' own trials, see ownTrials.
	own map[*task.Spec]*model.DataSpec

	// problems are those of the point that is looked at.
	problems []experiment.Problem
}

// question is what a component is asked: for a task with other parameters than its own, these are given as JSON.
type question struct {
	use    *experiment.Use
	params string
	task   *task.Spec
	data   *model.DataSpec
	source simulator.Source
	sizes  comparator.Sizes
	// distant is whether the task is in another plugin.
	distant bool
}

type specKey struct {
	use    *experiment.Use
	params string
}

// stageMemory is what a stage's components need, each with where it stands.
type stageMemory struct {
	stage string
	parts []memoryPart
}

type memoryPart struct {
	use    *experiment.Use
	bytes  int64
	params []string
}

func (m *stageMemory) add(u *experiment.Use, got *client.Validation) {
	if got != nil && got.MemoryBytes > 0 {
		m.parts = append(m.parts, memoryPart{u, got.MemoryBytes, got.MemoryParams})
	}
}

func (v *validation) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, p := range v.procs {
		if err := p.Stop(ctx); err != nil {
			v.host.Log.Warn("stopping a plugin", "error", err)
		}
	}
}

// known is what an experiment's stages hand on.
type known struct {
	// task is the spec of the task, simulated that of the trials that are simulated from; nil where they are not known.
	task, simulated *task.Spec
	// latents of the network, 0 where unknown; data is nil where its sizes are not known, and hash is that of a file of the user's.
	latents int
	data    *model.DataSpec
	hash    string
	// opens is whether the network can be opened for the task.
	opens bool
}

// experiment looks at one point.
func (v *validation) experiment(ctx context.Context, e *experiment.Experiment) error {
	var k known
	for _, look := range []func(context.Context, *experiment.Experiment, *known) error{v.train, v.simulate, v.fit, v.compare} {
		if err := look(ctx, e, &k); err != nil {
			return err
		}
	}
	return nil
}

func (v *validation) train(ctx context.Context, e *experiment.Experiment, k *known) error {
	need := stageMemory{stage: "train"}
	if e.Task != nil {
		spec, got, err := v.taskSpec(ctx, e.Task, e.Task, nil)
		if err != nil {
			return err
		}
		k.task = spec
		need.add(e.Task, got)
	}
	if e.Train == nil {
		v.affordable(need)
		return nil
	}
	if e.Train.Load != "" {
		n, err := v.network(ctx, e.Train.Load, e.Task, k.task)
		if err != nil {
			return err
		}
		for _, p := range n.problems {
			v.problems = append(v.problems, e.Train.Problem(p))
		}
		k.latents, k.opens = n.latents, len(n.problems) == 0
		return nil
	}
	distant, err := v.distant(e.Task, e.Train.Use)
	if err != nil {
		return err
	}
	got, err := v.check(ctx, e.Train.Use, client.ValidateRequest{Task: k.task, Distant: distant})
	if err != nil {
		return err
	}
	need.add(e.Train.Use, got)
	fits := v.affordable(need)
	var target model.Target
	if fits && len(got.Problems) == 0 {
		target.Task = k.task
	}
	begun, err := v.begin(ctx, e.Train.Use, e.Train.From, artifact.TrainStage, target)
	if err != nil {
		return err
	}
	for _, p := range begun {
		v.problems = append(v.problems, e.Train.Problem(p))
	}
	alone := e.Simulate == nil && len(e.Fit) == 0
	if !fits || k.task == nil || len(got.Problems) > 0 || alone || e.Simulate != nil && e.Simulate.Use == nil {
		return nil
	}
	k.opens = true
	k.latents, err = v.latentsOf(ctx, e.Train.Use, k.task)
	return err
}

func (v *validation) simulate(ctx context.Context, e *experiment.Experiment, k *known) error {
	s := e.Simulate
	if s == nil {
		return nil
	}
	if s.Dataset != "" {
		d, err := v.dataset(ctx, s.Dataset)
		if err != nil {
			return err
		}
		for _, p := range d.problems {
			v.problems = append(v.problems, s.Problem(p))
		}
		k.data, k.hash = d.spec, d.hash
		return nil
	}
	need := stageMemory{stage: "simulate"}
	var source *simulator.Source
	if k.task != nil {
		laid := merged(e.Task.Params, k.task.Simulation, s.Trials.Params)
		spec, got, err := v.taskSpec(ctx, e.Task, s.Trials, laid)
		if err != nil {
			return err
		}
		need.add(s.Trials, got)
		if spec != nil {
			k.simulated = spec
			source = &simulator.Source{Latents: k.latents, Bins: spec.Bins, Task: spec}
		}
	}
	got, err := v.check(ctx, s.Use, client.ValidateRequest{Source: source})
	if err != nil {
		return err
	}
	need.add(s.Use, got)
	if !v.affordable(need) {
		return nil
	}
	if err := v.overTrials(ctx, e, k); err != nil {
		return err
	}
	if source == nil || source.Latents == 0 || len(got.Problems) > 0 {
		return nil
	}
	k.data, err = v.simulated(ctx, s.Use, *source)
	return err
}

func (v *validation) fit(ctx context.Context, e *experiment.Experiment, k *known) error {
	for i := range e.Fit {
		f := &e.Fit[i]
		if f.Use == nil {
			problems, err := v.fitted(ctx, e, f, k)
			if err != nil {
				return err
			}
			for _, p := range problems {
				v.problems = append(v.problems, f.Problem(p))
			}
			continue
		}
		got, err := v.check(ctx, f.Use, client.ValidateRequest{Data: k.data})
		if err != nil {
			return err
		}
		need := stageMemory{stage: artifact.FitStage + "/" + f.Name}
		need.add(f.Use, got)
		var target model.Target
		if v.affordable(need) && len(got.Problems) == 0 {
			target.Data = k.data
		}
		begun, err := v.begin(ctx, f.Use, f.From, need.stage, target)
		if err != nil {
			return err
		}
		for _, p := range begun {
			v.problems = append(v.problems, f.Problem(p))
		}
	}
	return nil
}

func (v *validation) compare(ctx context.Context, e *experiment.Experiment, k *known) error {
	for _, c := range e.Compare {
		req := client.ValidateRequest{}
		data := k.data
		if e.Simulate == nil {
			data = v.ownTrials(e, c.Subjects, k)
		}
		if data != nil {
			req.Sizes = &comparator.Sizes{Data: data, Subjects: len(c.Subjects), Latents: k.latents}
		}
		got, err := v.check(ctx, c.Use, req)
		if err != nil {
			return err
		}
		if c.Use.Info.Can(component.NeedsDynamics) && v.inert(e, c.Subjects) {
			v.problems = append(v.problems, c.Use.Unfit(fmt.Sprintf("%s examines a model's dynamics, and none of its subjects has any: %s", c.Use.Ref, strings.Join(c.Subjects, ", ")), ""))
		}
		need := stageMemory{stage: "compare/" + c.Name}
		need.add(c.Use, got)
		v.affordable(need)
	}
	return nil
}

// ownTrials are the sizes of the trials of their task that networks are observed on where there is no data set, which is like one without neurons; nil where there are no other networks than the
// experiment's own, or the task is not known.
func (v *validation) ownTrials(e *experiment.Experiment, subjects []string, k *known) *model.DataSpec {
	if k.task == nil || !slices.ContainsFunc(e.Fit, func(f experiment.Fit) bool { return slices.Contains(subjects, f.Name) }) {
		return nil
	}
	spec, ok := v.own[k.task]
	if !ok {
		spec = &model.DataSpec{Inputs: k.task.Inputs, Bins: k.task.Bins, BinWidth: k.task.BinWidth, TrainTrials: k.task.TrainTrials, ValidTrials: k.task.ValidTrials}
		v.own[k.task] = spec
	}
	return spec
}

// inert reports whether it is known that none of the subjects has dynamics, those that are loaded among them. Of others it is known before: see experiment.Resolve.
func (v *validation) inert(e *experiment.Experiment, subjects []string) bool {
	without := func(u *experiment.Use, folder string) bool {
		if folder == "" {
			return u == nil || !u.Info.Can(component.HasDynamics)
		}
		live, known := v.live[folder]
		return known && !live
	}
	for _, s := range subjects {
		if s == experiment.Truth && e.Train != nil && !without(e.Train.Use, e.Train.Load) {
			return false
		}
		for _, f := range e.Fit {
			if f.Name == s && !without(f.Use, f.Load) {
				return false
			}
		}
	}
	return len(subjects) > 0
}

// taskSpec validates a task with its own parameters or, where they are not nil, others, and asks for its spec, which is nil where the task does not accept
// them or needs more memory than there is. What it does not accept is noted of blame, which gave them; nowhere where that is nil.
func (v *validation) taskSpec(ctx context.Context, u, blame *experiment.Use, params param.Values) (*task.Spec, *client.Validation, error) {
	got, err := v.ask(ctx, u, params, client.ValidateRequest{})
	if err != nil {
		return nil, nil, err
	}
	if blame != nil {
		v.blame(blame, got)
	}
	if len(got.Problems) > 0 || v.limit.exceeded(got.MemoryBytes) {
		return nil, got, err
	}
	text, err := paramsText(params)
	if err != nil {
		return nil, nil, err
	}
	key := specKey{u, text}
	if spec, ok := v.specs[key]; ok {
		return spec, got, nil
	}
	if params == nil {
		params = u.Params
	}
	p, err := v.plugin(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	t, err := p.Client.OpenTask(ctx, u.Info.Name, params, v.env(u.Seed))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	spec, err := t.Spec(ctx)
	if err = errors.Join(err, t.Close(ctx)); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
	}
	v.specs[key] = &spec
	return &spec, got, nil
}

func (v *validation) env(seed uint64) component.Env {
	return component.Env{Seed: seed, Threads: 1, Log: slog.New(slog.DiscardHandler)}
}

// paramsText is parameters as a key; nil is "".
func paramsText(params param.Values) (string, error) {
	if params == nil {
		return "", nil
	}
	b, err := json.Marshal(params)
	if err != nil {
		return "", fmt.Errorf("pipeline: %w", err)
	}
	return string(b), nil
}

// check asks a component whether it accepts its parameters. What it does not accept is noted.
func (v *validation) check(ctx context.Context, u *experiment.Use, req client.ValidateRequest) (*client.Validation, error) {
	got, err := v.ask(ctx, u, nil, req)
	if err == nil {
		v.blame(u, got)
	}
	return got, err
}

// ask is check, without a note, of its own parameters or, where they are not nil, of others.
func (v *validation) ask(ctx context.Context, u *experiment.Use, params param.Values, req client.ValidateRequest) (*client.Validation, error) {
	text, err := paramsText(params)
	if err != nil {
		return nil, err
	}
	key := question{use: u, params: text, task: req.Task, data: req.Data, distant: req.Distant}
	if req.Source != nil {
		key.source = *req.Source
	}
	if req.Sizes != nil {
		key.sizes = *req.Sizes
	}
	got, ok := v.asked[key]
	if !ok {
		p, err := v.plugin(ctx, u)
		if err != nil {
			return nil, err
		}
		if params == nil {
			params = u.Params
		}
		req.Name, req.Params, req.Threads = u.Info.Name, params, v.host.Budget.Threads()
		answer, err := p.Client.Validate(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Ref, p.Wrap(err))
		}
		got = &answer
		v.asked[key] = got
	}
	return got, nil
}

// blame makes what a component says of parameters a problem of the place that they are from.
func (v *validation) blame(u *experiment.Use, got *client.Validation) {
	for _, q := range got.Problems {
		v.problems = append(v.problems, u.Problem(q))
	}
}

// distant says whether two components are of two plugins.
func (v *validation) distant(a, b *experiment.Use) (bool, error) {
	if a == nil || b == nil {
		return false, nil
	}
	one, err := v.host.Catalog.Find(a.Ref.String())
	if err != nil {
		return false, err
	}
	other, err := v.host.Catalog.Find(b.Ref.String())
	if err != nil {
		return false, err
	}
	return one.Plugin.Candidate.Path != other.Plugin.Candidate.Path, nil
}

// plugin returns the process that serves a component.
func (v *validation) plugin(ctx context.Context, u *experiment.Use) (*launch.Process, error) {
	found, err := v.host.Catalog.Find(u.Ref.String())
	if err != nil {
		return nil, err
	}
	return v.process(ctx, found)
}

func (v *validation) process(ctx context.Context, found catalog.Component) (*launch.Process, error) {
	c := found.Plugin.Candidate
	if p, ok := v.procs[c.Path]; ok {
		return p, nil
	}
	s := launch.Of(c)
	s.Name, s.Threads, s.Memory, s.Log = found.Plugin.Manifest.Name, 1, v.host.Memory, v.host.Log
	p, err := launch.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	v.procs[c.Path] = p
	return p, nil
}
