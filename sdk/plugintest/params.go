package plugintest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/client"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/simulator"
)

// smallValues are values of parameters that authors are likely to name so, with which a check takes moments: they are laid over larger defaults.
func smallValues() map[string]int64 {
	return map[string]int64{
		"n_trials": 40, "trials": 40, "n_timesteps": 40, "n_bins": 40, "bins": 40, "timesteps": 40,
		"epochs": 3, "n_epochs": 3, "max_epochs": 3, "num_epochs": 3, "train_steps": 20, "max_iter": 20, "iterations": 20, "n_iterations": 20, "batch_size": 16,
		"hidden": 12, "hidden_size": 12, "units": 12, "n_units": 12, "n_hidden": 12, "latent": 5, "latents": 5, "latent_size": 5, "n_latents": 5, "encoder_size": 8,
		"n_heldin": 9, "n_heldout": 4, "n_neurons": 12, "neurons": 12, "bootstrap": 30, "resamples": 30, "n_bootstrap": 30, "n_samples": 30, "shuffles": 2,
	}
}

// small are the parameters that the component is checked with: what Options say, and small values for known names, each where the component accepts it.
func (s *subject) small(ctx context.Context) param.Values {
	values := maps.Clone(s.options.Params[s.info.Name.String()])
	if values == nil {
		values = param.Values{}
	}
	for _, f := range s.info.Params {
		if _, given := values[f.Name]; !given && f.Default == nil {
			if v := someValue(f); v != nil {
				values[f.Name] = v
			}
		}
	}
	for _, f := range s.info.Params {
		small, known := smallValues()[f.Name]
		d, isInt := f.Default.(int64)
		if _, given := values[f.Name]; given || !known || !isInt || d <= small {
			continue
		}
		try := maps.Clone(values)
		try[f.Name] = small
		if v, err := s.validate(ctx, try); err == nil && len(v.Problems) == 0 {
			values = try
		}
	}
	return values
}

// someValue is a value of a required parameter; nil where only a person can know one.
func someValue(f param.Field) any {
	switch f.Type {
	case param.Bool:
		return false
	case param.Int:
		switch {
		case !math.IsNaN(f.Min):
			return int64(math.Ceil(f.Min))
		case !math.IsNaN(f.Above):
			return int64(math.Floor(f.Above)) + 1
		case !math.IsNaN(f.Max):
			return int64(math.Floor(f.Max))
		case !math.IsNaN(f.Below):
			return int64(math.Ceil(f.Below)) - 1
		}
		return int64(1)
	case param.Float:
		low, high := f.Min, f.Max
		if math.IsNaN(low) {
			low = f.Above
		}
		if math.IsNaN(high) {
			high = f.Below
		}
		switch {
		case !math.IsNaN(low) && !math.IsNaN(high):
			return low + (high-low)/2
		case !math.IsNaN(low):
			return low + 1
		case !math.IsNaN(high):
			return high - 1
		}
		return 1.0
	case param.String:
		if len(f.Choices) > 0 {
			return f.Choices[0]
		}
	}
	return nil
}

// target is what a model is opened for in most checks.
func (s *subject) target(ctx context.Context) (model.Target, error) {
	if s.info.Can(component.TrainsOnTask) {
		t, err := s.foil.task(ctx, "foil", 0)
		if err != nil {
			return model.Target{}, err
		}
		spec, err := t.Spec(ctx)
		return model.Target{Task: &spec}, errors.Join(err, t.Close(ctx))
	}
	_, spec, err := s.recording(ctx, 0)
	return model.Target{Data: &spec}, err
}

// recording is what a data-trained model is fitted to: with external inputs where it takes them.
func (s *subject) recording(ctx context.Context, block int) (recorded, model.DataSpec, error) {
	if !s.asked {
		p, err := s.plugin(ctx)
		if err != nil {
			return recorded{}, model.DataSpec{}, err
		}
		var problems [2]int
		for i, inputs := range []bool{true, false} {
			spec := recordSpec(inputs)
			verdict, err := p.Validate(ctx, client.ValidateRequest{Name: s.info.Name, Params: s.values, Data: &spec, Threads: 1})
			if err != nil && !errors.Is(err, component.ErrInvalidArgument) {
				return recorded{}, model.DataSpec{}, err
			}
			problems[i] = len(verdict.Problems)
		}
		s.asked, s.bare = true, problems[0] > 0 && problems[1] == 0
	}
	r := s.record()
	r.block, r.inputs = block, !s.bare
	return r, recordSpec(!s.bare), nil
}

func foilSource() simulator.Source { return simulator.Source{Latents: foilLatents, Bins: recordBins} }

// validate asks the plugin about parameters, for what the component is checked with.
func (s *subject) validate(ctx context.Context, values param.Values) (client.Validation, error) {
	p, err := s.plugin(ctx)
	if err != nil {
		return client.Validation{}, err
	}
	req := client.ValidateRequest{Name: s.info.Name, Params: values, Threads: 1}
	switch s.info.Name.Kind {
	case component.Model:
		target, err := s.target(ctx)
		if err != nil {
			return client.Validation{}, err
		}
		req.Task, req.Data = target.Task, target.Data
	case component.Simulator:
		source := foilSource()
		req.Source = &source
	}
	return p.Validate(ctx, req)
}

// open opens an instance with other parameters and closes it again.
func (s *subject) open(ctx context.Context, values param.Values) error {
	kept := s.values
	s.values = values
	defer func() { s.values = kept }()
	_, err := s.instance(ctx)
	return err
}

// instance opens an instance of whatever kind.
func (s *subject) instance(ctx context.Context) (closer, error) {
	switch s.info.Name.Kind {
	case component.Task:
		return s.task(ctx, seed, 1)
	case component.Simulator:
		return s.simulator(ctx, seed, 1, foilSource())
	case component.Comparator:
		return s.comparator(ctx, seed, 1)
	}
	env, err := s.env(seed, 1)
	if err != nil {
		return nil, err
	}
	target, err := s.target(ctx)
	if err != nil {
		return nil, err
	}
	return s.model(ctx, env, target)
}

func componentChecks() []check {
	return []check{
		{name: "open", doc: "it opens with valid parameters, and Validate accepts what Open accepts", run: opens, first: true},
		{name: "parameters", doc: "values of a wrong type, out of range, unknown or missing are refused by Validate and by Open, with the path of each", run: parameters},
		{name: "garbage", doc: "an instance survives calls whose messages make no sense", run: instanceGarbage},
	}
}

func opens(ctx context.Context, s *subject, v *Verdict) error {
	for _, f := range s.info.Params {
		if _, given := s.values[f.Name]; !given && f.Default == nil {
			v.Failf("parameter %s has no default: say a value to check with (--set %s.%s=VALUE, or Options.Params)", f.Name, s.info.Name, f.Name)
		}
	}
	if v.failed() {
		return nil
	}
	verdict, err := s.validate(ctx, s.values)
	if err != nil {
		return fmt.Errorf("calling Validate of valid parameters: %w", err)
	}
	for _, p := range verdict.Problems {
		v.Failf("Validate refuses %v: %v", s.values, p)
	}
	if err := s.open(ctx, s.values); err != nil {
		v.Failf("%v", err)
	}
	if _, err := s.plugin(ctx); err != nil {
		return err
	}
	unknown := component.Name{Kind: s.info.Name.Kind, Short: s.info.Name.Short + "-that-is-not-there"}
	kept := s.info.Name
	s.info.Name = unknown
	defer func() { s.info.Name = kept }()
	if why := refused(s.open(ctx, s.values), component.ErrNotFound, component.ErrInvalidArgument); why != "" {
		v.Failf("opening a component named %s: %s: not found is needed", unknown, why)
	}
	return nil
}

// bad is a value that must be refused.
type bad struct {
	name  string
	value any
	why   string
}

// badValues are values of a field that its schema does not allow.
func badValues(f param.Field) []bad {
	var out []bad
	add := func(value any, why string) { out = append(out, bad{f.Name, value, why}) }
	number := func(x float64) any {
		switch f.Type {
		case param.Int:
			return int64(x)
		case param.Ints:
			return []int64{int64(x)}
		case param.Floats:
			return []float64{x}
		}
		return x
	}
	switch f.Type {
	case param.Bool:
		add("yes", "a string where a bool is needed")
	case param.Int, param.Float:
		add("many", "a string where a number is needed")
	case param.String:
		add(true, "a bool where a string is needed")
	case param.Ints, param.Floats:
		add("many", "a string where a list of numbers is needed")
	case param.Strings:
		add(int64(1), "a number where a list of strings is needed")
	}
	if f.Type == param.Int {
		add(0.5, "a fraction where an integer is needed")
	}
	if f.Type == param.Float || f.Type == param.Floats {
		add(number(math.NaN()), "NaN")
	}
	if !math.IsNaN(f.Min) && f.Min > -1<<52 {
		add(number(f.Min-1), "below its range "+f.Range())
	}
	if !math.IsNaN(f.Above) {
		add(number(f.Above), "below its range "+f.Range())
	}
	if !math.IsNaN(f.Max) && f.Max < 1<<52 {
		add(number(f.Max+1), "above its range "+f.Range())
	}
	if !math.IsNaN(f.Below) {
		add(number(f.Below), "above its range "+f.Range())
	}
	if len(f.Choices) > 0 {
		const none = "no-such-choice"
		if f.Type == param.Strings {
			add([]string{none}, "none of its choices")
		} else {
			add(none, "none of its choices")
		}
	}
	return out
}

func parameters(ctx context.Context, s *subject, v *Verdict) error {
	all := []bad{{"no_such_parameter", int64(1), "there is no such parameter"}}
	for _, f := range s.info.Params {
		all = append(all, badValues(f)...)
	}
	together := maps.Clone(s.values)
	for _, b := range all {
		together[b.name] = b.value
		given := maps.Clone(s.values)
		given[b.name] = b.value
		if err := s.mustRefuse(ctx, v, given, fmt.Sprintf("%s=%v (%s)", b.name, b.value, b.why), b.name); err != nil {
			return err
		}
	}
	for _, f := range s.info.Params {
		if f.Default != nil {
			continue
		}
		given := maps.Clone(s.values)
		delete(given, f.Name)
		if err := s.mustRefuse(ctx, v, given, f.Name+" left out, which has no default", f.Name); err != nil {
			return err
		}
	}
	verdict, err := s.validate(ctx, together)
	if err != nil {
		return fmt.Errorf("calling Validate: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(together)) {
		if _, fine := s.values[name]; (!fine || len(badValuesOf(s.info.Params, name)) > 0) && !hasPath(verdict.Problems, name) {
			v.Failf("of many wrong parameters given together, Validate reports %v: all of them are needed, and %s is missing", head(paths(verdict.Problems)), name)
			break
		}
	}
	v.Notef("%d wrong values", len(all))
	return nil
}

func badValuesOf(schema param.Schema, name string) []bad {
	f, ok := schema.Field(name)
	if !ok {
		return []bad{{}}
	}
	return badValues(f)
}

// mustRefuse holds Validate and Open to refuse parameters, with the path of the field.
func (s *subject) mustRefuse(ctx context.Context, v *Verdict, given param.Values, what, name string) error {
	verdict, err := s.validate(ctx, given)
	switch {
	case err != nil:
		v.Failf("Validate of %s: error %q: a problem with path params.%s is needed", what, err, name)
	case len(verdict.Problems) == 0:
		v.Failf("Validate accepts %s: a problem with path params.%s is needed", what, name)
	case !hasPath(verdict.Problems, name):
		v.Failf("Validate of %s reports %v: the path params.%s is needed", what, paths(verdict.Problems), name)
	}
	err = s.open(ctx, given)
	var invalid *component.InvalidArgumentError
	switch {
	case err == nil:
		v.Failf("Open accepts %s: an invalid argument with path params.%s is needed", what, name)
	case !errors.As(err, &invalid):
		v.Failf("Open with %s fails with %q: an invalid argument with path params.%s is needed", what, err, name)
	case !hasPath(invalid.Problems, name):
		v.Failf("Open with %s reports %v: the path params.%s is needed", what, paths(invalid.Problems), name)
	}
	return ctx.Err()
}

func hasPath(problems []param.Problem, name string) bool {
	return slices.ContainsFunc(problems, func(p param.Problem) bool {
		rest, ok := strings.CutPrefix(p.Path, "params."+name)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

func paths(problems []param.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Path)
	}
	return out
}
