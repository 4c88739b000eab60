package experiment

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

// maxSeed keeps seeds exact in every format that they are written to.
const maxSeed = math.MaxInt64

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	keyForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

const nameWanted = "1 to 64 letters, digits, hyphens and underscores are needed, the first a letter or digit"

type decoder struct {
	*reader
	folder string
	// uses are the components that were read: points of a study share those that are the same.
	uses map[useKey]readUse
	made map[changed]*node
}

type useKey struct {
	source *node
	path   string
}

type readUse struct {
	use      *Use
	problems []Problem
}

// use reads the keys use, params and seed.
func (d *decoder) use(f fields, kind component.Kind, seed uint64) *Use {
	key := useKey{f.source, f.place.path}
	known, ok := d.uses[key]
	if !ok {
		before := d.problems
		d.problems = nil
		known = readUse{d.readUse(f, kind), d.problems}
		d.problems = before
		d.uses[key] = known
	}
	d.problems = append(d.problems, known.problems...)
	u := *known.use
	u.Seed, u.read = d.number(f, "seed", 0, maxSeed, seed), known.use
	return &u
}

func (d *decoder) readUse(f fields, kind component.Kind) *Use {
	u := &Use{Params: param.Values{}, place: f.place}
	if ref, ok := d.text(f, "use"); ok {
		r, err := registry.ParseRef(ref)
		switch {
		case len(ref) > maxKey:
			d.complain(f.place, "use", false, "", "%s: %d bytes name no component", quoted(ref), len(ref))
		case err != nil:
			hint := ""
			if n := string(kind) + "/" + ref; !strings.ContainsAny(ref, "/:") {
				if _, err := component.ParseName(n); err == nil {
					hint = fmt.Sprintf("did you mean %q?", n)
				}
			}
			q := f.place.problem("use", false, strings.TrimPrefix(err.Error(), "registry: "), hint)
			if q.unread, q.kind = ref, kind; !strings.ContainsAny(ref, "/:") {
				q.unread = string(kind) + "/" + ref
			}
			d.problems = append(d.problems, q)
		case r.Name.Kind != kind:
			d.complain(f.place, "use", false, "", "%s is a %s: a %s is needed here", quoted(ref), r.Name.Kind, kind)
		default:
			u.Ref = r
		}
	}
	n, ok := d.given(f, "params", true)
	if !ok {
		return u
	}
	if n.kind != mapping {
		d.complain(f.place, "params", false, "", "%s: a mapping from parameters to values is needed", n.show())
		return u
	}
	for _, e := range n.entries {
		key := "params." + e.key
		if !keyForm.MatchString(e.key) {
			d.complain(f.place, "params", true, "", "%q cannot name a parameter", e.key)
			continue
		}
		f.place.entries[key] = span{e.at, e.value.at}
		if v, ok := d.value(f, key, e.value); ok {
			u.Params[e.key] = v
		}
	}
	return u
}

// value is a parameter's value: a scalar or a list of scalars.
func (d *decoder) value(f fields, key string, n *node) (any, bool) {
	switch n.kind {
	case scalar:
		return n.value, true
	case null:
		d.complain(f.place, key, true, "leave the key out for the default", "a value is needed")
		return nil, false
	case mapping:
		d.complain(f.place, key, false, "", "a mapping is not allowed: a bool, a number, a string or a list of them is needed")
		return nil, false
	}
	out := make([]any, len(n.items))
	for i, item := range n.items {
		if item.kind != scalar {
			d.complain(f.place, key, false, "", "element %d is %s: a bool, a number or a string is needed", i, item.show())
			return nil, false
		}
		out[i] = item.value
	}
	return out, true
}

// one says which of two keys a stage has, and reports both, neither, and keys that go with the first alone.
func (d *decoder) one(f fields, use, other string, onlyUse ...string) string {
	has := func(key string) bool { return f.get(key) != nil }
	switch {
	case has(use) && has(other):
		d.complain(f.place, other, true, "", "%s and %s are both given: one of them is needed", use, other)
		return ""
	case has(use):
		return use
	case !has(other):
		d.complain(f.place, "", false, "", "%s or %s is needed", use, other)
		return ""
	}
	for _, key := range onlyUse {
		if has(key) {
			d.complain(f.place, key, true, "", "is not allowed beside %s", other)
		}
	}
	return other
}

func (d *decoder) experiment(root *node) *Experiment {
	e := &Experiment{File: d.file}
	f, _ := d.mapping(root, "", topKeys())
	if f.get("version") == nil {
		d.problems = append(d.problems, Problem{File: d.file, Line: root.at.line, Column: root.at.column, Set: root.at.set, Path: "version", Message: fmt.Sprintf("is required: %d", Version)})
	} else {
		d.number(f, "version", Version, Version, Version)
	}
	e.Name = d.name(f)
	if f.get("about") != nil {
		about, _ := d.text(f, "about")
		e.About = strings.TrimSpace(about)
	}
	e.Seed = d.number(f, "seed", 0, maxSeed, 0)
	if n, ok := d.given(f, "task", true); ok {
		if t, ok := d.mapping(n, "task", keysAt("task")); ok {
			if t.get("use") == nil {
				d.complain(t.place, "use", true, "", "is required: a task, e.g. task/nbff")
			}
			e.Task = d.use(t, component.Task, e.Seed)
		}
	}
	if n, ok := d.given(f, "train", true); ok {
		e.Train = d.train(n, e.Seed)
	}
	if n, ok := d.given(f, "simulate", true); ok {
		e.Simulate = d.simulate(n, e.Seed)
	}
	if n, ok := d.given(f, "fit", true); ok {
		e.Fit = d.fits(f, n, e.Seed)
	}
	if n, ok := d.given(f, "compare", true); ok {
		e.Compare = d.compares(f, n, e)
	}
	d.together(f, e)
	return e
}

// name returns the experiment's name, by default the file's.
func (d *decoder) name(f fields) string {
	if f.get("name") == nil {
		base := filepath.Base(d.file)
		s := strings.TrimSuffix(base, filepath.Ext(base))
		if nameForm.MatchString(s) {
			return s
		}
		d.complain(f.place, "name", true, "", "is required where the file's name will not do: %s", nameWanted)
		return ""
	}
	s, ok := d.text(f, "name")
	if ok && !nameForm.MatchString(s) {
		d.complain(f.place, "name", false, "", "%s is not allowed: %s", quoted(s), nameWanted)
	}
	return s
}

func (d *decoder) train(n *node, seed uint64) *Train {
	t := &Train{}
	f, ok := d.mapping(n, "train", keysAt("train"))
	t.place = f.place
	if !ok {
		return t
	}
	switch d.one(f, "use", "load", "params", "seed", "from") {
	case "use":
		t.Use = d.use(f, component.Model, seed)
		t.From, _ = d.path(f, "from")
	case "load":
		t.Load, _ = d.path(f, "load")
	}
	return t
}

func (d *decoder) simulate(n *node, seed uint64) *Simulate {
	s := &Simulate{}
	f, ok := d.mapping(n, "simulate", keysAt("simulate"))
	s.place = f.place
	if !ok {
		return s
	}
	switch d.one(f, "use", "dataset", "params", "seed", "task") {
	case "use":
		s.Use = d.use(f, component.Simulator, seed)
		s.Trials = d.trials(f)
	case "dataset":
		s.Dataset, _ = d.path(f, "dataset")
	}
	return s
}

// trials reads what is laid over the task.
func (d *decoder) trials(f fields) *Use {
	n, ok := d.given(f, "task", true)
	if !ok {
		u := &Use{Params: param.Values{}, Seed: DefaultTrialsSeed, place: place{file: d.file, path: "simulate.task", at: f.place.at}}
		u.read = u
		return u
	}
	inner, ok := d.mapping(n, "simulate.task", keysAt("simulate.task"))
	if !ok {
		return nil
	}
	return d.use(inner, component.Task, DefaultTrialsSeed)
}

// list returns the elements under a key; one that is not a list is reported.
func (d *decoder) list(f fields, key string, n *node) []*node {
	if n.kind != sequence {
		d.complain(f.place, key, false, fmt.Sprintf("begin each entry under %s with a hyphen", key), "%s: a list is needed", n.show())
		return nil
	}
	return n.items
}

// names checks the names of a list's elements.
type names struct {
	stage string
	first map[string]int
}

// element returns the path of an element: by its name where that is sound and unique, else by its index.
func (s *names) element(n *node, i int) string {
	name := n.name()
	if _, taken := s.first[strings.ToLower(name)]; taken || !nameForm.MatchString(name) {
		return fmt.Sprintf("%s[%d]", s.stage, i)
	}
	return s.stage + "." + name
}

// check returns the name that an element has, given or by default.
func (s *names) check(d *decoder, f fields, i int, otherwise, from string, reserved ...string) string {
	name, key := otherwise, from
	if f.get("name") != nil {
		given, ok := d.text(f, "name")
		if !ok {
			return ""
		}
		name, key = given, "name"
	}
	hint := ""
	if key != "name" {
		hint = "give it a name"
	}
	folded := strings.ToLower(name)
	first, taken := s.first[folded]
	switch {
	case name == "":
		return ""
	case !nameForm.MatchString(name):
		d.complain(f.place, key, false, hint, "%s is not allowed as a name: %s", quoted(name), nameWanted)
	case slices.Contains(reserved, folded):
		d.complain(f.place, key, false, hint, "%q is not allowed as a name: it means the trained network or the data set", name)
	case taken:
		d.complain(f.place, key, false, hint, "the name %q is taken by %s[%d]", name, s.stage, first)
	default:
		s.first[folded] = i
		return name
	}
	return ""
}

func (d *decoder) fits(f fields, n *node, seed uint64) []Fit {
	var out []Fit
	s := names{"fit", map[string]int{}}
	for i, item := range d.list(f, "fit", n) {
		g, ok := d.mapping(item, s.element(item, i), keysAt("fit"))
		fit := Fit{place: g.place}
		if ok {
			switch d.one(g, "use", "load", "params", "seed", "from") {
			case "use":
				fit.Use = d.use(g, component.Model, seed)
				fit.From, _ = d.path(g, "from")
				fit.Name = s.check(d, g, i, fit.Use.Ref.Name.Short, "use", Truth)
			case "load":
				otherwise := ""
				if fit.Load, ok = d.path(g, "load"); ok {
					otherwise = filepath.Base(fit.Load)
				}
				fit.Name = s.check(d, g, i, otherwise, "load", Truth)
			}
		}
		out = append(out, fit)
	}
	return out
}

func (d *decoder) compares(f fields, n *node, e *Experiment) []Compare {
	var labels []string
	if e.HasTruth() {
		labels = append(labels, Truth)
	}
	sound := true
	for _, fit := range e.Fit {
		if sound = sound && fit.Name != ""; fit.Name != "" {
			labels = append(labels, fit.Name)
		}
	}
	var out []Compare
	s := names{"compare", map[string]int{}}
	for i, item := range d.list(f, "compare", n) {
		g, ok := d.mapping(item, s.element(item, i), keysAt("compare"))
		c := Compare{place: g.place}
		if ok {
			if g.get("use") == nil {
				d.complain(g.place, "use", true, "", "is required: a comparator, e.g. comparator/metrics")
			}
			c.Use = d.use(g, component.Comparator, e.Seed)
			c.Name = s.check(d, g, i, c.Use.Ref.Name.Short, "use")
			c.Subjects = d.subjects(g, labels, sound)
		}
		out = append(out, c)
	}
	return out
}

// subjects returns the labels to compare in the order of the experiment. Unknown labels are reported only where the names of the fits are sound.
func (d *decoder) subjects(f fields, labels []string, sound bool) []string {
	n, ok := d.given(f, "subjects", true)
	if !ok {
		return labels
	}
	if n.kind != sequence || len(n.items) == 0 {
		d.complain(f.place, "subjects", false, "leave it out to compare everything", "%s: a list of names is needed", n.show())
		return nil
	}
	wanted := map[string]bool{}
	for i, item := range n.items {
		key := fmt.Sprintf("subjects[%d]", i)
		f.place.entries[key] = span{item.at, item.at}
		label, ok := item.value.(string)
		switch {
		case item.kind != scalar || !ok:
			d.complain(f.place, key, false, "", "%s: a name is needed", item.show())
		case wanted[label]:
			d.complain(f.place, key, false, "", "%s is given twice", quoted(label))
		case !slices.Contains(labels, label):
			if sound {
				hint := param.DidYouMean(label, labels)
				if hint == "" && len(labels) > 0 {
					hint = "subjects are " + strings.Join(labels, ", ")
				}
				d.complain(f.place, key, false, hint, "%s is no subject of this experiment", quoted(label))
			}
		default:
			wanted[label] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return !wanted[l] })
}

// together checks which stages are there.
func (d *decoder) together(f fields, e *Experiment) {
	has := func(key string) bool { n := f.get(key); return n != nil && n.kind != null }
	if !has("train") && !has("simulate") && !has("fit") && !has("compare") {
		hint := ""
		if has("task") {
			hint = "a task alone makes nothing: add train"
		}
		d.problems = append(d.problems, Problem{File: d.file, Line: f.at.line, Column: f.at.column, Set: f.at.set, Message: "nothing to do: one of train, simulate, fit, compare is needed", Hint: hint})
		return
	}
	if e.Train != nil && e.Train.Use != nil && !has("task") {
		d.complain(f.place, "train", true, "add task: {use: ...}", "a model is trained on a task, and there is none")
	}
	if e.Simulate != nil && e.Simulate.Use != nil {
		for _, need := range []struct{ key, why string }{{"task", "a task, for its trials"}, {"train", "a trained network: train with use or load"}} {
			if !has(need.key) {
				d.complain(f.place, "simulate", true, "or simulate: {dataset: FILE.h5}", "needs %s, and there is none", need.why)
			}
		}
	}
	if has("task") && !has("train") && (e.Simulate == nil || e.Simulate.Use == nil) {
		d.complain(f.place, "task", true, "add train, or leave task out", "nothing uses the task")
	}
	for _, fit := range e.Fit {
		if fit.Use != nil && !has("simulate") {
			d.complain(fit.place, "use", true, "add simulate: {use: ...} or simulate: {dataset: FILE.h5}", "a model is fitted to spikes, and there are none")
		}
	}
	if n := f.get("fit"); n != nil && n.kind == sequence && len(n.items) == 0 {
		d.complain(f.place, "fit", false, "leave it out", "is an empty list")
	}
	if n := f.get("compare"); n != nil && n.kind == sequence && len(n.items) == 0 {
		d.complain(f.place, "compare", false, "leave it out", "is an empty list")
	}
	if len(e.Compare) > 0 && !has("simulate") {
		switch {
		case !has("train") || slices.ContainsFunc(e.Fit, func(fit Fit) bool { return fit.Use != nil }):
			d.complain(f.place, "compare", true, "add simulate: {use: ...} or simulate: {dataset: FILE.h5}", "a data set is what is compared with, and there is none")
		case !has("task"):
			d.complain(f.place, "compare", true, "add task: {use: ...}", "trained networks are examined on their task, and there is none")
		}
	}
}
