package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// Stages that do the same are one, whatever the number of points that have them, and are named by what they depend on.
func TestGraphSharesStages(t *testing.T) {
	h := toyHost(t, 1, 1)
	for _, c := range []struct {
		name, more string
		points     []int
		want       []string
	}{
		{"one point", "", nil, []string{"train", "simulate", "fit/a", "compare/c"}},
		{"a fit varies", "matrix: {fit.a.params.latent: [3, 4]}\n", nil, []string{
			"train", "simulate", "fit/a [latent=3]", "compare/c [latent=3]", "fit/a [latent=4]", "compare/c [latent=4]",
		}},
		{"seeds", "seeds: [0, 1]\n", nil, []string{
			"train [seed=0]", "simulate [seed=0]", "fit/a [seed=0]", "compare/c [seed=0]", "train [seed=1]", "simulate [seed=1]", "fit/a [seed=1]", "compare/c [seed=1]",
		}},
		{"two axes of which the network depends on one", "matrix: {train.params.steps: [1, 2], fit.a.params.latent: [3, 4]}\n", nil, []string{
			"train [steps=1]", "simulate [steps=1]", "fit/a [steps=1 latent=3]", "compare/c [steps=1 latent=3]", "fit/a [steps=1 latent=4]", "compare/c [steps=1 latent=4]",
			"train [steps=2]", "simulate [steps=2]", "fit/a [steps=2 latent=3]", "compare/c [steps=2 latent=3]", "fit/a [steps=2 latent=4]", "compare/c [steps=2 latent=4]",
		}},
		{"a share has the names that it has in the whole", "matrix: {train.params.steps: [1, 2], fit.a.params.latent: [3, 4]}\n", []int{3}, []string{
			"train [steps=2]", "simulate [steps=2]", "fit/a [steps=2 latent=4]", "compare/c [steps=2 latent=4]",
		}},
		{"no point", "seeds: [0, 1]\n", []int{}, []string{}},
		{"an axis of one value", "seeds: [3]\n", nil, []string{"train", "simulate", "fit/a", "compare/c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, err := New(study(t, h, toyStudy+c.more), c.points, h)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.Stages(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("stages\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for i, s := range g.stages {
				for _, need := range s.needs {
					if slices.Index(g.stages, need) >= i || need.depth >= s.depth {
						t.Errorf("%s comes before %s, which it needs", s.name, need.name)
					}
				}
			}
		})
	}
	if _, err := New(study(t, h, toyStudy), []int{1}, h); err == nil {
		t.Error("a point that is not there is taken")
	}
}

// Whatever a stage's bytes depend on makes it another one; names of fits, too, since they are folders.
func TestIdentity(t *testing.T) {
	h := toyHost(t, 1, 1)
	ids := func(sets ...string) map[string]string {
		g, err := New(study(t, h, toyStudy, sets...), nil, h)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, s := range g.stages {
			out[s.kind] = s.id
		}
		return out
	}
	base := ids()
	if !reflect.DeepEqual(base, ids()) {
		t.Error("the same study has other stages")
	}
	for _, c := range []struct {
		set     string
		changes []string
	}{
		{"compare.c.params.fails=true", []string{"compare"}},
		{"compare.c.name=d", []string{"compare"}},
		{"fit.a.params.latent=7", []string{"fit", "compare"}},
		{"fit.a.seed=7", []string{"fit", "compare"}},
		{"simulate.params.neurons=7", []string{"simulate", "fit", "compare"}},
		{"simulate.task={seed: 7}", []string{"simulate", "fit", "compare"}},
		{"simulate.task={params: {n_trials: 20}}", []string{"simulate", "fit", "compare"}},
		{"train.params.steps=7", []string{"train", "simulate", "fit", "compare"}},
		{"task.params.bins=7", []string{"train", "simulate", "fit", "compare"}},
		{"seed=7", []string{"train", "simulate", "fit", "compare"}},
	} {
		now := ids(c.set)
		for kind, id := range base {
			if (now[kind] != id) != slices.Contains(c.changes, kind) {
				t.Errorf("%s: %s changed %v", c.set, kind, now[kind] != id)
			}
		}
	}
}

func TestValueText(t *testing.T) {
	h := toyHost(t, 1, 1)
	long := strings.Repeat("x", 50)
	s := study(t, h, toyStudy+"matrix:\n  simulate.task: [{params: {n_trials: 11, bins: 12}, seed: 123456789}, {params: {n_trials: 12, bins: 12}, seed: 123456789}, {seed: 4}]\n")
	for i, want := range []string{"task=#1", "task=#2", `task={"seed":4}`} {
		if got := Values(s, s.Points[i], nil); got != want {
			t.Errorf("point %d is %s, want %s", i, got, want)
		}
	}
	a := s.Axes[0]
	a.Values = []any{"8", int64(8), long}
	for i, want := range []string{`"8"`, "8", "#3"} {
		if got := valueText(a, a.Values[i]); got != want {
			t.Errorf("value %v is %s, want %s", a.Values[i], got, want)
		}
	}
}

// A study of a thousand points is laid out and planned in about a second.
func TestPlanOfAThousandPoints(t *testing.T) {
	h := toyHost(t, 1, 1)
	s := study(t, h, toyStudy+"seeds: ["+numbers(10)+"]\nmatrix: {train.seed: ["+numbers(10)+"], fit.a.seed: ["+numbers(10)+"]}\n")
	if len(s.Points) != 1000 {
		t.Fatalf("%d points", len(s.Points))
	}
	began := time.Now()
	g, err := New(s, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := g.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d stages of %d points in %v", len(plan), g.Points(), took)
	if len(plan) != 100+100+1000+1000 {
		t.Errorf("%d stages", len(plan))
	}
	if plan[0].Points != 10 {
		t.Errorf("the first training is of %d points", plan[0].Points)
	}
	if took > 5*time.Second { // generous to a busy machine
		t.Errorf("took %v", took)
	}
}

// What a stage's last key was is told from another stage's, whatever its name has in it.
func TestLastFile(t *testing.T) {
	h := toyHost(t, 1, 1)
	g, err := New(study(t, h, toyStudy+"matrix: {fit.a.params.latent: [3, 4]}\n"), nil, h)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, s := range g.stages {
		file := g.lastFile(s)
		if rel, err := filepath.Rel(filepath.Join(h.Store.Dir(), "last", "toys"), file); err != nil || !filepath.IsLocal(rel) {
			t.Errorf("%s: %s", s.name, file)
		}
		if err := g.remember(s, fmt.Sprint("key", i)); err != nil {
			t.Fatal(err)
		}
		seen[file] = true
	}
	if len(seen) != len(g.stages) {
		t.Errorf("%d files for %d stages", len(seen), len(g.stages))
	}
	var last lastKey
	if err := artifact.ReadJSON(g.lastFile(g.stages[3]), &last); err != nil || last.Key != "key3" {
		t.Errorf("%+v, %v", last, err)
	}
	before, err := os.Stat(g.lastFile(g.stages[3]))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.remember(g.stages[3], "key3"); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(g.lastFile(g.stages[3])); err != nil || !os.SameFile(before, after) {
		t.Error("a key that has not changed is written again")
	}
}

func TestShards(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want []int
		ok   bool
	}{
		{"", 3, []int{0, 1, 2}, true}, {"1/1", 3, []int{0, 1, 2}, true}, {"1/2", 5, []int{0, 1}, true}, {"2/2", 5, []int{2, 3, 4}, true},
		{"2/3", 2, []int{0}, true}, {"1/3", 2, []int{}, true}, {"3/3", 2, []int{1}, true}, {"1/9", 0, []int{}, true},
		{"0/2", 1, nil, false}, {"3/2", 1, nil, false}, {"2", 1, nil, false}, {"1/0", 1, nil, false}, {"a/b", 1, nil, false}, {"+1/2", 1, nil, false}, {"1/2/3", 1, nil, false},
		{" 1/2", 1, nil, false}, {"-1/2", 1, nil, false},
	} {
		s, err := ParseShard(c.text)
		if (err == nil) != c.ok {
			t.Errorf("%q: error %v", c.text, err)
		}
		if err != nil {
			continue
		}
		if got := s.Points(c.n); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q of %d points: %v, want %v", c.text, c.n, got, c.want)
		}
	}
	// Every point is in one shard.
	for n := range 20 {
		var all []int
		for i := 1; i <= 7; i++ {
			all = append(all, Shard{i, 7}.Points(n)...)
		}
		for i, k := range all {
			if i != k {
				t.Fatalf("%d points in 7 shards: %v", n, all)
			}
		}
		if len(all) != n {
			t.Fatalf("%d points in 7 shards: %v", n, all)
		}
	}
}
