package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

const canonical = `version: 1
name: nbff-gru
seed: 7
task:     {use: task/nbff, params: {n_bits: 3}}
train:    {use: model/noisy-gru, params: {hidden: 64, lr: 1e-3}}
simulate: {use: simulator/spikes}
fit:
  - {name: gru-64, use: model/sae-gru, params: {latent: 64, sizes: [1, 2]}, seed: 9}
  - use: lfads@^1.2:model/lfads
compare:
  - {use: comparator/metrics}
  - {name: two, use: comparator/metrics, subjects: [lfads, truth]}
`

// single reads a file that is one experiment.
func single(file, text string, set ...string) (*Experiment, error) {
	s, err := Parse(file, []byte(text), set)
	if err != nil {
		return nil, err
	}
	return s.Points[0].Experiment, nil
}

func TestParse(t *testing.T) {
	e, err := single("x.yaml", canonical)
	if err != nil {
		t.Fatal(err)
	}
	name := func(k component.Kind, s string) registry.Ref {
		return registry.Ref{Name: component.Name{Kind: k, Short: s}}
	}
	if e.Name != "nbff-gru" || e.Seed != 7 || len(e.Fit) != 2 || len(e.Compare) != 2 || len(e.Uses()) != 7 {
		t.Errorf("got %+v", e)
	}
	if u := e.Task; u.Ref != name(component.Task, "nbff") || u.Seed != 7 || !reflect.DeepEqual(u.Params, param.Values{"n_bits": int64(3)}) {
		t.Errorf("task is %+v", u)
	}
	if v := e.Train.Use.Params["lr"]; v != 1e-3 {
		t.Errorf("lr is %v (%T)", v, v)
	}
	if s := e.Simulate; s.Use.Seed != 7 || s.Trials.Seed != DefaultTrialsSeed || len(s.Trials.Params) != 0 {
		t.Errorf("simulate is %+v", s)
	}
	if f := e.Fit[0]; f.Name != "gru-64" || f.Use.Seed != 9 || f.Use.Path() != "fit.gru-64" {
		t.Errorf("fit is %+v", f)
	}
	if f := e.Fit[1]; f.Name != "lfads" || f.Use.Ref != (registry.Ref{Plugin: "lfads", Constraint: "^1.2", Name: component.Name{Kind: component.Model, Short: "lfads"}}) {
		t.Errorf("fit is %+v", f)
	}
	if c := e.Compare; c[0].Name != "metrics" || !reflect.DeepEqual(c[0].Subjects, []string{Truth, "gru-64", "lfads"}) || !reflect.DeepEqual(c[1].Subjects, []string{Truth, "lfads"}) {
		t.Errorf("compare is %+v", c)
	}
}

func TestPathsStartFromTheFile(t *testing.T) {
	dir := t.TempDir()
	e, err := single(filepath.Join(dir, "a.yaml"), "version: 1\nsimulate: {dataset: d.h5}\nfit:\n- load: runs/old\n- load: /abs/new\n"+
		"- {use: model/sae-gru, from: ../a.safetensors}\n- {name: b, use: model/sae-gru, from: runs/old}\ncompare:\n- use: comparator/metrics\n", "fit.new.load=here/new", "fit.b.from=there")
	if err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != "a" || e.Simulate.Dataset != filepath.Join(dir, "d.h5") || e.Fit[0].Load != filepath.Join(dir, "runs/old") || e.Fit[1].Load != filepath.Join(wd, "here/new") ||
		e.Fit[2].From != filepath.Join(filepath.Dir(dir), "a.safetensors") || e.Fit[3].From != filepath.Join(wd, "there") {
		t.Errorf("got %+v %+v", e.Simulate, e.Fit)
	}
}

func TestOverride(t *testing.T) {
	e, err := single("x.yaml", canonical, []string{
		"fit.gru-64.params.latent=16", "task.params.n_bits=4", "seed=3", "fit[1].name=other", "train.params.dropout=0.5", "simulate.params={link: softplus}",
		"compare.two.subjects=[gru-64]", "train.params.lr=1e-2", "fit.gru-64.params.sizes=[3]",
	}...)
	if err != nil {
		t.Fatal(err)
	}
	if e.Seed != 3 || e.Task.Params["n_bits"] != int64(4) || e.Fit[0].Use.Params["latent"] != int64(16) || e.Fit[1].Name != "other" ||
		e.Train.Use.Params["dropout"] != 0.5 || e.Train.Use.Params["lr"] != 1e-2 || e.Simulate.Use.Params["link"] != "softplus" ||
		!reflect.DeepEqual(e.Compare[1].Subjects, []string{"gru-64"}) || !reflect.DeepEqual(e.Fit[0].Use.Params["sizes"], []any{int64(3)}) {
		t.Errorf("got %+v", e)
	}
	if e, err = single("x.yaml", canonical, "compare=null", "fit=~", "simulate=null"); err != nil || e.Simulate != nil || e.Fit != nil || e.Compare != nil {
		t.Errorf("stages left out: %+v, error %v", e, err)
	}
}

// components are those of a small catalogue.
func components() map[string]component.Info {
	type nbff struct {
		NBits int     `param:"n_bits" default:"3" min:"1" max:"16" unit:"bit" doc:"bits"`
		Noise float64 `param:"noise" default:"0.15" min:"0" doc:"noise"`
	}
	type net struct {
		Hidden int     `param:"hidden" default:"64" min:"1" max:"4096" doc:"units"`
		Rate   float64 `param:"lr" default:"1e-3" above:"0" doc:"learning rate"`
		Link   string  `param:"link" default:"exp" choices:"exp,softplus" doc:"link"`
		Sizes  []int   `param:"sizes" default:"1,2" min:"1" doc:"sizes"`
	}
	type must struct {
		Weights string `param:"weights" doc:"where the weights are"`
	}
	return map[string]component.Info{
		"task/nbff":              {Params: param.MustOf(nbff{})},
		"task/reach":             {Capabilities: []component.Capability{component.ClosedLoop}},
		"model/noisy-gru":        {Params: param.MustOf(net{}), Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics}},
		"model/must":             {Params: param.MustOf(must{}), Capabilities: []component.Capability{component.TrainsOnData}},
		"model/sae-gru":          {Params: param.MustOf(net{}), Capabilities: []component.Capability{component.TrainsOnData}},
		"simulator/spikes":       {},
		"comparator/metrics":     {},
		"comparator/fixedpoints": {Capabilities: []component.Capability{component.NeedsDynamics}},
	}
}

// catalogue is where the components are found, all of a plugin builtin.
func catalogue(ref string, kind component.Kind) (component.Info, error) {
	ref = strings.TrimPrefix(ref, "builtin:")
	info, ok := components()[ref]
	if !ok {
		return info, errors.New("no such component: " + ref)
	}
	n, err := component.ParseName(ref)
	info.Name, info.Version = n, "0.1.0"
	return info, err
}

func TestResolveAndRoundTrip(t *testing.T) {
	text := strings.Replace(canonical, "lfads@^1.2:model/lfads", "model/sae-gru", 1)
	text = strings.Replace(strings.Replace(text, "subjects: [lfads,", "subjects: [sae-gru,", 1), "latent: 64", "hidden: 0x20", 1)
	e, err := single("x.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Resolve(catalogue)
	if err != nil {
		t.Fatal(err)
	}
	want := param.Values{"hidden": int64(32), "lr": 1e-3, "link": "exp", "sizes": []int64{1, 2}}
	if got := r.Fit[0].Use.Params; !reflect.DeepEqual(got, want) {
		t.Errorf("resolved parameters are %v, want %v", got, want)
	}
	if len(e.Fit[1].Use.Params) != 0 || e.Fit[1].Use.Info.Version != "" {
		t.Error("resolving changed the original")
	}
	again, err := single("/elsewhere/y.yaml", string(r.YAML()))
	if err != nil {
		t.Fatalf("%v in\n%s", err, r.YAML())
	}
	if again, err = again.Resolve(catalogue); err != nil {
		t.Fatal(err)
	}
	if same(t, r, again); string(r.YAML()) != string(again.YAML()) {
		t.Errorf("written again:\n%s\nwas\n%s", again.YAML(), r.YAML())
	}
}

// same compares experiments without their places.
func same(t *testing.T, a, b *Experiment) {
	t.Helper()
	bare := func(e *Experiment) *Experiment {
		e = e.with(func(u *Use) *Use { c := *u; return &c })
		e.File = ""
		if e.Simulate != nil && e.Simulate.Trials != nil {
			c := *e.Simulate.Trials
			c.place, c.read = place{}, nil
			e.Simulate.Trials = &c
		}
		for _, u := range e.Uses() {
			u.place, u.read = place{}, nil
		}
		if e.Train != nil {
			e.Train.place = place{}
		}
		if e.Simulate != nil {
			e.Simulate.place = place{}
		}
		for i := range e.Fit {
			e.Fit[i].place = place{}
		}
		for i := range e.Compare {
			e.Compare[i].place = place{}
		}
		return e
	}
	if a, b = bare(a), bare(b); !reflect.DeepEqual(a, b) && string(a.YAML()) != string(b.YAML()) {
		t.Errorf("got\n%s\nwant\n%s", b.YAML(), a.YAML())
	}
}

func TestExamples(t *testing.T) {
	all := Examples()
	if len(all) < 3 || all[0].Name != "quickstart" || all[1].Name != "sizes" {
		t.Fatalf("examples are %v", all)
	}
	for _, x := range all {
		s, err := Parse(x.Name, x.Data, nil)
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		if s.Name != x.Name || x.Title == "" || len(x.Title) > 120 || len(s.Points[0].Experiment.Fit) == 0 {
			t.Errorf("%s: named %q, title %q", x.Name, s.Name, x.Title)
		}
		if want := map[string]int{"sizes": 6, "nbff-node-sizes": 6}[x.Name]; len(s.Points) != max(1, want) {
			t.Errorf("%s: %d points", x.Name, len(s.Points))
		}
		reread(t, s)
	}
	if _, ok := FindExample("../examples/nbff"); ok {
		t.Error("a name that is a path was found")
	}
}
