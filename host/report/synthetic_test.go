package report

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// synthetic is a run made up of three noisy flip-flops, with models of known quality: the inferred latents of a model are a random rotation of the true
// ones plus noise, its rates the true ones plus noise.
type synthetic struct {
	dir    string
	models []string
	noise  []float64
	// hostile replaces names that users give.
	name string
}

const (
	synTrials, synBins, synLatents, synNeurons, synHeldIn = 60, 200, 8, 20, 15
	synTrain                                              = 48
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSynthetic(t *testing.T, models ...string) *synthetic {
	s := &synthetic{dir: t.TempDir(), models: models, name: "flip-flops"}
	for i := range models {
		s.noise = append(s.noise, 0.02+0.4*float64(i))
	}
	return s
}

// flipflop returns inputs, targets and latents (trials, bins, 3 or synLatents).
func flipflop(trials int, r *rand.Rand) (inputs, targets, latents *tensor.Tensor) {
	inputs, targets = tensor.New32("inputs", trials, synBins, 3), tensor.New32("targets", trials, synBins, 3)
	latents = tensor.New32("latents", trials, synBins, synLatents)
	var mix [3][synLatents]float64
	for i := range mix {
		for j := range mix[i] {
			mix[i][j] = r.NormFloat64() / math.Sqrt(float64(i+1))
		}
	}
	for b := range trials {
		var state, smooth [3]float64
		for t := range synBins {
			for ch := range 3 {
				at := (b*synBins+t)*3 + ch
				if r.Float64() < 0.03 {
					state[ch] = float64(1 - 2*r.IntN(2))
					inputs.F32[at] = float32(state[ch])
				}
				smooth[ch] += 0.2 * (state[ch] - smooth[ch])
				targets.F32[at] = float32(state[ch])
			}
			for j := range synLatents {
				z := 0.02 * r.NormFloat64()
				for ch := range 3 {
					z += smooth[ch] * mix[ch][j]
				}
				latents.F32[(b*synBins+t)*synLatents+j] = float32(z)
			}
		}
	}
	return inputs, targets, latents
}

func noisy(t *tensor.Tensor, name string, sd float64, r *rand.Rand) *tensor.Tensor {
	out := t.Clone().Named(name)
	for i := range out.F32 {
		out.F32[i] += float32(sd * r.NormFloat64())
	}
	return out
}

func numbered(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i)
	}
	return out
}

func (s *synthetic) stage(t *testing.T, name, use string) string {
	t.Helper()
	dir := filepath.Join(s.dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(dir, 0o777))
	kind, _, _ := strings.Cut(name, "/")
	rec := artifact.Record{
		Stage: kind, Component: use, ComponentVersion: "1.0.0", Plugin: "builtin", PluginVersion: "0.1.0", Seed: 7, Key: "0123456789abcdef0123", Deterministic: true,
		Params:   param.Values{"hidden": int64(64), "learning_rate": 1e-3, "note": s.name},
		Numerics: map[string]string{"kernel": "avx512"},
	}
	if filepath.Base(filepath.Dir(dir)) == "fit" || name == "train" {
		rec.Train = &artifact.TrainSummary{Steps: 800, Epochs: 100, BestEpoch: 90, BestLoss: 0.012, KeptBest: true, LastLoss: 0.009, Stopped: "epochs"}
		w, err := artifact.CreateMetrics(dir)
		must(t, err)
		for e := range 100 {
			for metric, floor := range map[string]float64{"train/loss": 0.009, "valid/loss": 0.012, "train/gradient_norm": 0.1, "train/learning_rate": 1e-4} {
				must(t, w.Write(component.Metric{Name: metric, Epoch: int64(e), Step: int64(8 * e), Value: floor + 0.5*math.Exp(-float64(e)/12)}))
			}
			if name == "train" && e%10 == 0 {
				for i, metric := range []string{"score/success", "score/success/set", "score/success/clear", "score/bit_accuracy"} {
					must(t, w.Write(component.Metric{Name: metric, Epoch: int64(e), Step: int64(8 * e), Value: 1 - math.Exp(-float64(e)/(8+4*float64(i)))}))
				}
			}
		}
		must(t, w.Close())
	}
	must(t, rec.Write(dir))
	return dir
}

func (s *synthetic) train(t *testing.T) {
	dir := s.stage(t, "train", "model/noisy-gru")
	r := rand.New(rand.NewPCG(1, 1))
	inputs, targets, _ := flipflop(16, r)
	w, err := artifact.CreateArrays(filepath.Join(dir, artifact.RolloutFile), artifact.ArraysOptions{Trials: map[task.Split]int{task.Valid: 16}})
	must(t, err)
	must(t, w.Write(task.Valid, tensor.Block{Trials: numbered(16), Arrays: tensor.Set{inputs, targets, noisy(targets, "outputs", 0.05, r)}}))
	must(t, w.Close())
	score := task.Score{Trials: numbered(4), Success: []float64{1, 1, 0, 1}, Loss: []float64{.01, .01, .2, .01}, Condition: numbered(4)}
	must(t, artifact.WriteScore(dir, score))
	must(t, artifact.WriteFigure(dir, component.Figure{
		Name: "weights", Title: "Weights of " + s.name, Caption: s.name,
		Panels: []component.Panel{{Marks: []component.Mark{{Kind: component.HeatMap, Rows: 2, Cols: 2, Z: []float64{1, 2, 3, 4}, ZLabel: s.name}}}},
	}))
}

// arrays of the data set; the true ones are left out where truth is false.
func (s *synthetic) data(t *testing.T, path string, truth bool) tensor.Set {
	r := rand.New(rand.NewPCG(2, 2))
	inputs, _, latents := flipflop(synTrials, r)
	rates := tensor.New32("activity", synTrials, synBins, synNeurons)
	counts := tensor.New64("recon_data", synTrials, synBins, synNeurons)
	held := tensor.New64("encod_data", synTrials, synBins, synHeldIn)
	for row := range synTrials * synBins {
		for n := range synNeurons {
			rate := math.Exp(0.6*float64(latents.F32[row*synLatents+n%synLatents]) - 1)
			rates.F32[row*synNeurons+n] = float32(rate)
			for limit, p := math.Exp(-rate), r.Float64(); p > limit; p *= r.Float64() {
				counts.F64[row*synNeurons+n]++
			}
		}
		copy(held.F64[row*synHeldIn:(row+1)*synHeldIn], counts.F64[row*synNeurons:])
	}
	all := tensor.Set{held, counts, inputs.Named("inputs")}
	if truth {
		all = append(all, rates, latents)
	}
	w, err := artifact.CreateDataset(path, artifact.DatasetOptions{
		Trials: synTrials, TrainTrials: synTrain, HeldIn: synHeldIn, Neurons: synNeurons, Bins: synBins, BinWidth: 0.01, Counts: true,
	})
	must(t, err)
	must(t, w.Write(tensor.Block{Trials: numbered(synTrials), Arrays: all}))
	must(t, w.Close())
	return tensor.Set{rates, latents}
}

func (s *synthetic) fits(t *testing.T, truth tensor.Set) {
	for i, label := range s.models {
		dir := s.stage(t, "fit/"+label, "model/sae-gru")
		r := rand.New(rand.NewPCG(3, uint64(i)))
		w, err := artifact.CreateArrays(filepath.Join(dir, artifact.InferredFile), artifact.ArraysOptions{
			Trials: map[task.Split]int{task.Train: synTrain, task.Valid: synTrials - synTrain},
		})
		must(t, err)
		rates, latents := noisy(truth[0], "rates", s.noise[i]*0.3, r), noisy(truth[1], "latents", s.noise[i], r)
		for split, span := range map[task.Split][2]int{task.Train: {0, synTrain}, task.Valid: {synTrain, synTrials}} {
			must(t, w.Write(split, tensor.Block{
				Trials: numbered(synTrials)[span[0]:span[1]],
				Arrays: tensor.Set{rates.Slice(span[0], span[1]), latents.Slice(span[0], span[1])},
			}))
		}
		must(t, w.Close())
	}
}

func (s *synthetic) compare(t *testing.T) {
	dir := s.stage(t, "compare/metrics", "comparator/metrics")
	var out artifact.Results
	nan := math.NaN()
	for i, m := range s.models {
		v := 0.97 - 0.31*float64(i)
		for _, r := range []component.Result{
			{Metric: "rate_r2", Subject: m, Reference: "truth", Value: v, Low: v - 0.0123, High: v + 0.01, Null: -0.412, Better: component.Higher, N: 200},
			{Metric: "state_r2", Subject: m, Reference: "truth", Value: v - 0.02, Low: v - 0.04, High: v, Null: 0.003, Better: component.Higher, N: 200},
			{Metric: "co_bps", Subject: m, Reference: "truth", Value: 0.13 * v, Low: 0.1, High: 0.15, Null: 0.0000123, Unit: "bits/spike", Better: component.Higher, N: 200},
			{Metric: "input_r2", Subject: m, Reference: "truth", Value: nan, Low: nan, High: nan, Null: nan, Better: component.Higher, Reason: s.name + " infers no inputs"},
		} {
			out.Metrics = append(out.Metrics, artifact.NewResult("metrics", 0, nil, r))
		}
	}
	out.Metrics = append(out.Metrics, artifact.NewResult("metrics", 0, nil, component.Result{
		Metric: "performance", Subject: "truth", Value: 0.987, Low: 0.97, High: 0.995, Null: nan, Better: component.Higher, N: 200,
	}))
	out.Readings = []artifact.Reading{{Comparator: "metrics", Reading: component.Reading{Metric: "state_r2", Text: "Dimensions that the model invented lower it.", Source: "Versteeg et al. 2025"}}}
	must(t, out.Write(dir))
	must(t, out.Write(s.dir))
}

func (s *synthetic) experiment(t *testing.T, yaml string) {
	must(t, os.WriteFile(filepath.Join(s.dir, artifact.ExperimentFile), []byte(yaml), 0o666))
}

func (s *synthetic) provenance(t *testing.T, stages ...artifact.StageUse) {
	p := artifact.Provenance{
		Name: s.name, Status: "done", Host: "0.1.0", Go: "go1.26.1", Platform: "linux/amd64", CPU: "an ordinary processor", Threads: 2,
		Started: time.Date(2026, 11, 23, 20, 41, 7, 0, time.UTC), Finished: time.Date(2026, 11, 23, 20, 45, 19, 0, time.UTC),
		Command: []string{"ctdb-host", "run", "nbff"}, Environment: map[string]string{"OPENBLAS_CORETYPE": "Haswell"}, Libraries: map[string]string{"hdf5": "1.10.8"},
		Plugins: []artifact.PluginUse{{Name: "builtin", Version: "0.1.0", SHA256: "8d0c6f6de9e1a3b5", Language: "go1.26.1", Build: "linux/amd64", Numerics: map[string]string{"kernel": "avx512"}}},
		Stages:  stages,
	}
	must(t, p.Write(s.dir))
}

// sign gives every stage its checksums, as the store does, and says which data set the fits have read.
func (s *synthetic) sign(t *testing.T, dataset string) {
	t.Helper()
	run, err := artifact.OpenRun(s.dir)
	must(t, err)
	for _, st := range run.Stages() {
		if st.Kind == artifact.FitStage {
			sum, err := artifact.HashFile(dataset)
			must(t, err)
			st.Record.Inputs = map[string]string{"dataset": sum}
			must(t, st.Record.Write(st.Dir))
		}
		_, err := artifact.WriteSums(st.Dir)
		must(t, err)
	}
}

// full makes a complete run.
func (s *synthetic) full(t *testing.T) *artifact.Run {
	t.Helper()
	s.train(t)
	dir := s.stage(t, "simulate", "simulator/spikes")
	s.fits(t, s.data(t, filepath.Join(dir, artifact.DatasetFile), true))
	s.compare(t)
	yaml := "version: 1\nname: " + "flip-flops" + "\nabout: \"Is it <the same>?\\n\\nIt should be.\"\nseed: 3\ntask: {use: task/nbff}\ntrain: {use: model/noisy-gru}\nsimulate: {use: simulator/spikes}\nfit:\n"
	uses := []artifact.StageUse{{Stage: "train", Key: "0123456789abcdef0123", Status: "done", Seconds: 131}, {Stage: "simulate", Key: "1123456789abcdef", Status: "done", Seconds: 4.2}}
	for _, m := range s.models {
		yaml += "  - {name: " + m + ", use: model/sae-gru}\n"
		uses = append(uses, artifact.StageUse{Stage: "fit/" + m, Key: "2123456789abcdef", Status: "done", Seconds: 95, Stored: m == "gru-64"})
	}
	s.experiment(t, yaml+"compare:\n  - {use: comparator/metrics}\n")
	s.provenance(t, append(uses, artifact.StageUse{Stage: "compare/metrics", Key: "3123456789abcdef", Status: "done", Seconds: 2.3})...)
	s.sign(t, filepath.Join(dir, artifact.DatasetFile))
	run, err := artifact.OpenRun(s.dir)
	must(t, err)
	return run
}
