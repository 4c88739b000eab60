package recurrent

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/link"
	"github.com/ctdb-host/ctdb/sdk/model"
	"github.com/ctdb-host/ctdb/sdk/nn"
	"github.com/ctdb-host/ctdb/sdk/nn/kernel"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
	"github.com/ctdb-host/ctdb/sdk/train"
)

// checkSpec reports what a task asks for that this model lacks.
func checkSpec(s *task.Spec) []param.Problem {
	var out []param.Problem
	need := func(ok bool, path, format string, args ...any) {
		if !ok {
			out = append(out, param.Problem{Path: path, Message: fmt.Sprintf(format, args...)})
		}
	}
	need(s.Inputs >= 0, "task.inputs", "%d is not allowed: at least 0", s.Inputs)
	need(s.Outputs >= 1, "task.outputs", "%d is not allowed: at least 1", s.Outputs)
	need(s.Bins >= 1, "task.bins", "%d is not allowed: at least 1", s.Bins)
	need(len(s.Loss.Terms) > 0, "task.loss", "the task declares no loss: at least one term is needed")
	if l := s.Loop; l != nil {
		need(s.Inputs >= 1, "task.inputs", "%d is not allowed: a closed-loop task gives at least 1", s.Inputs)
		need(l.Actions == s.Outputs, "task.loop.actions", "%d is not allowed: they are the model's outputs, of which there are %d", l.Actions, s.Outputs)
		need(l.StateSize >= 1, "task.loop.state_size", "%d is not allowed: at least 1, for the loss to be on", l.StateSize)
	}
	for i, t := range s.Loss.Terms {
		path := fmt.Sprintf("task.loss.terms[%d]", i)
		switch t.Kind {
		case task.SquaredError, task.PoissonNLL, task.LatentSquare:
			need(t.Reduction == task.MeanAll || t.Reduction == task.SumTime, path+".reduction", "%q is not allowed: one of %s, %s", t.Reduction, task.MeanAll, task.SumTime)
			need(t.HorizonEpochs >= 0, path+".horizon_epochs", "%d is not allowed: at least 0", t.HorizonEpochs)
		case task.Custom:
			need(t.HorizonEpochs == 0, path+".horizon_epochs", "a custom loss keeps its own horizon")
		case task.ActionSquare:
			if need(s.Loop != nil, path+".kind", "%s needs a closed-loop task: an open-loop task has no actions", t.Kind); s.Loop == nil {
				continue
			}
			need(t.Reduction == task.MeanAll || t.Reduction == task.SumTime, path+".reduction", "%q is not allowed: one of %s, %s", t.Reduction, task.MeanAll, task.SumTime)
			need(t.HorizonEpochs >= 0, path+".horizon_epochs", "%d is not allowed: at least 0", t.HorizonEpochs)
		default:
			need(false, path+".kind", "%q is not known: one of %s, %s, %s, %s, %s", t.Kind, task.SquaredError, task.PoissonNLL, task.LatentSquare, task.ActionSquare, task.Custom)
		}
		need(!math.IsNaN(t.Scale) && !math.IsInf(t.Scale, 0), path+".scale", "%v is not allowed: a finite number", t.Scale)
	}
	return out
}

// checkRecompute reports where a training must keep all that its gradient needs.
func checkRecompute(s *task.Spec, recompute int) []param.Problem {
	if s.Loop == nil || recompute == 0 {
		return nil
	}
	return []param.Problem{{Path: "recompute", Message: fmt.Sprintf("%d is not allowed: a closed-loop task steps through each bin once: 0 is needed", recompute)}}
}

func custom(l task.Loss) bool {
	for _, t := range l.Terms {
		if t.Kind == task.Custom {
			return true
		}
	}
	return false
}

// network is a model in training on a task.
type network[F kernel.Float] struct {
	config *Config[F]
	params *nn.Params[F]
	spec   task.Spec
	custom task.CustomLoss
	link   *link.Link      // of a closed-loop task
	ctx    context.Context // of the training; a custom loss is called within it
}

// Link is the loop's; nil in an open one.
func (n *network[F]) Link() *link.Link { return n.link }

// judged is the width of what the loss is on: outputs, or what is controlled.
func (n *network[F]) judged() int {
	if n.spec.Loop != nil {
		return n.spec.Loop.StateSize
	}
	return n.spec.Outputs
}

// pass is the task's pass in training.
func (n *network[F]) pass(p nn.Pass) uint64 {
	if n.spec.FreshNoise {
		return uint64(p.Epoch)
	}
	return 0
}

func (n *network[F]) Params() *nn.Params[F] { return n.params }

// load takes a split of a task into memory.
func (n *network[F]) load(ctx context.Context, t task.Task, split task.Split, pass uint64, trials int) (*train.Data[F], error) {
	bins := n.spec.Bins
	columns := []train.Column{
		{Name: task.Targets, Shape: []int{bins, n.judged()}},
		{Name: task.Weights, Shape: []int{bins, -1}, Optional: true},
		{Name: task.Conditions, Integer: true, Optional: !n.spec.GroupBatches},
		{Name: task.Lengths, Integer: true, Optional: true},
	}
	if n.spec.Loop == nil {
		columns = append(columns, train.Column{Name: task.Inputs, Shape: []int{bins, n.spec.Inputs}})
	}
	return train.Load[F](ctx, t.Trials(ctx, task.TrialRequest{Split: split, Pass: pass}), trials, columns...)
}

// mask is the weights of one term's elements as they are filled in for each shard.
type mask struct {
	node    *nn.Node
	width   int  // channels of the node; 1 is a (rows, T) node without that axis
	binary  bool // 1 up to the trial's end; of trials without lengths, where any weight of the bin is positive
	horizon int  // epochs
	mean    bool // over the horizon's bins
	length  bool // the trial's length alone matters
}

// Build writes the network and its losses down.
func (n *network[F]) Build(g *nn.Graph[F], d *train.Data[F]) (train.Program[F], error) {
	bins, outputs := n.spec.Bins, n.judged()
	var p train.Program[F]
	var env nn.Environment[F]
	if n.link != nil {
		if g.Training() {
			env = link.Environment[F](n.link, g.Rows(), task.Train, n.pass)
		} else {
			e := link.Environment[F](n.link, g.Rows(), task.Valid, nil)
			env, p.Recorded = e, e.Recorded
		}
	}
	x, s := n.config.unroll(g, bins, env)
	judged := s.Outputs
	if n.link != nil {
		judged = s.EnvironmentState
	}
	if !g.Training() && n.config.Training.ScoreEvery > 0 {
		p.Judged = []train.Result{result(model.Outputs, s.Outputs())}
		if n.link != nil {
			p.Judged = append(p.Judged, result(task.Controlled, judged()))
		}
	}
	var masks []mask
	var targets, ends *nn.Node
	target := func() *nn.Node {
		if targets == nil {
			targets = g.Data(task.Targets, bins, outputs)
		}
		return targets
	}
	if w := d.Shape(task.Weights); w != nil && w[1] != 1 && w[1] != outputs {
		return p, component.Invalid(task.Weights, "has %d channels: 1 or %d is needed", w[1], outputs)
	}
	weighted := d.Has(task.Weights) || d.Has(task.Lengths)
	weights := func(i int, t task.Term, width int, binary bool) *nn.Node {
		if !weighted && t.HorizonEpochs == 0 {
			return nil
		}
		m := mask{width: width, binary: binary, horizon: t.HorizonEpochs, mean: t.Reduction != task.SumTime, length: t.Kind == task.ActionSquare}
		if width == 1 && t.Kind == task.PoissonNLL {
			m.node = g.Data(fmt.Sprintf("weights of term %d", i), bins)
		} else {
			m.node = g.Data(fmt.Sprintf("weights of term %d", i), bins, width)
		}
		masks = append(masks, m)
		return m.node
	}
	for i, t := range n.spec.Loss.Terms {
		scale := nn.Scale{Factor: t.Scale}
		if t.Reduction == task.SumTime {
			scale.Reduction = nn.SumTime
		}
		switch t.Kind {
		case task.SquaredError:
			p.Losses = append(p.Losses, g.SquaredError(judged(), target(), weights(i, t, outputs, false), scale))
		case task.PoissonNLL:
			if w := d.Shape(task.Weights); w != nil && w[1] != 1 {
				return p, component.Invalid(task.Weights, "has %d channels: %s takes weights with 1 channel, the same for all outputs", w[1], t.Kind)
			}
			p.Losses = append(p.Losses, g.PoissonNLL(judged(), target(), nn.PoissonOptions{BinMask: weights(i, t, 1, false)}, scale))
		case task.LatentSquare:
			units := n.config.Cell.Units()
			p.Losses = append(p.Losses, g.SquaredError(s.States(), g.Zeros(bins, units), weights(i, t, units, true), scale))
		case task.ActionSquare:
			actions := n.spec.Outputs
			p.Losses = append(p.Losses, g.SquaredError(s.Outputs(), g.Zeros(bins, actions), weights(i, t, actions, true), scale))
		case task.Custom:
			p.Losses = append(p.Losses, g.Custom("custom", judged(), t.Scale, n.customLoss))
		default:
			return p, fmt.Errorf("recurrent: loss term %q: %w", t.Kind, component.ErrUnsupported)
		}
	}
	if n.config.LatentL2 != 0 {
		if d.Has(task.Lengths) {
			ends = g.Data(task.Lengths)
		}
		p.Losses = append(p.Losses, g.LatentL2(s.States(), ends, n.config.LatentL2))
	}
	training := g.Training()
	p.Fill = func(d *train.Data[F], rows []int, pass nn.Pass) error {
		if x != nil && env == nil {
			d.Gather(g.Array(x), task.Inputs, rows)
		}
		if targets != nil {
			d.Gather(g.Array(targets), task.Targets, rows)
		}
		if ends != nil {
			for i, row := range rows {
				length, err := n.length(d, row)
				if err != nil {
					return err
				}
				g.Array(ends)[i] = F(length)
			}
		}
		for _, m := range masks {
			if err := n.fill(m, g.Array(m.node), d, rows, pass, training); err != nil {
				return err
			}
		}
		return nil
	}
	return p, nil
}

// fill writes the weights of a shard's elements: the task's, times 1 within the trial's length and, in training, the curriculum's horizon.
func (n *network[F]) fill(m mask, dst []F, d *train.Data[F], rows []int, pass nn.Pass, training bool) error {
	bins := n.spec.Bins
	if !d.Has(task.Lengths) && m.horizon == 0 && !m.binary && d.Has(task.Weights) && d.Shape(task.Weights)[1] == m.width {
		d.Gather(dst, task.Weights, rows)
		return nil
	}
	horizon, one := bins, F(1)
	if training {
		if horizon = (task.Term{HorizonEpochs: m.horizon}).Horizon(bins, pass.Epoch); m.mean {
			one = F(float64(bins) / float64(horizon))
		}
	}
	for i, row := range rows {
		end := horizon
		if d.Has(task.Lengths) {
			length, err := n.length(d, row)
			if err != nil {
				return err
			}
			end = min(end, length)
		}
		given := d.Row(task.Weights, row)
		if m.length {
			given = nil
		}
		channels := len(given) / bins
		for t := range bins {
			to := dst[(i*bins+t)*m.width:][:m.width]
			for c := range to {
				switch {
				case t >= end:
					to[c] = 0
				case given == nil, m.binary && d.Has(task.Lengths):
					to[c] = one
				case m.binary:
					to[c] = one * anyPositive(given[t*channels:][:channels])
				case channels == 1:
					to[c] = one * given[t]
				default:
					to[c] = one * given[t*channels+c]
				}
			}
		}
	}
	return nil
}

// length is the number of bins of a trial.
func (n *network[F]) length(d *train.Data[F], row int) (int, error) {
	length := d.Int(task.Lengths, row)
	if length < 0 || length > int64(n.spec.Bins) {
		return 0, component.Invalid(task.Lengths, "trial %d has %d bins: 0 to %d are allowed", d.Trials[row], length, n.spec.Bins)
	}
	return int(length), nil
}

func anyPositive[F kernel.Float](w []F) F {
	for _, v := range w {
		if v > 0 {
			return 1
		}
	}
	return 0
}

// customLoss asks the task for the loss of a shard.
func (n *network[F]) customLoss(p nn.Pass, y, grad []F) (float64, error) {
	trials := make([]int64, len(p.Trials))
	for i, t := range p.Trials {
		trials[i] = int64(t)
	}
	outputs := tensor.New32(task.Targets, len(trials), n.spec.Bins, n.judged())
	outputs.Name = "outputs"
	for i, v := range y {
		outputs.F32[i] = float32(v)
	}
	req := task.ScoreRequest{Split: task.Valid}
	if grad != nil {
		req.Split, req.Pass = task.Train, n.pass(p)
	}
	value, cotangent, err := n.custom.Loss(n.ctx, req, trials, outputs)
	if err != nil {
		return 0, err
	}
	if grad == nil {
		return value, nil
	}
	if cotangent == nil {
		return 0, errors.New("recurrent: the task's loss has no cotangent")
	}
	if err := errors.Join(cotangent.Expect(len(trials), n.spec.Bins, n.judged()), cotangent.Check()); err != nil {
		return 0, err
	}
	for i, v := range cotangent.Float64s() {
		grad[i] = F(v)
	}
	return value, nil
}
