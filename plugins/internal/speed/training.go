package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/ctdb-host/ctdb/plugins/builtin"
	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel/steptime"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// training is a training of a built-in model, whose epochs are timed.
type training struct {
	model               string
	trials, valid, bins int
	channels            int // inputs, and outputs of a task
	neurons, heldIn     int // of a data set; 0 for a task
	given               map[string]any
	// each is the number of steps in an epoch where the time of one is wanted; 0 where the epoch's is.
	each int
	// closing ends what the task needs; nil where it is nothing.
	closing func() error
	factory model.Factory
	target  model.Target
	request model.TrainRequest
	batch   int
}

// trainingRow makes data and finds the model. An epoch is one batch, a step, unless a batch size is given.
func trainingRow(w training, threads int) (row, error) {
	if err := w.find(); err != nil {
		return row{}, err
	}
	sizes := []string{"-B", strconv.Itoa(w.batch), "-T", strconv.Itoa(w.bins), "-I", strconv.Itoa(w.channels), "--threads", strconv.Itoa(threads)}
	r := row{threads: threads, implementations: []string{"fused", "mixed", "loop"}, libraries: []string{torch, jax}}
	sequence := kernel.SequenceConfig{Cell: kernel.CellGRU, B: w.trials, T: w.bins, I: w.channels}
	switch {
	case w.neurons > 0:
		latent, encoder := w.given["latent"].(int), w.given["encoder_size"].(int)
		sequence.H, sequence.O = latent, w.neurons
		sizes = append(sizes, "-H", strconv.Itoa(latent), "-O", strconv.Itoa(w.neurons), "--held-in", strconv.Itoa(w.heldIn), "--encoder", strconv.Itoa(encoder))
		if w.model == "sae-node" {
			sequence.Cell, sequence.Layers, sequence.Width, sequence.DT = kernel.CellNODE, 7, 128, 0.1
			sizes = append(sizes, "--layers", "7", "--width", "128")
			r.implementations = []string{"mixed", "loop"}
		}
		r.reference = []string{"mixed", "loop"}
		direction := kernel.SequenceConfig{Cell: kernel.CellGRU, B: w.trials, T: w.bins, I: w.heldIn, H: encoder}
		r.flops = 2*steptime.SequenceFLOPs(direction) + 6*float64(w.trials)*float64(2*encoder*latent) + steptime.SequenceFLOPs(sequence)
		r.name = fmt.Sprintf("model/%s/B=%d/T=%d/H=%d, a step of the trainer", w.model, w.trials, w.bins, latent)
		r.peer = append([]string{w.model}, sizes...)
	case w.valid > 0:
		sequence.H, sequence.O = w.given["hidden"].(int), w.channels
		r.implementations, r.reference = []string{"loop"}, []string{"loop"}
		r.flops = steptime.SequenceFLOPs(sequence) * (1 + float64(w.valid)/float64(w.trials)/3)
		r.name = fmt.Sprintf("model/%s, an epoch of %d trials in batches of %d, %d to validate", w.model, w.trials, w.batch, w.valid)
		r.peer = append(append([]string{"epoch"}, sizes...), "-H", strconv.Itoa(sequence.H), "-O", strconv.Itoa(sequence.O), "--trials", strconv.Itoa(w.trials), "--valid", strconv.Itoa(w.valid))
	default:
		sequence.O = w.channels
		switch w.model {
		case "node":
			sequence.Cell, sequence.H, sequence.Layers, sequence.Width, sequence.DT = kernel.CellNODE, w.given["latent"].(int), w.given["layers"].(int), w.given["hidden"].(int), 0.1
		default:
			sequence.Cell, sequence.H = map[string]kernel.Cell{"gru": kernel.CellGRU, "lstm": kernel.CellLSTM, "vanilla-rnn": kernel.CellTanh}[w.model], w.given["hidden"].(int)
		}
		c := steptime.Case{Sequence: sequence}
		r.flops, r.peer, r.implementations = c.FLOPs(), peerArguments(c, threads), implementations(sequence.Cell)
		r.name = "model/" + c.Name() + ", a step of the trainer"
	}
	r.name += ", " + english.Plural(threads, "thread", "")
	r.open = func() (ours, error) { return w.prepare() }
	return r, nil
}

// find finds the model, and the size of batches where it is not given.
func (w *training) find() error {
	models := builtin.Plugin().Models
	i := slices.IndexFunc(models, func(f model.Factory) bool { return f.Info.Name.Short == w.model })
	if i < 0 {
		return fmt.Errorf("there is no model/%s", w.model)
	}
	w.factory, w.batch = models[i], w.trials
	w.given = maps.Clone(w.given)
	if n, ok := w.given["batch_size"].(int); ok {
		w.batch = n
	}
	w.given["batch_size"] = w.batch
	return nil
}

// prepare makes the data.
func (w training) prepare() (*training, error) {
	r := rand.New(rand.NewPCG(1, 1))
	normal := func(name string, trials int) *tensor.Tensor {
		t := tensor.New32(name, trials, w.bins, w.channels)
		for i := range t.F32 {
			t.F32[i] = float32(r.NormFloat64())
		}
		return t
	}
	blocks := fixed{}
	for split, n := range map[task.Split]int{task.Train: w.trials, task.Valid: w.valid} {
		b := tensor.Block{}
		for i := range n {
			b.Trials = append(b.Trials, int64(len(blocks)*1_000_000+i))
		}
		if w.neurons > 0 {
			seen, all := tensor.New32(model.Encoded, n, w.bins, w.heldIn), tensor.New32(model.Reconstructed, n, w.bins, w.neurons)
			for i := range all.F32 {
				// 0.1 spikes a bin.
				for p := r.Float64(); p > math.Exp(-0.1); p *= r.Float64() {
					all.F32[i]++
				}
				if at, k := i/w.neurons, i%w.neurons; k < w.heldIn {
					seen.F32[at*w.heldIn+k] = all.F32[i]
				}
			}
			b.Arrays = tensor.Set{seen, all, normal(model.Inputs, n)}
		} else {
			b.Arrays = tensor.Set{normal(task.Inputs, n), normal(task.Targets, n)}
		}
		blocks[split] = b
	}
	if w.neurons > 0 {
		w.target.Data = &model.DataSpec{Neurons: w.neurons, HeldIn: w.heldIn, Inputs: w.channels, Bins: w.bins, TrainTrials: w.trials, ValidTrials: w.valid}
		w.request.Data = blocks
		return &w, nil
	}
	w.target.Task = &task.Spec{Inputs: w.channels, Outputs: w.channels, Bins: w.bins, TrainTrials: w.trials, ValidTrials: w.valid,
		Loss: task.Loss{Terms: []task.Term{{Kind: task.SquaredError, Scale: 1, Reduction: task.MeanAll}}}}
	w.request.Task = fixedTask{blocks, *w.target.Task}
	return &w, nil
}

// fixed gives the same trials whenever it is asked.
type fixed map[task.Split]tensor.Block

func (f fixed) Data(_ context.Context, split task.Split) tensor.Blocks { return tensor.Of(f[split]) }

// fixedTask is a task of such trials.
type fixedTask struct {
	fixed
	spec task.Spec
}

func (f fixedTask) Spec(context.Context) (task.Spec, error) { return f.spec, nil }
func (f fixedTask) Trials(_ context.Context, r task.TrialRequest) tensor.Blocks {
	return tensor.Of(f.fixed[r.Split])
}
func (f fixedTask) Score(context.Context, task.ScoreRequest, tensor.Blocks) (task.Score, error) {
	return task.Score{}, fmt.Errorf("its trials are noise: %w", component.ErrUnsupported)
}

// clock notes when each epoch ended, and ends a training that has taken long enough.
type clock struct {
	component.Discard
	ended  []time.Time
	budget time.Duration
	stop   context.CancelFunc
}

// Metric notes the time of an epoch's loss.
func (c *clock) Metric(m component.Metric) {
	if m.Name != "train/loss" {
		return
	}
	c.ended = append(c.ended, time.Now())
	if n := len(c.ended); n > untimed+3 && c.ended[n-1].Sub(c.ended[untimed-1]) > c.budget {
		c.stop()
	}
}

func (w *training) steps(ctx context.Context, threads, atMost int, budget time.Duration) ([]float64, error) {
	given := maps.Clone(w.given)
	given["epochs"] = untimed + atMost
	values, problems := w.factory.Info.Params.Resolve(given)
	if len(problems) > 0 {
		return nil, &component.InvalidArgumentError{Problems: problems}
	}
	m, err := w.factory.Open(ctx, values, component.Env{Seed: 1, Threads: threads}, w.target)
	if err != nil {
		return nil, err
	}
	limited, stop := context.WithCancel(ctx)
	defer stop()
	c := &clock{budget: budget, stop: stop}
	if _, err := m.Train(limited, w.request, c); err != nil && (ctx.Err() != nil || !errors.Is(err, context.Canceled)) {
		return nil, err
	}
	var times []float64
	for i := untimed; i < len(c.ended); i++ {
		times = append(times, c.ended[i].Sub(c.ended[i-1]).Seconds()/float64(max(1, w.each)))
	}
	if len(times) == 0 {
		return nil, fmt.Errorf("model/%s reported %d epochs of %d", w.model, len(c.ended), untimed+atMost)
	}
	return times, nil
}

// Close frees nothing of a training's, whose memory ends with it.
func (w *training) Close() error {
	if w.closing == nil {
		return nil
	}
	return w.closing()
}
