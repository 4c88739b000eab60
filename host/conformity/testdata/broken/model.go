package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// wrongModel is a model with some of its methods replaced.
type wrongModel struct {
	model.Model
	env      component.Env
	train    func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error)
	load     func(ctx context.Context, w tensor.Set) error
	rolled   func(b tensor.Block)
	dynamics func(model.Dynamics) model.Dynamics
}

func (m wrongModel) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if m.train != nil {
		return m.train(ctx, req, report)
	}
	return m.Model.Train(ctx, req, report)
}

func (m wrongModel) Load(ctx context.Context, w tensor.Set) error {
	if m.load != nil {
		return m.load(ctx, w)
	}
	return m.Model.Load(ctx, w)
}

func (m wrongModel) Rollout(ctx context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range m.Model.Rollout(ctx, req, trials) {
			if err == nil && m.rolled != nil {
				m.rolled(b)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func (m wrongModel) Dynamics(ctx context.Context) (model.Dynamics, error) {
	d, err := m.Model.Dynamics(ctx)
	if err == nil && m.dynamics != nil {
		d = m.dynamics(d)
	}
	return d, err
}

func modelled(change func(m *wrongModel)) fault {
	return func(p *serve.Plugin) {
		f := &p.Models[0]
		open := f.Open
		f.Open = func(ctx context.Context, v param.Values, env component.Env, t model.Target) (model.Model, error) {
			inner, err := open(ctx, v, env, t)
			if err != nil {
				return nil, err
			}
			m := wrongModel{Model: inner, env: env}
			change(&m)
			return m, nil
		}
	}
}

func derived(d func(model.Dynamics) model.Dynamics) fault {
	return modelled(func(m *wrongModel) { m.dynamics = d })
}

// The dynamics that are wrong.
type (
	transposed  struct{ model.Dynamics }
	undriven    struct{ model.Dynamics }
	halfPrecise struct{ model.Dynamics }
	late        struct{ model.Dynamics }
)

func (d transposed) Jacobians(ctx context.Context, state, input *tensor.Tensor) (dState, dInput *tensor.Tensor, err error) {
	js, ju, err := d.Dynamics.Jacobians(ctx, state, input)
	if err != nil {
		return nil, nil, err
	}
	n := js.Shape[1]
	out := js.Clone()
	for b := range js.Shape[0] {
		for i := range n {
			for j := range n {
				out.F64[(b*n+i)*n+j] = js.F64[(b*n+j)*n+i]
			}
		}
	}
	return out, ju, nil
}

func (d undriven) JVP(ctx context.Context, state, input, dState, _ *tensor.Tensor) (*tensor.Tensor, error) {
	return d.Dynamics.JVP(ctx, state, input, dState, nil)
}

func (d halfPrecise) Step(ctx context.Context, state, input *tensor.Tensor) (*tensor.Tensor, error) {
	x, err := d.Dynamics.Step(ctx, state, input)
	if err != nil {
		return nil, err
	}
	return tensor.From32(x.Name, x.Float32s(), x.Shape...), nil
}

func (d late) Step(ctx context.Context, state, _ *tensor.Tensor) (*tensor.Tensor, error) {
	return d.Dynamics.Step(ctx, state, nil)
}

func modelFaults() map[string]fault {
	return map[string]fault{
		"transposed": derived(func(d model.Dynamics) model.Dynamics { return transposed{d} }),
		"undriven":   derived(func(d model.Dynamics) model.Dynamics { return undriven{d} }),
		"float32":    derived(func(d model.Dynamics) model.Dynamics { return halfPrecise{d} }),
		"no-inputs":  derived(func(d model.Dynamics) model.Dynamics { return late{d} }),
		"load-less": modelled(func(m *wrongModel) {
			m.load = func(ctx context.Context, w tensor.Set) error {
				mine, err := m.Save(ctx)
				if err != nil {
					return err
				}
				for i, one := range mine {
					if given := w.Get(one.Name); given == nil {
						return component.Invalid("weights."+one.Name, "is missing")
					} else if err := given.Expect(one.Shape...); err != nil {
						return err
					} else if !strings.HasPrefix(one.Name, "readout") {
						mine[i] = given
					}
				}
				return m.Model.Load(ctx, mine)
			}
		}),
		"load-at-once": modelled(func(m *wrongModel) {
			m.load = func(ctx context.Context, w tensor.Set) error {
				mine, err := m.Save(ctx)
				if err != nil {
					return err
				}
				for i, one := range mine {
					given := w.Get(one.Name)
					if given == nil {
						return component.Invalid("weights."+one.Name, "is missing")
					}
					if err := given.Expect(one.Shape...); err != nil {
						return component.Invalid("weights."+one.Name, "%v", err)
					}
					mine[i] = given
					if err := m.Model.Load(ctx, mine); err != nil {
						return err
					}
				}
				return nil
			}
		}),
		"batch-mean": modelled(func(m *wrongModel) {
			m.rolled = func(b tensor.Block) {
				y := b.Arrays.Get(model.Outputs)
				row := y.Len() / len(b.Trials)
				for k := range row {
					mean := float32(0)
					for i := range b.Trials {
						mean += y.F32[i*row+k] / float32(len(b.Trials))
					}
					for i := range b.Trials {
						y.F32[i*row+k] -= mean
					}
				}
			}
		}),
		"chance": modelled(func(m *wrongModel) {
			m.train = func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
				r, err := m.Model.Train(ctx, req, report)
				if err != nil {
					return r, err
				}
				w, err := m.Save(ctx)
				if err != nil {
					return r, err
				}
				w[0].F64[0] += 1e-3 * rand.Float64()
				return r, m.Model.Load(ctx, w)
			}
		}),
		"idle": modelled(func(m *wrongModel) {
			m.train = func(context.Context, model.TrainRequest, component.Reporter) (model.TrainResult, error) {
				return model.TrainResult{Stopped: "epochs"}, nil
			}
		}),
		"stubborn": modelled(func(m *wrongModel) {
			m.train = func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
				r, err := m.Model.Train(ctx, req, report)
				// The lease on the task may end before the news of the cancellation comes, and so may a short training.
				patience := 500 * time.Millisecond
				if err != nil {
					patience = time.Minute
				}
				select {
				case <-ctx.Done():
					select {}
				case <-time.After(patience):
				}
				return r, err
			}
		}),
		"half-checkpoint": modelled(func(m *wrongModel) {
			m.train = func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
				// What a checkpoint says was done is done again.
				path := filepath.Join(m.env.Dir, "moments.json")
				if b, err := os.ReadFile(path); err == nil {
					for n := 10; n <= 40; n += 10 {
						b = []byte(strings.Replace(string(b), fmt.Sprintf(`"Trials":%d`, n), fmt.Sprintf(`"Trials":%d`, n-1), 1))
					}
					if err := os.WriteFile(path, b, 0o600); err != nil {
						return model.TrainResult{}, err
					}
				}
				return m.Model.Train(ctx, req, report)
			}
		}),
		"no-checkpoint": modelled(func(m *wrongModel) {
			m.train = func(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
				report.Checkpoint(component.Checkpoint{File: "nowhere.bin", SHA256: strings.Repeat("0", 64)})
				return m.Model.Train(ctx, req, report)
			}
		}),
		"untrainable": func(p *serve.Plugin) { p.Models[0].Info.Capabilities = []component.Capability{component.HasDynamics} },
		"claims-data": func(p *serve.Plugin) {
			p.Models[0].Info.Capabilities = append(p.Models[0].Info.Capabilities, component.TrainsOnData)
		},
		"claims-closed": func(p *serve.Plugin) {
			p.Models[0].Info.Capabilities = append(p.Models[0].Info.Capabilities, component.TrainsClosedLoop)
		},
		"panics": modelled(func(m *wrongModel) {
			m.load = func(ctx context.Context, w tensor.Set) error {
				if len(w) < 3 {
					panic(fmt.Sprintf("%d weights", len(w)))
				}
				return m.Model.Load(ctx, w)
			}
		}),
	}
}
