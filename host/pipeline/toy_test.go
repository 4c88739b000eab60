package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctdb-host/ctdb/host/artifact"
	"github.com/ctdb-host/ctdb/host/catalog"
	"github.com/ctdb-host/ctdb/host/experiment"
	"github.com/ctdb-host/ctdb/host/store"
	"github.com/ctdb-host/ctdb/registry"
	"github.com/ctdb-host/ctdb/sdk/comparator"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/simulator"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// The test binary is a plugin with one small component of each kind, and the process that checks files, where its first argument says so.
const (
	hiddenPlugin = "plugin-under-test"
	hiddenCheck  = "check-under-test"
	// fateEnv names a file that holds what is to befall the toy model in training: "kill", "hang", "panic", "quiet". It is removed when it is read, except where it
	// ends in "!".
	fateEnv = "CTDB_TOY_FATE"
	// crashEnv makes the process that checks files end: "kill", "exit", "sleep", "grow".
	crashEnv = "CTDB_TOY_CRASH"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case hiddenPlugin:
			serve.Main(toyPlugin())
			return
		case hiddenCheck:
			serveCheck()
			return
		}
	}
	goleak.VerifyTestMain(m)
}

func toyPlugin() serve.Plugin {
	info := func(kind component.Kind, can ...component.Capability) component.Info {
		return component.Info{Name: component.Name{Kind: kind, Short: "toy"}, Version: "1.0.0", Doc: "for tests", Capabilities: append(can, component.Deterministic)}
	}
	tasks := task.New(info(component.Task), nil, func(_ context.Context, p toyTaskParams, e component.Env) (task.Task, error) {
		return toyTask{p, e.Seed}, nil
	})
	models := model.New(info(component.Model, component.TrainsOnTask, component.TrainsOnData, component.HasDynamics), nil,
		func(_ context.Context, p toyModelParams, e component.Env, t model.Target) (model.Model, error) {
			m := &toyModel{toyModelParams: p, env: e, target: t, w: make([]float64, p.Latent)}
			r := random.New(e.Seed, "weights")
			for i := range m.w {
				m.w[i] = r.NormFloat64()
			}
			return m, nil
		})
	models = model.Sized(models, func(p toyModelParams, _ model.Target, threads int) component.Memory {
		return component.Memory{Bytes: int64(p.Bulk) << 20, Params: []string{"bulk"}}
	})
	return serve.Plugin{
		Name: "toys", Version: "0.1.0", Doc: "for tests",
		Tasks: []task.Factory{tasks}, Models: []model.Factory{models},
		Simulators: []simulator.Factory{simulator.New(info(component.Simulator), nil,
			func(_ context.Context, p toySpikesParams, _ component.Env, s simulator.Source) (simulator.Simulator, error) {
				return toySpikes{p, s}, nil
			})},
		Comparators: []comparator.Factory{
			comparator.New(info(component.Comparator), nil, func(_ context.Context, p toyCompareParams, _ component.Env) (comparator.Comparator, error) {
				return toyCompare{p}, nil
			}),
		},
	}
}

type toyTaskParams struct {
	Count int `param:"n_trials" default:"10" min:"5" doc:"trials"`
	Bins  int `param:"bins" default:"4" min:"2" doc:"bins"`
	Wide  int `param:"channels" default:"1" min:"1" doc:"inputs"`
	// Horizon is the loss's, in epochs.
	Horizon int `param:"horizon" default:"0" min:"0" doc:"horizon"`
}

type toyTask struct {
	toyTaskParams
	seed uint64
}

func (t toyTask) Spec(context.Context) (task.Spec, error) {
	train := t.Count * 4 / 5
	return task.Spec{
		Inputs: t.Wide, Outputs: 1, Bins: t.Bins, BinWidth: 0.01, TrainTrials: train, ValidTrials: t.Count - train,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll, HorizonEpochs: t.Horizon}}},
	}, nil
}

func (t toyTask) Trials(_ context.Context, req task.TrialRequest) tensor.Blocks {
	from, to := 0, t.Count
	switch req.Split {
	case task.Train:
		to = t.Count * 4 / 5
	case task.Valid:
		from = t.Count * 4 / 5
	}
	n := to - from
	in, out, conds := tensor.New32(task.Inputs, n, t.Bins, t.Wide), tensor.New32(task.Targets, n, t.Bins, 1), tensor.NewInt(task.Conditions, n)
	b := tensor.Block{Arrays: tensor.Set{in, out, conds}}
	for i := range n {
		b.Trials = append(b.Trials, int64(from+i))
		r := random.New(t.seed, "trial", uint64(from+i))
		for k := range t.Bins * t.Wide {
			in.F32[i*t.Bins*t.Wide+k] = float32(r.NormFloat64())
		}
	}
	return tensor.Of(b)
}

func (t toyTask) Score(_ context.Context, _ task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	s := task.Score{ConditionNames: []string{"one"}}
	for b, err := range outputs {
		if err != nil {
			return s, err
		}
		for _, k := range b.Trials {
			s.Trials, s.Success, s.Loss, s.Condition = append(s.Trials, k), append(s.Success, 1), append(s.Loss, 0.5), append(s.Condition, 0)
		}
	}
	return s, nil
}

type toyModelParams struct {
	Latent int `param:"latent" default:"2" min:"1" doc:"latents"`
	Steps  int `param:"steps" default:"6" min:"1" doc:"steps of training"`
	Bulk   int `param:"bulk" default:"1" min:"1" unit:"MiB" doc:"memory that it says it needs"`
}

type toyModel struct {
	toyModelParams
	env    component.Env
	target model.Target
	w      []float64
}

func (m *toyModel) checkpoint() string { return filepath.Join(m.env.Dir, "checkpoint.json") }

// Train takes an hour for each step, if one believes it.
func (m *toyModel) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	begun := 0
	var saved struct {
		Step  int
		W     []float64
		Curve []float64
	}
	if b, err := os.ReadFile(m.checkpoint()); err == nil {
		if err := json.Unmarshal(b, &saved); err != nil {
			return model.TrainResult{}, err
		}
		begun, m.w = saved.Step, saved.W
	}
	for step, v := range saved.Curve {
		report.Metric(component.Metric{Name: "train/loss", Epoch: int64(step), Step: int64(step), Value: v})
	}
	for step := begun; step < m.Steps; step++ {
		if req.MaxTime > 0 && time.Duration(step-begun)*time.Hour >= req.MaxTime {
			return model.TrainResult{Steps: int64(step), Epochs: int64(step), BestLoss: math.NaN(), LastLoss: m.w[0], Stopped: "time"}, nil
		}
		for i := range m.w {
			m.w[i] = math.Sin(m.w[i] + float64(step))
		}
		saved.Step, saved.W, saved.Curve = step+1, m.w, append(saved.Curve, m.w[0])
		report.Metric(component.Metric{Name: "train/loss", Epoch: int64(step), Step: int64(step), Value: m.w[0]})
		b, err := json.Marshal(saved)
		if err == nil {
			err = os.WriteFile(m.checkpoint()+".new", b, 0o666)
		}
		if err == nil {
			err = os.Rename(m.checkpoint()+".new", m.checkpoint())
		}
		if err != nil {
			return model.TrainResult{}, err
		}
		report.Progress(component.Progress{Phase: "step", Done: int64(step + 1), Total: int64(m.Steps), Loss: 1})
		if step >= m.Steps/2 {
			if err := befall(ctx); err != nil {
				return model.TrainResult{}, err
			}
		}
	}
	return model.TrainResult{Steps: int64(m.Steps), Epochs: int64(m.Steps), BestLoss: math.NaN(), LastLoss: m.w[0], Stopped: "epochs"}, nil
}

// befall is what the file that fateEnv names says.
func befall(ctx context.Context) error {
	file := os.Getenv(fateEnv)
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	fate := string(b)
	if n := len(fate); fate[n-1] == '!' {
		fate = fate[:n-1]
	} else if err := os.Remove(file); err != nil {
		return err
	}
	switch fate {
	case "kill":
		return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), context.Canceled)
	case "stop":
		return syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "quiet":
		<-ctx.Done()
		return ctx.Err()
	case "diverge":
		return &component.DivergedError{Quantity: "loss", Value: math.NaN()}
	}
	return fmt.Errorf("fate %q", fate)
}

func (m *toyModel) Rollout(_ context.Context, _ model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err != nil {
				yield(b, err)
				return
			}
			n, bins := len(b.Trials), b.Arrays[0].Shape[1]
			z := tensor.New32(model.Latents, n, bins, m.Latent)
			for i := range z.F32 {
				z.F32[i] = float32(m.w[i%m.Latent]) * float32(1+i%7)
			}
			out := tensor.Set{z}
			if m.target.Task != nil {
				out = append(out, tensor.New32(model.Outputs, n, bins, 1))
			} else {
				rates := tensor.New32(model.Rates, n, bins, m.target.Data.Neurons)
				for i := range rates.F32 {
					rates.F32[i] = 0.5 + float32(math.Abs(m.w[0]))
				}
				out = append(out, rates)
			}
			if !yield(tensor.Block{Trials: b.Trials, Arrays: out}, nil) {
				return
			}
		}
	}
}

func (m *toyModel) Dynamics(context.Context) (model.Dynamics, error) { return toyDynamics{m: m}, nil }

// toyDynamics only knows its layout.
type toyDynamics struct {
	model.Dynamics
	m *toyModel
}

func (d toyDynamics) Layout(context.Context) (model.Layout, error) {
	return model.Layout{Size: d.m.Latent, Inputs: 1, Segments: []model.Segment{{Name: "latents", Size: d.m.Latent}}, Observable: map[string]int{model.Latents: d.m.Latent}}, nil
}

// inputs are the channels that it has weights for, where there are several.
func (m *toyModel) inputs() int {
	if m.target.Task == nil {
		return 0
	}
	return m.target.Task.Inputs
}

func (m *toyModel) Save(context.Context) (tensor.Set, error) {
	set := tensor.Set{tensor.From64("w", m.w, len(m.w))}
	if n := m.inputs(); n > 1 {
		set = append(set, tensor.New64("u", n))
	}
	return set, nil
}

func (m *toyModel) Load(_ context.Context, weights tensor.Set) error {
	w := weights.Get("w")
	if w == nil {
		return component.Invalid("weights.w", "is missing")
	}
	if err := w.Expect(m.Latent); err != nil {
		return component.Invalid("weights.w", "has shape %v, %v is needed", w.Shape, []int{m.Latent})
	}
	if n := m.inputs(); n > 1 && weights.Get("u") == nil {
		return component.Invalid("weights.u", "is missing, for %d inputs", n)
	}
	copy(m.w, w.Float64s())
	return nil
}

type toySpikesParams struct {
	Neurons int `param:"neurons" default:"3" min:"2" doc:"neurons, of which all but one are held in"`
}

type toySpikes struct {
	toySpikesParams
	source simulator.Source
}

func (s toySpikes) Spec(context.Context) (simulator.Spec, error) {
	return simulator.Spec{Neurons: s.Neurons, HeldIn: s.Neurons - 1, To: s.source.Bins, FileName: "toy.h5", Counts: true}, nil
}

func (s toySpikes) Fit(_ context.Context, trials tensor.Blocks) (tensor.Set, error) {
	_, err := tensor.Collect(trials)
	return nil, err
}

func (s toySpikes) Simulate(_ context.Context, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				n, bins := len(b.Trials), s.source.Bins
				all, in := tensor.New64(simulator.Reconstructed, n, bins, s.Neurons), tensor.New64(simulator.Encoded, n, bins, s.Neurons-1)
				for i := range n * bins {
					for k := range s.Neurons {
						v := float64((i + k) % 3)
						all.F64[i*s.Neurons+k] = v
						if k < s.Neurons-1 {
							in.F64[i*(s.Neurons-1)+k] = v
						}
					}
				}
				b.Arrays = append(tensor.Set{all, in}, b.Arrays...)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

type toyCompareParams struct {
	Fails bool `param:"fails" default:"false" doc:"diverges"`
	Seen  bool `param:"seen" default:"false" doc:"counts what it is given"`
}

type toyCompare struct{ toyCompareParams }

func (c toyCompare) Compare(_ context.Context, req comparator.Request, _ component.Reporter) (comparator.Outcome, error) {
	if c.Fails {
		return comparator.Outcome{}, &component.DivergedError{Quantity: "distance", Value: math.NaN()}
	}
	var out comparator.Outcome
	for _, s := range req.Subjects {
		r := component.Result{Metric: "mean_rate", Subject: s.Label, Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Null: math.NaN(), Reason: "it has no rates"}
		if a := s.Valid.Get(comparator.Rates); a != nil {
			r.Value, r.Reason, r.N = float64(a.Float64s()[0]), "", int64(a.Shape[0])
		}
		out.Results = append(out.Results, r)
		if !c.Seen {
			continue
		}
		for name, a := range map[string]*tensor.Tensor{
			"train": s.Train.Get(comparator.Latents), "valid": s.Valid.Get(comparator.Latents), "inputs": s.Valid.Get(comparator.Inputs), "scored": s.Scored.Get(comparator.Success),
		} {
			r := component.Result{Metric: name, Subject: s.Label, Low: math.NaN(), High: math.NaN(), Null: math.NaN()}
			if a != nil {
				r.Value = float64(a.Shape[0])
			}
			out.Results = append(out.Results, r)
		}
	}
	slices.SortStableFunc(out.Results, func(a, b component.Result) int { return strings.Compare(a.Metric, b.Metric) })
	return out, nil
}

// toyHost is a host with a store of its own and the toys.
func toyHost(t testing.TB, threads, jobs int) Host {
	t.Helper()
	st, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return Host{Catalog: toyCatalog(t), Store: st, Budget: NewBudget(threads, jobs)}
}

func toyCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	search := registry.NewSearch(nil, "", &registry.Candidate{Path: self, Args: []string{hiddenPlugin}, Source: registry.Builtin})
	c, err := catalog.Discover(t.Context(), search, catalog.Options{CacheDir: t.TempDir(), Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const toyStudy = `version: 1
name: toys
task: {use: task/toy}
train: {use: model/toy}
simulate: {use: simulator/toy}
fit:
  - {name: a, use: model/toy}
compare:
  - {name: c, use: comparator/toy}
`

// study reads a study of the toys.
func study(t testing.TB, h Host, text string, sets ...string) *experiment.Study {
	t.Helper()
	s, err := experiment.Read(filepath.Join(t.TempDir(), "toys.yaml"), []byte(text), sets, h.Catalog.Lookup())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveCheck is the process that checks files, or one that crashes over them.
func serveCheck() {
	switch os.Getenv(crashEnv) {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
		select {}
	case "exit":
		fmt.Fprintln(os.Stderr, "SIGSEGV: segmentation violation\nmore")
		os.Exit(2)
	case "silent":
		return
	case "sleep":
		select {}
	case "grow":
		for held := [][]byte{}; ; {
			b := make([]byte, 16<<20)
			for i := range b {
				b[i] = 1
			}
			held = append(held, b)
			if len(held) > 64 {
				select {} // a gigabyte is more than a test allows
			}
		}
	}
	if err := ServeFileCheck(os.Args[2:], os.Stdin, os.Stdout); err != nil {
		os.Exit(1)
	}
}

// results reads a folder's results.json.
func results(t testing.TB, dir string) artifact.Results {
	t.Helper()
	r, err := artifact.ReadResults(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
