package experiment

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// Lookup finds a component by a reference of the given kind. An error's message is shown as it is; one that has a method Problem() param.Problem
// gives message and hint apart.
type Lookup func(ref string, kind component.Kind) (component.Info, error)

// Resolve returns a copy of the experiment in which every component is found, its parameters are complete and of the schema's types, and the files that the
// experiment names are there. It checks what the components can do against what the stages ask of them. The error is an [*Error] with all problems.
func (e *Experiment) Resolve(lookup Lookup) (*Experiment, error) {
	out, problems := e.resolve(lookup)
	if err := Join(problems...); err != nil {
		return nil, err
	}
	return out, nil
}

// resolve takes an experiment of which parts could not be read: a component without a reference is passed over.
func (e *Experiment) resolve(lookup Lookup) (*Experiment, []Problem) {
	out := e.clone()
	var problems []Problem
	for _, u := range out.Uses() {
		if u.Ref.Name.Short != "" {
			problems = append(problems, u.resolve(lookup)...)
		}
	}
	problems = append(problems, out.trials()...)
	problems = append(problems, out.capabilities()...)
	return out, append(problems, out.files()...)
}

// clone copies everything that Resolve changes.
func (e *Experiment) clone() *Experiment {
	out := *e
	use := func(u *Use) *Use {
		if u == nil {
			return nil
		}
		c := *u
		return &c
	}
	out.Task = use(e.Task)
	if e.Train != nil {
		t := *e.Train
		t.Use = use(t.Use)
		out.Train = &t
	}
	if e.Simulate != nil {
		s := *e.Simulate
		s.Use, s.Trials = use(s.Use), use(s.Trials)
		out.Simulate = &s
	}
	out.Fit, out.Compare = nil, nil
	for _, f := range e.Fit {
		f.Use = use(f.Use)
		out.Fit = append(out.Fit, f)
	}
	for _, c := range e.Compare {
		c.Use = use(c.Use)
		out.Compare = append(out.Compare, c)
	}
	return &out
}

func (u *Use) resolve(lookup Lookup) []Problem {
	info, err := lookup(u.Ref.String(), u.Ref.Name.Kind)
	if err != nil {
		p := param.Problem{Message: err.Error()}
		var detailed interface {
			error
			Problem() param.Problem
		}
		if errors.As(err, &detailed) {
			p = detailed.Problem()
		}
		return []Problem{u.place.problem("use", false, p.Message, p.Hint)}
	}
	u.Info = info
	params, wrong := info.Params.Resolve(u.Params)
	u.Params = params
	var out []Problem
	for _, p := range wrong {
		out = append(out, u.Problem(p))
	}
	return out
}

// trials checks the parameters that are laid over the task's for the simulation: those that are given, and no others.
func (e *Experiment) trials() []Problem {
	if e.Simulate == nil || e.Simulate.Trials == nil || !found(e.Task) {
		return nil
	}
	t := e.Simulate.Trials
	t.Ref, t.Info = e.Task.Ref, e.Task.Info
	given := t.Params
	whole, wrong := t.Info.Params.Resolve(merged(e.Task.Params, given))
	t.Params = param.Values{}
	for name := range given {
		if v, ok := whole[name]; ok {
			t.Params[name] = v
		}
	}
	var out []Problem
	for _, p := range wrong {
		if _, ok := given[p.Path]; ok {
			out = append(out, t.Problem(p))
		}
	}
	return out
}

func merged(under, over param.Values) param.Values {
	out := param.Values{}
	maps.Copy(out, under)
	maps.Copy(out, over)
	return out
}

// capabilities checks the components that were found against each other.
func (e *Experiment) capabilities() []Problem {
	var out []Problem
	needs := func(u *Use, c component.Capability, format string, args ...any) {
		if found(u) && !u.Info.Can(c) {
			out = append(out, u.place.problem("use", false, fmt.Sprintf(format, args...), ""))
		}
	}
	if e.Train != nil {
		needs(e.Train.Use, component.TrainsOnTask, "%s is not trained on a task: a model that is %s is needed here", ref(e.Train.Use), component.TrainsOnTask)
		if found(e.Task) && e.Task.Info.Can(component.ClosedLoop) {
			needs(e.Train.Use, component.TrainsClosedLoop, "%s cannot be trained in a closed loop, which %s is: a model that is %s is needed", ref(e.Train.Use), ref(e.Task), component.TrainsClosedLoop)
		}
	}
	for _, f := range e.Fit {
		needs(f.Use, component.TrainsOnData, "%s is not fitted to spikes: a model that is %s is needed here", ref(f.Use), component.TrainsOnData)
	}
	for _, c := range e.Compare {
		if found(c.Use) && c.Use.Info.Can(component.NeedsDynamics) && len(c.Subjects) > 0 && !e.anyDynamics(c.Subjects) {
			out = append(out, c.place.problem("use", false,
				fmt.Sprintf("%s examines a model's dynamics, and none of its subjects has any: %s", ref(c.Use), strings.Join(c.Subjects, ", ")), ""))
		}
	}
	return out
}

// anyDynamics reports whether one of the subjects may have dynamics. What is loaded may.
func (e *Experiment) anyDynamics(subjects []string) bool {
	may := func(u *Use, load string) bool {
		return load != "" || (u != nil && (!found(u) || u.Info.Can(component.HasDynamics)))
	}
	for _, s := range subjects {
		if s == Truth {
			if e.Train != nil && may(e.Train.Use, e.Train.Load) {
				return true
			}
			continue
		}
		for _, f := range e.Fit {
			if f.Name == s && may(f.Use, f.Load) {
				return true
			}
		}
	}
	return false
}

func found(u *Use) bool { return u != nil && u.Info.Name.Short != "" }

func ref(u *Use) string {
	if u == nil {
		return ""
	}
	return u.Ref.String()
}

// files checks that what the experiment loads is there and of the right kind.
func (e *Experiment) files() []Problem {
	var out []Problem
	check := func(p place, key, path string, folder bool) {
		if path == "" {
			return
		}
		want := "a file"
		if folder {
			want = "a folder"
		}
		info, err := os.Stat(path)
		message := ""
		switch {
		case errors.Is(err, fs.ErrNotExist):
			message = fmt.Sprintf("%q does not exist: %s is needed", path, want)
		case err != nil:
			message = fmt.Sprintf("%q cannot be opened: %v", path, bare(err))
		case info.IsDir() != folder:
			message = fmt.Sprintf("%q is not %s", path, want)
		case !folder && !info.Mode().IsRegular():
			message = fmt.Sprintf("%q is not a regular file", path)
		}
		if message != "" {
			out = append(out, p.problem(key, false, message, ""))
		}
	}
	if e.Train != nil {
		check(e.Train.place, "load", e.Train.Load, true)
	}
	if e.Simulate != nil {
		check(e.Simulate.place, "dataset", e.Simulate.Dataset, false)
	}
	for _, f := range e.Fit {
		check(f.place, "load", f.Load, true)
	}
	return out
}

func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
