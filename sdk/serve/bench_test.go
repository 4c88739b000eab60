package serve_test

import (
	"context"
	"testing"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// BenchmarkTrials brings 256 MiB of trials from another process, in blocks of 4 MiB.
func BenchmarkTrials(b *testing.B) {
	p := startProcess(b)
	w := openWave(b, p.Plugin, param.Values{"blocks": 64, "trials": 1024, "bins": 1024})
	b.SetBytes(256 << 20)
	for b.Loop() {
		for _, err := range w.Trials(context.Background(), task.TrialRequest{Split: task.Train}) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkScore sends 256 MiB of outputs to another process.
func BenchmarkScore(b *testing.B) {
	p := startProcess(b)
	w := openWave(b, p.Plugin, nil)
	block := tensor.Block{Trials: make([]int64, 1024), Arrays: tensor.Set{tensor.New32("outputs", 1024, 1024, 1)}}
	b.SetBytes(256 << 20)
	for b.Loop() {
		outputs := func(yield func(tensor.Block, error) bool) {
			for range 64 {
				if !yield(block, nil) {
					return
				}
			}
		}
		if _, err := w.Score(context.Background(), task.ScoreRequest{Split: task.Train}, outputs); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEpisodeStep is a step of a closed loop in another process: 256 trials, 10 float64 actions (20 KiB), three times as much back.
func BenchmarkEpisodeStep(b *testing.B) {
	p := startProcess(b)
	gains := make([]float64, 10)
	for i := range gains {
		gains[i] = 1
	}
	loop := openPoint(b, p.Plugin, param.Values{"dims": 10, "gains": gains, "bins": 1_000_000}).(task.ClosedLoop)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, _, err := loop.Begin(ctx, task.EpisodeRequest{Split: task.All, Trials: make([]int64, 256)})
	if err != nil {
		b.Fatal(err)
	}
	a := tensor.New64("actions", 256, 10)
	t := 0
	for b.Loop() {
		if _, err := e.Step(ctx, t, a); err != nil {
			b.Fatal(err)
		}
		t++
	}
	if err := e.End(ctx); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDynamicsStep is a batched step of dynamics in another process: 1024 states of 3.
func BenchmarkDynamicsStep(b *testing.B) {
	p := startProcess(b)
	m := openLinear(b, p.Plugin, nil)
	ctx := context.Background()
	d, err := m.Dynamics(ctx)
	if err != nil {
		b.Fatal(err)
	}
	x := tensor.New64("x", 1024, 3)
	for b.Loop() {
		if _, err := d.Step(ctx, x, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart starts a process and opens a component in it.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p := startProcess(b)
		if _, err := p.OpenModel(context.Background(), name(component.Model, "linear"), nil, testEnv, model.Target{Data: &model.DataSpec{Neurons: 4}}); err != nil {
			b.Fatal(err)
		}
		p.Kill()
	}
}
