package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
)

// TestNetworks: networks that were trained on a task are compared on the trials that spikes were simulated from, or, without spikes, on those of the task; each has its score, that of its training
// or, where its folder has none, one that is made anew.
func TestNetworks(t *testing.T) {
	h := toyHost(t, 1, 1)
	trained := func(out string, sets ...string) string {
		s := study(t, h, "version: 1\nname: x\ntask: {use: task/toy, params: {n_trials: 20}}\ntrain: {use: model/toy}\n", sets...)
		if err := execute(t, Run{Study: s, Host: h, Out: out}); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(out, "train")
	}
	dir := t.TempDir()
	one, other := trained(filepath.Join(dir, "one")), trained(filepath.Join(dir, "other"), "train.params.latent=3")
	bare := filepath.Join(dir, "bare")
	if err := os.Mkdir(bare, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{artifact.RecordFile, artifact.WeightsFile} {
		b, err := os.ReadFile(filepath.Join(other, name))
		if err := errors.Join(err, os.WriteFile(filepath.Join(bare, name), b, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	const head = "version: 1\nname: x\ntask: {use: task/toy, params: {n_trials: 20}}\n"
	const compared = "compare: [{name: c, use: comparator/toy, params: {seen: true}}]\n"
	fits := "fit:\n  - {name: other, load: " + other + "}\n  - {name: bare, load: " + bare + "}\n"
	for _, c := range []struct {
		name, text   string
		train, valid float64
	}{
		{"on the task's trials", head + "train: {load: " + one + "}\n" + fits + compared, 16, 4},
		{"on those of spikes", head + "train: {load: " + one + "}\nsimulate: {use: simulator/toy, task: {params: {n_trials: 30}}}\n" + fits + compared, 24, 6},
		{"beside one that is trained", head + "train: {use: model/toy, seed: 7}\n" + fits + compared, 16, 4},
		{"a folder without a score first", head + "train: {load: " + bare + "}\n" + fits + compared, 16, 4},
		{"without the first", head + "train: {load: " + one + "}\n" + fits + "compare: [{name: c, use: comparator/toy, params: {seen: true}, subjects: [bare, other]}]\n", 16, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			s := study(t, h, c.text)
			if err := errors.Join(Validate(t.Context(), s, h), execute(t, Run{Study: s, Host: h, Out: out})); err != nil {
				t.Fatal(err)
			}
			got := map[string]float64{}
			for _, r := range results(t, out).Metrics {
				if r.Metric != "mean_rate" {
					got[r.Subject+" "+r.Metric] = float64(r.Value)
				}
			}
			labels := []string{"truth", "other", "bare"}
			if c.name == "without the first" {
				labels = labels[1:]
			}
			for _, label := range labels {
				want := map[string]float64{"train": c.train, "valid": c.valid, "inputs": 0, "scored": 4}
				if label == "truth" {
					want["inputs"] = c.valid
				}
				for metric, v := range want {
					if got[label+" "+metric] != v {
						t.Errorf("%s of %s is %v, want %v", metric, label, got[label+" "+metric], v)
					}
				}
			}
			if len(got) != 4*len(labels) {
				t.Errorf("results %v", got)
			}
		})
	}

	// A fit without the data set that it was fitted to, and a score that cannot be read, are told before anything starts.
	run := filepath.Join(dir, "run")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: run}); err != nil {
		t.Fatal(err)
	}
	text := head + "train: {load: " + one + "}\nfit: [{name: a, load: " + filepath.Join(run, "fit", "a") + "}]\n" + compared
	expect(t, problems(t, h, study(t, h, text)), "fit.a.load: ... it was fitted to spikes, and there is no data set that it could be compared on: add simulate: {dataset: FILE.h5}")
	if err := os.WriteFile(filepath.Join(bare, artifact.ScoreFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	expect(t, problems(t, h, study(t, h, head+"train: {load: "+one+"}\n"+fits+compared)), "fit.bare.load: ... score.json")
}
