package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// A training begins with the weights of another: wherever they are named, the same bytes come of it, others than of random weights; the record, the provenance and
// the plan have them.
func TestTrainingBeginsWithWeights(t *testing.T) {
	h := toyHost(t, 1, 1)
	dir := t.TempDir()
	first := filepath.Join(dir, "first")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: first}); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(dir, "alone.safetensors")
	weights, _, err := artifact.ReadWeights(filepath.Join(first, "fit", "a", artifact.WeightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := artifact.WriteWeights(alone, weights, nil); err != nil {
		t.Fatal(err)
	}
	trained := func(out string) []byte {
		b, err := os.ReadFile(filepath.Join(out, "fit", "a", artifact.WeightsFile))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var want []byte
	for i, from := range []string{first, filepath.Join(first, "fit", "a"), filepath.Join(first, "fit", "a", artifact.WeightsFile), alone} {
		s := study(t, h, toyStudy, "train.from="+first, "fit.a.from="+from)
		expect(t, problems(t, h, s))
		g, err := New(s, nil, h)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := g.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		trainFrom := filepath.Join(first, "train", artifact.WeightsFile)
		if plan[0].From != trainFrom || plan[0].Stored != (i > 0) {
			t.Errorf("planned %+v", plan[0])
		}
		if i == 0 && !slices.ContainsFunc(plan[0].Changed, func(s string) bool { return strings.HasPrefix(s, "inputs.from: ") }) {
			t.Errorf("changed: %v", plan[0].Changed)
		}
		out := filepath.Join(dir, "out", strings.Repeat("x", i+1))
		if err := execute(t, Run{Study: s, Host: h, Out: out}); err != nil {
			t.Fatal(err)
		}
		if got := trained(out); want == nil {
			want = got
		} else if string(got) != string(want) && from != alone {
			t.Errorf("from %s others come", from)
		}
		prov, err := artifact.ReadProvenance(out)
		if err != nil || prov.Stages[0].From != trainFrom || prov.Stages[2].From == "" || prov.Stages[1].From != "" {
			t.Errorf("provenance %+v, %v", prov.Stages, err)
		}
		record, err := artifact.ReadRecord(filepath.Join(out, "train"))
		if record.Defaults["latent"] != int64(2) || len(record.Defaults) != len(record.Params) {
			t.Errorf("the record has the defaults %v of the parameters %v", record.Defaults, record.Params)
		}
		sum, sumErr := artifact.HashFile(trainFrom)
		if err != nil || sumErr != nil || record.Inputs["from"] != sum {
			t.Errorf("inputs %v, want %s: %v, %v", record.Inputs, sum, err, sumErr)
		}
	}
	if string(want) == string(trained(first)) {
		t.Error("it begins with random weights")
	}
	// Begun from weights of another content, it is another stage.
	s := study(t, h, toyStudy+"matrix: {train.from: ["+first+", "+filepath.Join(dir, "out", "x")+"]}\n")
	g, err := New(s, nil, h)
	if err != nil || len(g.Stages()) != 8 {
		t.Errorf("stages %v, %v", g.Stages(), err)
	}
}

func TestWeightsToBeginWithAreLookedAt(t *testing.T) {
	h := toyHost(t, 1, 1)
	dir := t.TempDir()
	run, points := filepath.Join(dir, "run"), filepath.Join(dir, "points")
	for out, text := range map[string]string{run: toyStudy, points: fourPoints} {
		if err := execute(t, Run{Study: study(t, h, text), Host: h, Out: out}); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name string, set tensor.Set, about map[string]string) string {
		path := filepath.Join(dir, name)
		if err := artifact.WriteWeights(path, set, about); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bad := tensor.New64("w", 2)
	bad.F64[0] = nan
	noise := filepath.Join(dir, "noise")
	write(t, noise, strings.Repeat("noise", 9))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sets []string
		want []string
	}{
		{"another size", []string{"train.from=" + run, "train.params.latent=5"}, []string{"--set train.from= ... train.from: ... /run/train/weights.safetensors: weights.w: has shape [2], [5] is needed"}},
		{"other names, of another model", []string{"fit.a.from=" + put("v", tensor.Set{tensor.New64("v", 2)}, map[string]string{"component": "model/other"})}, []string{
			"fit.a.from: ... /v: these are weights of model/other, and those of model/toy have other names or shapes", "fit.a.from: ... /v: weights.w: is missing"}},
		{"not numbers", []string{"fit.a.from=" + put("nan", tensor.Set{bad}, nil)}, []string{"fit.a.from: ... /nan: tensor: ... NaN"}},
		{"not weights", []string{"train.from=" + noise}, []string{"train.from: ... /noise: ... not a valid safetensors file"}},
		{"not a folder of a run", []string{"train.from=" + empty}, []string{"train.from: ... /empty: it is neither a run's folder nor a trained model's"}},
		{"a stage without weights", []string{"train.from=" + filepath.Join(run, "simulate")}, []string{"train.from: ... : it holds what the stage simulate made, and no weights.safetensors"}},
		{"a study", []string{"train.from=" + points}, []string{"train.from: ... : it is a study's folder, which has a model for each of its points (name a point's, points/POINT)"}},
		{"a fit that is not there", []string{"fit[0].name=b", "compare=null", "fit[0].from=" + run}, []string{
			"fit.b.from: ... : the run has no model of the stage fit/b (name a model's folder within it: there are train, fit/a)"}},
		{"all at once", []string{"train.from=" + empty, "fit.a.from=" + noise}, []string{"train.from", "fit.a.from"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := study(t, h, toyStudy, c.sets...)
			expect(t, problems(t, h, s), c.want...)
		})
	}
	// A plan asks no component, and says what it finds.
	_, err := New(study(t, h, toyStudy, "train.from="+empty), nil, h)
	if err == nil || !strings.Contains(err.Error(), "train.from: "+empty) {
		t.Errorf("error %v", err)
	}
	// What a training begins with is not written over.
	err = execute(t, Run{Study: study(t, h, toyStudy, "train.from="+run), Host: h, Out: run})
	if !errors.Is(err, ErrFolder) {
		t.Errorf("error %v", err)
	}
}
