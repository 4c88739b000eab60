package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// problems are what Validate finds, each without the file's name.
func problems(t testing.TB, h Host, s *experiment.Study) []string {
	t.Helper()
	err := Validate(t.Context(), s, h)
	if err == nil {
		return nil
	}
	var wrong *experiment.Error
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	var out []string
	for _, p := range wrong.Problems {
		if p.Line == 0 && p.Set == "" {
			t.Errorf("%s: no place in the file", p)
		}
		out = append(out, fmt.Sprintf("%d:%d: %s", p.Line, p.Column, strings.TrimPrefix(p.String(), fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column))))
	}
	return out
}

// expect compares problems with texts that they must contain, in order.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i, w := range want {
		for _, part := range strings.Split(w, " ... ") {
			if !strings.Contains(got[i], part) {
				t.Errorf("problem %q lacks %q", got[i], part)
			}
		}
	}
}

// A stage that needs more memory than there is, is refused at the component that needs most, all such stages of all points at once; the sizes of simulated data are known
// before anything is simulated, so fits are asked too.
func TestMemoryIsAskedBefore(t *testing.T) {
	h := toyHost(t, 1, 1)
	h.Memory = 100 << 20
	expect(t, problems(t, h, study(t, h, toyStudy)))
	expect(t, problems(t, h, study(t, h, strings.Replace(toyStudy, "train: {use: model/toy}", "train: {use: model/toy, params: {bulk: 200}}", 1))),
		"4:40: train.params.bulk: train would need about 200 MiB of memory: --memory allows 100 MiB (it depends on bulk)")
	text := toyStudy + "matrix: {fit.a.params.bulk: [99, 101, 3000]}\n"
	expect(t, problems(t, h, study(t, h, text)), "fit.a.params.bulk: fit/a would need about 101 MiB ... at bulk=101", "fit/a would need about 2.9 GiB ... at bulk=3000")
	h.Memory = 0
	expect(t, problems(t, h, study(t, h, toyStudy, "fit.a.params.bulk=1000000000")), "fit.a.params.bulk=1000000000: fit.a.params.bulk: fit/a would need about 954 TiB")
}

// What a network or a fit is loaded from is looked at before anything starts: all that is wrong at once, each with its place.
func TestLoadedIsLookedAt(t *testing.T) {
	h := toyHost(t, 1, 1)
	run := filepath.Join(t.TempDir(), "run")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: run}); err != nil {
		t.Fatal(err)
	}
	train, fit, dataset := filepath.Join(run, "train"), filepath.Join(run, "fit", "a"), filepath.Join(run, "simulate", artifact.DatasetFile)
	damaged := func(from string, change func(dir string)) string {
		dir := filepath.Join(t.TempDir(), "folder")
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		change(dir)
		return dir
	}
	weights := func(dir string) string { return filepath.Join(dir, artifact.WeightsFile) }
	replace := func(path string, b []byte) {
		if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	withWeights := func(from string, set tensor.Set) string {
		return damaged(from, func(dir string) {
			if err := errors.Join(os.Remove(weights(dir)), artifact.WriteWeights(weights(dir), set, nil)); err != nil {
				t.Fatal(err)
			}
		})
	}
	nanWeights := tensor.New64("w", 2)
	nanWeights.F64[1] = nan
	truncated := func(dir string) {
		b, err := os.ReadFile(weights(dir))
		if err != nil {
			t.Fatal(err)
		}
		replace(weights(dir), b[:len(b)-3])
	}
	otherRun := filepath.Join(t.TempDir(), "other")
	if err := execute(t, Run{Study: study(t, h, toyStudy, "simulate.params.neurons=5"), Host: h, Out: otherRun}); err != nil {
		t.Fatal(err)
	}

	loadTrain := func(folder, rest string) string {
		return "version: 1\nname: x\ntask: {use: task/toy" + rest + "}\ntrain: {load: " + folder + "}\nsimulate: {use: simulator/toy}\ncompare: [{use: comparator/toy}]\n"
	}
	loadFit := func(dataset string, folders ...string) string {
		text := "version: 1\nname: x\nsimulate: {dataset: " + dataset + "}\nfit:\n"
		for i, f := range folders {
			text += fmt.Sprintf("  - {name: f%d, load: %s}\n", i, f)
		}
		return text + "compare: [{use: comparator/toy}]\n"
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"sound network", loadTrain(train, ""), nil},
		{"another seed of the trials is the same task", loadTrain(train, ", seed: 5"), nil},
		{"other parameters", loadTrain(train, ", params: {bins: 9, n_trials: 20}"), []string{
			"4:15: train.load: ... the network was trained with bins 4 of task/toy, the experiment's task has 9", "trained with n_trials 10 of task/toy, the experiment's task has 20",
		}},
		{"NaN", loadTrain(withWeights(train, tensor.Set{nanWeights}), ""), []string{"4:15: ... weights.safetensors: ... NaN"}},
		{"missing weights", loadTrain(damaged(train, func(dir string) { _ = os.Remove(weights(dir)) }), ""), []string{"weights.safetensors: no such file"}},
		{"truncated weights", loadTrain(damaged(train, truncated), ""), []string{"weights.safetensors"}},
		{"another architecture", loadTrain(withWeights(train, tensor.Set{tensor.New64("w", 7)}), ""), []string{"weights.w: has shape [7], [2] is needed"}},
		{"other names", loadTrain(withWeights(train, tensor.Set{tensor.New64("v", 2)}), ""), []string{"weights.w: is missing"}},
		{"a fit's folder", loadTrain(fit, ""), []string{"it holds what the stage fit made: the folder of a network that was trained on a task is needed, as RUN/train is"}},
		{"a run's folder", loadTrain(run, ""), []string{"record.json: no such file ... (that is a run's folder: name the stage's within it)"}},
		{"record cut short", loadTrain(damaged(train, func(dir string) { replace(filepath.Join(dir, artifact.RecordFile), []byte(`{"stage": "tr`)) }), ""),
			[]string{"the folder of a network that was trained on a task is needed"}},
		{"a component that is gone", loadTrain(damaged(train, func(dir string) {
			rec, err := artifact.ReadRecord(dir)
			if err != nil {
				t.Fatal(err)
			}
			rec.Component = "model/toi"
			if err := errors.Join(os.Remove(filepath.Join(dir, artifact.RecordFile)), rec.Write(dir)); err != nil {
				t.Fatal(err)
			}
		}), ""), []string{"model/toi ... (did you mean \"model/toy\"?)"}},
		{"sound fits", loadFit(dataset, fit, fit), nil},
		{"a fit of another data set", loadFit(dataset, filepath.Join(otherRun, "fit", "a")), []string{
			"5:22: fit.f0.load: ... it was fitted to another data set", "are [8 4 5] (trials, bins, neurons), those of the data set would be [8 4 3]", "are [2 4 5]",
		}},
		{"all at once", loadFit(filepath.Join(fit, artifact.InferredFile), train, damaged(fit, truncated), damaged(fit, func(dir string) { replace(filepath.Join(dir, artifact.InferredFile), []byte("x")) })), []string{
			"3:21: simulate.dataset: ... train_encod_data: missing", "valid_encod_data: missing", "train_recon_data: missing", "valid_recon_data: missing",
			"5:22: fit.f0.load: ... are not known: simulate", "6:22: fit.f1.load: ... weights.safetensors", "7:22: fit.f2.load: ... inferred.h5",
		}},
	} {
		t.Run(c.name, func(t *testing.T) { expect(t, problems(t, h, study(t, h, c.text)), c.want...) })
	}

	// A loaded network and a loaded fit run as if they had been made here.
	for _, text := range []string{loadTrain(train, ""), loadFit(dataset, fit)} {
		s := study(t, h, text)
		if err := errors.Join(Validate(t.Context(), s, h), execute(t, Run{Study: s, Host: h, Out: filepath.Join(t.TempDir(), "out")})); err != nil {
			t.Error(err)
		}
	}
}

// A network that cannot run over the trials that it is to be simulated from is refused before anything starts, whether it is loaded or has yet to be trained: at the parameter that it
// is for, or at all of them where it is none alone.
func TestNetworkOverSimulatedTrials(t *testing.T) {
	h := toyHost(t, 1, 1)
	run := filepath.Join(t.TempDir(), "run")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: run}); err != nil {
		t.Fatal(err)
	}
	for _, train := range []string{"load: " + filepath.Join(run, "train"), "use: model/toy"} {
		for _, c := range []struct {
			params string
			want   []string
		}{
			{"n_trials: 20", nil},
			{"n_trials: 20, bins: 9", nil},
			{"channels: 3", []string{"5:38: simulate.task.params.channels: the network cannot run over these trials: they have 3 input and 1 output channels, those that it is trained on 1 and 1"}},
			{"n_trials: 20, channels: 3, bins: 9", []string{"5:52: simulate.task.params.channels: the network cannot run"}},
		} {
			text := "version: 1\nname: x\ntask: {use: task/toy}\ntrain: {" + train + "}\nsimulate: {task: {params: {" + c.params + "}}, use: simulator/toy}\n"
			s := study(t, h, text)
			expect(t, problems(t, h, s), c.want...)
			if c.want == nil {
				if err := execute(t, Run{Study: s, Host: h, Out: filepath.Join(t.TempDir(), "out")}); err != nil {
					t.Errorf("%s: what is valid failed: %v", c.params, err)
				}
			}
		}
	}
	// The parameter that the hint of another task names is there.
	s := study(t, h, "version: 1\nname: x\ntask: {use: task/toy, params: {bins: 9}}\ntrain: {load: "+filepath.Join(run, "train")+"}\nsimulate: {use: simulator/toy}\n")
	expect(t, problems(t, h, s), "train.load: ... under simulate.task)")
}

// The host's own check of files is asked once for each file, and what it says is the experiment's problem.
func TestUsersFilesAreChecked(t *testing.T) {
	h := toyHost(t, 1, 1)
	run := filepath.Join(t.TempDir(), "run")
	if err := execute(t, Run{Study: study(t, h, toyStudy), Host: h, Out: run}); err != nil {
		t.Fatal(err)
	}
	dataset := filepath.Join(run, "simulate", artifact.DatasetFile)
	var asked []string
	h.CheckFile = func(_ context.Context, kind FileKind, path string) error {
		asked = append(asked, string(kind))
		return &artifact.FormatError{File: path, Problems: []artifact.FormatProblem{{Found: "the file crashes the HDF5 library: signal: segmentation fault", Allowed: "a sound HDF5 file"}}}
	}
	s := study(t, h, "version: 1\nname: x\nseeds: [0, 1]\nsimulate: {dataset: "+dataset+"}\nfit: [{name: a, use: model/toy}]\n")
	expect(t, problems(t, h, s), "simulate.dataset: ... dataset.h5: the file crashes the HDF5 library: signal: segmentation fault: a sound HDF5 file is needed")
	if !slices.Equal(asked, []string{"dataset"}) {
		t.Errorf("asked for %v", asked)
	}
}

// A network without spikes may be examined alone.
func TestNetworkAlone(t *testing.T) {
	h := toyHost(t, 1, 1)
	s := study(t, h, "version: 1\nname: x\ntask: {use: task/toy}\ntrain: {use: model/toy}\ncompare: [{name: c, use: comparator/toy}]\n")
	out := filepath.Join(t.TempDir(), "out")
	if err := errors.Join(Validate(t.Context(), s, h), execute(t, Run{Study: s, Host: h, Out: out})); err != nil {
		t.Fatal(err)
	}
	if r := results(t, out); len(r.Metrics) != 1 || r.Metrics[0].Subject != "truth" || r.Metrics[0].Reason != "it has no rates" {
		t.Errorf("results %+v", r.Metrics)
	}
}
