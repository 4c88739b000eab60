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

// resolver looks components and files up, each once for all points of a study.
type resolver struct {
	lookup Lookup
	uses   map[*Use]readUse
	trials map[laidOver]readUse
	files  map[string]fs.FileInfo
	absent map[string]error
}

// laidOver is a simulation's trials over a task, as they were read.
type laidOver struct{ trials, task *Use }

func newResolver(lookup Lookup) *resolver {
	return &resolver{lookup: lookup, uses: map[*Use]readUse{}, trials: map[laidOver]readUse{}, files: map[string]fs.FileInfo{}, absent: map[string]error{}}
}

// Resolve returns a copy of the experiment in which every component is found, its parameters are complete and of the schema's types, and the files that the
// experiment names are there. It checks what the components can do against what the stages ask of them. The error is an [*Error] with all problems.
func (e *Experiment) Resolve(lookup Lookup) (*Experiment, error) {
	out, problems := e.resolve(newResolver(lookup))
	if err := Join(problems...); err != nil {
		return nil, err
	}
	return out, nil
}

// resolve takes an experiment of which parts could not be read: a component without a reference is passed over.
func (e *Experiment) resolve(r *resolver) (*Experiment, []Problem) {
	var problems []Problem
	out := e.with(func(u *Use) *Use {
		known, ok := r.uses[u.read]
		if !ok {
			c := *u
			known.use = &c
			if u.Ref.Name.Short != "" {
				known.problems = c.resolve(r.lookup)
			}
			r.uses[u.read] = known
		}
		problems = append(problems, known.problems...)
		c := *known.use
		c.Seed = u.Seed
		return &c
	})
	problems = append(problems, out.layTrials(r)...)
	problems = append(problems, out.capabilities()...)
	return out, append(problems, out.files(r)...)
}

// with copies the experiment, with other components in place of its own; trials are kept.
func (e *Experiment) with(other func(*Use) *Use) *Experiment {
	out := *e
	use := func(u *Use) *Use {
		if u == nil {
			return nil
		}
		return other(u)
	}
	out.Task = use(e.Task)
	if e.Train != nil {
		t := *e.Train
		t.Use = use(t.Use)
		out.Train = &t
	}
	if e.Simulate != nil {
		s := *e.Simulate
		s.Use = use(s.Use)
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
		p := detailed(err)
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

// detailed is what a lookup says of a component that it does not find.
func detailed(err error) param.Problem {
	var d interface {
		error
		Problem() param.Problem
	}
	if errors.As(err, &d) {
		return d.Problem()
	}
	return param.Problem{Message: err.Error()}
}

// suggest looks up what may be meant by a reference that could not be read.
func (p *Problem) suggest(lookup Lookup) {
	if p.unread == "" {
		return
	}
	if _, err := lookup(p.unread, p.kind); err != nil {
		p.Hint = detailed(err).Hint
	}
}

// layTrials completes what is laid over the task for the simulation.
func (e *Experiment) layTrials(r *resolver) []Problem {
	if e.Simulate == nil || e.Simulate.Trials == nil {
		return nil
	}
	trials, task := e.Simulate.Trials, e.Task
	if !found(task) {
		return nil
	}
	if len(trials.Params) == 0 {
		t := *trials
		t.Ref, t.Info = task.Ref, task.Info
		e.Simulate.Trials = &t
		return nil
	}
	key := laidOver{trials.read, task.read}
	known, ok := r.trials[key]
	if !ok {
		known.use, known.problems = laid(trials, task)
		r.trials[key] = known
	}
	t := *known.use
	t.Seed = trials.Seed
	e.Simulate.Trials = &t
	return known.problems
}

// laid checks the parameters that are laid over the task's: those that are given, and no others.
func laid(trials, task *Use) (*Use, []Problem) {
	t := *trials
	t.Ref, t.Info = task.Ref, task.Info
	given := t.Params
	whole, wrong := t.Info.Params.Resolve(merged(task.Params, given))
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
	return &t, out
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
			hint := fmt.Sprintf("`ctdb-host components model --can %s` lists them", c)
			out = append(out, u.place.problem("use", false, fmt.Sprintf(format, args...), hint))
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

// stat looks a file up once.
func (r *resolver) stat(path string) (fs.FileInfo, error) {
	if _, ok := r.files[path]; !ok {
		r.files[path], r.absent[path] = os.Stat(path)
	}
	return r.files[path], r.absent[path]
}

// files checks that what the experiment loads, or begins with, is there and of the right kind.
func (e *Experiment) files(r *resolver) []Problem {
	var out []Problem
	check := func(p place, key, path string, folder bool) {
		if path == "" {
			return
		}
		want := "a file"
		if folder {
			want = "a folder"
		}
		info, err := r.stat(path)
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
	// What a training begins with may be either.
	begin := func(p place, path string) {
		info, err := r.stat(path)
		switch {
		case path == "":
		case errors.Is(err, fs.ErrNotExist):
			out = append(out, p.problem("from", false, fmt.Sprintf("%q does not exist: a run's folder, a trained model's or a safetensors file is needed", path), ""))
		default:
			check(p, "from", path, err == nil && info.IsDir())
		}
	}
	if e.Train != nil {
		begin(e.Train.place, e.Train.From)
		check(e.Train.place, "load", e.Train.Load, true)
	}
	if e.Simulate != nil {
		check(e.Simulate.place, "dataset", e.Simulate.Dataset, false)
	}
	for _, f := range e.Fit {
		begin(f.place, f.From)
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
