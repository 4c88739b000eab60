package recurrent_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ctdb-host/ctdb/plugins/models/gru"
	"github.com/ctdb-host/ctdb/plugins/models/recurrent"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// sled is a task of the sizes of an arm that takes no time: 18 inputs, 6 actions, p' = p + a/10.
type sled struct{ p puckParams }

const sledAxes = 6

func sledFactory() task.Factory {
	return task.New(component.Info{Name: component.Name{Kind: component.Task, Short: "sled"}, Version: "1.0.0", Doc: "for benchmarks",
		Capabilities: []component.Capability{component.ClosedLoop, component.Deterministic}}, nil,
		func(_ context.Context, p puckParams, _ component.Env) (task.Task, error) { return sled{p}, nil })
}

func (k sled) Spec(context.Context) (task.Spec, error) {
	return task.Spec{Inputs: 3 * sledAxes, Outputs: sledAxes, Bins: k.p.Bins, TrainTrials: k.p.Train,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}, {Kind: task.ActionSquare, Scale: 1e-3, Reduction: task.MeanAll}}},
		Loop: &task.Loop{Actions: sledAxes, StateSize: 2}}, nil
}

func (k sled) Trials(context.Context, task.TrialRequest) tensor.Blocks {
	b := tensor.Block{Arrays: tensor.Set{tensor.New32(task.Targets, k.p.Train, k.p.Bins, 2)}}
	for i := range k.p.Train {
		b.Trials = append(b.Trials, int64(i))
	}
	return tensor.Of(b)
}

func (k sled) Score(context.Context, task.ScoreRequest, tensor.Blocks) (task.Score, error) {
	return task.Score{}, nil
}

type sledding struct {
	rows  int
	p, dp []float32
	out   task.Observation
	cot   *tensor.Tensor
}

func (k sled) Begin(_ context.Context, req task.EpisodeRequest) (task.Episode, task.Observation, error) {
	n := len(req.Trials)
	e := &sledding{rows: n, p: make([]float32, n*sledAxes), dp: make([]float32, n*sledAxes), cot: tensor.New32("actions", n, sledAxes)}
	e.out = task.Observation{Inputs: tensor.New32(task.Inputs, n, 3*sledAxes), State: tensor.New32("place", n, 2)}
	return e, e.out, nil
}

func (e *sledding) Step(_ context.Context, _ int, actions *tensor.Tensor) (task.Observation, error) {
	for r := range e.rows {
		a, p, x := actions.F32[r*sledAxes:][:sledAxes], e.p[r*sledAxes:][:sledAxes], e.out.Inputs.F32[r*3*sledAxes:][:3*sledAxes]
		for c, v := range a {
			p[c] += v / 10
			x[c], x[sledAxes+c] = p[c], v
		}
		e.out.State.F32[2*r], e.out.State.F32[2*r+1] = p[0], p[1]
	}
	return e.out, nil
}

func (e *sledding) VJP(_ context.Context, _ int, inputs, state *tensor.Tensor) (*tensor.Tensor, error) {
	for r := range e.rows {
		dp, da := e.dp[r*sledAxes:][:sledAxes], e.cot.F32[r*sledAxes:][:sledAxes]
		if state != nil {
			dp[0] += state.F32[2*r]
			dp[1] += state.F32[2*r+1]
		}
		for c := range dp {
			da[c] = 0
			if inputs != nil {
				dp[c] += inputs.F32[r*3*sledAxes+c]
				da[c] = inputs.F32[r*3*sledAxes+sledAxes+c]
			}
			da[c] += dp[c] / 10
		}
	}
	return e.cot, nil
}

func (e *sledding) DropTape(context.Context, int) error { return nil }
func (e *sledding) End(context.Context) error           { return nil }

// BenchmarkLoop is an optimiser's step in closed loop, of 128 units and 300 bins on two threads, on a task in this process and in another.
func BenchmarkLoop(b *testing.B) {
	for _, trials := range []int{256, 1000} {
		for _, processes := range []int{1, 2} {
			b.Run(fmt.Sprintf("trials=%d/processes=%d", trials, processes), func(b *testing.B) {
				p := puckParams{Axes: sledAxes, Bins: 300, Train: trials, Fault: "none"}
				var k task.Task = sled{p}
				if processes == 2 {
					k = elsewhereAs(b, "sled", p, 1)
				}
				steps := 0
				took := time.Duration(0)
				for b.Loop() {
					g := gru.Params{Hidden: 128, Training: recurrent.Training{Epochs: 3, BatchSize: trials, LR: 1e-3, Clip: 1, Options: train.Options{Keep: "last"}}}
					m := inLoop(b, k, g, component.Env{Threads: 2})
					var last time.Time
					c := curves{at: func(m component.Metric) {
						if m.Name != "train/loss" {
							return
						}
						if !last.IsZero() { // the first step plans
							took += time.Since(last)
							steps++
						}
						last = time.Now()
					}}
					if _, err := m.Train(b.Context(), model.TrainRequest{Task: k}, &c); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(took.Milliseconds())/float64(steps), "ms/step")
			})
		}
	}
}
