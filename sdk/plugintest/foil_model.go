package plugintest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/random"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// foilLatents is the number of latents, and of states, of what comparators compare; foilNeurons and foilHeldIn that of its neurons.
const (
	foilLatents = 4
	foilNeurons = 8
	foilHeldIn  = 6
)

type foilModelParams struct {
	Ridge float64 `param:"ridge" default:"1e-3" above:"0" doc:"ridge of the readout's regression"`
}

// network is x' = tanh(W x + U u), with random weights that are its seed's, and a readout y = R x that ridge regression finds.
type network struct {
	w, u, r []float64
	ridge   float64
	out     int
	dir     string
}

func foilModel() model.Factory {
	return model.New(component.Info{
		Name: component.Name{Kind: component.Model, Short: "foil"}, Version: "1.0.0", Doc: "a network of tanh units with dynamics, and a readout found by ridge regression",
		Capabilities: []component.Capability{component.TrainsOnTask, component.HasDynamics, component.Deterministic},
	}, nil, func(_ context.Context, p foilModelParams, env component.Env, target model.Target) (model.Model, error) {
		if target.Task == nil {
			return nil, component.Invalid("target", "a data set is not allowed: it is trained on a task")
		}
		if target.Task.Inputs != foilInputs {
			return nil, component.Invalid("target.inputs", "%d is not allowed: %d", target.Task.Inputs, foilInputs)
		}
		n := newNetwork(env.Seed)
		n.ridge, n.dir, n.out = p.Ridge, env.Dir, target.Task.Outputs
		n.r = make([]float64, n.out*foilLatents)
		return n, nil
	})
}

func newNetwork(seed uint64) *network {
	r := random.New(seed, "weights")
	n := &network{w: make([]float64, foilLatents*foilLatents), u: make([]float64, foilLatents*foilInputs)}
	for i := range n.w {
		n.w[i] = 1.2 / math.Sqrt(foilLatents) * r.NormFloat64()
	}
	for i := range n.u {
		n.u[i] = 0.5 * r.NormFloat64()
	}
	return n
}

// step returns F(x, u).
func (n *network) step(x, u []float64) []float64 {
	out := make([]float64, foilLatents)
	for i := range out {
		a := 0.0
		for j, v := range x {
			a += n.w[i*foilLatents+j] * v
		}
		for j, v := range u {
			a += n.u[i*foilInputs+j] * v
		}
		out[i] = math.Tanh(a)
	}
	return out
}

// moments are what regression needs, of the first so many trials.
type moments struct {
	Trials      int
	Gram, Cross []float64
}

const foilCheckpoint = "moments.json"

// Train implements [model.Model]: it takes the trials by their numbers, and a checkpoint after each tenth.
func (n *network) Train(ctx context.Context, req model.TrainRequest, report component.Reporter) (model.TrainResult, error) {
	if req.Task == nil {
		return model.TrainResult{}, component.Invalid("task", "a task is needed to train on")
	}
	all, err := tensor.Collect(req.Task.Trials(ctx, task.TrialRequest{Split: task.Train}))
	if err != nil {
		return model.TrainResult{}, err
	}
	m := moments{Gram: make([]float64, foilLatents*foilLatents), Cross: make([]float64, foilLatents*n.out)}
	if b, err := os.ReadFile(filepath.Join(n.dir, foilCheckpoint)); n.dir != "" && err == nil {
		if err := json.Unmarshal(b, &m); err != nil {
			return model.TrainResult{}, fmt.Errorf("reading a checkpoint: %w", err)
		}
	}
	for ; m.Trials < len(all.Trials); m.Trials++ {
		if err := ctx.Err(); err != nil {
			return model.TrainResult{}, err
		}
		one := row(all, m.Trials)
		y := one.Arrays.Get(task.Targets).Float64s()
		for t, x := range n.run(one.Arrays.Get(task.Inputs).Float64s()) {
			for i, a := range x {
				for j, b := range x {
					m.Gram[i*foilLatents+j] += a * b
				}
				for j := range n.out {
					m.Cross[i*n.out+j] += a * y[t*n.out+j]
				}
			}
		}
		report.Progress(component.Progress{Phase: "trial", Done: int64(m.Trials + 1), Total: int64(len(all.Trials)), Loss: math.NaN()})
		if m.Trials%10 == 9 && n.dir != "" {
			done := m
			done.Trials++
			if err := n.keep(done, report); err != nil {
				return model.TrainResult{}, err
			}
		}
	}
	n.solve(m)
	return model.TrainResult{Steps: 1, Epochs: 1, BestLoss: math.NaN(), LastLoss: math.NaN(), Stopped: "epochs"}, nil
}

// keep writes a checkpoint under another name and renames it, so that there is never half of one.
func (n *network) keep(m moments, report component.Reporter) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path := filepath.Join(n.dir, foilCheckpoint)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	report.Checkpoint(component.Checkpoint{File: foilCheckpoint, SHA256: hex.EncodeToString(sum[:]), Step: int64(m.Trials)})
	return nil
}

// solve finds the readout by Gaussian elimination of (G + ridge I) R' = C, which is positive definite.
func (n *network) solve(m moments) {
	const d = foilLatents
	g, c := append([]float64(nil), m.Gram...), append([]float64(nil), m.Cross...)
	for i := range d {
		g[i*d+i] += n.ridge
	}
	for k := range d {
		for i := range d {
			if i == k {
				continue
			}
			f := g[i*d+k] / g[k*d+k]
			for j := range d {
				g[i*d+j] -= f * g[k*d+j]
			}
			for j := range n.out {
				c[i*n.out+j] -= f * c[k*n.out+j]
			}
		}
	}
	for i := range d {
		for j := range n.out {
			n.r[j*d+i] = c[i*n.out+j] / g[i*d+i]
		}
	}
}

// run returns the states of a trial, after each bin.
func (n *network) run(inputs []float64) [][]float64 {
	var out [][]float64
	x := make([]float64, foilLatents)
	for t := 0; t < len(inputs); t += foilInputs {
		x = n.step(x, inputs[t:t+foilInputs])
		out = append(out, x)
	}
	return out
}

// Rollout implements [model.Model]. There is no noise.
func (n *network) Rollout(_ context.Context, req model.RolloutRequest, trials tensor.Blocks) tensor.Blocks {
	for i, role := range req.Want {
		if role != model.Latents && role != model.Outputs {
			return tensor.Fail(component.Invalid(fmt.Sprintf("want[%d]", i), "%q is not allowed: latents or outputs", role))
		}
	}
	return func(yield func(tensor.Block, error) bool) {
		for b, err := range trials {
			if err == nil {
				b, err = n.roll(b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (n *network) roll(b tensor.Block) (tensor.Block, error) {
	in := b.Arrays.Get(task.Inputs)
	if in == nil {
		return tensor.Block{}, component.Invalid("trials", "no array %q among %v", task.Inputs, b.Arrays.Names())
	}
	if err := in.Expect(len(b.Trials), -1, foilInputs); err != nil {
		return tensor.Block{}, err
	}
	bins := in.Shape[1]
	z, y := tensor.New32(model.Latents, len(b.Trials), bins, foilLatents), tensor.New32(model.Outputs, len(b.Trials), bins, n.out)
	for k := range b.Trials {
		for t, x := range n.run(in.Slice(k, k+1).Float64s()) {
			at := k*bins + t
			for i, v := range x {
				z.F32[at*foilLatents+i] = float32(v)
				for j := range n.out {
					y.F32[at*n.out+j] += float32(n.r[j*foilLatents+i] * v)
				}
			}
		}
	}
	return tensor.Block{Trials: b.Trials, Arrays: tensor.Set{z, y}}, nil
}

// Dynamics implements [model.Model].
func (n *network) Dynamics(context.Context) (model.Dynamics, error) { return n, nil }

// Save implements [model.Model].
func (n *network) Save(context.Context) (tensor.Set, error) {
	return tensor.Set{
		tensor.From64("cell.weight_hh", n.w, foilLatents, foilLatents).Clone(), tensor.From64("cell.weight_ih", n.u, foilLatents, foilInputs).Clone(),
		tensor.From64("readout.weight", n.r, n.out, foilLatents).Clone(),
	}, nil
}

// Load implements [model.Model].
func (n *network) Load(ctx context.Context, weights tensor.Set) error {
	mine, err := n.Save(ctx)
	if err != nil {
		return err
	}
	for _, w := range mine {
		given := weights.Get(w.Name)
		if given == nil {
			return component.Invalid("weights."+w.Name, "is missing")
		}
		if err := given.Expect(w.Shape...); err != nil {
			return component.Invalid("weights."+w.Name, "has shape %v: %v is needed", given.Shape, w.Shape)
		}
	}
	for i, to := range [][]float64{n.w, n.u, n.r} {
		copy(to, weights.Get(mine[i].Name).Float64s())
	}
	return nil
}
