package experiment

import (
	"bytes"
	"reflect"
	"testing"
)

// sameStudy compares studies without where they were read.
func sameStudy(t *testing.T, a, b *Study) {
	t.Helper()
	if a.Name != b.Name || !reflect.DeepEqual(a.Axes, b.Axes) || len(a.Points) != len(b.Points) {
		t.Fatalf("%s with %d points of %v, want %s with %d points of %v", b.Name, len(b.Points), b.Axes, a.Name, len(a.Points), a.Axes)
	}
	for i := range a.Points {
		p, q := a.Points[i], b.Points[i]
		if p.Index != q.Index || p.Name != q.Name || !reflect.DeepEqual(p.Values, q.Values) {
			t.Fatalf("point %d is %v, want %v", i, q, p)
		}
		same(t, p.Experiment, q.Experiment)
	}
}

// reread writes a study and reads it again, elsewhere and under another name.
func reread(t *testing.T, s *Study) {
	t.Helper()
	again, err := Parse("/elsewhere/other.yaml", s.YAML(), nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, s.YAML())
	}
	sameStudy(t, s, again)
	if !bytes.Equal(s.YAML(), again.YAML()) {
		t.Errorf("written again:\n%s\nwas\n%s", again.YAML(), s.YAML())
	}
}

// soundFiles are files that the catalogue of the tests knows all components of.
func soundFiles() map[string]string {
	return map[string]string{
		"canonical": `version: 1
name: nbff-gru
seed: 7
task:     {use: task/nbff, params: {n_bits: 3}}
train:    {use: model/noisy-gru, params: {hidden: 64, lr: 1e-3}}
simulate: {use: simulator/spikes}
fit:
  - {name: gru-64, use: model/sae-gru, params: {hidden: 64, sizes: [1, 2]}, seed: 9}
compare:
  - {use: comparator/metrics}
  - {name: two, use: comparator/metrics, subjects: [gru-64, truth]}
`,
		"least":           head + train,
		"study":           study,
		"flow":            `{version: 1, "task": {use: "task/nbff"}, train: {use: model/noisy-gru}}`,
		"json":            "{\n\t\"version\": 1,\n\t\"task\": {\"use\": \"task/nbff\", \"params\": {\"n_bits\": 3.0}},\n\t\"train\": {\"use\": \"model/noisy-gru\", \"params\": {\"lr\": 1e-3}}\n}\n",
		"windows":         "\ufeffversion: 1\r\n# a comment\r\ntask: {use: task/nbff}\r\ntrain:\r\n  use: model/noisy-gru\r\n  params:\r\n    link: softplus\r\nseeds:\r\n  - 1\r\n  - 2\r\n",
		"about":           head + train + "about: |\n  What is asked: \"is it so?\"\n\n  And # what is expected.\n",
		"about a study":   head + train + "about: one line\nseeds: [1, 2]\n",
		"stages left out": head + train + "simulate:\nfit:\ncompare: ~\n",
		"data set":        head + "simulate: {dataset: wrong_test.go}\nfit:\n  - use: model/sae-gru\n",
		"loaded":          head + "task: {use: task/nbff}\ntrain: {load: examples}\nsimulate: {use: simulator/spikes, task: {params: {n_bits: 2}, seed: 0x10}}\nfit:\n  - load: examples\n  - {name: b, load: examples}\n",
		"begun":           head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, from: examples}\nsimulate: {use: simulator/spikes}\nfit:\n  - {use: model/sae-gru, from: ./wrong_test.go, seed: 3}\nmatrix: {train.from: [examples, wrong_test.go], fit.sae-gru.from: [examples]}\n",
		"data sets":       head + "name: d\nfit: [{use: model/sae-gru}]\nmatrix: {simulate.dataset: [wrong_test.go, ./study_test.go]}\n",
		"whole stages":    head + "task: {use: task/nbff}\nmatrix:\n  train: [{use: model/noisy-gru}, {load: examples}, {use: model/noisy-gru, params: {sizes: [1, 2, 3], hidden: 1_0}}]\n",
		"whole lists":     head + sim + "matrix:\n  fit: [[{use: model/sae-gru}], [{use: model/sae-gru}, {name: b, use: model/sae-gru, params: {link: \"exp\"}}]]\n  compare: [[{use: comparator/metrics}], [{use: comparator/metrics, params: {}}]]\n",
		"by index":        head + sim + "fit: [{use: model/sae-gru}]\nmatrix:\n  fit[0].params.sizes: [[1], [1, 2]]\n  \"fit[0].params.lr\": [1, 2.5, 1e-9]\n  train.params.sizes: [[3]]\n",
		"element":         head + "task: {use: task/nbff}\ntrain: {use: model/noisy-gru, params: {sizes: [1, 2]}}\nmatrix: {\"train.params.sizes[1]\": [3, 4]}\n",
		"fits":            head + sim + "seeds: [3, 1, 2]\nmatrix: {fit.a: [{use: model/sae-gru}, {use: model/must, params: {weights: \"a b: [c]\"}}], simulate.task.seed: [1, 2], simulate.task.params: [{n_bits: 2}]}\n",
		"subjects":        head + sim + "fit: [{use: model/sae-gru}]\ncompare: [{use: comparator/metrics}]\nmatrix: {compare.metrics.subjects: [[truth], [sae-gru, truth]]}\n",
		"one point":       head + train + "seeds: [9223372036854775807]\n",
		"many seeds":      head + train + "seeds: [\n" + numbers(300) + "]\n",
		"strings":         head + sim + "fit: [{use: model/must}]\nmatrix:\n  fit.must.params.weights:\n    - \"on\"\n    - 'null'\n    - \"1\"\n    - \"é\\x7f\\u2028\\u0085\\n\"\n    - |\n      a\n      b\n    - \"-\"\n    - \"#\"\n    - \"a: b\"\n    - \"\"\n",
	}
}

func TestStudyRoundTrip(t *testing.T) {
	for name, file := range soundFiles() {
		t.Run(name, func(t *testing.T) {
			s, err := Read("x.yaml", []byte(file), nil, catalogue)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range s.Points {
				again, err := Read("/elsewhere/other.yaml", p.Experiment.YAML(), nil, catalogue)
				if err != nil {
					t.Fatalf("%v in\n%s", err, p.Experiment.YAML())
				}
				same(t, p.Experiment, again.Points[0].Experiment)
			}
			if s, err = Parse("x.yaml", []byte(file), nil); err != nil {
				t.Fatal(err)
			}
			reread(t, s)
		})
	}
}
