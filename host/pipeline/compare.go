package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// subjectArrays maps a data set's arrays to those of a subject.
var subjectArrays = []struct{ stored, name string }{
	{"latents", comparator.Latents},
	{"activity", comparator.Rates},
	{"recon_data", comparator.Spikes},
	{"inputs", comparator.Inputs},
	{"true_inputs", comparator.TrueInputs},
	{"outputs", comparator.Outputs},
	{"targets", comparator.Targets},
	{"lengths", comparator.Lengths},
	{"conds", comparator.Conditions},
}

// compare gives a comparator the data and the fitted models, and stores what it finds.
func (r *running) compare(ctx context.Context) error {
	c, err := r.openComparator(ctx, roleComparator)
	if err != nil {
		return err
	}
	req, err := r.compared(ctx)
	if err != nil {
		return err
	}
	report, err := r.reporter()
	if err != nil {
		return err
	}
	defer report.abort()
	out, err := c.Compare(ctx, req, report)
	if err != nil {
		return r.failed(roleComparator, "comparison", err)
	}
	if err := report.close(); err != nil {
		return err
	}
	for _, f := range out.Figures {
		if err := artifact.WriteFigure(r.dir, f); err != nil {
			return r.failed(roleComparator, "figure "+f.Name, err)
		}
	}
	if len(out.Matrices) > 0 {
		w, err := artifact.CreateArrays(filepath.Join(r.dir, artifact.MatricesFile), artifact.ArraysOptions{})
		if err != nil {
			return err
		}
		defer w.Abort()
		if err := w.WriteSet(out.Matrices); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	results := artifact.Results{}
	for _, reading := range r.uses[roleComparator].found.Readings {
		if slices.ContainsFunc(out.Results, func(res component.Result) bool {
			_, of := component.FindReading([]component.Reading{reading}, res.Metric)
			return of
		}) {
			results.Readings = append(results.Readings, artifact.Reading{Comparator: r.label, Reading: reading})
		}
	}
	for _, res := range out.Results {
		results.Metrics = append(results.Metrics, artifact.NewResult(r.label, r.seed(roleComparator), nil, res))
	}
	return results.Write(r.dir)
}

// compared are the subjects: the data set or the network that it was simulated from, then the fits. Without a data set it is the trained network alone, or several on their task's trials.
func (r *running) compared(ctx context.Context) (comparator.Request, error) {
	var req comparator.Request
	if r.ownTrials {
		return r.onOwnTrials(ctx)
	}
	if !r.has("dataset") {
		s, err := r.networkSubject(ctx)
		req.Subjects = []comparator.Subject{s}
		return req, err
	}
	data, err := artifact.OpenDataset(r.path("dataset"))
	if err != nil {
		return req, err
	}
	defer data.Close()
	first, err := r.dataSubject(ctx, data)
	if err != nil {
		return req, err
	}
	req.Subjects = append(req.Subjects, first)
	spec := data.Spec()
	for _, label := range r.subjects {
		s := comparator.Subject{Label: label, Role: comparator.Fitted, HeldIn: spec.HeldIn, InputChannels: spec.Inputs}
		if slices.Contains(r.networks, label) {
			if err := r.replay(ctx, label, data, &s); err != nil {
				return req, err
			}
			req.Subjects = append(req.Subjects, s)
			continue
		}
		if err := r.inferred(ctx, label, &s); err != nil {
			return req, err
		}
		if err := r.lendDynamics(ctx, subjectRole(label), model.Target{Data: &spec}, &s); err != nil {
			return req, err
		}
		req.Subjects = append(req.Subjects, s)
	}
	return req, nil
}

// scoredParts are success by condition, where there are several, and the task's own quantities, each over the trials that it is finite in.
func scoredParts(score task.Score) tensor.Set {
	var out tensor.Set
	for _, p := range score.ByCondition() {
		out = append(out, tensor.From64(comparator.SuccessOf+p.Name, p.Values, len(p.Values)))
	}
	for _, p := range score.Measured() {
		out = append(out, tensor.From64(comparator.Measured+p.Name, p.Values, len(p.Values)).With(p.Unit, tensor.Trial))
	}
	return out
}

// dataSubject is the data set as the first subject: a truth where it holds the latents or rates that made it, else a recording.
func (r *running) dataSubject(ctx context.Context, data *artifact.Dataset) (comparator.Subject, error) {
	spec := data.Spec()
	s := comparator.Subject{Label: experiment.Truth, Role: comparator.Recording, HeldIn: spec.HeldIn, InputChannels: spec.Inputs}
	var names []string
	for _, a := range subjectArrays {
		if data.Has(a.stored) {
			names = append(names, a.stored)
		}
	}
	if data.Has("latents") || data.Has("activity") {
		s.Role = comparator.Truth
	} else if !slices.Contains(r.subjects, experiment.Recording) {
		s.Label = experiment.Recording
	}
	for _, split := range []task.Split{task.Train, task.Valid} {
		b, err := tensor.Collect(data.Blocks(ctx, split, names, 0))
		if err != nil {
			return s, err
		}
		var set tensor.Set
		for _, a := range subjectArrays {
			if t := b.Arrays.Get(a.stored); t != nil {
				set = append(set, t.Named(a.name))
			}
		}
		if split == task.Train {
			s.Train = set
		} else {
			s.Valid = set
		}
	}
	if err := r.score(ctx, experiment.Truth, &s); err != nil {
		return s, err
	}
	if r.has(string(roleTruth) + "/weights") {
		taskSpec, err := r.taskSpec(ctx)
		if err != nil {
			return s, err
		}
		return s, r.lendDynamics(ctx, roleTruth, model.Target{Task: taskSpec}, &s)
	}
	switch {
	case s.Role != comparator.Truth:
		s.Why = "recorded data has no model behind it"
	case r.wantsDynamics:
		s.Why = "no network is given for this data: train: {load: FOLDER} names one"
	default:
		s.Why = "the comparator does not ask for dynamics"
	}
	return s, nil
}

// inferred reads what a fitted model inferred. A loaded one must have been fitted to the data set that is compared with: trials of another would be set
// side by side with these.
func (r *running) inferred(ctx context.Context, label string, s *comparator.Subject) error {
	rec, err := artifact.ReadRecord(filepath.Dir(r.path(subjectInput(label, "inferred"))))
	if err != nil {
		return err
	}
	if was, is := rec.Inputs["dataset"], r.parts.Inputs["dataset"]; was != is {
		return fmt.Errorf("%s was fitted to another data set (SHA-256 %.12s) than it is compared with (%.12s): fit it again", label, was, is)
	}
	a, err := artifact.OpenArrays(r.path(subjectInput(label, "inferred")))
	if err != nil {
		return err
	}
	defer a.Close()
	for split, into := range map[task.Split]*tensor.Set{task.Train: &s.Train, task.Valid: &s.Valid} {
		b, err := tensor.Collect(a.Blocks(ctx, split, nil, 0))
		if err != nil {
			return err
		}
		for _, t := range b.Arrays {
			if t.Name == model.InferredInputs {
				t = t.Named(comparator.Inputs)
			}
			*into = append(*into, t)
		}
	}
	return nil
}

// lendDynamics opens a subject's model and adds its dynamics, if the comparator asks for dynamics; else it says why there are none.
func (r *running) lendDynamics(ctx context.Context, role role, target model.Target, s *comparator.Subject) error {
	if !r.wantsDynamics {
		s.Why = "the comparator does not ask for dynamics"
		return nil
	}
	m, err := r.openTrained(ctx, role, target, r.path(string(role)+"/weights"))
	if err != nil {
		return err
	}
	return r.dynamicsOf(ctx, role, m, s)
}

// dynamicsOf adds a model's dynamics to a subject, or says why there are none.
func (r *running) dynamicsOf(ctx context.Context, role role, m client.Model, s *comparator.Subject) (err error) {
	s.Dynamics, err = m.Dynamics(ctx)
	if errors.Is(err, component.ErrUnsupported) {
		s.Dynamics, s.Why = nil, fmt.Sprintf("%s offers no dynamics", r.use(role).Component)
		return nil
	}
	if err != nil {
		return r.failed(role, "dynamics", err)
	}
	return nil
}

// taskSpec is the spec of the task that the true model was trained on.
func (r *running) taskSpec(ctx context.Context) (*task.Spec, error) {
	tk, err := r.openTask(ctx, roleTask)
	if err != nil {
		return nil, err
	}
	spec, err := tk.Spec(ctx)
	if err != nil {
		return nil, r.failed(roleTask, "spec", err)
	}
	return &spec, nil
}
