package artifact

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		n    Number
		want string
	}{{Number(math.NaN()), "null"}, {Number(math.Inf(1)), "null"}, {Number(math.Inf(-1)), "null"}, {0.1, "0.1"}, {-0, "0"}, {1e300, "1e+300"}, {5e-324, "5e-324"}} {
		b, err := json.Marshal(c.n)
		if err != nil || string(b) != c.want {
			t.Errorf("%v: %s, %v; want %s", c.n, b, err, c.want)
		}
		var back Number
		if err := json.Unmarshal(b, &back); err != nil || (c.want == "null") != math.IsNaN(float64(back)) || (c.want != "null" && back != c.n) {
			t.Errorf("%s: %v, %v", b, back, err)
		}
	}
	var n Number
	if err := json.Unmarshal([]byte(`"NaN"`), &n); err == nil {
		t.Error("a string: no error")
	}
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	r := Record{
		Stage: "fit", Component: "model/sae-gru", ComponentVersion: "1.0.0", Plugin: "builtin", PluginVersion: "0.1.0",
		Params:   param.Values{"latent": int64(64), "lr": 2e-3, "link": "<exp>", "on": true, "limit": math.Inf(1), "window": []float64{1, math.NaN()}},
		Defaults: param.Values{"latent": int64(8), "limit": math.Inf(1)},
		Seed:     math.MaxUint64, Key: "ab", KeyParts: map[string]string{"seed": "1", "component": "2"}, Deterministic: true,
		Train: Summarize(model.TrainResult{Steps: 10, Epochs: 2, BestEpoch: 1, BestLoss: 0.5, KeptBest: true, LastLoss: math.NaN(), Stopped: "epochs"}),
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(filepath.Join(dir, RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\"link\": \"<exp>\"", "\"limit\": null", "\"last_loss\": null", "\n  \"seed\": 18446744073709551615,\n"} {
		if !strings.Contains(string(first), want) {
			t.Errorf("the file lacks %s:\n%s", want, first)
		}
	}
	back, err := ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	if back.Seed != r.Seed || back.Params["latent"] != int64(64) || back.Params["lr"] != 2e-3 || back.Params["on"] != true || back.Params["limit"] != nil || back.Defaults["latent"] != int64(8) || back.Defaults["limit"] != nil || !math.IsNaN(float64(back.Train.LastLoss)) || back.Train.BestEpoch != 1 {
		t.Errorf("read back: %+v", back)
	}
	if err := back.Write(dir); err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(filepath.Join(dir, RecordFile)); err != nil || string(second) != string(first) {
		t.Errorf("written again it is\n%s", second)
	}
}

func TestJSONRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"empty": "", "cut": "{\"stage\": \"train\"", "two": "{\"stage\": \"train\"}{}", "a list": "[]", "no stage": "{}", "wrong type": "{\n\"stage\": \"train\",\n\"seed\": -1}", "text": "hello",
	} {
		if err := os.WriteFile(filepath.Join(dir, RecordFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := ReadRecord(dir)
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadRecord(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := WriteJSON(filepath.Join(dir, "x.json"), math.NaN()); err == nil {
		t.Error("NaN that is not a Number: no error")
	}
	if err := WriteFile(filepath.Join(dir, "absent", "x"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("the folder has %v", left)
	}
}

func TestMetrics(t *testing.T) {
	dir := t.TempDir()
	w, err := CreateMetrics(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			if err := w.Write(component.Metric{Name: "train/loss", Epoch: int64(i), Step: int64(4 * i), Value: float64(i) / 3}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if err := w.Write(component.Metric{Name: "valid/loss", Epoch: 50, Value: math.Inf(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMetrics(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name before it is complete: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(component.Metric{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: %v", err)
	}
	got, err := ReadMetrics(dir)
	if err != nil || len(got) != 51 || !math.IsNaN(got[50].Value) {
		t.Fatalf("%d metrics, %v", len(got), err)
	}
	slices.SortFunc(got, func(a, b component.Metric) int { return int(a.Epoch - b.Epoch) })
	if want := (component.Metric{Name: "train/loss", Epoch: 7, Step: 28, Value: 7.0 / 3}); got[7] != want {
		t.Errorf("%+v, want %+v", got[7], want)
	}
	if err := os.WriteFile(filepath.Join(dir, MetricsFile), []byte("{\"name\":\"a\"}\n{\"na"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMetrics(dir); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line that is cut: %v", err)
	}
}

func TestFigures(t *testing.T) {
	dir := t.TempDir()
	if got, err := ReadFigures(dir); got != nil || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	figures := []component.Figure{
		{Name: "curves", Title: "t", Caption: "c", Columns: 2, Panels: []component.Panel{{
			Title: "p", X: component.Axis{Label: "time", Unit: "s", Log: true, Min: 1, Max: 2, Ticks: []string{"a"}}, Y: component.Axis{Label: "loss"}, Equal: true,
			Marks: []component.Mark{{Kind: component.Line, Label: "l", Group: "g", Dashed: true, Faint: true, X: []float64{1, 2}, Y: []float64{3, math.NaN()}, Low: []float64{0, 0}, High: []float64{4, 4}}},
		}}},
		{Name: "map", Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.HeatMap, Rows: 1, Cols: 2, Z: []float64{1, 2}, ZLabel: "z", ZUnit: "u"}}}}},
	}
	for _, i := range []int{1, 0} {
		if err := WriteFigure(dir, figures[i]); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadFigures(dir)
	if err != nil || len(got) != 2 {
		t.Fatalf("%d figures, %v", len(got), err)
	}
	gap := got[0].Panels[0].Marks[0].Y
	if !math.IsNaN(gap[1]) {
		t.Errorf("a gap in a line became %v", gap[1])
	}
	gap[1], figures[0].Panels[0].Marks[0].Y[1] = 0, 0
	if !reflect.DeepEqual(got, figures) {
		t.Errorf("read back: %+v", got)
	}
	var invalid *component.InvalidArgumentError
	if err := WriteFigure(dir, component.Figure{Name: "../x"}); !errors.As(err, &invalid) {
		t.Errorf("a name that leaves the folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, FiguresDir, "bad.json"), []byte(`{"name":"bad","panels":[{"marks":[{"kind":"line","x":[1],"y":[]}]}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFigures(dir); !errors.As(err, &invalid) {
		t.Errorf("a figure that cannot be drawn: %v", err)
	}
}

func TestResults(t *testing.T) {
	dir := t.TempDir()
	r := Results{Metrics: []Result{
		NewResult("comparator/metrics", 3, map[string]any{"fit.gru-64.params.latent": int64(8)}, component.Result{Metric: "rate_r2", Subject: "gru-64", Reference: "truth", Value: 0.91, Low: math.NaN(), High: math.NaN(), Null: -0.1, Better: component.Higher, N: 200}),
		NewResult("comparator/metrics", 3, nil, component.Result{Metric: "input_r2", Value: math.NaN(), Reason: "no inferred inputs"}),
		NewResult("comparator/metrics", 3, nil, component.Result{Metric: "odd", Value: math.Inf(1)}),
	}}
	if r.Metrics[2].Reason == "" {
		t.Error("a value that is not there for no reason")
	}
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, ResultsFile))
	if err != nil || strings.Contains(string(b), "NaN") || !strings.Contains(string(b), "\"point\": {}") || !strings.Contains(string(b), "\"low\": null") {
		t.Errorf("%v\n%s", err, b)
	}
	got, err := ReadResults(dir)
	if err != nil || len(got.Metrics) != 3 || got.Metrics[0].Value != 0.91 || !math.IsNaN(float64(got.Metrics[1].Value)) || got.Metrics[0].Point["fit.gru-64.params.latent"] != int64(8) {
		t.Errorf("read back %+v, %v", got, err)
	}
	if err := (Results{Metrics: []Result{{Metric: "x", Value: Number(math.NaN())}}}).Write(dir); err == nil {
		t.Error("NaN without a reason: no error")
	}
	if err := (Results{}).Write(dir); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, ResultsFile)); err != nil || string(b) != "{\n  \"metrics\": []\n}\n" {
		t.Errorf("no results: %s, %v", b, err)
	}
}

func TestScore(t *testing.T) {
	dir := t.TempDir()
	want := task.Score{
		Trials: []int64{5, 6}, Success: []float64{1, 0}, Loss: []float64{0.25, math.NaN()}, Condition: []int64{0, 1}, ConditionNames: []string{"a", "b"},
		Metrics: [][]float64{{0.1, 0.2}}, MetricNames: []string{"error"}, MetricUnits: []string{"m"},
	}
	if err := WriteScore(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadScore(dir)
	if err != nil || !math.IsNaN(got.Loss[1]) {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Loss[1], want.Loss[1] = 0, 0
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), WeightsFile)
	want := tensor.Set{tensor.From32("w", []float32{1, 2}, 2)}
	if err := WriteWeights(path, want, map[string]string{"model": "gru"}); err != nil {
		t.Fatal(err)
	}
	got, metadata, err := ReadWeights(path)
	if err != nil || metadata["model"] != "gru" || !slices.Equal(got.Get("w").F32, want[0].F32) {
		t.Errorf("%v, %v, %v", got, metadata, err)
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadWeights(path); !errors.Is(err, tensor.ErrSafetensors) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is cut: %v", err)
	}
}

func TestRun(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "nbff-1")
	stages := []string{"train", "simulate", "fit/gru-8", "fit/gru-64", "compare/metrics"}
	for _, s := range stages {
		if err := os.MkdirAll(filepath.Join(dir, s), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (Record{Stage: s, Seed: 1}).Write(filepath.Join(dir, s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "fit", "not-complete"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "simulate", DatasetFile), small, 10)
	if err := WriteFile(filepath.Join(dir, ExperimentFile), []byte("version: 1\n")); err != nil {
		t.Fatal(err)
	}
	started := time.Date(2026, 11, 23, 20, 41, 7, 0, time.UTC)
	if err := (Provenance{Name: "nbff", Status: "done", Started: started}).Write(dir); err != nil {
		t.Fatal(err)
	}
	// A run's folder may be moved.
	moved := filepath.Join(root, "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(moved)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range r.Stages() {
		names = append(names, s.Name)
	}
	if want := []string{"train", "simulate", "fit/gru-64", "fit/gru-8", "compare/metrics"}; !slices.Equal(names, want) {
		t.Errorf("stages %v, want %v", names, want)
	}
	s, ok := r.Stage("fit/gru-8")
	if !ok || s.Kind != FitStage || s.Label != "gru-8" || s.Record.Seed != 1 || s.Has(InferredFile) {
		t.Errorf("stage %+v", s)
	}
	if _, err := s.Arrays(InferredFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	simulate, _ := r.Stage("simulate")
	d, err := simulate.Dataset()
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, ok := r.Stage("fit/not-complete"); ok {
		t.Error("a stage without a record")
	}
	if _, err := r.Results(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no results: %v", err)
	}

	newer := filepath.Join(root, "newer")
	if err := os.MkdirAll(newer, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := (Provenance{Name: "b", Started: started.Add(time.Hour)}).Write(newer); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(root, "broken")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(broken, ProvenanceFile), []byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "something else"), 0o755); err != nil {
		t.Fatal(err)
	}
	runs, err := ListRuns(root)
	if err != nil || len(runs) != 3 {
		t.Fatalf("%+v, %v", runs, err)
	}
	if runs[0].Dir != newer || runs[1].Dir != moved || runs[1].Name != "nbff" || len(runs[1].Stages) != 5 || runs[1].Err != nil || runs[2].Err == nil {
		t.Errorf("runs %+v", runs)
	}
	if runs, err := ListRuns(filepath.Join(root, "absent")); runs != nil || err != nil {
		t.Errorf("a folder that is not there: %v, %v", runs, err)
	}
	if _, err := OpenRun(filepath.Join(root, "something else")); err == nil {
		t.Error("a folder that is not a run's: no error")
	}
	if _, err := OpenRun(filepath.Join(root, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestSums(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": "2", "a": "1", "sub/c": "3"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := HashFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := WriteSums(dir)
	if err != nil {
		t.Fatal(err)
	}
	after, err := HashFolder(dir)
	if err != nil || before != digest || after != digest {
		t.Errorf("digests %s, %s, %s (%v)", before, digest, after, err)
	}
	if file, err := HashFile(filepath.Join(dir, SumsFile)); err != nil || file != digest {
		t.Errorf("the digest is not that of the list: %s, %v", file, err)
	}
	// The SHA-256 of "1", as sha256sum prints it.
	const one = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
	if b, err := os.ReadFile(filepath.Join(dir, SumsFile)); err != nil || !strings.HasPrefix(string(b), one+"  a\n") {
		t.Errorf("the list is\n%s(%v)", b, err)
	}
	if got, err := CheckSums(t.Context(), dir); err != nil || got != digest {
		t.Errorf("checked: %s, %v", got, err)
	}
	for name, text := range map[string]string{"a": "x", "new": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, "sub", "c")); err != nil {
		t.Fatal(err)
	}
	var differs *SumsError
	if _, err := CheckSums(t.Context(), dir); !errors.As(err, &differs) || !slices.Equal(differs.Changed, []string{"a"}) || !slices.Equal(differs.Missing, []string{"sub/c"}) || !slices.Equal(differs.Extra, []string{"new"}) {
		t.Errorf("changed: %v", err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := HashFolder(dir); err == nil {
		t.Error("a symbolic link: no error")
	}
	for _, text := range []string{"abc  a\n", one + " a\n", one + "  ../a\n", one + "  /etc/passwd\n"} {
		if err := os.WriteFile(filepath.Join(dir, SumsFile), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadSums(dir); !errors.Is(err, ErrSums) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
