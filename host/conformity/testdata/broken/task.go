package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"

	"github.com/ctdb-host/ctdb/sdk/component"
	"github.com/ctdb-host/ctdb/sdk/param"
	"github.com/ctdb-host/ctdb/sdk/serve"
	"github.com/ctdb-host/ctdb/sdk/task"
	"github.com/ctdb-host/ctdb/sdk/tensor"
)

// wrongTask is a task with some of its methods replaced.
type wrongTask struct {
	task.Task
	spec   func(*task.Spec)
	trials func(ctx context.Context, req task.TrialRequest) tensor.Blocks
	score  func(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error)
}

func (t wrongTask) Spec(ctx context.Context) (task.Spec, error) {
	s, err := t.Task.Spec(ctx)
	if t.spec != nil {
		t.spec(&s)
	}
	return s, err
}

func (t wrongTask) Trials(ctx context.Context, req task.TrialRequest) tensor.Blocks {
	if t.trials != nil {
		return t.trials(ctx, req)
	}
	return t.Task.Trials(ctx, req)
}

func (t wrongTask) Score(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
	if t.score != nil {
		return t.score(ctx, req, outputs)
	}
	return t.Task.Score(ctx, req, outputs)
}

// opened replaces what opening the open-loop task gives.
func opened(change func(t *wrongTask)) fault {
	return func(p *serve.Plugin) {
		f := &p.Tasks[0]
		open := f.Open
		f.Open = func(ctx context.Context, v param.Values, env component.Env) (task.Task, error) {
			inner, err := open(ctx, v, env)
			t := wrongTask{Task: inner}
			change(&t)
			return t, err
		}
	}
}

// altered changes each block of trials. It is called with the pass, and each block with what comes before it.
func altered(f func(req task.TrialRequest, b tensor.Block) tensor.Block) fault {
	return opened(func(t *wrongTask) {
		t.trials = func(ctx context.Context, req task.TrialRequest) tensor.Blocks {
			return func(yield func(tensor.Block, error) bool) {
				for b, err := range t.Task.Trials(ctx, req) {
					if err == nil {
						b = f(req, b)
					}
					if !yield(b, err) {
						return
					}
				}
			}
		}
	})
}

// scores changes a score.
func scores(f func(s *task.Score)) fault {
	return opened(func(t *wrongTask) {
		t.score = func(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
			s, err := t.Task.Score(ctx, req, outputs)
			if err == nil {
				f(&s)
			}
			return s, err
		}
	})
}

func taskFaults() map[string]fault {
	return map[string]fault{
		"counts":     opened(func(t *wrongTask) { t.spec = func(s *task.Spec) { s.TrainTrials++ } }),
		"no-loss":    opened(func(t *wrongTask) { t.spec = func(s *task.Spec) { s.Loss.Terms = nil } }),
		"conditions": opened(func(t *wrongTask) { t.spec = func(s *task.Spec) { s.ConditionNames = []string{"left"} } }),
		"nan": altered(func(_ task.TrialRequest, b tensor.Block) tensor.Block {
			if b.Trials[0] == 0 {
				b.Arrays.Get(task.Targets).F32[3] = float32(math.NaN())
			}
			return b
		}),
		"shape": altered(func(_ task.TrialRequest, b tensor.Block) tensor.Block {
			x := b.Arrays.Get(task.Inputs)
			b.Arrays[0] = tensor.New32(task.Inputs, x.Shape[0], x.Shape[1], x.Shape[2]+1)
			b.Arrays[0].F32[0] = x.F32[0]
			return b
		}),
		"late-go": opened(func(t *wrongTask) {
			t.spec = func(s *task.Spec) { s.Extra, s.ExtraUnits = []string{"angle", "go"}, []string{"rad", task.InBins} }
			t.trials = func(ctx context.Context, req task.TrialRequest) tensor.Blocks {
				return func(yield func(tensor.Block, error) bool) {
					for b, err := range t.Task.Trials(ctx, req) {
						if err == nil {
							extra := tensor.New32(task.Extra, len(b.Trials), 2)
							for i := range b.Trials {
								// Most have no go cue; of one it comes after the end.
								extra.F32[2*i], extra.F32[2*i+1] = 0.5, -1
								if b.Trials[i] == 3 {
									extra.F32[2*i+1] = 17
								}
							}
							b.Arrays = append(b.Arrays, extra)
						}
						if !yield(b, err) {
							return
						}
					}
				}
			}
		}),
		"overlap": altered(func(req task.TrialRequest, b tensor.Block) tensor.Block {
			if req.Split == task.Valid {
				for i := range b.Trials {
					b.Trials[i] -= 5
				}
			}
			return b
		}),
		"unseeded": altered(func(_ task.TrialRequest, b tensor.Block) tensor.Block {
			b.Arrays.Get(task.Inputs).F32[0] = float32(rand.NormFloat64())
			return b
		}),
		"position": altered(func(_ task.TrialRequest, b tensor.Block) tensor.Block {
			x := b.Arrays.Get(task.Inputs)
			for i := range b.Trials {
				x.Slice(i, i+1).F32[0] += float32(i)
			}
			return b
		}),
		"pass": altered(func(req task.TrialRequest, b tensor.Block) tensor.Block {
			b.Arrays.Get(task.Inputs).F32[0] += float32(req.Pass)
			return b
		}),
		"one-block": opened(func(t *wrongTask) {
			t.trials = func(ctx context.Context, req task.TrialRequest) tensor.Blocks {
				req.BlockTrials = 0
				return t.Task.Trials(ctx, req)
			}
		}),
		"one-seed": func(p *serve.Plugin) {
			f := &p.Tasks[0]
			open := f.Open
			f.Open = func(ctx context.Context, v param.Values, env component.Env) (task.Task, error) {
				env.Seed = 1
				return open(ctx, v, env)
			}
		},
		"deaf": opened(func(t *wrongTask) {
			t.score = func(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
				s, err := t.Task.Score(ctx, req, outputs)
				if ctx.Err() != nil {
					select {}
				}
				return s, err
			}
		}),
		"success":     scores(func(s *task.Score) { s.Success[0] = 1.5 }),
		"loss-nan":    scores(func(s *task.Score) { s.Loss[0] = math.NaN() }),
		"better-loss": scores(func(s *task.Score) { negate(s.Loss) }),
		"forgets-trial": scores(func(s *task.Score) {
			n := len(s.Trials) - 1
			s.Trials, s.Success, s.Loss, s.Condition = s.Trials[:n], s.Success[:n], s.Loss[:n], s.Condition[:n]
		}),
		"dies": opened(func(t *wrongTask) {
			t.score = func(ctx context.Context, req task.ScoreRequest, outputs tensor.Blocks) (task.Score, error) {
				s, err := t.Task.Score(ctx, req, outputs)
				if errors.Is(err, component.ErrNotFound) {
					os.Exit(3)
				}
				return s, err
			}
		}),
		"claims-loop": func(p *serve.Plugin) {
			p.Tasks[0].Info.Capabilities = append(p.Tasks[0].Info.Capabilities, component.ClosedLoop)
		},
		"custom-loss": func(p *serve.Plugin) {
			p.Tasks[0].Info.Capabilities = append(p.Tasks[0].Info.Capabilities, component.CustomLoss)
			opened(func(t *wrongTask) {
				t.spec = func(s *task.Spec) {
					s.Loss.Terms = []task.Term{{Kind: task.Custom, Scale: 1, Reduction: task.MeanAll}}
				}
			})(p)
			f := &p.Tasks[0]
			open := f.Open
			f.Open = func(ctx context.Context, v param.Values, env component.Env) (task.Task, error) {
				t, err := open(ctx, v, env)
				return quartic{t}, err
			}
		},
	}
}

func negate(x []float64) {
	for i := range x {
		x[i] = -x[i]
	}
}

// quartic has the mean of fourth powers for a loss, and for its cotangent one that lacks the factor 4.
type quartic struct{ task.Task }

func (quartic) Loss(_ context.Context, _ task.ScoreRequest, _ []int64, y *tensor.Tensor) (float64, *tensor.Tensor, error) {
	sum, c := 0.0, tensor.New64("cotangent", y.Shape...)
	for i, v := range y.Float64s() {
		sum += v * v * v * v
		c.F64[i] = v * v * v / float64(y.Len())
	}
	return sum / float64(y.Len()), c, nil
}
