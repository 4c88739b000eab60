package main

import (
	"context"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// steady is a model whose rates are the neurons' mean counts, whatever it sees.
type steady struct {
	data  model.DataSpec
	rates *tensor.Tensor
}

func constant() model.Factory {
	info := component.Info{
		Name: component.Name{Kind: component.Model, Short: "constant"}, Version: "1.0.0", Doc: "each neuron at its mean rate",
		Capabilities: []component.Capability{component.TrainsOnData, component.Deterministic},
	}
	return model.New(info, nil, func(_ context.Context, _ struct {
		Latents int `param:"latent" default:"2" min:"1" doc:"latents, which say nothing"`
	}, _ component.Env, target model.Target) (model.Model, error) {
		if target.Data == nil {
			return nil, component.Invalid("target", "spikes are needed")
		}
		return &steady{*target.Data, tensor.New64("rates", target.Data.Neurons)}, nil
	})
}

func (m *steady) Train(ctx context.Context, req model.TrainRequest, _ component.Reporter) (model.TrainResult, error) {
	sum, n := make([]float64, m.data.Neurons), 0.0
	for b, err := range req.Data.Data(ctx, task.Train) {
		if err != nil {
			return model.TrainResult{}, err
		}
		for i, v := range b.Arrays.Get(model.Reconstructed).Float64s() {
			sum[i%len(sum)] += v
		}
		n += float64(len(b.Trials) * m.data.Bins)
	}
	for i, v := range sum {
		m.rates.F64[i] = math.Max(v, 0.5) / n
	}
	return model.TrainResult{Steps: 1, Epochs: 1, BestLoss: math.NaN(), LastLoss: math.NaN(), Stopped: "epochs"}, nil
}

func (m *steady) Rollout(ctx context.Context, _ model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	return tensor.Map(ctx, trials, 1, func(_ context.Context, b tensor.Block) (tensor.Block, error) {
		z, r := tensor.New32(model.Latents, len(b.Trials), m.data.Bins, 1), tensor.New32(model.Rates, len(b.Trials), m.data.Bins, m.data.Neurons)
		for i := range r.F32 {
			r.F32[i] = float32(m.rates.F64[i%m.data.Neurons])
		}
		for i := range z.F32 {
			z.F32[i] = float32(i % m.data.Bins)
		}
		return tensor.Block{Trials: b.Trials, Arrays: tensor.Set{z, r}}, nil
	})
}

func (m *steady) Dynamics(context.Context) (model.Dynamics, error) {
	return nil, fmt.Errorf("constant: dynamics: %w", component.ErrUnsupported)
}

func (m *steady) Save(context.Context) (tensor.Set, error) { return tensor.Set{m.rates.Clone()}, nil }

func (m *steady) Load(_ context.Context, weights tensor.Set) error {
	given := weights.Get("rates")
	if given == nil || given.Expect(m.data.Neurons) != nil {
		return component.Invalid("weights.rates", "%d rates are needed", m.data.Neurons)
	}
	copy(m.rates.F64, given.Float64s())
	return nil
}
