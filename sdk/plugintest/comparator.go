package plugintest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func comparatorChecks() []check {
	return []check{
		{name: "compare", doc: "its results name what was given, with a value or a reason, a unit, a direction and an interval that is one", run: compares, first: true},
		{name: "missing", doc: "what it cannot compute is a result with a reason, not an error, a NaN or nothing", run: comparatorMissing},
		{name: "same-seed", doc: "the same seed gives the same bytes, whatever the number of threads", run: comparatorSameSeed},
		{name: "at-once", doc: "two comparisons at once, on one instance, are as one after the other", run: comparatorAtOnce},
		{name: "wrong-calls", doc: "subjects that contradict one another are refused as such, and harm nothing", run: comparatorWrongCalls},
		{name: "cancel", doc: "a cancelled call ends within seconds, and health is answered while one runs", run: comparatorCancel},
	}
}

// subjects are a truth and two models that were fitted to it, as good and as bad as noise makes them. Dynamics are the foil's, in another process than the comparator.
func (s *subject) subjects(ctx context.Context, dynamics bool) (comparator.Request, error) {
	r := s.record()
	rates := func(t *tensor.Tensor, noise float64, purpose string) *tensor.Tensor {
		out, rng := t.Clone(), random.New(6, purpose)
		for i, x := range out.F32 {
			out.F32[i] = float32(math.Exp(math.Log(float64(x)) + noise*rng.NormFloat64()))
		}
		return out
	}
	z := func(t *tensor.Tensor, noise float64, purpose string) *tensor.Tensor {
		out, rng := t.Clone(), random.New(6, purpose)
		for i, x := range out.F32 {
			out.F32[i] = x + float32(noise*rng.NormFloat64())
		}
		return out
	}
	arrays := func(split task.Split, noise float64) tensor.Set {
		b := r.split(split, model.Latents, model.Rates, model.Reconstructed, task.Inputs)
		name := fmt.Sprint(split, noise)
		set := tensor.Set{z(b.Arrays[0], noise, "z"+name).Named(comparator.Latents), rates(b.Arrays[1], noise, "r"+name).Named(comparator.Rates)}
		if noise == 0 {
			set = append(set, b.Arrays[2].Named(comparator.Spikes), b.Arrays[3].Named(comparator.Inputs))
		}
		return set
	}
	req := comparator.Request{Subjects: []comparator.Subject{
		{Label: "truth", Role: comparator.Truth, Scored: tensor.Set{tensor.From64(comparator.Success, []float64{1, 0, 1, 1}, 4), tensor.From64(comparator.Loss, []float64{0.1, 0.4, 0.2, 0.1}, 4)}},
		{Label: "good", Role: comparator.Fitted}, {Label: "bad", Role: comparator.Fitted},
	}}
	for i := range req.Subjects {
		one := &req.Subjects[i]
		noise := []float64{0, 0.1, 1}[i]
		one.HeldIn, one.InputChannels = foilHeldIn, foilInputs
		one.Train, one.Valid = arrays(task.Train, noise), arrays(task.Valid, noise)
		one.Why = "it is checked without dynamics"
		if dynamics {
			spec, err := openTask{}.Spec(ctx)
			if err != nil {
				return req, err
			}
			m, err := s.foil.OpenModel(ctx, component.Name{Kind: component.Model, Short: "foil"}, nil, component.Env{Seed: uint64(1 + i/2), Threads: 1}, model.Target{Task: &spec})
			if err != nil {
				return req, err
			}
			s.cleanups = append(s.cleanups, func() error { return m.Close(context.WithoutCancel(ctx)) })
			if one.Dynamics, err = m.Dynamics(ctx); err != nil {
				return req, err
			}
			one.Why = ""
		}
	}
	return req, nil
}

// compared opens the comparator and compares.
func (s *subject) compared(ctx context.Context, threads int, req comparator.Request) (comparator.Outcome, error) {
	c, err := s.comparator(ctx, seed, threads)
	if err != nil {
		return comparator.Outcome{}, err
	}
	out, err := c.Compare(ctx, req, component.Discard{})
	if err != nil {
		return out, fmt.Errorf("calling Compare: %w", err)
	}
	return out, nil
}

func compares(ctx context.Context, s *subject, v *Verdict) error {
	req, err := s.subjects(ctx, true)
	if err != nil {
		return err
	}
	out, err := s.compared(ctx, 2, req)
	if err != nil {
		return err
	}
	if len(out.Results) == 0 {
		v.Failf("it gives no results for a truth and two fitted models with dynamics: at least one, or a reason, is needed")
	}
	n := checkOutcome(req, out, v)
	if n == 0 && len(out.Results) > 0 {
		v.Failf("none of its %d results has a value, although the subjects have latents, rates, spikes, inputs and dynamics: %q", len(out.Results), out.Results[0].Reason)
	}
	v.Notef("%d results, %d with a value, %d matrices, %d figures", len(out.Results), n, len(out.Matrices), len(out.Figures))
	return nil
}

// checkOutcome holds results to their form, and returns how many have a value.
func checkOutcome(req comparator.Request, out comparator.Outcome, v *Verdict) int {
	labels := []string{""}
	for _, one := range req.Subjects {
		labels = append(labels, one.Label)
	}
	values := 0
	seen := map[string]bool{}
	for _, r := range out.Results {
		what := fmt.Sprintf("result %q of %q", r.Metric, r.Subject)
		key := fmt.Sprintf("%q %q %q", r.Metric, r.Subject, r.Reference)
		switch {
		case r.Metric == "":
			v.Failf("a result of %q has no name", r.Subject)
		case seen[key]:
			v.Failf("%s against %q is given twice", what, r.Reference)
		case !slices.Contains(labels, r.Subject) || r.Subject == "":
			v.Failf("%s: there is no subject of that label: they are %v", what, labels[1:])
		case !slices.Contains(labels, r.Reference):
			v.Failf("%s refers to %q: there is no subject of that label: they are %v", what, r.Reference, labels[1:])
		}
		seen[key] = true
		if math.IsNaN(r.Value) && r.Reason == "" {
			v.Failf("%s is NaN without a reason: say why there is no value", what)
		}
		if math.IsInf(r.Value, 0) {
			v.Failf("%s is %v: a finite number, or NaN with a reason, is needed", what, r.Value)
		}
		if math.IsNaN(r.Low) != math.IsNaN(r.High) || r.Low > r.High {
			v.Failf("%s has the interval %v to %v: two bounds in order, or NaN for both, are needed", what, r.Low, r.High)
		}
		if r.Better != component.Higher && r.Better != component.Lower && r.Better != component.Neither {
			v.Failf("%s: %q does not say what is better: higher, lower or neither", what, r.Better)
		}
		if r.N < 0 {
			v.Failf("%s has n = %d: at least 0 is needed", what, r.N)
		}
		if !math.IsNaN(r.Value) {
			values++
		}
	}
	if err := out.Matrices.Check(); err != nil {
		v.Failf("matrices: %v", err)
	}
	for _, f := range out.Figures {
		if err := f.Check(); err != nil {
			v.Failf("figure %q: %v", f.Name, err)
		}
	}
	return values
}

func comparatorMissing(ctx context.Context, s *subject, v *Verdict) error {
	all, err := s.subjects(ctx, false)
	if err != nil {
		return err
	}
	bare := comparator.Request{Subjects: slices.Clone(all.Subjects[1:])}
	recording := comparator.Request{Subjects: slices.Clone(all.Subjects)}
	first := &recording.Subjects[0]
	first.Role, first.Scored = comparator.Recording, nil
	only := func(set tensor.Set) tensor.Set {
		return tensor.Set{set.Get(comparator.Spikes), set.Get(comparator.Inputs)}
	}
	first.Train, first.Valid = only(first.Train), only(first.Valid)
	for _, one := range []struct {
		what string
		req  comparator.Request
	}{
		{"subjects without dynamics", all},
		{"a recording in place of a truth", recording},
		{"fitted models without a truth", bare},
		{"one subject alone", comparator.Request{Subjects: bare.Subjects[:1]}},
	} {
		out, err := s.compared(ctx, 1, one.req)
		if err != nil {
			v.Failf("%s: %v: what cannot be computed is a result with a reason", one.what, err)
			continue
		}
		if len(out.Results) == 0 {
			v.Failf("%s: there are no results, nor reasons why not", one.what)
		}
		before := len(v.problems)
		checkOutcome(one.req, out, v)
		for i := before; i < len(v.problems); i++ {
			v.problems[i] = one.what + ": " + v.problems[i]
		}
	}
	return nil
}

// shownOutcome is an outcome as text, to the bit.
func shownOutcome(o comparator.Outcome) string {
	text := ""
	for _, r := range o.Results {
		text += fmt.Sprintf("%q %q %q %x %x %x %x %q %s %d %q\n", r.Metric, r.Subject, r.Reference, math.Float64bits(r.Value), math.Float64bits(r.Low), math.Float64bits(r.High),
			math.Float64bits(r.Null), r.Unit, r.Better, r.N, r.Reason)
	}
	return text
}

// outcomeDifference says where two outcomes differ.
func outcomeDifference(a, b comparator.Outcome) string {
	if len(a.Results) != len(b.Results) {
		return fmt.Sprintf("%d results in one, %d in the other", len(a.Results), len(b.Results))
	}
	for i, r := range a.Results {
		one, two := comparator.Outcome{Results: a.Results[i : i+1]}, comparator.Outcome{Results: b.Results[i : i+1]}
		if shownOutcome(one) != shownOutcome(two) {
			return fmt.Sprintf("result %q of %q is %v (%v to %v) in one, %v (%v to %v) in the other", r.Metric, r.Subject, r.Value, r.Low, r.High, b.Results[i].Value, b.Results[i].Low, b.Results[i].High)
		}
	}
	if d := setDifference(a.Matrices, b.Matrices); d != "" {
		return d
	}
	if x, y := fmt.Sprintf("%+v", a.Figures), fmt.Sprintf("%+v", b.Figures); x != y {
		return "the figures are not the same"
	}
	return ""
}

func comparatorSameSeed(ctx context.Context, s *subject, v *Verdict) error {
	if !s.info.Can(component.Deterministic) {
		v.Skipf("its manifest does not promise %q", component.Deterministic)
		return nil
	}
	req, err := s.subjects(ctx, true)
	if err != nil {
		return err
	}
	a, err := s.compared(ctx, 1, req)
	if err != nil {
		return err
	}
	b, err := s.compared(ctx, 3, req)
	if err != nil {
		return err
	}
	if d := outcomeDifference(a, b); d != "" {
		v.Failf("two instances with the same seed, with 1 and 3 threads: %s, but the manifest promises %q", d, component.Deterministic)
	}
	return nil
}

func comparatorAtOnce(ctx context.Context, s *subject, v *Verdict) error {
	req, err := s.subjects(ctx, true)
	if err != nil {
		return err
	}
	c, err := s.comparator(ctx, seed, 1)
	if err != nil {
		return err
	}
	var outs [2]comparator.Outcome
	errs := make(chan error, len(outs))
	for i := range outs {
		go func() {
			errs <- guard(func() (err error) {
				outs[i], err = c.Compare(ctx, req, component.Discard{})
				return err
			})
		}()
	}
	for range outs {
		if err := <-errs; err != nil {
			v.Failf("two comparisons at once: %v", err)
		}
	}
	if v.failed() || !s.info.Can(component.Deterministic) {
		return nil
	}
	if d := outcomeDifference(outs[0], outs[1]); d != "" {
		v.Failf("two comparisons of the same at once: %s", d)
	}
	return nil
}

func comparatorWrongCalls(ctx context.Context, s *subject, v *Verdict) error {
	req, err := s.subjects(ctx, false)
	if err != nil {
		return err
	}
	broken := comparator.Request{Subjects: slices.Clone(req.Subjects)}
	bad := broken.Subjects[1].Valid.Get(comparator.Latents).Clone()
	bad.F32[5] = float32(math.NaN())
	broken.Subjects[1].Valid = tensor.Set{bad, broken.Subjects[1].Valid.Get(comparator.Rates)}
	if out, err := s.compared(ctx, 1, broken); err == nil {
		checkOutcome(broken, out, v)
		for i := range v.problems {
			v.problems[i] = "latents with a NaN: " + v.problems[i]
		}
	} else if why := refused(err, append(wrongCall(), component.ErrDiverged)...); why != "" {
		v.Failf("latents with a NaN: %s: a result with a reason, or an invalid argument, is needed", why)
	}
	if _, err := s.compared(ctx, 1, comparator.Request{}); err != nil {
		if why := refused(err, wrongCall()...); why != "" {
			v.Failf("a comparison of nothing: %s: no results, or an invalid argument, are needed", why)
		}
	}
	return nil
}

func comparatorCancel(ctx context.Context, s *subject, v *Verdict) error {
	req, err := s.subjects(ctx, true)
	if err != nil {
		return err
	}
	c, err := s.comparator(ctx, seed, 1)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- guard(func() error {
			_, err := c.Compare(inner, req, onProgress(cancel))
			return err
		})
	}()
	pause(ctx, 20*time.Millisecond)
	s.healthy(ctx, v, "a comparison runs")
	cancel()
	<-done
	s.closeInTime(ctx, v, "Compare", c)
	return nil
}

// healthy asks for health while something runs.
func (s *session) healthy(ctx context.Context, v *Verdict, while string) {
	p, err := s.plugin(ctx)
	if err != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	if _, err := p.Health(limited); err != nil {
		v.Failf("Health while %s: %v: it must be answered at once, whatever else is running (%v were given)", while, err, healthTime)
	}
}

// onProgress is a reporter that calls a function at the first thing that it hears.
type onProgress func()

var _ component.Reporter = onProgress(nil)

// Progress calls it.
func (f onProgress) Progress(component.Progress) { f() }

// Metric calls it.
func (f onProgress) Metric(component.Metric) { f() }

// Figure calls it.
func (f onProgress) Figure(component.Figure) { f() }

// Checkpoint calls it.
func (f onProgress) Checkpoint(component.Checkpoint) { f() }
