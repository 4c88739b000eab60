package train

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// Config says how to train.
type Config struct {
	// Epochs and BatchSize, at least 1.
	Epochs, BatchSize int
	// MaxSteps ends training after that many optimiser steps, at the end of an epoch or within one, which is then validated as it is; 0 sets no limit.
	MaxSteps int
	// MaxGrowth bounds the mean loss of an epoch, in training and in validation: beyond that many times the size of the first step's loss (of 1, where that is less) the training has
	// diverged, though all numbers are finite. 0 means 1e6, an infinity sets no bound.
	MaxGrowth float64
	// Adam or AdamW; [Adam] gives PyTorch's constants. There is no default.
	Optimiser kernel.Adam
	// Clip bounds the gradient's 2-norm, as torch's clip_grad_norm_ does; 0 does not clip.
	Clip float64
	// ParamGroups give some parameters rates of their own; those that none matches have the optimiser's.
	ParamGroups []ParamGroup
	// Monitor names the term of the loss, one of the names under Program.Losses, whose validation value decides what is better: for the best weights, Patience and Schedule.
	// Empty means the sum of all terms, which is no measure while one of them ramps up.
	Monitor string
	// Smoothing is the part of the value before in the exponential smoothing of the monitored values that Patience and Schedule go by, smoothed = Smoothing * before +
	// (1-Smoothing) * value; at least 0, the default, and less than 1. The best weights are those of the best value itself.
	Smoothing float64
	// Patience ends training after that many epochs without a better validation loss; 0 never.
	Patience int
	// KeepLast makes the weights of the last epoch the result; else it is those of the epoch with the best validation loss.
	KeepLast bool
	// Schedule returns the learning rate and the weight decay of an epoch from the monitored, smoothed validation losses of all epochs before it; nil keeps the
	// optimiser's. It is a function of its arguments alone, so that a resumed training goes on as before.
	Schedule func(epoch int64, validation []float64) Rates
	// Score judges the network by what its programs have as Judged, of all validation trials as one block, after the epochs that ScoreEvery divides, the first of all being 0. Nil and 0
	// never do; one whose error is component.ErrUnsupported is not asked again. What it says are curves, see [Fit], and changes nothing.
	Score      func(ctx context.Context, outputs tensor.Block) (task.Score, error)
	ScoreEvery int
	// Group names an integer column; a batch then holds trials of one value. Empty does not.
	Group string

	// Env gives the seed, the threads, and the folder for checkpoints, where it is not empty.
	Env component.Env
	// CheckpointEvery and MaxTime are as in model.TrainRequest.
	CheckpointEvery, MaxTime time.Duration
	// Identity is everything that the result depends on, e.g. the parameters' text. A checkpoint of another identity is refused, and one of other
	// ParamGroups, Monitor or Smoothing.
	Identity string
}

// Rates are what a schedule sets.
type Rates struct{ LR, WeightDecay float64 }

// Adam is PyTorch's Adam with its default constants 0.9, 0.999 and 1e-8; decoupled makes it AdamW.
func Adam(lr, weightDecay float64, decoupled bool) kernel.Adam {
	return kernel.Adam{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: weightDecay, Decoupled: decoupled}
}

// Source gives the data.
type Source[F kernel.Float] struct {
	// Train returns the training trials of a pass; it is called once if not Fresh, else for each epoch.
	Train func(ctx context.Context, pass uint64) (*Data[F], error)
	// Valid returns the validation trials, once; nil, or no error and no data, where there are none: then the training loss stands in for it.
	Valid func(ctx context.Context) (*Data[F], error)
	// Fresh is true where the trials differ from pass to pass.
	Fresh bool
}

// state is what a checkpoint holds besides weights and the optimiser's means.
type state struct {
	epoch, batch         int64 // done, and within the epoch
	bestEpoch, sinceBest int64 // the latter by the smoothed values
	finished             int64 // index into stops
	trials               int64 // of the current epoch, so far
	best, last           float64
	lossSum, normSum     float64     // over the current epoch's trials and batches
	first                float64     // loss of the first step
	termSums             []float64   // of the losses
	columns              []string    // names of the values of history
	history              [][]float64 // a row for each epoch: the step, then the values
	scored               []string    // names of the values of scores
	scores               [][]float64 // a row for each epoch that was scored: the epoch, then the values
}

// stops are the reasons to end, by state.finished.
var stops = [...]string{"", "epochs", "early-stopping", "time", "steps"}

const (
	running = iota
	byEpochs
	byPatience
	byTime
	bySteps
)

// trainer is one call of Fit.
type trainer[F kernel.Float] struct {
	config Config
	*Stepper[F]
	report       component.Reporter
	state        state
	best         []F
	train, valid *Data[F]
	source       Source[F]

	started, saved, said time.Time
}

// Fit trains the network from its present weights, or goes on from the checkpoint that is in Env.Dir. On return it has the best or the last weights. The curves
// reported as metrics are train/loss and valid/loss (with train/NAME and valid/NAME for each of several terms), train/gradient_norm (the epoch's mean,
// before clipping) and train/learning_rate. Of the epochs that were scored they are also the means over validation trials: score/success, score/success/NAME of
// each condition, where there are several, and score/NAME of each of the task's own metrics. After a resume all are reported from the first epoch on.
//
// It ends early with ctx's error when that is cancelled, after writing a checkpoint, and with a component.DivergedError when the loss, in training or in validation,
// a gradient or a weight is not finite, or an epoch's loss is beyond MaxGrowth.
//
// A training that ended with its last epoch goes on where Epochs is larger now and the Identity the same, to the very result of one that was given so many at once, if its Schedule
// does not depend on their number.
func Fit[F kernel.Float](ctx context.Context, net Network[F], source Source[F], c Config, report component.Reporter) (model.TrainResult, error) {
	if err := c.check(); err != nil {
		return model.TrainResult{}, err
	}
	if report == nil {
		report = component.Discard{}
	}
	p := net.Params()
	if err := p.Err(); err != nil {
		return model.TrainResult{}, err
	}
	stepper, err := NewStepper(net, c.Env.Threads, c)
	if err != nil {
		return model.TrainResult{}, err
	}
	t := &trainer[F]{config: c, Stepper: stepper, source: source, report: report, best: slices.Clone(p.Flat())}
	now := time.Now()
	t.state.best, t.state.last = math.Inf(1), math.NaN()
	t.started, t.saved, t.said = now, now, now
	err = t.run(ctx)
	if closeErr := t.Runner.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return model.TrainResult{}, err
	}
	return t.result(), nil
}

func (c *Config) check() error {
	var e component.InvalidArgumentError
	need := func(ok bool, path string, v any, want string) {
		if !ok {
			e.Problems = append(e.Problems, component.Invalid(path, "%v is not allowed: %s", v, want).(*component.InvalidArgumentError).Problems...)
		}
	}
	need(c.Epochs >= 1, "epochs", c.Epochs, "at least 1")
	need(c.BatchSize >= 1, "batch_size", c.BatchSize, "at least 1")
	need(c.MaxSteps >= 0, "max_updates", c.MaxSteps, "at least 0")
	need(c.MaxGrowth == 0 || c.MaxGrowth >= 1, "max_growth", c.MaxGrowth, "0 or at least 1")
	need(c.Optimiser.LR > 0, "lr", c.Optimiser.LR, "more than 0")
	need(c.ScoreEvery >= 0, "score_every", c.ScoreEvery, "at least 0")
	need(c.Clip >= 0, "clip", c.Clip, "at least 0")
	need(c.Smoothing >= 0 && c.Smoothing < 1, "smoothing", c.Smoothing, "at least 0 and less than 1")
	need(c.Patience >= 0, "early_stopping", c.Patience, "at least 0")
	if len(e.Problems) > 0 {
		return &e
	}
	if c.MaxGrowth == 0 {
		c.MaxGrowth = 1e6
	}
	c.Env.Threads = max(1, c.Env.Threads)
	if c.Env.Log == nil {
		c.Env.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

func (t *trainer[F]) run(ctx context.Context) error {
	resumed, err := t.restore()
	if err != nil {
		return err
	}
	if resumed {
		t.config.Env.Log.Info("resuming from a checkpoint", "epoch", t.state.epoch, "step", t.Steps)
		for epoch := range t.state.history {
			t.reportEpoch(int64(epoch))
		}
	}
	err = t.epochs(ctx)
	if err != nil && ctx.Err() == nil {
		return err
	}
	// An interrupted step has not touched the weights, so they can be kept.
	if saveErr := t.checkpoint(); saveErr != nil && err == nil {
		return saveErr
	}
	if err != nil {
		return ctx.Err()
	}
	return nil
}

func (t *trainer[F]) epochs(ctx context.Context) error {
	s := &t.state
	switch {
	case s.finished == byPatience, s.finished == bySteps, s.finished == byEpochs && s.epoch >= int64(t.config.Epochs):
		return nil
	}
	s.finished = running
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.source.Valid != nil {
		var err error
		if t.valid, err = t.source.Valid(ctx); err != nil {
			return err
		}
	}
	for s.finished == running {
		if s.epoch >= int64(t.config.Epochs) {
			s.finished = byEpochs
			break
		}
		if err := t.epoch(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *trainer[F]) epoch(ctx context.Context) error {
	s := &t.state
	if t.train == nil || t.source.Fresh {
		pass := uint64(0)
		if t.source.Fresh {
			pass = uint64(s.epoch)
		}
		d, err := t.source.Train(ctx, pass)
		if err != nil {
			return err
		}
		t.train = d
	}
	var groups []int64
	if t.config.Group != "" {
		groups = make([]int64, t.train.Len())
		for i := range groups {
			groups[i] = t.train.Int(t.config.Group, i)
		}
	}
	batches := Batches(t.config.Env.Seed, uint64(s.epoch), t.train.Len(), t.config.BatchSize, groups)
	if t.config.Schedule != nil {
		r := t.config.Schedule(s.epoch, t.smoothed())
		t.Optimiser.LR, t.Optimiser.WeightDecay = r.LR, r.WeightDecay
	}
	total := int64(t.config.Epochs) * int64(len(batches))
	if t.config.MaxSteps > 0 {
		total = min(total, int64(t.config.MaxSteps))
	}
	for s.batch < int64(len(batches)) && !t.limited() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.config.MaxTime > 0 && time.Since(t.started) >= t.config.MaxTime {
			s.finished = byTime
			return nil
		}
		if err := t.step(batches[s.batch]); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(t.said) >= 200*time.Millisecond {
			t.said = now
			t.report.Progress(component.Progress{Phase: "step", Done: t.Steps, Total: total, Loss: s.lossSum / float64(s.trials)})
		}
		if t.config.CheckpointEvery > 0 && time.Since(t.saved) >= t.config.CheckpointEvery {
			if err := t.checkpoint(); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.endEpoch(ctx, t.Optimiser.LR); err != nil {
		return err
	}
	t.report.Progress(component.Progress{Phase: "step", Done: t.Steps, Total: total, Loss: s.last})
	return nil
}

// limited says whether all steps that are allowed have been taken.
func (t *trainer[F]) limited() bool {
	return t.config.MaxSteps > 0 && t.Steps >= int64(t.config.MaxSteps)
}

// pass names the noise of an epoch. Validation always has that of epoch 0, so that epochs are compared on the same noise.
func (t *trainer[F]) pass(epoch int64, stream uint64) nn.Pass {
	return nn.Pass{Seed: t.config.Env.Seed, Stream: []uint64{stream}, Epoch: epoch}
}

func (t *trainer[F]) step(rows []int) error {
	s := &t.state
	loss, norm, err := t.Step(t.train, rows, t.pass(s.epoch, uint64(s.epoch)))
	if err != nil {
		return err
	}
	if t.Steps == 1 {
		s.first = loss
	}
	s.batch++
	s.trials += int64(len(rows))
	s.lossSum += loss * float64(len(rows))
	s.normSum += norm
	if s.termSums == nil {
		if names := t.Runner.Names(); t.config.Monitor != "" && !slices.Contains(names, t.config.Monitor) {
			return component.Invalid("monitor", "%q is not allowed: one of %v", t.config.Monitor, names)
		}
		s.termSums = make([]float64, len(t.Terms))
	}
	for i, v := range t.Terms {
		s.termSums[i] += v * float64(len(rows))
	}
	return nil
}

// endEpoch validates, keeps the best weights and starts the next epoch.
func (t *trainer[F]) endEpoch(ctx context.Context, lr float64) error {
	s := &t.state
	n := float64(s.trials)
	s.last = s.lossSum / n
	if err := t.bounded("loss", s.last); err != nil {
		return err
	}
	valid, validTerms := s.last, []float64(nil)
	if t.valid != nil {
		var err error
		if valid, validTerms, err = t.validate(ctx); err != nil {
			return err
		}
	}
	row := []float64{float64(t.Steps - 1), valid, s.last, s.normSum / float64(s.batch), lr}
	columns := []string{"valid/loss", "train/loss", "train/gradient_norm", "train/learning_rate"}
	if t.valid == nil {
		columns[0] = "" // what stands in for it is not reported
	}
	if len(s.termSums) > 1 {
		for i, name := range t.Runner.Names() {
			row = append(row, s.termSums[i]/n)
			columns = append(columns, "train/"+name)
		}
		for i, v := range validTerms {
			row = append(row, v)
			columns = append(columns, "valid/"+t.Runner.Names()[i])
		}
	}
	s.columns, s.history = columns, append(s.history, row)
	t.reportEpoch(s.epoch)
	if monitored := row[t.monitored()]; monitored < s.best {
		s.best, s.bestEpoch = monitored, s.epoch
		copy(t.best, t.weights)
	}
	s.sinceBest = since(t.smoothed())
	s.epoch++
	s.batch, s.trials, s.lossSum, s.normSum = 0, 0, 0, 0
	clear(s.termSums)
	switch {
	case t.config.Patience > 0 && s.sinceBest >= int64(t.config.Patience):
		s.finished = byPatience
	case t.limited():
		s.finished = bySteps
	}
	return nil
}

// validate runs the network over the validation trials, and has it scored where this epoch's turn is.
func (t *trainer[F]) validate(ctx context.Context) (loss float64, terms []float64, err error) {
	rows := make([]int, t.valid.Len())
	for i := range rows {
		rows[i] = i
	}
	epoch := t.state.epoch
	scoring := t.config.Score != nil && t.config.ScoreEvery > 0 && epoch%int64(t.config.ScoreEvery) == 0
	var judged tensor.Set
	if scoring {
		loss, terms, judged, err = t.Runner.Judge(t.valid, rows, t.pass(epoch, 0))
	} else {
		loss, terms, err = t.Runner.Run(t.valid, rows, t.pass(epoch, 0), nil)
	}
	if err != nil {
		return 0, nil, err
	}
	// Else, where none is finite, no epoch would be the best, and the weights of before the training would be kept as such.
	if err := t.bounded("validation loss", loss); err != nil {
		return 0, nil, err
	}
	if scoring {
		err = t.score(ctx, judged)
	}
	return loss, terms, err
}

// bounded is an error for the mean of an epoch that is not finite or beyond MaxGrowth, and for weights that are not finite after the epoch's last step.
func (t *trainer[F]) bounded(quantity string, value float64) error {
	var e *component.DivergedError
	switch {
	case !finite(value) || value > t.config.MaxGrowth*max(1, math.Abs(t.state.first)):
		e = t.diverged(quantity, value)
	case finite(kernel.GlobalNorm(t.weights)):
		return nil
	default:
		for _, p := range t.net.Params().All() {
			if i := slices.IndexFunc(p.Value, func(w F) bool { return !finite(float64(w)) }); i >= 0 {
				e = t.diverged(fmt.Sprintf("weight of %s, loss %v", p.Name, value), float64(p.Value[i]))
				break
			}
		}
	}
	if e == nil {
		return nil
	}
	e.Step = t.Steps - 1
	return e
}

func (t *trainer[F]) reportEpoch(epoch int64) {
	row := t.state.history[epoch]
	for i, name := range t.state.columns {
		if name == "" {
			continue
		}
		t.report.Metric(component.Metric{Name: name, Step: int64(row[0]), Epoch: epoch, Value: row[i+1]})
	}
	t.reportScore(epoch, int64(row[0]))
}

// monitored is the index of the monitored value in the rows of history: of a single term the validation loss, and the training's where there is no validation.
func (t *trainer[F]) monitored() int {
	for _, kind := range []string{"valid/", "train/"} {
		if i := slices.Index(t.state.columns, kind+t.config.Monitor); i >= 0 {
			return i + 1
		}
	}
	return 1
}

// smoothed are the monitored values of all epochs so far, smoothed.
func (t *trainer[F]) smoothed() []float64 {
	out, at := make([]float64, len(t.state.history)), t.monitored()
	for i, row := range t.state.history {
		out[i] = row[at]
		if i > 0 && t.config.Smoothing > 0 {
			out[i] = t.config.Smoothing*out[i-1] + (1-t.config.Smoothing)*out[i]
		}
	}
	return out
}

// since is the number of values after the first of the smallest ones.
func since(values []float64) int64 {
	best, at := math.Inf(1), -1
	for i, v := range values {
		if v < best {
			best, at = v, i
		}
	}
	return int64(len(values) - 1 - at)
}

// result sets the weights that are asked for and sums up.
func (t *trainer[F]) result() model.TrainResult {
	s := &t.state
	r := model.TrainResult{Steps: t.Steps, Epochs: s.epoch, BestEpoch: s.bestEpoch, BestLoss: s.best, LastLoss: s.last, KeptBest: !t.config.KeepLast && s.epoch > 0, Stopped: stops[s.finished]}
	if r.KeptBest {
		r.Last = t.net.Params().Save()
		copy(t.weights, t.best)
	}
	return r
}
