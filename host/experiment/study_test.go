package experiment

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
)

const study = `version: 1
name: sizes
seeds: [0, 1]
matrix:
  fit.gru-64.params.hidden: [8, 16, 64]
  train.use: [model/noisy-gru, builtin:model/noisy-gru]
task:     {use: task/nbff}
train:    {params: {lr: 1e-3}, seed: 5}
simulate: {use: simulator/spikes}
fit:
  - {name: gru-64, use: model/sae-gru, params: {lr: 1e-2, hidden: 64}}
compare:
  - {use: comparator/metrics}
`

func TestStudy(t *testing.T) {
	s, err := Parse("x.yaml", []byte(study), nil)
	if err != nil {
		t.Fatal(err)
	}
	axes := []Axis{
		{"seed", "seed", []any{int64(0), int64(1)}},
		{"fit.gru-64.params.hidden", "hidden", []any{int64(8), int64(16), int64(64)}},
		{"train.use", "use", []any{"model/noisy-gru", "builtin:model/noisy-gru"}},
	}
	if s.Name != "sizes" || !reflect.DeepEqual(s.Axes, axes) || len(s.Points) != 12 {
		t.Fatalf("got %+v", s)
	}
	i := 0
	for _, seed := range []uint64{0, 1} {
		for _, hidden := range []int64{8, 16, 64} {
			for _, use := range []string{"model/noisy-gru", "builtin:model/noisy-gru"} {
				p := s.Points[i]
				token := map[string]string{"model/noisy-gru": "noisy-gru", "builtin:model/noisy-gru": "model-noisy-gru"}[use]
				if want := fmt.Sprintf("seed-%d_hidden-%d_use-%s", seed, hidden, token); p.Index != i || p.Name != want {
					t.Errorf("point %d is %d %s, want %s", i, p.Index, p.Name, want)
				}
				if want := map[string]any{"seed": int64(seed), "fit.gru-64.params.hidden": hidden, "train.use": use}; !reflect.DeepEqual(p.Values, want) {
					t.Errorf("point %d: values are %v, want %v", i, p.Values, want)
				}
				e := p.Experiment
				if e.Name != "sizes" || e.Seed != seed || e.Task.Seed != seed || e.Train.Use.Seed != 5 || e.Fit[0].Use.Seed != seed || e.Simulate.Trials.Seed != DefaultTrialsSeed {
					t.Errorf("point %d: seeds %d %d %d %d", i, e.Seed, e.Task.Seed, e.Train.Use.Seed, e.Fit[0].Use.Seed)
				}
				if f := e.Fit[0].Use.Params; f["hidden"] != hidden || f["lr"] != 1e-2 || e.Train.Use.Ref.String() != use || e.Train.Use.Params["lr"] != 1e-3 {
					t.Errorf("point %d: fit %v, train %v", i, f, e.Train.Use.Ref)
				}
				i++
			}
		}
	}
	single, err := Parse("x.yaml", []byte(canonical), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(single.Points) != 1 || len(single.Axes) != 0 || single.Points[0].Name != "" || single.Points[0].Values != nil {
		t.Errorf("an experiment without axes is %+v", single)
	}
}

// Every point is what one gets by setting its values by hand.
func TestPointsAreOverrides(t *testing.T) {
	s, err := Read("x.yaml", []byte(study), []string{`matrix.train.use=["model/noisy-gru"]`}, catalogue)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Points {
		set := []string{"matrix=null"}
		for path, v := range p.Values {
			set = append(set, fmt.Sprintf("%s=%v", path, v))
		}
		one, err := Read("x.yaml", []byte(study), set, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		same(t, one.Points[0].Experiment, p.Experiment)
		if string(one.YAML()) != string(p.Experiment.YAML()) {
			t.Errorf("%s: got\n%s\nwant\n%s", p.Name, p.Experiment.YAML(), one.YAML())
		}
	}
}

func TestStudyOverrides(t *testing.T) {
	base := head + train
	for _, c := range []struct {
		name, file string
		set        []string
		want       []string
	}{
		{"seed for seeds", base + "seeds: [1, 2]\n", []string{"seed=3"}, []string{""}},
		{"seeds for seed", base + "seed: 7\n", []string{"seeds=[0, 1]"}, []string{"seed-0", "seed-1"}},
		{"the last wins", base, []string{"seed=3", "seeds=[0]", "seed=1", "seeds=[4, 5]"}, []string{"seed-4", "seed-5"}},
		{"seeds taken away", base + "seeds: [1, 2]\n", []string{"seeds=null"}, []string{""}},
		{"an axis", base, []string{"matrix.train.params.lr=[1e-3, 0.01]"}, []string{"lr-0.001", "lr-0.01"}},
		{"an axis for another", base + "matrix: {train.params.lr: [1]}\n", []string{"matrix.train.params.lr=[2, 3]"}, []string{"lr-2", "lr-3"}},
		{"an axis beside another", base + "matrix: {train.params.lr: [1]}\n", []string{"matrix.task.params.n_bits=[2, 3]"}, []string{"lr-1_n_bits-2", "lr-1_n_bits-3"}},
		{"an axis taken away", base + "matrix: {train.params.lr: [1, 2], train.seed: [3]}\n", []string{"matrix.train.params.lr=~"}, []string{"seed-3"}},
		{"the last axis taken away", base + "matrix: {train.params.lr: [1, 2]}\n", []string{"matrix.train.params.lr=~"}, []string{""}},
		{"the matrix", base + "matrix: {train.params.lr: [1, 2]}\n", []string{"matrix={train.params.hidden: [3]}"}, []string{"hidden-3"}},
		{"the matrix taken away", base + "matrix: {train.params.lr: [1, 2]}\n", []string{"matrix=null"}, []string{""}},
		{"beside an axis", base + "matrix: {train.params.lr: [1]}\n", []string{"train.params={hidden: 3}", "train.use=model/noisy-gru"}, []string{"lr-1"}},
	} {
		s, err := Read("x.yaml", []byte(c.file), c.set, catalogue)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := pointNames(s); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func pointNames(s *Study) []string {
	var out []string
	for _, p := range s.Points {
		out = append(out, p.Name)
	}
	return out
}

// A fit may be added, or replaced, by mappings; its name is the path's.
func TestFitsOfTheMatrix(t *testing.T) {
	file := head + sim + "fit:\n  - {name: old, use: model/sae-gru, params: {hidden: 3}, seed: 2}\n" + `matrix:
  fit.new: [{use: model/sae-gru}, {use: model/must, params: {weights: w}}]
  fit.old: [{use: model/sae-gru}, {name: old, use: model/sae-gru, seed: 4}]
compare: [{use: comparator/metrics, subjects: [new, old]}]
`
	for _, file := range []string{file, strings.Replace(file, "fit:\n  - {name: old, use: model/sae-gru, params: {hidden: 3}, seed: 2}\n", "", 1)} {
		s, err := Read("x.yaml", []byte(file), nil, catalogue)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Points) != 4 {
			t.Fatalf("%d points", len(s.Points))
		}
		for i, p := range s.Points {
			fits := map[string]*Use{}
			for _, f := range p.Experiment.Fit {
				fits[f.Name] = f.Use
			}
			if len(fits) != 2 || fits["new"] == nil || fits["old"] == nil {
				t.Fatalf("fits are %v", p.Experiment.Fit)
			}
			if want := []string{"sae-gru", "must"}[i/2]; fits["new"].Ref.Name.Short != want {
				t.Errorf("new is %v, want %s", fits["new"].Ref, want)
			}
			if want := []uint64{0, 4}[i%2]; fits["old"].Seed != want || fits["old"].Params["hidden"] != int64(64) {
				t.Errorf("old is %+v, seed %d is wanted", fits["old"], want)
			}
		}
	}
	// The same by an override.
	e, err := single("x.yaml", head+sim+"fit: [{use: model/sae-gru}]\n", "fit.b={use: model/sae-gru, params: {hidden: 2}}", "fit.sae-gru={use: model/must}", "compare.m={use: comparator/metrics}")
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Fit) != 2 || e.Fit[0].Name != "sae-gru" || e.Fit[0].Use.Ref.Name.Short != "must" || e.Fit[1].Name != "b" || len(e.Compare) != 1 || e.Compare[0].Name != "m" {
		t.Errorf("got %+v %+v", e.Fit, e.Compare)
	}
}

func TestLabels(t *testing.T) {
	for _, c := range []struct{ paths, want []string }{
		{[]string{"seed"}, []string{"seed"}},
		{[]string{"seed", "train.seed", "fit.a.seed"}, []string{"seed", "train.seed", "a.seed"}},
		{[]string{"fit.a.params.latent", "fit.b.params.latent", "fit.b.params.lr"}, []string{"a.params.latent", "b.params.latent", "lr"}},
		{[]string{"train", "fit[0]", "simulate.task.params", "task.params.x[1]"}, []string{"train", "fit[0]", "params", "x[1]"}},
		{[]string{"task", "simulate.task"}, []string{"task", "simulate.task"}},
	} {
		var paths [][]string
		for _, p := range c.paths {
			parts, wrong := splitPath(p)
			if wrong != nil {
				t.Fatal(wrong.message)
			}
			paths = append(paths, parts)
		}
		if got := labels(paths); !slices.Equal(got, c.want) {
			t.Errorf("%v: labels are %v, want %v", c.paths, got, c.want)
		}
	}
}

func TestTokens(t *testing.T) {
	long := strings.Repeat("long", 20)
	for _, c := range []struct {
		values []any
		want   []string
	}{
		{[]any{int64(8), 0.001, -1.5, 1e-10, 1e20, true, uint64(1 << 63)}, []string{"8", "0.001", "-1.5", "1e-10", "1e20", "true", "9223372036854775808"}},
		{[]any{"model/noisy-gru", "model/ode", "b:model/ode", "c@^1.2:model/ode"}, []string{"noisy-gru", "ode", "model-ode", "c-1.2-model-ode"}},
		{[]any{"/data/a/x.h5", "/data/b/x.h5", "/data/B/x.h5"}, []string{"x.h5", "b-x.h5", "data-B-x.h5"}},
		{[]any{"exp", "EXP", "Exp"}, []string{"exp", "EXP-" + hash("EXP"), "Exp-" + hash("Exp")}},
		{[]any{"..", "a_b c", "日本", "", "/"}, []string{hash(`".."`), "a-b-c", hash(`"日本"`), hash(`""`), hash(`"/"`)}},
		{[]any{[]any{int64(1), int64(2)}, []any{int64(12)}, []any{"1", "2"}}, []string{"1-2", "12", "1-2-" + hash(`["1", "2"]`)}},
		{[]any{map[string]any{"use": "model/a", "params": map[string]any{"latent": int64(8), "lr": 0.1}}}, []string{"a-latent-8-lr-0.1"}},
		{[]any{long, long + "b"}, []string{long[:27] + "-" + hash(long), long[:27] + "-" + hash(long+"b")}},
	} {
		got := tokens(c.values)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.values, got, c.want)
		}
		// What is appended changes nothing before it.
		for k := range c.values {
			if before := tokens(c.values[:k]); !slices.Equal(before, c.want[:k]) {
				t.Errorf("%v: the first %d are %q without the others", c.values, k, before)
			}
		}
	}
}

// Names of points are safe as folders, differ in more than case, and are cut where they would be long.
func TestPointNames(t *testing.T) {
	axes := []Axis{
		{Label: "a.params.link", Values: []any{"x", "X", "x_y", "x-y", "../x", "x\x00", strings.Repeat("é", 300)}},
		{Label: "fit[0]", Values: []any{map[string]any{"use": "model/a"}, map[string]any{"use": "model/A"}, []any{}, ""}},
		{Label: strings.Repeat("n_", 40), Values: []any{int64(1), "1", -1.0, "1_fit-0"}},
	}
	n, seen := newNamer(axes), map[string]bool{}
	for i := range axes[0].Values {
		for j := range axes[1].Values {
			for k := range axes[2].Values {
				name := n.point([]int{i, j, k})
				if len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || strings.Contains(name, "..") || seen[strings.ToLower(name)] {
					t.Errorf("%q", name)
				}
				seen[strings.ToLower(name)] = true
			}
		}
	}
}

// Points share what they have in common, so that a study of many costs little.
func TestPointsShare(t *testing.T) {
	asked := 0
	s, err := Read("x.yaml", []byte(study), []string{"matrix.train.use=[model/noisy-gru]"}, func(ref string, kind component.Kind) (component.Info, error) {
		asked++
		return catalogue(ref, kind)
	})
	if err != nil {
		t.Fatal(err)
	}
	// Task, train, simulate, compare, and the fit of three sizes.
	if asked != 7 {
		t.Errorf("components were looked up %d times", asked)
	}
	first := s.Points[0].Experiment.Task.Params
	for _, p := range s.Points {
		if !maps.Equal(p.Experiment.Task.Params, param.Values{"n_bits": int64(3), "noise": 0.15}) || reflect.ValueOf(p.Experiment.Task.Params).Pointer() != reflect.ValueOf(first).Pointer() {
			t.Errorf("%s: task has %v", p.Name, p.Experiment.Task.Params)
		}
	}
}

// Where points have very many problems the first of them are told, and that there are more points.
func TestManyProblems(t *testing.T) {
	file := "version: 1\ntask: {use: task/nbff, params: {\n" + distinctFlow(300) + "}}\ntrain: {use: model/noisy-gru}\nseeds: [\n" + numbers(100) + "]\nmatrix: {task.params.n_bits: [\n" + numbers(100) + "]}\n"
	_, err := Read("x.yaml", []byte(file), nil, catalogue)
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("error is %v", err)
	}
	points := map[string]int{}
	for _, p := range all.Problems {
		points[p.Point]++
	}
	if len(all.Problems) > 1000 || points[""] < 200 || points["at point seed-0_n_bits-0"] != 1 || points["at n_bits=0"] != 0 {
		t.Errorf("%d problems: %v", len(all.Problems), points)
	}
}
