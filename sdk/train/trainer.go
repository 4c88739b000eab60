package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

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

	started, saved, said time.Time // the first when the trials are there
}

// Fit trains the network from its present weights, or goes on from the checkpoint that is in Env.Dir. On return it has the best or the last weights. The curves
// reported as metrics are train/loss and valid/loss (with train/NAME and valid/NAME for each of several terms), train/gradient_norm (the epoch's mean,
// before clipping) and train/learning_rate. Of the epochs that were scored they are also the means over validation trials: score/success, score/success/NAME of
// each condition, where there are several, and score/NAME of each of the task's own metrics. After a resume all are reported from the first epoch on.
//
// It ends early with ctx's error when that is cancelled, after writing a checkpoint, and with a component.DivergedError when the loss, in training or in validation,
// a gradient or a weight is not finite, or an epoch's loss is beyond MaxGrowth. Of a training that diverged nothing that was good is lost: where an epoch was done the network then
// has the weights of the best one, and they are in [BestFile] in Env.Dir, which the error's hint names. The checkpoint stays, the last whose numbers are all finite. A training that
// goes on from it comes to the same place again unless something else than the Config has changed, and its log and its error say that it did.
//
// A training that ended with its last epoch goes on where Epochs is larger now and the Identity the same, to the very result of one that was given so many at once, if its Schedule
// does not depend on their number. One that MaxSteps ended goes on where that is larger now, with the next epoch. The built-in models have both numbers in their Identity, so that theirs
// do not: a longer training of theirs is another one, which may begin with the weights of the shorter, its optimiser anew.
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
	if err := source.check(); err != nil {
		return model.TrainResult{}, err
	}
	t := &trainer[F]{config: c, Stepper: stepper, source: source, report: report, best: slices.Clone(p.Flat())}
	now := time.Now()
	t.state.best, t.state.last = math.Inf(1), math.NaN()
	t.saved, t.said = now, now
	err = t.run(ctx)
	if closeErr := t.Runner.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return model.TrainResult{}, err
	}
	return t.result(), nil
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
	before := t.divergedBefore()
	if before != "" {
		t.config.Env.Log.Warn("this training diverged when it was run before, and will again unless what it depends on has changed", "how", before)
	}
	err = t.epochs(ctx)
	var diverged *component.DivergedError
	switch {
	case err != nil && ctx.Err() == nil && errors.As(err, &diverged):
		return t.salvage(err, diverged, before)
	case err != nil && ctx.Err() == nil:
		return err
	}
	// An interrupted step has not touched the weights, so they can be kept.
	saveErr := t.checkpoint()
	switch {
	case err != nil && saveErr != nil:
		// Whoever interrupted it reckons with what is kept.
		t.config.Env.Log.Error("the interrupted training is not kept: it goes on from the checkpoint before, or from its beginning", "error", saveErr)
		return errors.Join(ctx.Err(), saveErr)
	case err != nil:
		return ctx.Err()
	case saveErr != nil:
		return saveErr
	}
	return t.recovered()
}

func (t *trainer[F]) epochs(ctx context.Context) error {
	s := &t.state
	switch {
	case s.finished == byPatience, s.finished == bySteps && t.limited(), s.finished == byEpochs && s.epoch >= int64(t.config.Epochs):
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
		if t.valid != nil && t.valid.Len() == 0 {
			t.valid = nil
		}
	}
	if by := t.byTraining(); t.valid == nil && len(by) > 0 {
		t.config.Env.Log.Warn("there are no validation trials: the training loss stands in for the validation loss", "decides", strings.Join(by, ", "))
	}
	for s.finished == running {
		switch {
		case s.epoch >= int64(t.config.Epochs):
			s.finished = byEpochs
			return nil
		case s.batch == 0 && t.limited(): // of a checkpoint with more steps than are allowed now
			s.finished = bySteps
			return nil
		}
		if err := t.epoch(ctx); err != nil {
			return err
		}
		if s.finished == running && s.epoch < int64(t.config.Epochs) && t.late() {
			s.finished = byTime
		}
	}
	return nil
}

// byTraining names what goes by the training loss where there are no validation trials.
func (t *trainer[F]) byTraining() []string {
	var by []string
	if !t.config.KeepLast {
		by = append(by, "the best weights")
	}
	if t.config.Patience > 0 {
		by = append(by, "early stopping")
	}
	if t.config.ScheduleByLoss {
		by = append(by, "a schedule that goes by losses")
	}
	return by
}

// late says whether the time is over.
func (t *trainer[F]) late() bool {
	return t.config.MaxTime > 0 && time.Since(t.started) >= t.config.MaxTime
}

// load takes the trials of an epoch into memory, where they are not yet.
func (t *trainer[F]) load(ctx context.Context) error {
	if t.train != nil && !t.source.Fresh {
		return nil
	}
	pass := uint64(0)
	if t.source.Fresh {
		pass = uint64(t.state.epoch)
	}
	d, err := t.source.Train(ctx, pass)
	switch {
	case err != nil:
		return err
	case d == nil || d.Len() == 0:
		return component.Invalid("trials", "pass %d of the training trials is empty: at least 1 is needed", pass)
	case t.config.Group != "" && !d.single(t.config.Group):
		return component.Invalid("group", "%q is not allowed: an integer column of one number a trial is needed; there are %v", t.config.Group, d.singles())
	}
	t.train = d
	if t.started.IsZero() {
		t.started = time.Now() // however long it took, there is time for a step
	}
	return nil
}

func (t *trainer[F]) epoch(ctx context.Context) error {
	s := &t.state
	if err := t.load(ctx); err != nil {
		return err
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
	more := func() bool { return s.batch < int64(len(batches)) && !t.limited() }
	for more() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.late() {
			s.finished = byTime
			if s.trials == 0 {
				return nil
			}
			return t.sound("loss", s.lossSum/float64(s.trials))
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
		var e *component.DivergedError
		if errors.As(err, &e) {
			e.Step, e.Quantity = t.Steps-1, t.withGradient("in validation, "+e.Quantity)
		}
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

// bounded is an error for the mean of an epoch that is beyond MaxGrowth, and for all that is not sound.
func (t *trainer[F]) bounded(quantity string, value float64) error {
	if value > t.config.MaxGrowth*max(1, math.Abs(t.state.first)) {
		e := t.diverged(quantity, value)
		e.Step = t.Steps - 1
		return e
	}
	return t.sound(quantity, value)
}

// sound is an error for a loss that is not finite, and for weights and running means that are not after the last step.
func (t *trainer[F]) sound(quantity string, loss float64) error {
	var e *component.DivergedError
	if !finite(loss) {
		e = t.diverged(quantity, loss)
	} else if what, value := t.spoilt(); what != "" {
		e = t.diverged(fmt.Sprintf("%s, loss %v", what, loss), value)
	} else {
		return nil
	}
	e.Step = t.Steps - 1
	return e
}

// spoilt names the first of the weights, and of the optimiser's running means, that is not finite; none where all are.
func (s *Stepper[F]) spoilt() (what string, value float64) {
	for _, of := range []struct {
		what string
		flat []F
	}{{"weight of", s.weights}, {"running mean of the gradient of", s.mean}, {"running mean square of the gradient of", s.square}} {
		if finite(kernel.GlobalNorm(of.flat)) { // of the double precision's largest numbers it is not, though they are finite
			continue
		}
		for _, p := range s.net.Params().All() {
			for _, x := range of.flat[p.Offset : p.Offset+len(p.Value)] {
				if !finite(float64(x)) {
					return of.what + " " + p.Name, float64(x)
				}
			}
		}
	}
	return "", 0
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
	r := model.TrainResult{Steps: t.Steps, Epochs: s.epoch, BestEpoch: s.bestEpoch, BestLoss: math.NaN(), LastLoss: s.last, KeptBest: !t.config.KeepLast && s.epoch > 0, Stopped: stops[s.finished]}
	if s.epoch > 0 {
		r.BestLoss = s.best
	}
	if r.KeptBest {
		r.Last = t.net.Params().Save()
		copy(t.weights, t.best)
	}
	return r
}
